//! Version and logging of the library.

use crate::error::{Failure, call, sam2_status};
use engine::log::{self, Level, LevelFilter, Log, Metadata, Record};
use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::sync::{OnceLock, PoisonError, RwLock};

/// Major version of the library that this header belongs to.
pub const SAM2_VERSION_MAJOR: u32 = 0;
/// Minor version of the library that this header belongs to.
pub const SAM2_VERSION_MINOR: u32 = 1;
/// Patch version of the library that this header belongs to.
pub const SAM2_VERSION_PATCH: u32 = 0;
/// Version of the binary interface that this header declares. A program compares it with sam2_abi_version() at
/// run time.
pub const SAM2_ABI_VERSION: u32 = 1;

/// Gets the version of the binary interface of the loaded library.
///
/// A program fits the library if the result equals the SAM2_ABI_VERSION that the program was compiled with. The
/// version changes only when a function, a field or a constant is removed or changes its meaning.
///
/// @return The version of the interface. The call does not block and does not fail.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_abi_version() -> u32 {
    SAM2_ABI_VERSION
}

/// Gets the version of the loaded library as text.
///
/// @return A static string such as "0.1.0", never NULL. The call does not block and does not fail.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr() as *const c_char
}

/// Gets the version, the platform and the GPU architectures that the library was built for.
///
/// @return A static string such as "sam2 0.1.0, x86_64-linux, CUDA kernels for 80, 90a", never NULL. The call does
///         not block and does not fail.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_build_info() -> *const c_char {
    static TEXT: OnceLock<CString> = OnceLock::new();
    let text = TEXT.get_or_init(|| {
        let (version, arch, os) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS);
        let kernels =
            engine::cuda_architectures().map_or("no CUDA kernels".into(), |a| format!("CUDA kernels for {a}"));
        CString::new(format!("sam2 {version}, {arch}-{os}, {kernels}")).unwrap_or_default()
    });
    text.as_ptr()
}

/// Severity of a log message.
#[allow(non_camel_case_types)]
pub type sam2_log_level = i32;

/// An operation failed for a reason outside the caller's control.
pub const SAM2_LOG_ERROR: sam2_log_level = 1;
/// The library continues in spite of a problem.
pub const SAM2_LOG_WARN: sam2_log_level = 2;
/// A choice that is made once, such as the device and the precision of a model.
pub const SAM2_LOG_INFO: sam2_log_level = 3;
/// A rare event, such as an allocation.
pub const SAM2_LOG_DEBUG: sam2_log_level = 4;

/// Receives a log message.
///
/// The library calls it on any thread, and on several threads at the same time. It may be called inside any other call,
/// before that call returns. The callback may call the library, but messages that these calls would log are dropped.
/// It must not call sam2_set_log_callback(), which fails, and must not wait for a job or another thread that uses the
/// library, since sam2_set_log_callback() on a third thread would make both wait for ever.
///
/// @param user Pointer that was given to sam2_set_log_callback().
/// @param level A ::sam2_log_level.
/// @param message NUL-terminated UTF-8 string, valid until the callback returns.
#[allow(non_camel_case_types)]
pub type sam2_log_callback =
    Option<unsafe extern "C" fn(user: *mut c_void, level: sam2_log_level, message: *const c_char)>;

struct Callback(sam2_log_callback, *mut c_void);

// SAFETY: contract of callbacks: any thread may call the function with its pointer.
unsafe impl Send for Callback {}
// SAFETY: contract of callbacks.
unsafe impl Sync for Callback {}

static CALLBACK: RwLock<Callback> = RwLock::new(Callback(None, std::ptr::null_mut()));

thread_local! {
    /// Whether this thread runs the callback.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct ToCallback;

impl Log for ToCallback {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if INSIDE.replace(true) {
            return;
        }
        // Held during the call, so that sam2_set_log_callback waits until the callback has returned.
        let set = CALLBACK.read().unwrap_or_else(PoisonError::into_inner);
        let Callback(callback, user) = *set;
        if let (Some(callback), Ok(message)) = (callback, CString::new(record.args().to_string())) {
            // SAFETY: contract of callbacks; the text lives until it returns.
            unsafe { callback(user, record.level() as sam2_log_level, message.as_ptr()) };
        }
        drop(set);
        INSIDE.set(false);
    }

    fn flush(&self) {}
}

/// Sets the log callback of the process.
///
/// May be called at any time, before a model is loaded too. Blocks until running calls of the previous callback
/// return. The previous callback is not called after this function returns.
///
/// @param level Least severe ::sam2_log_level to report.
/// @param callback Receives the messages. NULL, the default, disables logging.
/// @param user Passed to `callback`. May be NULL.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if `level` is unknown or the call comes from within a log callback,
///         or a common status.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_set_log_callback(
    level: sam2_log_level,
    callback: sam2_log_callback,
    user: *mut c_void,
) -> sam2_status {
    call(|| {
        let level = match (level, callback) {
            (_, None) => LevelFilter::Off,
            (SAM2_LOG_ERROR, _) => Level::Error.to_level_filter(),
            (SAM2_LOG_WARN, _) => Level::Warn.to_level_filter(),
            (SAM2_LOG_INFO, _) => Level::Info.to_level_filter(),
            (SAM2_LOG_DEBUG, _) => Level::Debug.to_level_filter(),
            _ => return Err(Failure::argument(format!("no level {level}"))),
        };
        if INSIDE.get() {
            return Err(Failure::argument("a log callback cannot change who is called"));
        }
        // Only the first call succeeds. A Rust program that has its own logger keeps it.
        let _ = log::set_logger(&ToCallback);
        log::set_max_level(level);
        *CALLBACK.write().unwrap_or_else(PoisonError::into_inner) = Callback(callback, user);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_the_header_is_the_packages() {
        let header = format!("{SAM2_VERSION_MAJOR}.{SAM2_VERSION_MINOR}.{SAM2_VERSION_PATCH}");
        assert_eq!(header, env!("CARGO_PKG_VERSION"));
        assert_eq!(sam2_abi_version(), SAM2_ABI_VERSION);
    }
}
