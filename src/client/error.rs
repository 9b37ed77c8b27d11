//! What went wrong with a cluster, in a shape that callers turn into a connection state, and in words for the screen.
//!
//! Owns the reading of `Status` bodies (JSON and protobuf) and of transport errors. What is done about it (backoff,
//! re-list, greyed panes) is the caller's.

use std::{error::Error, io, time::Duration};

use http::HeaderMap;
use hyper_util::client::legacy;
use kube::client::AuthError;
use prost::Message;
use rustls::{AlertDescription, CertificateError};
use serde::Deserialize;

use super::auth::Another;
use super::redact::unsaid;

/// Reasons of [`ClientError::Unreachable`] that only making a connection has.
const NO_CONNECTION: [&str; 3] = ["connection refused", "dial timeout", "no such host"];

/// Why a request failed. Cheap to clone; carries no credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// 401, or a credential could not be had.
    #[error("unauthorized: {reason}")]
    Unauthorized { reason: String },
    /// 403; the message names the missing permission.
    #[error("forbidden: {message}")]
    Forbidden { message: String },
    /// 404: no such object, or no such API.
    #[error("not found: {message}")]
    NotFound { message: String },
    /// 410: the resourceVersion is too old; list again.
    #[error("gone: {message}")]
    Gone { message: String },
    /// 429.
    #[error("too many requests")]
    TooManyRequests { retry_after: Option<Duration> },
    /// 504 `ResourceVersionTooLarge`: this API server has not caught up yet.
    #[error("the resource version is ahead of this server")]
    TooLarge { retry_after: Option<Duration> },
    /// 406: the server does not offer that encoding.
    #[error("not acceptable: {message}")]
    NotAcceptable { message: String },
    /// 400, 409, 422, or a request that cannot be built.
    #[error("invalid: {message}")]
    Invalid { message: String },
    /// Any other answer.
    #[error("server error {code}: {message}")]
    Server { code: u16, message: String },
    /// No answer; `reason` is words such as "connection refused".
    #[error("unreachable: {reason}")]
    Unreachable { reason: String },
    /// No answer within the limit.
    #[error("no answer within {} s", after.as_secs_f32())]
    Timeout { after: Duration },
    /// The answer is not what it should be.
    #[error("cannot read the answer: {message}")]
    Decode { message: String },
    /// The exec plugin wants a person at a terminal.
    #[error("{command} wants to ask: run `:login {cluster}`")]
    NeedsPrompt { cluster: String, command: String },
    /// The exec plugin failed.
    #[error("{command}: {reason}")]
    Exec { command: String, reason: String, hint: Option<String> },
    /// The context cannot be used as it is written in the kubeconfig.
    #[error("kubeconfig: {reason}")]
    Config { reason: String },
}

impl ClientError {
    /// A stable word for the variant.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "unauthorized",
            Self::Forbidden { .. } => "forbidden",
            Self::NotFound { .. } => "not_found",
            Self::Gone { .. } => "gone",
            Self::TooManyRequests { .. } => "too_many_requests",
            Self::TooLarge { .. } => "too_large",
            Self::NotAcceptable { .. } => "not_acceptable",
            Self::Invalid { .. } => "invalid",
            Self::Server { .. } => "server",
            Self::Unreachable { .. } => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::Decode { .. } => "decode",
            Self::NeedsPrompt { .. } => "needs_prompt",
            Self::Exec { .. } => "exec",
            Self::Config { .. } => "config",
        }
    }

    /// Whether the same request may succeed later without anybody changing anything here.
    pub fn worth_retry(&self) -> bool {
        match self {
            Self::Server { code, .. } => *code >= 500,
            Self::Unauthorized { .. }
            | Self::TooManyRequests { .. }
            | Self::TooLarge { .. }
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Decode { .. }
            | Self::Exec { .. } => true,
            _ => false,
        }
    }

    /// Whether this is about who we are rather than about the server.
    pub fn is_auth(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::NeedsPrompt { .. } | Self::Exec { .. })
    }

    /// Whether it is certain that the server has not had the request: there was no connection.
    pub fn never_sent(&self) -> bool {
        matches!(self, Self::Unreachable { reason } if NO_CONNECTION.contains(&reason.as_str()))
    }

    /// The same of a refusal, with how long nobody is asked for another credential.
    pub(super) fn asked_anew(self, another: Another) -> Self {
        match (self, another) {
            (Self::Unauthorized { reason }, Another::In(left)) => {
                Self::Unauthorized { reason: format!("{reason}, asked anew in {} s", left.as_secs_f32().ceil()) }
            }
            (error, _) => error,
        }
    }

    /// What the server (or we) asked to wait at least.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyRequests { retry_after } | Self::TooLarge { retry_after } => *retry_after,
            _ => None,
        }
    }

    /// Words that fit 40 columns.
    pub fn reason(&self) -> String {
        shorten(&self.words(), 40)
    }

    /// The same at its full length, on one line: where there is room for it.
    pub fn words(&self) -> String {
        match self {
            Self::Unauthorized { reason } | Self::Unreachable { reason } | Self::Config { reason } => reason.clone(),
            Self::Forbidden { message } => missing_permission(message),
            Self::TooLarge { .. } => "server is behind".to_owned(),
            Self::Timeout { after } => format!("no answer for {} s", after.as_secs_f32().ceil()),
            Self::NeedsPrompt { cluster, command } => format!(":login {cluster} ({command} wants a prompt)"),
            Self::Decode { .. } => "answer cannot be read".to_owned(),
            Self::Server { code, message } if message.is_empty() => format!("HTTP {code}"),
            Self::Server { code, message } => format!("HTTP {code} {message}"),
            other => other.to_string(),
        }
    }

    /// An ERROR event of a watch, or the body of an error: `raw` is a `Status` as JSON or as protobuf with its prefix.
    pub fn from_status(raw: &[u8]) -> Self {
        match Status::parse(raw) {
            Some(status) => status.classify(None),
            None => Self::Decode { message: "an error event without a Status".to_owned() },
        }
    }

    /// An answer that is not 2xx.
    pub(super) fn from_response(code: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let retry_after =
            headers.get(http::header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok()).map(Duration::from_secs);
        let mut status = Status::parse(body).unwrap_or_else(|| Status {
            // A proxy or load balancer answers in prose or HTML: a first line of prose is worth showing.
            message: std::str::from_utf8(body)
                .ok()
                .and_then(|text| {
                    failing_checks(text).or_else(|| text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned))
                })
                .filter(|line| !line.starts_with('<'))
                .map(|line| unsaid(&printable(&line)))
                .unwrap_or_default(),
            ..Status::default()
        });
        status.code = code;
        status.classify(retry_after)
    }

    /// An error of the transport: `error` and its sources are searched for what a person would call it.
    pub(super) fn from_transport(error: &(dyn Error + 'static)) -> Self {
        let mut proxied = false;
        let mut dialling = false;
        let mut found = None;
        let mut text = String::new();
        walk(error, &mut |cause| {
            text = cause.to_string();
            dialling |= cause.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect);
            proxied |= text.starts_with("tunnel error") || text.starts_with("SOCKS error");
            if found.is_none() {
                found = recognise(cause, &text, dialling);
            }
        });
        match found {
            Some(Self::Unreachable { reason }) if proxied => Self::Unreachable { reason: format!("proxy: {reason}") },
            Some(known) => known,
            None => Self::Unreachable { reason: shorten(&printable(&text), 120) },
        }
    }
}

/// Visits an error and everything below it, also what `io::Error` hides from `source()`.
fn walk<'a>(error: &'a (dyn Error + 'static), visit: &mut dyn FnMut(&'a (dyn Error + 'static))) {
    visit(error);
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        walk(inner, visit);
    } else if let Some(source) = error.source() {
        walk(source, visit);
    }
}

/// The connection was not there in time, TCP, proxy and TLS together.
#[derive(Debug, thiserror::Error)]
#[error("dial timeout")]
pub(super) struct DialTimeout;

/// The head of the response was not there in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer in time")]
pub(super) struct AnswerTimeout(pub Duration);

fn recognise(cause: &(dyn Error + 'static), text: &str, dialling: bool) -> Option<ClientError> {
    let unreachable = |reason: &str| Some(ClientError::Unreachable { reason: reason.to_owned() });
    if cause.is::<DialTimeout>() {
        return unreachable("dial timeout");
    }
    // A connection that goes through another cluster's client.
    if let Some(known) = cause.downcast_ref::<ClientError>() {
        return Some(known.clone());
    }
    if let Some(AnswerTimeout(after)) = cause.downcast_ref() {
        return Some(ClientError::Timeout { after: *after });
    }
    if let Some(auth) = cause.downcast_ref::<AuthError>() {
        return Some(ClientError::Unauthorized { reason: shorten(&printable(&auth.to_string()), 120) });
    }
    if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
        return Some(recognise_tls(tls));
    }
    if let Some(http) = cause.downcast_ref::<hyper::Error>() {
        if http.is_incomplete_message() {
            return unreachable("connection closed by the server");
        }
        if http.is_parse() {
            return unreachable("the answer is not HTTP");
        }
    }
    if text == "dns error" {
        return unreachable("no such host");
    }
    if let Some(reason) = text.strip_prefix("tunnel error: ").or_else(|| text.strip_prefix("SOCKS error: "))
        && cause.source().is_none()
    {
        // hyper-util's SOCKS keeps the cause to itself.
        return unreachable(if reason.ends_with("underlying connection") { "cannot connect" } else { reason });
    }
    let io = cause.downcast_ref::<io::Error>()?;
    match io.kind() {
        io::ErrorKind::ConnectionRefused => unreachable("connection refused"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => unreachable("connection reset"),
        io::ErrorKind::BrokenPipe => unreachable("connection closed by the server"),
        io::ErrorKind::TimedOut if dialling => unreachable("dial timeout"),
        io::ErrorKind::TimedOut => unreachable("connection lost"),
        io::ErrorKind::HostUnreachable => unreachable("no route to host"),
        io::ErrorKind::NetworkUnreachable => unreachable("network unreachable"),
        io::ErrorKind::UnexpectedEof if io.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>()) => {
            unreachable("connection closed by the server")
        }
        _ if text.contains("failed to lookup address") => unreachable("no such host"),
        _ if io.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => unreachable("too many open files here"),
        _ => None,
    }
}

fn recognise_tls(error: &rustls::Error) -> ClientError {
    let reason = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "certificate is not yet valid",
            // A rebuilt cluster: the same name for its authority, another key.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => "certificate signed by unknown authority",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "certificate name mismatch",
            CertificateError::Revoked => "certificate revoked",
            other => {
                return ClientError::Unreachable { reason: shorten(&format!("certificate: {other}"), 120) };
            }
        },
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::CertificateRequired
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied),
        ) => {
            let why = match alert {
                AlertDescription::CertificateExpired => ": expired",
                AlertDescription::CertificateRevoked => ": revoked",
                AlertDescription::UnknownCA => ": unknown authority",
                _ => "",
            };
            return ClientError::Unauthorized { reason: format!("client certificate refused{why}") };
        }
        rustls::Error::AlertReceived(alert) => {
            return ClientError::Unreachable { reason: format!("TLS alert {alert:?}") };
        }
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS",
        other => {
            return ClientError::Unreachable { reason: shorten(&format!("TLS: {other}"), 120) };
        }
    };
    ClientError::Unreachable { reason: reason.to_owned() }
}

/// The parts of `metav1.Status` that decide anything.
#[derive(Default)]
struct Status {
    code: u16,
    reason: String,
    message: String,
    too_large: bool,
    retry_after: Option<Duration>,
}

impl Status {
    fn parse(raw: &[u8]) -> Option<Self> {
        let (code, reason, message, causes, seconds) = if let Some(raw) = raw.strip_prefix(b"k8s\0") {
            let status = wire::Status::decode(wire::Unknown::decode(raw).ok()?.raw.as_slice()).ok()?;
            let details = status.details.unwrap_or_default();
            let causes: Vec<_> = details.causes.into_iter().map(|c| c.reason).collect();
            (status.code, status.reason, status.message, causes, details.retry_after_seconds)
        } else {
            let status: json::Status = serde_json::from_slice(raw).ok()?;
            let causes = status.details.causes.into_iter().map(|c| c.reason).collect();
            (status.code, status.reason, status.message, causes, status.details.retry_after_seconds)
        };
        Some(Self {
            code: u16::try_from(code).unwrap_or_default(),
            too_large: causes.iter().any(|c| c == "ResourceVersionTooLarge") || message.contains("Too large resource version"),
            message: shorten(&printable(&message), 300),
            reason,
            retry_after: u64::try_from(seconds).ok().filter(|s| *s > 0).map(Duration::from_secs),
        })
    }

    fn classify(self, header: Option<Duration>) -> ClientError {
        let Self { code, reason, message, too_large, retry_after } = self;
        let retry_after = header.or(retry_after);
        if too_large {
            return ClientError::TooLarge { retry_after };
        }
        match (code, reason.as_str()) {
            (401, _) => {
                let plain = message.is_empty() || message == "Unauthorized";
                let why = if plain { String::new() } else { format!(": {message}") };
                ClientError::Unauthorized { reason: format!("credentials refused{why}") }
            }
            (403, _) => ClientError::Forbidden { message },
            (404, _) => ClientError::NotFound { message },
            (410, _) | (_, "Expired" | "Gone") => ClientError::Gone { message },
            (429, _) => ClientError::TooManyRequests { retry_after },
            (406, _) => ClientError::NotAcceptable { message },
            (400 | 409 | 415 | 422, _) => ClientError::Invalid { message },
            (407, _) => ClientError::Unreachable { reason: "proxy: authorization required".to_owned() },
            _ => ClientError::Server { code, message },
        }
    }
}

mod json {
    use super::Deserialize;

    #[derive(Deserialize)]
    pub struct Status {
        #[serde(default)]
        pub code: i64,
        #[serde(default)]
        pub reason: String,
        /// Prometheus calls it `error`.
        #[serde(default, alias = "error")]
        pub message: String,
        #[serde(default)]
        pub details: Details,
    }

    #[derive(Deserialize, Default)]
    #[serde(rename_all = "camelCase", default)]
    pub struct Details {
        pub causes: Vec<Cause>,
        pub retry_after_seconds: i64,
    }

    #[derive(Deserialize, Default)]
    #[serde(default)]
    pub struct Cause {
        pub reason: String,
    }
}

mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Unknown {
        #[prost(bytes = "vec", tag = "2")]
        pub raw: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Status {
        #[prost(string, tag = "3")]
        pub message: String,
        #[prost(string, tag = "4")]
        pub reason: String,
        #[prost(message, optional, tag = "5")]
        pub details: Option<Details>,
        #[prost(int64, tag = "6")]
        pub code: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Details {
        #[prost(message, repeated, tag = "4")]
        pub causes: Vec<Cause>,
        #[prost(int64, tag = "5")]
        pub retry_after_seconds: i64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Cause {
        #[prost(string, tag = "1")]
        pub reason: String,
    }
}

/// What `/readyz?verbose` says of an API server that is not: `failing checks: etcd, etcd-readiness`.
fn failing_checks(text: &str) -> Option<String> {
    let names: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix("[-]")?.split_ascii_whitespace().next()).collect();
    (!names.is_empty()).then(|| format!("failing checks: {}", names.join(", ")))
}

/// `pods is forbidden: User "x" cannot list resource "pods" in API group "" ...` to `cannot list pods`.
fn missing_permission(message: &str) -> String {
    let parse = || {
        let (_, rest) = message.split_once(" cannot ")?;
        if let Some((verb, rest)) = rest.split_once(" path \"") {
            return Some(format!("may not {verb} {}", rest.split_once('"')?.0));
        }
        let (verb, rest) = rest.split_once(" resource \"")?;
        let (resource, _) = rest.split_once('"')?;
        Some(format!("may not {verb} {resource}"))
    };
    parse().unwrap_or_else(|| match message {
        "" => "forbidden".to_owned(),
        said if said.to_lowercase().contains("forbidden") => said.to_owned(),
        said => format!("forbidden: {said}"),
    })
}

/// Text from outside, on one line and without control characters.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '\n' | '\t' | ' ' if out.ends_with(' ') => {}
            '\n' | '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// At most `columns` columns, with an ellipsis where something was cut.
pub(super) fn shorten(text: &str, columns: usize) -> String {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn protobuf(status: &wire::Status) -> Vec<u8> {
        let mut raw = b"k8s\0".to_vec();
        raw.extend(wire::Unknown { raw: status.encode_to_vec() }.encode_to_vec());
        raw
    }

    #[test]
    fn the_same_status_reads_alike_as_json_and_as_protobuf() {
        let message = r#"pods is forbidden: User "viewer" cannot list resource "pods" in API group """#;
        let json = serde_json::json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": message});
        let wire = wire::Status { message: message.into(), reason: "Forbidden".into(), code: 403, ..Default::default() };
        let from_json = ClientError::from_status(json.to_string().as_bytes());
        assert_eq!(from_json, ClientError::from_status(&protobuf(&wire)));
        assert_eq!(from_json, ClientError::Forbidden { message: message.into() });
        assert_eq!(from_json.reason(), "may not list pods");
        assert!(!from_json.worth_retry());
    }

    #[test]
    fn a_server_that_is_behind_is_told_from_other_504s() {
        let wire = wire::Status {
            code: 504,
            reason: "Timeout".into(),
            details: Some(wire::Details { causes: vec![wire::Cause { reason: "ResourceVersionTooLarge".into() }], retry_after_seconds: 1 }),
            ..Default::default()
        };
        let retry_after = Some(Duration::from_secs(1));
        assert_eq!(ClientError::from_status(&protobuf(&wire)), ClientError::TooLarge { retry_after });
        let plain = ClientError::from_response(504, &HeaderMap::new(), b"<html>gateway</html>");
        assert_eq!(plain, ClientError::Server { code: 504, message: String::new() });
    }

    #[test]
    fn gone_comes_as_a_code_and_as_a_reason() {
        for body in [r#"{"code":410,"reason":"Expired"}"#, r#"{"reason":"Expired"}"#] {
            assert!(matches!(ClientError::from_status(body.as_bytes()), ClientError::Gone { .. }), "{body}");
        }
    }

    #[test]
    fn retry_after_is_taken_from_the_header() {
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, http::HeaderValue::from_static("7"))]);
        let error = ClientError::from_response(429, &headers, b"");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert!(error.worth_retry());
    }

    #[test]
    fn reasons_are_words_that_fit() {
        let io = |kind| ClientError::from_transport(&io::Error::from(kind)).reason();
        assert_eq!(io(io::ErrorKind::ConnectionRefused), "connection refused");
        assert_eq!(io(io::ErrorKind::HostUnreachable), "no route to host");
        let tls = |certificate| {
            let inner = rustls::Error::InvalidCertificate(certificate);
            ClientError::from_transport(&io::Error::new(io::ErrorKind::InvalidData, inner)).reason()
        };
        assert_eq!(tls(CertificateError::Expired), "certificate has expired");
        assert_eq!(tls(CertificateError::UnknownIssuer), "certificate signed by unknown authority");
        assert_eq!(tls(CertificateError::NotValidForName), "certificate name mismatch");
        assert_eq!(ClientError::from_transport(&DialTimeout).reason(), "dial timeout");
        let long = ClientError::Server { code: 500, message: "語".repeat(60) };
        assert!(unicode_width::UnicodeWidthStr::width(long.reason().as_str()) <= 40);
    }

    #[test]
    fn a_refusal_is_called_one_whatever_its_server_says() {
        let said = |code, body: &[u8]| ClientError::from_response(code, &HeaderMap::new(), body).reason();
        assert_eq!(said(401, b"<html>"), "credentials refused");
        assert_eq!(said(401, b"who are you\n"), "credentials refused: who are you");
        assert_eq!(said(403, b""), "forbidden");
        assert_eq!(said(403, b"not you\n"), "forbidden: not you");
        assert_eq!(said(403, b"Forbidden (user=ada)"), "Forbidden (user=ada)");
    }

    #[test]
    fn what_a_server_says_cannot_move_the_cursor() {
        let error = ClientError::from_response(500, &HeaderMap::new(), b"bad\x1b[2Jthing\n");
        assert_eq!(error.reason(), "HTTP 500 bad[2Jthing");
    }
}
