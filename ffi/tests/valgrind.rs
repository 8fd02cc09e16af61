//! Runs programs under Valgrind: no invalid access, no use of uninitialized values, and no leak.

mod common;

use common::{C, compile, on_linux, root, succeed, there};
use libtest_mimic::Arguments;
use std::process::Command;

fn quiet(source: &str, arguments: &[&str]) {
    let checks = ["--leak-check=full", "--errors-for-leak-kinds=definite", "--error-exitcode=9", "--quiet"];
    let program = compile(C, source);
    let mut valgrind = Command::new("valgrind");
    succeed(valgrind.args(checks).arg(program).args(arguments).current_dir(root()));
}

fn nothing_is_lost() {
    quiet("ffi/tests/endurance.c", &["demo", "2", "2"]);
}

fn everything_is_initialised() {
    quiet("ffi/tests/watched.c", &["demo"]);
}

fn main() {
    let valgrind = there("valgrind", "--version");
    let tests = vec![
        on_linux("nothing_is_lost", valgrind, nothing_is_lost),
        on_linux("everything_is_initialised", valgrind, everything_is_initialised),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}
