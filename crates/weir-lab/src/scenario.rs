//! Scenarios: one TOML file says what a run does, which arms differ in what, and what must come out.
//!
//! Read by `weir run`; those shipped are embedded in the binary ([`shipped::SHIPPED`]), a path works as well. What is
//! written (`raw`) and what can be run ([`plan::Plan`]) are different types: a mistake is found before anything starts, and
//! is told with its line and the key that was probably meant.

mod error;
mod overrides;
mod parameters;
pub mod plan;
mod raw;
pub mod shipped;
mod validate;

use std::{collections::BTreeSet, fs, ops::Range, path::Path, time::Duration};

use toml::{Spanned, Table};
use weir_core::{nearest::nearest, units::Span};

pub use self::error::{Place, ScenarioError};
use self::{
    error::Source,
    overrides::Override,
    plan::{Act, Plan},
    raw::{RawArm, RawScenario},
    validate::Broken,
};
use crate::{
    series::{ArmRole, Bound, Expectations, Parameter},
    summary,
};

/// A checked scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// How many seconds of 2020 one second of the run stands for.
    pub time_scale: f64,
    /// Whether all arms run at the same time.
    pub arms_at_once: bool,
    /// Length of one sample window.
    pub window: Duration,
    /// The variants in the order of the file, the control last.
    pub arms: Vec<Arm>,
    /// The text that it was read from, kept with every result.
    pub text: String,
}

/// One arm of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// Its name.
    pub name: String,
    /// What is different here.
    pub description: String,
    /// A variant, or the negative control.
    pub role: ArmRole,
    /// What it does.
    pub plan: Plan,
    /// Its values, for the reader of a result.
    pub parameters: Vec<Parameter>,
}

impl Scenario {
    /// A shipped scenario by name, else a file by path.
    pub fn open(name: &str) -> Result<Self, ScenarioError> {
        if let Some(shipped) = shipped::SHIPPED.iter().find(|shipped| shipped.name == name) {
            return Self::parse(shipped.name, shipped.text);
        }
        let names = || shipped::SHIPPED.iter().map(|shipped| shipped.name);
        if !name.contains(['/', '.']) && !Path::new(name).exists() {
            return Err(ScenarioError::Unknown {
                name: name.to_owned(),
                shipped: names().collect::<Vec<_>>().join(", "),
                nearest: nearest(name, names()),
            });
        }
        let text =
            fs::read_to_string(name).map_err(|source| ScenarioError::Read { path: name.into(), source })?;
        Self::parse(name, &text)
    }

    /// Reads and checks a scenario; `file` is how mistakes name it.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let source = Source { file, text };
        let raw: RawScenario = toml::from_str(text).map_err(|error| source.toml_mistake(&error, None))?;
        let mut document: Table = toml::from_str(text).map_err(|error| source.toml_mistake(&error, None))?;
        // Tables that may be left out, yet an arm may set their keys.
        for (table, within) in [("alarm", None), ("health", None), ("tenants", Some("pins"))] {
            let empty = || toml::Value::Table(Table::new());
            let table = document.entry(table).or_insert_with(empty);
            if let (toml::Value::Table(table), Some(within)) = (table, within) {
                table.entry(within).or_insert_with(empty);
            }
        }
        let Some(control) = &raw.control else {
            let message = "a scenario without a negative control is refused: add [control] with what keeps the \
                           same growth harmless (\"envelope.threads_max\" 10 % higher)";
            return Err(source.mistake(None, message));
        };
        if raw.arms.is_empty() {
            return Err(source.mistake(None, "there are no arms: add one [[arms]] with a name at least"));
        }
        let reader = Reader { source, document: &document };
        let mut arms = Vec::new();
        for arm in &raw.arms {
            arms.push(reader.arm(arm, ArmRole::Variant)?);
        }
        arms.push(reader.arm(control, ArmRole::Control)?);
        let mut names = BTreeSet::new();
        for (arm, at) in arms.iter().zip(raw.arms.iter().chain([control]).map(Spanned::span)) {
            if !names.insert(arm.name.as_str()) {
                return Err(source.mistake(Some(at), format!("two arms are named {:?}", arm.name)));
            }
        }
        let RawScenario { name, description, time_scale, arms_at_once, window, .. } = raw;
        if !validate::is_name(&name) {
            let message = format!("name is {name:?}: a name is made of small letters, digits and dashes");
            return Err(source.mistake(None, message));
        }
        let (window, text) = (window.0, text.to_owned());
        Ok(Self { name, description, time_scale, arms_at_once, window, arms, text })
    }

    /// Keeps only the arms of these names (all when `names` is empty). The control is an arm like any other.
    pub fn keep(&mut self, names: &[String]) -> Result<(), ScenarioError> {
        let all = || self.arms.iter().map(|arm| arm.name.as_str());
        if let Some(unknown) = names.iter().find(|name| !all().any(|arm| arm == name.as_str())) {
            return Err(ScenarioError::UnknownArm {
                scenario: self.name.clone(),
                name: unknown.clone(),
                arms: all().collect::<Vec<_>>().join(", "),
                nearest: nearest(unknown, all()),
            });
        }
        if !names.is_empty() {
            self.arms.retain(|arm| names.contains(&arm.name));
        }
        Ok(())
    }

    /// Lets one second stand for `time_scale` seconds of 2020: all times of fleet and phases shrink or grow with it,
    /// paces the other way. The load on the fleet stays, and so do the times of health checks.
    pub fn rescale(&mut self, time_scale: f64) {
        let faster = time_scale / self.time_scale;
        let span = |span: &mut Span| span.0 = span.0.div_f64(faster).max(Duration::from_millis(10));
        for arm in &mut self.arms {
            let config = &mut arm.plan.fleet.config;
            span(&mut config.gossip_interval);
            span(&mut config.discovery_window);
            span(&mut config.map_ttl);
            span(&mut config.build_deadline);
            for phase in &mut arm.plan.phases {
                phase.duration = phase.duration.div_f64(faster);
                if let Act::Add { pace, .. } | Act::Remove { pace } | Act::Restart { pace, .. } =
                    &mut phase.act
                {
                    *pace *= faster;
                }
            }
        }
        self.time_scale = time_scale;
    }
}

/// The JSON Schema of scenarios, for editors (`weir schema`).
pub fn schema() -> String {
    let schema = schemars::schema_for!(RawScenario);
    serde_json::to_string_pretty(&schema).expect("a schema is JSON")
}

/// Reads arms out of one document.
struct Reader<'a> {
    source: Source<'a>,
    document: &'a Table,
}

impl Reader<'_> {
    fn arm(&self, arm: &Spanned<RawArm>, role: ArmRole) -> Result<Arm, ScenarioError> {
        let at = arm.span();
        let raw = arm.get_ref();
        let name = match (&raw.name, role) {
            (Some(name), _) => name.clone(),
            (None, ArmRole::Control) => "control".to_owned(),
            (None, ArmRole::Variant) => return Err(self.source.mistake(Some(at), "an arm needs a name")),
        };
        if !validate::is_name(&name) {
            let message = format!("{name:?}: a name is made of small letters, digits and dashes");
            return Err(self.source.mistake(Some(at), message));
        }
        let overrides = overrides::flatten(&raw.set);
        if role == ArmRole::Control && overrides.is_empty() {
            let message = "the control sets nothing otherwise: it would only repeat the scenario";
            return Err(self.source.mistake(Some(at), message));
        }
        let (document, read) = self.with(&overrides, &at)?;
        let plan = validate::plan(&read, raw.expect.clone())
            .map_err(|broken| self.told(broken, &name, arm.span(), &overrides))?;
        self.check_bounds(&plan, &name)?;
        let parameters = parameters::of_arm(&document, &plan);
        Ok(Arm { name, description: raw.description.clone(), role, plan, parameters })
    }

    /// A bound on a number that no summary has, or one without a limit, would be told only after the run.
    fn check_bounds(&self, plan: &Plan, arm: &str) -> Result<(), ScenarioError> {
        let numbers = summary::numbers(plan.consumers.iter().map(|c| (c.name.as_str(), c.service)));
        for Bound { metric, min, max } in &plan.expect.bounds {
            let written = format!("{metric:?}");
            let at = self.source.text.find(&written).map(|start| start..start + written.len());
            if !numbers.contains(metric) {
                let message = format!("arm {arm:?} expects something of {metric:?}, which no summary has");
                let nearest = nearest(metric, numbers.iter().map(String::as_str));
                return Err(self.source.mistake_like(at, message, nearest));
            }
            if min.is_none() && max.is_none() {
                let message = format!("arm {arm:?} expects nothing of {metric:?}: write min, max or both");
                return Err(self.source.mistake(at, message));
            }
        }
        Ok(())
    }

    /// A broken rule as a mistake: of the scenario, at the key's own line, where the scenario breaks it without the arm; else
    /// of the arm, at what the arm sets. (The places of an arm with overrides are those of a text that nobody wrote.)
    fn told(&self, broken: Broken, arm: &str, at: Range<usize>, overrides: &[Override]) -> ScenarioError {
        let whole = || {
            self.with(&[], &at).ok().and_then(|(_, raw)| validate::plan(&raw, Expectations::default()).err())
        };
        let own = if overrides.is_empty() { Some(broken.clone()) } else { whole() };
        if let Some(own) = own.filter(|own| own.message == broken.message) {
            let at = self.source.place_of(own.key()).or(own.at);
            return self.source.mistake_like(at, own.message, own.nearest);
        }
        let table = |key: &str| key.split('.').next().map(str::to_owned);
        let set = overrides.iter().find(|set| set.path == broken.key());
        let near = || overrides.iter().find(|set| table(&set.path) == table(broken.key()));
        let at = set.or_else(near).map_or(at, |set| set.at.clone());
        self.source.mistake_like(Some(at), format!("arm {arm:?}: {}", broken.message), broken.nearest)
    }

    /// The document with the overrides in it. They go in one by one, so that the one that does not fit is named.
    fn with(&self, overrides: &[Override], at: &Range<usize>) -> Result<(Table, RawScenario), ScenarioError> {
        if overrides.is_empty() {
            let raw =
                toml::from_str(self.source.text).map_err(|error| self.source.toml_mistake(&error, None))?;
            return Ok((self.document.clone(), raw));
        }
        let mut document = self.document.clone();
        let read = |document: &Table, at: Option<Range<usize>>| {
            let text = toml::to_string(document)
                .map_err(|error| self.source.mistake(at.clone(), error.to_string()))?;
            toml::from_str(&text).map_err(|error| self.source.toml_mistake(&error, at))
        };
        for Override { path, value, at } in overrides {
            overrides::apply(&mut document, path, value.clone()).map_err(|missing| {
                let message = format!("{path:?}: there is no {:?}", missing.key);
                self.source.mistake_like(Some(at.clone()), message, missing.nearest)
            })?;
            let _: RawScenario = read(&document, Some(at.clone()))?;
        }
        let raw = read(&document, Some(at.clone()))?;
        Ok((document, raw))
    }
}

#[cfg(test)]
mod tests;
