//! One clear line, and exit code 2.

use tokio::process::Command;

use crate::support::{Identity, Server, command, file, run};

async fn refused(options: &[&str]) -> String {
    refusal(command(options)).await
}

async fn refusal(command: Command) -> String {
    let output = run(command).await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert_eq!(output.stdout, b"", "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    error.strip_prefix("echo-server: ").unwrap().to_owned()
}

#[tokio::test]
async fn certificates_and_keys_that_do_not_serve() {
    let identity = Identity::new("good");
    let other = Identity::new("other");
    let nothing = file("nothing.pem", "no certificate and no key\n");
    let text = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    let garbled = file("garbled.pem", text);
    let directory = env!("CARGO_TARGET_TMPDIR");
    let path = |path: &std::path::PathBuf| path.to_str().unwrap().to_owned();
    let (cert, key) = (path(&identity.cert), path(&identity.key));

    for (cert, key, expected) in [
        (
            &*cert,
            "/missing.pem",
            "bad --tls-key: cannot read /missing.pem: ",
        ),
        (
            "/missing.pem",
            &*key,
            "bad --tls-cert: cannot read /missing.pem: ",
        ),
        (directory, &key, "bad --tls-cert: cannot read "),
        (
            &cert,
            &path(&nothing),
            "nothing.pem has no private key in it",
        ),
        (
            &path(&nothing),
            &key,
            "nothing.pem has no certificate in it",
        ),
        (&cert, &cert, "good-cert.pem has no private key in it"),
        (&path(&garbled), &key, "garbled.pem is not in PEM format: "),
        (
            &cert,
            &path(&other.key),
            "bad --tls-key: it is not the key of the certificate",
        ),
    ] {
        let error = refused(&["--tls-cert", cert, "--tls-key", key]).await;
        assert!(error.contains(expected), "{error}");
    }
    for (option, file, missing) in [
        ("--tls-cert", &cert, "--tls-key"),
        ("--tls-key", &key, "--tls-cert"),
    ] {
        let error = refused(&[option, file]).await;
        assert!(error.contains(missing), "{error}");
    }
}

#[tokio::test]
async fn other_options_too() {
    let server = Server::start(&[]).await;
    for (options, expected) in [
        (["--listen", server.authority()], "cannot listen on "),
        (["--threads", "0"], "'--threads <NUMBER>'"),
        (["--keep-alive", "30"], "such as 500ms, 30s or 2m; or off"),
        (["--max-message-size", "1MB"], "such as 64KiB"),
        (["--origin", "example.com"], "bad --origin: "),
    ] {
        let error = refused(&options).await;
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_log_that_cannot_be() {
    let mut command = command(&[]);
    command.env("RUST_LOG", "echo_server=loud");
    let error = refusal(command).await;
    assert!(error.starts_with("bad RUST_LOG: "), "{error}");
}

#[tokio::test]
async fn help_names_every_option() {
    let output = run(command(&["--help"])).await;
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for option in [
        "--listen <ADDRESS:PORT>",
        "--path <PATH>",
        "--origin <ORIGIN>",
        "--max-message-size <SIZE>",
        "--compression <on|off>",
        "--keep-alive <DURATION>",
        "--keep-alive-timeout <DURATION>",
        "--idle-timeout <DURATION>",
        "--max-lifetime <DURATION>",
        "--max-sockets <NUMBER>",
        "--max-streams <NUMBER>",
        "--drain <DURATION>",
        "--tls-cert <FILE>",
        "--tls-key <FILE>",
        "--threads <NUMBER>",
    ] {
        assert!(help.contains(option), "{option} in {help}");
    }
}
