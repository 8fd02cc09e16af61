//! How calls end, and what they say of it.

use crate::handles::Lookup;
use engine::Error;
use std::cell::{Cell, RefCell};
use std::ffi::c_char;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a call ended: `SAM2_OK`, or what went wrong; `sam2_last_error` says it in words.
#[allow(non_camel_case_types)]
pub type sam2_status = i32;

/// All went well.
pub const SAM2_OK: sam2_status = 0;
/// An argument is out of its range, or a pointer is null that must not be; or a saved state is damaged, or another model's.
pub const SAM2_ERROR_INVALID_ARGUMENT: sam2_status = 1;
/// A handle is stale, of another kind, or none.
pub const SAM2_ERROR_INVALID_HANDLE: sam2_status = 2;
/// Somebody else is using the handle: another thread, or a job in progress.
pub const SAM2_ERROR_BUSY: sam2_status = 3;
/// A file or folder cannot be opened, read or written; or is damaged, as a picture or a video.
pub const SAM2_ERROR_IO: sam2_status = 4;
/// A checkpoint is damaged, or does not fit its configuration; or a configuration has what is not supported.
pub const SAM2_ERROR_MODEL: sam2_status = 5;
/// The device is absent, too old or failed.
pub const SAM2_ERROR_DEVICE: sam2_status = 6;
/// There was not enough memory; what existed before the call still works.
pub const SAM2_ERROR_OUT_OF_MEMORY: sam2_status = 7;
/// A callback said to stop, or `sam2_video_predictor_cancel` did.
pub const SAM2_ERROR_CANCELLED: sam2_status = 8;
/// A defect of the library; please report it.
pub const SAM2_ERROR_INTERNAL: sam2_status = 99;

/// The longest message, with its end.
const MESSAGE: usize = 512;

thread_local! {
    /// A buffer that never moves while its thread lives.
    static LAST: RefCell<[u8; MESSAGE]> = const { RefCell::new([0; MESSAGE]) };
    /// The system's number of the same failure.
    static LAST_ERRNO: Cell<i32> = const { Cell::new(0) };
}

/// Why a call fails.
#[derive(Clone)]
pub(crate) struct Failure {
    pub status: sam2_status,
    message: String,
    /// As `sam2_last_errno` gives it.
    errno: i32,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub fn new(status: sam2_status, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into(), errno: 0 }
    }

    pub fn argument(message: impl Into<String>) -> Failure {
        Failure::new(SAM2_ERROR_INVALID_ARGUMENT, message)
    }

    pub fn cancelled() -> Failure {
        Failure::new(SAM2_ERROR_CANCELLED, "cancelled")
    }

    /// Keeps it for `sam2_last_error`, cut to its buffer at the end of a character.
    pub fn say(&self) {
        let mut end = self.message.len().min(MESSAGE - 1);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        // A thread that ends may have no buffer any more.
        let _ = LAST.try_with(|last| {
            let mut last = last.borrow_mut();
            last[..end].copy_from_slice(&self.message.as_bytes()[..end]);
            last[end] = 0;
        });
        LAST_ERRNO.set(self.errno);
    }
}

/// The number of C's errno.h for why the system refused a file; 0: it has none.
fn errno(e: &Error) -> i32 {
    let Error::Io { source, .. } = e else { return 0 };
    match source.kind() {
        ErrorKind::NotFound => 2,
        ErrorKind::PermissionDenied => 13,
        ErrorKind::AlreadyExists => 17,
        ErrorKind::NotADirectory => 20,
        ErrorKind::IsADirectory => 21,
        _ if cfg!(unix) => source.raw_os_error().unwrap_or(0),
        _ => 0,
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Failure {
        let status = match &e {
            Error::Io { .. } | Error::Picture { .. } | Error::Video { .. } | Error::Ffmpeg { .. } => SAM2_ERROR_IO,
            Error::Checkpoint { .. } | Error::Config { .. } => SAM2_ERROR_MODEL,
            Error::Input(_) => SAM2_ERROR_INVALID_ARGUMENT,
            Error::Device(_) => SAM2_ERROR_DEVICE,
            Error::OutOfMemory { .. } => SAM2_ERROR_OUT_OF_MEMORY,
            _ => SAM2_ERROR_INTERNAL,
        };
        Failure { errno: errno(&e), ..Failure::new(status, e.to_string()) }
    }
}

impl From<Lookup> for Failure {
    fn from(e: Lookup) -> Failure {
        match e {
            Lookup::Stale(what) => Failure::new(SAM2_ERROR_INVALID_HANDLE, format!("not a living handle of a {what}")),
            Lookup::Busy(what) => Failure::new(SAM2_ERROR_BUSY, format!("the {what} is in use by another thread")),
        }
    }
}

/// Does the work of a call; how it failed, if it did. No panic gets past it.
pub(crate) fn outcome(work: impl FnOnce() -> Result<()>) -> Result<()> {
    let floats = crate::floats::Standard::set();
    let ended = catch_unwind(AssertUnwindSafe(work));
    drop(floats);
    crate::allocator::call_ended();
    ended.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(Failure::new(SAM2_ERROR_INTERNAL, format!("internal error: {text}; please report this")))
    })
}

/// Does the work of a call, and keeps what went wrong for `sam2_last_error`.
pub(crate) fn call(work: impl FnOnce() -> Result<()>) -> sam2_status {
    if crate::allocator::is_exhausted() {
        let what = "out of memory: the system has none, and little of the library's reserve is left";
        Failure::new(SAM2_ERROR_OUT_OF_MEMORY, what).say();
        return SAM2_ERROR_OUT_OF_MEMORY;
    }
    release(work)
}

/// As [`call`], for work that frees memory, which is done without any.
pub(crate) fn release(work: impl FnOnce() -> Result<()>) -> sam2_status {
    let work = || {
        #[cfg(test)]
        crate::panics::at(crate::panics::Place::Begin);
        work()
    };
    let Err(failure) = outcome(work) else { return SAM2_OK };
    failure.say();
    failure.status
}

/// What went wrong in the last call of this thread that failed; an empty text if none has. The text is the thread's own,
/// and changes with its next call that fails.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_last_error() -> *const c_char {
    LAST.try_with(|last| last.as_ptr() as *const c_char).unwrap_or(c"".as_ptr())
}

/// Why the system refused a file in the call that `sam2_last_error` tells of, as a number of errno.h: ENOENT where there is no
/// such file. 0 where it was not the system that refused, or a file.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_last_errno() -> i32 {
    LAST_ERRNO.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn last() -> String {
        // SAFETY: this thread's text.
        unsafe { CStr::from_ptr(sam2_last_error()) }.to_str().unwrap().into()
    }

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(call(|| panic!("{} went wrong", 7)), SAM2_ERROR_INTERNAL);
        assert_eq!(last(), "internal error: 7 went wrong; please report this");
        assert_eq!(call(|| Ok(())), SAM2_OK);
        assert_eq!(last(), "internal error: 7 went wrong; please report this", "what went wrong last");
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        let long = "é".repeat(400);
        assert_eq!(call(|| Err(Failure::argument(long.clone()))), SAM2_ERROR_INVALID_ARGUMENT);
        assert_eq!(last(), "é".repeat(255));
    }
}
