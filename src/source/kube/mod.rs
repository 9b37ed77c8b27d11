//! Kubernetes API servers: one task a cluster, one watcher a kind and namespace.

pub mod cluster;
mod discovery;
mod health;
mod kinds;

pub mod logs;
pub mod moved;
pub mod object;
pub mod resources;
mod watcher;

#[cfg(test)]
pub(super) mod mock;

pub use cluster::{ClusterSource, Handle, Reader, Timing, spawn_cluster};
pub use logs::{LogEnd, LogEvent, LogLine, LogRequest};

/// A value of a query: what is not plain is escaped.
pub(super) fn escape(value: &str) -> String {
    use std::fmt::Write as _;
    value.bytes().fold(String::with_capacity(value.len()), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}
