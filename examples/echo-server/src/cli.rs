//! The command line: options, and one clear line for what is wrong with them.

use std::fmt::Display;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;

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

/// Prints the help that was asked for, or one line that says what is wrong.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or("bad options");
    fail(&line.trim_start_matches("error: "))
}

/// Says what is wrong in one line; the exit code is 2.
pub(crate) fn fail(error: &dyn Display) -> ExitCode {
    eprintln!("echo-server: {error}");
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Options, String> {
        let command = ["echo-server"].iter().chain(arguments);
        Options::try_parse_from(command).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let options = parse(&[]).unwrap();
        assert_eq!(options.listen, SocketAddr::from(([127, 0, 0, 1], 5000)));
        assert_eq!(options.path, "/ws");
    }

    #[test]
    fn a_bad_value_is_named() {
        for (arguments, named) in [
            (["--listen", "nowhere"], "nowhere"),
            (["--listen", "127.0.0.1:90000"], "127.0.0.1:90000"),
            (["--path", "ws"], "ws"),
            (["--path", "/\"onload="], "onload"),
            (["--lisen", "x"], "--lisen"),
        ] {
            let error = parse(&arguments).unwrap_err();
            let line = error.lines().next().unwrap();
            assert!(line.contains(named), "{line}");
        }
    }
}
