//! Every action against real control planes: what kubectl sees before, after, and after undo.
//!
//! `tests/lab/run` brings a lab up and runs everything; with a lab of one's own: `QD_LAB=$LAB_HOME cargo test --test actions [FILE or NAME]`.
//! Without `QD_LAB` every test that needs a server is reported as ignored. Each works in a namespace of its own, and leaves nothing there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test: helpers beside the test functions too")]

mod alerts;
mod drain;
mod edit;
mod etcd;
mod every;
mod nodes;
mod old;
mod runbooks;
mod server;
mod storage;
#[allow(dead_code, reason = "other suites use the rest")]
#[path = "../support/mod.rs"]
mod support;
mod typed;
mod velero;
mod work;

use std::process::ExitCode;

fn main() -> ExitCode {
    // The longest first. Each list has its own namespaces and nodes; tests of one list share theirs.
    support::runner::main(
        &[],
        &[
            work::TESTS,
            every::TESTS,
            nodes::TESTS,
            velero::TESTS,
            runbooks::TESTS,
            alerts::TESTS,
            old::TESTS,
            typed::TESTS,
            drain::TESTS,
            etcd::TESTS,
            edit::TESTS,
            storage::TESTS,
            server::TESTS,
        ],
    )
}
