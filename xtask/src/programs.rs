//! The programs from outside: where they are, and the Debian package of one that is missing.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::steps::Result;

/// What `engines` in `xtask/web/package.json` asks for; npm only warns.
const OLDEST_NODE: u32 = 20;

/// Where a program is, or a line that names its package.
pub(crate) type Find = fn() -> Result<PathBuf>;

/// What the task `browser` needs.
pub(crate) const BROWSER: &[Find] = &[node, npm, chromium, nginx, haproxy];
/// What the task `clients` needs.
pub(crate) const CLIENTS: &[Find] = &[node, npm, python];
/// What the task `conformance` needs.
pub(crate) const CONFORMANCE: &[Find] = &[python, haproxy];
/// What the task `proxies` needs.
pub(crate) const PROXIES: &[Find] = &[python, nginx, haproxy];
/// What all tasks together need.
pub(crate) const ALL: &[Find] = &[node, npm, chromium, nginx, python, haproxy];

/// Looks for programs before anything starts; the error names all that are missing.
pub(crate) fn check(programs: &[Find]) -> Result {
    let missing: Vec<String> = programs.iter().filter_map(|find| find().err()).collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(missing.join("; "))
    }
}

/// Node, new enough for the packages in `xtask/web`.
pub(crate) fn node() -> Result<PathBuf> {
    let node = on_path(&["node"], "nodejs")?;
    let version = Command::new(&node)
        .arg("--version")
        .output()
        .map_err(|error| format!("cannot run {}: {error}", node.display()))?;
    new_enough(&String::from_utf8_lossy(&version.stdout))?;
    Ok(node)
}

fn new_enough(node_version: &str) -> Result {
    let major: Option<u32> = node_version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()
        .and_then(|major| major.parse().ok());
    if major.is_some_and(|major| major >= OLDEST_NODE) {
        return Ok(());
    }
    Err(format!(
        "`node` is {}, but {OLDEST_NODE} or newer is needed: the Debian package `nodejs` of Debian 13 is",
        node_version.trim()
    ))
}

pub(crate) fn npm() -> Result<PathBuf> {
    on_path(&["npm"], "npm")
}

/// Chromium: what the variable CHROMIUM names, else Debian's, else one on the PATH.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return if path.is_file() {
            Ok(path)
        } else {
            Err(format!(
                "the variable CHROMIUM names {}, which is not a file; unset it and install the Debian package `chromium`",
                path.display()
            ))
        };
    }
    let debian = Path::new("/usr/bin/chromium");
    if debian.is_file() {
        return Ok(debian.to_owned());
    }
    on_path(
        &["chromium", "chromium-browser", "google-chrome"],
        "chromium",
    )
}

/// Python 3 with a `venv` that works: Debian has it in a package of its own.
pub(crate) fn python() -> Result<PathBuf> {
    let python = on_path(&["python3"], "python3")?;
    let works = Command::new(&python)
        .args(["-c", "import ensurepip, venv"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if works {
        Ok(python)
    } else {
        Err(missing("Python's module `venv`", "python3-venv"))
    }
}

pub(crate) fn haproxy() -> Result<PathBuf> {
    daemon("haproxy", "haproxy")
}

pub(crate) fn nginx() -> Result<PathBuf> {
    daemon("nginx", "nginx-light")
}

/// A daemon where Debian puts it, which is not on everyone's PATH, else one on the PATH.
fn daemon(name: &str, package: &str) -> Result<PathBuf> {
    let debian = Path::new("/usr/sbin").join(name);
    if debian.is_file() {
        return Ok(debian);
    }
    on_path(&[name], package)
}

/// Looks for the first of these names on the PATH.
pub(crate) fn on_path(names: &[&str], package: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    find(&dirs, names).ok_or_else(|| missing(&format!("`{}`", names[0]), package))
}

fn find(dirs: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    names
        .iter()
        .flat_map(|name| dirs.iter().map(move |dir| dir.join(name)))
        .find(|path| path.is_file())
}

fn missing(what: &str, package: &str) -> String {
    format!("{what} is missing: install the Debian package `{package}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_in_the_first_directory_that_has_it() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dirs = [here.join("nowhere"), here.join("src"), here.to_owned()];
        assert_eq!(
            find(&dirs, &["none", "main.rs"]),
            Some(here.join("src/main.rs"))
        );
        assert_eq!(find(&dirs, &["src"]), None, "a directory is no program");
    }

    #[test]
    fn all_that_is_missing_is_named_at_once() {
        let found: Find = || Ok(PathBuf::new());
        let one: Find = || Err("one".to_owned());
        let two: Find = || Err("two".to_owned());
        assert_eq!(check(&[found]), Ok(()));
        assert_eq!(check(&[one, found, two]).unwrap_err(), "one; two");
    }

    #[test]
    fn an_old_node_is_refused() {
        assert_eq!(new_enough("v20.0.0\n"), Ok(()));
        assert_eq!(new_enough("v24.1.0\n"), Ok(()));
        for version in ["v18.20.4\n", "", "new"] {
            let error = new_enough(version).unwrap_err();
            assert!(error.contains("20 or newer"), "{error}");
        }
    }

    #[test]
    fn a_missing_program_names_its_package() {
        assert_eq!(
            on_path(&["no-such-program-of-towline"], "some-package").unwrap_err(),
            "`no-such-program-of-towline` is missing: install the Debian package `some-package`"
        );
    }
}
