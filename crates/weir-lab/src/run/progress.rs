//! What a person sees while a run goes on: one line an arm, with the fleet, its threads against the limit, and success.
//!
//! Written to stderr: redrawn in place on a terminal, otherwise a line whenever an arm enters a phase, or nothing (`--quiet`).
//! It reads what the recorder has recorded and must never slow it down.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    sync::{Arc, OnceLock},
    time::Duration,
};

use parking_lot::Mutex;

use super::screen::Screen;
use crate::{
    recorder::Sink,
    series::{ArmSeries, Role, ServerId},
};

/// Characters of the bar that shows threads against the limit.
const BAR: usize = 10;
/// What the terminal shows in red, and how it stops.
const RED: (&str, &str) = ("\x1b[31m", "\x1b[39m");

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Redrawn lines.
    Terminal {
        /// What is wrong is red.
        colour: bool,
    },
    /// A line for each phase.
    Plain,
    /// Nothing.
    Quiet,
}

impl Show {
    /// Redrawn lines when stderr is a terminal, in colour unless `NO_COLOR` is set; plain ones otherwise.
    pub fn for_stderr() -> Self {
        let colour = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        if io::stderr().is_terminal() { Self::Terminal { colour } } else { Self::Plain }
    }
}

/// Where one arm is.
#[derive(Debug)]
pub(super) struct ArmProgress {
    name: String,
    phase: Mutex<String>,
    sink: OnceLock<Arc<Sink>>,
    /// The most refusals seen of each server: those that left were refused all the same.
    refused: Mutex<BTreeMap<ServerId, u64>>,
}

impl ArmProgress {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            phase: Mutex::new("waiting".to_owned()),
            sink: OnceLock::new(),
            refused: Mutex::default(),
        }
    }

    /// The arm does something before or after its phases.
    pub(super) fn step(&self, name: &str) {
        name.clone_into(&mut self.phase.lock());
    }

    /// The arm enters phase `number` (from 1) of `count`.
    pub(super) fn phase(&self, name: &str, number: usize, count: usize) {
        *self.phase.lock() = format!("{number}/{count} {name}");
    }

    /// From now on there is something recorded.
    pub(super) fn recorded_by(&self, sink: &Arc<Sink>) {
        // An arm has one sink; a second call would change nothing.
        let _ = self.sink.set(Arc::clone(sink));
    }

    fn numbers(&self) -> Numbers {
        let Some(sink) = self.sink.get() else { return Numbers::default() };
        let mut refused = self.refused.lock();
        sink.look(|series| Numbers::of(series, &mut refused))
    }

    fn line(&self) -> String {
        format!("{:<14} {:<20} {}", self.name, self.phase.lock(), self.numbers())
    }

    /// The line for a terminal: the threads as a bar, what is wrong in red.
    fn drawn(&self, colour: bool) -> String {
        columns(&self.name, &self.phase.lock(), &self.numbers().drawn(colour))
    }
}

/// A line of the board. `numbers` has columns of its own.
fn columns(name: &str, phase: &str, numbers: &str) -> String {
    format!("{name:<13} {phase:<19} {numbers}").trim_end().to_owned()
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
    /// Of the last look at all servers: the newest may be under way.
    fn of(series: &ArmSeries, refused: &mut BTreeMap<ServerId, u64>) -> Self {
        let mut numbers = Self { limit: series.setup.limit, ..Self::default() };
        let Some(newest) = series.samples.last().map(|sample| sample.at) else { return numbers };
        let before = series.samples.iter().rev().skip_while(|sample| sample.at == newest);
        let Some(whole) = before.clone().next().map(|sample| sample.at) else { return numbers };
        for sample in before.take_while(|sample| sample.at == whole) {
            let role = series.servers[sample.server.0 as usize].role;
            numbers.front_ends += usize::from(role == Role::Frontend);
            if matches!(role, Role::Frontend | Role::Cache) {
                numbers.threads_most = numbers.threads_most.max(sample.threads);
            }
            let own = sample.metrics.as_ref().and_then(|metrics| metrics.refusals);
            let most = refused.entry(sample.server).or_default();
            *most = sample.pids_events_max.or(own).unwrap_or(0).max(*most);
        }
        numbers.refusals = refused.values().sum();
        numbers.success = series.load.last().and_then(|window| window.calls().success_ratio());
        numbers
    }
}

impl Numbers {
    fn drawn(&self, colour: bool) -> String {
        if self.front_ends == 0 {
            return String::new();
        }
        let Self { front_ends, threads_most, limit, refusals, success } = *self;
        let red = |text: String, wrong: bool| match (wrong, colour) {
            (true, true) => format!("{}{text}{}", RED.0, RED.1),
            _ => text,
        };
        let full = (u64::from(threads_most) * BAR as u64).checked_div(limit).unwrap_or(0).min(BAR as u64);
        let full = full as usize;
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
        let threads = red(format!("{bar} {:<7}", format!("{threads_most}/{limit}")), refusals > 0);
        let refused = red(format!("{refusals:>7}"), refusals > 0);
        let success =
            success.map_or(String::new(), |ratio| red(format!("{:>6.1} %", ratio * 100.0), ratio < 0.99));
        format!("{front_ends:>7}  {threads} {refused} {success}")
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
    screen: Screen,
    /// What runs, under which limits.
    title: String,
    arms: Vec<Arc<ArmProgress>>,
    /// Phases told in plain lines.
    told: Vec<String>,
}

impl Board {
    pub(super) fn new(show: Show, mut screen: Screen, title: String, arms: Vec<Arc<ArmProgress>>) -> Self {
        if show == Show::Plain {
            // A closed stderr is no reason to end a run.
            let _ = writeln!(screen, "{title}");
        }
        let told = vec![String::new(); arms.len()];
        Self { show, screen, title, arms, told }
    }

    /// Shows where the arms are, so long after the run's start. Call it a few times a second.
    pub(super) fn draw(&mut self, elapsed: Duration) {
        match self.show {
            Show::Quiet => {}
            Show::Terminal { colour } => {
                let heads =
                    format!("{:>7}  {:<18} {:>7} {:>8}", "servers", "threads of limit", "refused", "succeed");
                let title = format!("{}, {} s", self.title, elapsed.as_secs());
                let mut lines = vec![title, columns("", "phase", &heads)];
                lines.extend(self.arms.iter().map(|arm| arm.drawn(colour)));
                self.screen.draw(&lines);
            }
            Show::Plain => {
                for (arm, told) in self.arms.iter().zip(&mut self.told) {
                    let phase = arm.phase.lock().clone();
                    if *told != phase {
                        *told = phase;
                        let _ = writeln!(self.screen, "{}", arm.line()); // as above
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::synthetic::Recipe;

    /// A terminal has as many at least.
    const COLUMNS: usize = 80;

    #[test]
    fn the_last_whole_look_is_summed_over_front_ends_only() {
        let mut series = Recipe::shared().play();
        // Under way: one server of the newest look is written.
        let (newest, mut first) = (series.samples.last().unwrap().at, series.samples[0].clone());
        first.at.0 = newest.0 + 1_000;
        series.samples.push(first);
        let mut refused = BTreeMap::new();
        let numbers = Numbers::of(&series, &mut refused);
        let here = series.samples.iter().filter(|sample| sample.at == newest);
        let front_ends =
            here.filter(|sample| series.servers[sample.server.0 as usize].role == Role::Frontend);
        assert_eq!(numbers.front_ends, front_ends.count());
        assert!(numbers.front_ends > 0 && numbers.threads_most > 0);
        assert_eq!(numbers.limit, series.setup.limit);
    }

    #[test]
    fn the_bar_is_full_at_the_limit_and_red_says_what_is_wrong() {
        let mut numbers =
            Numbers { front_ends: 44, threads_most: 42, limit: 42, refusals: 44, success: Some(0.31) };
        let drawn = numbers.drawn(true);
        assert!(drawn.contains(&"█".repeat(BAR)) && drawn.matches(RED.0).count() == 3, "{drawn}");
        assert!(!numbers.drawn(false).contains('\x1b'));
        let widest = columns("raised-limit", "4/7 remove-capacity", &numbers.drawn(false));
        assert!(widest.chars().count() <= COLUMNS, "{widest}");
        (numbers.threads_most, numbers.refusals, numbers.success) = (21, 0, Some(1.0));
        let drawn = numbers.drawn(true);
        assert!(!drawn.contains('\x1b') && drawn.contains(&"█".repeat(BAR / 2)), "{drawn}");
        assert!(!drawn.contains(&"█".repeat(BAR / 2 + 1)));
    }
}
