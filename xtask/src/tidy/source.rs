//! Rules of the Rust files.

use super::{Problems, Tree};

/// Lines of a file in `src`; the style asks for half of it.
const MAX_LINES: usize = 600;

/// The files that decide, without IO: DESIGN's sans-IO half of a layer.
const PURE: [&str; 3] = ["policy", "machine", "handshake"];

pub(super) fn every_file_says_what_it_is(tree: &Tree, problems: &mut Problems) {
    for file in tree.rust_files() {
        let first = file.text.lines().find(|line| !line.trim().is_empty());
        if !first.is_some_and(|line| line.starts_with("//!")) {
            problems.add(
                &file.path,
                1,
                "has no `//!` at its head: begin with a sentence that says what the file holds",
            );
        }
    }
}

pub(super) fn every_allow_has_a_reason(tree: &Tree, problems: &mut Problems) {
    for file in tree.rust_files() {
        let code = code_only(&file.text);
        for (line, attribute) in attributes(&code) {
            let words: Vec<&str> = words(attribute).collect();
            for lint in ["allow", "expect"] {
                let has_reason = words.contains(&"reason");
                if words.contains(&lint) && !has_reason {
                    problems.add(
                        &file.path,
                        line,
                        format!(
                            "this `{lint}` has no reason: write `#[{lint}(…, reason = \"why\")]`"
                        ),
                    );
                }
            }
        }
    }
}

pub(super) fn unsafe_code_is_not_allowed(tree: &Tree, problems: &mut Problems) {
    for file in tree.rust_files() {
        let code = code_only(&file.text);
        for (line, attribute) in attributes(&code) {
            let words: Vec<&str> = words(attribute).collect();
            let weakens = ["allow", "expect", "warn"];
            if words.contains(&"unsafe_code") && words.iter().any(|word| weakens.contains(word)) {
                problems.add(
                    &file.path,
                    line,
                    "weakens `unsafe_code`, which the whole workspace forbids: find a way in safe Rust",
                );
            }
        }
    }
}

/// The protocol crate and the pure files name nothing of tokio, hyper or tower.
pub(super) fn pure_files_know_no_io(tree: &Tree, problems: &mut Problems) {
    for file in tree.rust_files().filter(|file| is_pure(&file.path)) {
        let code = code_only(&file.text);
        for (index, line) in code.lines().enumerate() {
            if let Some(word) = words(line).find(|word| is_io_crate(word)) {
                problems.add(
                    &file.path,
                    index + 1,
                    format!(
                        "a pure file names `{word}`: let it take bytes, headers and instants, and do the rest in the \
                         file that calls it"
                    ),
                );
            }
        }
    }
}

pub(super) fn no_file_is_too_long(tree: &Tree, problems: &mut Problems) {
    for file in tree.rust_files() {
        let is_source = file.path.contains("/src/");
        let is_test = file.path.ends_with("/tests.rs") || file.path.contains("/tests/");
        let lines = file.text.lines().count();
        if is_source && !is_test && lines > MAX_LINES {
            problems.add(
                &file.path,
                lines,
                format!(
                    "has {lines} lines, more than {MAX_LINES}: split it by concept, or move its tests to `tests.rs` in a \
                     directory of its name"
                ),
            );
        }
    }
}

/// Whether a crate's name, as Cargo or as Rust writes it, is of the families that do IO.
pub(super) fn is_io_crate(name: &str) -> bool {
    ["tokio", "hyper", "tower"].iter().any(|family| {
        name.strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-']))
    })
}

fn is_pure(path: &str) -> bool {
    let Some((_, in_src)) = path
        .strip_prefix("crates/")
        .and_then(|path| path.split_once("/src/"))
    else {
        return false;
    };
    path.starts_with("crates/towline-protocol/")
        || in_src
            .split('/')
            .any(|part| PURE.contains(&part.trim_end_matches(".rs")))
}

/// The attributes `#[…]` and `#![…]` of code, each with the line that it begins on.
fn attributes(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.match_indices('#').filter_map(|(start, _)| {
        let rest = &code[start..];
        let open = rest.find('[')?;
        if !rest[1..open].chars().all(|c| c == '!' || c.is_whitespace()) {
            return None;
        }
        let mut depth = 0_usize;
        let end = rest[open..].find(|c| {
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        let line = code[..start].matches('\n').count() + 1;
        Some((line, &rest[..open + end]))
    })
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !is_word(c))
        .filter(|word| !word.is_empty())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text with comments and literals blanked, line for line.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if is_word(c) {
            let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
            code.push_str(word);
            rest = &rest[word.len()..];
            if let Some(len) = raw_string(word, rest) {
                rest = blank(&mut code, rest, len);
            }
            continue;
        }
        let len = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest, '"'),
            '\'' if is_char_literal(rest) => quoted(rest, '\''),
            _ => {
                code.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        rest = blank(&mut code, rest, len);
    }
    code
}

/// Puts blanks in place of the first `len` bytes, keeps their line ends, and returns what follows.
fn blank<'a>(code: &mut String, text: &'a str, len: usize) -> &'a str {
    let (blanked, rest) = text.split_at(len);
    code.extend(blanked.chars().map(|c| if c == '\n' { c } else { ' ' }));
    rest
}

/// The length of the raw string whose prefix `word` comes before `rest`.
fn raw_string(word: &str, rest: &str) -> Option<usize> {
    if !matches!(word, "r" | "br" | "cr") {
        return None;
    }
    let hashes = rest.find(|c| c != '#')?;
    if !rest[hashes..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", &rest[..hashes]);
    let start = hashes + 1;
    let length = rest[start..].find(&end).map(|at| start + at + end.len());
    Some(length.unwrap_or(rest.len()))
}

/// The length of the literal that begins with `quote`.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Tells `'x'` and `'\n'` from the lifetime `'x`.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

/// The length of the block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_no_code() {
        for (text, code) in [
            ("a // tokio\nb", "a         \nb"),
            ("a /* x /* y */ \n */ b", "a              \n    b"),
            (r#"f("tokio \" // ") + g"#, r#"f(              ) + g"#),
            ("r#\"a \" b\"# c", "r          c"),
            ("br\"\\\" c", "br    c"),
            ("for\"x\" c", "for    c"),
            (r"'\'' + 'a' + b", "     +     + b"),
            ("&'a str", "&'a str"),
            ("'é'", "   "),
        ] {
            assert_eq!(code_only(text), code, "of {text}");
        }
    }

    #[test]
    fn attributes_are_found_with_their_lines() {
        let code = "#![a(b[1])]\n\n#[c]\nx[0]; #x [d]";
        let found: Vec<_> = attributes(code).collect();
        assert_eq!(found, [(1, "#![a(b[1])"), (3, "#[c")]);
    }

    #[test]
    fn the_io_crates_are_told_from_ours() {
        for name in ["tokio", "hyper", "hyper_util", "tower-layer", "tokio_util"] {
            assert!(is_io_crate(name), "{name}");
        }
        for name in ["towline", "towline_core", "towers", "http"] {
            assert!(!is_io_crate(name), "{name}");
        }
    }
}
