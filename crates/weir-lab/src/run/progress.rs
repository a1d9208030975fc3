//! What a person sees while a run goes on: one line an arm, with the fleet, its threads against the limit, and success.
//!
//! Written to stderr: redrawn in place on a terminal, otherwise a line whenever an arm enters a phase, or nothing (`--quiet`).
//! It reads what the recorder has recorded and must never slow it down.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;

use crate::{
    recorder::Sink,
    series::{ArmSeries, Role},
};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Redrawn lines.
    Terminal,
    /// A line for each phase.
    Plain,
    /// Nothing.
    Quiet,
}

impl Show {
    /// Redrawn lines when stderr is a terminal, plain ones otherwise.
    pub fn for_stderr() -> Self {
        if io::stderr().is_terminal() { Self::Terminal } else { Self::Plain }
    }
}

/// Where one arm is.
#[derive(Debug)]
pub(super) struct ArmProgress {
    name: String,
    phase: Mutex<String>,
    sink: OnceLock<Arc<Sink>>,
}

impl ArmProgress {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), phase: Mutex::new("waiting".to_owned()), sink: OnceLock::new() }
    }

    /// The arm enters a phase.
    pub(super) fn phase(&self, name: &str) {
        name.clone_into(&mut self.phase.lock());
    }

    /// From now on there is something recorded.
    pub(super) fn recorded_by(&self, sink: &Arc<Sink>) {
        // An arm has one sink; a second call would change nothing.
        let _ = self.sink.set(Arc::clone(sink));
    }

    fn line(&self) -> String {
        let numbers = self.sink.get().map(|sink| sink.look(Numbers::of)).unwrap_or_default();
        format!("{:<14} {:<18} {numbers}", self.name, self.phase.lock())
    }
}

/// The newest numbers of an arm.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Numbers {
    front_ends: usize,
    threads_most: u32,
    limit: u64,
    refusals: u64,
    success: Option<f64>,
}

impl Numbers {
    fn of(series: &ArmSeries) -> Self {
        let mut numbers = Self { limit: series.setup.limit, ..Self::default() };
        let Some(newest) = series.samples.last().map(|sample| sample.at) else { return numbers };
        for sample in series.samples.iter().rev().take_while(|sample| sample.at == newest) {
            let role = series.servers[sample.server.0 as usize].role;
            numbers.front_ends += usize::from(role == Role::Frontend);
            if matches!(role, Role::Frontend | Role::Cache) {
                numbers.threads_most = numbers.threads_most.max(sample.threads);
            }
            let own = sample.metrics.as_ref().and_then(|metrics| metrics.refusals);
            numbers.refusals += sample.pids_events_max.or(own).unwrap_or(0);
        }
        numbers.success = series.load.last().and_then(|window| window.calls().success_ratio());
        numbers
    }
}

impl std::fmt::Display for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.front_ends == 0 {
            return Ok(());
        }
        let Self { front_ends, threads_most, limit, refusals, success } = self;
        write!(f, "{front_ends:>4} front ends  {threads_most:>4}/{limit:<4} threads  {refusals:>5} refused")?;
        match success {
            Some(ratio) => write!(f, "  {:>6.2} % succeed", ratio * 100.0),
            None => Ok(()),
        }
    }
}

/// Draws the arms of a run.
#[derive(Debug)]
pub(super) struct Board {
    show: Show,
    arms: Vec<Arc<ArmProgress>>,
    /// Lines drawn the last time.
    drawn: usize,
    /// Phases told in plain lines.
    told: Vec<String>,
}

impl Board {
    pub(super) fn new(show: Show, arms: Vec<Arc<ArmProgress>>) -> Self {
        let told = vec![String::new(); arms.len()];
        Self { show, arms, drawn: 0, told }
    }

    /// Shows where the arms are. Call it a few times a second.
    pub(super) fn draw(&mut self) {
        let mut text = String::new();
        match self.show {
            Show::Quiet => return,
            Show::Terminal => {
                if self.drawn > 0 {
                    text.push_str(&format!("\x1b[{}A", self.drawn));
                }
                for arm in &self.arms {
                    text.push_str("\x1b[2K");
                    text.push_str(&arm.line());
                    text.push('\n');
                }
                self.drawn = self.arms.len();
            }
            Show::Plain => {
                for (arm, told) in self.arms.iter().zip(&mut self.told) {
                    let phase = arm.phase.lock().clone();
                    if *told != phase {
                        *told = phase;
                        text.push_str(&arm.line());
                        text.push('\n');
                    }
                }
            }
        }
        // A closed stderr is no reason to end a run.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::synthetic::Recipe;

    #[test]
    fn the_newest_window_is_summed_over_front_ends_only() {
        let series = Recipe::shared().play();
        let numbers = Numbers::of(&series);
        let newest = series.samples.last().unwrap().at;
        let here = series.samples.iter().filter(|sample| sample.at == newest);
        let front_ends =
            here.filter(|sample| series.servers[sample.server.0 as usize].role == Role::Frontend);
        assert_eq!(numbers.front_ends, front_ends.count());
        assert!(numbers.front_ends > 0 && numbers.threads_most > 0);
        assert_eq!(numbers.limit, series.setup.limit);
    }
}
