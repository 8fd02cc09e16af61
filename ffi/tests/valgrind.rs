//! A few rounds of `endurance.c` under valgrind: no invalid access, and nothing lost.

mod common;

use common::{C, compile, on_linux, root, succeed, there};
use libtest_mimic::Arguments;
use std::process::Command;

fn nothing_is_lost() {
    // Not whether values are initialised: compilers decide early on values that are not used then.
    let checks = [
        "--undef-value-errors=no",
        "--leak-check=full",
        "--errors-for-leak-kinds=definite",
        "--error-exitcode=9",
        "--quiet",
    ];
    let program = compile(C, "ffi/tests/endurance.c");
    succeed(Command::new("valgrind").args(checks).arg(program).args(["demo", "2", "2"]).current_dir(root()));
}

fn main() {
    let tests = vec![on_linux("nothing_is_lost", there("valgrind", "--version"), nothing_is_lost)];
    libtest_mimic::run(&Arguments::from_args(), tests).exit();
}
