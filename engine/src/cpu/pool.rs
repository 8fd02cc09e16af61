//! The threads of a model, which run parallel loops.
//!
//! One parallel loop runs at a time. If the pool is in use, a caller runs its loop on its own thread. With as many
//! callers as threads, no caller waits. Tasks never depend on the thread that runs them, so results are the same. A
//! forked child of a process with a pool also runs its loops on its own thread.

use crate::{fork, thread};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// The number of turns of the waiting loop before a thread sleeps: some 50 microseconds with one pause per turn.
const SPINS: u32 = 2_000;

/// The body of a loop. Its arguments are the index of a task, and the slot of the thread that runs the task.
type Body<'a> = &'a (dyn Fn(usize, usize) + Sync);

struct Shared {
    /// The number of loops so far. A change tells the workers that there is a new loop.
    epoch: AtomicU64,
    /// The body and length of the current loop.
    job: Mutex<Option<(Body<'static>, usize)>>,
    /// The next task that no thread has started.
    next: AtomicUsize,
    /// The number of workers that have not finished the current loop.
    busy: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
    asleep: Mutex<usize>,
    wake: Condvar,
}

/// A pool of `threads - 1` workers. The caller of [`Pool::run`] is the last thread.
pub struct Pool {
    shared: Arc<Shared>,
    taken: AtomicBool,
    workers: Vec<JoinHandle<()>>,
    /// The process that the workers belong to.
    process: u64,
}

impl Pool {
    /// Starts the workers. If `cpus` is not empty, the workers are bound to these CPUs in turn.
    ///
    /// # Errors
    ///
    /// The system gives no more threads, or a thread cannot be bound to its CPU.
    pub fn new(threads: usize, cpus: &[usize]) -> std::io::Result<Pool> {
        let shared = Arc::new(Shared {
            epoch: AtomicU64::new(0),
            job: Mutex::new(None),
            next: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            asleep: Mutex::new(0),
            wake: Condvar::new(),
        });
        let process = fork::generation();
        let mut pool = Pool { shared, taken: AtomicBool::new(false), workers: Vec::new(), process };
        let (send, bound) = channel();
        for slot in 1..threads {
            let (shared, send) = (pool.shared.clone(), send.clone());
            let cpu = cpus.get(slot % cpus.len().max(1)).copied();
            let run = move || {
                let _ = send.send(cpu.map_or(Ok(()), bind_thread));
                work(&shared, slot);
            };
            pool.workers.push(thread::spawn(format!("sam2-{slot}"), run)?);
        }
        drop(send);
        bound.iter().take(pool.workers.len()).collect::<std::io::Result<()>>()?;
        Ok(pool)
    }

    /// Returns the number of threads that can run tasks, including the caller. Slots are below this number.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Returns whether this process is a child by `fork` of the process of the workers. Such a child has no workers.
    fn is_forked(&self) -> bool {
        self.process != fork::generation()
    }

    /// Calls `body(task, slot)` once for every task below `n`, on any free thread. Calls that run at the same time have
    /// different slots.
    ///
    /// # Panics
    ///
    /// If `body` panics.
    pub fn run(&self, n: usize, body: Body<'_>) {
        if n <= 1 || self.workers.is_empty() || self.is_forked() || self.taken.swap(true, Ordering::Acquire) {
            return (0..n).for_each(|task| body(task, 0));
        }
        let s = &*self.shared;
        // SAFETY: only the lifetime changes; workers use the body before `busy` falls to 0, which is awaited below.
        let body: Body<'static> = unsafe { std::mem::transmute(body) };
        *s.job.lock().expect("no panic holds this lock") = Some((body, n));
        s.next.store(0, Ordering::Relaxed);
        s.busy.store(self.workers.len(), Ordering::Relaxed);
        s.epoch.fetch_add(1, Ordering::Release);
        if *s.asleep.lock().expect("no panic holds this lock") > 0 {
            s.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(|| drain(s, body, n, 0)));
        let mut spins = 0;
        while s.busy.load(Ordering::Acquire) > 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        self.taken.store(false, Ordering::Release);
        if let Err(panic) = own {
            std::panic::resume_unwind(panic);
        }
        assert!(!s.panicked.swap(false, Ordering::Relaxed), "a task of the thread pool panicked");
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish_non_exhaustive()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.is_forked() {
            // Joining threads that do not exist would wait for ever.
            self.workers.drain(..).for_each(std::mem::forget);
            return;
        }
        self.shared.stop.store(true, Ordering::Release);
        self.shared.epoch.fetch_add(1, Ordering::Release);
        let asleep = self.shared.asleep.lock().expect("no panic holds this lock");
        self.shared.wake.notify_all();
        drop(asleep);
        for worker in self.workers.drain(..) {
            worker.join().expect("workers catch panics");
        }
    }
}

/// Returns the number of CPUs of the machine, in use or not.
#[must_use]
#[cfg(target_os = "linux")]
pub fn cpus() -> usize {
    // SAFETY: asks for a number.
    let count = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(not(target_os = "linux"))]
pub fn cpus() -> usize {
    usize::MAX
}

/// Binds the calling thread to a CPU, which has the number of the system. Only Linux supports this. On other systems
/// the call fails.
///
/// # Errors
///
/// The error of the system, for example if the CPU does not exist.
#[cfg(target_os = "linux")]
pub fn bind_thread(cpu: usize) -> std::io::Result<()> {
    // SAFETY: a set of bits, all clear.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if cpu >= 8 * size_of_val(&set) {
        return Err(std::io::Error::other(format!("no CPU {cpu}")));
    }
    // SAFETY: within the set, whose size is told.
    let failed = unsafe {
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    if failed == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
pub fn bind_thread(_: usize) -> std::io::Result<()> {
    Err(std::io::Error::other("threads are bound to CPUs on Linux alone"))
}

fn drain(s: &Shared, body: Body<'_>, n: usize, slot: usize) {
    loop {
        let task = s.next.fetch_add(1, Ordering::Relaxed);
        if task >= n {
            return;
        }
        body(task, slot);
    }
}

fn work(s: &Shared, slot: usize) {
    let mut seen = 0;
    loop {
        let mut spins = 0;
        while s.epoch.load(Ordering::Acquire) == seen {
            spins += 1;
            if spins < SPINS {
                std::hint::spin_loop();
                continue;
            }
            let mut asleep = s.asleep.lock().expect("no panic holds this lock");
            *asleep += 1;
            while s.epoch.load(Ordering::Acquire) == seen {
                asleep = s.wake.wait(asleep).expect("no panic holds this lock");
            }
            *asleep -= 1;
        }
        seen = s.epoch.load(Ordering::Acquire);
        if s.stop.load(Ordering::Acquire) {
            return;
        }
        let (body, n) = s.job.lock().expect("no panic holds this lock").expect("a loop has a body");
        if catch_unwind(AssertUnwindSafe(|| drain(s, body, n, slot))).is_err() {
            s.panicked.store(true, Ordering::Relaxed);
        }
        s.busy.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_runs_once_whoever_calls() {
        let pool = Pool::new(4, &[]).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for n in [0, 1, 2, 7, 100] {
                        for _ in 0..50 {
                            let counts: Vec<AtomicUsize> = (0..n).map(|_| AtomicUsize::new(0)).collect();
                            pool.run(n, &|task, slot| {
                                assert!(slot < 4);
                                counts[task].fetch_add(1, Ordering::Relaxed);
                            });
                            assert!(counts.iter().all(|c| c.load(Ordering::Relaxed) == 1));
                        }
                    }
                });
            }
        });
    }

    #[cfg(target_os = "linux")]
    #[cfg_attr(miri, ignore = "Miri does not know on which CPU a thread is")]
    #[test]
    fn threads_are_bound() {
        // SAFETY: asks for a number.
        let here = || unsafe { libc::sched_getcpu() };
        let cpu = here();
        let pool = Pool::new(3, &[cpu as usize]).unwrap();
        let (main, seen) = (std::thread::current().id(), Mutex::new(Vec::new()));
        // Until another thread had a task.
        while seen.lock().unwrap().is_empty() {
            pool.run(64, &|_, _| {
                if std::thread::current().id() != main {
                    seen.lock().unwrap().push(here());
                }
                std::thread::yield_now();
            });
        }
        assert!(seen.into_inner().unwrap().iter().all(|&seen| seen == cpu));
        assert!(Pool::new(2, &[1023]).is_err());
        assert!(Pool::new(2, &[usize::MAX]).is_err());
    }

    #[test]
    fn sleeping_workers_wake_and_panics_come_back() {
        let pool = Pool::new(3, &[]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let sum = AtomicUsize::new(0);
        pool.run(10, &|task, _| {
            sum.fetch_add(task, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 45);
        let failed = catch_unwind(AssertUnwindSafe(|| pool.run(10, &|task, _| assert!(task != 5))));
        assert!(failed.is_err());
        pool.run(10, &|_, _| {});
    }
}
