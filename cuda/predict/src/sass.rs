//! Machine code in the form that the disassembler prints.
//!
//! The input is the text of `cuobjdump -sass`, with the encoding of every instruction in comments. An instruction takes
//! two lines. The first has the address, the text and the low half of the encoding. The second has the high half. The
//! assembler writes into the high half how long the warp waits before its next instruction, which scoreboards the
//! instruction sets, and for which it waits.

use std::collections::HashMap;

/// The assembler's decisions about the issue of an instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Cycles until the warp may issue its next instruction.
    pub stall: u8,
    /// Whether the scheduler may switch to another warp.
    pub switch: bool,
    /// The scoreboard that is released when the result is written.
    pub write: Option<u8>,
    /// The scoreboard that is released when the operands have been read.
    pub read: Option<u8>,
    /// A bit per scoreboard that must be free before the instruction issues.
    pub wait: u8,
}

impl Control {
    /// Decodes the high half of an encoding: bits 41-44 stall, 45 yield, 46-48 write, 49-51 read, 52-57 wait.
    #[must_use]
    pub fn decode(high: u64) -> Control {
        let c = high >> 41;
        let scoreboard = |bits: u64| (bits & 7 != 7).then_some((bits & 7) as u8);
        Control {
            stall: (c & 15) as u8,
            switch: c >> 4 & 1 == 0,
            write: scoreboard(c >> 5),
            read: scoreboard(c >> 8),
            wait: (c >> 11 & 63) as u8,
        }
    }
}

/// A predicate register: `P0`, `!PT`, `UP3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predicate {
    /// The number. 7 is the constant true.
    pub index: u8,
    /// Whether the operand is negated.
    pub negate: bool,
    /// Whether the register belongs to the uniform datapath.
    pub uniform: bool,
}

/// The modifier of a source operand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// `-x`.
    pub negate: bool,
    /// `~x`.
    pub invert: bool,
    /// `|x|`.
    pub absolute: bool,
}

/// The base register of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// A register of each lane. 255 is zero.
    Lane {
        /// Number of the register.
        index: u8,
        /// The register and the next one hold 64 bits.
        wide: bool,
        /// The factor of the register.
        scale: u8,
    },
    /// A register of the uniform datapath. 63 is zero.
    Uniform {
        /// Number of the register.
        index: u8,
        /// The register and the next one hold 64 bits.
        wide: bool,
    },
}

/// An operand.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// `R3`. 255 is `RZ`, which is zero.
    Register(u8, Change),
    /// `UR3`. 63 is `URZ`, which is zero.
    Uniform(u8, Change),
    /// `P0`.
    Predicate(Predicate),
    /// An integer.
    Immediate(i64),
    /// `c[bank][offset]`, `c[bank][R3+offset]`.
    Constant {
        /// Number of the bank: 0 holds the parameters, 2 the tables of indirect branches.
        bank: u8,
        /// The register that is added to the offset.
        base: Option<Base>,
        /// Bytes.
        offset: i64,
        /// The modifier of the value.
        change: Change,
    },
    /// `[R3+UR4+offset]`. With a descriptor before it, it is an address in global memory.
    Address {
        /// The registers that are added.
        bases: [Option<Base>; 2],
        /// Bytes.
        offset: i64,
    },
    /// `SR_TID.X`.
    Special(String),
    /// `B0`.
    Barrier(u8),
    /// Anything else, such as a floating-point number.
    Other(String),
}

/// An instruction.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// Bytes from the start of the function.
    pub address: u32,
    /// The text as printed, without the guard.
    pub text: String,
    /// The predicate under which it is executed.
    pub guard: Option<Predicate>,
    /// The first part of the opcode, such as `IMAD`.
    pub opcode: String,
    /// The other parts, such as `WIDE` and `U32`.
    pub modifiers: Vec<String>,
    /// The operands in printed order, results first.
    pub operands: Vec<Operand>,
    /// Low half of the encoding.
    pub low: u64,
    /// High half of the encoding.
    pub high: u64,
    /// Stall count and scoreboards.
    pub control: Control,
}

impl Instruction {
    /// Reads a printed instruction, without the final semicolon.
    ///
    /// # Errors
    ///
    /// A message if the text has no opcode, or has a guard that is not a predicate.
    pub fn parse(address: u32, text: &str, low: u64, high: u64) -> Result<Instruction, String> {
        let mut rest = text.trim();
        let mut guard = None;
        if let Some(guarded) = rest.strip_prefix('@') {
            let (name, after) = guarded.split_once(char::is_whitespace).ok_or_else(|| format!("no opcode: {text}"))?;
            guard = Some(predicate(name).ok_or_else(|| format!("not a predicate: {name}"))?);
            rest = after.trim_start();
        }
        let (name, operands) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let mut parts = name.split('.').map(str::to_string);
        let opcode = parts.next().filter(|o| !o.is_empty()).ok_or_else(|| format!("no opcode: {text}"))?;
        // `BRXU UR4 -0x5f0` and `RET R4 0x0` have no comma between register and offset.
        let spaced = matches!(&*opcode, "BRX" | "BRXU" | "JMX" | "RET");
        let operands = operands
            .split(|c| c == ',' || spaced && c == ' ')
            .map(str::trim)
            .filter(|o| !o.is_empty())
            .map(operand)
            .collect();
        Ok(Instruction {
            address,
            text: rest.to_string(),
            guard,
            opcode,
            modifiers: parts.collect(),
            operands,
            low,
            high,
            control: Control::decode(high),
        })
    }

    /// Whether the opcode has this part, such as `U32`.
    #[must_use]
    pub fn has(&self, modifier: &str) -> bool {
        self.modifiers.iter().any(|m| m == modifier)
    }

    /// Bytes per lane of a memory instruction.
    #[must_use]
    pub fn width(&self) -> u32 {
        let bytes = |m: &String| match &**m {
            "128" => Some(16),
            "64" => Some(8),
            "U16" | "S16" => Some(2),
            "U8" | "S8" => Some(1),
            _ => None,
        };
        self.modifiers.iter().find_map(bytes).unwrap_or(4)
    }
}

/// A function of a cubin.
#[derive(Clone, Debug, Default)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Its instructions, 16 bytes apart, from address 0.
    pub code: Vec<Instruction>,
    /// Registers per thread. 0 if the text does not have the number.
    pub registers: u32,
    /// Bytes of static shared memory, including the 1024 that the system reserves.
    pub shared: u32,
    /// Bank 2 of the constants: the tables of indirect branches. Empty if unknown.
    pub tables: Vec<u8>,
}

/// Reads the text of `cuobjdump -sass`. `cuobjdump -res-usage -sass` gives the registers too.
///
/// # Errors
///
/// A message with the number of the line if an instruction cannot be read, if its address does not follow from the
/// number of instructions before it, or if half of its encoding is missing.
pub fn parse(text: &str) -> Result<HashMap<String, Function>, String> {
    let mut functions: HashMap<String, Function> = HashMap::new();
    let (mut current, mut used): (Option<Function>, Option<String>) = (None, None);
    let mut resources: HashMap<String, (u32, u32)> = HashMap::new();
    let mut first: Option<(u32, &str, u64)> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let at = |e: String| format!("line {}: {e}", number + 1);
        if let Some(name) = line.strip_prefix("Function : ") {
            if let Some(f) = current.take() {
                functions.insert(f.name.clone(), f);
            }
            current = Some(Function { name: name.trim().to_string(), ..Function::default() });
        } else if let Some(name) = line.strip_prefix("Function ").and_then(|n| n.strip_suffix(':')) {
            used = Some(name.to_string());
        } else if let Some(name) = used.take_if(|_| line.starts_with("REG:")) {
            let field =
                |key: &str| line.split_whitespace().find_map(|w| w.strip_prefix(key)?.parse().ok()).unwrap_or(0);
            resources.insert(name, (field("REG:"), field("SHARED:")));
        } else if let Some(f) = &mut current
            && let Some((before, hex)) = line.strip_suffix("*/").and_then(|l| l.rsplit_once("/* 0x"))
        {
            let half = u64::from_str_radix(hex.trim(), 16).map_err(|e| at(e.to_string()))?;
            match (before.strip_prefix("/*").and_then(|b| b.split_once("*/")), first.take()) {
                (Some((address, text)), None) => {
                    let address = u32::from_str_radix(address, 16).map_err(|e| at(e.to_string()))?;
                    first = Some((address, text.trim().trim_end_matches(';').trim(), half));
                }
                (None, Some((address, text, low))) => {
                    if address as usize != f.code.len() * 16 {
                        return Err(at(format!("address {address:#x} after {} instructions", f.code.len())));
                    }
                    f.code.push(Instruction::parse(address, text, low, half).map_err(at)?);
                }
                _ => return Err(at("half an encoding".into())),
            }
        }
    }
    functions.extend(current.map(|f| (f.name.clone(), f)));
    for (name, (registers, shared)) in resources {
        if let Some(f) = functions.get_mut(&name) {
            (f.registers, f.shared) = (registers, shared);
        }
    }
    Ok(functions)
}

fn predicate(text: &str) -> Option<Predicate> {
    let (negate, name) = text.strip_prefix('!').map_or((false, text), |t| (true, t));
    let (uniform, name) = name.strip_prefix('U').map_or((false, name), |t| (true, t));
    let index = match name.strip_prefix('P')? {
        "T" => 7,
        n => n.parse().ok().filter(|&n: &u8| n < 7)?,
    };
    Some(Predicate { index, negate, uniform })
}

fn register(text: &str) -> Option<u8> {
    let name = text.strip_prefix('R')?;
    if name == "Z" { Some(255) } else { name.parse().ok() }
}

fn uniform(text: &str) -> Option<u8> {
    let name = text.strip_prefix("UR")?;
    if name == "Z" { Some(63) } else { name.parse().ok() }
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |t| (true, t));
    let value = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -value } else { value })
}

/// Reads `R3.64+UR4+0x10`, the text between brackets.
fn sum(text: &str) -> Option<([Option<Base>; 2], i64)> {
    let (mut bases, mut count, mut offset) = ([None; 2], 0, 0);
    for term in text.split('+').filter(|t| !t.is_empty()) {
        if let Some(value) = integer(term) {
            offset += value;
            continue;
        }
        let (name, suffix) = term.split_once('.').unwrap_or((term, ""));
        let wide = suffix.split('.').any(|s| s == "64");
        let scale = suffix.split('.').find_map(|s| s.strip_prefix('X')?.parse().ok()).unwrap_or(1);
        let base = match uniform(name) {
            Some(index) => Base::Uniform { index, wide },
            None => Base::Lane { index: register(name)?, wide, scale },
        };
        *bases.get_mut(count)? = Some(base);
        count += 1;
    }
    Some((bases, offset))
}

fn operand(text: &str) -> Operand {
    read_operand(text).unwrap_or_else(|| Operand::Other(text.to_string()))
}

fn read_operand(text: &str) -> Option<Operand> {
    if let Some(p) = predicate(text) {
        return Some(Operand::Predicate(p));
    }
    if let Some(value) = integer(text) {
        return Some(Operand::Immediate(value));
    }
    if text.starts_with("SR") {
        return Some(Operand::Special(text.to_string()));
    }
    if let Some(index) = text.strip_prefix('B').and_then(|n| n.parse().ok()) {
        return Some(Operand::Barrier(index));
    }
    let mut change = Change::default();
    let mut name = text;
    loop {
        match name.as_bytes().first()? {
            b'-' => change.negate = true,
            b'~' => change.invert = true,
            b'|' => {
                change.absolute = true;
                name = name.strip_suffix('|').unwrap_or(name);
            }
            _ => break,
        }
        name = &name[1..];
    }
    if let Some(constant) = name.strip_prefix("c[") {
        let (bank, at) = constant.split_once("][")?;
        let (bases, offset) = sum(at.strip_suffix(']')?)?;
        return Some(Operand::Constant { bank: integer(bank)? as u8, base: bases[0], offset, change });
    }
    let address = name.strip_prefix("desc[").and_then(|n| Some(n.split_once(']')?.1)).unwrap_or(name);
    if let Some(inner) = address.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        let (bases, offset) = sum(inner)?;
        return Some(Operand::Address { bases, offset });
    }
    let (name, suffix) = name.split_once('.').unwrap_or((name, ""));
    // Only floating-point instructions use halves of a register.
    if suffix.starts_with('H') || suffix.starts_with('B') {
        return None;
    }
    let name = name.trim_end_matches('|');
    match uniform(name) {
        Some(index) => Some(Operand::Uniform(index, change)),
        None => Some(Operand::Register(register(name)?, change)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "
Function add:
  REG:26 STACK:0 SHARED:1024 LOCAL:0 CONSTANT[0]:584 TEXTURE:0 SURFACE:0 SAMPLER:0

		Function : add
	.headerflags	@\"EF_CUDA_SM90\"
        /*0000*/                   LDC R1, c[0x0][0x28] ;                  /* 0x00000a00ff017b82 */
                                                                           /* 0x000fe20000000800 */
        /*0010*/              @!P0 LDG.E.128.CONSTANT R4, desc[UR8][R2.64+-0x10] ;   /* 0x0000000402047981 */
                                                                           /* 0x002ea2000c1e1d00 */
";

    #[test]
    fn reads_a_function() {
        let f = &parse(TEXT).unwrap()["add"];
        assert_eq!((f.code.len(), f.registers, f.shared), (2, 26, 1024));
        let i = &f.code[1];
        assert_eq!((i.address, &*i.opcode, i.width()), (16, "LDG", 16));
        assert_eq!(i.guard, Some(Predicate { index: 0, negate: true, uniform: false }));
        let base = Base::Lane { index: 2, wide: true, scale: 1 };
        let address = Operand::Address { bases: [Some(base), None], offset: -16 };
        assert_eq!(i.operands, [Operand::Register(4, Change::default()), address]);
        // The upper half from bit 41 on: 0001 stalls, 1 stays with the warp, 010 writes, 111 reads none, 000010 waits.
        let control = Control { stall: 1, switch: false, write: Some(2), read: None, wait: 2 };
        assert_eq!(i.control, control);
        assert_eq!(f.code[0].control, Control { stall: 1, switch: false, write: None, read: None, wait: 0 });
    }

    #[test]
    fn refuses_what_is_not_whole() {
        let cut = TEXT.trim_end().rsplit_once('\n').unwrap().0;
        assert!(parse(&format!("{cut}\n{}", TEXT.lines().nth(6).unwrap())).is_err());
        assert!(parse(&TEXT.replace("/*0010*/", "/*0020*/")).is_err(), "an instruction is missing");
        assert!(parse(&TEXT.replace("0x002ea2000c1e1d00", "0xg")).is_err());
    }

    #[test]
    fn operands() {
        let change = Change { negate: true, ..Change::default() };
        assert_eq!(operand("-R5.reuse"), Operand::Register(5, change));
        assert_eq!(operand("RZ"), Operand::Register(255, Change::default()));
        assert_eq!(operand("-|R7|"), Operand::Register(7, Change { absolute: true, ..change }));
        assert_eq!(operand("~UR3"), Operand::Uniform(3, Change { invert: true, ..Change::default() }));
        assert_eq!(operand("!UPT"), Operand::Predicate(Predicate { index: 7, negate: true, uniform: true }));
        assert_eq!(operand("-0x1f"), Operand::Immediate(-31));
        assert_eq!(operand("1.5"), Operand::Other("1.5".into()));
        let base = Some(Base::Uniform { index: 4, wide: false });
        let constant = Operand::Constant { bank: 2, base, offset: 16, change: Change::default() };
        assert_eq!(operand("c[0x2][UR4+0x10]"), constant);
        let bases =
            [Some(Base::Lane { index: 3, wide: false, scale: 4 }), Some(Base::Uniform { index: 5, wide: false })];
        assert_eq!(operand("[R3.X4+UR5+-0x20]"), Operand::Address { bases, offset: -32 });
        let branch = Instruction::parse(0, "BRXU UR4 -0x5f0", 0, 0).unwrap();
        assert_eq!(branch.operands, [Operand::Uniform(4, Change::default()), Operand::Immediate(-0x5f0)]);
    }
}
