//! A member's database as a snapshot streams it: a bolt file of the member's size whose buckets are empty, and its hash.
//!
//! Layout: `go.etcd.io/bbolt` (`internal/common/{page,meta}.go`), version 2, little endian.

use super::{Said, State, VERSION};
use crate::model::etcd_rpc::SnapshotResponse;
use bytes::Bytes;
use futures::Stream;
use sha2::{Digest as _, Sha256};
use tonic::Status;

const PAGE: usize = 4096;
const MAGIC: u32 = 0xED0C_DAED;
const LAYOUT: u32 = 2;
/// Kinds of pages.
const LEAF: u16 = 0x02;
const META: u16 = 0x04;
const FREELIST: u16 = 0x10;
/// The pages in use: two metas, the free list, the root.
const PAGES: [u16; 4] = [META, META, FREELIST, LEAF];
/// etcd's buckets, in their order.
const BUCKETS: [&str; 10] = ["alarm", "auth", "authRoles", "authUsers", "cluster", "key", "lease", "members", "members_removed", "meta"];
/// Bytes of what a leaf says of each thing in it.
const ELEMENT: usize = 16;
/// etcd sends so many bytes at a time.
const PIECE: usize = 32 << 10;

/// A page's head.
fn head(n: u64, kind: u16, count: usize) -> Vec<u8> {
    [&n.to_le_bytes()[..], &kind.to_le_bytes(), &(count as u16).to_le_bytes(), &[0; 4]].concat()
}

/// What the root's page holds: each bucket inline, an empty leaf.
fn buckets() -> Vec<u8> {
    // Neither page nor sequence of its own.
    let empty = [&[0; 16][..], &head(0, LEAF, 0)].concat();
    let (mut elements, mut data) = (Vec::new(), Vec::new());
    for (n, name) in BUCKETS.iter().enumerate() {
        // From where the element itself is.
        let at = (BUCKETS.len() - n) * ELEMENT + data.len();
        [1, at, name.len(), empty.len()].iter().for_each(|v| elements.extend((*v as u32).to_le_bytes()));
        data.extend(name.as_bytes());
        data.extend(&empty);
    }
    [elements, data].concat()
}

/// The pages that hold something, with this newest transaction.
fn pages(transaction: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(PAGES.len() * PAGE);
    for (n, kind) in (0u64..).zip(PAGES) {
        out.extend(head(n, kind, if kind == LEAF { BUCKETS.len() } else { 0 }));
        if kind == META {
            let from = out.len();
            [MAGIC, LAYOUT, PAGE as u32, 0].iter().for_each(|v| out.extend(v.to_le_bytes()));
            // The root's page and sequence, the free list's page, pages in use, transaction.
            [3, 0, 2, PAGES.len() as u64, transaction - 1 + n].iter().for_each(|v| out.extend(v.to_le_bytes()));
            let sum = out[from..].iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
            out.extend(sum.to_le_bytes());
        } else if kind == LEAF {
            out.extend(buckets());
        }
        out.resize((n as usize + 1) * PAGE, 0);
    }
    out
}

/// The database of a member, piece by piece, made as it is asked for.
pub fn stream(s: &State, id: u64) -> Said<impl Stream<Item = Said<SnapshotResponse>> + Send + use<>> {
    let member = s.etcd.member(id).ok_or_else(|| Status::unavailable("etcdserver: server stopped"))?;
    let size = usize::try_from(member.size).unwrap_or(0).max(PAGES.len() * PAGE) & !(PAGE - 1);
    let first = Bytes::from(pages(s.revision().unsigned_abs()));
    let empty = Bytes::from(vec![0; PIECE]);
    let next = move |(at, mut sum): (usize, Option<Sha256>)| {
        let (first, empty) = (first.clone(), empty.clone());
        async move {
            let piece = |blob: Bytes, left: usize| SnapshotResponse {
                remaining_bytes: left as u64,
                blob,
                version: if at == 0 { VERSION.to_owned() } else { String::new() },
            };
            if at < size {
                let blob = if at == 0 { first } else { empty.slice(..PIECE.min(size - at)) };
                sum.as_mut()?.update(&blob);
                let end = at + blob.len();
                return Some((Ok(piece(blob, size - end)), (end, sum)));
            }
            let hash = sum.take()?.finalize();
            Some((Ok(piece(Bytes::copy_from_slice(&hash), 0)), (at, None)))
        }
    };
    Ok(futures::stream::unfold((0, Some(Sha256::new())), next))
}
