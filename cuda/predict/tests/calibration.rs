//! Compares predictions with figures from other sources.

mod short;

use sam2_predict::interpreter::Interpreter;
use sam2_predict::machine;
use sam2_predict::predict::{Launch, predict, resident};
use sam2_predict::setting::Setting;
use sam2_predict::sm::Sm;
use sam2_predict::trace::Trace;
use short::{args, function};
use std::collections::BTreeMap;
use std::rc::Rc;

/// FlashAttention-2 on an H100: heads of 128, 8192 keys, f16. Its published rate is 39% of the nominal dense peak, and
/// 43% at the clock that the GPU held. The kernel here does the same work with the same tiles.
#[test]
fn flash_attention() {
    let f = function("flash_128", 255, include_str!("data/flash_128.txt"));
    let mut words = Vec::new();
    for buffer in 0x10..0x14 {
        words.extend([0, buffer]);
    }
    words.extend([8192, 0, 0.1275f32.to_bits(), 0]);
    let launch = Launch {
        kernel: "flash_128".into(),
        grid: [64, 66, 1],
        block: [128, 1, 1],
        shared: 64 << 10,
        args: args(&words),
        ..Launch::default()
    };
    let p = predict(&f, &launch).unwrap();
    assert!((0.43 * 0.85..0.43 * 1.15).contains(&p.tensor_share), "{p:?}");
    assert_eq!((p.resident, p.samples), (2, [5, 1]));
    assert!(p.guesses.is_empty() && p.unsupported.is_empty() && p.unknown_sectors == 0.0, "{p:?}");
    // Queries, keys, values and the output of 66 heads, each once.
    assert_eq!(p.unique_bytes, 66.0 * 4.0 * 8192.0 * 256.0);
    // Every block reads its queries and all keys and values, and writes its output, half a sector at a time.
    assert_eq!(p.l2_bytes, 66.0 * 64.0 * (3.0 * 128.0 + 2.0 * 8192.0) * 256.0);
}

/// A product of 8192 x 8192 x 8192 on an H100 that is limited by bank conflicts. Published counters of a kernel with
/// the same tiles are 33.4 million elapsed cycles and 3.249e9 passes of loads from shared memory.
#[test]
fn product_with_bank_conflicts() {
    let f = function("wmma_gemm", 64, include_str!("data/wmma_gemm.txt"));
    let mut words = Vec::new();
    for buffer in 0x10..0x13 {
        words.extend([0, buffer]);
    }
    words.extend([8192, 8192, 8192, 0]);
    let launch = Launch {
        kernel: "wmma_gemm".into(),
        grid: [64, 64, 1],
        block: [512, 1, 1],
        shared: 3 * 128 * 32 * 2 * 2,
        args: args(&words),
        ..Launch::default()
    };
    let setting = Setting::new(launch.grid, launch.block, &launch.args);
    let trace = Interpreter::new(&f, setting, launch.shared, 0, BTreeMap::new()).block([5, 7, 0], false).unwrap();
    let loads = |e: &&sam2_predict::trace::Entry| f.code[e.at as usize].opcode == "LDSM";
    let entries = trace.warps.iter().flat_map(|w| &w.entries).filter(loads);
    let passes = 4096.0 * entries.map(|e| e.cycles as f64).sum::<f64>();
    assert!((passes / 3.249e9 - 1.0).abs() < 0.02, "{passes:e}");
    let p = predict(&f, &launch).unwrap();
    assert!((p.cycles / 33.4e6 - 1.0).abs() < 0.2, "{p:?}");
    assert!(p.resident == 2 && p.limit.starts_with("shared memory"), "{p:?}");
}

/// Registers, threads and shared memory of kernels, and the blocks per SM of the occupancy calculator.
#[test]
fn blocks_of_an_sm() {
    let rows = [
        (124, 256, 66 << 10, 2),
        (91, 128, 32 << 10, 5),
        (128, 128, 72 << 10, 3),
        (235, 128, 96 << 10, 2),
        (36, 256, 0, 6),
        (255, 128, 64 << 10, 2),
        (32, 1024, 0, 2),
        (16, 32, 0, 32),
        (255, 1024, 0, 0),
    ];
    for (registers, threads, shared, blocks) in rows {
        let f = function("f", registers, "EXIT");
        assert_eq!(resident(&f, threads, shared), blocks, "{registers} registers, {threads} threads, {shared} bytes");
    }
}

fn one_warp(lines: &str) -> u64 {
    cycles(lines, 32, 1)
}

fn cycles(lines: &str, threads: u32, blocks: usize) -> u64 {
    let f = function("f", 64, lines);
    let setting = Setting::new([1, 1, 1], [threads, 1, 1], &[]);
    let trace = Interpreter::new(&f, setting, 4096, 4096, BTreeMap::new()).block([0; 3], false).unwrap();
    Sm::new(&f).execute(&vec![&*trace.warps; blocks], blocks).cycles
}

#[test]
fn stall_counts_and_pipes() {
    // The stall counts of all instructions except the last add up. 0x7f4 is a stall of 4.
    assert_eq!(one_warp("NOP ; 7f4\nNOP ; 7f4\nEXIT ; 7f1"), 9);
    // Matrix products of one warp issue every 6 cycles, whatever their stall count is.
    let products = "HMMA.16816.F32 R4, R8, R12, RZ\n".repeat(10);
    assert_eq!(one_warp(&format!("{products}EXIT")), 9 * 6 + 1 + 1);
    // Four warps use the four parts. Eight warps take twice as long.
    assert_eq!(cycles(&format!("{products}EXIT"), 128, 1), 9 * 6 + 2);
    assert_eq!(cycles(&format!("{products}EXIT"), 256, 1), 19 * 6 + 2);
}

#[test]
fn products_of_a_group_of_warps() {
    let product = "HGMMA.64x64x16.F32.BF16 R24, gdesc[UR4], R24\n";
    let lines = |wait: u32| {
        let last = "HGMMA.64x64x16.F32.BF16 R24, gdesc[UR8], R24, gsb0";
        format!("WARPGROUP.ARRIVE\n{product}{product}{product}{last}\nWARPGROUP.DEPBAR.LE gsb0, {wait:#x}\nEXIT")
    };
    // Four products of 32 cycles each, from the first issue in cycle 1, and then the latency of the last one.
    let waited = cycles(&lines(0), 128, 1);
    assert!((129 + 20..129 + 50).contains(&waited), "{waited}");
    assert!(cycles(&lines(1), 128, 1) < 20);
    // Two groups of warps share the tensor cores.
    assert!((257 + 20..257 + 50).contains(&cycles(&lines(0), 256, 1)));
}

#[test]
fn scoreboards() {
    // The load sets scoreboard 0 (bits 5 to 7 are 0), and the next instruction waits for it (bit 11).
    let f = "LDS R4, [RZ+0x400] ; 701\nNOP ; ff1\nEXIT";
    // A cycle in the unit, then 29 cycles of latency, then NOP and EXIT.
    assert_eq!(one_warp(f), 1 + 29 + 1 + 1);
    assert_eq!(one_warp("LDS R4, [RZ+0x400] ; 701\nNOP ; 7f1\nEXIT"), 3);
}

#[test]
fn groups_of_copies() {
    let copy = "LDGSTS.E.BYPASS.128 [RZ+0x400], desc[UR4][R2.64]\nLDGDEPBAR\n";
    let wait = |n: u32| format!("{copy}{copy}DEPBAR.LE SB0, {n:#x}\nEXIT");
    let (all, but_one, none) = (one_warp(&wait(0)), one_warp(&wait(1)), one_warp(&wait(2)));
    assert!(none < 20 && but_one > 500 && all > but_one && all < but_one + 20, "{none} {but_one} {all}");
}

#[test]
fn barriers_wait_for_the_last() {
    // The first warp has less work.
    let lines = "
        S2R R0, SR_TID.X
        ISETP.LT.AND P0, PT, R0, 0x20, PT
        @P0 BRA 0x60
        NOP ; 7ff
        NOP ; 7ff
        NOP ; 7ff
        BAR.SYNC.DEFER_BLOCKING 0x0
        EXIT";
    let alone = cycles(lines, 32, 1);
    let both = cycles(lines, 64, 1);
    assert!(both >= 45 + machine::BARRIER && alone < 45, "{alone} {both}");
}

/// A long loop takes the same time extrapolated as simulated to its end, also if blocks have different speeds.
#[test]
fn extrapolated_loops() {
    let lines = "
        MOV R0, RZ
        LDS R4, [RZ+0x400] ; 701
        HMMA.16816.F32 R4, R8, R12, RZ ; ff1
        HMMA.16816.F32 R16, R8, R12, RZ
        FADD R20, R20, R20 ; 7f4
        VIADD R0, R0, 0x1 ; 7f4
        ISETP.LT.AND P0, PT, R0, 0x7d0, PT ; 7fd
        @P0 BRA 0x10 ; 7f5
        EXIT";
    let f = function("f", 64, lines);
    for (threads, blocks) in [(32, 1), (128, 1), (128, 3), (256, 4)] {
        let setting = Setting::new([1, 1, 1], [threads, 1, 1], &[]);
        let trace = Interpreter::new(&f, setting, 4096, 4096, BTreeMap::new()).block([0; 3], false).unwrap();
        assert_eq!(trace.warps[0].runs.len(), 1);
        let whole: Vec<Rc<Trace>> =
            trace.warps.iter().map(|w| Rc::new(Trace { entries: w.entries.clone(), runs: Vec::new() })).collect();
        let sm = Sm::new(&f);
        let exact = sm.execute(&vec![&*whole; blocks], blocks);
        let fast = sm.execute(&vec![&*trace.warps; blocks], blocks);
        assert_eq!(exact.skipped, 0);
        assert!(fast.skipped > exact.cycles / 4, "{threads} threads, {blocks} blocks: {fast:?}");
        let error = fast.cycles as f64 / exact.cycles as f64 - 1.0;
        assert!(error.abs() < 0.01, "{threads} threads, {blocks} blocks: {} and {}", fast.cycles, exact.cycles);
        assert_eq!((fast.issued, fast.flops), (exact.issued, exact.flops));
    }
}

/// Copying: every byte moves once from device memory and once to it, and that is the limit.
#[test]
fn memory_floor() {
    let f = function(
        "copy",
        16,
        "
        S2R R0, SR_TID.X
        S2R R1, SR_CTAID.X
        IMAD R0, R1, 0x100, R0
        LDC.64 R2, c[0x0][0x210]
        LDC.64 R4, c[0x0][0x218]
        IMAD.WIDE R2, R0, 0x10, R2
        IMAD.WIDE R4, R0, 0x10, R4
        ULDC.64 UR4, c[0x0][0x208]
        LDG.E.128 R8, desc[UR4][R2.64] ; 701
        STG.E.128 desc[UR4][R4.64], R8 ; ff1
        EXIT",
    );
    let launch =
        Launch { grid: [50_000, 1, 1], block: [256, 1, 1], args: args(&[0, 0x10, 0, 0x20]), ..Launch::default() };
    let p = predict(&f, &launch).unwrap();
    let bytes = 2.0 * 50_000.0 * 256.0 * 16.0;
    assert_eq!((p.unique_bytes, p.l2_bytes), (bytes, bytes));
    assert_eq!(p.limit, "device memory");
    let expected = bytes / machine::DEVICE_MEMORY * machine::SLOWDOWN + machine::LAUNCH;
    assert!((p.seconds() / expected - 1.0).abs() < 1e-9);
    // A single block is limited by latency and not by bandwidth.
    let p = predict(&f, &Launch { grid: [1, 1, 1], ..launch }).unwrap();
    assert!(p.limit.starts_with("1 blocks, latency") && p.cycles > 300.0, "{p:?}");
}
