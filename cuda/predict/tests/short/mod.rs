//! Functions in a short notation: an instruction per line, followed by a semicolon and the decisions of the assembler.

use sam2_predict::sass::{self, Function};

/// Reads lines of `INSTRUCTION ; control`. The control is bits 41 to 57 of the encoding as hexadecimal digits, and may
/// be followed by the upper half of the low word. Without control the warp stalls for a cycle. The text goes through
/// the same parser as the disassembler's text.
pub fn function(name: &str, registers: u32, lines: &str) -> Function {
    // No scoreboard is written or read, and none is waited for.
    const PLAIN: u64 = 0x7f1;
    let mut text = format!("Function {name}:\n REG:{registers} STACK:0 SHARED:1024 LOCAL:0\n\nFunction : {name}\n");
    for (i, line) in lines.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).enumerate() {
        let mut parts = line.split(';').map(str::trim);
        let instruction = parts.next().expect("a line has a first part");
        let mut digits = || parts.next().map(|d| u64::from_str_radix(d, 16).expect("hexadecimal digits"));
        let (control, constant) = (digits().unwrap_or(PLAIN), digits().unwrap_or(0));
        let (low, high) = (constant << 32, control << 41);
        text += &format!("        /*{:04x}*/ {instruction} ;  /* {low:#018x} */\n  /* {high:#018x} */\n", i * 16);
    }
    sass::parse(&text).expect("the lines are instructions").remove(name).expect("the function was read")
}

/// Numbers as parameters.
#[allow(dead_code)]
pub fn args(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}
