//! Every rule, seen to fail and to pass on small made-up trees.

use super::*;

fn tree(files: &[(&str, &str)]) -> Tree {
    let file = |(path, text): &(&str, &str)| File {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
    };
    Tree {
        files: files.iter().map(file).collect(),
    }
}

/// What the rule finds, as `path:line`, and the messages.
fn found(rule: Rule, files: &[(&str, &str)]) -> (Vec<String>, String) {
    let mut problems = Problems::default();
    rule(&tree(files), &mut problems);
    let places = problems
        .0
        .iter()
        .map(|problem| format!("{}:{}", problem.path, problem.line))
        .collect();
    let messages = problems.0.iter().map(|problem| format!("{problem}\n"));
    (places, messages.collect())
}

#[track_caller]
fn passes(rule: Rule, files: &[(&str, &str)]) {
    let (places, messages) = found(rule, files);
    assert!(places.is_empty(), "{messages}");
}

/// Asserts the places and that every message has the hint.
#[track_caller]
fn fails(rule: Rule, files: &[(&str, &str)], places: &[&str], hint: &str) {
    let (found, messages) = found(rule, files);
    assert_eq!(found, places, "{messages}");
    for message in messages.lines() {
        assert!(message.contains(hint), "`{hint}` is not in: {message}");
    }
}

#[test]
fn every_file_says_what_it_is() {
    let rule = source::every_file_says_what_it_is;
    passes(
        rule,
        &[("crates/a/src/lib.rs", "\n//! What.\n\nfn f() {}\n")],
    );
    fails(
        rule,
        &[
            ("crates/a/src/lib.rs", "// What.\nfn f() {}\n"),
            ("examples/b.rs", ""),
            ("xtask/src/c.rs", "use a;\n//! late\n"),
            ("README.md", "no rust"),
        ],
        &[
            "crates/a/src/lib.rs:1",
            "examples/b.rs:1",
            "xtask/src/c.rs:1",
        ],
        "begin with a sentence",
    );
}

#[test]
fn every_allow_has_a_reason() {
    let rule = source::every_allow_has_a_reason;
    passes(
        rule,
        &[(
            "a.rs",
            "#![allow(x, reason = \"y\")]\n#[expect(\n    x,\n    reason = \"y\"\n)]\nf().expect(\"z\");\n\
             // #[allow(x)]\nlet s = \"#[allow(x)]\";\n#[cfg_attr(docsrs, feature(doc_cfg))]\n",
        )],
    );
    fails(
        rule,
        &[(
            "a.rs",
            "#![allow(x)]\n\n#[cfg_attr(test, expect(\n    x,\n))]\n#[allow(x)] // reason = \"no\"\n",
        )],
        &["a.rs:1", "a.rs:3", "a.rs:6"],
        "has no reason",
    );
}

#[test]
fn unsafe_code_is_not_allowed() {
    let rule = source::unsafe_code_is_not_allowed;
    passes(
        rule,
        &[(
            "a.rs",
            "#![forbid(unsafe_code)]\n// #[allow(unsafe_code)]\n",
        )],
    );
    fails(
        rule,
        &[(
            "a.rs",
            "#![forbid(unsafe_code)]\n#[allow(unsafe_code, reason = \"fast\")]\n",
        )],
        &["a.rs:2"],
        "safe Rust",
    );
}

#[test]
fn pure_files_know_no_io() {
    let rule = source::pure_files_know_no_io;
    let io = "//! tokio\nuse towline_core::x;\nuse tokio_util::y;\nfn f(x: hyper::Z) {}\n";
    passes(
        rule,
        &[
            ("crates/towline-upgrade/src/service.rs", io),
            ("crates/towline-protocol/tests/it/main.rs", io),
            (
                "crates/towline-origin/src/policy.rs",
                "//! Not tower.\nlet s = \"tokio\"; // hyper\n",
            ),
        ],
    );
    for path in [
        "crates/towline-protocol/src/frame.rs",
        "crates/towline-protocol/src/deflate/window.rs",
        "crates/towline-origin/src/policy.rs",
        "crates/towline-origin/src/policy/tests.rs",
        "crates/towline-keepalive/src/machine.rs",
        "crates/towline-core/src/handshake.rs",
    ] {
        let places = [format!("{path}:3"), format!("{path}:4")];
        let places: Vec<&str> = places.iter().map(|place| &**place).collect();
        fails(rule, &[(path, io)], &places, "bytes, headers and instants");
    }
}

#[test]
fn no_file_is_too_long() {
    let rule = source::no_file_is_too_long;
    let (enough, long) = ("//\n".repeat(600), "//\n".repeat(601));
    passes(
        rule,
        &[
            ("crates/a/src/lib.rs", &enough),
            ("crates/a/src/policy/tests.rs", &long),
            ("crates/a/tests/it/main.rs", &long),
        ],
    );
    fails(
        rule,
        &[("crates/a/src/lib.rs", &long)],
        &["crates/a/src/lib.rs:601"],
        "split it by concept",
    );
}

#[test]
fn members_have_the_workspace_lints() {
    let rule = manifest::members_have_the_workspace_lints;
    passes(
        rule,
        &[
            ("Cargo.toml", "[workspace]\n"),
            (
                "crates/a/Cargo.toml",
                "[package]\n[lints]\nworkspace = true\n",
            ),
            ("fuzz/Cargo.toml", "[package]\n[workspace]\n"),
        ],
    );
    fails(
        rule,
        &[
            ("crates/a/Cargo.toml", "[package]\n"),
            (
                "xtask/Cargo.toml",
                "[lints.rust]\nunsafe_code = \"allow\"\n",
            ),
            ("examples/Cargo.toml", "[lints]\nworkspace = false\n"),
        ],
        &[
            "crates/a/Cargo.toml:1",
            "xtask/Cargo.toml:1",
            "examples/Cargo.toml:1",
        ],
        "`workspace = true`",
    );
}

#[test]
fn the_workspace_forbids_unsafe_code() {
    let rule = manifest::the_workspace_forbids_unsafe_code;
    passes(
        rule,
        &[(
            "Cargo.toml",
            "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n",
        )],
    );
    fails(
        rule,
        &[(
            "Cargo.toml",
            "[workspace.lints.rust]\nunsafe_code = \"deny\"\n",
        )],
        &["Cargo.toml:1"],
        "`unsafe_code = \"forbid\"`",
    );
}

#[test]
fn versions_are_in_the_root_only() {
    let rule = manifest::versions_are_in_the_root_only;
    passes(
        rule,
        &[
            ("Cargo.toml", "[workspace.dependencies]\nhttp = \"1\"\n"),
            (
                "crates/a/Cargo.toml",
                "[package]\nversion.workspace = true\n[dependencies]\nhttp.workspace = true\n\
                 tokio = { workspace = true, features = [\"version\"] }\nb = { path = \"../b\" }\n",
            ),
        ],
    );
    fails(
        rule,
        &[(
            "crates/a/Cargo.toml",
            "[package]\nversion = \"1\"\nname = \"a\"\n[dependencies]\nhttp = \"1\"\n\
             tokio = {\n  features = [],\n  version = \"1\",\n}\n[dev-dependencies.b]\nversion = \"1\"\n",
        )],
        &[
            "crates/a/Cargo.toml:2",
            "crates/a/Cargo.toml:5",
            "crates/a/Cargo.toml:6",
            "crates/a/Cargo.toml:11",
        ],
        ".workspace = true",
    );
}

#[test]
fn crates_depend_downwards_only() {
    let rule = manifest::crates_depend_downwards_only;
    let depends = |on: &str| format!("[dependencies]\n{on}.workspace = true\n");
    let (protocol, core, origin, layer, facade) = (
        depends("http"),
        depends("towline-protocol"),
        depends("towline-protocol"),
        format!(
            "{}[dev-dependencies]\ntowline-origin = {{}}\n",
            depends("towline-core")
        ),
        depends("towline-upgrade"),
    );
    passes(
        rule,
        &[
            ("crates/towline-protocol/Cargo.toml", &protocol),
            ("crates/towline-core/Cargo.toml", &core),
            ("crates/towline-origin/Cargo.toml", &origin),
            ("crates/towline-upgrade/Cargo.toml", &layer),
            ("crates/towline/Cargo.toml", &facade),
            ("examples/Cargo.toml", &facade),
        ],
    );

    let (on_core, on_layer, on_facade) = (
        depends("towline-core"),
        depends("towline-upgrade"),
        depends("towline"),
    );
    fails(
        rule,
        &[
            ("crates/towline-protocol/Cargo.toml", &on_core),
            ("crates/towline-core/Cargo.toml", &on_layer),
            ("crates/towline-origin/Cargo.toml", &on_layer),
            ("crates/towline-upgrade/Cargo.toml", &on_facade),
            ("crates/towline/Cargo.toml", ""),
        ],
        &[
            "crates/towline-protocol/Cargo.toml:2",
            "crates/towline-core/Cargo.toml:2",
            "crates/towline-origin/Cargo.toml:2",
            "crates/towline-upgrade/Cargo.toml:2",
        ],
        "no layer knows another",
    );
}

#[test]
fn the_protocol_depends_on_no_io() {
    let rule = manifest::the_protocol_depends_on_no_io;
    passes(
        rule,
        &[
            (
                "crates/towline-protocol/Cargo.toml",
                "[dependencies]\nhttp = {}\n[dev-dependencies]\ntokio-tungstenite = {}\n",
            ),
            (
                "crates/towline-core/Cargo.toml",
                "[dependencies]\ntokio = {}\n",
            ),
        ],
    );
    fails(
        rule,
        &[(
            "crates/towline-protocol/Cargo.toml",
            "[dependencies]\nhttp = {}\nhyper-util.workspace = true\n",
        )],
        &["crates/towline-protocol/Cargo.toml:3"],
        "sans-IO",
    );
}

#[test]
fn readme_code_is_an_example() {
    let rule = docs::readme_code_is_an_example;
    let example = (
        "examples/a.rs",
        "//! A server.\n//!\n//! Whole.\n\nuse a;\n\nfn main() {}\n\n#[cfg(test)]\nmod tests {}\n",
    );
    let readme =
        "# x\n<!-- examples/a.rs -->\n```rust\nuse a;\n\nfn main() {}\n```\n```sh\nls\n```\n";
    passes(rule, &[example, ("README.md", readme)]);

    let fails = |readme: &str, place: &str, hint: &str| {
        fails(rule, &[example, ("README.md", readme)], &[place], hint);
    };
    fails("# x\n", "README.md:1", "shows no server");
    fails(
        "```rust\nuse a;\n```\n",
        "README.md:1",
        "`<!-- examples/FILE.rs -->`",
    );
    fails(
        &readme.replace("a.rs", "b.rs"),
        "README.md:2",
        "there is no file `examples/b.rs`",
    );
    fails(
        &readme.replace("main", "start"),
        "README.md:6",
        "has `fn main() {}`",
    );
    fails(
        &readme.replace("fn main() {}\n", ""),
        "README.md:6",
        "has `fn main() {}`",
    );
    fails(
        &readme.replace("{}\n", "{}\nmore\n"),
        "README.md:7",
        "has `no such line`",
    );
    super::tests::fails(rule, &[], &["README.md:1"], "is missing");
}

#[test]
fn feature_tables_are_complete() {
    let rule = docs::feature_tables_are_complete;
    let manifest = (
        "crates/a/Cargo.toml",
        "[features]\ndefault = [\"x\"]\nx = []\ny = []\n",
    );
    let docs = "//! A.\n//!\n//! | Feature | adds |\n//! | --- | --- |\n//! | `x` | 1 |\n//! | [`y`](z) | 2 |\n//!\n\
                //! | code | means |\n//! | --- | --- |\n//! | `1000` | done |\n";
    let lib = "crates/a/src/lib.rs";
    passes(
        rule,
        &[
            manifest,
            (lib, docs),
            ("crates/b/Cargo.toml", ""),
            ("crates/b/src/lib.rs", ""),
        ],
    );
    fails(
        rule,
        &[manifest, (lib, &docs.replace("`y`", "`z`"))],
        &["crates/a/src/lib.rs:1", "crates/a/src/lib.rs:6"],
        "row",
    );
    fails(
        rule,
        &[manifest, (lib, "//! `x` and `y`.\n")],
        &["crates/a/src/lib.rs:1", "crates/a/src/lib.rs:1"],
        "add a row",
    );
}

#[test]
fn every_crate_is_on_the_maps() {
    let rule = docs::every_crate_is_on_the_maps;
    let crates = [
        ("crates/towline/Cargo.toml", ""),
        ("crates/towline-core/Cargo.toml", ""),
    ];
    let map = "| `towline` | a |\n| [`towline-core`](x) | b |\n";
    let [one, two] = crates;
    passes(
        rule,
        &[one, two, ("README.md", map), ("crates/README.md", map)],
    );
    fails(
        rule,
        &[
            one,
            two,
            ("README.md", "`towline`"),
            ("crates/README.md", map),
        ],
        &["README.md:1"],
        "`towline-core`: add it",
    );
    fails(
        rule,
        &[one, ("README.md", "`towline`"), ("crates/README.md", map)],
        &["crates/README.md:2"],
        "remove the row",
    );
    fails(
        rule,
        &[one],
        &["crates/README.md:1", "README.md:1"],
        "`towline`: add it",
    );
}

#[test]
fn the_changelog_has_an_unreleased_section() {
    let rule = docs::the_changelog_has_an_unreleased_section;
    passes(
        rule,
        &[("CHANGELOG.md", "# Changelog\n\n## [Unreleased]\n")],
    );
    for files in [&[][..], &[("CHANGELOG.md", "## [0.1.0]\n")]] {
        fails(rule, files, &["CHANGELOG.md:1"], "`## [Unreleased]`");
    }
}

#[test]
fn automation_calls_the_tests() {
    let rule = docs::automation_calls_the_tests;
    let workflow = (".github/workflows/ci.yml", "    - run: cargo xtask test\n");
    passes(rule, &[workflow, (".ci/run", "cargo xtask test\n")]);
    fails(
        rule,
        &[workflow, (".ci/run", "# cargo xtask test\n")],
        &[".ci/run:1"],
        "does not call `cargo xtask test`",
    );
    fails(
        rule,
        &[],
        &[".github/workflows/ci.yml:1", ".ci/run:1"],
        "does not call `cargo xtask test`",
    );
}

#[test]
fn the_workflow_tries_the_rust_version() {
    let rule = docs::the_workflow_tries_the_rust_version;
    let root = (
        "Cargo.toml",
        "[workspace.package]\nrust-version = \"1.85\"\n",
    );
    let workflow = |version| format!("      with:\n        toolchain: \"{version}\"\n");
    let path = ".github/workflows/ci.yml";
    passes(rule, &[root, (path, &workflow("1.85"))]);
    fails(
        rule,
        &[root, (path, &workflow("1.80"))],
        &[".github/workflows/ci.yml:1"],
        "`toolchain: \"1.85\"`",
    );
    fails(
        rule,
        &[("Cargo.toml", ""), (path, "")],
        &["Cargo.toml:1"],
        "rust-version",
    );
}

#[test]
fn problems_are_sorted_and_printed_for_an_editor() {
    let problems = check(&tree(&[("b.rs", ""), ("a.rs", "#[allow(x)]\n")]));
    assert!(problems.is_sorted());
    assert!(
        problems[0]
            .to_string()
            .starts_with(".ci/run:1: does not call"),
        "{}",
        problems[0]
    );
}

#[test]
fn the_tree_holds_this_file_and_nothing_generated() {
    let tree = Tree::read(&root()).unwrap();
    assert!(tree.file("xtask/src/tidy/tests.rs").is_some());
    assert!(tree.file("Cargo.toml").is_some());
    let generated =
        |file: &&File| file.path.contains("target/") || file.path.contains("node_modules/");
    assert!(!tree.files.iter().any(|file| generated(&file)));
}
