//! The constants of the machine: an H200, which has the SM of an H100 (`sm_90`).
//!
//! Sources:
//!
//! * \[guide\] CUDA C++ Programming Guide, table "Throughput of Native Arithmetic Instructions", column 9.0, in results
//!   per cycle and SM. Each of the four parts of an SM does a quarter of it.
//! * \[paper\] NVIDIA H100 Tensor Core GPU Architecture, whitepaper.
//! * \[latency\] An estimate near the memory latencies of Luo et al., "Benchmarking and Dissecting the Nvidia Hopper
//!   GPU Architecture via Microbenchmarking", arXiv:2402.13499.
//! * \[schedule\] The stall counts that ptxas 13.0 writes for `sm_90a`, which follow the hardware's fixed latencies.
//! * \[measured\] `benches/results/gpu-nvidia-h200.json`: the kernels of tracked frames of the tiny and the large model on
//!   an H200, each timed by Nsight Compute.
//! * \[estimate\] No published figure was found. The value is a guess between those of related instructions.

use crate::sass::{Instruction, Operand};

/// Streaming multiprocessors of an H200 SXM. \[paper\]
pub const SMS: u32 = 132;
/// Cycles per second. The boost clock is 1.98e9. Under load the power limit keeps the clock below it. \[estimate\]
pub const CLOCK: f64 = 1.9e9;
/// Floating-point operations per cycle and SM on the tensor cores, 16-bit operands, dense. \[paper\]
pub const TENSOR_FLOPS: f64 = 4096.0;
/// Seconds of a kernel that does nothing, in a sequence of kernels. It is the offset of the line of [`SLOWDOWN`].
/// \[measured\]
pub const LAUNCH: f64 = 1.8e-6;
/// Seconds on the card for a second of work in the model: the slope of the line through the times of the kernels in the
/// model and on the card, found by least squares of relative errors. \[measured\]
pub const SLOWDOWN: f64 = 1.165;
/// Bytes per second from device memory that kernels reach. The peak is 4.8e12. \[estimate\]
pub const DEVICE_MEMORY: f64 = 3.3e12;
/// Bytes per second between the L2 cache and all SMs. 64 per cycle and SM would be 16e12, of which benchmarks of the
/// H100 reach a third. \[estimate\]
pub const L2: f64 = 5.5e12;

/// Floating-point operations per second that cuBLASLt reaches on 16-bit operands if tiles fill the SMs, in products of
/// these models. A product of 8192 x 8192 x 8192 reaches 795e12. \[measured\]
pub const LIBRARY_FLOPS: f64 = 612e12;
/// The same on f32 operands: 128 fused multiply-adds per cycle and SM \[guide\], of which 80% are reached. \[estimate\]
pub const LIBRARY_F32_FLOPS: f64 = 0.8 * 2.0 * 128.0 * SMS as f64 * CLOCK;
/// Seconds of a product of cuBLASLt before its first tile and after its last tile. \[measured\]
pub const LIBRARY_START: f64 = 2.7e-6;

/// Registers of an SM. \[guide\]
pub const REGISTERS: u32 = 65536;
/// Bytes of an SM that shared memory and the L1 cache share. \[paper\]
pub const L1: u32 = 256 << 10;
/// Bytes of shared memory of an SM, including those reserved for the system. \[guide\]
pub const SHARED: u32 = 228 << 10;
/// Bytes of shared memory that the system reserves for every block. \[guide\]
pub const SHARED_RESERVED: u32 = 1 << 10;
/// Warps of an SM. \[guide\]
pub const WARPS: u32 = 64;
/// Blocks of an SM. \[guide\]
pub const BLOCKS: u32 = 32;

/// The pipe that executes an instruction. Each of the four parts of an SM has its own pipes, except for the load/store
/// unit.
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
    /// Cycles that the pipe is busy. For the load/store unit the trace has this number.
    pub busy: u32,
    /// Cycles from the issue to the result. In the load/store unit, cycles from the end of its work to the result. Only
    /// for instructions that set a scoreboard, since the stall count of the others includes it.
    pub latency: u32,
    /// Tensor operations, in units of one multiplication or addition.
    pub flops: u32,
}

/// Cycles that a warp of 32 lanes keeps the pipe busy for `HMMA.16816`. ptxas does not issue them closer together. The
/// dense peak of `wgmma` would be 4. \[schedule\]
const HMMA_16816: u32 = 6;
/// From the end of the tensor core's work on `HGMMA` until its result may be used. \[estimate\]
const GROUP_PRODUCT: u32 = 32;
/// `LDS`. \[latency\]
const LOAD_SHARED: u32 = 29;
/// `LDSM`. \[estimate\]
const LOAD_MATRIX: u32 = 33;
/// `LDG` from the L2 cache, with some waiting for other requests. \[latency\]
const LOAD_GLOBAL: u32 = 300;
/// `LDGSTS`: the same, for many requests at once, some of which go to device memory. \[latency\]
const COPY_ASYNC: u32 = 600;
/// `LDG` from the L1 cache. \[latency\]
pub const LOAD_CACHED: u32 = 41;
/// An atomic operation that returns a value. \[estimate\]
const ATOMIC: u32 = 500;
/// Until a store has read its operands and has released its scoreboard. \[estimate\]
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
/// From the arrival of the last warp at a barrier until the others continue. \[estimate\]
pub const BARRIER: u64 = 12;
/// From the end of a block until the start of a block that waits for its room. \[estimate\]
pub const BLOCK_START: u64 = 100;
/// Cycles that a branch adds to its stall count. \[estimate\]
pub const BRANCH: u64 = 2;
/// Cycles of work in the queue of the load/store unit before warps have to wait. \[estimate\]
pub const QUEUE: u64 = 96;

/// The pipe of an instruction, and the cycles that the pipe is busy.
#[must_use]
pub fn usage(i: &Instruction) -> Use {
    let of = |pipe, busy, latency| Use { pipe, busy, latency, flops: 0 };
    let name = &*i.opcode;
    match name {
        // m16n8k16 is 4096 operations, and k8 is half of it.
        "HMMA" if i.has("1688") => Use { flops: 2048, ..of(Pipe::Tensor, HMMA_16816 / 2, 0) },
        "HMMA" => Use { flops: 4096, ..of(Pipe::Tensor, HMMA_16816, 0) },
        // A quarter of m64nNk16 in each part of the SM. It takes the cycles of the dense peak [paper], and the cycles
        // to read the operands from shared memory at 128 bytes per cycle: the right operand, and the left one if it is
        // there.
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
        // 16 results per cycle and SM. [guide]
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
