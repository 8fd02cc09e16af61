//! The constants of the machine: an H200, which has the SM of an H100 (sm_90).
//!
//! Sources:
//!
//! * \[guide\] CUDA C++ Programming Guide, table "Throughput of Native Arithmetic Instructions", column 9.0, in results
//!   per cycle and SM. A quarter of it is what one of the four parts of an SM does.
//! * \[paper\] NVIDIA H100 Tensor Core GPU Architecture, whitepaper.
//! * \[latency\] An estimate near the memory latencies of Luo et al., "Benchmarking and Dissecting the Nvidia Hopper GPU
//!   Architecture via Microbenchmarking", arXiv:2402.13499.
//! * \[schedule\] The stall counts that ptxas 13.0 writes for sm_90a, which follow the hardware's fixed latencies.
//! * \[estimate\] No published figure was found; the value is a guess between those of related instructions.

use crate::sass::{Instruction, Operand};

/// Streaming multiprocessors of an H200 SXM. \[paper\]
pub const SMS: u32 = 132;
/// Cycles a second. The boost clock is 1.98e9; under load the power limit holds it below. \[estimate\]
pub const CLOCK: f64 = 1.9e9;
/// Floating-point operations a cycle and SM on the tensor cores, 16-bit operands, dense. \[paper\]
pub const TENSOR_FLOPS: f64 = 4096.0;
/// Seconds from the end of a kernel of a graph to the start of the next. \[estimate\]
pub const LAUNCH: f64 = 1.2e-6;
/// Bytes a second from device memory that kernels reach; the peak is 4.8e12. \[estimate\]
pub const DEVICE_MEMORY: f64 = 3.3e12;
/// Bytes a second between the L2 cache and all SMs: 64 a cycle and SM would be 16e12, benchmarks of the H100 reach a
/// third. \[estimate\]
pub const L2: f64 = 5.5e12;

/// Floating-point operations a second that cuBLAS reaches on 16-bit operands where tiles fill the SMs: 762e12 on an H100, from
/// waynehacking8/blackwell-tensorcore-kernels, `results/reference/summary.md`.
pub const LIBRARY_FLOPS: f64 = 762e12;
/// The same on f32 operands: 128 fused multiply-adds a cycle and SM \[guide\], of which 80% are reached. \[estimate\]
pub const LIBRARY_F32_FLOPS: f64 = 0.8 * 2.0 * 128.0 * SMS as f64 * CLOCK;
/// Seconds of a product of cuBLAS before its first tile is multiplied and after its last. \[estimate\]
pub const LIBRARY_START: f64 = 2e-6;

/// Registers of an SM. \[guide\]
pub const REGISTERS: u32 = 65536;
/// Bytes of an SM that shared memory and the L1 cache divide. \[paper\]
pub const L1: u32 = 256 << 10;
/// Bytes of shared memory of an SM, those reserved for the system included. \[guide\]
pub const SHARED: u32 = 228 << 10;
/// Bytes of shared memory that the system takes of every block. \[guide\]
pub const SHARED_RESERVED: u32 = 1 << 10;
/// Warps of an SM. \[guide\]
pub const WARPS: u32 = 64;
/// Blocks of an SM. \[guide\]
pub const BLOCKS: u32 = 32;

/// Where an instruction is executed. Each of the four parts of an SM has its own, but for the load/store unit.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pipe {
    /// No pipe: control instructions.
    None,
    Tensor,
    /// Functions such as `MUFU.EX2`, and conversions between types.
    Special,
    Float,
    Multiply,
    Integer,
    Uniform,
    Double,
    /// Shared by the whole SM.
    LoadStore,
}

/// Pipes of a part of an SM.
pub const PIPES: usize = 9;

/// How an instruction uses its pipe.
#[derive(Clone, Copy, Debug)]
pub struct Use {
    /// The pipe.
    pub pipe: Pipe,
    /// Cycles that the pipe is busy; of the load/store unit the trace says.
    pub busy: u32,
    /// Cycles from the issue to the result, or, in the load/store unit, from the end of its work there. Only for
    /// instructions that set a scoreboard: the stall count says it of the others.
    pub latency: u32,
    /// Tensor operations, in units of one multiplication or addition.
    pub flops: u32,
}

/// Cycles that a warp of 32 lanes keeps the pipe busy for `HMMA.16816`. ptxas issues them no closer. The dense peak of
/// `wgmma` would be 4. \[schedule\]
const HMMA_16816: u32 = 6;
/// From the end of the tensor core's work on `HGMMA` until its result may be used. \[estimate\]
const GROUP_PRODUCT: u32 = 32;
/// `LDS`. \[latency\]
const LOAD_SHARED: u32 = 29;
/// `LDSM`. \[estimate\]
const LOAD_MATRIX: u32 = 33;
/// `LDG` that the L2 cache answers, with some waiting for other requests. \[latency\]
const LOAD_GLOBAL: u32 = 300;
/// `LDGSTS`: as above, of many requests at once, some of which go to device memory. \[latency\]
const COPY_ASYNC: u32 = 600;
/// `LDG` that the L1 cache answers. \[latency\]
pub const LOAD_CACHED: u32 = 41;
/// An atomic operation that returns a value. \[estimate\]
const ATOMIC: u32 = 500;
/// Until a store has read its operands and its scoreboard is free. \[estimate\]
const STORE: u32 = 20;
/// `SHFL`. \[estimate\]
const SHUFFLE: u32 = 24;
/// `MUFU`. \[estimate\]
const SPECIAL: u32 = 22;
/// `S2R`, `S2UR`. \[estimate\]
const SPECIAL_REGISTER: u32 = 25;
/// `LDC`, `R2UR`. \[estimate\]
const CONSTANT: u32 = 30;
/// Double precision. \[estimate\]
const DOUBLE: u32 = 16;

/// Until the operands of an instruction of variable latency have been read. \[estimate\]
pub const READ: u64 = 12;
/// From the arrival of the last warp at a barrier until the others go on. \[estimate\]
pub const BARRIER: u64 = 12;
/// From the end of a block until one that waits for its room starts. \[estimate\]
pub const BLOCK_START: u64 = 100;
/// Cycles that a branch adds to its stall count. \[estimate\]
pub const BRANCH: u64 = 2;
/// Cycles of work that the load/store unit's queue holds before warps have to wait. \[estimate\]
pub const QUEUE: u64 = 96;

/// The pipe of an instruction, and for how long.
pub fn usage(i: &Instruction) -> Use {
    let of = |pipe, busy, latency| Use { pipe, busy, latency, flops: 0 };
    let name = &*i.opcode;
    match name {
        // m16n8k16 is 4096 operations; k8 half of it.
        "HMMA" if i.has("1688") => Use { flops: 2048, ..of(Pipe::Tensor, HMMA_16816 / 2, 0) },
        "HMMA" => Use { flops: 4096, ..of(Pipe::Tensor, HMMA_16816, 0) },
        // A quarter of m64nNk16 in each part of the SM: as many cycles as the dense peak asks for [paper], and as reading
        // the operands from shared memory at 128 bytes a cycle takes: the right one, and the left if it is there.
        "HGMMA" | "QGMMA" | "IGMMA" => {
            let shape = i.modifiers.iter().find(|m| m.split('x').count() == 3);
            let sides: Vec<u32> = shape.map_or(vec![], |s| s.split('x').filter_map(|n| n.parse().ok()).collect());
            let [m, n, k] = sides[..] else { return of(Pipe::Tensor, 4, GROUP_PRODUCT) };
            let left = if matches!(i.operands.get(1), Some(Operand::Other(_))) { 16 } else { 0 };
            Use { flops: m * n * k / 2, ..of(Pipe::Tensor, n.div_ceil(2).max(n.div_ceil(4) + left), GROUP_PRODUCT) }
        }
        "LDSM" => of(Pipe::LoadStore, 4, LOAD_MATRIX),
        "LDS" | "ATOMS" => of(Pipe::LoadStore, 1, LOAD_SHARED),
        "STS" => of(Pipe::LoadStore, 1, STORE),
        "LDGSTS" => of(Pipe::LoadStore, 8, COPY_ASYNC),
        "LDG" | "LD" => of(Pipe::LoadStore, 1, LOAD_GLOBAL),
        "STG" | "ST" | "RED" | "REDG" => of(Pipe::LoadStore, 1, STORE),
        "ATOMG" | "ATOM" => of(Pipe::LoadStore, 1, ATOMIC),
        "LDL" | "STL" => of(Pipe::LoadStore, 1, LOAD_SHARED),
        "SHFL" => of(Pipe::LoadStore, 1, SHUFFLE),
        // 16 results a cycle and SM. [guide]
        "MUFU" | "I2F" | "F2I" | "F2F" | "FRND" | "FCHK" | "POPC" | "FLO" | "BREV" | "UPOPC" | "UFLO" | "UBREV" => {
            of(Pipe::Special, 8, SPECIAL)
        }
        // 128. [guide]
        "FADD" | "FMUL" | "FFMA" | "HADD2" | "HMUL2" => of(Pipe::Float, 1, 0),
        // 64. [guide]
        "IMAD" | "HFMA2" => of(Pipe::Multiply, 2, 0),
        "DADD" | "DMUL" | "DFMA" | "DSETP" => of(Pipe::Double, 2, DOUBLE),
        "S2R" | "S2UR" => of(Pipe::None, 1, SPECIAL_REGISTER),
        "LDC" | "LDCU" | "R2UR" => of(Pipe::None, 1, CONSTANT),
        "BAR" | "BRA" | "BSYNC" | "BSSY" | "NOP" | "WARPSYNC" | "EXIT" | "DEPBAR" | "LDGDEPBAR" | "CALL" | "RET"
        | "BREAK" | "YIELD" | "BRX" | "BRXU" | "ENDCOLLECTIVE" | "BMOV" | "MEMBAR" => of(Pipe::None, 1, 0),
        _ if name.starts_with('U') => of(Pipe::Uniform, 2, SHUFFLE),
        // 64. [guide]
        _ => of(Pipe::Integer, 2, SHUFFLE),
    }
}
