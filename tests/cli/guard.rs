//! That no test of this directory can reach the real package manager.

use crate::world::{HELPERS, OTHERS, World};
use std::path::Path;

/// How the sources name a program that they start.
const STARTS: [&str; 2] = ["Invocation::of(\"", "program: \""];

/// The text of every source file of the program.
fn sources(dir: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, texts);
        } else {
            texts.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_program_that_the_sources_start_is_a_fake() {
    let mut texts = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut texts);
    let started: Vec<_> = texts
        .iter()
        .map(|text| text.split("#[cfg(test)]").next().unwrap())
        .flat_map(|text| STARTS.iter().flat_map(|start| text.split(start).skip(1)))
        .map(|rest| rest.split('"').next().unwrap().to_string())
        .collect();
    assert!(started.len() >= 5, "the sources were not read: {started:?}");
    // Two shells, whose lines never change: one starts apt-helper, by its path, and sha256sum; the other one apk, of
    // which there is a fake, and sed.
    assert_eq!(started.iter().filter(|program| *program == "sh").count(), 2);
    assert!(OTHERS.contains(&"apk"));
    for program in started.into_iter().filter(|program| program != "sh") {
        let name = program.as_str();
        let is_known = HELPERS.contains(&name) || OTHERS.contains(&name);
        assert!(is_known, "{program} has no fake");
    }
}

#[test]
fn the_path_of_a_test_holds_only_fakes_and_named_tools() {
    let world = World::new();
    for dir in ["fakes", "tools"] {
        for entry in std::fs::read_dir(world.path(dir)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_helper = HELPERS.contains(&name.as_str());
            assert_eq!(is_helper, dir == "fakes", "{dir}/{name}");
            assert!(!OTHERS.contains(&name.as_str()), "{dir}/{name}");
        }
    }
    let probe = world.bare(world.path("tools").join("env")).output().unwrap();
    let shown = String::from_utf8(probe.stdout).unwrap();
    let paths: Vec<_> = shown.lines().filter(|line| line.starts_with("PATH=")).collect();
    assert_eq!(paths, [format!("PATH={0}/fakes:{0}/tools", world.path("").display()).replace("//", "/")]);
}
