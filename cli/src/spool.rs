//! Keeps results in a temporary file until they are complete.

use crate::output::Unfinished;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom, Write, copy};
use std::path::Path;

/// A map from keys to bytes, in a temporary file. Storing a key again replaces its bytes.
pub struct Spool<K> {
    file: File,
    /// Removes the file when dropped.
    _name: Unfinished,
    /// Offset and length of the bytes of each key.
    places: BTreeMap<K, (u64, u64)>,
    end: u64,
}

impl<K: Ord + Copy> Spool<K> {
    /// Creates the temporary file in the folder of `result`. If `result` is a device or a pipe, in the system's
    /// temporary folder.
    pub fn beside(result: &Path) -> Result<Spool<K>> {
        let mut name = Unfinished::create(result)?;
        if name.path().is_none() {
            name = Unfinished::create(&std::env::temp_dir().join("sam2"))?;
        }
        let path = name.path().ok_or(std::io::ErrorKind::Unsupported)?;
        let file = File::options().read(true).write(true).open(path)?;
        Ok(Spool { file, _name: name, places: BTreeMap::new(), end: 0 })
    }

    /// Stores the bytes of a key. If their number equals that of the previous bytes, they overwrite those.
    pub fn put(&mut self, key: K, bytes: &[u8]) -> Result<()> {
        let len = bytes.len() as u64;
        let at = self.places.get(&key).filter(|(_, n)| *n == len).map_or(self.end, |(at, _)| *at);
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)?;
        self.places.insert(key, (at, len));
        self.end = self.end.max(at + len);
        Ok(())
    }

    /// The keys in ascending order.
    pub fn keys(&self) -> impl Iterator<Item = K> + use<'_, K> {
        self.places.keys().copied()
    }

    /// Writes `len` bytes of a key to `out`, starting at byte `from`.
    pub fn copy(&self, key: K, from: u64, len: u64, out: &mut dyn Write) -> Result<()> {
        let (at, _) = self.places.get(&key).ok_or(std::io::ErrorKind::NotFound)?;
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at + from))?;
        match copy(&mut file.take(len), out)? {
            n if n == len => Ok(()),
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// All bytes of a key.
    pub fn get(&self, key: K) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let len = self.places.get(&key).map_or(0, |(_, len)| *len);
        self.copy(key, 0, len, &mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_bytes_of_a_key() {
        let folder = std::env::temp_dir().join(format!("sam2-cli-spool-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut spool = Spool::beside(&folder.join("x.bin")).unwrap();
        for (key, bytes) in [(7, &b"seven"[..]), (3, b"three"), (7, b"SEVEN"), (5, b""), (3, b"longer")] {
            spool.put(key, bytes).unwrap();
        }
        assert_eq!(spool.keys().collect::<Vec<_>>(), [3, 5, 7]);
        assert_eq!([3, 5, 7].map(|key| spool.get(key).unwrap()), [&b"longer"[..], b"", b"SEVEN"]);
        // A replacement of the same length takes no more room.
        assert_eq!(spool.end, 16);
        let mut part = Vec::new();
        spool.copy(7, 1, 3, &mut part).unwrap();
        assert_eq!(part, b"EVE");
        assert!(spool.get(9).is_err());
        drop(spool);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        let _ = std::fs::remove_dir_all(folder);
    }
}
