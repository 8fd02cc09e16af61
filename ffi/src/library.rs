//! The library itself: its version, and what it has to say.

use crate::status::{Failure, call, sam2_status};
use engine::log::{self, Level, LevelFilter, Log, Metadata, Record};
use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::sync::{OnceLock, PoisonError, RwLock};

/// The version of this interface. It changes only when something is taken away or changes its meaning.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_abi_version() -> u32 {
    0
}

/// The version of the library, as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn sam2_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr() as *const c_char
}

/// What the library was built for, as "sam2 0.1.0, x86_64-linux, CUDA kernels for 80, 90a"; it never changes.
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

/// Something failed in a way that is no caller's fault.
pub const SAM2_LOG_ERROR: i32 = 1;
/// Something is not as it should be, and the library goes on.
pub const SAM2_LOG_WARN: i32 = 2;
/// What was chosen, once: a model's device, its precision.
pub const SAM2_LOG_INFO: i32 = 3;
/// What is done seldom: allocations, recordings.
pub const SAM2_LOG_DEBUG: i32 = 4;

/// Gets the caller's pointer, SAM2_LOG_... and a text, which is there until it returns; on any thread, several at once.
/// What the library would say of calls made from there is not said.
#[allow(non_camel_case_types)]
pub type sam2_log_callback = Option<unsafe extern "C" fn(user: *mut c_void, level: i32, message: *const c_char)>;

struct Callback(sam2_log_callback, *mut c_void);

// SAFETY: the caller's function is for any thread, and so is what it is given.
unsafe impl Send for Callback {}
// SAFETY: as above.
unsafe impl Sync for Callback {}

static CALLBACK: RwLock<Callback> = RwLock::new(Callback(None, std::ptr::null_mut()));

thread_local! {
    /// The callback is running.
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
        // Held over the call: who sets another callback waits until this one has returned.
        let callback = CALLBACK.read().unwrap_or_else(PoisonError::into_inner);
        let Callback(each, user) = *callback;
        if let (Some(each), Ok(message)) = (each, CString::new(record.args().to_string())) {
            // SAFETY: the caller's function; the text lives until it returns.
            unsafe { each(user, record.level() as i32, message.as_ptr()) };
        }
        drop(callback);
        INSIDE.set(false);
    }

    fn flush(&self) {}
}

/// Says who gets what the library has to say, up to `level`, at any time, before there is a model too. `each` null: nobody, as
/// in the beginning. Waits until calls of the callback before have returned, and after it returns that one is not called any
/// more. Not from within a callback.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_set_log_callback(level: i32, each: sam2_log_callback, user: *mut c_void) -> sam2_status {
    call(|| {
        let level = match (level, each) {
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
        // Only the first succeeds; a program that logs through the same crate keeps its own logger.
        let _ = log::set_logger(&ToCallback);
        log::set_max_level(level);
        *CALLBACK.write().unwrap_or_else(PoisonError::into_inner) = Callback(each, user);
        Ok(())
    })
}
