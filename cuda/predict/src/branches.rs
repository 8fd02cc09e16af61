//! Branches: lanes that diverge, and where they reconverge.

use crate::decode::{Op, Step};
use crate::interpreter::{Group, Interpreter, Wait, Warp};
use crate::lanes::{ALL, Flags};
use crate::sass::{Base, Operand};
use crate::trace::BlockTrace;

impl Interpreter<'_> {
    /// Decides a branch whose condition is unknown. Returns whether the branch is taken.
    ///
    /// A hint decides first. Without a hint a branch is not taken, with one exception: the code after it calls a
    /// subroutine and the code at its target does not. Subroutines are the rare, slow paths of divisions and roots.
    #[must_use]
    pub fn guess(&self, at: usize, taken_before: u64) -> bool {
        let step = &self.steps[at];
        if let Some(&times) = self.hints.get(&self.function.code[at].address) {
            return taken_before < times;
        }
        let target = step.target.map_or(self.steps.len(), |t| t as usize / 16).min(self.steps.len());
        step.op == Op::Bra && target > at && self.calls[at + 1] && !self.calls[target]
    }

    /// Moves a group to the target of its branch.
    pub(crate) fn advance(
        &self,
        warp: &mut Warp,
        current: usize,
        step: &Step,
        exec: u32,
        doubt: u32,
        out: &mut BlockTrace,
    ) {
        let (at, mask) = (warp.groups[current].at, warp.groups[current].mask);
        let group = &mut warp.groups[current];
        group.at = at + 1;
        match step.op {
            Op::Bra | Op::Call | Op::Brx | Op::Ret => {
                // `BRA UP0, target`, `BRA P0, target`: a condition beside the guard.
                let condition = step.ins.first().map_or(Flags::TRUE, |&p| warp.registers.predicate(p));
                let condition = if self.is_divergence_test(at) { Flags { known: ALL, value: 0 } } else { condition };
                let doubt = doubt | exec & !condition.known;
                let mut go = exec & condition.can_be_true();
                if go & doubt != 0 {
                    let address = self.function.code[at].address;
                    *out.guesses.entry(address).or_default() += 1;
                    let before = warp.taken.entry(at as u32).or_default();
                    if self.guess(at, *before) {
                        *before += 1;
                    } else {
                        *before = 0;
                        go &= !doubt;
                    }
                }
                if go != 0 {
                    self.jump(warp, current, at, step, go, out);
                }
            }
            Op::Exit => {
                if exec & doubt != 0 {
                    *out.guesses.entry(self.function.code[at].address).or_default() += 1;
                }
                let gone = exec & !doubt;
                group.mask = mask & !gone;
                if group.mask == 0 {
                    warp.groups.remove(current);
                }
                warp.meetings.iter_mut().for_each(|m| *m &= !gone);
                self.meet(warp);
            }
            Op::Bssy => {
                if let Some(Operand::Barrier(b)) = step.srcs.first() {
                    warp.meetings[*b as usize & 15] = mask;
                }
            }
            Op::Break => {
                if let Some(Operand::Barrier(b)) = step.srcs.first() {
                    warp.meetings[*b as usize & 15] &= !exec;
                    self.meet(warp);
                }
            }
            Op::Bsync => {
                if let Some(Operand::Barrier(b)) = step.srcs.first() {
                    group.wait = Wait::Barrier(*b & 15);
                    self.meet(warp);
                }
            }
            Op::Warpsync => {
                // `.COLLECTIVE` and a mask in a register are on paths of diverged warps.
                let all = warp.groups.iter().fold(0, |m, g| m | g.mask);
                if all != mask && step.target.is_none() {
                    warp.groups[current].wait = Wait::Lanes(all);
                    self.meet(warp);
                }
            }
            _ => {}
        }
    }

    /// Diverged warps take `BRA.DIV`, and execute the same work in another order.
    fn is_divergence_test(&self, at: usize) -> bool {
        self.function.code[at].has("DIV")
    }

    /// Sends the lanes `go` of a group to the target of its branch.
    fn jump(&self, warp: &mut Warp, current: usize, at: usize, step: &Step, go: u32, out: &mut BlockTrace) {
        // The targets of the lanes: one for most branches.
        let targets: Vec<(usize, u32)> = match step.op {
            Op::Bra | Op::Call => vec![(step.target.unwrap_or(0) as usize / 16, go)],
            _ => {
                let relative = if step.op == Op::Brx { (at as i64 + 1) * 16 } else { 0 };
                let offset = step.srcs.iter().find_map(|s| match s {
                    Operand::Immediate(v) => Some(*v),
                    _ => None,
                });
                let base = step.srcs.first().and_then(|s| match s {
                    Operand::Register(index, _) => Some(Base::Lane { index: *index, wide: false, scale: 1 }),
                    Operand::Uniform(index, _) => Some(Base::Uniform { index: *index, wide: false }),
                    _ => None,
                });
                let from = warp.registers.address(&Operand::Address { bases: [base, None], offset: 0 }, false);
                let mut all: Vec<(usize, u32)> = Vec::new();
                for lane in (0..32).filter(|l| go >> l & 1 == 1) {
                    if from.known >> lane & 1 == 0 {
                        continue;
                    }
                    let target = relative + from.values[lane] as i64 + offset.unwrap_or(0);
                    let target = usize::try_from(target / 16).unwrap_or(usize::MAX);
                    match all.iter_mut().find(|(t, _)| *t == target) {
                        Some((_, mask)) => *mask |= 1 << lane,
                        None => all.push((target, 1 << lane)),
                    }
                }
                let known = all.iter().fold(0, |m, (_, mask)| m | mask);
                if known != go {
                    *out.guesses.entry(self.function.code[at].address).or_default() += 1;
                }
                all
            }
        };
        let mut rest = warp.groups[current].mask;
        for (target, mask) in targets {
            if target <= at {
                warp.heads.push((warp.entries.len(), target as u32));
            }
            rest &= !mask;
            if rest == 0 {
                warp.groups[current].at = target;
                warp.groups[current].mask = mask;
            } else {
                warp.groups.push(Group { at: target, mask, wait: Wait::Nothing });
            }
        }
        if rest != 0 {
            warp.groups[current].mask = rest;
        }
    }

    /// Joins the groups that have all arrived at their reconvergence point.
    fn meet(&self, warp: &mut Warp) {
        let mut i = 0;
        while i < warp.groups.len() {
            let (at, wait) = (warp.groups[i].at, warp.groups[i].wait);
            let wanted = match wait {
                Wait::Nothing => 0,
                Wait::Barrier(b) => warp.meetings[b as usize],
                Wait::Lanes(mask) => mask & warp.groups.iter().fold(0, |m, g| m | g.mask),
            };
            let arrived = warp.groups.iter().filter(|g| g.wait == wait && g.at == at).fold(0, |mask, g| mask | g.mask);
            if wait == Wait::Nothing || arrived & wanted != wanted {
                i += 1;
                continue;
            }
            warp.groups.retain(|g| g.wait != wait || g.at != at);
            warp.groups.push(Group { at, mask: arrived, wait: Wait::Nothing });
            i = 0;
        }
    }
}
