//! Long loops, of which only a part is simulated.
//!
//! The first warp of every block is observed while it is in a [`crate::trace::Run`]. Blocks may have different speeds,
//! since the schedulers prefer some warps. The SM is in a steady state when one of two conditions holds for every block
//! on it. The first: its last [`WINDOW`] iterations took as long as the [`WINDOW`] before them, to within [`STEADY`].
//! The second: it has made [`ENOUGH`] iterations. Then time is skipped until the first block would be two iterations
//! before the end of its run. Every block skips the iterations that it would make in that time at its mean speed over
//! both windows, rounded. The state of the SM is relative to the current cycle and does not change. No time is skipped
//! while blocks wait for room.

use crate::machine::Pipe;
use crate::sm::State;

/// Iterations are steady where their time differs by no more than this part of it.
pub const STEADY: f64 = 0.005;
/// The number of iterations that are compared.
pub const WINDOW: usize = 8;
/// Iterations of a block after which a loop counts as steady in any case.
pub const ENOUGH: usize = 48;

impl State<'_> {
    /// Notes that the first warp of a block starts an iteration. Skips time if all blocks are steady.
    pub(crate) fn watch(&mut self, block: usize, cycle: u64) {
        let first = &mut self.warps[self.starts[block]];
        let Some(&run) = first.trace.runs.get(first.run) else { return };
        if first.position < run.start || !(first.position - run.start).is_multiple_of(run.len) {
            return;
        }
        let (of, starts) = &mut self.extrapolation.starts[block];
        if *of != first.run {
            (*of, *starts) = (first.run, Vec::new());
        }
        if first.position >= run.start + run.len * run.count {
            first.run += 1;
            return;
        }
        starts.push(cycle);
        // The iteration time of every block, and the number of its remaining iterations, except two.
        let mut speeds: Vec<(usize, f64, usize)> = Vec::new();
        if !self.queue.is_empty() {
            return;
        }
        for b in (0..self.live.len()).filter(|&b| self.live[b] > 0) {
            let starts = &self.extrapolation.starts[b].1;
            let Some(n) = starts.len().checked_sub(2 * WINDOW + 1) else { return };
            let (old, middle, new) = (starts[n], starts[n + WINDOW], starts[n + 2 * WINDOW]);
            let (before, recent) = ((middle - old) as f64, (new - middle) as f64);
            if (recent - before).abs() > STEADY * recent && starts.len() < ENOUGH {
                return;
            }
            let mut left = usize::MAX;
            for warp in self.of_block(b) {
                let warp = &self.warps[warp];
                if warp.position == warp.trace.entries.len() {
                    continue;
                }
                let Some(run) = warp.current_run() else { return };
                left = left.min((run.start + run.len * run.count - warp.position) / run.len);
            }
            speeds.push((b, (recent + before) / (2 * WINDOW) as f64, left.saturating_sub(2)));
        }
        let time = speeds.iter().map(|&(_, t, left)| t * left as f64).fold(f64::INFINITY, f64::min);
        if speeds.iter().any(|&(_, t, _)| time < 2.0 * t) || !time.is_finite() {
            return;
        }
        let e = &mut self.extrapolation;
        let skipped = time.round() as u64;
        if skipped > e.longest {
            (e.longest, e.iteration) = (skipped, speeds.iter().map(|s| s.1).fold(0.0, f64::max));
        }
        e.skipped += skipped;
        for (b, iteration, left) in speeds {
            let skip = ((time / iteration).round() as usize).min(left);
            self.extrapolation.starts[b].1.clear();
            for w in self.of_block(b) {
                self.skip(w, skip);
            }
        }
    }

    fn of_block(&self, block: usize) -> std::ops::Range<usize> {
        self.starts[block]..self.starts.get(block + 1).copied().unwrap_or(self.warps.len())
    }

    /// Moves a warp some iterations on, and counts the work of these iterations.
    fn skip(&mut self, w: usize, iterations: usize) {
        let warp = &mut self.warps[w];
        let Some(run) = warp.current_run() else { return };
        for entry in &warp.trace.entries[run.start..run.start + run.len] {
            let usage = &self.info[entry.at as usize].usage;
            self.outcome.issued += iterations as u64;
            if entry.lanes > 0 {
                let busy = match usage.pipe {
                    Pipe::None => 0,
                    Pipe::LoadStore => entry.cycles.max(1) as u64,
                    _ => usage.busy as u64,
                };
                self.outcome.busy[usage.pipe as usize] += busy * iterations as u64;
                self.outcome.flops += usage.flops as u64 * iterations as u64;
            }
        }
        warp.position += run.len * iterations;
    }
}
