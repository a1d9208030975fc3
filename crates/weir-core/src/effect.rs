//! The one question every failed write must answer: may it have happened?
//!
//! Errors of all crates answer with [`Effect`]; clients retry by it and the integrity checker judges by it.
//! It must never grow a third answer: "probably not" is [`Effect::Unknown`].

/// What a failed call may have left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing was done: the call may be repeated without a duplicate.
    None,
    /// The write may be in the log although the caller saw an error.
    Unknown,
}
