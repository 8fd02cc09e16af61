//! Detects `fork`. A child process has the memory of its parent but none of its threads.

#[cfg(unix)]
mod unix {
    use std::sync::Once;
    use std::sync::atomic::{AtomicU64, Ordering};

    static FORKS: AtomicU64 = AtomicU64::new(0);

    extern "C" fn forked() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of forks between this process and the first process that called this function. A thread does
    /// not exist in this process if the number was different when the thread was started.
    pub fn generation() -> u64 {
        static REGISTERED: Once = Once::new();
        REGISTERED.call_once(|| {
            // SAFETY: the function is safe to call in a child of fork: it changes an atomic number. Where the system cannot
            // register it, forks go unnoticed.
            unsafe { libc::pthread_atfork(None, None, Some(forked)) };
        });
        FORKS.load(Ordering::Relaxed)
    }
}

#[cfg(unix)]
pub use unix::generation;

/// Returns 0. Without `fork` there is only one process.
#[cfg(not(unix))]
pub fn generation() -> u64 {
    0
}
