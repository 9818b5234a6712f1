//! Rules of the manifests, and a reader for the plain TOML that ours are written in.

use super::{File, Problems, Tree, source::is_io_crate};

const FACADE: &str = "towline";
const CORE: &str = "towline-core";
const PROTOCOL: &str = "towline-protocol";

pub(super) fn members_have_the_workspace_lints(tree: &Tree, problems: &mut Problems) {
    for file in tree.manifests() {
        let has_lints = entries(&file.text).any(|entry| {
            entry.section == "lints" && entry.key == "workspace" && entry.value == "true"
        });
        if !has_lints {
            problems.add(
                &file.path,
                1,
                "lacks the lints of the workspace: add `[lints]` with `workspace = true`",
            );
        }
    }
}

pub(super) fn the_workspace_forbids_unsafe_code(tree: &Tree, problems: &mut Problems) {
    let forbids = tree.file("Cargo.toml").is_some_and(|file| {
        entries(&file.text).any(|entry| {
            entry.section == "workspace.lints.rust"
                && entry.key == "unsafe_code"
                && entry.value.contains("\"forbid\"")
        })
    });
    if !forbids {
        problems.add(
            "Cargo.toml",
            1,
            "does not forbid unsafe code: write `unsafe_code = \"forbid\"` under `[workspace.lints.rust]`",
        );
    }
}

pub(super) fn versions_are_in_the_root_only(tree: &Tree, problems: &mut Problems) {
    for file in tree.manifests() {
        for entry in entries(&file.text) {
            let is_package_version = entry.section == "package"
                && matches!(&*entry.key, "version" | "rust-version" | "edition");
            if is_package_version {
                problems.add(
                    &file.path,
                    entry.line,
                    format!(
                        "write `{}.workspace = true`: versions are in the root manifest",
                        entry.key
                    ),
                );
            }
        }
        for dependency in dependencies(file) {
            if dependency.has_version() {
                let name = &dependency.name;
                problems.add(
                    &file.path,
                    dependency.line,
                    format!(
                        "`{name}` has a version here: move it to `[workspace.dependencies]` in the root manifest and \
                         write `{name}.workspace = true`"
                    ),
                );
            }
        }
    }
}

/// Protocol, core, layers, facade: each depends on what is before it, so no layer on another layer.
///
/// Dev-dependencies are free: nobody who uses the crate compiles them.
pub(super) fn crates_depend_downwards_only(tree: &Tree, problems: &mut Problems) {
    for file in tree.manifests() {
        let Some(name) = file.crate_name() else {
            continue;
        };
        for dependency in dependencies(file).filter(|dependency| !dependency.is_dev) {
            let is_ours = tree.crates().any(|ours| ours == dependency.name);
            if is_ours && rank(&dependency.name) >= rank(name) {
                problems.add(
                    &file.path,
                    dependency.line,
                    format!(
                        "`{name}` must not depend on `{}`: the order is protocol, core, layers, facade, and no layer \
                         knows another; what both need belongs into core",
                        dependency.name
                    ),
                );
            }
        }
    }
}

pub(super) fn the_protocol_depends_on_no_io(tree: &Tree, problems: &mut Problems) {
    let protocol = tree
        .manifests()
        .filter(|file| file.crate_name() == Some(PROTOCOL));
    for file in protocol {
        for dependency in dependencies(file) {
            if !dependency.is_dev && is_io_crate(&dependency.name) {
                problems.add(
                    &file.path,
                    dependency.line,
                    format!(
                        "`{PROTOCOL}` must not depend on `{}`: it is sans-IO; what needs it belongs into `{CORE}`",
                        dependency.name
                    ),
                );
            }
        }
    }
}

/// The features of a manifest, without `default`.
pub(crate) fn features(manifest: &str) -> Vec<Entry> {
    entries(manifest)
        .filter(|entry| entry.section == "features" && entry.key != "default")
        .collect()
}

/// The oldest Rust that the workspace promises.
pub(super) fn rust_version(manifest: &str) -> Option<String> {
    entries(manifest)
        .find(|entry| entry.section == "workspace.package" && entry.key == "rust-version")
        .map(|entry| entry.value.trim_matches('"').to_owned())
}

fn rank(name: &str) -> u8 {
    match name {
        PROTOCOL => 0,
        CORE => 1,
        FACADE => 3,
        _ => 2,
    }
}

/// One `key = value` of a manifest.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    /// Where it begins, from 1.
    pub(crate) line: usize,
    /// `dependencies` of `[dependencies]`.
    pub(crate) section: String,
    /// As written, so `http.workspace` is one key.
    pub(crate) key: String,
    /// As written, on one line.
    pub(crate) value: String,
}

/// Reads a manifest line by line: sections, keys, and values that may go on over lines until their brackets close.
///
/// That is all the TOML in our manifests, and it keeps the line numbers that the messages need.
fn entries(manifest: &str) -> impl Iterator<Item = Entry> {
    let mut section = String::new();
    let mut lines = manifest.lines().enumerate();
    std::iter::from_fn(move || {
        loop {
            let (index, line) = lines.next()?;
            let line = without_comment(line);
            if line.starts_with('[') {
                section = line.trim_matches(['[', ']']).trim().to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                let mut value = value.trim().to_owned();
                while open_brackets(&value) > 0 {
                    let (_, next) = lines.next()?;
                    value.push(' ');
                    value.push_str(without_comment(next));
                }
                return Some(Entry {
                    line: index + 1,
                    section: section.clone(),
                    key: key.trim().trim_matches('"').to_owned(),
                    value,
                });
            }
        }
    })
}

fn without_comment(line: &str) -> &str {
    let end = outside_quotes(line).find(|(_, c)| *c == '#');
    line[..end.map_or(line.len(), |(at, _)| at)].trim()
}

fn open_brackets(value: &str) -> i32 {
    outside_quotes(value)
        .map(|(_, c)| match c {
            '[' | '{' => 1,
            ']' | '}' => -1,
            _ => 0,
        })
        .sum()
}

fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut quote = None;
    text.char_indices().filter(move |(_, c)| {
        match quote {
            Some(open) if *c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(*c),
            _ => {}
        }
        quote.is_none()
    })
}

#[derive(Debug)]
struct Dependency {
    line: usize,
    is_dev: bool,
    name: String,
    /// What follows the name in its key: `workspace` of `http.workspace`.
    property: String,
    value: String,
}

impl Dependency {
    fn has_version(&self) -> bool {
        match &*self.property {
            "" => {
                self.value.starts_with('"')
                    || self
                        .value
                        .split(['{', ','])
                        .filter_map(|part| part.split_once('='))
                        .any(|(key, _)| key.trim() == "version")
            }
            property => property == "version",
        }
    }
}

/// The dependencies of all kinds and targets; one that is spread over several lines comes once a line.
fn dependencies(file: &File) -> impl Iterator<Item = Dependency> {
    entries(&file.text).filter_map(|entry| {
        // `[dependencies]`, or `[dependencies.name]` with the properties below it.
        let (kind, full_key) = match entry.section.rsplit_once("dependencies.") {
            Some((kind, name)) => (kind, format!("{name}.{}", entry.key)),
            None => (entry.section.strip_suffix("dependencies")?, entry.key),
        };
        let (name, property) = full_key.split_once('.').unwrap_or((&full_key, ""));
        Some(Dependency {
            line: entry.line,
            is_dev: kind.ends_with("dev-"),
            name: name.trim_matches('"').to_owned(),
            property: property.to_owned(),
            value: entry.value,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_section_line_and_whole_value() {
        let text = "# head\n[a]\nb = \"x # y\" # z\n\n[[c]]\nd = [\n  \"e\", # f\n  \"]\",\n]\ng.h = true\n";
        let entry = |line, section: &str, key: &str, value: &str| Entry {
            line,
            section: section.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(
            entries(text).collect::<Vec<_>>(),
            [
                entry(3, "a", "b", "\"x # y\""),
                entry(6, "c", "d", "[ \"e\", \"]\", ]"),
                entry(10, "c", "g.h", "true"),
            ]
        );
    }

    #[test]
    fn features_are_without_default() {
        let text =
            "[features]\ndefault = [\"a\"]\na = []\nb = [\n\"dep:x\",\n]\n[dependencies]\nc = {}\n";
        let names: Vec<_> = features(text).into_iter().map(|entry| entry.key).collect();
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn dependencies_are_found_wherever_they_stand() {
        let text = "[dependencies]\na.workspace = true\n[dev-dependencies]\nb = { workspace = true }\n\
            [target.'cfg(unix)'.dependencies]\nc = \"1\"\n[build-dependencies.d]\nversion = \"1\"\n\
            [package]\nversion = \"1\"\n";
        let file = File {
            path: String::new(),
            text: text.to_owned(),
        };
        let found: Vec<_> = dependencies(&file)
            .map(|found| (found.name.clone(), found.is_dev, found.has_version()))
            .collect();
        let expected = [
            ("a", false, false),
            ("b", true, false),
            ("c", false, true),
            ("d", false, true),
        ];
        assert_eq!(
            found,
            expected.map(|(name, dev, version)| (name.to_owned(), dev, version))
        );
    }
}
