//! What a plan would touch beyond its own objects: who owns them and would undo it, which budgets cover the pods, whether what moves
//! finds room.

mod budgets;
mod others;
mod owners;
mod place;
mod storage;

pub use budgets::{Budgets, budgets};
pub use owners::{Scaler, owned_by, paused, scaled_object, scalers};
pub use place::{Newcomer, place};
pub use storage::{Claim, Storage, claims};
