//! The colour components of a file, and the order of the coefficients in their blocks.

/// The index in a block of each coefficient, in the order of the file. A block is stored row by row. A run may pass the
/// end by 16.
#[rustfmt::skip]
pub const ZIGZAG: [u8; 80] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
];

/// A colour component of a file.
pub struct Component {
    pub id: u8,
    /// The number of blocks of the component in a unit of the file, across and down.
    pub across: usize,
    pub down: usize,
    /// The number of samples of the component, across and down.
    pub width: usize,
    pub height: usize,
    /// The number of blocks in whole units: in a row of `plane` or `coefficients`, and the number of rows.
    pub columns: usize,
    pub rows: usize,
    /// The number of the quantization table, and the table as it was at the first scan of the component.
    pub table: usize,
    pub steps: Option<[u16; 64]>,
    /// The samples, `8 * columns` in a row.
    pub plane: Vec<u8>,
    /// The blocks of a progressive file.
    pub coefficients: Vec<[i16; 64]>,
    /// The number of low bits that each coefficient still lacks. `None` if no scan has had the coefficient.
    pub missing: [Option<u8>; 64],
}

impl Component {
    /// Returns whether every coefficient was read. High frequencies that no scan has are zeros. Low frequencies must be
    /// read, because libjpeg would smooth the image without them.
    pub fn is_complete(&self) -> bool {
        self.missing.iter().enumerate().all(|(k, missing)| missing.map_or(k >= 10, |bits| bits == 0))
    }
}
