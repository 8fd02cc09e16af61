//! Notices `fork`: the child has the memory of its parent and none of its threads.

#[cfg(unix)]
mod unix {
    use std::sync::Once;
    use std::sync::atomic::{AtomicU64, Ordering};

    static FORKS: AtomicU64 = AtomicU64::new(0);

    extern "C" fn forked() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    /// How many forks lie between this process and the one that asked first. A thread that was started when the number
    /// was another does not exist in this process.
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

/// Where there is no `fork` there is one process.
#[cfg(not(unix))]
pub fn generation() -> u64 {
    0
}
