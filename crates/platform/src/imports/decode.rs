//! Streams a file of known encoding as UTF-8, strictly: no replacement characters, ever.
//!
//! All text before a bad byte is handed out before the error, so whoever consumes it stands exactly
//! at the damaged cell when the error comes and can name its row and column.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::encoding::TextEncoding;

const CHUNK_BYTES: usize = 64 * 1024;

/// Why no more text can be had.
#[derive(Debug)]
pub(super) enum DecodeError {
    Read(io::Error),
    /// The bytes at this point are no text in the encoding of the file.
    Malformed,
}

/// A pull stream of UTF-8 over `source`: look at [`chunk`](Self::chunk), then
/// [`consume`](Self::consume) what was used.
pub(super) struct TextStream<R> {
    source: R,
    encoding: TextEncoding,
    decoder: Decoder,
    raw: Vec<u8>,
    raw_used: usize,
    raw_filled: usize,
    source_ended: bool,
    finished: bool,
    malformed: bool,
    text: Vec<u8>,
    text_used: usize,
    text_filled: usize,
}

impl<R: Read> TextStream<R> {
    /// A byte order mark is taken off.
    pub(super) fn new(source: R, encoding: TextEncoding) -> Self {
        let decoder = match encoding {
            TextEncoding::Utf8 => UTF_8.new_decoder_with_bom_removal(),
            TextEncoding::Utf16Le => UTF_16LE.new_decoder_with_bom_removal(),
            TextEncoding::Utf16Be => UTF_16BE.new_decoder_with_bom_removal(),
            TextEncoding::Windows1252 => WINDOWS_1252.new_decoder_without_bom_handling(),
        };
        Self {
            source,
            encoding,
            decoder,
            raw: vec![0; CHUNK_BYTES],
            raw_used: 0,
            raw_filled: 0,
            source_ended: false,
            finished: false,
            malformed: false,
            text: vec![0; CHUNK_BYTES],
            text_used: 0,
            text_filled: 0,
        }
    }

    /// The next text, whole characters; empty only at the end of the file.
    pub(super) fn chunk(&mut self) -> Result<&[u8], DecodeError> {
        while self.text_used == self.text_filled && !self.finished {
            if self.malformed {
                return Err(DecodeError::Malformed);
            }
            self.fill_raw()?;
            self.decode();
        }
        Ok(&self.text[self.text_used..self.text_filled])
    }

    /// Marks the first `length` bytes of [`chunk`](Self::chunk) as used.
    pub(super) fn consume(&mut self, length: usize) {
        self.text_used += length;
        debug_assert!(self.text_used <= self.text_filled);
    }

    fn fill_raw(&mut self) -> Result<(), DecodeError> {
        while self.raw_used == self.raw_filled && !self.source_ended {
            match self.source.read(&mut self.raw) {
                Ok(read) => {
                    self.raw_used = 0;
                    self.raw_filled = read;
                    self.source_ended = read == 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(DecodeError::Read(error)),
            }
        }
        Ok(())
    }

    fn decode(&mut self) {
        let raw = &self.raw[self.raw_used..self.raw_filled];
        let undefined = match self.encoding {
            TextEncoding::Windows1252 => raw.iter().position(|&byte| is_undefined_in_1252(byte)),
            _ => None,
        };
        let decodable = &raw[..undefined.unwrap_or(raw.len())];
        let (result, read, written) =
            self.decoder.decode_to_utf8_without_replacement(decodable, &mut self.text, self.source_ended);
        self.raw_used += read;
        self.text_used = 0;
        self.text_filled = written;
        match result {
            DecoderResult::InputEmpty => {
                self.finished = self.source_ended;
                self.malformed = undefined.is_some();
            }
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => self.malformed = true,
        }
    }
}

/// The web's Windows-1252 maps these to invisible control characters; on a migration team's
/// machine they mean the file is in another encoding.
fn is_undefined_in_1252(byte: u8) -> bool {
    matches!(byte, 0x81 | 0x8d | 0x8f | 0x90 | 0x9d)
}

/// `bytes` as text up to the first error or cut character; for a sample, which may end anywhere.
pub(super) fn decode_sample(bytes: &[u8], encoding: TextEncoding) -> Vec<u8> {
    let mut stream = TextStream::new(bytes, encoding);
    let mut text = Vec::with_capacity(bytes.len());
    while let Ok(chunk) = stream.chunk() {
        if chunk.is_empty() {
            break;
        }
        let length = chunk.len();
        text.extend_from_slice(chunk);
        stream.consume(length);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns one byte at a time, so that every sequence is cut everywhere.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else {
                return Ok(0);
            };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn read_all(source: impl Read, encoding: TextEncoding) -> (String, bool) {
        let mut stream = TextStream::new(source, encoding);
        let mut text = Vec::new();
        loop {
            match stream.chunk() {
                Ok([]) => return (String::from_utf8(text).unwrap(), true),
                Ok(chunk) => {
                    let length = chunk.len();
                    text.extend_from_slice(chunk);
                    stream.consume(length);
                }
                Err(_) => return (String::from_utf8(text).unwrap(), false),
            }
        }
    }

    #[test]
    fn text_before_the_bad_byte_comes_first() {
        assert_eq!(read_all(&b"K\xc3\xb6ln\xff!"[..], TextEncoding::Utf8), ("Köln".into(), false));
        assert_eq!(read_all(&b"a\x80b\x81c"[..], TextEncoding::Windows1252), ("a€b".into(), false));
        assert_eq!(read_all(&b"a\0b"[..], TextEncoding::Utf16Le), ("a".into(), false));
        assert_eq!(read_all(&b"K\xc3"[..], TextEncoding::Utf8), ("K".into(), false));
    }

    #[test]
    fn a_mark_is_no_text() {
        assert_eq!(read_all(&b"\xef\xbb\xbfa"[..], TextEncoding::Utf8), ("a".into(), true));
        assert_eq!(read_all(&b"\xfe\xff\0a"[..], TextEncoding::Utf16Be), ("a".into(), true));
    }

    proptest! {
        #[test]
        fn whatever_was_encoded_comes_back(text in "[^\u{feff}]\\PC{0,60}") {
            let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            prop_assert_eq!(read_all(Drip(text.as_bytes()), TextEncoding::Utf8), (text.clone(), true));
            prop_assert_eq!(read_all(Drip(&little), TextEncoding::Utf16Le), (text.clone(), true));
            prop_assert_eq!(read_all(&big[..], TextEncoding::Utf16Be), (text, true));
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_never_replace(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for encoding in [TextEncoding::Utf8, TextEncoding::Utf16Le, TextEncoding::Utf16Be, TextEncoding::Windows1252] {
                let (dripped, _) = read_all(Drip(&bytes), encoding);
                let (whole, _) = read_all(&bytes[..], encoding);
                prop_assert_eq!(dripped, whole);
            }
        }
    }
}
