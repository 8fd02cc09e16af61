//! Threads of the library.

use std::io::Result;
use std::thread::{Builder, JoinHandle};

/// Starts a thread that gets no signals of the process, so that the signal handlers of a host run on the host's own
/// threads. Signals that an instruction of the thread raises, such as `SIGSEGV`, are not blocked.
///
/// # Errors
///
/// The system gives no more threads.
pub fn spawn<T: Send + 'static>(
    name: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>> {
    // A thread inherits what its creator blocks, so there is no moment at which it gets a signal.
    #[cfg(unix)]
    let _blocked = unix::Blocked::new();
    Builder::new().name(name.into()).spawn(work)
}

#[cfg(unix)]
mod unix {
    use std::mem::MaybeUninit;

    /// Signals that instructions raise. While they are blocked, the system ends the process without calling a handler.
    const RAISED: [i32; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

    /// Blocks the signals of the calling thread until it is dropped.
    pub(super) struct Blocked(libc::sigset_t);

    impl Blocked {
        pub fn new() -> Blocked {
            let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
            // SAFETY: `sigfillset` and `pthread_sigmask` write the sets that they are given.
            unsafe {
                libc::sigfillset(all.as_mut_ptr());
                RAISED.iter().for_each(|&signal| _ = libc::sigdelset(all.as_mut_ptr(), signal));
                libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
                Blocked(before.assume_init())
            }
        }
    }

    impl Drop for Blocked {
        fn drop(&mut self) {
            // SAFETY: the set that the thread had before.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
        }
    }
}
