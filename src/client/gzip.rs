//! Gzip as it comes off the wire, in pieces and in any number of members.
//!
//! A server may flush a stream as many members; decoders that stop after the first lose the rest without a word.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

/// Decodes piece by piece; everything that a piece makes known is given back at once.
pub(super) struct Gunzip {
    decoder: MultiGzDecoder<Vec<u8>>,
    fed: bool,
}

impl Gunzip {
    pub fn new() -> Self {
        Self { decoder: MultiGzDecoder::new(Vec::new()), fed: false }
    }

    pub fn feed(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        self.fed |= !piece.is_empty();
        self.decoder.write_all(piece)?;
        self.decoder.flush()?;
        Ok(std::mem::take(self.decoder.get_mut()).into())
    }

    /// The rest; an error when the stream stopped in the middle of a member.
    pub fn finish(mut self) -> io::Result<Bytes> {
        if self.fed {
            self.decoder.try_finish()?;
        }
        Ok(std::mem::take(self.decoder.get_mut()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn member(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn three_members_in_pieces_of_any_size_lose_nothing() {
        let texts: Vec<Vec<u8>> = (0..3u8).map(|n| (0..40_000u32).map(|i| (i % 251) as u8 ^ n).collect()).collect();
        let packed: Vec<u8> = texts.iter().flat_map(|text| member(text)).collect();
        for size in [1, 7, 1000, packed.len()] {
            let mut gunzip = Gunzip::new();
            let mut out = Vec::new();
            for piece in packed.chunks(size) {
                out.extend(gunzip.feed(piece).unwrap());
            }
            out.extend(gunzip.finish().unwrap());
            assert!(out == texts.concat(), "pieces of {size}: {} of {} bytes", out.len(), texts.concat().len());
        }
    }

    #[test]
    fn a_whole_member_is_given_at_once() {
        let mut gunzip = Gunzip::new();
        assert_eq!(gunzip.feed(&member(b"first")).unwrap(), "first");
        assert_eq!(gunzip.feed(&member(b"second")).unwrap(), "second");
    }

    #[test]
    fn a_cut_or_spoilt_stream_is_an_error_and_an_empty_one_is_not() {
        let packed = member(&[b'x'; 5000]);
        let mut gunzip = Gunzip::new();
        gunzip.feed(&packed[..packed.len() - 6]).unwrap();
        assert!(gunzip.finish().is_err());
        let mut spoilt = packed;
        let middle = spoilt.len() / 2;
        spoilt[middle] ^= 0xff;
        let mut gunzip = Gunzip::new();
        assert!(gunzip.feed(&spoilt).is_err() || gunzip.finish().is_err());
        assert_eq!(Gunzip::new().finish().unwrap(), "");
    }
}
