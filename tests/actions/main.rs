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
    // The first ones count what is on a node that all share. Of the others the longest go first, and those last that wait until nobody else has
    // defined kinds. Those of one lane share a namespace or the Velero, which for minutes knows of kinds that are gone and fails at them.
    support::runner::main(
        &[nodes::TESTS],
        &[
            &[velero::TESTS, every::TESTS],
            &[runbooks::TESTS],
            &[etcd::TESTS],
            &[drain::TESTS],
            &[old::TESTS],
            &[edit::TESTS],
            &[storage::TESTS],
            &[typed::TESTS],
            &[work::TESTS],
            &[alerts::TESTS],
            &[server::TESTS],
        ],
    )
}
