//! Tests that imports within the program run downwards: no command is imported by what it uses, and no files import
//! each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The source files of a folder, and of its subfolders.
fn sources(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.push(path);
        }
    }
}

/// The names that follow `prefix` in a file: of `use crate::{a, b::c};` with the prefix `crate::`, `a` and `b`.
fn imported(text: &str, prefix: &str) -> BTreeSet<String> {
    let first_name = |path: &str| path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut names = BTreeSet::new();
    for rest in text.split(prefix).skip(1) {
        match rest.strip_prefix('{').and_then(|list| list.split_once('}')) {
            Some((list, _)) => names.extend(list.split(',').map(first_name)),
            None => drop(names.insert(first_name(rest))),
        }
    }
    names
}

#[test]
fn imports_run_downwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 30, "{files:?}");
    // Per file, the files that it imports.
    let mut imports = BTreeMap::<PathBuf, BTreeSet<PathBuf>>::new();
    for file in files.iter().filter(|file| !file.ends_with("main.rs")) {
        let text = std::fs::read_to_string(file).unwrap();
        let module =
            |folder: &Path, name: &String| Some(folder.join(format!("{name}.rs"))).filter(|path| path.exists());
        let mut used = BTreeSet::new();
        used.extend(imported(&text, "crate::").iter().filter_map(|name| module(&root, name)));
        used.extend(imported(&text, "use super::").iter().filter_map(|name| module(file.parent().unwrap(), name)));
        used.extend(imported(&text, "\nmod ").iter().filter_map(|name| module(&file.with_extension(""), name)));
        let is_command = file.starts_with(root.join("commands")) || file.ends_with("commands.rs");
        assert!(is_command || !used.contains(&root.join("commands.rs")), "{} imports a command", file.display());
        imports.insert(file.clone(), used);
    }
    // Remove files whose imports are all removed, until none is left.
    while !imports.is_empty() {
        let free: Vec<PathBuf> =
            imports.iter().filter(|(_, used)| used.is_empty()).map(|(file, _)| file.clone()).collect();
        assert!(!free.is_empty(), "these files import each other: {imports:#?}");
        imports.retain(|file, _| !free.contains(file));
        imports.values_mut().for_each(|used| used.retain(|file| !free.contains(file)));
    }
}
