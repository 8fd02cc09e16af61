//! Names of images, videos and sessions, which a stranger cannot guess.

use sha2::{Digest, Sha256};

const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// 128 bits in base32, lower case: 26 letters and digits.
fn base32(bits: u128) -> String {
    // The last letter has three bits and two zeros.
    let five = |i: u32| if i < 25 { bits >> (123 - 5 * i) } else { bits << 2 };
    (0..26).map(|i| LETTERS[(five(i) & 31) as usize] as char).collect()
}

/// A random id.
///
/// # Errors
///
/// The system has no random numbers.
pub fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(base32(u128::from_be_bytes(bytes)))
}

/// Whether a text has the form of an id.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|byte| LETTERS.contains(&byte))
}

/// 128 bits of the SHA-256 of some bytes.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    of_bytes("", bytes)
}

/// The id of some bytes. The same bytes have the same id. `secret` keeps strangers from computing it.
#[must_use]
pub fn of_bytes(secret: &str, bytes: &[u8]) -> String {
    let hash = Sha256::new().chain_update(secret).chain_update(bytes).finalize();
    let mut start = [0; 16];
    start.copy_from_slice(&hash[..16]);
    base32(u128::from_be_bytes(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_26_letters_and_digits() {
        assert_eq!(base32(0), "a".repeat(26));
        assert_eq!(base32(u128::MAX), format!("{}4", "7".repeat(25)));
        assert_eq!(base32(1), format!("{}e", "a".repeat(25)));
        let (one, two) = (random().unwrap(), random().unwrap());
        assert!(one != two && is_id(&one) && is_id(&two));
        assert!(!is_id("") && !is_id(&one[1..]) && !is_id(&"A".repeat(26)));
        assert_eq!(of_bytes("x", b"abc"), of_bytes("x", b"abc"));
        assert_ne!(of_bytes("x", b"abc"), of_bytes("y", b"abc"));
    }
}
