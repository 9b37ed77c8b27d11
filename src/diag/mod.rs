//! (diag)
