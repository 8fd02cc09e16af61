//! Decodes instructions for the interpreter: the operation, its results and its sources.

use crate::sass::{Instruction, Operand, Predicate};

/// The operation of an instruction. Instructions of the uniform datapath are the same as those of lanes.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    // Integers.
    Mov,
    Imad,
    Iadd3,
    Lea,
    Lop3,
    Shf,
    Sel,
    Prmt,
    Iabs,
    Minmax,
    Minmax3,
    AddMinmax,
    Popc,
    Flo,
    Brev,
    HalfConstant,
    IntToFloat,
    FloatToInt,
    Mufu,
    // Predicates.
    Isetp,
    Plop3,
    P2r,
    R2p,
    Vote,
    Elect,
    Fchk,
    FloatTest,
    // Between lanes and datapaths.
    Special,
    Zero,
    LoadConstant,
    ToUniform,
    Shuffle,
    Redux,
    // Memory.
    LoadShared,
    LoadMatrix,
    StoreShared,
    AtomicShared,
    CopyAsync,
    LoadGlobal,
    StoreGlobal,
    AtomicGlobal,
    Local,
    TryWait,
    // Control.
    Nop,
    Bar,
    Bra,
    Brx,
    Bssy,
    Bsync,
    Break,
    Call,
    Ret,
    Warpsync,
    Exit,
    /// Results are unknown: floating-point numbers.
    Float,
    /// Results are unknown, and other effects may be unknown too.
    Unsupported,
}

/// A comparison.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Never,
    Lt,
    Eq,
    Le,
    Gt,
    Ne,
    Ge,
    Always,
}

/// How a comparison is combined with a predicate.
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    And,
    Or,
    Xor,
}

/// The lane from which a shuffle takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shuffle {
    /// `SHFL.BFLY`: the lane's own number, XOR the operand.
    Xor,
    /// `SHFL.IDX`: the operand.
    Lane,
    /// Another rule.
    Other,
}

/// An instruction, ready to be executed.
#[derive(Clone, Debug)]
pub struct Step {
    /// The operation.
    pub op: Op,
    /// The predicate under which it is executed.
    pub guard: Option<Predicate>,
    /// The first result register.
    pub dst: Option<Operand>,
    /// The number of consecutive result registers.
    pub count: u8,
    /// Result predicates.
    pub outs: Vec<Predicate>,
    /// Sources that are not predicates.
    pub srcs: Vec<Operand>,
    /// Sources that are predicates.
    pub ins: Vec<Predicate>,
    /// Numbers are unsigned: `U32`, `U64` and so on.
    pub unsigned: bool,
    /// 64-bit numbers.
    pub wide: bool,
    /// `HI`: the upper half of the result.
    pub high: bool,
    /// `X` or `EX`: the operation has a carry input.
    pub carry: bool,
    /// `SX32`.
    pub extend: bool,
    /// `L`: shifts left.
    pub left: bool,
    /// `W`: shift counts wrap around.
    pub wrap: bool,
    /// `MUFU.RCP`.
    pub reciprocal: bool,
    /// The lane rule of a shuffle.
    pub shuffle: Shuffle,
    /// The comparison of the operands.
    pub compare: Compare,
    /// The combination of the comparison with the predicate source.
    pub combine: Combine,
    /// Bytes per lane of a memory access, or matrices of `LDSM`.
    pub width: u32,
    /// The target of a branch.
    pub target: Option<u32>,
    /// Low half of the encoding.
    pub low: u64,
}

fn op_of(i: &Instruction) -> Op {
    let name = &*i.opcode;
    let uniform = name.strip_prefix('U').filter(|_| name != "UNKNOWN").unwrap_or(name);
    match uniform {
        "MOV" | "MOV32I" => Op::Mov,
        "IMAD" => Op::Imad,
        "IADD3" | "VIADD" | "IADD" => Op::Iadd3,
        "LEA" => Op::Lea,
        "LOP3" | "LOP" => Op::Lop3,
        "SHF" => Op::Shf,
        "SEL" => Op::Sel,
        "PRMT" => Op::Prmt,
        "IABS" => Op::Iabs,
        "VIMNMX" | "IMNMX" => Op::Minmax,
        "VIMNMX3" => Op::Minmax3,
        "VIADDMNMX" => Op::AddMinmax,
        "POPC" => Op::Popc,
        "FLO" => Op::Flo,
        "BREV" => Op::Brev,
        "HFMA2" if i.operands.iter().any(|o| matches!(o, Operand::Other(_) | Operand::Immediate(_))) => {
            Op::HalfConstant
        }
        "I2F" => Op::IntToFloat,
        "F2I" => Op::FloatToInt,
        "MUFU" => Op::Mufu,
        "ISETP" => Op::Isetp,
        "PLOP3" => Op::Plop3,
        "P2R" => Op::P2r,
        "R2P" => Op::R2p,
        "VOTE" => Op::Vote,
        "ELECT" => Op::Elect,
        "FCHK" => Op::Fchk,
        "FSETP" | "DSETP" | "HSETP2" => Op::FloatTest,
        "S2R" | "S2UR" => Op::Special,
        "CS2R" => Op::Zero,
        "LDC" | "LDCU" => Op::LoadConstant,
        "R2UR" => Op::ToUniform,
        "SHFL" => Op::Shuffle,
        "REDUX" => Op::Redux,
        "LDS" => Op::LoadShared,
        "LDSM" => Op::LoadMatrix,
        "STS" => Op::StoreShared,
        "ATOMS" => Op::AtomicShared,
        "LDGSTS" => Op::CopyAsync,
        "LDG" | "LD" => Op::LoadGlobal,
        "STG" | "ST" => Op::StoreGlobal,
        "ATOMG" | "ATOM" | "RED" | "REDG" => Op::AtomicGlobal,
        "LDL" | "STL" => Op::Local,
        "SYNCS" => Op::TryWait,
        "NOP" | "YIELD" | "DEPBAR" | "LDGDEPBAR" | "ENDCOLLECTIVE" | "BMOV" | "MEMBAR" | "CCTL" | "ERRBAR"
        | "WARPGROUP" | "SETMAXREG" | "FENCE" | "ACQBULK" | "PREEXIT" | "BPT" => Op::Nop,
        "BAR" => Op::Bar,
        "BRA" => Op::Bra,
        "BRX" | "BRXU" => Op::Brx,
        "BSSY" => Op::Bssy,
        "BSYNC" => Op::Bsync,
        "BREAK" => Op::Break,
        "CALL" => Op::Call,
        "RET" => Op::Ret,
        "WARPSYNC" => Op::Warpsync,
        "EXIT" => Op::Exit,
        "FADD" | "FMUL" | "FFMA" | "FSEL" | "FMNMX" | "FMNMX3" | "FSET" | "FRND" | "HADD2" | "HMUL2" | "HFMA2"
        | "HMNMX2" | "HSET2" | "DADD" | "DMUL" | "DFMA" | "F2F" | "F2FP" | "I2FP" | "HMMA" | "IMMA" | "DMMA"
        | "HGMMA" => Op::Float,
        _ => match name {
            // The names of these two begin with a U.
            "USETMAXREG" | "UCGABAR_ARV" | "UCGABAR_WAIT" => Op::Nop,
            _ => Op::Unsupported,
        },
    }
}

/// The number of consecutive result registers.
fn results(i: &Instruction, op: Op) -> u8 {
    let words = (i.width().div_ceil(4)) as u8;
    match op {
        Op::LoadGlobal | Op::LoadShared | Op::Local | Op::LoadConstant | Op::AtomicGlobal => words,
        Op::LoadMatrix => matrices(i) as u8,
        Op::Imad if i.has("WIDE") => 2,
        Op::Zero if !i.has("32") => 2,
        Op::FloatToInt if i.has("U64") || i.has("S64") => 2,
        Op::IntToFloat if i.has("F64") => 2,
        Op::Float => match &*i.opcode {
            "HMMA" if i.has("F32") => 4,
            "HMMA" => 2,
            "IMMA" | "DMMA" => 4,
            // 64xNx16: N/2 numbers of f32 per thread.
            "HGMMA" => {
                let n = i.modifiers.iter().find_map(|m| m.split('x').nth(1)?.parse::<u32>().ok()).unwrap_or(8);
                (if i.has("F32") { n / 2 } else { n / 4 }).min(250) as u8
            }
            "DADD" | "DMUL" | "DFMA" => 2,
            "F2F" if i.has("F64") && i.modifiers.first().is_some_and(|m| m == "F64") => 2,
            _ => 1,
        },
        _ => 1,
    }
}

fn matrices(i: &Instruction) -> u32 {
    if i.has("4") {
        4
    } else if i.has("2") {
        2
    } else {
        1
    }
}

impl Step {
    /// Decodes an instruction.
    #[must_use]
    pub fn new(i: &Instruction) -> Step {
        let op = op_of(i);
        let tests = matches!(op, Op::Isetp | Op::Plop3 | Op::FloatTest);
        let (mut dst, mut outs, mut srcs, mut ins) = (None, Vec::new(), Vec::new(), Vec::new());
        let stores = matches!(
            op,
            Op::StoreShared | Op::StoreGlobal | Op::CopyAsync | Op::Bra | Op::Brx | Op::Ret | Op::Call | Op::Bar
        ) || matches!(op, Op::Bssy | Op::Bsync | Op::Break | Op::Warpsync | Op::R2p | Op::Nop)
            || matches!(&*i.opcode, "STL" | "RED" | "REDG");
        for (at, operand) in i.operands.iter().enumerate() {
            match operand {
                Operand::Predicate(p) if tests && at < 2 => outs.push(*p),
                Operand::Predicate(p) if op == Op::Vote && at == 1 => outs.push(*p),
                // `PT, R0, ...` of a shuffle; `R0, P1, ...` of a sum with a carry.
                Operand::Predicate(p) if !tests && !stores && op != Op::Vote && srcs.is_empty() => outs.push(*p),
                Operand::Predicate(p) => ins.push(*p),
                Operand::Register(..) | Operand::Uniform(..) if dst.is_none() && !tests && !stores => {
                    dst = Some(operand.clone());
                }
                _ => srcs.push(operand.clone()),
            }
        }
        let mut immediates =
            srcs.iter().filter_map(|s| if let Operand::Immediate(v) = s { Some(*v as u32) } else { None });
        let target = match op {
            Op::Bra | Op::Bssy | Op::Call | Op::Warpsync => immediates.next_back(),
            _ => None,
        };
        let compare = i.modifiers.iter().find_map(|m| {
            Some(match &**m {
                "F" => Compare::Never,
                "LT" => Compare::Lt,
                "EQ" => Compare::Eq,
                "LE" => Compare::Le,
                "GT" => Compare::Gt,
                "NE" => Compare::Ne,
                "GE" => Compare::Ge,
                "T" => Compare::Always,
                _ => return None,
            })
        });
        let combine = match (i.has("OR"), i.has("XOR")) {
            (true, _) => Combine::Or,
            (_, true) => Combine::Xor,
            _ => Combine::And,
        };
        Step {
            op,
            guard: i.guard,
            dst,
            count: results(i, op),
            outs,
            srcs,
            ins,
            unsigned: i.has("U32") || i.has("U64"),
            wide: i.has("WIDE") || i.has("U64") || i.has("S64") || op == Op::LoadConstant && i.has("64"),
            high: i.has("HI"),
            carry: i.has("X") || i.has("EX"),
            extend: i.has("SX32"),
            left: i.has("L"),
            wrap: i.has("W"),
            reciprocal: i.has("RCP"),
            shuffle: match () {
                _ if i.has("BFLY") => Shuffle::Xor,
                _ if i.has("IDX") => Shuffle::Lane,
                _ => Shuffle::Other,
            },
            compare: compare.unwrap_or(Compare::Never),
            combine,
            width: if op == Op::LoadMatrix { matrices(i) } else { i.width() },
            target,
            low: i.low,
        }
    }
}
