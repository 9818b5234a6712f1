//! The head of a request as lines of text, and the rules of a handshake over them.

use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};

/// The head of a request, as lines.
#[derive(Debug)]
pub(super) struct Head {
    method: Method,
    uri: Uri,
    pub(super) version: Version,
    /// Names in lower case; values as Latin-1, which has every byte.
    lines: Vec<(String, String)>,
}

impl Head {
    /// Reads what HTTP lets through; `None` is a line that it does not.
    pub(super) fn parse(input: &[u8]) -> Option<Self> {
        let mut lines = input.split(|&byte| byte == b'\n');
        let mut first = lines.next()?.split(|&byte| byte == b' ');
        let mut head = Self {
            method: Method::from_bytes(first.next()?).ok()?,
            uri: Uri::try_from(first.next()?).ok()?,
            version: match first.next()? {
                b"HTTP/1.0" => Version::HTTP_10,
                b"HTTP/1.1" => Version::HTTP_11,
                b"HTTP/2" => Version::HTTP_2,
                _ => return None,
            },
            lines: Vec::new(),
        };
        for line in lines.filter(|line| !line.is_empty()) {
            let colon = line.iter().skip(1).position(|&byte| byte == b':')? + 1;
            let name = std::str::from_utf8(&line[..colon])
                .ok()?
                .to_ascii_lowercase();
            let value = line[colon + 1..].trim_ascii();
            if name == ":protocol" {
                std::str::from_utf8(value).ok()?;
            } else {
                HeaderName::try_from(&name).ok()?;
                HeaderValue::from_bytes(value).ok()?;
            }
            let value = value.iter().copied().map(char::from).collect();
            head.lines.push((name, value));
        }
        Some(head)
    }

    pub(super) fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        for (name, value) in self.lines.iter().filter(|(name, _)| name != ":protocol") {
            let name = HeaderName::try_from(name).expect("a name by `parse`");
            let value = HeaderValue::from_bytes(&latin_1(value)).expect("a value by `parse`");
            request.headers_mut().append(name, value);
        }
        request
    }

    pub(super) fn protocol(&self) -> Option<String> {
        let protocol = *self.values(":protocol").first()?;
        String::from_utf8(latin_1(protocol)).ok()
    }

    fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.lines.iter().filter(|line| line.0 == name);
        lines.map(|(_, value)| value.as_str()).collect()
    }

    /// The elements of a comma-separated list.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let joined = self.values(name).join(",");
        let elements = joined
            .split(',')
            .map(|element| element.trim_matches([' ', '\t']));
        elements
            .filter(|element| !element.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn lists(&self, name: &str, element: &str) -> bool {
        let list = self.list(name);
        list.iter()
            .any(|listed| listed.eq_ignore_ascii_case(element))
    }

    /// `:protocol` names websocket.
    fn connects(&self) -> bool {
        let protocol = self.protocol();
        protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"))
    }

    /// `:protocol` decides where there is one.
    pub(super) fn attempts(&self) -> bool {
        match self.protocol() {
            Some(_) => self.connects(),
            None => {
                self.lists("upgrade", "websocket")
                    || !self.values("sec-websocket-key").is_empty()
                    || !self.values("sec-websocket-version").is_empty()
            }
        }
    }

    /// RFC 6455 section 4.2.1; RFC 8441 sections 4 and 5 on HTTP/2.
    pub(super) fn is_valid(&self) -> bool {
        let by_version = match self.version {
            Version::HTTP_11 => {
                self.method == Method::GET
                    && self.lists("connection", "upgrade")
                    && self.lists("upgrade", "websocket")
                    && self.key().is_some()
                    && self.values("host").len() == 1
            }
            Version::HTTP_2 => {
                self.method == Method::CONNECT
                    && self.connects()
                    && (self.uri.authority().is_some() || self.values("host").len() == 1)
            }
            _ => false,
        };
        let versions = self.list("sec-websocket-version");
        by_version
            && self.attempts()
            && !versions.is_empty()
            && versions.iter().all(|version| version == "13")
            && self
                .values("content-length")
                .iter()
                .all(|&length| length == "0")
            && self.values("transfer-encoding").is_empty()
            && self.protocols_are_valid()
            && self
                .values("sec-websocket-extensions")
                .iter()
                .all(|line| is_extension_list(line))
    }

    /// The key, if there is one that is the base64 of 16 bytes: these are 21 digits of six bits, one of which two count,
    /// and the padding.
    pub(super) fn key(&self) -> Option<&str> {
        const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

        let [key] = self.values("sec-websocket-key")[..] else {
            return None;
        };
        let digits = key.strip_suffix("==").filter(|digits| digits.len() == 22)?;
        digits
            .chars()
            .all(|digit| DIGITS.contains(digit))
            .then_some(key)
    }

    fn protocols_are_valid(&self) -> bool {
        let offered = self.list("sec-websocket-protocol");
        let mut distinct = offered.clone();
        distinct.sort();
        distinct.dedup();
        distinct.len() == offered.len()
            && offered.len() <= 64
            && offered.iter().all(|name| is_token(name))
    }
}

fn latin_1(value: &str) -> Vec<u8> {
    value.chars().map(|byte| byte as u8).collect()
}

/// Section 9.1; empty elements are ignored.
fn is_extension_list(line: &str) -> bool {
    let elements = line.split(',').map(trim);
    elements
        .filter(|element| !element.is_empty())
        .all(|extension| {
            let mut parts = extension.split(';').map(trim);
            let name = parts.next();
            name.is_some_and(is_token)
                && parts.all(|parameter| match parameter.split_once('=') {
                    None => is_token(parameter),
                    Some((name, value)) => is_token(trim(name)) && is_token(unquoted(trim(value))),
                })
        })
}

fn trim(part: &str) -> &str {
    part.trim_matches([' ', '\t'])
}

fn unquoted(value: &str) -> &str {
    let inner = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    inner.unwrap_or(value)
}

fn is_token(text: &str) -> bool {
    let separators = "()<>@,;:\\\"/[]?={} \t";
    !text.is_empty()
        && text
            .chars()
            .all(|c| ('!'..='~').contains(&c) && !separators.contains(c))
}
