//! An import goes down the layers, and no files import each other in a circle (ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// From the highest layer. `main` and `lib`, which are in none of them, are above all.
const LAYERS: &[&[&str]] =
    &[&["commands"], &["cli"], &["driver"], &["report"], &["store"], &["managers"], &["system"], &["model"]];

/// The modules of src, by their path (`driver::pending`), with their text without comments and tests.
fn modules() -> BTreeMap<String, String> {
    fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            match entry.path() {
                path if path.is_dir() => collect(&path, found),
                path if path.extension().is_some_and(|end| end == "rs") => found.push(path),
                _ => {}
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    let is_of_tests = |path: &PathBuf| path.to_string_lossy().ends_with("tests.rs");
    let module = |path: &Path| {
        let path = path.strip_prefix(&src).unwrap().with_extension("");
        let path = path.to_string_lossy().replace('/', "::");
        path.strip_suffix("::mod").unwrap_or(&path).to_string()
    };
    let files = files.into_iter().filter(|path| !is_of_tests(path));
    files.map(|path| (module(&path), own_text(&std::fs::read_to_string(path).unwrap()))).collect()
}

fn own_text(text: &str) -> String {
    let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    own.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect()
}

/// `a::{b, c::{self, d}}` as `a::b`, `a::c::self`, `a::c::d`.
fn paths_of_tree(tree: &str) -> Vec<String> {
    let Some((head, body)) = tree.split_once('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_string()];
    };
    let body = body.trim_end().strip_suffix('}').unwrap_or(body);
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for letter in body.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        match letter {
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(letter),
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(paths_of_tree).map(|path| format!("{}{path}", head.trim())).collect()
}

/// Every path that begins with `crate`, `super`, `self` or the name of a module within this one.
fn paths_in(text: &str, children: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("use ") {
        let Some((tree, more)) = after.split_once(';') else { break };
        found.extend(paths_of_tree(tree));
        rest = more;
    }
    let is_of_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    for words in text.split(|letter| !is_of_path(letter)) {
        let first = words.split("::").next().unwrap_or_default();
        // A path that ends so is the beginning of a tree, which was read above.
        if words.contains("::")
            && !words.ends_with("::")
            && (["crate", "super"].contains(&first) || children.contains(&first))
        {
            found.push(words.to_string());
        }
    }
    found
}

/// Which module imports which, each with the path that says so.
fn imports(modules: &BTreeMap<String, String>) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for (module, text) in modules {
        let within = |of: &&String| of.rsplit_once("::").is_some_and(|(parent, _)| parent == module);
        let children = modules.keys().filter(within).filter_map(|child| child.rsplit("::").next());
        let mut of_module = BTreeMap::new();
        for path in paths_in(text, &children.collect::<Vec<_>>()) {
            let mut from: Vec<&str> = module.split("::").collect();
            let mut parts = path.split("::").peekable();
            match parts.peek() {
                Some(&"crate") => from.clear(),
                Some(&"super") => {}
                _ => from.push("super"),
            }
            for part in parts {
                match part {
                    "crate" | "self" => {}
                    "super" => {
                        from.pop();
                    }
                    _ => from.push(part),
                }
            }
            let from: Vec<_> = from.into_iter().filter(|part| *part != "super").collect();
            let longest = (1..=from.len()).rev().map(|length| from[..length].join("::"));
            let target = longest.into_iter().find(|target| modules.contains_key(target));
            if let Some(target) = target.filter(|target| target != module) {
                of_module.insert(target, path);
            }
        }
        all.insert(module.clone(), of_module);
    }
    all
}

fn layer(module: &str) -> usize {
    let top = module.split("::").next().unwrap_or_default();
    LAYERS.iter().position(|layer| layer.contains(&top)).map_or(0, |layer| layer + 1)
}

#[test]
fn an_import_goes_down() {
    let modules = modules();
    assert!(modules.len() > 60, "the sources are not where they were: {modules:?}");
    let imports = imports(&modules);
    let all = imports.iter().flat_map(|(from, to)| to.iter().map(move |(to, path)| (from, to, path)));
    assert!(all.clone().count() > 200, "no imports are found any more: {imports:?}");
    let up: Vec<_> = all
        .filter(|(from, to, _)| layer(to) < layer(from))
        .map(|(from, _, path)| format!("{from} imports {path}"))
        .collect();
    assert!(up.is_empty(), "{up:#?}");
}

#[test]
fn nothing_imports_the_one_that_imports_it() {
    let imports = imports(&modules());
    // A module that has no way back to itself is removed, until only circles are left.
    let mut left: BTreeSet<&String> = imports.keys().collect();
    loop {
        let ends: Vec<_> = left
            .iter()
            .filter(|module| !imports[**module].keys().any(|to| left.contains(to)))
            .copied()
            .collect();
        if ends.is_empty() {
            break;
        }
        left.retain(|module| !ends.contains(module));
    }
    let of = |module: &&String| {
        let to: Vec<_> = imports[*module].iter().filter(|(to, _)| left.contains(to)).collect();
        format!("{module}: {to:?}")
    };
    let circles: Vec<_> = left.iter().map(of).collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn paths_are_read_as_they_are_written() {
    let text = "use crate::a::{b, c::{self, d as e}};\nlet x = super::f::g(crate::h::I);\nchild::k();";
    let expected =
        ["crate::a::b", "crate::a::c::self", "crate::a::c::d", "super::f::g", "crate::h::I", "child::k"];
    let found = paths_in(text, &["child"]);
    assert!(expected.iter().all(|path| found.iter().any(|found| found == path)), "{found:?}");
    assert_eq!(own_text("a\n// b\n#[cfg(test)]\nmod tests {\n c\n"), "a\n");
}
