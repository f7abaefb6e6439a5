//! Decides the encoding of a file from *all* its bytes.
//!
//! A sample cannot decide: an export may be plain ASCII for 15,000 rows and hold its first `ü` in
//! row 15,001. So the whole file is scanned once (it is on disk; the scan runs at memory speed and
//! keeps 64 KiB), and then:
//!
//! | the bytes                                            | decision                          |
//! |------------------------------------------------------|-----------------------------------|
//! | byte order mark                                      | what the mark says                |
//! | zeros in every other byte of the sample              | UTF-16 of that order              |
//! | all valid UTF-8 (ASCII included)                     | UTF-8                             |
//! | invalid as UTF-8, and no valid multi-byte sequence   | Windows-1252                      |
//! | valid multi-byte sequences *and* invalid bytes       | UTF-8, damaged: refused, see below|
//!
//! The last line is deliberate. Text in Windows-1252 hardly ever forms valid UTF-8 by chance, so a
//! file holding both is a UTF-8 file with a broken byte or two exports glued together; reading it
//! as Windows-1252 would turn every `ü` into `Ã¼` without a word. Decoding is strict, so the
//! reader meets the first bad byte and names its row and column.

use std::io::{self, Read};

use super::{
    error::{ErrorCode, ImportError},
    limits::{Limits, human_bytes},
    signature,
};

const CHUNK_BYTES: usize = 64 * 1024;

/// Encodings that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextEncoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    Windows1252,
}

impl TextEncoding {
    /// The name as it stands in the API (`Import.encoding`).
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::Windows1252 => "windows-1252",
        }
    }
}

/// What the scan of the whole file found.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) encoding: TextEncoding,
    pub(super) size_bytes: u64,
}

/// Reads `source` to its end and decides; refuses files that are too large, empty or no text.
pub(super) fn scan(mut source: impl Read, limits: &Limits) -> Result<Scan, ImportError> {
    let sample = read_sample(&mut source, limits.sample_bytes)?;
    if sample.is_empty() {
        return Err(empty_file());
    }
    signature::refuse_known_formats(&sample)?;

    let declared = byte_order_mark(&sample).or_else(|| utf16_without_mark(&sample));
    if !matches!(declared, Some(TextEncoding::Utf16Le | TextEncoding::Utf16Be)) {
        signature::refuse_binary(&sample)?;
    }

    let mut evidence = Utf8Evidence::default();
    evidence.observe(&sample);
    let mut size_bytes = sample.len() as u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if size_bytes > limits.file_bytes_max {
            return Err(file_too_large(limits));
        }
        match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => {
                size_bytes += read as u64;
                evidence.observe(&chunk[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImportError::read_failed(&error)),
        }
    }
    Ok(Scan { encoding: declared.unwrap_or_else(|| evidence.decide()), size_bytes })
}

/// The first `length` bytes, or all if there are fewer.
pub(super) fn read_sample(source: &mut impl Read, length: usize) -> Result<Vec<u8>, ImportError> {
    let mut sample = Vec::with_capacity(length);
    source.take(length as u64).read_to_end(&mut sample).map_err(|error| ImportError::read_failed(&error))?;
    Ok(sample)
}

pub(super) fn empty_file() -> ImportError {
    ImportError::file(
        ErrorCode::EmptyFile,
        "The file is empty. Export it again with a header line and at least one row.",
    )
}

fn file_too_large(limits: &Limits) -> ImportError {
    ImportError::file(
        ErrorCode::FileTooLarge,
        format!(
            "The file is larger than {}. Split it into several files, each with the header line.",
            human_bytes(limits.file_bytes_max)
        ),
    )
}

fn byte_order_mark(sample: &[u8]) -> Option<TextEncoding> {
    match sample {
        [0xef, 0xbb, 0xbf, ..] => Some(TextEncoding::Utf8),
        [0xff, 0xfe, ..] => Some(TextEncoding::Utf16Le),
        [0xfe, 0xff, ..] => Some(TextEncoding::Utf16Be),
        _ => None,
    }
}

/// CSV is mostly ASCII (delimiters, digits, line ends), so in UTF-16 one byte of most pairs is 0
/// and the other hardly ever.
fn utf16_without_mark(sample: &[u8]) -> Option<TextEncoding> {
    let pairs = sample.len() / 2;
    let zeros_in = |offset: usize| sample.iter().skip(offset).step_by(2).filter(|&&byte| byte == 0).count();
    let (first, second) = (zeros_in(0), zeros_in(1));
    let mostly = |zeros: usize| pairs > 0 && zeros * 2 > pairs;
    let hardly = |zeros: usize| zeros * 50 <= pairs;
    if mostly(second) && hardly(first) {
        Some(TextEncoding::Utf16Le)
    } else if mostly(first) && hardly(second) {
        Some(TextEncoding::Utf16Be)
    } else {
        None
    }
}

/// What was seen so far of UTF-8, across chunk borders.
#[derive(Debug, Default)]
struct Utf8Evidence {
    multi_byte: bool,
    invalid: bool,
    /// Beginning of a sequence the last chunk cut; at most three bytes.
    cut: Vec<u8>,
}

impl Utf8Evidence {
    fn observe(&mut self, chunk: &[u8]) {
        if self.multi_byte && self.invalid {
            return; // Nothing more can change the decision.
        }
        if self.cut.is_empty() {
            return self.observe_joined(chunk);
        }
        // Only continuation bytes can complete the cut sequence, and at most three of them.
        let taken = chunk.iter().take(3).take_while(|&&byte| byte & 0xc0 == 0x80).count();
        let (head, tail) = chunk.split_at(taken);
        let mut joined = std::mem::take(&mut self.cut);
        joined.extend_from_slice(head);
        self.observe_joined(&joined);
        if !tail.is_empty() {
            self.invalid |= !self.cut.is_empty();
            self.cut.clear();
            self.observe_joined(tail);
        }
    }

    fn observe_joined(&mut self, mut rest: &[u8]) {
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.multi_byte |= !text.is_ascii();
                    return;
                }
                Err(error) => {
                    let (valid, bad) = rest.split_at(error.valid_up_to());
                    self.multi_byte |= !valid.is_ascii();
                    let Some(length) = error.error_len() else {
                        self.cut = bad.to_vec();
                        return;
                    };
                    self.invalid = true;
                    rest = &bad[length..];
                }
            }
        }
    }

    fn decide(self) -> TextEncoding {
        let invalid = self.invalid || !self.cut.is_empty();
        if invalid && !self.multi_byte { TextEncoding::Windows1252 } else { TextEncoding::Utf8 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(bytes: &[u8], expected: TextEncoding) {
        let limits = Limits { sample_bytes: 16, ..Limits::default() };
        assert_eq!(scan(bytes, &limits).unwrap().encoding, expected, "{bytes:?}");
    }

    #[test]
    fn marks_decide() {
        check(b"\xef\xbb\xbfName", TextEncoding::Utf8);
        check(b"\xff\xfeN\0a\0", TextEncoding::Utf16Le);
        check(b"\xfe\xff\0N\0a", TextEncoding::Utf16Be);
    }

    #[test]
    fn utf16_shows_without_a_mark() {
        check(b"N\0a\0m\0e\0,\0I\0P\0\n\0", TextEncoding::Utf16Le);
        check(b"\0N\0a\0m\0e\0,\0I\0P\0\n", TextEncoding::Utf16Be);
    }

    #[test]
    fn the_first_umlaut_may_stand_anywhere() {
        let mut file = b"name\n".repeat(20_000);
        check(&file, TextEncoding::Utf8);
        let mut utf8 = file.clone();
        utf8.extend_from_slice("Köln\n".as_bytes());
        check(&utf8, TextEncoding::Utf8);
        file.extend_from_slice(b"K\xf6ln\n");
        check(&file, TextEncoding::Windows1252);
    }

    #[test]
    fn a_damaged_utf8_file_stays_utf8_and_is_not_read_as_windows_1252() {
        check("Köln\nK\u{f6}ln".as_bytes(), TextEncoding::Utf8);
        check(b"K\xc3\xb6ln\nM\xfcnchen and more text", TextEncoding::Utf8);
    }

    #[test]
    fn too_large_is_refused_without_reading_on() {
        let limits = Limits { file_bytes_max: 1 << 20, ..Limits::default() };
        let endless = io::repeat(b'a');
        assert_eq!(scan(endless, &limits).unwrap_err().code, ErrorCode::FileTooLarge);
    }

    proptest! {
        /// Where the chunks are cut makes no difference.
        #[test]
        fn evidence_is_independent_of_chunk_borders(
            bytes in prop::collection::vec(prop_oneof![Just(b'a'), Just(0xc3), Just(0xbc), Just(0xe2), Just(0x82), Just(0xac), any::<u8>()], 0..40),
            cuts in prop::collection::vec(1usize..5, 0..40),
        ) {
            let mut whole = Utf8Evidence::default();
            whole.observe(&bytes);
            let mut cut = Utf8Evidence::default();
            let mut rest = &bytes[..];
            for length in cuts {
                let (head, tail) = rest.split_at(length.min(rest.len()));
                cut.observe(head);
                rest = tail;
            }
            cut.observe(rest);
            prop_assert_eq!(whole.decide(), cut.decide());
        }
    }
}
