//! Judges a recorded series: N*, signatures and their order, as pure functions.
//!
//! Called after a run and again whenever a stored result is read. It must never touch the fleet, a clock or a file,
//! and never know which arm is "supposed" to fail: what is expected of an arm is in its setup.

mod facts;
mod headroom;
pub mod noise;
mod prediction;
mod signature;
mod trial;

mod cache_fleet;
mod cells;
mod control;
mod decay;
mod errors;
mod hysteresis;
mod limit;
mod mask;
mod restart;
mod steady;
mod trigger;

pub use facts::{Decay, Facts, Refusal};
pub use headroom::HeadroomAlarm;
pub use prediction::Prediction;
pub use signature::{Clause, Judgement, SignatureId, SignatureIdError, Verdict};

use crate::series::ArmSeries;

/// Everything the oracle says of one arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Opinion {
    /// Where the first refusal must come, and why there.
    pub prediction: Prediction,
    /// The smallest fleet at which some server was refused a thread; `None` when none was.
    pub observed_n_star: Option<u64>,
    /// One verdict for each signature, in the order of [`SignatureId::ALL`].
    pub verdicts: Vec<Verdict>,
}

impl Opinion {
    /// The verdict on one signature.
    pub fn of(&self, signature: SignatureId) -> &Verdict {
        self.verdicts.iter().find(|v| v.signature == signature).expect("an opinion judges every signature")
    }
}

/// Judges one arm. `control` is the run's negative control, when there is one: hysteresis asks how a healthy fleet of
/// the same size does, and isolation what the growth alone costs this host.
pub fn judge(series: &ArmSeries, control: Option<&ArmSeries>) -> Opinion {
    let facts = Facts::of(series);
    let control = control.map(Facts::of);
    let verdicts = SignatureId::ALL
        .into_iter()
        .map(|id| match id {
            SignatureId::S1 => steady::judge(&facts),
            SignatureId::S2 => trigger::judge(&facts),
            SignatureId::S3 => limit::judge(&facts),
            SignatureId::S4 => decay::judge(&facts),
            SignatureId::S5 => errors::judge(&facts),
            SignatureId::S6 => mask::judge(&facts),
            SignatureId::S7 => hysteresis::judge(&facts, control.as_ref()),
            SignatureId::S8 => restart::judge_fast(&facts),
            SignatureId::S9 => restart::judge_paced(&facts),
            SignatureId::S18 => cells::judge(&facts, control.as_ref()),
            SignatureId::S19 => cache_fleet::judge(&facts),
            SignatureId::Control => control::judge(&facts),
        })
        .collect();
    Opinion { observed_n_star: facts.observed_n_star(), prediction: facts.prediction.clone(), verdicts }
}

#[cfg(test)]
mod tests;
