//! Each rule on small trees with and without a problem.

use super::*;

/// Asserts how many problems a rule finds in these files and members.
#[track_caller]
fn finds(problems: usize, rule: Rule, files: &[(&str, &str)], members: &[Member]) {
    let files = files.iter().map(|(path, text)| File {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
    });
    let tree = Tree {
        files: files.collect(),
        members: members.to_vec(),
    };
    let found = rule(&tree);
    assert_eq!(found.len(), problems, "{found:#?}");
}

fn member(name: &str, features: &[&str], dependencies: &[&str]) -> Member {
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Member {
        name: name.to_owned(),
        dir: format!("crates/{name}"),
        features: owned(features),
        dependencies: owned(dependencies),
    }
}

#[test]
fn a_file_without_docs_is_found() {
    for (text, problems) in [("//! A.\n", 0), ("// A.\n", 1), ("use a;\n//! A.\n", 1)] {
        finds(problems, files_begin_with_docs, &[("a.rs", text)], &[]);
    }
}

#[test]
fn a_member_without_the_lints_is_found() {
    for (text, problems) in [
        ("[package]\n\n[lints]\nworkspace = true\n", 0),
        ("[package]\n[lints]\nworkspace = false\n", 1),
        ("[package]\n", 1),
    ] {
        let manifest = ("crates/a/Cargo.toml", text);
        let rule = members_have_the_workspace_lints;
        finds(problems, rule, &[manifest], &[member("a", &[], &[])]);
    }
}

#[test]
fn io_in_a_pure_file_is_found() {
    let io = "//! tokio\nuse towline_core::x;\nuse tokio_util::y; // hyper\nfn f(x: hyper::Z) {}\n";
    for (path, problems) in [
        ("crates/towline-protocol/src/frame.rs", 2),
        ("crates/towline-keepalive/src/machine/tests.rs", 2),
        ("crates/towline-upgrade/src/service.rs", 0),
        ("crates/towline-protocol/tests/it/main.rs", 0),
    ] {
        finds(problems, pure_files_do_no_io, &[(path, io)], &[]);
    }
}

#[test]
fn io_below_the_protocol_is_found() {
    for (dependency, problems) in [("http", 0), ("tokio", 1), ("hyper-util", 1)] {
        let protocol = member(PROTOCOL, &[], &[dependency]);
        let others = [member(CORE, &[], &["tokio"]), protocol];
        finds(problems, the_protocol_depends_on_no_io, &[], &others);
    }
}

#[test]
fn a_dependency_upwards_or_sideways_is_found() {
    let on = |name, dependency| member(name, &[], &[dependency]);
    let right = [
        on(PROTOCOL, "http"),
        on(CORE, PROTOCOL),
        on("towline-origin", PROTOCOL),
        on("towline-echo", CORE),
        on(FACADE, "towline-echo"),
    ];
    finds(0, crates_depend_downwards, &[], &right);
    for wrong in [
        on(PROTOCOL, CORE),
        on(CORE, "towline-echo"),
        on("towline-origin", "towline-echo"),
        on("towline-origin", FACADE),
    ] {
        let members = [&[wrong], &right[..]].concat();
        finds(1, crates_depend_downwards, &[], &members);
    }
}

#[test]
fn readme_code_that_differs_is_found() {
    let example = "//! A server.\n\nuse a;\n\nfn main() {}\n\n#[cfg(test)]\nmod tests {}\n";
    let readme = "# x\n<!-- examples/a.rs -->\n```rust\nuse a;\n\nfn main() {}\n```\n";
    for (readme, problems) in [
        (readme.to_owned(), 0),
        (readme.replace("a.rs", "b.rs"), 1),
        (readme.replace("<!--", "--"), 1),
        (readme.replace("main", "start"), 1),
        (readme.replace("fn main() {}\n", ""), 1),
        (readme.replace("{}\n", "{}\nmore\n"), 1),
        ("# x\n".to_owned(), 1),
    ] {
        let files = [("examples/a.rs", example), ("README.md", &readme)];
        finds(problems, readme_code_is_an_example, &files, &[]);
    }
}

#[test]
fn a_feature_table_that_differs_is_found() {
    let docs = "//! | Feature | adds |\n//! | --- | --- |\n//! | `x` | 1 |\n//! | [`y`](z) | 2 |\n//!\n\
                //! | code | means |\n//! | --- | --- |\n//! | `1000` | done |\n";
    let members = [member("a", &["x", "y"], &[])];
    for (docs, problems) in [
        (docs.to_owned(), 0),
        (docs.replace("`y`", "`z`"), 2),
        ("//! `x` and `y`.\n".to_owned(), 2),
    ] {
        let lib = ("crates/a/src/lib.rs", &*docs);
        finds(problems, feature_tables_are_complete, &[lib], &members);
    }
}

#[test]
fn a_crate_that_is_on_no_map_is_found() {
    let members = [member(FACADE, &[], &[]), member(CORE, &[], &[])];
    let map = "| `towline` | a |\n| [`towline-core`](x) | b |\n";
    let rule = every_crate_is_on_the_maps;
    finds(
        0,
        rule,
        &[("README.md", map), ("crates/README.md", map)],
        &members,
    );
    // A row for a crate that is gone, in both.
    finds(
        2,
        rule,
        &[("README.md", map), ("crates/README.md", map)],
        &members[..1],
    );
    finds(2, rule, &[("README.md", map)], &members);
}
