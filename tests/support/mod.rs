//! What the real-server suite stands on. Nothing here uses the crate: a derivation that shared its code would agree with every mistake.

#[allow(dead_code, reason = "the suites that have Alertmanagers use it")]
pub mod alerts;
pub mod amount;
pub mod derive;
#[allow(dead_code, reason = "the suite of faults uses it")]
pub mod fault_proxy;
pub mod lab;
pub mod network;
pub mod parity;
pub mod pods;
#[allow(dead_code, reason = "only the suites that act use it")]
pub mod pool;
pub mod pty;
#[allow(unused_macros, unused_imports, reason = "only the suites against real servers use it")]
pub mod runner;
#[allow(dead_code, reason = "the suite of etcd uses it")]
pub mod slow_proxy;
#[allow(dead_code, reason = "only the suites that act use it")]
pub mod stage;
pub mod workloads;
