//! Tests of the interpreter on small functions.

mod short;

use sam2_predict::interpreter::Interpreter;
use sam2_predict::sass::Function;
use sam2_predict::setting::Setting;
use sam2_predict::trace::BlockTrace;
use short::{args, function};
use std::collections::BTreeMap;

fn setting(threads: u32, words: &[u32]) -> Setting {
    Setting::new([4, 3, 1], [threads, 1, 1], &args(words))
}

fn run(f: &Function, setting: Setting) -> BlockTrace {
    Interpreter::new(f, setting, 4096, 4096, BTreeMap::new()).block([2, 1, 0], true).unwrap()
}

/// The number of lanes of each instruction that the first warp executes at `address`.
fn lanes(trace: &BlockTrace, address: u32) -> Vec<u8> {
    trace.warps[0].entries.iter().filter(|e| e.at * 16 == address).map(|e| e.lanes).collect()
}

const LOOP: &str = "
    LDC R0, c[0x0][0x210]
    MOV R2, RZ
    VIADD R2, R2, 0x1
    ISETP.LT.AND P0, PT, R2, R0, PT
    @P0 BRA 0x20
    EXIT";

#[test]
fn a_loop_runs_as_often_as_a_parameter_says() {
    let f = function("f", 8, LOOP);
    for n in [1, 5, 60] {
        let trace = run(&f, setting(32, &[n]));
        assert_eq!(lanes(&trace, 0x20).len(), n as usize);
        assert_eq!(trace.warps[0].entries.len(), 3 + 3 * n as usize);
    }
    let runs = run(&f, setting(32, &[60])).warps[0].runs.clone();
    assert_eq!(runs.len(), 1);
    // The branch is not taken the last time.
    assert_eq!((runs[0].start, runs[0].len, runs[0].count), (5, 3, 58));
}

#[test]
fn lanes_part_and_meet() {
    let f = function(
        "f",
        8,
        "
        S2R R0, SR_TID.X
        BSSY B0, 0x60
        ISETP.GE.AND P0, PT, R0, 0xa, PT
        @P0 BRA 0x60
        VIADD R0, R0, 0x1
        NOP
        BSYNC B0
        @!P0 EXIT
        NOP
        EXIT",
    );
    let trace = run(&f, setting(40, &[]));
    assert_eq!(lanes(&trace, 0x40), [10]);
    assert_eq!(lanes(&trace, 0x60).iter().map(|&n| n as u32).sum::<u32>(), 32);
    assert_eq!(lanes(&trace, 0x70), [10]);
    assert_eq!(lanes(&trace, 0x80), [22]);
    // Threads 32 to 39 all take the branch.
    let second: Vec<u8> = trace.warps[1].entries.iter().map(|e| e.lanes).collect();
    assert_eq!(second, [8, 8, 8, 8, 8, 0, 8, 8]);
    assert_eq!(trace.forced, 0);
}

#[test]
fn integer_division() {
    // The compiler's code that divides the thread's number plus a constant by a parameter.
    let f = function(
        "f",
        16,
        "
        S2R R2, SR_TID.X
        ULDC UR8, c[0x0][0x210]
        VIADD R2, R2, 0x3039
        I2F.U32.RP R0, UR8
        IMAD R7, RZ, RZ, -UR8
        ISETP.NE.U32.AND P3, PT, RZ, UR8, PT
        MUFU.RCP R0, R0
        VIADD R4, R0, 0xffffffe
        F2I.FTZ.U32.TRUNC.NTZ R5, R4
        IMAD.MOV.U32 R4, RZ, RZ, RZ
        IMAD R7, R7, R5, RZ
        IMAD.HI.U32 R5, R5, R7, R4
        IMAD.HI.U32 R6, R5, R2, RZ
        IMAD.MOV R5, RZ, RZ, -R6
        IMAD R5, R5, UR8, R2
        ISETP.GE.U32.AND P0, PT, R5, UR8, PT
        @P0 VIADD R5, R5, -UR8
        @P0 IADD3 R6, R6, 0x1, RZ
        ISETP.GE.U32.AND P1, PT, R5, UR8, PT
        @P1 VIADD R6, R6, 0x1
        @!P3 LOP3.LUT R6, RZ, UR8, RZ, 0x33, !PT
        ISETP.NE.U32.AND P2, PT, R6, c[0x0][0x214], PT
        @P2 EXIT
        EXIT",
    );
    for divisor in [1, 2, 3, 7, 10, 641, 12345, 0x7fff_ffff] {
        let quotient = |t: u32| (t + 12345) / divisor;
        let trace = run(&f, setting(32, &[divisor, quotient(9)]));
        let expected = (0..32).filter(|&t| quotient(t) == quotient(9)).count();
        assert_eq!(lanes(&trace, 0x170), [expected as u8], "divided by {divisor}");
        assert!(trace.guesses.is_empty());
    }
}

#[test]
fn sums_of_64_bits() {
    // (hi:lo) + thread, compared with a limit: the threads that are below it.
    let f = function(
        "f",
        16,
        "
        S2R R0, SR_TID.X
        IADD3 R2, P0, R0, c[0x0][0x210], RZ
        IADD3.X R3, RZ, c[0x0][0x214], RZ, P0, !PT
        ISETP.GE.U32.AND P1, PT, R2, c[0x0][0x218], PT
        ISETP.GE.U32.AND.EX P1, PT, R3, c[0x0][0x21c], PT, P1
        @P1 EXIT
        LEA R4, P2, R2, R2, 0x2
        LEA.HI.X R5, R2, R3, R3, 0x2, P2
        ISETP.EQ.AND P3, PT, R5, c[0x0][0x220], PT
        @P3 EXIT
        EXIT",
    );
    let start = 0x4_ffff_fff0u64;
    let limit = start + 20;
    // Five times the number: its upper half differs on the two sides of 0x5_0000_0000.
    let words = [start as u32, 4, limit as u32, (limit >> 32) as u32, ((start * 5) >> 32) as u32];
    let trace = run(&f, setting(32, &words));
    assert_eq!(lanes(&trace, 0x60), [20]);
    let same = (0..20).filter(|t| ((start + t) * 5) >> 32 == (start * 5) >> 32).count();
    assert!((1..20).contains(&same));
    assert_eq!(lanes(&trace, 0xa0), [20 - same as u8]);
}

#[test]
fn tables_in_shared_memory() {
    // Thread t of 64 stores t. After the barrier every thread loops as many times as the number that thread 40 stored.
    let f = function(
        "f",
        8,
        "
        S2R R0, SR_TID.X
        IMAD.SHL.U32 R1, R0, 0x4, RZ
        STS [R1+0x400], R0
        BAR.SYNC.DEFER_BLOCKING 0x0
        LDS R2, [UR63+0x4a0]
        VIADD R2, R2, 0xffffffff
        ISETP.GT.AND P0, PT, R2, RZ, PT
        @P0 BRA 0x50
        EXIT",
    );
    let trace = run(&f, setting(64, &[]));
    for warp in &trace.warps {
        assert_eq!(warp.entries.iter().filter(|e| e.at == 5).count(), 40);
    }
    assert!(trace.guesses.is_empty());
}

#[test]
fn spilled_registers() {
    let f = function(
        "f",
        8,
        "
        LDC R1, c[0x0][0x28]
        VIADD R1, R1, 0xfffffff0
        S2R R0, SR_TID.X
        STL [R1+0x4], R0
        MOV R0, RZ
        LDL R3, [R1+0x4]
        ISETP.GE.AND P0, PT, R3, 0x5, PT
        @P0 EXIT
        EXIT",
    );
    let trace = run(&f, setting(32, &[]));
    assert_eq!(lanes(&trace, 0x80), [5]);
}

const DATA_DEPENDENT: &str = "
    ULDC.64 UR4, c[0x0][0x208]
    LDC.64 R2, c[0x0][0x210]
    LDG.E R4, desc[UR4][R2.64+0x4]
    MOV R5, RZ
    VIADD R5, R5, 0x1
    ISETP.LT.AND P0, PT, R5, R4, PT
    @P0 BRA 0x40
    EXIT";

#[test]
fn branches_on_memory() {
    let f = function("f", 8, DATA_DEPENDENT);
    let address = 0x7_0000_1000u64;
    let words = [address as u32, (address >> 32) as u32];
    let count = |trace: &BlockTrace| lanes(trace, 0x40).len();
    let unknown = run(&f, setting(32, &words));
    assert_eq!((count(&unknown), unknown.guesses.get(&0x60)), (1, Some(&1)));
    let mut known = setting(32, &words);
    known.memory = vec![(address, args(&[99, 7]))];
    let known = run(&f, known);
    assert_eq!((count(&known), known.guesses.len()), (7, 0));
    let hints = BTreeMap::from([(0x60, 3)]);
    let hinted = Interpreter::new(&f, setting(32, &words), 0, 4096, hints).block([0; 3], true).unwrap();
    assert_eq!((count(&hinted), hinted.guesses.get(&0x60)), (4, Some(&4)));
}

#[test]
fn slow_ways_are_rare() {
    // A condition on an unknown number: the fast path jumps over a call.
    let f = function(
        "f",
        8,
        "
        FADD R0, R0, R0
        ISETP.GT.AND P0, PT, R0, RZ, PT
        @!P0 BRA 0x60
        MOV R4, 0x50
        CALL.REL.NOINC 0x80
        BRA 0x60
        EXIT
        NOP
        RET.REL.NODEC R4 0x0",
    );
    let trace = run(&f, setting(32, &[]));
    assert_eq!(lanes(&trace, 0x40).len(), 0);
    // With a known condition, the subroutine is called and returns.
    let mut called = f.clone();
    called.code[0] = function("g", 8, "MOV R0, 0x1").code[0].clone();
    let trace = run(&called, setting(32, &[]));
    assert_eq!((lanes(&trace, 0x40).len(), lanes(&trace, 0x80).len(), lanes(&trace, 0x50).len()), (1, 1, 1));
}

#[test]
fn indirect_branches() {
    let mut f = function(
        "f",
        8,
        "
        ULDC UR4, c[0x0][0x210]
        USHF.L.U32 UR4, UR4, 0x2, URZ
        ULDC UR4, c[0x2][UR4+0x4]
        BRXU UR4 -0x40
        EXIT
        NOP
        EXIT",
    );
    f.tables = args(&[0, 0x40, 0x50]);
    assert_eq!(lanes(&run(&f, setting(32, &[0])), 0x50).len(), 0);
    assert_eq!(lanes(&run(&f, setting(32, &[1])), 0x50).len(), 1);
}

#[test]
fn costs_of_memory_instructions() {
    let f = function(
        "f",
        16,
        "
        S2R R0, SR_TID.X
        IMAD.SHL.U32 R1, R0, 0x80, RZ
        IMAD.SHL.U32 R2, R0, 0x4, RZ
        STS [R1+0x400], R0
        STS [R2+0x400], R0
        LDC.64 R4, c[0x0][0x210]
        IMAD.WIDE R6, R0, 0x10, R4
        ULDC.64 UR4, c[0x0][0x208]
        LDG.E.128 R8, desc[UR4][R6.64]
        LDG.E.64 R8, desc[UR4][R6.64+0x8]
        LDG.E R8, desc[UR4][R4.64+0x1000]
        EXIT",
    );
    let trace = run(&f, setting(32, &[0x1000_0000, 2]));
    let cost = |at: u32| {
        let e = trace.warps[0].entries.iter().find(|e| e.at * 16 == at).unwrap();
        (e.cycles, e.cached)
    };
    assert_eq!(cost(0x30), (32, false), "one bank for all");
    assert_eq!(cost(0x40), (1, false));
    assert_eq!(cost(0x80), (4, false));
    assert_eq!(cost(0x90), (4, true), "the same sectors once more");
    assert_eq!(cost(0xa0), (1, false));
    assert_eq!((trace.sectors, trace.touched.len()), (17, 17));
}
