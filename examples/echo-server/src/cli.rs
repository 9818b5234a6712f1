//! The command line: options, and one clear line for what is wrong with them.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Parser};

use crate::duration::{OrOff, or_off};
use crate::server::STREAM_WINDOW;

/// With more the connection's window, which has room for all streams, would be above the 2³¹ − 1 of RFC 9113, 6.9.1.
const MAX_STREAMS: i64 = i32::MAX as i64 / STREAM_WINDOW as i64;

/// What the command line asks for.
#[derive(Debug, Parser)]
#[command(
    name = "echo-server",
    about = "Serves a page, and a WebSocket endpoint that sends every message back"
)]
pub(crate) struct Options {
    /// The address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5000")]
    pub(crate) listen: SocketAddr,

    /// The path of the WebSocket endpoint; with `/` a handshake there gets the socket and anything else the page
    #[arg(long, value_name = "PATH", default_value = "/ws", value_parser = path)]
    pub(crate) path: String,

    /// Another origin whose pages may open a socket, such as `https://client.com`, `https://*.example.com` or `file://`;
    /// `*` is any. May be repeated. Pages of the server itself may, under localhost or the address it listens on
    #[arg(long = "origin", value_name = "ORIGIN")]
    pub(crate) origins: Vec<String>,

    /// The largest message that is taken, such as `64KiB` or `16MiB`; a larger one closes its socket with 1009
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = size)]
    pub(crate) max_message_size: usize,

    /// Whether messages are compressed by permessage-deflate, for clients that offer it
    #[arg(long, value_name = "on|off", default_value = "off", value_parser = switch, action = ArgAction::Set)]
    pub(crate) compression: bool,

    /// Ping a peer that is silent for this long, such as `500ms`, `30s` or `2m`; or `off`
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = or_off)]
    pub(crate) keep_alive: OrOff,

    /// Give a peer up that sends nothing for this long after a ping; or `off`
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = or_off)]
    pub(crate) keep_alive_timeout: OrOff,

    /// Close a socket over which no message has come for this long; or `off`
    #[arg(long, value_name = "DURATION", default_value = "off", value_parser = or_off)]
    pub(crate) idle_timeout: OrOff,

    /// Close a socket that has been open for this long; or `off`
    #[arg(long, value_name = "DURATION", default_value = "off", value_parser = or_off)]
    pub(crate) max_lifetime: OrOff,

    /// How many sockets there may be at a time; a handshake above that gets a 503
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_sockets: Option<usize>,

    /// HTTP/2 streams that a connection may have at a time, each of them a socket or a request. An idle socket costs 6 KiB, one
    /// whose client sends and does not read up to 320 KiB: 6 MiB or 320 MiB for 1000 of them
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=MAX_STREAMS))]
    pub(crate) max_streams: u32,

    /// How long sockets may take to close when the server is stopped, by Ctrl-C or SIGTERM; or `off`, which drops them at
    /// once
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = or_off)]
    pub(crate) drain: OrOff,

    /// Serve https with the certificate in this file, the chain in PEM format; needs --tls-key
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, in PEM format
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,

    /// The threads that serve, of which 1 is the least machinery; as many as there are cores without this
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
}

fn path(value: &str) -> Result<String, String> {
    // What is left of a path goes into the page as it is.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte);
    if value.starts_with('/') && value.bytes().all(plain) {
        Ok(value.to_owned())
    } else {
        Err("a path starts with / and has letters, digits and /-._~% in it".to_owned())
    }
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("it is on or off".to_owned()),
    }
}

fn size(value: &str) -> Result<usize, String> {
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &value[number.len()..] {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let size = number.parse::<usize>().ok().zip(unit);
    size.and_then(|(number, unit)| number.checked_mul(unit))
        .ok_or_else(|| "a size is a whole number of B, KiB, MiB or GiB, such as 64KiB".to_owned())
}

/// Prints the help that was asked for, or one line that says what is wrong.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    fail(&summary(error))
}

/// What is wrong, without the hints and the usage that follow on an empty line. A list is put behind its heading.
fn summary(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.is_empty());
    let line: Vec<&str> = lines.map(str::trim).collect();
    line.join(" ").trim_start_matches("error: ").to_owned()
}

/// Says what is wrong in one line; the exit code is 2.
pub(crate) fn fail(error: &dyn Display) -> ExitCode {
    eprintln!("echo-server: {error}");
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let command = ["echo-server"].iter().chain(arguments);
        Options::try_parse_from(command).map_err(|error| summary(&error))
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.listen, SocketAddr::from(([127, 0, 0, 1], 5000)));
        assert_eq!(options.path, "/ws");
        assert!(options.origins.is_empty());
        assert_eq!(options.max_message_size, 1024 * 1024);
        assert!(!options.compression);
        assert!(parse(&["--compression", "on"]).unwrap().compression);
        let seconds = |seconds| OrOff(Some(Duration::from_secs(seconds)));
        assert_eq!(options.keep_alive, seconds(30));
        assert_eq!(options.keep_alive_timeout, seconds(20));
        assert_eq!(options.idle_timeout, OrOff(None));
        assert_eq!(options.max_lifetime, OrOff(None));
        assert_eq!(options.max_sockets, None);
        assert_eq!(options.max_streams, 1000);
        assert_eq!(options.drain, seconds(30));
        assert_eq!((options.tls_cert, options.tls_key), (None, None));
        assert_eq!(options.threads, None);
    }

    #[test]
    fn sizes_have_units() {
        for (value, bytes) in [
            ("0", 0),
            ("7B", 7),
            ("64KiB", 65_536),
            ("16MiB", 16_777_216),
        ] {
            let options = parse(&["--max-message-size", value]).unwrap();
            assert_eq!(options.max_message_size, bytes);
        }
    }

    #[test]
    fn origins_add_up() {
        let options = parse(&["--origin", "https://a.com", "--origin", "https://b.com"]);
        assert_eq!(options.unwrap().origins, ["https://a.com", "https://b.com"]);
    }

    #[test]
    fn a_bad_value_is_named() {
        for (arguments, named) in [
            (["--listen", "nowhere"], "nowhere"),
            (["--listen", "127.0.0.1:90000"], "127.0.0.1:90000"),
            (["--path", "ws"], "ws"),
            (["--path", "/\"onload="], "onload"),
            (["--lisen", "x"], "--lisen"),
            (["--max-message-size", "64kB"], "64kB"),
            (["--max-message-size", "99999999999GiB"], "99999999999GiB"),
            (["--max-message-size", "KiB"], "KiB"),
            (["--compression", "yes"], "yes"),
            (["--keep-alive", "0s"], "0s"),
            (["--keep-alive-timeout", "20"], "20"),
            (["--idle-timeout", "never"], "never"),
            (["--max-lifetime", "2h"], "2h"),
            (["--max-sockets", "-1"], "-1"),
            (["--max-streams", "0"], "0"),
            (["--max-streams", "32768"], "32768"),
            (["--drain", "now"], "now"),
            (["--tls-cert", "cert.pem"], "--tls-key"),
            (["--tls-key", "key.pem"], "--tls-cert"),
            (["--threads", "0"], "0"),
            (["--threads", "1025"], "1025"),
            (["--threads", "all"], "all"),
        ] {
            let line = parse(&arguments).unwrap_err();
            assert!(line.contains(named), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }
}
