//! `cargo xtask tidy`: the rules of the tree that neither the compiler nor clippy checks.
//!
//! A rule returns a line for each problem: where it is, and how to fix it.

use std::{fs, path::Path};

use crate::{
    cargo::{Member, members, root},
    steps::{Result, Steps},
};

const PROTOCOL: &str = "towline-protocol";
const CORE: &str = "towline-core";
const FACADE: &str = "towline";

/// Names of the files in `crates/` that decide without IO.
const PURE: [&str; 3] = ["policy", "machine", "handshake"];

/// The families of crates that do IO.
const IO: [&str; 3] = ["tokio", "hyper", "tower"];

type Rule = fn(&Tree) -> Vec<String>;

const RULES: [Rule; 8] = [
    files_begin_with_docs,
    members_have_the_workspace_lints,
    pure_files_do_no_io,
    the_protocol_depends_on_no_io,
    crates_depend_downwards,
    readme_code_is_an_example,
    feature_tables_are_complete,
    every_crate_is_on_the_maps,
];

/// Checks all rules on the files of the workspace.
pub(crate) fn run(steps: &mut Steps) -> Option<()> {
    steps.run("tidy", || {
        let tree = Tree {
            files: read(&root(), "")?,
            members: members()?,
        };
        let problems: Vec<_> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
        println!(
            "{} rules, {} files, {} problems",
            RULES.len(),
            tree.files.len(),
            problems.len()
        );
        if problems.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{} problems\n{}",
            problems.len(),
            problems.join("\n")
        ))
    })
}

struct Tree {
    files: Vec<File>,
    members: Vec<Member>,
}

struct File {
    /// From the root, with `/`.
    path: String,
    text: String,
}

impl Tree {
    /// The text of a file, empty if there is no such file.
    fn text(&self, path: &str) -> &str {
        let file = self.files.iter().find(|file| file.path == path);
        file.map_or("", |file| &file.text)
    }

    fn rust_files(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The published crates.
    fn crates(&self) -> impl Iterator<Item = &Member> {
        let members = self.members.iter();
        members.filter(|member| member.dir.starts_with("crates/"))
    }
}

/// Reads the sources, manifests and documents below `dir`, whose path from the root is `prefix`.
fn read(dir: &Path, prefix: &str) -> Result<Vec<File>> {
    let failed = |error| format!("cannot read {}: {error}", dir.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let inside = format!("{prefix}{name}");
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "node_modules" {
                files.extend(read(&path, &format!("{inside}/"))?);
            }
        } else if [".rs", ".md", "Cargo.toml"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            let text = fs::read_to_string(&path).map_err(failed)?;
            files.push(File { path: inside, text });
        }
    }
    Ok(files)
}

fn files_begin_with_docs(tree: &Tree) -> Vec<String> {
    let files = tree.rust_files();
    files
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| {
            format!(
                "{}:1: begin with `//!` and a sentence that says what the file holds",
                file.path
            )
        })
        .collect()
}

fn members_have_the_workspace_lints(tree: &Tree) -> Vec<String> {
    let manifests = tree.members.iter();
    manifests
        .map(|member| format!("{}/Cargo.toml", member.dir))
        .filter(|path| !tree.text(path).contains("\n[lints]\nworkspace = true\n"))
        .map(|path| format!("{path}:1: add `[lints]` with `workspace = true`"))
        .collect()
}

/// The protocol crate and the pure files name no crate that does IO, except in comments.
fn pure_files_do_no_io(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for file in tree.rust_files().filter(|file| is_pure(&file.path)) {
        for (line, number) in file.text.lines().zip(1..) {
            let code = line.split("//").next().unwrap_or_default();
            let mut words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            if let Some(word) = words.find(|word| does_io(word)) {
                problems.push(format!(
                    "{}:{number}: a pure file names `{word}`: let it take bytes, headers and instants, and do the rest \
                     in the file that calls it",
                    file.path
                ));
            }
        }
    }
    problems
}

fn is_pure(path: &str) -> bool {
    let inside = path.strip_prefix("crates/");
    let Some((name, file)) = inside.and_then(|inside| inside.split_once("/src/")) else {
        return false;
    };
    let mut parts = file.split('/').map(|part| part.trim_end_matches(".rs"));
    name == PROTOCOL || parts.any(|part| PURE.contains(&part))
}

/// Returns `true` for `tokio` and `tokio-util`, as Cargo or as Rust writes them.
fn does_io(name: &str) -> bool {
    IO.contains(&name.split(['_', '-']).next().unwrap_or_default())
}

fn the_protocol_depends_on_no_io(tree: &Tree) -> Vec<String> {
    let protocol = tree.crates().filter(|member| member.name == PROTOCOL);
    protocol
        .flat_map(|member| &member.dependencies)
        .filter(|dependency| does_io(dependency))
        .map(|dependency| {
            format!("crates/{PROTOCOL}/Cargo.toml:1: remove `{dependency}`: this crate does no IO, `{CORE}` does")
        })
        .collect()
}

/// Protocol, core, layers, facade: a crate depends on lower ones only, and no layer on another layer.
fn crates_depend_downwards(tree: &Tree) -> Vec<String> {
    let rank = |name: &str| match name {
        PROTOCOL => 0,
        CORE => 1,
        FACADE => 3,
        _ => 2,
    };
    let mut problems = Vec::new();
    for Member {
        name, dependencies, ..
    } in tree.crates()
    {
        let ours = tree.crates().map(|member| &member.name);
        for other in ours.filter(|other| dependencies.contains(other)) {
            if rank(other) >= rank(name) {
                problems.push(format!(
                    "crates/{name}/Cargo.toml:1: remove `{other}`: the order is protocol, core, layers, facade, and no \
                     layer depends on another; move what both need to `{CORE}`"
                ));
            }
        }
    }
    problems
}

/// A `rust` block in the README is the code of the file that the comment above it names: all after the file's `//!` head and
/// before its unit tests.
fn readme_code_is_an_example(tree: &Tree) -> Vec<String> {
    let lines: Vec<_> = tree.text("README.md").lines().collect();
    let blocks: Vec<_> = (1..lines.len())
        .filter(|line| lines[*line].starts_with("```rust"))
        .collect();
    if blocks.is_empty() {
        return vec![
            "README.md:1: show a server: a block that begins with \"```rust\", below a line `<!-- examples/FILE.rs -->`"
                .to_owned(),
        ];
    }
    let mut problems = Vec::new();
    for block in blocks {
        let comment = lines[block - 1].strip_prefix("<!-- ");
        let path = comment.and_then(|comment| comment.strip_suffix(" -->"));
        let path = path.unwrap_or("no file");
        let code = tree.text(path).lines();
        let mut code: Vec<_> = code
            .skip_while(|line| line.starts_with("//!") || line.is_empty())
            .take_while(|line| *line != "#[cfg(test)]")
            .collect();
        while code.last().is_some_and(|line| line.is_empty()) {
            code.pop();
        }
        let shown = lines[block + 1..].iter();
        let shown: Vec<_> = shown.take_while(|line| **line != "```").copied().collect();
        if code.is_empty() || shown != code {
            let equal = shown
                .iter()
                .zip(&code)
                .take_while(|(one, other)| one == other);
            problems.push(format!(
                "README.md:{}: from here on the block differs from the file that the line above it names ({path}): copy \
                 the file's code, all after its `//!` head and before its unit tests",
                block + 2 + equal.count()
            ));
        }
    }
    problems
}

/// The crate docs have a table `| feature | … |` with a row for each feature.
fn feature_tables_are_complete(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for member in tree.crates() {
        let path = format!("{}/src/lib.rs", member.dir);
        let rows = feature_rows(tree.text(&path));
        for feature in &member.features {
            if !rows.contains(&&**feature) {
                problems.push(format!(
                    "{path}:1: add a row \"| `{feature}` | what it adds |\" to the table that begins with \"| feature |\""
                ));
            }
        }
        for row in rows {
            if !member.features.iter().any(|feature| feature == row) {
                problems.push(format!(
                    "{path}:1: remove the row `{row}`: there is no such feature"
                ));
            }
        }
    }
    problems
}

/// The names in the first column of the tables `| feature | … |`.
fn feature_rows(lib: &str) -> Vec<&str> {
    let mut is_feature_table = false;
    let mut rows = Vec::new();
    for line in lib.lines() {
        let row = line.strip_prefix("//! |").unwrap_or_default();
        if row.is_empty() {
            is_feature_table = false;
        } else if is_feature_table {
            rows.extend(first_cell(row));
        } else {
            is_feature_table = row.trim_start().to_lowercase().starts_with("feature");
        }
    }
    rows
}

/// "name" in "`name` | …" or "[`name`](…) | …".
fn first_cell(row: &str) -> Option<&str> {
    let cell = row.trim_start_matches([' ', '[', '|']);
    cell.strip_prefix('`')?.split('`').next()
}

/// Both READMEs name every crate, and have no row for one that is gone.
fn every_crate_is_on_the_maps(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for path in ["README.md", "crates/README.md"] {
        let text = tree.text(path);
        for Member { name, .. } in tree.crates() {
            if !text.contains(&format!("`{name}`")) {
                problems.push(format!(
                    "{path}:1: add `{name}`, in backticks, to the crates"
                ));
            }
        }
        let rows = text.lines().filter(|line| line.starts_with('|'));
        for row in rows
            .filter_map(first_cell)
            .filter(|row| row.starts_with(FACADE))
        {
            if !tree.crates().any(|member| member.name == row) {
                problems.push(format!(
                    "{path}:1: remove the row `{row}`: there is no such crate"
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests;
