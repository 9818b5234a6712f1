//! A certificate for `localhost` and `127.0.0.1`, with its key: `cargo run -p echo-server --example self-signed DIRECTORY`.
//!
//! It signs itself, so a browser warns of it; it is for trying things out on one machine.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::args_os()
        .nth(1)
        .ok_or("usage: self-signed DIRECTORY")?;
    let dir = PathBuf::from(dir);
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("cert.pem"), made.cert.pem())?;
    fs::write(dir.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(())
}
