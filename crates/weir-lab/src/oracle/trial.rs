//! Collects the clauses of one signature and turns them into a verdict.
//!
//! Used by every judge. A signature without clauses cannot be held: a check that asks nothing is a bug.

use crate::series::At;

use super::signature::{Clause, Judgement, SignatureId, Verdict};

/// A signature being judged.
#[derive(Debug)]
pub(super) struct Trial {
    signature: SignatureId,
    onset: Option<At>,
    clauses: Vec<Clause>,
}

impl Trial {
    pub(super) const fn of(signature: SignatureId) -> Self {
        Self { signature, onset: None, clauses: Vec::new() }
    }

    /// When the signature first showed.
    pub(super) const fn shows_at(&mut self, onset: Option<At>) {
        self.onset = onset;
    }

    /// One question, its answer and the numbers behind it.
    pub(super) fn ask(&mut self, asks: impl Into<String>, held: bool, found: impl Into<String>) {
        self.clauses.push(Clause { asks: asks.into(), held, found: found.into() });
    }

    /// Held when every clause is; `summary` says in a sentence what was seen.
    pub(super) fn verdict(self, summary: impl Into<String>) -> Verdict {
        assert!(!self.clauses.is_empty(), "{} asked nothing", self.signature);
        let failed: Vec<&Clause> = self.clauses.iter().filter(|c| !c.held).collect();
        let (judgement, reason) = match failed.as_slice() {
            [] => (Judgement::Held, summary.into()),
            [first] => (Judgement::Failed, format!("not so: {} ({})", first.asks, first.found)),
            [first, more @ ..] => {
                let count = more.len();
                (Judgement::Failed, format!("not so: {} ({}), and {count} more", first.asks, first.found))
            }
        };
        let onset_ms = self.onset.map(|at| at.0);
        Verdict { signature: self.signature, judgement, reason, onset_ms, clauses: self.clauses }
    }
}

/// The arm has nothing that the signature speaks of.
pub(super) fn not_applicable(signature: SignatureId, reason: impl Into<String>) -> Verdict {
    Verdict {
        signature,
        judgement: Judgement::NotApplicable,
        reason: reason.into(),
        onset_ms: None,
        clauses: Vec::new(),
    }
}
