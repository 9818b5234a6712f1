//! Rules that hold prose, configuration and code together.

use super::{File, Problems, Tree, manifest};

/// A `rust` block in the README is the code of the file that the comment above it names.
///
/// The code is all of the file after its `//!` head, without its unit tests.
pub(super) fn readme_code_is_an_example(tree: &Tree, problems: &mut Problems) {
    let Some(readme) = tree.file("README.md") else {
        problems.add(
            "README.md",
            1,
            "is missing: say what this is and show a whole server",
        );
        return;
    };
    let lines: Vec<&str> = readme.text.lines().collect();
    let mut blocks = 0;
    for (index, line) in lines.iter().enumerate() {
        if !line.starts_with("```rust") {
            continue;
        }
        blocks += 1;
        let named = index.checked_sub(1).and_then(|above| comment(lines[above]));
        let Some(path) = named else {
            problems.add(
                &readme.path,
                index + 1,
                "this block names no file: write `<!-- examples/FILE.rs -->` on the line above it, and the file's code, \
                 all after its `//!` head and before its unit tests, into it",
            );
            continue;
        };
        let Some(example) = tree.file(path) else {
            problems.add(
                &readme.path,
                index,
                format!("there is no file `{path}`: name the example that this block shows"),
            );
            continue;
        };
        let shown = lines[index + 1..]
            .iter()
            .take_while(|line| !line.starts_with("```"))
            .map(|line| line.trim_end());
        let code = example_code(example);
        if let Some(differs) = first_difference(&code, shown) {
            problems.add(
                &readme.path,
                index + 2 + differs,
                format!(
                    "differs from `{path}` from here on: copy the example's code, all after its `//!` head and before its \
                     unit tests, into this block; {path} has `{}`",
                    code.get(differs).unwrap_or(&"no such line")
                ),
            );
        }
    }
    if blocks == 0 {
        problems.add(
            &readme.path,
            1,
            "shows no server: put the code of an example into a block that begins with \"```rust\", below a line \
             `<!-- examples/FILE.rs -->`",
        );
    }
}

/// The crate docs of a crate with features have a table `| feature | … |` with a row for each.
pub(super) fn feature_tables_are_complete(tree: &Tree, problems: &mut Problems) {
    for file in tree.manifests() {
        let Some(name) = file.crate_name() else {
            continue;
        };
        let path = format!("crates/{name}/src/lib.rs");
        let Some(lib) = tree.file(&path) else {
            continue;
        };
        let features = manifest::features(&file.text);
        let rows = feature_rows(lib);
        for feature in &features {
            if !rows.iter().any(|(_, row)| *row == feature.key) {
                problems.add(
                    &path,
                    1,
                    format!(
                        "the crate docs do not explain the feature `{0}`: add a row \"| `{0}` | what it adds |\" to the \
                         table that begins with \"| feature |\"",
                        feature.key
                    ),
                );
            }
        }
        for (line, row) in rows {
            if !features.iter().any(|feature| feature.key == row) {
                problems.add(
                    &path,
                    line,
                    format!("{} has no feature `{row}`: remove the row", file.path),
                );
            }
        }
    }
}

pub(super) fn every_crate_is_on_the_maps(tree: &Tree, problems: &mut Problems) {
    for (path, map) in [
        ("crates/README.md", "code map"),
        ("README.md", "list of crates"),
    ] {
        let text = tree.file(path).map_or("", |file| &file.text);
        for name in tree.crates() {
            if !text.contains(&format!("`{name}`")) {
                problems.add(
                    path,
                    1,
                    format!("does not mention `{name}`: add it, in backticks, to the {map}"),
                );
            }
        }
    }

    // The map has a row a crate; one for a crate that is gone misleads.
    let Some(map) = tree.file("crates/README.md") else {
        return;
    };
    for (index, line) in map.text.lines().enumerate() {
        let gone = first_cell(line)
            .filter(|name| name.starts_with("towline") && !tree.crates().any(|ours| ours == *name));
        if let Some(name) = gone {
            problems.add(
                &map.path,
                index + 1,
                format!("there is no crate `{name}` in crates/: remove the row"),
            );
        }
    }
}

pub(super) fn the_changelog_has_an_unreleased_section(tree: &Tree, problems: &mut Problems) {
    let has_section = tree.file("CHANGELOG.md").is_some_and(|file| {
        file.text
            .lines()
            .any(|line| line.starts_with("## [Unreleased]"))
    });
    if !has_section {
        problems.add(
            "CHANGELOG.md",
            1,
            "has no section `## [Unreleased]`: add it above the last release",
        );
    }
}

pub(super) fn automation_calls_the_tests(tree: &Tree, problems: &mut Problems) {
    for path in [".github/workflows/ci.yml", ".ci/run"] {
        let calls = tree.file(path).is_some_and(|file| {
            file.text.lines().any(|line| {
                !line.trim_start().starts_with('#') && line.contains("cargo xtask test")
            })
        });
        if !calls {
            problems.add(
                path,
                1,
                "does not call `cargo xtask test`: the one command that checks all has to run there",
            );
        }
    }
}

pub(super) fn the_workflow_tries_the_rust_version(tree: &Tree, problems: &mut Problems) {
    let path = ".github/workflows/ci.yml";
    let (Some(root), Some(workflow)) = (tree.file("Cargo.toml"), tree.file(path)) else {
        return;
    };
    let Some(version) = manifest::rust_version(&root.text) else {
        problems.add(
            &root.path,
            1,
            "has no `rust-version`: write it under `[workspace.package]`",
        );
        return;
    };
    let tries = workflow.text.lines().any(|line| {
        line.trim_start()
            .strip_prefix("toolchain:")
            .is_some_and(|value| value.trim().trim_matches('"') == version)
    });
    if !tries {
        problems.add(
            path,
            1,
            format!(
                "does not try the `rust-version` of Cargo.toml: write `toolchain: \"{version}\"` into the job `msrv`"
            ),
        );
    }
}

/// What a line `<!-- this -->` holds.
fn comment(line: &str) -> Option<&str> {
    let inside = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    Some(inside.trim())
}

fn example_code(example: &File) -> Vec<&str> {
    let mut code: Vec<&str> = example
        .text
        .lines()
        .map(str::trim_end)
        .skip_while(|line| line.starts_with("//!") || line.is_empty())
        .take_while(|line| *line != "#[cfg(test)]")
        .collect();
    while code.last().is_some_and(|line| line.is_empty()) {
        code.pop();
    }
    code
}

/// The index of the first line in which the two differ.
fn first_difference<'a>(code: &[&str], shown: impl Iterator<Item = &'a str>) -> Option<usize> {
    let shown: Vec<&str> = shown.collect();
    (0..code.len().max(shown.len())).find(|line| code.get(*line) != shown.get(*line))
}

/// The names in the first column of the tables `| feature | … |` in the crate docs, with their lines.
fn feature_rows(lib: &File) -> Vec<(usize, &str)> {
    let mut in_table = false;
    let mut rows = Vec::new();
    for (index, line) in lib.text.lines().enumerate() {
        let row = line
            .strip_prefix("//!")
            .map(str::trim)
            .filter(|text| text.starts_with('|'));
        match row {
            None => in_table = false,
            Some(row) if in_table => rows.extend(first_cell(row).map(|name| (index + 1, name))),
            Some(row) => {
                let head = row.trim_start_matches('|').trim_start().to_lowercase();
                in_table = head.starts_with("feature");
            }
        }
    }
    rows
}

/// `name` of a table row "| `name` | … |", also when it is a link.
fn first_cell(row: &str) -> Option<&str> {
    let cell = row.trim().strip_prefix('|')?.split('|').next()?.trim();
    let cell = cell.strip_prefix('[').unwrap_or(cell);
    cell.strip_prefix('`')?.split('`').next()
}
