//! Status and message of failed calls, and the frame around every call.

use crate::handles::Lookup;
use engine::Error;
use std::cell::{Cell, RefCell};
use std::ffi::c_char;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Result of a call. sam2_last_error() describes the latest failure in words.
#[allow(non_camel_case_types)]
pub type sam2_status = i32;

/// The call succeeded.
pub const SAM2_OK: sam2_status = 0;
/// An argument is out of range, a required pointer is NULL, or a saved state is damaged or belongs to another
/// model.
pub const SAM2_ERROR_INVALID_ARGUMENT: sam2_status = 1;
/// A handle is NULL, destroyed, or of another type.
pub const SAM2_ERROR_INVALID_HANDLE: sam2_status = 2;
/// Another thread, a job, or the call that made this callback uses the handle. For sam2_job_wait(): the job is still
/// running.
pub const SAM2_ERROR_BUSY: sam2_status = 3;
/// A file or folder cannot be opened, read or written, or an image or video is damaged.
pub const SAM2_ERROR_IO: sam2_status = 4;
/// A checkpoint is damaged or does not match its configuration, or the configuration is not supported.
pub const SAM2_ERROR_MODEL: sam2_status = 5;
/// The device is missing, too old, or failed.
pub const SAM2_ERROR_DEVICE: sam2_status = 6;
/// There is not enough memory. Existing objects remain usable.
pub const SAM2_ERROR_OUT_OF_MEMORY: sam2_status = 7;
/// A callback, a function such as sam2_video_predictor_cancel(), or the destruction of the object ended the call.
pub const SAM2_ERROR_CANCELLED: sam2_status = 8;
/// The call took longer than the limit of sam2_set_time_limit().
pub const SAM2_ERROR_TIMED_OUT: sam2_status = 9;
/// The library has a defect. Please report it.
pub const SAM2_ERROR_INTERNAL: sam2_status = 99;

/// Size of the message buffer in bytes, with the NUL.
const MESSAGE: usize = 512;

thread_local! {
    /// Message buffer, which does not move while its thread exists.
    static LAST: RefCell<[u8; MESSAGE]> = const { RefCell::new([0; MESSAGE]) };
    /// System error number of the same failure.
    static LAST_ERRNO: Cell<i32> = const { Cell::new(0) };
}

/// Reason for the failure of a call.
#[derive(Clone)]
pub(crate) struct Failure {
    pub status: sam2_status,
    message: String,
    /// Result of `sam2_last_errno`.
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

    /// Stores the failure for `sam2_last_error`, truncated to the buffer at the end of a character.
    pub fn say(&self) {
        let mut end = self.message.len().min(MESSAGE - 1);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        // A thread that is ending may have no buffer.
        let _ = LAST.try_with(|last| {
            let mut last = last.borrow_mut();
            last[..end].copy_from_slice(&self.message.as_bytes()[..end]);
            last[end] = 0;
        });
        LAST_ERRNO.set(self.errno);
    }
}

/// Number of errno.h if the system refused a file, otherwise 0.
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
            Error::Cancelled => SAM2_ERROR_CANCELLED,
            Error::TimedOut => SAM2_ERROR_TIMED_OUT,
            _ => SAM2_ERROR_INTERNAL,
        };
        Failure { errno: errno(&e), ..Failure::new(status, e.to_string()) }
    }
}

impl From<Lookup> for Failure {
    fn from(e: Lookup) -> Failure {
        match e {
            Lookup::Stale(what) => {
                Failure::new(SAM2_ERROR_INVALID_HANDLE, format!("not a valid handle of type {what}"))
            }
            Lookup::Busy(what) => {
                Failure::new(SAM2_ERROR_BUSY, format!("the {what} is in use by another thread or a job"))
            }
            Lookup::InCallback(what) => {
                let text = format!("the {what} is in use by the call on this thread that made this callback");
                Failure::new(SAM2_ERROR_BUSY, text)
            }
        }
    }
}

/// Does the work of a call. A panic becomes an error.
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

/// Does the work of a call, and stores a failure for `sam2_last_error`.
pub(crate) fn call(work: impl FnOnce() -> Result<()>) -> sam2_status {
    if crate::allocator::is_exhausted() {
        let what = "out of memory: the system has none, and little of the library's reserve is left";
        Failure::new(SAM2_ERROR_OUT_OF_MEMORY, what).say();
        return SAM2_ERROR_OUT_OF_MEMORY;
    }
    release(work)
}

/// As [`call`], for work that frees memory and needs none.
pub(crate) fn release(work: impl FnOnce() -> Result<()>) -> sam2_status {
    let work = || {
        #[cfg(test)]
        crate::panics::at(crate::panics::PanicSite::Begin);
        work()
    };
    let Err(failure) = outcome(work) else { return SAM2_OK };
    failure.say();
    failure.status
}

/// Gets the message of the latest failed call of the calling thread.
///
/// @return A NUL-terminated UTF-8 string of at most 511 bytes, never NULL. It is empty if no call of this thread has
///         failed. The string belongs to the thread and changes with the thread's next failed call. The call does not
///         block and does not fail.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_last_error() -> *const c_char {
    LAST.try_with(|last| last.as_ptr() as *const c_char).unwrap_or(c"".as_ptr())
}

/// Gets the system error number of the failure that sam2_last_error() describes.
///
/// @return A number of errno.h, such as ENOENT for a missing file, or 0 if the system did not refuse a file. The call
///         does not block and does not fail.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_last_errno() -> i32 {
    LAST_ERRNO.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn last() -> String {
        // SAFETY: the string belongs to this thread.
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
