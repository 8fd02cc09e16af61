//! The data that all warps of a launch share: its shape, constants and known memory.

/// The data that all warps of a launch share.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block along x, y, z.
    pub block: [u32; 3],
    /// Bank 0 of the constants: the shape of the launch, then the parameters.
    pub constants: Vec<u8>,
    /// Bank 2 of the constants.
    pub tables: Vec<u8>,
    /// Known global memory: addresses and bytes.
    pub memory: Vec<(u64, Vec<u8>)>,
}

/// The offset of the parameters in bank 0 on `sm_90`.
pub const PARAMETERS: usize = 0x210;
/// The start of shared memory. The 1024 bytes before it are reserved by the system.
pub const SHARED_BASE: u64 = 0x400;
/// The upper half of generic addresses of shared memory. Any value works that no buffer has.
pub(crate) const SHARED_WINDOW: u32 = 0x7e00_0000;

impl Setting {
    /// The data of a launch with these parameters.
    #[must_use]
    pub fn new(grid: [u32; 3], block: [u32; 3], args: &[u8]) -> Setting {
        let mut constants = vec![0; PARAMETERS];
        for (at, value) in block.iter().chain(&grid).enumerate() {
            constants[at * 4..at * 4 + 4].copy_from_slice(&value.to_le_bytes());
        }
        constants.extend_from_slice(args);
        Setting { grid, block, constants, ..Setting::default() }
    }

    /// A word of a constant bank, if known.
    pub(crate) fn constant(&self, bank: u8, offset: i64) -> Option<u32> {
        let bank = match bank {
            0 => &self.constants,
            2 => &self.tables,
            _ => return None,
        };
        let at = usize::try_from(offset).ok()?;
        Some(u32::from_le_bytes(bank.get(at..at.checked_add(4)?)?.try_into().ok()?))
    }

    /// The known bytes of global memory at an address.
    #[must_use]
    pub fn load(&self, address: u64, bytes: usize) -> Option<&[u8]> {
        self.memory.iter().find_map(|(start, all)| {
            let at = usize::try_from(address.checked_sub(*start)?).ok()?;
            all.get(at..at.checked_add(bytes)?)
        })
    }
}
