//! The time limit of calls.

use crate::error::{call, sam2_status};
use engine::CancellationToken;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Number of milliseconds that sets no limit.
pub const SAM2_WAIT_FOREVER: u64 = u64::MAX;

thread_local! {
    /// The time limit of calls that this thread begins, in milliseconds.
    static LIMIT: Cell<u64> = const { Cell::new(SAM2_WAIT_FOREVER) };
}

/// Returns the token of a call that begins now.
pub(crate) fn token() -> CancellationToken {
    match LIMIT.get() {
        SAM2_WAIT_FOREVER => CancellationToken::new(),
        // A limit of centuries is none.
        limit => Instant::now()
            .checked_add(Duration::from_millis(limit))
            .map_or_else(CancellationToken::new, CancellationToken::with_deadline),
    }
}

/// Sets the time limit of the calls that the calling thread begins from now on.
///
/// A call or job that takes longer ends with SAM2_ERROR_TIMED_OUT. The time of a job begins with the call that starts
/// it. On the CPU the end comes within some milliseconds after the limit, and on a GPU after the work that is enqueued.
/// The limit applies to all calls that load, compute, or read the frames of a video. After the end everything is as
/// after another failure of the same call, so the call can be made again.
///
/// @param milliseconds The limit. SAM2_WAIT_FOREVER, the default of every thread, sets no limit.
/// @param previous Receives the limit before the call, to be set again later. May be NULL.
/// @return SAM2_OK. The call does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_set_time_limit(milliseconds: u64, previous: *mut u64) -> sam2_status {
    call(|| {
        let before = LIMIT.replace(milliseconds);
        if !previous.is_null() {
            // SAFETY: contract of callers.
            unsafe { previous.write(before) };
        }
        Ok(())
    })
}
