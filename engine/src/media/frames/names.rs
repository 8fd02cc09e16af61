//! File names with numbers in them, and their natural order.

use std::path::Path;

/// Stands for a number in a pattern. No file name contains it.
const NUMBER: char = '\0';

/// A file name without its extension, cut into text and numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The text, with [`NUMBER`] in place of each number.
    pattern: String,
    numbers: Vec<Number>,
}

/// A number as written: digits, and a fraction if the number has a decimal point.
#[derive(Debug, PartialEq, Eq)]
struct Number {
    whole: String,
    fraction: Option<String>,
}

/// Orders numbers of any length: by the number of digits, then by the digits, without leading zeros.
type Digits = (usize, String);

fn digits(text: &str) -> Digits {
    let text = text.trim_start_matches('0');
    (text.len(), text.to_string())
}

impl Name {
    /// Parses a name. `1690000000.5` has one number, and `1.2.3` has three numbers.
    pub fn parse(stem: &str) -> Name {
        let (mut pattern, mut numbers, mut rest) = (String::new(), Vec::new(), stem);
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            let (text, from) = rest.split_at(at);
            pattern.push_str(text);
            let end = from.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(from.len());
            let run = from[..end].trim_end_matches('.');
            rest = &from[run.len()..];
            if let [whole, fraction] = run.split('.').collect::<Vec<_>>()[..] {
                pattern.push(NUMBER);
                numbers.push(Number { whole: whole.into(), fraction: Some(fraction.into()) });
                continue;
            }
            for (i, part) in run.split('.').enumerate() {
                pattern.push_str(if i > 0 { "." } else { "" });
                if !part.is_empty() {
                    pattern.push(NUMBER);
                    numbers.push(Number { whole: part.into(), fraction: None });
                }
            }
        }
        pattern.push_str(rest);
        Name { pattern, numbers }
    }

    /// Parses the name of a file.
    pub fn of(path: &Path) -> Name {
        Name::parse(&path.file_stem().unwrap_or_default().to_string_lossy())
    }

    pub fn has_number(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// Returns whether the name is only a number.
    pub fn is_number(&self) -> bool {
        self.pattern.chars().eq([NUMBER])
    }

    /// Returns the text of the name, which is the same for all frames of a series.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Returns the pattern with `*` for each number.
    pub fn glob(&self) -> String {
        self.pattern.replace(NUMBER, "*")
    }

    /// Returns whether the fractions can be decimal fractions without trailing zeros. `0.10` after `0.9` cannot.
    fn is_decimal(&self) -> bool {
        let fractions = self.numbers.iter().filter_map(|n| n.fraction.as_ref());
        fractions.into_iter().all(|f| f.len() == 1 || !f.ends_with('0'))
    }

    /// Returns the key that sorts the name among other names of its pattern. Two names with the same numbers have the
    /// same key.
    fn key(&self, decimal: bool) -> Vec<(Digits, Digits)> {
        let fraction = |f: &str| if decimal { (0, f.trim_end_matches('0').to_string()) } else { digits(f) };
        let key = |n: &Number| (digits(&n.whole), n.fraction.as_deref().map(fraction).unwrap_or_default());
        self.numbers.iter().map(key).collect()
    }
}

/// Sorts files into natural order: names of one pattern by their numbers. Returns two files that have the same numbers,
/// if there are any.
///
/// Digits after a decimal point are a decimal fraction, as in time stamps (`0.15` is before `0.2`). If the names have
/// fractions such as `.10`, the digits are a counter (`0.2` is before `0.10`).
pub(super) fn sort<T>(files: &mut [(Name, T)]) -> Option<(usize, usize)> {
    let widths = |n: &Name| n.numbers.iter().filter_map(|n| n.fraction.as_ref().map(String::len)).collect::<Vec<_>>();
    let even = files.windows(2).all(|two| widths(&two[0].0) == widths(&two[1].0));
    let decimal = even || files.iter().all(|(name, _)| name.is_decimal());
    files.sort_by_cached_key(|(name, _)| (name.pattern.clone(), name.key(decimal)));
    let same =
        |two: &[(Name, T)]| two[0].0.pattern == two[1].0.pattern && two[0].0.key(decimal) == two[1].0.key(decimal);
    files.windows(2).position(same).map(|i| (i, i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> Vec<String> {
        let mut all: Vec<(Name, String)> = names.iter().map(|n| (Name::parse(n), n.to_string())).collect();
        assert_eq!(sort(&mut all), None, "{names:?}");
        all.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn natural_order() {
        for order in [
            &["1", "2", "10", "11"][..],
            &["00100", "00105", "00110"],
            &["frame1", "frame2", "frame010", "frame11"],
            &["img (1)", "img (2)", "img (10)"],
            &["2_left", "10_left"],
            &["IMG_2024-01-02_09-59-59", "IMG_2024-01-02_10-00-01", "IMG_2024-01-10_00-00-00"],
            // Longer than any integer type.
            &["9", "99999999999999999999999", "100000000000000000000000"],
            // Time stamps as they are printed: the fractions are decimal.
            &["1690000000.1", "1690000000.15", "1690000000.2", "1690000001", "1690000001.05"],
            &["1690000000.100000000", "1690000000.150000000", "1690000000.200000000"],
            &["t=0", "t=0.04", "t=0.2", "t=0.96", "t=1"],
            // Counters after a dot.
            &["shot2.1", "shot2.2", "shot2.9", "shot2.10", "shot2.11"],
            &["1.2.3", "1.2.10", "1.10.0"],
            &["2024.01.02", "2024.01.10", "2024.02.01"],
        ] {
            let mut reversed: Vec<&str> = order.to_vec();
            reversed.reverse();
            assert_eq!(sorted(&reversed), order);
        }
    }

    #[test]
    fn the_same_numbers() {
        for [one, other] in [["0", "00000"], ["frame1", "frame01"], ["1.5", "01.5"], ["7", "7.0"]] {
            let mut both = [(Name::parse(one), ()), (Name::parse(other), ())];
            assert_eq!(sort(&mut both), Some((0, 1)), "{one}, {other}");
        }
        for [one, other] in [["1", "+1"], ["frame1", "Frame1"], ["a1", "b1"], ["1", "1-2"]] {
            let mut both = [(Name::parse(one), ()), (Name::parse(other), ())];
            assert_eq!(sort(&mut both), None, "{one}, {other}");
        }
    }

    #[test]
    fn patterns() {
        for (name, glob, number) in [
            ("00012", "*", true),
            ("1690000000.5", "*", true),
            ("frame_0001", "frame_*", false),
            ("img (3) copy 2.", "img (*) copy *.", false),
            ("1..5", "*..*", false),
            ("cover", "cover", false),
            ("-1", "-*", false),
        ] {
            let parsed = Name::parse(name);
            assert_eq!((parsed.glob(), parsed.is_number()), (glob.to_string(), number), "{name}");
        }
    }
}
