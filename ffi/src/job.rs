//! `sam2_job`: calls that run on threads of the library.

use crate::error::{
    Failure, Result, SAM2_ERROR_BUSY, SAM2_ERROR_INTERNAL, SAM2_ERROR_OUT_OF_MEMORY, SAM2_OK, call, outcome, release,
    sam2_status,
};
use crate::exclusive::Lease;
use crate::handles::Table;
use crate::limits::SAM2_WAIT_FOREVER;
use crate::sent::Sent;
use engine::CancellationToken;
use sam2_engine::{fork, thread};
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A call that runs on a thread of the library, or that has ended. Any number of threads may wait for it.
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_job {
    _opaque: [u8; 0],
}

/// Receives the end of a job, on a thread of the library. The callback may call the library and may destroy the job.
///
/// @param user Pointer that was given to the call.
/// @param status How the job ended.
#[allow(non_camel_case_types)]
pub type sam2_done_callback = Option<unsafe extern "C" fn(user: *mut c_void, status: sam2_status)>;

static JOBS: Table<Job> = Table::new("job", 5);

/// State of a job: its result, once it has ended.
#[derive(Default)]
pub(crate) struct Job {
    ended: Mutex<Option<Result<()>>>,
    told: Condvar,
    /// Ends the work.
    token: CancellationToken,
}

thread_local! {
    /// The job that this thread runs, or null.
    static CURRENT: Cell<*const Job> = const { Cell::new(std::ptr::null()) };
}

impl Job {
    fn ended(&self) -> MutexGuard<'_, Option<Result<()>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates a job that has ended with a result.
    pub fn ended_with(how: Result<()>) -> Arc<Job> {
        let job = Job::default();
        job.end(how);
        Arc::new(job)
    }

    fn end(&self, how: Result<()>) {
        *self.ended() = Some(how);
        self.told.notify_all();
    }

    /// Waits for the end and returns the result.
    pub fn result(&self) -> Result<()> {
        self.wait(None).unwrap_or(Ok(()))
    }

    /// Whether the current thread runs this job, in a callback. A job cannot wait for its own end.
    fn is_current(&self) -> bool {
        std::ptr::eq(CURRENT.get(), self)
    }

    /// Waits for the end, for at most the given time.
    fn wait(&self, limit: Option<Duration>) -> Option<Result<()>> {
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut ended = self.ended();
        while ended.is_none() {
            ended = match until {
                None => self.told.wait(ended).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.told.wait_timeout(ended, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        ended.clone()
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// Idle threads. Their number is at most the largest number of simultaneous jobs.
#[derive(Default)]
struct Idle {
    threads: Vec<Sender<Work>>,
    /// The process of the threads.
    process: u64,
}

static IDLE: Mutex<Idle> = Mutex::new(Idle { threads: Vec::new(), process: 0 });

fn idle() -> MutexGuard<'static, Idle> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if idle.process != fork::generation() {
        // A child of fork() has none of the threads of its parent.
        let parents = std::mem::replace(&mut *idle, Idle { threads: Vec::new(), process: fork::generation() });
        std::mem::forget(parents.threads);
    }
    idle
}

/// Takes or starts an idle thread, for work that does not panic.
fn idle_thread() -> Result<Sender<Work>> {
    if let Some(thread) = idle().threads.pop() {
        return Ok(thread);
    }
    let (send, receive) = channel::<Work>();
    let again = send.clone();
    let run = move || {
        while let Ok(work) = receive.recv() {
            work();
            idle().threads.push(again.clone());
        }
    };
    thread::spawn("sam2-job", run)
        .map_err(|e| Failure::new(SAM2_ERROR_OUT_OF_MEMORY, format!("cannot start a thread: {e}")))?;
    Ok(send)
}

/// Starts work that ends a job. `token` ends the work. `done` is called before the end becomes visible. `known` receives the job before the
/// work begins. If `known` fails, the work does not begin.
fn start_as(
    token: CancellationToken,
    known: impl FnOnce(&Arc<Job>) -> Result<()>,
    work: impl FnOnce() -> Result<()> + Send + 'static,
    done: impl FnOnce(sam2_status) + Send + 'static,
) -> Result<Arc<Job>> {
    let thread = idle_thread()?;
    let job = Arc::new(Job { token, ..Job::default() });
    if let Err(failure) = known(&job) {
        idle().threads.push(thread);
        return Err(failure);
    }
    let theirs = job.clone();
    let work: Work = Box::new(move || {
        CURRENT.set(Arc::as_ptr(&theirs));
        let ended = outcome(work);
        done(ended.as_ref().map_or_else(|e| e.status, |()| SAM2_OK));
        CURRENT.set(std::ptr::null());
        // Last, because callers that wait may then free their memory.
        theirs.end(ended);
    });
    thread.send(work).map_err(|_| Failure::new(SAM2_ERROR_INTERNAL, "a thread that has ended"))?;
    Ok(job)
}

/// Starts work on a thread of the library.
pub(crate) fn start(work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<Arc<Job>> {
    start_as(CancellationToken::new(), |_| Ok(()), work, |_| {})
}

/// Begins a job that works with an object, after its arguments are checked. The handle is written to `*out` before any callback is called. If
/// `out` is NULL, there is no handle, and the job is freed when it ends.
///
/// # Safety
/// `out` is NULL or writable.
pub(crate) unsafe fn begin<T: Send + 'static>(
    out: *mut *mut sam2_job,
    on_done: sam2_done_callback,
    user: *mut c_void,
    mut object: Lease<T>,
    work: impl FnOnce(&mut T) -> Result<()> + Send + 'static,
) -> Result<()> {
    // SAFETY: contract of callbacks: the thread of the library passes the pointer on.
    let user = unsafe { Sent::new(user) };
    let known = |job: &Arc<Job>| {
        if !out.is_null() {
            let handle = JOBS.insert(job.clone())?;
            // SAFETY: contract of callers.
            unsafe { out.write(handle) };
        }
        Ok(())
    };
    let token = object.token();
    // The object is returned before `on_done` is called.
    let work = move || object.run(work);
    start_as(token, known, work, move |status| {
        if let Some(on_done) = on_done {
            // SAFETY: contract of callbacks.
            unsafe { on_done(*user.get(), status) };
        }
    })?;
    Ok(())
}

/// Waits for the end of a job.
///
/// Blocks for at most the given time. From a callback of the job itself, the call returns SAM2_ERROR_BUSY at once.
///
/// @param job The job.
/// @param milliseconds Longest time to wait. 0 returns at once, and SAM2_WAIT_FOREVER sets no limit.
/// @param status Receives the status of the job. If the job failed, sam2_last_error() describes the failure.
/// @return SAM2_OK if the job has ended, SAM2_ERROR_BUSY if it is still running, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_job_wait(
    job: *const sam2_job,
    milliseconds: u64,
    status: *mut sam2_status,
) -> sam2_status {
    call(|| {
        if status.is_null() {
            return Err(Failure::argument("status is null"));
        }
        let job = JOBS.get(job)?;
        let limit = (milliseconds != SAM2_WAIT_FOREVER).then(|| Duration::from_millis(milliseconds));
        let ended = job.wait(if job.is_current() { Some(Duration::ZERO) } else { limit });
        let how = ended.ok_or_else(|| Failure::new(SAM2_ERROR_BUSY, "the job goes on"))?;
        if let Err(failure) = &how {
            failure.say();
        }
        // SAFETY: contract of callers.
        unsafe { status.write(how.map_or_else(|failure| failure.status, |()| SAM2_OK)) };
        Ok(())
    })
}

/// Ends a job. It ends with SAM2_ERROR_CANCELLED, as after sam2_video_predictor_cancel(). Does not block.
///
/// @param job The job.
/// @return SAM2_OK, also if the job has ended, or SAM2_ERROR_INVALID_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_job_cancel(job: *const sam2_job) -> sam2_status {
    call(|| {
        JOBS.get(job)?.token.cancel();
        Ok(())
    })
}

/// Destroys a job.
///
/// Blocks until the job ends. From a callback of the job itself, the call returns at once, and the job is freed when
/// it ends.
///
/// @param job The job.
/// @return SAM2_OK, or SAM2_ERROR_INVALID_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_job_destroy(job: *mut sam2_job) -> sam2_status {
    release(|| {
        let ending = JOBS.get(job)?;
        JOBS.remove(job)?;
        if !ending.is_current() {
            ending.wait(None);
        }
        Ok(())
    })
}
