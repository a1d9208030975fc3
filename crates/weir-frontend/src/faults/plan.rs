//! The rules as people write them, in TOML, and what is wrong with them: the file, the line and what was probably meant.
//!
//! Read from `--faults FILE` and from the body of a `PUT /faults`. What comes out is checked; it decides nothing.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};
use toml::Spanned;
use weir_core::{entropy, id::AccountId, nearest::nearest, units::Span};
use weir_wire::kinesis::{
    error::ErrorCode,
    operation::Operation,
    subscribe_to_shard::{ENDINGS, ending_code},
};

use super::{
    latency::{LATENCY_MAX, Latency},
    target::{StreamTarget, canonical_shard},
};

/// Rules that one plan may have: each call asks all of them.
const RULES_MAX: usize = 256;
/// Bytes of a plan.
pub(super) const PLAN_BYTES_MAX: usize = 1 << 20;

/// Rules and the seed of their dice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultPlan {
    /// The seed: the same one and the same calls in the same order meet the same faults.
    pub(super) seed: u64,
    /// In the order in which a call meets them.
    pub(super) rules: Vec<Rule>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file could not be read.
    #[error("read {}: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It does not say what a plan must say.
    #[error("{file}{}: {message}{}", line_of(.line), meant(.nearest))]
    Mistake {
        /// The file, or what was sent.
        file: String,
        /// The line, from 1.
        line: Option<usize>,
        /// What is wrong, and what would be right.
        message: String,
        /// The known word most like an unknown one.
        nearest: Option<String>,
    },
}

fn line_of(line: &Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(":{line}"))
}

fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"))
}

/// One rule: which calls it is for, when, and what happens to them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rule {
    /// As the log and the list call it.
    pub(super) name: String,
    /// Only these operations; empty: all.
    pub(super) operations: Vec<String>,
    /// Only this stream: its name or its ARN.
    pub(super) stream: Option<String>,
    /// Only this shard: its id, once it is checked as Kinesis prints it.
    pub(super) shard: Option<String>,
    /// Only callers of this account.
    pub(super) account: Option<String>,
    /// How likely a call that is meant meets it.
    pub(super) probability: Option<f64>,
    /// From so long after the rules were set.
    pub(super) from: Option<Span>,
    /// Until so long after the rules were set.
    pub(super) until: Option<Span>,
    /// So many calls that are meant pass first.
    pub(super) skip: u64,
    /// So many calls meet it, then no more.
    pub(super) calls: Option<u64>,
    /// The call is held up; may stand beside another effect.
    pub(super) latency: Option<Latency>,
    /// The call is answered with this error and does nothing.
    pub(super) error: Option<String>,
    /// The error's text.
    pub(super) message: Option<String>,
    /// The call is refused as one over its rate.
    pub(super) throttle: bool,
    /// Some of the records of `PutRecords` fail.
    pub(super) records: Option<RecordRule>,
    /// `GetRecords` finds its iterator too old.
    pub(super) expire_iterator: bool,
    /// The connection ends without an answer.
    pub(super) cut: Option<CutRule>,
    /// The events of `SubscribeToShard` stop coming.
    pub(super) stall: Option<Stall>,
    /// The events of `SubscribeToShard` end with an error.
    pub(super) exception: Option<ExceptionRule>,
}

/// Which records of a call fail, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordRule {
    /// How likely each fails.
    pub(super) probability: f64,
    /// With which code.
    pub(super) error: RecordError,
}

/// The two codes that Kinesis has for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RecordError {
    /// Its shard is over its limit.
    ProvisionedThroughputExceededException,
    /// Something broke.
    InternalFailure,
}

/// When the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CutRule {
    /// Nothing was done.
    BeforeEffect,
    /// It was done, and the client does not hear of it.
    AfterEffect,
}

/// Events that stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stall {
    /// So many messages come first.
    #[serde(default)]
    pub(crate) after: u64,
    /// For so long; absent: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lasts: Option<Span>,
}

/// Events that end with an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExceptionRule {
    /// So many messages come first: `initial-response` always does.
    #[serde(default = "one")]
    pub(super) after: u64,
    /// Its name among the members of the event stream.
    pub(super) error: String,
}

const fn one() -> u64 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    seed: Option<u64>,
    #[serde(default, rename = "rule")]
    rules: Vec<Spanned<Rule>>,
}

/// What breaks a rule, and the word that was probably meant.
struct Broken(String, Option<String>);

impl FaultPlan {
    /// Reads a file.
    pub fn read(path: PathBuf) -> Result<Self, PlanError> {
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path.display().to_string()),
            Err(source) => Err(PlanError::Read { path, source }),
        }
    }

    /// Reads a text; `file` is what errors call it. Without a seed one is drawn.
    pub fn parse(text: &str, file: &str) -> Result<Self, PlanError> {
        let mistake = |at: Option<usize>, message: String, nearest| PlanError::Mistake {
            file: file.to_owned(),
            line: at
                .map(|at| 1 + text.as_bytes()[..at.min(text.len())].iter().filter(|&&b| b == b'\n').count()),
            message,
            nearest,
        };
        let raw: RawPlan = toml::from_str(text).map_err(|error| {
            // serde: "unknown field `strem`, expected one of `name`, `stream`"
            let message = error.message().trim().to_owned();
            let mut quoted = message.split('`').skip(1).step_by(2);
            let unknown = message.starts_with("unknown").then(|| quoted.next()).flatten();
            let nearest = unknown.and_then(|unknown| nearest(unknown, quoted));
            let message = message.split(", expected one of").next().unwrap_or_default().to_owned();
            mistake(error.span().map(|span| span.start), message, nearest)
        })?;
        if raw.rules.len() > RULES_MAX {
            return Err(mistake(None, format!("a plan has at most {RULES_MAX} rules"), None));
        }
        let mut rules = Vec::with_capacity(raw.rules.len());
        for (at, spanned) in raw.rules.into_iter().enumerate() {
            let start = spanned.span().start;
            let mut rule = spanned.into_inner();
            if rule.name.is_empty() {
                rule.name = format!("rule {}", at + 1);
            }
            rule.check().map_err(|Broken(message, nearest)| {
                mistake(Some(start), format!("{}: {message}", rule.name), nearest)
            })?;
            rules.push(rule);
        }
        // TOML's numbers have 63 bits: what is shown can be written back.
        let seed = raw.seed.unwrap_or_else(|| entropy::secret_u64() >> 1);
        Ok(Self { seed, rules })
    }
}

impl Rule {
    /// Finds what is wrong, and spells the shard as Kinesis does.
    fn check(&mut self) -> Result<(), Broken> {
        let broken = |message: &str| Err(Broken(message.to_owned(), None));
        for name in &self.operations {
            if Operation::of_name(name).is_none() {
                let nearest = nearest(name, Operation::ALL.iter().map(|operation| operation.name()));
                return Err(Broken(format!("there is no operation {name:?}"), nearest));
            }
        }
        if let Some(code) = &self.error
            && code_of(code).is_none()
        {
            let nearest = nearest(code, ErrorCode::ALL.iter().map(|code| code.name()));
            return Err(Broken(format!("there is no error {code:?}"), nearest));
        }
        if let Some(stream) = &self.stream {
            StreamTarget::parse(stream).map_err(|message| Broken(message, None))?;
        }
        if let Some(shard) = &mut self.shard {
            *shard = canonical_shard(shard).map_err(|message| Broken(message, None))?;
        }
        if self.account.as_ref().is_some_and(|account| account.parse::<AccountId>().is_err()) {
            return broken("account: write its twelve digits");
        }
        let is_share = |share: f64| (0.0..=1.0).contains(&share);
        if !self.probability.is_none_or(is_share)
            || !self.records.as_ref().is_none_or(|of| is_share(of.probability))
        {
            return broken("a probability is between 0 and 1");
        }
        if let (Some(from), Some(until)) = (self.from, self.until)
            && until.0 <= from.0
        {
            return broken("until must be after from");
        }
        if let Some(latency) = &self.latency {
            latency.check().map_err(|message| Broken(format!("latency: {message}"), None))?;
            if let Latency::Fixed(span) = latency
                && span.0 > LATENCY_MAX
            {
                return broken("latency: at most 5m; to let a call never end, cut its connection");
            }
        }
        if let Some(exception) = &self.exception {
            exception.check()?;
        }
        if self.message.is_some() && self.error.is_none() && self.exception.is_none() {
            return broken("a message stands beside an error or an exception");
        }
        let effects = self.effects();
        match effects.len() {
            0 if self.latency.is_none() => broken(
                "it does nothing: write latency, error, throttle, records, expire_iterator, cut, stall or exception",
            ),
            0 => Ok(()),
            1 => self.check_operations(effects[0]),
            _ => Err(Broken(
                format!("{} cannot happen to one call; write two rules", effects.join(" and ")),
                None,
            )),
        }
    }

    /// The effects but latency, by their keys.
    fn effects(&self) -> Vec<&'static str> {
        let written = [
            ("error", self.error.is_some()),
            ("throttle", self.throttle),
            ("records", self.records.is_some()),
            ("expire_iterator", self.expire_iterator),
            ("cut", self.cut.is_some()),
            ("stall", self.stall.is_some()),
            ("exception", self.exception.is_some()),
        ];
        written.into_iter().filter(|(_, is)| *is).map(|(key, _)| key).collect()
    }

    /// Some effects are of one operation, whether it is written or not.
    fn check_operations(&self, effect: &'static str) -> Result<(), Broken> {
        match (effect, self.only_operation()) {
            (_, Some(only)) if self.operations.iter().any(|name| name != only) => {
                Err(Broken(format!("{effect} happens to {only} alone"), None))
            }
            _ => Ok(()),
        }
    }

    /// The one operation that the effect is of.
    pub(super) fn only_operation(&self) -> Option<&'static str> {
        if self.records.is_some() {
            Some("PutRecords")
        } else if self.expire_iterator {
            Some("GetRecords")
        } else if self.stall.is_some() || self.exception.is_some() {
            Some("SubscribeToShard")
        } else {
            None
        }
    }
}

impl ExceptionRule {
    fn check(&self) -> Result<(), Broken> {
        if ending_code(&self.error).is_none() {
            let nearest = nearest(&self.error, ENDINGS.iter().map(|(_, name)| *name));
            return Err(Broken(format!("exception: no event stream ends with {:?}", self.error), nearest));
        }
        match self.after {
            0 => Err(Broken("exception: after is at least 1: initial-response comes first".to_owned(), None)),
            _ => Ok(()),
        }
    }
}

/// The code of a name.
pub(super) fn code_of(name: &str) -> Option<ErrorCode> {
    ErrorCode::ALL.into_iter().find(|code| code.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        FaultPlan::parse(text, "f.toml").unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_what_was_meant() {
        for (text, expected) in [
            (
                "seed = 1\n[[rule]]\nstrem = \"s\"\n",
                "f.toml:3: unknown field `strem`; did you mean \"stream\"?",
            ),
            ("[[rules]]\n", "f.toml:1: unknown field `rules`"),
            (
                "\n[[rule]]\nname = \"x\"\noperations = [\"PutRecord\", \"PutRecrods\"]\nthrottle = true\n",
                "f.toml:2: x: there is no operation \"PutRecrods\"; did you mean \"PutRecords\"?",
            ),
            (
                "[[rule]]\nthrottle = true\n[[rule]]\nerror = \"InternalFailur\"",
                "f.toml:3: rule 2: there is no error \"InternalFailur\"; did you mean \"InternalFailure\"?",
            ),
            (
                "[[rule]]\nthrottle = true\nprobability = 1.5",
                "f.toml:1: rule 1: a probability is between 0 and 1",
            ),
            (
                "[[rule]]\nthrottle = true\naccount = \"7\"",
                "f.toml:1: rule 1: account: write its twelve digits",
            ),
            (
                "\n[[rule]]\nthrottle = true\nstream = \"a b\"",
                "f.toml:2: rule 1: stream: no stream is called \"a b\"",
            ),
            ("[[rule]]\nthrottle = true\nshard = \"x\"", "f.toml:1: rule 1: shard: no shard is called \"x\""),
            ("[[rule]]\nlatency = \"6m\"", "f.toml:1: rule 1: latency: at most 5m"),
            ("[[rule]]\nlatency = \"6\"", "f.toml:2: \"6\" is no time: write 250ms or 5s"),
            ("[[rule]]\nstream = \"s\"", "f.toml:1: rule 1: it does nothing"),
            (
                "[[rule]]\nthrottle = true\ncut = \"before-effect\"",
                "throttle and cut cannot happen to one call",
            ),
            ("[[rule]]\nthrottle = true\nfrom = \"2s\"\nuntil = \"1s\"", "until must be after from"),
            (
                "[[rule]]\noperations = [\"PutRecord\"]\nrecords = { probability = 1.0, error = \"InternalFailure\" }",
                "records happens to PutRecords alone",
            ),
            ("[[rule]]\nthrottle = true\nmessage = \"m\"", "a message stands beside an error"),
            (
                "\n[[rule]]\nexception = { error = \"KMSDisableException\" }",
                "f.toml:2: rule 1: exception: no event stream ends with \"KMSDisableException\"; did you mean \"KMSDisabledException\"?",
            ),
            (
                "[[rule]]\nexception = { error = \"LimitExceededException\" }",
                "no event stream ends with \"LimitExceededException\"",
            ),
            ("[[rule]]\nexception = { error = \"InternalFailureException\", after = 0 }", "at least 1"),
            (
                "[[rule]]\noperations = [\"GetRecords\"]\nexception = { error = \"InternalFailureException\" }",
                "exception happens to SubscribeToShard alone",
            ),
        ] {
            let told = told(text);
            assert!(told.starts_with(expected) || told.contains(expected), "{told}\nis not\n{expected}");
        }
        let missing = FaultPlan::read("/nowhere/f.toml".into()).unwrap_err().to_string();
        assert!(missing.starts_with("read /nowhere/f.toml: "), "{missing}");
    }

    #[test]
    fn a_plan_without_a_seed_has_one_that_can_be_written_back() {
        let plan = FaultPlan::parse("[[rule]]\nthrottle = true", "f").unwrap();
        let again =
            FaultPlan::parse(&format!("seed = {}\n[[rule]]\nthrottle = true", plan.seed), "f").unwrap();
        assert_eq!(plan, again);
        assert!(FaultPlan::parse("", "f").unwrap().rules.is_empty());
    }
}
