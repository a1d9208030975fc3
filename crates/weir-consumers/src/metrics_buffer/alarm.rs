//! Alarms over the store: OK, ALARM, INSUFFICIENT_DATA, as a pure state machine over evaluation periods.
//!
//! The reader's thread evaluates them; time comes from outside. An alarm looks at the averages of the last N complete
//! periods. All missing: INSUFFICIENT_DATA. All there and all over the threshold: ALARM. One there that is not: OK. Some
//! missing and the rest over it: the state stays, since either could be true.

use std::{fmt, str::FromStr};

use serde::Serialize;
use weir_core::clock::WallMs;

use super::store::MetricStore;

/// What one alarm watches.
#[derive(Debug, Clone, PartialEq)]
pub struct AlarmRule {
    /// The metric.
    pub metric: String,
    /// Which side of the threshold is bad.
    pub comparison: Comparison,
    /// The threshold, in the metric's own unit.
    pub threshold: f64,
}

/// Which side of a threshold is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Above it.
    Above,
    /// Below it.
    Below,
}

/// Text that is no rule of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no alarm: write METRIC>NUMBER or METRIC<NUMBER")]
pub struct AlarmRuleError(String);

impl FromStr for AlarmRule {
    type Err = AlarmRuleError;
    fn from_str(text: &str) -> Result<Self, AlarmRuleError> {
        let error = || AlarmRuleError(text.to_owned());
        let at = text.find(['<', '>']).ok_or_else(error)?;
        let comparison = if text[at..].starts_with('>') { Comparison::Above } else { Comparison::Below };
        let threshold: f64 = text[at + 1..].trim().parse().map_err(|_| error())?;
        let metric = text[..at].trim().to_owned();
        if metric.is_empty() || !threshold.is_finite() {
            return Err(error());
        }
        Ok(Self { metric, comparison, threshold })
    }
}

impl fmt::Display for AlarmRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.comparison == Comparison::Above { '>' } else { '<' };
        write!(f, "{}{sign}{}", self.metric, self.threshold)
    }
}

impl AlarmRule {
    fn breached_by(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Above => value > self.threshold,
            Comparison::Below => value < self.threshold,
        }
    }
}

/// What an alarm says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum AlarmState {
    /// In order.
    Ok,
    /// Over its threshold.
    Alarm,
    /// Nobody knows.
    InsufficientData,
}

impl AlarmState {
    /// As the label of a metric.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Alarm => "alarm",
            Self::InsufficientData => "insufficient_data",
        }
    }
}

impl fmt::Display for AlarmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// All alarms of a consumer.
#[derive(Debug)]
pub(super) struct AlarmBoard {
    evaluation_periods: u32,
    alarms: Vec<Alarm>,
}

#[derive(Debug)]
struct Alarm {
    rule: AlarmRule,
    state: AlarmState,
    since: Option<WallMs>,
}

/// An alarm that says something else than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AlarmChange {
    pub(super) alarm: String,
    pub(super) was: AlarmState,
    pub(super) is: AlarmState,
}

/// An alarm as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct ShownAlarm {
    alarm: String,
    state: AlarmState,
    /// When it turned so, milliseconds since 1970; null: since the start.
    since_ms: Option<u64>,
}

impl AlarmBoard {
    /// Alarms that know nothing yet.
    pub(super) fn new(rules: Vec<AlarmRule>, evaluation_periods: u32) -> Self {
        let unknown = |rule| Alarm { rule, state: AlarmState::InsufficientData, since: None };
        Self { evaluation_periods, alarms: rules.into_iter().map(unknown).collect() }
    }

    /// Looks at all of them; returns those that changed.
    pub(super) fn evaluate(&mut self, now: WallMs, store: &MetricStore) -> Vec<AlarmChange> {
        let current = store.period(now);
        let periods = current.saturating_sub(u64::from(self.evaluation_periods))..current;
        let mut changes = Vec::new();
        for alarm in &mut self.alarms {
            let points = periods.clone().map(|period| store.average(&alarm.rule.metric, period));
            let is = next(alarm.state, &alarm.rule, points);
            if is != alarm.state {
                changes.push(AlarmChange { alarm: alarm.rule.to_string(), was: alarm.state, is });
                (alarm.state, alarm.since) = (is, Some(now));
            }
        }
        changes
    }

    /// How many are OK, ALARM and INSUFFICIENT_DATA, by [`AlarmState`]'s order.
    pub(super) fn count(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for alarm in &self.alarms {
            counts[alarm.state as usize] += 1;
        }
        counts
    }

    /// All of them, in the order of their rules.
    pub(super) fn list(&self) -> Vec<ShownAlarm> {
        let shown = |alarm: &Alarm| ShownAlarm {
            alarm: alarm.rule.to_string(),
            state: alarm.state,
            since_ms: alarm.since.map(|at| at.0),
        };
        self.alarms.iter().map(shown).collect()
    }
}

/// What an alarm says after these points.
fn next(state: AlarmState, rule: &AlarmRule, points: impl Iterator<Item = Option<f64>>) -> AlarmState {
    let (mut there, mut missing) = (0, 0);
    for point in points {
        match point {
            Some(value) if !rule.breached_by(value) => return AlarmState::Ok,
            Some(_) => there += 1,
            None => missing += 1,
        }
    }
    match (there, missing) {
        (0, _) => AlarmState::InsufficientData,
        (_, 0) => AlarmState::Alarm,
        _ => state,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::store::Datum, *};

    const GOOD: Option<f64> = Some(1.0);
    const BAD: Option<f64> = Some(9.0);

    fn rule() -> AlarmRule {
        "m>5".parse().unwrap()
    }

    #[test]
    fn a_rule_reads_back_what_it_prints_and_says_how_to_write_one() {
        for text in ["latency>250", "free<0.5"] {
            assert_eq!(text.parse::<AlarmRule>().unwrap().to_string(), text);
        }
        for text in ["latency", ">5", "m>", "m>x", "m>inf", ""] {
            assert!(text.parse::<AlarmRule>().unwrap_err().to_string().contains("METRIC>NUMBER"), "{text}");
        }
        assert!("m<5".parse::<AlarmRule>().unwrap().breached_by(4.0));
        assert!(!rule().breached_by(5.0), "on the threshold is not over it");
    }

    #[test]
    fn the_table_of_points_and_states() {
        use AlarmState::{Alarm, InsufficientData, Ok};
        for was in [Ok, Alarm, InsufficientData] {
            let is = |points: [Option<f64>; 3]| next(was, &rule(), points.into_iter());
            assert_eq!(is([None, None, None]), InsufficientData);
            assert_eq!(is([BAD, BAD, BAD]), Alarm);
            assert_eq!(is([BAD, GOOD, BAD]), Ok);
            assert_eq!(is([None, None, GOOD]), Ok);
            assert_eq!(is([None, BAD, BAD]), was, "either could be true");
        }
    }

    #[test]
    fn an_alarm_goes_dark_after_its_evaluation_periods_without_data_and_comes_back_with_them() {
        let mut store = MetricStore::new(1_000, 100);
        let mut board = AlarmBoard::new(vec![rule()], 3);
        let mut seen = Vec::new();
        for second in 10..40u64 {
            let (now, up) = (WallMs(second * 1_000 + 1), !(15..25).contains(&second));
            if up {
                store.put(now, Datum { name: "m".into(), value: 1.0, at: now });
            }
            seen.extend(board.evaluate(now, &store).into_iter().map(|change| (second, change.is)));
        }
        // The last datum is of second 14: seconds 15, 16 and 17 are the first three without any.
        let expected = [(11, AlarmState::Ok), (18, AlarmState::InsufficientData), (26, AlarmState::Ok)];
        assert_eq!(seen, expected);
        assert_eq!(board.count(), [1, 0, 0]);
    }

    proptest! {
        #[test]
        fn data_always_end_the_dark_and_none_always_begin_it(
            history in prop::collection::vec(prop::option::of(prop::bool::ANY), 0..40),
            periods in 1..5u32,
        ) {
            let mut store = MetricStore::new(1_000, 100);
            let mut board = AlarmBoard::new(vec![rule()], periods);
            let value = |bad: bool| if bad { 9.0 } else { 1.0 };
            let at = |second: usize| WallMs((second as u64 + 100) * 1_000);
            for (second, point) in history.iter().enumerate() {
                if let Some(bad) = point {
                    store.put(at(second), Datum { name: "m".into(), value: value(*bad), at: at(second) });
                }
                board.evaluate(at(second + 1), &store);
                let seen = &history[(second + 1).saturating_sub(periods as usize)..=second];
                let state = board.alarms[0].state;
                if seen.iter().all(Option::is_none) {
                    prop_assert_eq!(state, AlarmState::InsufficientData);
                }
                if seen.contains(&Some(false)) {
                    prop_assert_eq!(state, AlarmState::Ok);
                }
                if seen.len() == periods as usize && seen.iter().all(|point| *point == Some(true)) {
                    prop_assert_eq!(state, AlarmState::Alarm);
                }
            }
        }
    }
}
