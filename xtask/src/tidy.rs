//! `cargo xtask tidy`: the rules of the tree that no compiler checks.
//!
//! A rule looks at the files as text and says what is wrong, where, and how to put it right. `manifest` has the rules of
//! the manifests, `source` those of the Rust files, `docs` those that hold prose and code together.

mod docs;
pub(crate) mod manifest;
mod source;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use crate::{
    cargo::root,
    steps::{Result, Steps},
};

type Rule = fn(&Tree, &mut Problems);

const RULES: &[Rule] = &[
    source::every_file_says_what_it_is,
    source::every_allow_has_a_reason,
    source::unsafe_code_is_not_allowed,
    source::pure_files_know_no_io,
    source::no_file_is_too_long,
    manifest::members_have_the_workspace_lints,
    manifest::the_workspace_forbids_unsafe_code,
    manifest::versions_are_in_the_root_only,
    manifest::crates_depend_downwards_only,
    manifest::the_protocol_depends_on_no_io,
    docs::readme_code_is_an_example,
    docs::feature_tables_are_complete,
    docs::every_crate_is_on_the_maps,
    docs::the_changelog_has_an_unreleased_section,
    docs::automation_calls_the_tests,
    docs::the_workflow_tries_the_rust_version,
];

/// Holds the rules against the files of the workspace.
pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    steps.run("tidy", || {
        let tree = Tree::read(&root())?;
        let problems = check(&tree);
        println!(
            "{} rules, {} files, {} problems",
            RULES.len(),
            tree.files.len(),
            problems.len()
        );
        if problems.is_empty() {
            return Ok(());
        }
        let lines: String = problems
            .iter()
            .map(|problem| format!("\n{problem}"))
            .collect();
        Err(format!("{} problems{lines}", problems.len()))
    })
}

fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Problems::default();
    for rule in RULES {
        rule(tree, &mut problems);
    }
    problems.0.sort();
    problems.0
}

/// What a rule found, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    path: String,
    line: usize,
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

#[derive(Debug, Default)]
struct Problems(Vec<Problem>);

impl Problems {
    /// Lines count from 1.
    fn add(&mut self, path: &str, line: usize, text: impl Into<String>) {
        self.0.push(Problem {
            path: path.to_owned(),
            line,
            text: text.into(),
        });
    }
}

/// The text files of the workspace, in memory, so that a test can make up its own.
#[derive(Debug)]
struct Tree {
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    /// From the root, with `/`.
    path: String,
    text: String,
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        let mut dirs = vec![root.to_owned()];
        while let Some(dir) = dirs.pop() {
            let failed = |error: io::Error| format!("cannot read {}: {error}", dir.display());
            for entry in fs::read_dir(&dir).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.is_dir() {
                    if !is_generated(&path) {
                        dirs.push(path);
                    }
                } else if is_text(&path) {
                    files.push(File::read(root, &path)?);
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The manifests of the members; not the root's, nor one of a workspace of its own (a fuzz crate has one).
    fn manifests(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| {
            file.path.ends_with("/Cargo.toml")
                && !file.text.lines().any(|line| line.trim() == "[workspace]")
        })
    }

    /// The directories under `crates/` that are crates.
    fn crates(&self) -> impl Iterator<Item = &str> {
        self.manifests().filter_map(|file| file.crate_name())
    }
}

impl File {
    fn read(root: &Path, path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let inside: PathBuf = path.strip_prefix(root).unwrap_or(path).to_owned();
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        Ok(Self {
            path: parts.join("/"),
            text,
        })
    }

    /// `x` of `crates/x/Cargo.toml`.
    fn crate_name(&self) -> Option<&str> {
        let name = self.path.strip_prefix("crates/")?;
        let name = name.strip_suffix("/Cargo.toml")?;
        (!name.contains('/')).then_some(name)
    }
}

fn is_generated(dir: &Path) -> bool {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    matches!(&*name, "target" | "node_modules" | ".git" | "__pycache__")
}

fn is_text(path: &Path) -> bool {
    let has_extension = path.extension().is_some_and(|extension| {
        ["rs", "toml", "md", "yml"]
            .iter()
            .any(|text| *text == extension)
    });
    has_extension || path.ends_with(".ci/run")
}

#[cfg(test)]
mod tests;
