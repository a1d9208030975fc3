//! Which events go where: a pattern over source and kind, as pure as it can be.

use std::{fmt, str::FromStr};

use super::Event;

/// A pattern and the target behind it. An empty list lets everything through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, and its target's.
    pub name: String,
    /// Sources that it wants.
    pub sources: Vec<String>,
    /// Kinds of events that it wants.
    pub kinds: Vec<String>,
}

/// Text that is no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no rule: write NAME or NAME:source=A|B,kind=C")]
pub struct RuleError(String);

impl Rule {
    pub(super) fn wants(&self, event: &Event) -> bool {
        let among = |wanted: &[String], is: &str| wanted.is_empty() || wanted.iter().any(|one| one == is);
        among(&self.sources, &event.source) && among(&self.kinds, &event.kind)
    }
}

impl FromStr for Rule {
    type Err = RuleError;
    fn from_str(text: &str) -> Result<Self, RuleError> {
        let error = || RuleError(text.to_owned());
        let (name, pattern) = text.split_once(':').unwrap_or((text, ""));
        if name.is_empty() {
            return Err(error());
        }
        let mut rule = Self { name: name.to_owned(), sources: Vec::new(), kinds: Vec::new() };
        for part in pattern.split(',').filter(|part| !part.is_empty()) {
            let (field, values) = part.split_once('=').ok_or_else(error)?;
            let values: Vec<String> = values.split('|').map(str::to_owned).collect();
            if values.iter().any(String::is_empty) {
                return Err(error());
            }
            match field {
                "source" => rule.sources = values,
                "kind" => rule.kinds = values,
                _ => return Err(error()),
            }
        }
        Ok(rule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let mut before = ':';
        for (field, values) in [("source", &self.sources), ("kind", &self.kinds)] {
            if !values.is_empty() {
                write!(f, "{before}{field}={}", values.join("|"))?;
                before = ',';
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(source: &str, kind: &str) -> Event {
        Event { source: source.into(), kind: kind.into(), time_ms: None, detail: None }
    }

    #[test]
    fn a_rule_wants_what_all_its_lists_let_through() {
        let rule: Rule = "tasks:source=a|b,kind=stopped".parse().unwrap();
        assert!(rule.wants(&event("b", "stopped")));
        assert!(!rule.wants(&event("c", "stopped")));
        assert!(!rule.wants(&event("a", "started")));
        assert!("everything".parse::<Rule>().unwrap().wants(&event("", "")));
    }

    #[test]
    fn a_rule_reads_back_what_it_prints_and_says_how_to_write_one() {
        for text in ["all", "a:source=x", "a:kind=y|z", "a:source=x,kind=y"] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        for text in ["", ":source=a", "a:source", "a:source=", "a:detail=x", "a:kind=x|"] {
            assert!(text.parse::<Rule>().unwrap_err().to_string().contains("NAME:source"), "{text}");
        }
    }
}
