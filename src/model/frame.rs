//! Kubernetes' protobuf envelopes, both ways: `k8s\0` + `Unknown`, length-prefixed watch frames, and lists read as they stream.
//!
//! Sources: the wire facts measured on 1.36, and the decoder of k8s.io/apimachinery (frames up to 16 MiB).

use super::wire;
use bytes::{Buf, Bytes, BytesMut};
use prost::Message as _;

/// The media type of lists and watches.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// The four bytes before every envelope.
pub const MAGIC: [u8; 4] = *b"k8s\0";
/// The longest frame or item that is taken.
pub const MAX_FRAME: usize = 16 << 20;

/// Why bytes are not what they should be.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum FrameError {
    #[error("not a Kubernetes protobuf envelope")]
    Magic,
    #[error("a frame of {0} bytes, 16 MiB at most")]
    TooLong(usize),
    #[error("broken protobuf: {0}")]
    Decode(String),
}

impl From<prost::DecodeError> for FrameError {
    fn from(e: prost::DecodeError) -> Self {
        Self::Decode(e.to_string())
    }
}

/// runtime.Unknown: what an envelope holds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Unknown {
    #[prost(message, optional, tag = "1")]
    pub type_meta: Option<TypeMeta>,
    #[prost(bytes = "bytes", tag = "2")]
    pub raw: Bytes,
    #[prost(string, tag = "3")]
    pub content_encoding: String,
    #[prost(string, tag = "4")]
    pub content_type: String,
}

/// What is inside.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TypeMeta {
    #[prost(string, tag = "1")]
    pub api_version: String,
    #[prost(string, tag = "2")]
    pub kind: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawExtension {
    #[prost(bytes = "bytes", tag = "1")]
    raw: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WireEvent {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(message, optional, tag = "2")]
    object: Option<RawExtension>,
}

/// One frame of a watch: `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`, and the object's message.
#[derive(Clone, PartialEq, Debug)]
pub struct WatchFrame {
    pub event: String,
    /// What the envelope says it holds, `Pod`.
    pub kind: String,
    pub raw: Bytes,
}

/// Opens an envelope.
///
/// # Errors
/// When the magic is missing or the message is broken.
pub fn open(bytes: Bytes) -> Result<Unknown, FrameError> {
    if bytes.len() < 4 || bytes[..4] != MAGIC {
        return Err(FrameError::Magic);
    }
    Ok(Unknown::decode(bytes.slice(4..))?)
}

/// Makes an envelope around an encoded message.
pub fn seal(api_version: &str, kind: &str, raw: Vec<u8>) -> Vec<u8> {
    let unknown = Unknown {
        type_meta: Some(TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() }),
        raw: raw.into(),
        content_encoding: String::new(),
        content_type: String::new(),
    };
    let mut out = MAGIC.to_vec();
    out.extend(unknown.encode_to_vec());
    out
}

/// Makes one watch frame.
pub fn watch_frame(event: &str, api_version: &str, kind: &str, raw: Vec<u8>) -> Vec<u8> {
    let body =
        WireEvent { kind: event.to_owned(), object: Some(RawExtension { raw: seal(api_version, kind, raw).into() }) }.encode_to_vec();
    let mut out = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    out.extend(body);
    out
}

/// Makes a whole list: the envelope of a `<Kind>List` with these encoded items.
pub fn list(
    api_version: &str,
    list_kind: &str,
    resource_version: &str,
    continue_token: &str,
    remaining: Option<i64>,
    items: &[Vec<u8>],
) -> Vec<u8> {
    let meta = wire::ListMeta {
        resource_version: resource_version.to_owned(),
        r#continue: continue_token.to_owned(),
        remaining_item_count: remaining,
    };
    let mut raw = Vec::new();
    let mut field = |tag: u8, bytes: &[u8]| {
        raw.push(tag << 3 | 2);
        prost::encoding::encode_varint(bytes.len() as u64, &mut raw);
        raw.extend_from_slice(bytes);
    };
    field(1, &meta.encode_to_vec());
    for item in items {
        field(2, item);
    }
    seal(api_version, list_kind, raw)
}

/// Cuts a watch's byte stream into frames.
#[derive(Default)]
pub struct WatchDecoder {
    buffer: BytesMut,
}

impl WatchDecoder {
    /// Takes what came in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// When a frame is too long or broken; the stream cannot be read on.
    pub fn frame(&mut self) -> Result<Option<WatchFrame>, FrameError> {
        let Some(head) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head) as usize;
        if length > MAX_FRAME {
            return Err(FrameError::TooLong(length));
        }
        if self.buffer.len() < 4 + length {
            return Ok(None);
        }
        self.buffer.advance(4);
        let event = WireEvent::decode(self.buffer.split_to(length).freeze())?;
        let unknown = open(event.object.unwrap_or_default().raw)?;
        Ok(Some(WatchFrame { event: event.kind, kind: unknown.type_meta.unwrap_or_default().kind, raw: unknown.raw }))
    }
}

/// What a list yields while it streams in.
#[derive(Debug, PartialEq)]
pub enum ListPart {
    Meta(wire::ListMeta),
    /// One item's message.
    Item(Bytes),
}

/// Reads a list's envelope as it streams, one item in memory at a time.
#[derive(Default)]
pub struct ListDecoder {
    buffer: BytesMut,
    stage: Stage,
}

#[derive(Default, PartialEq)]
enum Stage {
    #[default]
    Magic,
    Envelope,
    Items,
}

impl ListDecoder {
    /// Takes what came in.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next part, none when more bytes are needed.
    ///
    /// # Errors
    /// When this is no list or an item is too long.
    pub fn part(&mut self) -> Result<Option<ListPart>, FrameError> {
        loop {
            if self.stage == Stage::Magic {
                let Some(head) = self.buffer.first_chunk::<4>() else { return Ok(None) };
                if *head != MAGIC {
                    return Err(FrameError::Magic);
                }
                self.buffer.advance(4);
                self.stage = Stage::Envelope;
            }
            let mut peek = &self.buffer[..];
            let (Some(tag), Some(length)) = (varint(&mut peek)?, varint(&mut peek)?) else { return Ok(None) };
            let head = self.buffer.len() - peek.len();
            let (field, wire_type) = (tag >> 3, tag & 7);
            if wire_type == 0 {
                self.buffer.advance(head);
                continue;
            }
            if wire_type != 2 {
                return Err(FrameError::Decode(format!("wire type {wire_type} in a list")));
            }
            if self.stage == Stage::Envelope && field == 2 {
                self.buffer.advance(head);
                self.stage = Stage::Items;
                continue;
            }
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > MAX_FRAME {
                return Err(FrameError::TooLong(length));
            }
            if self.buffer.len() < head + length {
                // One reserve for a long item instead of many small ones.
                self.buffer.reserve(head + length - self.buffer.len());
                return Ok(None);
            }
            self.buffer.advance(head);
            let body = self.buffer.split_to(length).freeze();
            match (&self.stage, field) {
                (Stage::Items, 1) => return Ok(Some(ListPart::Meta(wire::ListMeta::decode(body)?))),
                (Stage::Items, 2) => return Ok(Some(ListPart::Item(body))),
                _ => {}
            }
        }
    }

    /// Whether nothing of an item is left over: the list ended where it should.
    pub fn complete(&self) -> bool {
        self.stage == Stage::Items && self.buffer.is_empty()
    }
}

/// A varint from the front; none when it is not whole yet.
fn varint(bytes: &mut &[u8]) -> Result<Option<u64>, FrameError> {
    let mut value = 0u64;
    for (n, byte) in bytes.iter().enumerate() {
        if n == 10 {
            return Err(FrameError::Decode("a varint of more than ten bytes".into()));
        }
        value |= u64::from(byte & 0x7f) << (7 * n).min(63);
        if byte & 0x80 == 0 {
            *bytes = &bytes[n + 1..];
            return Ok(Some(value));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_is_read_in_any_cut() {
        let items: Vec<Vec<u8>> = (0..5u8).map(|n| vec![n; usize::from(n) * 100]).collect();
        let bytes = list("v1", "PodList", "77", "next", Some(3), &items);
        for cut in [1, 3, 7, 64, bytes.len()] {
            let (mut decoder, mut parts) = (ListDecoder::default(), Vec::new());
            for chunk in bytes.chunks(cut) {
                decoder.push(chunk);
                while let Some(part) = decoder.part().unwrap() {
                    parts.push(part);
                }
            }
            assert!(decoder.complete());
            assert_eq!(parts.len(), 6, "cut {cut}");
            assert_eq!(
                parts[0],
                ListPart::Meta(wire::ListMeta { resource_version: "77".into(), r#continue: "next".into(), remaining_item_count: Some(3) })
            );
            assert_eq!(parts[5], ListPart::Item(vec![4u8; 400].into()));
        }
    }

    #[test]
    fn frames_are_cut_and_a_long_one_is_refused() {
        let mut decoder = WatchDecoder::default();
        let bytes: Vec<u8> = (0..3).flat_map(|n| watch_frame("ADDED", "v1", "Pod", vec![n; 300])).collect();
        let mut seen = 0;
        for chunk in bytes.chunks(11) {
            decoder.push(chunk);
            while let Some(frame) = decoder.frame().unwrap() {
                assert_eq!((frame.event.as_str(), frame.kind.as_str(), frame.raw.len()), ("ADDED", "Pod", 300));
                seen += 1;
            }
        }
        assert_eq!(seen, 3);
        decoder.push(&[0x7f, 0, 0, 0]);
        assert_eq!(decoder.frame(), Err(FrameError::TooLong(0x7f00_0000)));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut watch = WatchDecoder::default();
            watch.push(&bytes);
            while let Ok(Some(_)) = watch.frame() {}
            let mut list = ListDecoder::default();
            list.push(&MAGIC);
            list.push(&bytes);
            while let Ok(Some(_)) = list.part() {}
        }
    }
}
