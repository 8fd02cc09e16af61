//! `sam2_job`: calls that go on while their caller does something else.

use crate::handles::Table;
use crate::status::{
    Failure, Result, SAM2_ERROR_BUSY, SAM2_ERROR_INTERNAL, SAM2_ERROR_OUT_OF_MEMORY, SAM2_OK, call, outcome, release,
    sam2_status,
};
use engine::engine::fork;
use std::cell::Cell;
use std::ffi::c_void;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A call in progress, or one that has ended. Any number of threads may wait for it.
#[allow(non_camel_case_types)]
pub struct sam2_job {
    _opaque: [u8; 0],
}

/// Gets the caller's pointer and how a job ended, on a thread of the library. It may make calls, and may destroy that job.
#[allow(non_camel_case_types)]
pub type sam2_done_callback = Option<unsafe extern "C" fn(user: *mut c_void, status: sam2_status)>;

static JOBS: Table<Job> = Table::new("job", 5);

/// How a job ended, once it has.
#[derive(Default)]
pub(crate) struct Job {
    ended: Mutex<Option<Result<()>>>,
    told: Condvar,
}

thread_local! {
    /// The job that this thread works on, else null.
    static CURRENT: Cell<*const Job> = const { Cell::new(std::ptr::null()) };
}

impl Job {
    fn ended(&self) -> MutexGuard<'_, Option<Result<()>>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that has ended so.
    pub fn ended_with(how: Result<()>) -> Arc<Job> {
        let job = Job::default();
        job.end(how);
        Arc::new(job)
    }

    fn end(&self, how: Result<()>) {
        *self.ended() = Some(how);
        self.told.notify_all();
    }

    /// Waits for the end, and says how it was.
    pub fn result(&self) -> Result<()> {
        self.wait(None).unwrap_or(Ok(()))
    }

    /// Whether this is called by the job itself, from a callback: it cannot wait for its own end.
    fn is_current(&self) -> bool {
        std::ptr::eq(CURRENT.get(), self)
    }

    /// Waits for the end, or for so long.
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

/// Something of the caller's that goes to another thread, as they were told.
pub(crate) struct Sent<T>(T);

// SAFETY: what callers lend to a job is there, and not theirs to touch, until the job has ended.
unsafe impl<T> Send for Sent<T> {}

impl<T> Sent<T> {
    /// # Safety
    /// It may be used by any one thread until the job has ended.
    pub unsafe fn new(value: T) -> Self {
        Sent(value)
    }

    pub fn get(&self) -> &T {
        &self.0
    }
}

type Work = Box<dyn FnOnce() + Send>;

/// Threads without work. There are as many as there ever were jobs at once.
#[derive(Default)]
struct Idle {
    threads: Vec<Sender<Work>>,
    /// The process that they are in.
    process: u64,
}

static IDLE: Mutex<Idle> = Mutex::new(Idle { threads: Vec::new(), process: 0 });

fn idle() -> MutexGuard<'static, Idle> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if idle.process != fork::generation() {
        // A child of fork has none of its parent's threads.
        let parents = std::mem::replace(&mut *idle, Idle { threads: Vec::new(), process: fork::generation() });
        std::mem::forget(parents.threads);
    }
    idle
}

/// A thread without work, for work that never panics.
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
    let started = std::thread::Builder::new().name("sam2-job".into()).spawn(run);
    started.map_err(|e| Failure::new(SAM2_ERROR_OUT_OF_MEMORY, format!("cannot start a thread: {e}")))?;
    Ok(send)
}

/// Starts work, which ends the job; `done` is called before that is known. `known` gets the job before the work begins, which
/// it does not where `known` fails.
fn start_as(
    known: impl FnOnce(&Arc<Job>) -> Result<()>,
    work: impl FnOnce() -> Result<()> + Send + 'static,
    done: impl FnOnce(sam2_status) + Send + 'static,
) -> Result<Arc<Job>> {
    let thread = idle_thread()?;
    let job = Arc::new(Job::default());
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
        // Last: whoever waited may take back what they lent.
        theirs.end(ended);
    });
    thread.send(work).map_err(|_| Failure::new(SAM2_ERROR_INTERNAL, "a thread that has ended"))?;
    Ok(job)
}

/// Starts work on a thread of the library.
pub(crate) fn start(work: impl FnOnce() -> Result<()> + Send + 'static) -> Result<Arc<Job>> {
    start_as(|_| Ok(()), work, |_| {})
}

/// Begins a job, whose arguments were checked. Its handle is in `*out` before any callback is called; where `out` is null
/// there is none, and the job lets go of itself when it ends.
///
/// # Safety
/// `out` is null or writable.
pub(crate) unsafe fn begin(
    out: *mut *mut sam2_job,
    done: sam2_done_callback,
    user: *mut c_void,
    work: impl FnOnce() -> Result<()> + Send + 'static,
) -> Result<()> {
    // SAFETY: the caller's pointer is for the library's thread.
    let user = unsafe { Sent::new(user) };
    let known = |job: &Arc<Job>| {
        if !out.is_null() {
            let handle = JOBS.insert(job.clone())?;
            // SAFETY: the caller's promise.
            unsafe { out.write(handle) };
        }
        Ok(())
    };
    start_as(known, work, move |status| {
        if let Some(done) = done {
            // SAFETY: the caller's function.
            unsafe { done(*user.get(), status) };
        }
    })?;
    Ok(())
}

/// No limit to how long to wait.
pub const SAM2_WAIT_FOREVER: u64 = 0xffff_ffff_ffff_ffff;

/// Waits for the end of a job, at most so many milliseconds (0: only asks), and writes how it ended; `sam2_last_error` then
/// says why. Returns SAM2_ERROR_BUSY where it goes on; at once, where a callback of the job itself asks.
///
/// # Safety
/// `status` is writable.
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
        // SAFETY: the caller's promise.
        unsafe { status.write(how.map_or_else(|failure| failure.status, |()| SAM2_OK)) };
        Ok(())
    })
}

/// Lets go of a job, once it has ended: waits for it. From a callback of the job itself it does not wait, and the library
/// lets go of the job when that ends.
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
