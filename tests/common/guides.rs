//! The blocks of code in the README and in `docs`. The word after a fence says which test runs the block:
//!
//! - `sh`: commands, run in the order of a document by `cli/tests/cli.rs`, and those of [`LIBRARY`] by `ffi/tests/guides.rs`.
//! - `rust`: programs, run by the doctests of `src/lib.rs`.
//! - `c`, `cpp`, `go`: programs, run by `ffi/tests/guides.rs`.
//! - `python`: one program per document, run by `ffi/tests/python.rs`.
//! - `console`: commands that no test runs, because they name a user's files, install packages or take long.
//! - `text`: parts of files.
#![allow(dead_code)] // each test program uses a part of it

use std::path::Path;

/// The guides whose commands use the installed C library.
pub const LIBRARY: [&str; 3] = ["docs/c.md", "docs/go.md", "docs/python.md"];

/// A block of code.
pub struct Block {
    pub language: String,
    pub text: String,
}

/// The paths of the README and of all documents, relative to the root folder.
pub fn documents(root: &Path) -> Vec<String> {
    let names = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| format!("docs/{}", name.display())).filter(|name| name.ends_with(".md"));
    let mut all: Vec<String> = names.chain(["README.md".into()]).collect();
    all.sort();
    all
}

/// The blocks of a document.
pub fn blocks(root: &Path, document: &str) -> Vec<Block> {
    let text = std::fs::read_to_string(root.join(document)).unwrap();
    let mut lines = text.lines();
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| *line != "```").flat_map(|line| [line, "\n"]).collect();
            blocks.push(Block { language: language.into(), text });
        }
    }
    blocks
}

/// The texts of the blocks of one language.
pub fn of(root: &Path, document: &str, language: &str) -> Vec<String> {
    blocks(root, document).into_iter().filter(|block| block.language == language).map(|block| block.text).collect()
}
