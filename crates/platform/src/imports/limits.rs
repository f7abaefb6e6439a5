//! What one import may cost, as named numbers with their units.
//!
//! Every limit is checked while the file streams past, before the memory it protects is taken:
//! a hostile file is refused after reading as much as the limit allows, never after reading it all.

/// Upper bounds of one file; [`Limits::default`] is what the platform runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Size of the file as uploaded. Beyond it nothing more is read.
    pub(crate) file_bytes_max: u64,
    /// Records below the header, blank ones not counted.
    pub(crate) rows_max: u64,
    /// Columns of the header, and so of each record.
    pub(crate) columns_max: usize,
    /// One cell, after decoding to UTF-8 and unquoting.
    pub(crate) field_bytes_max: usize,
    /// One record; with it the memory of a reader is bounded whatever the file says.
    pub(crate) record_bytes_max: usize,
    /// One column name.
    pub(crate) header_bytes_max: usize,
    /// How much of the beginning decides the delimiter and whether the file is text at all.
    pub(crate) sample_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes_max: 256 * 1024 * 1024,
            rows_max: 1_000_000,
            columns_max: 512,
            field_bytes_max: 64 * 1024,
            record_bytes_max: 1024 * 1024,
            header_bytes_max: 256,
            sample_bytes: 64 * 1024,
        }
    }
}

/// `bytes` as people say it: `256 MiB`, `64 KiB`, `300 bytes`.
pub(super) fn human_bytes(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match bytes {
        b if b >= MIB && b % MIB == 0 => format!("{} MiB", b / MIB),
        b if b >= KIB && b % KIB == 0 => format!("{} KiB", b / KIB),
        b => format!("{b} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_in_the_largest_whole_unit() {
        assert_eq!(human_bytes(256 * 1024 * 1024), "256 MiB");
        assert_eq!(human_bytes(64 * 1024), "64 KiB");
        assert_eq!(human_bytes(300), "300 bytes");
    }
}
