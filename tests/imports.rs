//! Imports between files: no two files of a crate import each other, and imports in the engine run down its list of modules.
//!
//! The test reads the source, and relies on the layout of `cargo fmt`. A re-export of a parent module is not an import. An
//! import through a re-export is an import of the file that defines the name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The folders of all crates.
const CRATES: [&str; 7] = ["engine/src", "cuda/src", "cuda/predict/src", "src", "cli/src", "ffi/src", "server/src"];

/// The segments of a path such as `crate::media::frame::Frame`.
type Segments = Vec<String>;

/// A file without its comments and tests.
#[derive(Default)]
struct File {
    /// Child modules.
    children: BTreeSet<String>,
    /// Imports, as they are written.
    uses: Vec<Segments>,
    /// Re-exports by name, as they are written.
    exports: BTreeMap<String, Segments>,
    /// Paths outside of imports.
    paths: Vec<Segments>,
}

/// A crate: its files by module.
struct Crate(BTreeMap<Segments, File>);

/// All words and paths of a text.
fn paths(text: &str) -> Vec<Segments> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).filter(|word| !word.is_empty());
    words.map(|word| word.split("::").map(String::from).collect()).collect()
}

/// Adds the paths of an import, such as `a::{b, c::d as e}`, with the names that they have in the file.
fn flatten(tree: &str, before: &[String], out: &mut Vec<(String, Segments)>) {
    let (path, group) = tree.split_once('{').map_or((tree, None), |(path, rest)| (path, rest.trim().strip_suffix('}')));
    let (path, name) = path.trim().split_once(" as ").unwrap_or((path.trim(), ""));
    let segments = path.split("::").filter(|part| !part.is_empty()).map(String::from);
    let mut path: Segments = before.iter().cloned().chain(segments).collect();
    let Some(group) = group else {
        if path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let name = if name.is_empty() { path.last().cloned().unwrap_or_default() } else { name.into() };
        return out.push((name, path));
    };
    let mut depth = 0;
    let parts = group.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    parts.filter(|part| !part.trim().is_empty()).for_each(|part| flatten(part, &path, out));
}

impl File {
    /// Reads a file. `is_parent` tells whether it may re-export.
    fn parse(text: &str, is_parent: bool) -> File {
        let (mut file, mut body, mut exports) = (File::default(), String::new(), Vec::new());
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let indent = &line[..line.len() - line.trim_start().len()];
            let mut line = String::from(line.trim().split("// ").next().unwrap_or_default());
            if line == "#[cfg(test)]" && lines.clone().next().is_some_and(|next| next.trim().starts_with("mod ")) {
                let end = format!("{indent}}}");
                let module = lines.next().is_some_and(|line| line.ends_with('{'));
                while module && lines.next().is_some_and(|line| line != end) {}
                continue;
            }
            let statement = line.trim_start_matches("pub").trim_start_matches("(crate)").trim_start_matches("(super)");
            if let Some(child) = statement.trim().strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                file.children.insert(child.into());
            } else if statement.trim().starts_with("use ") {
                let start = line.len() - statement.trim().len() + "use ".len();
                while !line.ends_with(';') {
                    line += lines.next().unwrap_or(";").trim();
                }
                let mut found = Vec::new();
                flatten(line[start..].trim_end_matches(';'), &[], &mut found);
                match is_parent && line.starts_with("pub") {
                    true => exports.extend(found),
                    false => file.uses.extend(found.into_iter().map(|(_, path)| path)),
                }
            } else if !line.starts_with("//") {
                body += &(line + "\n");
            }
        }
        file.paths = paths(&body);
        // A file that uses what it re-exports imports it.
        let names: BTreeSet<&String> = file.paths.iter().map(|path| &path[0]).collect();
        file.uses.extend(exports.iter().filter(|(name, _)| names.contains(name)).map(|(_, path)| path.clone()));
        file.exports = exports.into_iter().collect();
        file
    }
}

impl Crate {
    fn read(folder: &str) -> Crate {
        let (mut files, mut modules) = (BTreeMap::new(), vec![(Segments::new(), PathBuf::from(folder))]);
        while let Some((module, path)) = modules.pop() {
            let inside = ["mod.rs", "lib.rs", "main.rs"].map(|name| path.join(name));
            let beside = path.with_extension("rs");
            let found = inside.iter().chain([&beside]).find(|file| file.is_file()).expect("a file of the module");
            let text = std::fs::read_to_string(found).unwrap();
            let file = File::parse(&text, path.is_dir());
            modules
                .extend(file.children.iter().map(|child| ([&module[..], &[child.clone()]].concat(), path.join(child))));
            files.insert(module, file);
        }
        Crate(files)
    }

    /// The module that a path in a module leads to; none for a path of another crate.
    fn resolve(&self, module: &[String], path: &[String]) -> Option<Segments> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match &first[..] {
            "crate" => Segments::new(),
            "self" | "super" => module[..module.len() - usize::from(first == "super")].to_vec(),
            child if self.0[module].children.contains(child) => [module, &path[..1]].concat(),
            _ => return None,
        };
        while let Some((next, after)) = rest.split_first() {
            if next == "super" {
                at.pop();
            } else if self.0[&at].children.contains(next) {
                at.push(next.clone());
            } else {
                let export = self.0[&at].exports.get(next).and_then(|path| self.resolve(&at, path));
                return Some(export.unwrap_or(at));
            }
            rest = after;
        }
        Some(at)
    }

    /// Which module imports which other one.
    fn imports(&self) -> BTreeSet<[Segments; 2]> {
        let mut all = BTreeSet::new();
        for (module, file) in &self.0 {
            let inline = file.paths.iter().filter(|path| path.len() > 1);
            let found = file.uses.iter().chain(inline).filter_map(|path| self.resolve(module, path));
            all.extend(found.filter(|to| to != module).map(|to| [module.clone(), to]));
        }
        all
    }
}

#[test]
fn no_two_files_import_each_other() {
    for folder in CRATES {
        let imports = Crate::read(folder).imports();
        let pairs = imports.iter().filter(|[a, b]| a < b && imports.contains(&[b.clone(), a.clone()]));
        let pairs: Vec<String> = pairs.map(|[a, b]| format!("{} and {}", a.join("::"), b.join("::"))).collect();
        assert!(pairs.is_empty(), "{folder}: these modules import each other: {pairs:#?}");
    }
}

#[test]
fn imports_run_down_the_list_of_modules() {
    let text = std::fs::read_to_string("engine/src/lib.rs").unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("//! - `")?.split_once("`:"));
    let list: Vec<&str> = lines.flat_map(|(names, _)| names.split("`, `")).collect();
    let engine = Crate::read("engine/src");
    let modules: BTreeSet<&str> = engine.0[&[][..]].children.iter().map(String::as_str).collect();
    assert_eq!(list.iter().copied().collect::<BTreeSet<_>>(), modules, "the list of modules in engine/src/lib.rs");
    let place = |module: &Segments| module.first().map(|first| list.iter().position(|name| name == first));
    let upwards = engine.imports().into_iter().filter(|[from, to]| place(to) > place(from) && !from.is_empty());
    let upwards: Vec<String> = upwards.map(|[a, b]| format!("{} imports {}", a.join("::"), b.join("::"))).collect();
    assert!(upwards.is_empty(), "imports of a module further down the list: {upwards:#?}");
}
