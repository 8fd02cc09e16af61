//! A file that gets its name only when it is complete.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Result, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The temporary files of this process.
static TEMPORARY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn temporary() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file under a temporary name in its final folder. [`finish`](Self::finish) renames it. If it is dropped before
/// that, the temporary file is removed, and a previous file of that name stays unchanged.
///
/// A symbolic link is kept, and its target is replaced. A device or a pipe is written directly.
pub struct Unfinished {
    file: File,
    /// Temporary and final name. `None` for a device or a pipe.
    names: Option<(PathBuf, PathBuf)>,
}

impl Unfinished {
    /// Creates the temporary file.
    pub fn create(path: &Path) -> Result<Unfinished> {
        let found = std::fs::metadata(path).ok();
        if found.as_ref().is_some_and(|found| found.is_dir()) {
            return Err(ErrorKind::IsADirectory.into());
        }
        if found.as_ref().is_some_and(|found| !found.is_file()) || path.starts_with("/dev") || path.starts_with("/proc")
        {
            return Ok(Unfinished { file: File::options().write(true).open(path)?, names: None });
        }
        let target = follow(path)?;
        let (temporary_name, file) = create_beside(&target)?;
        let unfinished = Unfinished { file, names: Some((temporary_name, target)) };
        if let Some(found) = found {
            unfinished.file.set_permissions(found.permissions())?;
        }
        Ok(unfinished)
    }

    /// The temporary name. `None` for a device or a pipe.
    pub fn path(&self) -> Option<&Path> {
        self.names.as_ref().map(|(temporary, _)| temporary.as_path())
    }

    /// Renames the file to its final name. A previous file of that name is replaced.
    pub fn finish(mut self) -> Result<()> {
        self.file.flush()?;
        let Some((temporary_name, target)) = &self.names else { return Ok(()) };
        std::fs::rename(temporary_name, target)
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some((temporary_name, _)) = &self.names {
            let mut all = temporary();
            // After `finish` no file has this name, and removing it fails.
            let _ = std::fs::remove_file(temporary_name);
            all.remove(temporary_name);
        }
    }
}

/// The target of a chain of symbolic links. It need not exist.
fn follow(path: &Path) -> Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..40 {
        match std::fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(std::io::Error::other("too many symbolic links"))
}

/// Creates a hidden file with a unique name beside `target`. It has the extension of `target`, by which programs
/// recognize the format.
fn create_beside(target: &Path) -> Result<(PathBuf, File)> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    // File names are limited to 255 bytes on most systems.
    let stem: String = part(target.file_stem()).chars().take(40).collect();
    let suffix = part(target.extension());
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".{stem}.{}-{count}.{suffix}", std::process::id());
        let path = target.with_file_name(name.trim_end_matches('.'));
        let mut all = temporary();
        match File::options().write(true).create_new(true).open(&path) {
            Ok(file) => {
                all.insert(path.clone());
                return Ok((path, file));
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
}

/// Removes temporary files when a signal ends the process.
#[cfg(unix)]
pub fn remove_on_signals() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let wait = || {
        let handled = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|&signal| !is_ignored(signal));
        let Ok(mut signals) = signal_hook::iterator::Signals::new(handled) else { return };
        if let Some(signal) = signals.forever().next() {
            // The lock is held to the end, so that no temporary file is created after this.
            let all = temporary();
            all.iter().for_each(|path| drop(std::fs::remove_file(path)));
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    };
    // If the thread cannot be started, signals end the process as usual.
    let _ = std::thread::Builder::new().name("sam2-signals".into()).spawn(wait);
}

/// Whether the process was started with a signal ignored, as by `nohup`.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let mut current = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null action only asks for the current one, which is written to `current`.
    let status = unsafe { libc::sigaction(signal, std::ptr::null(), current.as_mut_ptr()) };
    // SAFETY: zeroed, or written by the call: valid either way.
    let current = unsafe { current.assume_init() };
    status == 0 && current.sa_sigaction == libc::SIG_IGN
}

#[cfg(not(unix))]
pub fn remove_on_signals() {}
