//! Answers: bodies, encodings, and the API's way to say no.

use crate::model::{frame, wire};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use prost::Message as _;
use serde_json::{Value, json};
use std::io;

pub type Body = UnsyncBoxBody<Bytes, io::Error>;
pub type Reply = Response<Body>;

/// How the client wants it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    Json,
    Proto,
    Table,
}

/// What a request accepts.
#[derive(Clone, Copy, Debug)]
pub struct Accept {
    /// The first that can be served, protobuf only where nothing else will do.
    pub encoding: Encoding,
    pub gzip: bool,
    /// Aggregated discovery is understood.
    pub aggregated: bool,
}

impl Accept {
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: http::HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
        let accept = text(http::header::ACCEPT);
        let mut encodings = accept.split(',').filter_map(|part| {
            let part = part.trim();
            if part.starts_with("application/json") {
                Some(if part.contains("as=Table") { Encoding::Table } else { Encoding::Json })
            } else if part.starts_with(frame::MEDIA_TYPE) && !part.contains("as=") {
                Some(Encoding::Proto)
            } else {
                None
            }
        });
        let first = encodings.next().unwrap_or(Encoding::Json);
        // Our messages name only what qd projects: who takes JSON too is better served with whole objects.
        let encoding = if first == Encoding::Proto && encodings.any(|e| e == Encoding::Json) { Encoding::Json } else { first };
        Self {
            encoding,
            gzip: text(http::header::ACCEPT_ENCODING).contains("gzip"),
            aggregated: accept.contains("apidiscovery.k8s.io")
                && accept.contains("v=v2;") | accept.contains("v=v2,") | accept.ends_with("v=v2"),
        }
    }
}

/// Why a request is not served.
#[derive(Debug, PartialEq)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    /// Reason, field and message of causes.
    pub causes: Vec<(&'static str, String, String)>,
    /// Seconds.
    pub retry: Option<u32>,
    /// By priority and fairness: no Status, and headers that say so.
    pub throttled: bool,
    /// Name, group and plural of what it is about.
    pub about: Option<Box<(String, String, String)>>,
}

impl Refusal {
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), causes: Vec::new(), retry: None, throttled: false, about: None }
    }
    pub fn not_found(resource: &super::register::Resource, name: &str) -> Self {
        let about = Some(Box::new((name.to_owned(), resource.group.to_owned(), resource.plural.to_owned())));
        Self { about, ..Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified())) }
    }
    /// Somebody else was faster.
    pub fn conflict(resource: &super::register::Resource, name: &str) -> Self {
        let about = Some(Box::new((name.to_owned(), resource.group.to_owned(), resource.plural.to_owned())));
        let text = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to the latest version and try again",
            resource.qualified()
        );
        Self { about, ..Self::new(409, "Conflict", text) }
    }
    pub fn invalid(resource: &super::register::Resource, name: &str, why: &str) -> Self {
        let about = Some(Box::new((name.to_owned(), resource.group.to_owned(), resource.kind.to_owned())));
        let text = format!("{}.{} \"{name}\" is invalid: {why}", resource.kind, resource.group).replace(". \"", " \"");
        let causes =
            why.split_once(": ").map(|(field, said)| ("FieldValueInvalid", field.to_owned(), said.to_owned())).into_iter().collect();
        Self { about, causes, ..Self::new(422, "Invalid", text) }
    }
    /// No answer: the connection ends.
    pub fn cut() -> Self {
        Self::new(0, "", "")
    }
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }
    pub fn gone() -> Self {
        Self::new(410, "Expired", "too old resource version: The resourceVersion for the provided watch is too old.")
    }
    /// As JSON.
    pub fn status(&self) -> Value {
        let mut details = json!({});
        if let Some((name, group, kind)) = self.about.as_deref() {
            details = json!({"name": name, "group": group, "kind": kind});
        }
        if !self.causes.is_empty() {
            let cause = |(reason, field, message): &(&str, String, String)| match field.as_str() {
                "" => json!({"reason": reason, "message": message}),
                field => json!({"reason": reason, "message": message, "field": field}),
            };
            details["causes"] = self.causes.iter().map(cause).collect();
        }
        if let Some(retry) = self.retry {
            details["retryAfterSeconds"] = retry.into();
        }
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message, "reason": self.reason, "details": details, "code": self.code})
    }
    /// As a protobuf message, without its envelope.
    pub fn message(&self) -> Vec<u8> {
        let cause = |(reason, field, message): &(&str, String, String)| wire::StatusCause {
            reason: (*reason).to_owned(),
            message: message.clone(),
            field: field.clone(),
        };
        let (name, group, kind) = self.about.as_deref().cloned().unwrap_or_default();
        let details = wire::StatusDetails {
            name,
            group,
            kind,
            causes: self.causes.iter().map(cause).collect(),
            retry_after_seconds: self.retry.and_then(|r| i32::try_from(r).ok()).unwrap_or(0),
        };
        wire::Status {
            status: "Failure".to_owned(),
            message: self.message.clone(),
            reason: self.reason.to_owned(),
            code: i32::from(self.code),
            details: Some(details),
        }
        .encode_to_vec()
    }
    /// As an answer.
    pub fn reply(&self, encoding: Encoding) -> Reply {
        let mut reply = match encoding {
            _ if self.throttled => {
                let mut reply = whole(self.code, "text/plain; charset=utf-8", self.message.clone());
                for name in ["x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"] {
                    reply.headers_mut().insert(name, http::HeaderValue::from_static("6d2f8a55-6a5b-4a53-9a3e-0d1f3f5a7c11"));
                }
                reply
            }
            Encoding::Proto => whole(self.code, frame::MEDIA_TYPE, frame::seal("v1", "Status", self.message())),
            _ => json_reply(self.code, &self.status()),
        };
        if let Some(retry) = self.retry {
            reply.headers_mut().insert(http::header::RETRY_AFTER, retry.into());
        }
        reply
    }
}

/// A body that is all there.
pub fn whole(code: u16, content_type: &str, body: impl Into<Bytes>) -> Reply {
    response(code, content_type, Full::new(body.into()).map_err(|never| match never {}).boxed_unsync())
}

pub fn json_reply(code: u16, value: &Value) -> Reply {
    whole(code, "application/json", value.to_string())
}

/// A body that comes piece by piece.
pub fn streamed(content_type: &str, pieces: impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static) -> Reply {
    use futures::StreamExt as _;
    response(200, content_type, StreamBody::new(pieces.map(|p| p.map(Frame::data))).boxed_unsync())
}

fn response(code: u16, content_type: &str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(value) = content_type.parse() {
        reply.headers_mut().insert(http::header::CONTENT_TYPE, value);
    }
    reply
}

/// The same answer, broken off after some bytes.
pub fn truncated(reply: Reply, left: usize) -> Reply {
    let (mut head, body) = reply.into_parts();
    head.headers.remove(http::header::CONTENT_LENGTH);
    let pieces = futures::stream::unfold((body, left), |(mut body, left)| async move {
        let broken = || io::Error::other("the simulated server broke off");
        if left == 0 {
            return Some((Err(broken()), (body, 0)));
        }
        let frame = body.frame().await?;
        let Ok(Ok(data)) = frame.map(Frame::into_data) else { return Some((Err(broken()), (body, 0))) };
        let n = data.len().min(left);
        Some((Ok(Frame::data(data.slice(..n))), (body, left - n)))
    });
    Response::from_parts(head, StreamBody::new(pieces).boxed_unsync())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_encoding_that_can_be_served() {
        let accept = |text: &str| Accept::of(&HeaderMap::from_iter([(http::header::ACCEPT, text.parse().unwrap())]));
        assert_eq!(accept("application/vnd.kubernetes.protobuf").encoding, Encoding::Proto);
        assert_eq!(accept("application/vnd.kubernetes.protobuf, application/json").encoding, Encoding::Json);
        assert_eq!(accept("application/json;as=Table;v=v1;g=meta.k8s.io,application/json").encoding, Encoding::Table);
        assert_eq!(accept("*/*").encoding, Encoding::Json);
        assert!(accept("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json").aggregated);
        assert!(!accept("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList").aggregated);
    }
}
