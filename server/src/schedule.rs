//! Units of work on lanes. A lane is a thread of the server with its own predictor. A unit is an encoding, a decoding or a
//! tracked frame.
//!
//! A unit has a class and a key, which is its image or session. Interactive units run before bulk units, except that
//! bulk gets at least one unit in eight. Within a class, keys take turns. Units of one key never run at the same time,
//! and run in the order in which they were submitted.

use crate::lock::lock;
use crate::metrics::Histogram;
use crate::spent::spend;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Interactive units that run in a row while a bulk unit waits.
const INTERACTIVE_IN_A_ROW: u32 = 7;

/// How urgent a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A person waits for it.
    Interactive,
    /// Part of longer work.
    Bulk,
}

/// Why a unit has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too many units wait.
    Full,
    /// The scheduler ends.
    Closed,
    /// The unit panicked. The lane was made anew.
    Failed,
}

/// A unit, and when it was submitted.
type Unit<L> = (Box<dyn FnOnce(&mut L) + Send>, Instant);

/// Keys of a class, which take turns.
struct Turns<L> {
    order: VecDeque<u64>,
    units: HashMap<u64, VecDeque<Unit<L>>>,
}

impl<L> Turns<L> {
    fn push(&mut self, key: u64, unit: Unit<L>) {
        let units = self.units.entry(key).or_default();
        if units.is_empty() {
            self.order.push_back(key);
        }
        units.push_back(unit);
    }

    /// The next unit of the first key that is not busy. The key goes to the end of the order.
    fn pop(&mut self, busy: &HashMap<u64, Instant>) -> Option<(u64, Unit<L>)> {
        let at = self.order.iter().position(|key| !busy.contains_key(key))?;
        let key = self.order.remove(at)?;
        let units = self.units.get_mut(&key)?;
        let unit = units.pop_front()?;
        match units.is_empty() {
            true => drop(self.units.remove(&key)),
            false => self.order.push_back(key),
        }
        Some((key, unit))
    }
}

struct Queues<L> {
    interactive: Turns<L>,
    bulk: Turns<L>,
    /// Keys whose units run now, and when the units began.
    busy: HashMap<u64, Instant>,
    /// Interactive units since the last bulk unit.
    in_a_row: u32,
    waiting: usize,
    closed: bool,
}

impl<L> Queues<L> {
    fn pop(&mut self) -> Option<(Class, u64, Unit<L>)> {
        let bulk_first = self.in_a_row >= INTERACTIVE_IN_A_ROW;
        let bulk = if bulk_first { self.bulk.pop(&self.busy) } else { None };
        let found = match bulk {
            Some(found) => Some((Class::Bulk, found)),
            None => match self.interactive.pop(&self.busy) {
                Some(found) => Some((Class::Interactive, found)),
                None => self.bulk.pop(&self.busy).map(|found| (Class::Bulk, found)),
            },
        };
        let (class, (key, unit)) = found?;
        self.in_a_row = if class == Class::Bulk { 0 } else { self.in_a_row + 1 };
        self.waiting -= 1;
        self.busy.insert(key, Instant::now());
        Some((class, key, unit))
    }
}

struct Shared<L> {
    queues: Mutex<Queues<L>>,
    changed: Condvar,
    most: usize,
    /// Times that units waited and worked, by class.
    times: Mutex<[[Histogram; 2]; 2]>,
}

impl<L> Shared<L> {
    fn queues(&self) -> MutexGuard<'_, Queues<L>> {
        lock(&self.queues)
    }
}

/// The lanes, and the units that wait for them.
pub struct Scheduler<L> {
    shared: Arc<Shared<L>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl<L> fmt::Debug for Scheduler<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("waiting", &self.shared.queues().waiting).finish_non_exhaustive()
    }
}

impl<L: 'static> Scheduler<L> {
    /// Starts `lanes` threads. `make` makes what a lane owns: on its thread, at the start, and again after a unit panicked.
    /// At most `most` units wait.
    ///
    /// # Errors
    ///
    /// The system gives no more threads.
    pub fn new(
        lanes: usize,
        most: usize,
        make: impl Fn() -> L + Send + Sync + 'static,
    ) -> std::io::Result<Scheduler<L>> {
        let turns = || Turns { order: VecDeque::new(), units: HashMap::new() };
        let (interactive, bulk) = (turns(), turns());
        let queues = Queues { interactive, bulk, busy: HashMap::new(), in_a_row: 0, waiting: 0, closed: false };
        let shared =
            Arc::new(Shared { queues: Mutex::new(queues), changed: Condvar::new(), most, times: Mutex::default() });
        let make = Arc::new(make);
        let mut threads = Vec::new();
        for lane in 0..lanes.max(1) {
            let (shared, make) = (shared.clone(), make.clone());
            let run = move || run_lane(&shared, &*make);
            threads.push(std::thread::Builder::new().name(format!("sam2-lane-{lane}")).spawn(run)?);
        }
        Ok(Scheduler { shared, threads: Mutex::new(threads) })
    }

    /// Submits a unit and waits for its result.
    ///
    /// # Errors
    ///
    /// See [`Refused`].
    pub async fn run<R: Send + 'static>(
        &self,
        class: Class,
        key: u64,
        unit: impl FnOnce(&mut L) -> R + Send + 'static,
    ) -> Result<R, Refused> {
        let (send, receive) = oneshot::channel();
        let submitted = Instant::now();
        let timed = move |lane: &mut L| {
            let begun = Instant::now();
            let result = unit(lane);
            drop(send.send((result, begun - submitted, begun.elapsed())));
        };
        self.submit(class, key, timed)?;
        let ended = receive.await;
        let (result, waited, worked) =
            ended.map_err(|_| if self.shared.queues().closed { Refused::Closed } else { Refused::Failed })?;
        spend(waited, worked);
        Ok(result)
    }

    /// Submits a unit.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`] or [`Refused::Closed`].
    pub fn submit(&self, class: Class, key: u64, unit: impl FnOnce(&mut L) + Send + 'static) -> Result<(), Refused> {
        let mut queues = self.shared.queues();
        if queues.closed {
            return Err(Refused::Closed);
        }
        if queues.waiting >= self.shared.most {
            return Err(Refused::Full);
        }
        queues.waiting += 1;
        let turns = if class == Class::Interactive { &mut queues.interactive } else { &mut queues.bulk };
        turns.push(key, (Box::new(unit), Instant::now()));
        self.shared.changed.notify_one();
        Ok(())
    }

    /// How many units wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.queues().waiting
    }

    /// How long the unit that runs longest has run; zero if none runs.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let queues = self.shared.queues();
        queues.busy.values().map(Instant::elapsed).max().unwrap_or_default()
    }

    /// Times that units waited and worked, for interactive and for bulk units.
    #[must_use]
    pub fn times(&self) -> [[Histogram; 2]; 2] {
        lock(&self.shared.times).clone()
    }

    /// Takes no more units, drops those that wait, and waits for those that run.
    pub fn close(&self) {
        let dropped = {
            let mut queues = self.shared.queues();
            queues.closed = true;
            queues.waiting = 0;
            let dropped = (std::mem::take(&mut queues.interactive.units), std::mem::take(&mut queues.bulk.units));
            queues.interactive.order.clear();
            queues.bulk.order.clear();
            dropped
        };
        self.shared.changed.notify_all();
        drop(dropped);
        let threads = std::mem::take(&mut *lock(&self.threads));
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl<L> Drop for Scheduler<L> {
    fn drop(&mut self) {
        self.shared.queues().closed = true;
        self.shared.changed.notify_all();
    }
}

fn run_lane<L>(shared: &Shared<L>, make: &impl Fn() -> L) {
    let mut lane = make();
    loop {
        let (class, key, (unit, submitted)) = {
            let mut queues = shared.queues();
            loop {
                if let Some(found) = queues.pop() {
                    break found;
                }
                if queues.closed {
                    return;
                }
                queues = shared.changed.wait(queues).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let begun = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| unit(&mut lane))).is_err() {
            log::error!("a unit of work panicked; its lane starts anew");
            lane = make();
        }
        {
            let mut times = lock(&shared.times);
            let [waited, worked] = &mut times[class as usize];
            waited.add(begun - submitted);
            worked.add(begun.elapsed());
        }
        shared.queues().busy.remove(&key);
        // Another lane may have passed over a unit of this key.
        shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::mpsc::channel;

    /// A scheduler whose lanes record the names of units. A gate keeps its one lane busy until it is opened.
    fn gated(most: usize) -> (Scheduler<()>, std::sync::mpsc::Sender<()>) {
        let scheduler = Scheduler::new(1, most, || ()).unwrap();
        let (open, gate) = channel::<()>();
        let (begun, wait) = channel();
        let unit = move |(): &mut ()| {
            begun.send(()).unwrap();
            gate.recv().unwrap();
        };
        scheduler.submit(Class::Bulk, u64::MAX, unit).unwrap();
        wait.recv().unwrap();
        (scheduler, open)
    }

    fn order(units: &[(Class, u64)]) -> Vec<(Class, u64)> {
        let (scheduler, open) = gated(1000);
        let (done, ran) = channel();
        for &unit in units {
            let done = done.clone();
            scheduler.submit(unit.0, unit.1, move |()| done.send(unit).unwrap()).unwrap();
        }
        open.send(()).unwrap();
        (0..units.len()).map(|_| ran.recv().unwrap()).collect()
    }

    #[test]
    fn keys_take_turns_and_interactive_units_come_first() {
        use Class::{Bulk, Interactive};
        let units = [(Bulk, 1), (Bulk, 1), (Bulk, 2), (Interactive, 3), (Interactive, 3), (Interactive, 4)];
        let want = [(Interactive, 3), (Interactive, 4), (Interactive, 3), (Bulk, 1), (Bulk, 2), (Bulk, 1)];
        assert_eq!(order(&units), want);
    }

    #[test]
    fn bulk_gets_one_unit_in_eight() {
        let mut units = vec![(Class::Bulk, 1); 3];
        units.extend([(Class::Interactive, 2); 20]);
        let places: Vec<usize> =
            order(&units).iter().enumerate().filter(|(_, u)| u.0 == Class::Bulk).map(|(i, _)| i).collect();
        assert_eq!(places, [7, 15, 22]);
    }

    #[test]
    fn units_of_a_key_never_run_at_the_same_time() {
        let scheduler = Scheduler::new(4, 1000, || ()).unwrap();
        let running = Arc::new(Mutex::new(HashSet::new()));
        let (done, all) = channel();
        for i in 0..200u64 {
            let (running, done) = (running.clone(), done.clone());
            let unit = move |(): &mut ()| {
                assert!(running.lock().unwrap().insert(i % 3));
                std::thread::yield_now();
                running.lock().unwrap().remove(&(i % 3));
                done.send(i).unwrap();
            };
            scheduler.submit(Class::Interactive, i % 3, unit).unwrap();
        }
        let order: Vec<u64> = (0..200).map(|_| all.recv().unwrap()).collect();
        for key in 0..3 {
            assert!(order.iter().filter(|i| *i % 3 == key).is_sorted(), "{order:?}");
        }
    }

    #[tokio::test]
    async fn a_panic_fails_its_unit_alone() {
        let made = Arc::new(Mutex::new(0));
        let count = made.clone();
        let scheduler = Scheduler::new(1, 10, move || *count.lock().unwrap() += 1).unwrap();
        let failed = scheduler.run(Class::Bulk, 1, |()| panic!("a planted panic")).await;
        assert_eq!(failed, Err(Refused::Failed));
        assert_eq!(scheduler.run(Class::Bulk, 1, |()| 7).await, Ok(7));
        assert_eq!(*made.lock().unwrap(), 2);
    }

    #[tokio::test]
    async fn a_full_or_closed_scheduler_refuses() {
        let (scheduler, open) = gated(2);
        for _ in 0..2 {
            scheduler.submit(Class::Bulk, 1, |()| ()).unwrap();
        }
        assert_eq!(scheduler.submit(Class::Interactive, 2, |()| ()), Err(Refused::Full));
        let long = scheduler.longest();
        assert!(long > Duration::ZERO && scheduler.longest() > long);
        open.send(()).unwrap();
        scheduler.close();
        assert_eq!(scheduler.run(Class::Bulk, 1, |()| ()).await, Err(Refused::Closed));
        assert_eq!(scheduler.longest(), Duration::ZERO);
    }
}
