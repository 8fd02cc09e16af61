//! Finds loops in a trace whose iterations are all equal.

use crate::trace::{Entry, Run};

/// The fewest equal iterations of a run.
const FEWEST: usize = 12;

/// Finds runs of equal iterations. `heads` are the positions in the trace where a loop starts again, with its first
/// instruction. Of overlapping runs, the one that covers more of the trace is kept: the outer loop.
#[must_use]
pub fn runs(entries: &[Entry], heads: &[(usize, u32)]) -> Vec<Run> {
    // Hashes of all prefixes. Equal pieces have equal differences.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sums = Vec::with_capacity(entries.len() + 1);
    let mut last = 0u64;
    sums.push(last);
    for e in entries {
        let word = (e.at as u64) << 25 | (e.cycles as u64) << 9 | (e.cached as u64) << 8 | e.lanes as u64;
        last = last.wrapping_mul(FACTOR).wrapping_add(word.wrapping_add(1).wrapping_mul(0xd6e8_feb8_6659_fd93));
        sums.push(last);
    }
    let power = |mut n: usize| {
        let (mut base, mut r) = (FACTOR, 1u64);
        while n > 0 {
            if n & 1 == 1 {
                r = r.wrapping_mul(base);
            }
            base = base.wrapping_mul(base);
            n /= 2;
        }
        r
    };
    let hash = |from: usize, to: usize| sums[to].wrapping_sub(sums[from].wrapping_mul(power(to - from)));
    let mut by_head: std::collections::BTreeMap<u32, Vec<usize>> = Default::default();
    heads.iter().for_each(|&(at, head)| by_head.entry(head).or_default().push(at));
    let mut found: Vec<Run> = Vec::new();
    for marks in by_head.values() {
        let mut i = 0;
        while i + 1 < marks.len() {
            let (start, len) = (marks[i], marks[i + 1] - marks[i]);
            let first = hash(start, start + len);
            let mut count = 1;
            while i + count + 1 < marks.len() {
                let (from, to) = (marks[i + count], marks[i + count + 1]);
                if to - from != len || hash(from, to) != first {
                    break;
                }
                count += 1;
            }
            if count >= FEWEST {
                found.push(Run { start, len, count });
            }
            i += count;
        }
    }
    found.sort_by_key(|r| std::cmp::Reverse(r.len * r.count));
    let mut kept: Vec<Run> = Vec::new();
    for r in found {
        let apart = |k: &Run| r.start + r.len * r.count <= k.start || k.start + k.len * k.count <= r.start;
        if kept.len() < 64 && kept.iter().all(apart) {
            kept.push(r);
        }
    }
    kept.sort_by_key(|r| r.start);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_outer_loop() {
        // 20 iterations of one instruction followed by an inner loop of 13 rounds of two instructions. The last
        // iteration differs.
        let (mut entries, mut heads) = (Vec::new(), Vec::new());
        let push = |entries: &mut Vec<Entry>, at: u32| entries.push(Entry { at, cycles: 0, lanes: 32, cached: false });
        for outer in 0..20 {
            heads.push((entries.len(), 1));
            push(&mut entries, if outer == 19 { 9 } else { 1 });
            for _ in 0..13 {
                heads.push((entries.len(), 2));
                push(&mut entries, 2);
                push(&mut entries, 3);
            }
        }
        heads.push((entries.len(), 1));
        // The inner loop of the last iteration is a separate run, without its last round.
        let expected = [Run { start: 0, len: 27, count: 19 }, Run { start: 514, len: 2, count: 12 }];
        assert_eq!(runs(&entries, &heads), expected);
    }
}
