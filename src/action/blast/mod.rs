//! What a plan would touch beyond its own objects: who owns them and would undo it, which budgets cover the pods, whether what moves
//! finds room.

mod owners;

pub use owners::{Scaler, owned_by, scalers};
