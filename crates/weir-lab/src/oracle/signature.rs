//! The names of the signatures and the form of a verdict.
//!
//! Used by every judge of the oracle, by scenarios (as expectations), the summary and the report. No judging here.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A signature of a faithful run: a movement that must show, and its band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SignatureId {
    /// Steady: the thread law holds to the integer, maps are fresh, errors are rare.
    S1,
    /// Trigger: membership jumps, knowledge of it climbs as a staircase.
    S2,
    /// The limit is met, at N*, by the kernel.
    S3,
    /// Silent decay: builds fail, maps age, callers notice nothing.
    S4,
    /// Every kind of call fails.
    S5,
    /// The cause is masked: the back end looks idle and well.
    S6,
    /// Hysteresis: without the joiners it does not heal.
    S7,
    /// Fast restart defeats itself.
    S8,
    /// Paced restart heals along a slope.
    S9,
    /// Cells bound the blast.
    S18,
    /// A cache fleet carries the slope in place of the front ends.
    S19,
    /// The negative control: none of S3 to S9, nor of the consumers' troubles.
    #[serde(rename = "control")]
    Control,
}

impl SignatureId {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 12] = [
        Self::S1,
        Self::S2,
        Self::S3,
        Self::S4,
        Self::S5,
        Self::S6,
        Self::S7,
        Self::S8,
        Self::S9,
        Self::S18,
        Self::S19,
        Self::Control,
    ];

    /// The name that results use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S1 => "S1",
            Self::S2 => "S2",
            Self::S3 => "S3",
            Self::S4 => "S4",
            Self::S5 => "S5",
            Self::S6 => "S6",
            Self::S7 => "S7",
            Self::S8 => "S8",
            Self::S9 => "S9",
            Self::S18 => "S18",
            Self::S19 => "S19",
            Self::Control => "control",
        }
    }

    /// A few words for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::S1 => "steady state",
            Self::S2 => "slow discovery",
            Self::S3 => "limit met",
            Self::S4 => "silent decay",
            Self::S5 => "every kind of call fails",
            Self::S6 => "cause masked",
            Self::S7 => "does not heal",
            Self::S8 => "fast restart",
            Self::S9 => "paced restart",
            Self::S18 => "cells bound the blast",
            Self::S19 => "cache fleet takes the slope",
            Self::Control => "negative control",
        }
    }
}

impl fmt::Display for SignatureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Text that names no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no signature that Weir judges: S1 to S9, S18, S19, control")]
pub struct SignatureIdError(String);

impl FromStr for SignatureId {
    type Err = SignatureIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|id| id.name() == text).ok_or_else(|| SignatureIdError(text.to_owned()))
    }
}

/// What a signature came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Every clause held.
    Held,
    /// At least one clause did not.
    Failed,
    /// The arm has nothing that the signature speaks of.
    NotApplicable,
}

impl Judgement {
    /// The name that results use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Failed => "failed",
            Self::NotApplicable => "not_applicable",
        }
    }
}

/// One signature's outcome, with the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which.
    pub signature: SignatureId,
    /// What it came to.
    pub judgement: Judgement,
    /// One sentence: why.
    pub reason: String,
    /// When it first showed, milliseconds on the arm's clock; orders are checked by it.
    pub onset_ms: Option<u64>,
    /// What was asked, one by one.
    pub clauses: Vec<Clause>,
}

/// One question of a signature, with the number that answered it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clause {
    /// The question, in words.
    pub asks: String,
    /// Its answer.
    pub held: bool,
    /// The numbers behind it, in words.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_says_of_each_signature_what_must_show() {
        let document = include_str!("../../../../docs/EXPERIMENTS.md");
        for id in SignatureId::ALL {
            let row = format!("| {id} | {} | ", id.title());
            assert!(document.contains(&row), "{row}");
        }
    }
}
