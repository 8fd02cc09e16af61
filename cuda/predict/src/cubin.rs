//! The parts of a cubin that its disassembly does not show: the tables of indirect branches.
//!
//! A cubin is a 64-bit little-endian ELF file. The assembler turns a `switch` into a load from bank 2 of the constants
//! and an indirect branch. The section `.nv.constant2.NAME` holds that bank of the kernel NAME.

use crate::sass::Function;
use std::collections::HashMap;

fn number(file: &[u8], at: usize, bytes: usize) -> Option<usize> {
    let mut word = [0; 8];
    word[..bytes].copy_from_slice(file.get(at..at.checked_add(bytes)?)?);
    Some(u64::from_le_bytes(word) as usize)
}

/// Names and contents of the sections that have contents.
fn sections(file: &[u8]) -> Option<Vec<(&str, &[u8])>> {
    if file.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let (table, count, names) = (number(file, 0x28, 8)?, number(file, 0x3c, 2)?, number(file, 0x3e, 2)?);
    let header = |i: usize| table + i * 64;
    let body = |i: usize| {
        let (at, size) = (number(file, header(i) + 24, 8)?, number(file, header(i) + 32, 8)?);
        file.get(at..at.checked_add(size)?)
    };
    let names = body(names)?;
    let mut all = Vec::new();
    for i in 0..count {
        const NO_BITS: usize = 8;
        if number(file, header(i) + 4, 4)? == NO_BITS {
            continue;
        }
        let name = names.get(number(file, header(i), 4)?..)?;
        let name = std::str::from_utf8(&name[..name.iter().position(|&b| b == 0)?]).ok()?;
        all.push((name, body(i)?));
    }
    Some(all)
}

/// Gives each function the tables of its indirect branches.
///
/// # Errors
///
/// A message if `file` is not a cubin.
pub fn add_tables(file: &[u8], functions: &mut HashMap<String, Function>) -> Result<(), String> {
    for (name, body) in sections(file).ok_or("not a cubin")? {
        if let Some(function) = name.strip_prefix(".nv.constant2.").and_then(|n| functions.get_mut(n)) {
            function.tables = body.to_vec();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_table() {
        // A header, the name table, four bytes of a table, and three section headers.
        let names = b"\0.shstrtab\0.nv.constant2.f\0";
        let mut file = vec![0; 64];
        file[..5].copy_from_slice(b"\x7fELF\x02");
        file.extend_from_slice(names);
        let table = file.len();
        file.extend_from_slice(&[1, 2, 3, 4]);
        let headers = file.len();
        for (name, at, size) in [(0u32, 0usize, 0usize), (1, 64, names.len()), (11, table, 4)] {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[4] = 1;
            header[24..32].copy_from_slice(&(at as u64).to_le_bytes());
            header[32..40].copy_from_slice(&(size as u64).to_le_bytes());
            file.extend_from_slice(&header);
        }
        file[0x28..0x30].copy_from_slice(&(headers as u64).to_le_bytes());
        (file[0x3c], file[0x3e]) = (3, 1);
        let mut functions = HashMap::from([("f".to_string(), Function::default())]);
        add_tables(&file, &mut functions).unwrap();
        assert_eq!(functions["f"].tables, [1, 2, 3, 4]);
        assert!(add_tables(&file[..headers], &mut functions).is_err());
        assert!(add_tables(b"text", &mut functions).is_err());
    }
}
