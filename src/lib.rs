//! quarterdeck: every Kubernetes cluster of the fleet at once, live, in one terminal.
//!
//! One way through:
//!
//! ```text
//! kube watches, etcd, Alertmanager ─ source ──Delta──▶ store ──▶ inspect ──Finding──▶ view ──▶ terminal
//! keys, palette, CLI ─ keymap ──▶ command ──▶ app::update ──Effect──▶ runtime ──▶ action ──▶ cluster ──(watch)──▶ store
//!                                                                              action ──Progress──▶ store (jobs)
//! ```
//!
//! Nothing flows back by another door: the screen changes because the watch says so.
//!
//! # Rooms
//!
//! The table is law: `tests/tidy.rs` reads it from here and fails on a `crate::` path that it does not allow.
//!
//! | Room | Owns | May touch |
//! |---|---|---|
//! | `diag` | an error with file, span, hint and nearest name | |
//! | `model` | one file a kind: the slim projection and how it is read from the wire; ids, `Delta`; verbs, plans, jobs, audit records as data | `diag` |
//! | `config` | files, layering, per-cluster settings | `model`, `diag` |
//! | `state` | private, atomic, fsynced files; locks; session; audit log | `model`, `diag` |
//! | `client` | kubeconfig, auth, exec plugins, backoff, request budget; `ReadClient`, `WriteClient` | `model`, `config`, `diag` |
//! | `reach` | where the services of a cluster are: configured, or found; each replica directly or through the API server's proxy | `model`, `config`, `client`, `diag` |
//! | `source` | outside world to `Delta`; discovery, full objects, logs | `model`, `config`, `client`, `reach`, `diag` |
//! | `doc` | a full object for reading: redact, fold, YAML | `model`, `diag` |
//! | `store` | the fold of deltas: tables, connection state, capabilities, history. No I/O; time is an argument | `model`, `config`, `diag` |
//! | `table` | the register of columns, the filter language, sort and filter indices | `model`, `store`, `diag` |
//! | `inspect` | rules that read the store and give findings | `model`, `config`, `store`, `diag` |
//! | `report` | an inspection as JSON, Markdown, HTML, SARIF, JUnit and metrics | `model`, `store`, `inspect`, `diag` |
//! | `action` | every change there is: plan, preflight, guardrails, confirm, execute, audit; `verbs/<verb>.rs` | `model`, `config`, `state`, `store`, `client`, `reach`, `diag` |
//! | `command` | the typed commands: name, doc, arguments | `model`, `diag` |
//! | `keymap` | chords, trie, layers, hints | `command`, `diag` |
//! | `theme` | TOML to semantic roles, colour depth fallbacks | `diag` |
//! | `app` | what the user is doing: `update`, pure; saved views | `model`, `config`, `store`, `table`, `doc`, `inspect`, `action`, `command`, `keymap`, `state`, `diag` |
//! | `view` | panes, dialogs, widgets: draws, changes nothing | `model`, `config`, `store`, `table`, `doc`, `inspect`, `action`, `command`, `keymap`, `theme`, `app`, `diag` |
//! | `runtime` | the event loop; carries effects out | `model`, `config`, `state`, `client`, `reach`, `source`, `doc`, `store`, `table`, `inspect`, `action`, `command`, `keymap`, `theme`, `app`, `diag` |
//! | `front` | the front ends: `tui`, `cli` | `model`, `config`, `state`, `client`, `source`, `doc`, `store`, `table`, `inspect`, `action`, `command`, `keymap`, `theme`, `app`, `view`, `runtime`, `sim`, `report`, `diag` |
//! | `sim` | a simulated fleet behind real sockets | `model`, `diag` |

pub mod action;
pub mod app;
pub mod client;
pub mod command;
pub mod config;
pub mod diag;
pub mod doc;
pub mod front;
pub mod inspect;
pub mod keymap;
pub mod model;
pub mod reach;
pub mod report;
pub mod runtime;
pub mod sim;
pub mod source;
pub mod state;
pub mod store;
pub mod table;
pub mod theme;
pub mod view;
