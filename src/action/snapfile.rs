//! Whether a snapshot of etcd is whole: the SHA-256 at its end, and the first pages of the database in it. Told while it streams in, and of
//! a file that is there.

use crate::model::plan::hex;
use sha2::{Digest as _, Sha256};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes of the hash at the end.
const TRAILER: usize = 32;
/// etcd pads its file to whole sectors.
const SECTOR: u64 = 512;
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// Bytes of a meta page: its page's head, the meta, its sum.
const HEAD: usize = 16;
const META: usize = 64;
const SUMMED: usize = 56;
/// Where the second meta page may begin when the first one does not say: the page sizes of the systems that there are.
const PAGES: [u64; 5] = [4096, 8192, 16384, 32768, 65536];

/// A snapshot that is whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Whole {
    /// Bytes, the hash included.
    pub size: u64,
    /// Of all before it, in hexadecimal.
    pub sha256: String,
    pub page_size: u32,
    /// The newest transaction that is in it.
    pub transaction: u64,
}

/// Why a snapshot is none, or not whole.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    #[error("{0} bytes: that is no snapshot")]
    Short(u64),
    #[error("{0} bytes without a hash at the end: a copy of a database, or a snapshot that was cut")]
    NoHash(u64),
    #[error("{0} bytes, which is no whole snapshot: it was cut, or something was added")]
    Cut(u64),
    #[error("its SHA-256 is {is}, the one at its end is {said}: it was changed or damaged")]
    Hash { is: String, said: String },
    #[error("no database in it: {0}")]
    Bolt(&'static str),
    #[error("the database in it has {has} bytes and needs {needs}")]
    Missing { has: u64, needs: u64 },
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Hashes what comes in, all but the last 32 bytes.
#[derive(Default)]
pub struct Sum {
    hasher: Sha256,
    tail: Vec<u8>,
    size: u64,
}

impl Sum {
    pub fn push(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
        let before = self.tail.len().saturating_sub(TRAILER);
        self.hasher.update(&self.tail[..before]);
        self.tail.drain(..before);
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Size and SHA-256, when they are as the end says.
    ///
    /// # Errors
    /// When they are not.
    pub fn finish(self) -> Result<(u64, String), Damage> {
        let data = self.size.saturating_sub(TRAILER as u64);
        match self.size % SECTOR {
            _ if data < 2 * PAGES[0] => return Err(Damage::Short(self.size)),
            0 => return Err(Damage::NoHash(self.size)),
            rest if rest != TRAILER as u64 => return Err(Damage::Cut(self.size)),
            _ => {}
        }
        let (is, said) = (hex(&self.hasher.finalize()), hex(&self.tail));
        if is == said { Ok((self.size, is)) } else { Err(Damage::Hash { is, said }) }
    }
}

/// Reads a file and says whether it is a whole snapshot.
///
/// # Errors
/// When it is not, or cannot be read.
pub fn verify(path: &Path) -> Result<Whole, Damage> {
    let mut file = std::fs::File::open(path)?;
    let (mut sum, mut buffer) = (Sum::default(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => sum.push(&buffer[..n]),
        }
    }
    let (size, sha256) = sum.finish()?;
    let (page_size, transaction) = database(&mut file, size - TRAILER as u64)?;
    Ok(Whole { size, sha256, page_size, transaction })
}

/// The page size and the newest transaction of the database at a file's start, of that many bytes.
///
/// # Errors
/// When there is none, or less of it than it says.
pub fn database(file: &mut (impl Read + Seek), size: u64) -> Result<(u32, u64), Damage> {
    let mut at = |offset: u64| -> Result<Option<Meta>, Damage> {
        let mut page = [0; HEAD + META];
        file.seek(SeekFrom::Start(offset))?;
        match file.read_exact(&mut page) {
            Ok(()) => Ok(Meta::read(&page[HEAD..])),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e.into()),
        }
    };
    let first = at(0)?;
    let second = match &first {
        Some(meta) => at(u64::from(meta.page_size))?,
        None => {
            let found = PAGES.into_iter().map(|page| Ok(at(page)?.filter(|m| u64::from(m.page_size) == page)));
            found.collect::<Result<Vec<_>, Damage>>()?.into_iter().flatten().next()
        }
    };
    let newest = first.into_iter().chain(second).max_by_key(|m| m.transaction);
    let newest = newest.ok_or(Damage::Bolt("neither of its two first pages is one of a bolt database"))?;
    let needs = newest.pages.saturating_mul(u64::from(newest.page_size));
    if needs > size {
        return Err(Damage::Missing { has: size, needs });
    }
    Ok((newest.page_size, newest.transaction))
}

/// One of the two pages that a bolt database begins with.
struct Meta {
    page_size: u32,
    /// Pages that are in use, counted from the first.
    pages: u64,
    transaction: u64,
}

impl Meta {
    /// None when it is none, or its sum is not right.
    fn read(bytes: &[u8]) -> Option<Self> {
        let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let u64_at = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        // FNV-1a.
        let sum = bytes.get(..SUMMED)?.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
        let fine = u32_at(0)? == MAGIC && u32_at(4)? == VERSION && u64_at(SUMMED)? == sum;
        let page_size = u32_at(8)?;
        (fine && page_size.is_power_of_two()).then_some(Self { page_size, pages: u64_at(40)?, transaction: u64_at(48)? })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file as a member would send it: a database of so many pages, and its hash.
    pub(crate) fn snapshot(pages: u64) -> Vec<u8> {
        let mut bytes = vec![7; 4096 * usize::try_from(pages).unwrap()];
        for (n, transaction) in [(0, 41_u64), (1, 42)] {
            let mut meta = Vec::new();
            [MAGIC, VERSION, 4096, 0].iter().for_each(|v| meta.extend(v.to_le_bytes()));
            [2, 0, 3, pages, transaction].iter().for_each(|v| meta.extend(v.to_le_bytes()));
            let sum = meta.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
            meta.extend(sum.to_le_bytes());
            let at = n * 4096 + HEAD;
            bytes[at..at + META].copy_from_slice(&meta);
        }
        signed(bytes)
    }

    fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
        let hash = Sha256::digest(&bytes);
        bytes.extend(hash);
        bytes
    }

    fn said(bytes: &[u8]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, bytes).unwrap();
        match verify(&file) {
            Ok(whole) => format!("{} bytes, page {}, transaction {}", whole.size, whole.page_size, whole.transaction),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn a_whole_snapshot_is_told_from_a_cut_a_changed_and_a_foreign_one() {
        let good = snapshot(5);
        assert_eq!(said(&good), "20512 bytes, page 4096, transaction 42");
        let mut flipped = good.clone();
        flipped[9_000] ^= 1;
        assert!(said(&flipped).contains("it was changed or damaged"), "{}", said(&flipped));
        assert!(said(&good[..good.len() - 7]).contains("it was cut"));
        assert!(said(&good[..good.len() - 32]).contains("without a hash at the end"));
        // Cut at a sector's end with a hash behind it: the hash does not fit.
        assert!(said(&[&good[..8192], &good[good.len() - 32..]].concat()).contains("it was changed or damaged"));
        assert!(said(b"hello").contains("no snapshot"));
        assert!(said(&signed(vec![0; 20_480])).contains("no database"));
        // The hash fits, but pages are missing.
        assert_eq!(said(&signed(good[..16_384].to_vec())), "the database in it has 16384 bytes and needs 20480");
    }

    #[test]
    fn one_good_meta_page_is_enough_and_pieces_may_be_of_any_size() {
        let mut torn = snapshot(5);
        torn.truncate(torn.len() - 32);
        torn[20] ^= 0xff;
        assert_eq!(said(&signed(torn.clone())), "20512 bytes, page 4096, transaction 42", "the first one is torn");
        torn[20] ^= 0xff;
        torn[4096 + 70] ^= 0xff;
        assert_eq!(said(&signed(torn)), "20512 bytes, page 4096, transaction 41", "the second one is");
        let good = snapshot(3);
        for piece in [1, 31, 32, 33, 4096] {
            let mut sum = Sum::default();
            good.chunks(piece).for_each(|c| sum.push(c));
            assert_eq!(sum.finish().unwrap().0, good.len() as u64, "{piece}");
        }
    }
}
