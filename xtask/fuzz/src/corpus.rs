//! The inputs that are kept: a directory a target, a file an input.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::targets::Target;

/// Writes an input that failed, and tells where.
pub(crate) fn write(target: &Target, name: &str, input: &[u8]) -> io::Result<PathBuf> {
    let dir = dir().join(target.name);
    fs::create_dir_all(&dir)?;
    let path = dir.join(name);
    fs::write(&path, input)?;
    Ok(path)
}

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The inputs of a target, in the order of their names.
#[cfg(test)]
pub(crate) fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<_> = fs::read_dir(dir().join(target))
        .unwrap_or_else(|error| panic!("the corpus of {target}: {error}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let input = fs::read(&path).unwrap();
        (path, input)
    };
    paths.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::TARGETS;

    #[test]
    fn every_input_passes() {
        for target in TARGETS {
            let inputs = inputs(target.name);
            assert!(!inputs.is_empty(), "{} has no corpus", target.name);
            for (path, input) in inputs {
                println!("{}", path.display());
                (target.check)(&input);
            }
        }
    }

    #[test]
    fn every_directory_is_a_targets() {
        for entry in fs::read_dir(dir()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            let known = TARGETS.iter().any(|target| name == target.name);
            assert!(known || path.is_file(), "{}", path.display());
        }
    }
}
