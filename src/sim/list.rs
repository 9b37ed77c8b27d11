//! Lists: pages, versions, and the three encodings, written piece by piece.

use super::query::{Place, Query, Wanted};
use super::register::REGISTER;
use super::reply::{Accept, Encoding, Refusal, Reply, json_reply, streamed, whole};
use super::serve::Cluster;
use super::store::Obj;
use super::table;
use crate::model::frame::{MAGIC, MEDIA_TYPE};
use crate::model::{Str, wire};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use prost::Message as _;
use std::io::Write;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Bodies above this are compressed when the client takes gzip.
const COMPRESS: usize = 128 << 10;
/// Written at once.
const PIECE: usize = 64 << 10;

/// The version a request names must have happened.
pub fn check_version(asked: Option<&str>, newest: u64) -> Result<u64, Refusal> {
    let Some(text) = asked else { return Ok(0) };
    let asked: u64 = text
        .parse()
        .map_err(|_| Refusal::bad(format!("invalid resource version: strconv.ParseUint: parsing \"{text}\": invalid syntax")))?;
    if asked > newest {
        let mut refusal = Refusal::new(504, "Timeout", format!("Too large resource version: {asked}, current: {newest}"));
        refusal.causes = vec![("ResourceVersionTooLarge", String::new(), "Too large resource version".to_owned())];
        refusal.retry = Some(1);
        return Err(refusal);
    }
    Ok(asked)
}

/// Answers a list.
pub async fn list(cluster: &Cluster, place: &Place, query: &Query, accept: Accept) -> Result<Reply, Refusal> {
    let wanted = Wanted::of(place, query).map_err(Refusal::bad)?;
    let resource = &REGISTER[place.res];
    // From the watch cache a list is whole, whatever limit is asked for.
    let limit = query.number("limit").filter(|n| *n > 0 && query.get("resourceVersion") != Some("0")).and_then(|n| usize::try_from(n).ok());
    let (items, version, next, left) = {
        let s = cluster.read();
        check_version(query.get("resourceVersion"), s.rv)?;
        let table = &s.tables[place.res];
        let (mut version, mut from) = (s.rv, (Str::from(place.namespace.as_deref().unwrap_or("")), Str::from("")));
        if let Some(token) = query.get("continue") {
            let (at, key) = read_token(token).ok_or_else(|| Refusal::bad("continue key is not valid"))?;
            if at < table.floor {
                return Err(Refusal::new(
                    410,
                    "Expired",
                    "The provided continue parameter is too old to display a consistent list result.",
                ));
            }
            (version, from) = (at, key);
        }
        let within = table.objects.range(from..).map(|(_, o)| o).take_while(|o| place.namespace.as_ref().is_none_or(|n| **n == *o.key.0));
        let mut matching = within.filter(|o| wanted.takes(o));
        let items: Vec<Arc<Obj>> = matching.by_ref().take(limit.unwrap_or(usize::MAX)).cloned().collect();
        let next = matching.next().map(|o| token(version, o));
        let left = next.as_ref().map(|_| 1 + matching.count());
        (items, version, next.unwrap_or_default(), left)
    };
    let kind = format!("{}List", resource.kind);
    if accept.encoding == Encoding::Table {
        let mut doc = table::table(place.res, &items, query.get("includeObject"));
        doc["metadata"] = serde_json::json!({"resourceVersion": version.to_string(), "continue": next, "remainingItemCount": left});
        return Ok(json_reply(200, &doc));
    }
    let proto = accept.encoding == Encoding::Proto && resource.proto().is_some();
    let (res, api_version) = (place.res, resource.api_version());
    let write = move |out: &mut dyn Write| -> std::io::Result<()> {
        if proto {
            return write_proto(out, res, (&api_version, &kind), (version, &next, left), &items);
        }
        let mut meta = serde_json::json!({"resourceVersion": version.to_string()});
        if let Some(left) = left {
            meta["continue"] = next.as_str().into();
            meta["remainingItemCount"] = left.into();
        }
        write!(out, "{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{meta},\"items\":[")?;
        for (n, item) in items.iter().enumerate() {
            if n > 0 {
                out.write_all(b",")?;
            }
            out.write_all(&item.json)?;
        }
        out.write_all(b"]}\n")
    };
    let media = if proto { MEDIA_TYPE } else { "application/json" };
    Ok(send(media, accept.gzip, write).await)
}

/// Small bodies at once; large ones from a thread that encodes, compressed when the client takes it.
pub async fn send(media: &str, gzip: bool, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()> + Send + 'static) -> Reply {
    struct Sink {
        buffer: Vec<u8>,
        out: mpsc::Sender<std::io::Result<Bytes>>,
    }
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.buffer.extend_from_slice(bytes);
            if self.buffer.len() >= PIECE {
                self.flush()?;
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            let piece = std::mem::take(&mut self.buffer);
            if piece.is_empty() {
                return Ok(());
            }
            self.out.blocking_send(Ok(piece.into())).map_err(|_| std::io::Error::from(std::io::ErrorKind::BrokenPipe))
        }
    }
    /// Holds back what comes until it is known to be large.
    struct Peek {
        held: Vec<u8>,
        sink: Option<Sink>,
        gzip: Option<flate2::write::GzEncoder<Sink>>,
        decided: mpsc::Sender<Option<Vec<u8>>>,
    }
    impl Write for Peek {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if let Some(gzip) = &mut self.gzip {
                return gzip.write(bytes);
            }
            self.held.extend_from_slice(bytes);
            if self.held.len() > COMPRESS {
                let Some(sink) = self.sink.take() else { return Ok(0) };
                // Nobody who waits for it: the client went away.
                let _ = self.decided.blocking_send(None);
                let mut gzip = flate2::write::GzEncoder::new(sink, flate2::Compression::new(1));
                gzip.write_all(&std::mem::take(&mut self.held))?;
                self.gzip = Some(gzip);
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    if !gzip {
        let (tx, rx) = mpsc::channel(16);
        tokio::task::spawn_blocking(move || {
            let mut sink = Sink { buffer: Vec::new(), out: tx };
            // A client that went away wants no more.
            let _ = write(&mut sink).and_then(|()| sink.flush());
        });
        return streamed(media, receiver(rx));
    }
    let (tx, rx) = mpsc::channel(16);
    let (decided, mut decision) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        let mut peek = Peek { held: Vec::new(), sink: Some(Sink { buffer: Vec::new(), out: tx }), gzip: None, decided };
        let result = write(&mut peek);
        match peek.gzip.take() {
            Some(gzip) => drop(result.and_then(|()| gzip.finish()).and_then(|mut sink| sink.flush())),
            None => drop(peek.decided.blocking_send(Some(std::mem::take(&mut peek.held)))),
        }
    });
    if let Some(Some(body)) = decision.recv().await {
        return whole(200, media, body);
    }
    let mut reply = streamed(media, receiver(rx));
    reply.headers_mut().insert(http::header::CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
    reply
}

fn receiver(rx: mpsc::Receiver<std::io::Result<Bytes>>) -> impl futures::Stream<Item = std::io::Result<Bytes>> + Send {
    futures::stream::unfold(rx, |mut rx| async move { rx.recv().await.map(|piece| (piece, rx)) })
}

/// The envelope of a list, its length known before the first item is written.
fn write_proto(
    out: &mut dyn Write,
    res: usize,
    (api_version, kind): (&str, &str),
    (version, next, left): (u64, &str, Option<usize>),
    items: &[Arc<Obj>],
) -> std::io::Result<()> {
    let varint = |n: usize| {
        let mut bytes = Vec::with_capacity(10);
        prost::encoding::encode_varint(n as u64, &mut bytes);
        bytes
    };
    let meta = wire::ListMeta {
        resource_version: version.to_string(),
        r#continue: next.to_owned(),
        remaining_item_count: left.and_then(|n| i64::try_from(n).ok()),
    }
    .encode_to_vec();
    let type_meta = crate::model::frame::TypeMeta { api_version: api_version.to_owned(), kind: kind.to_owned() }.encode_to_vec();
    let size = |n: usize| 1 + varint(n).len() + n;
    let raw: usize = size(meta.len()) + items.iter().map(|o| size(o.proto(res).len())).sum::<usize>();
    let mut head = MAGIC.to_vec();
    let mut field = |tag: u8, bytes: &[u8], length: usize| {
        head.push(tag << 3 | 2);
        head.extend(varint(length));
        head.extend_from_slice(bytes);
    };
    field(1, &type_meta, type_meta.len());
    field(2, &[], raw);
    field(1, &meta, meta.len());
    out.write_all(&head)?;
    for item in items {
        let bytes = item.proto(res);
        out.write_all(&[2 << 3 | 2])?;
        out.write_all(&varint(bytes.len()))?;
        out.write_all(bytes)?;
    }
    Ok(())
}

fn token(version: u64, next: &Obj) -> String {
    URL_SAFE_NO_PAD.encode(format!("{version}\0{}\0{}", next.key.0, next.key.1))
}

fn read_token(token: &str) -> Option<(u64, (Str, Str))> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let mut parts = text.split('\0');
    Some((parts.next()?.parse().ok()?, (parts.next()?.into(), parts.next()?.into())))
}
