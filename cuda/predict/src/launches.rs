//! The list of launches: a JSON object per line.

use crate::library::Product;
use crate::predict::Launch;
use serde_json::Value;
use std::collections::BTreeMap;

/// The launch in a normal form. Every address is replaced by its order among the addresses of the launch and by its
/// offset in a line of 128 bytes. Launches with equal normal forms take the same time.
#[must_use]
pub fn without_addresses(launch: &Launch, ranges: &[(u64, u64)]) -> Launch {
    let mut seen: Vec<u64> = Vec::new();
    let mut replace = |word: u64| {
        if !ranges.iter().any(|&(from, to)| (from..to).contains(&word)) {
            return word;
        }
        let order = seen.iter().position(|&s| s == word).unwrap_or_else(|| {
            seen.push(word);
            seen.len() - 1
        });
        (order as u64) << 7 | word & 127
    };
    let mut plain = launch.clone();
    for word in plain.args.as_chunks_mut().0 {
        *word = replace(u64::from_le_bytes(*word)).to_le_bytes();
    }
    plain.memory.iter_mut().for_each(|(address, _)| *address = replace(*address));
    plain
}

fn bytes(hex: &Value) -> Result<Vec<u8>, String> {
    let hex = hex.as_str().ok_or("digits in quotes expected")?;
    if hex.len() % 2 == 1 || !hex.is_ascii() {
        return Err("an even number of hexadecimal digits expected".into());
    }
    let digits = |i: usize| u8::from_str_radix(&hex[i..i + 2], 16).map_err(|e| e.to_string());
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// A number, or one in hexadecimal digits as a string.
///
/// # Errors
///
/// A message if the value is not such a number.
pub fn number(value: &Value) -> Result<u64, String> {
    let hex = |s: &str| u64::from_str_radix(s.strip_prefix("0x")?, 16).ok();
    value.as_u64().or_else(|| hex(value.as_str()?)).ok_or(format!("{value}: a number expected"))
}

fn three(value: &Value, key: &str) -> Result<[u32; 3], String> {
    let all = value.as_array().filter(|a| a.len() == 3).ok_or(format!("{key}: three numbers expected"))?;
    let mut r = [0; 3];
    for (r, v) in r.iter_mut().zip(all) {
        *r = u32::try_from(number(v)?).map_err(|e| format!("{key}: {e}"))?;
    }
    Ok(r)
}

/// A line of the list.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A launch of a kernel, the number of times that it is made, and its stage.
    Launch(Launch, f64, String),
    /// A product of the library, the number of times that it is made, and its stage.
    Product(Product, f64, String),
    /// The host waits.
    Wait,
}

/// Reads a line: `{"wait": true}`, a product (`"kernel": "cublasLtMatmul"` with m, n, k, bytes, `out_bytes` and add)
/// or a launch.
///
/// # Errors
///
/// A message if the line is not JSON, or if a field is missing or is not of its type.
pub fn entry(line: &str) -> Result<Entry, String> {
    let v: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    if v["wait"].as_bool() == Some(true) {
        return Ok(Entry::Wait);
    }
    if v["kernel"].as_str() != Some("cublasLtMatmul") {
        return launch(line).map(|(launch, count, stage)| Entry::Launch(launch, count, stage));
    }
    let of = |key: &str| number(&v[key]).map_err(|e| format!("{key}: {e}"));
    let (bytes, out_bytes) = (of("bytes")?, of("out_bytes")?);
    let product = Product { m: of("m")?, n: of("n")?, k: of("k")?, bytes, out_bytes, add: of("add")? != 0 };
    Ok(Entry::Product(product, v["count"].as_f64().unwrap_or(1.0), v["stage"].as_str().unwrap_or("").to_string()))
}

/// Reads a launch, the number of times that it is made, and its stage.
///
/// # Errors
///
/// A message if the line is not JSON, or if a field is missing or is not of its type.
pub fn launch(line: &str) -> Result<(Launch, f64, String), String> {
    let v: Value = serde_json::from_str(line).map_err(|e| e.to_string())?;
    let empty = Vec::new();
    let mut memory = Vec::new();
    for pair in v["memory"].as_array().unwrap_or(&empty) {
        memory.push((number(&pair[0])?, bytes(&pair[1])?));
    }
    let mut hints = BTreeMap::new();
    for (at, times) in v["hints"].as_object().into_iter().flatten() {
        let at = u32::try_from(number(&Value::from(at.as_str()))?).map_err(|e| format!("hints: {e}"))?;
        hints.insert(at, number(times)?);
    }
    let launch = Launch {
        kernel: v["kernel"].as_str().ok_or("kernel is missing")?.to_string(),
        grid: three(&v["grid"], "grid")?,
        block: three(&v["block"], "block")?,
        shared: v["shared"].as_u64().unwrap_or(0) as u32,
        args: bytes(&v["args"]).map_err(|e| format!("args: {e}"))?,
        memory,
        hints,
    };
    Ok((launch, v["count"].as_f64().unwrap_or(1.0), v["stage"].as_str().unwrap_or("").to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"kernel": "f", "grid": [2, 1, 1], "block": [32, 1, 1], "shared": 64, "stage": "encode", "count": 3,
        "args": "00100000007f0000ff10000000000000", "memory": [["0x7f0000001000", "0500"]], "hints": {"0x40": 2}}"#;

    #[test]
    fn reads_a_launch() {
        let (l, count, stage) = launch(LINE).unwrap();
        assert_eq!(
            (&*l.kernel, l.grid, l.block, l.shared, count, &*stage),
            ("f", [2, 1, 1], [32, 1, 1], 64, 3.0, "encode")
        );
        assert_eq!(l.args[..8], 0x7f00_0000_1000u64.to_le_bytes());
        assert_eq!(l.memory, [(0x7f00_0000_1000, vec![5, 0])]);
        assert_eq!(l.hints, BTreeMap::from([(0x40, 2)]));
        for wrong in [LINE.replace("\"f\"", "1"), LINE.replace("0500", "050"), LINE.replace("[2, 1, 1]", "[2, 1]")] {
            assert!(launch(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn reads_a_product_and_a_wait() {
        assert!(matches!(entry(r#"{"wait": true}"#), Ok(Entry::Wait)));
        let line =
            r#"{"kernel": "cublasLtMatmul", "m": 5, "n": 6, "k": 7, "bytes": 2, "out_bytes": 4, "add": 1, "count": 2}"#;
        let Ok(Entry::Product(p, count, _)) = entry(line) else { panic!("{line}") };
        assert_eq!((p, count), (Product { m: 5, n: 6, k: 7, bytes: 2, out_bytes: 4, add: true }, 2.0));
        assert!(entry(&line.replace("\"k\"", "\"j\"")).is_err());
        assert!(matches!(entry(LINE), Ok(Entry::Launch(..))));
    }

    #[test]
    fn launches_that_differ_in_addresses_are_equal() {
        let ranges = [(0x7f00_0000_0000, 0x7f01_0000_0000)];
        let plain = |line: &str| without_addresses(&launch(line).unwrap().0, &ranges);
        // The digits of 0x7f0000001000 become 0x7f0000009000 in both positions.
        let elsewhere = LINE.replace("00100000007f0000", "00900000007f0000").replace("7f0000001000", "7f0000009000");
        assert_eq!(plain(LINE), plain(&elsewhere));
        // Another offset in a line of memory, another number, another range.
        assert_ne!(plain(LINE), plain(&LINE.replace("00100000007f0000", "10100000007f0000")));
        assert_ne!(plain(LINE), plain(&LINE.replace("ff10", "fe10")));
        assert_ne!(launch(LINE).unwrap().0, launch(&elsewhere).unwrap().0);
    }
}
