//! What is wrong with a scenario, where, and what was probably meant.

use std::{fmt, io, ops::Range, path::PathBuf};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use weir_core::nearest::nearest;

/// Why a scenario cannot be run. All of these are mistakes in the file or in its name: exit 2.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// There is neither a shipped scenario nor a file of that name.
    #[error("no scenario {name:?}: give a path, or one of those shipped: {shipped}{}", meant(.nearest))]
    Unknown {
        /// What was asked for.
        name: String,
        /// All names, with commas.
        shipped: String,
        /// The shipped name most like it.
        nearest: Option<String>,
    },
    /// The file could not be read.
    #[error("read {}: {source}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file does not say what a scenario must say.
    #[error("{place}: {message}{}", meant(.nearest))]
    Mistake {
        /// Where.
        place: Place,
        /// What is wrong, and what would be right.
        message: String,
        /// The known key most like an unknown one.
        nearest: Option<String>,
    },
    /// There is no arm of that name.
    #[error("{scenario} has no arm {name:?}; it has {arms}{}", meant(.nearest))]
    UnknownArm {
        /// The scenario.
        scenario: String,
        /// What was asked for.
        name: String,
        /// All arms, with commas.
        arms: String,
        /// The arm most like it.
        nearest: Option<String>,
    },
}

fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |nearest| format!("; did you mean {nearest:?}?"))
}

/// A line of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, or the name of a shipped scenario.
    pub file: String,
    /// The line, from 1; `None` when the mistake is in no one line.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// Where to look for what is missing.
const ALL_KEYS: &str = "`weir schema` prints all keys";

/// The text of a scenario, to say where a mistake is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// A mistake at a range of bytes.
    pub(super) fn mistake(&self, at: Option<Range<usize>>, message: impl Into<String>) -> ScenarioError {
        self.mistake_like(at, message, None)
    }

    /// The same, with the word that was probably meant.
    pub(super) fn mistake_like(
        &self,
        at: Option<Range<usize>>,
        message: impl Into<String>,
        nearest: Option<String>,
    ) -> ScenarioError {
        let line = at.map(|range| {
            let before = self.text.as_bytes().get(..range.start).unwrap_or_default();
            1 + before.iter().filter(|&&byte| byte == b'\n').count()
        });
        let place = Place { file: self.file.to_owned(), line };
        ScenarioError::Mistake { place, message: message.into(), nearest }
    }

    /// Where `key` (with dots; elements of lists by their `name`) has its value.
    pub(super) fn place_of(&self, key: &str) -> Option<Range<usize>> {
        let document = DeTable::parse(self.text).ok()?;
        let mut table = document.get_ref();
        let mut steps = key.split('.');
        loop {
            let value = table.get(steps.next()?)?;
            let mut at = value.span();
            let mut inner = value.get_ref();
            if let DeValue::Array(elements) = inner
                && let Some(name) = steps.next()
            {
                let named = |element: &&Spanned<DeValue<'_>>| {
                    element.get_ref().get("name").and_then(|of| of.get_ref().as_str()) == Some(name)
                };
                let element = elements.iter().find(named)?;
                (at, inner) = (element.span(), element.get_ref());
            }
            match inner {
                DeValue::Table(deeper) if steps.clone().next().is_some() => table = deeper,
                _ => return steps.next().is_none().then_some(at),
            }
        }
    }

    /// What the TOML reader complained about, with the nearest key when it met an unknown one.
    pub(super) fn toml_mistake(&self, error: &toml::de::Error, at: Option<Range<usize>>) -> ScenarioError {
        // serde: "unknown field `servrs`, expected one of `servers`, `cells`"
        let message = error.message().trim();
        let mut quoted = message.split('`').skip(1).step_by(2);
        let unknown = message.starts_with("unknown").then(|| quoted.next()).flatten();
        let nearest = unknown.and_then(|unknown| nearest(unknown, quoted));
        let at = at.or_else(|| error.span());
        if message.starts_with("missing field") {
            let at = at.filter(|at| at.start > 0); // of the whole file no line is the one
            return self.mistake(at, format!("{message}: add it; {ALL_KEYS}"));
        }
        self.mistake_like(at, message, nearest)
    }
}
