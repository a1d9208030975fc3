//! Sets keys of a scenario otherwise, as an arm asks: `"fleet.cells" = 4`, `"phases.add-capacity.servers" = 20`.
//!
//! A path names tables by key and list elements by their `name`. Whether the last key exists, and whether its value fits, is
//! the reader's to judge: it reads the result like any other scenario.

use std::{collections::BTreeMap, ops::Range};

use toml::{Spanned, Table, Value};
use weir_core::nearest::nearest;

/// One key set otherwise.
#[derive(Debug, Clone)]
pub(super) struct Override {
    /// The key, with dots.
    pub(super) path: String,
    /// Its value in the arm.
    pub(super) value: Value,
    /// Where the arm says so.
    pub(super) at: Range<usize>,
}

/// A path that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoSuchKey {
    /// The part that is not there.
    pub(super) key: String,
    /// What is there that looks like it.
    pub(super) nearest: Option<String>,
}

/// The overrides of an arm; tables are taken apart, so that `fleet.cells = 4` means the same as `"fleet.cells" = 4`.
pub(super) fn flatten(set: &BTreeMap<String, Spanned<Value>>) -> Vec<Override> {
    fn walk(path: String, value: &Value, at: &Range<usize>, into: &mut Vec<Override>) {
        match value {
            Value::Table(table) => {
                for (key, value) in table {
                    walk(format!("{path}.{key}"), value, at, into);
                }
            }
            value => into.push(Override { path, value: value.clone(), at: at.clone() }),
        }
    }
    let mut flat = Vec::new();
    for (key, value) in set {
        walk(key.clone(), value.get_ref(), &value.span(), &mut flat);
    }
    flat
}

/// Sets one key of `document`.
pub(super) fn apply(document: &mut Table, path: &str, value: Value) -> Result<(), NoSuchKey> {
    let (tables, last) = path.rsplit_once('.').map_or((None, path), |(tables, last)| (Some(tables), last));
    let mut table = document;
    let mut steps = tables.into_iter().flat_map(|tables| tables.split('.'));
    while let Some(step) = steps.next() {
        let missing =
            |keys: Vec<&str>| NoSuchKey { key: step.to_owned(), nearest: nearest(step, keys.into_iter()) };
        let keys: Vec<String> = table.keys().cloned().collect();
        table = match table.get_mut(step) {
            Some(Value::Table(inner)) => inner,
            Some(Value::Array(elements)) => {
                let name = steps.next().unwrap_or(last);
                let names: Vec<String> = elements.iter().filter_map(name_of).map(str::to_owned).collect();
                let found = elements.iter_mut().find(|element| name_of(element) == Some(name));
                match found {
                    Some(Value::Table(inner)) => inner,
                    _ => {
                        let nearest = nearest(name, names.iter().map(String::as_str));
                        return Err(NoSuchKey { key: name.to_owned(), nearest });
                    }
                }
            }
            _ => return Err(missing(keys.iter().map(String::as_str).collect())),
        };
    }
    table.insert(last.to_owned(), value);
    Ok(())
}

fn name_of(element: &Value) -> Option<&str> {
    element.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Table {
        "[fleet]\ncells = 1\n[[phases]]\nname = \"add\"\nservers = 3\n[[phases]]\nname = \"wait\"\n"
            .parse()
            .unwrap()
    }

    #[test]
    fn a_key_is_set_in_a_table_and_in_the_named_element_of_a_list() {
        let mut changed = document();
        apply(&mut changed, "fleet.cells", Value::Integer(4)).unwrap();
        apply(&mut changed, "phases.add.servers", Value::Integer(9)).unwrap();
        apply(&mut changed, "time_scale", Value::Float(2.0)).unwrap();
        assert_eq!(changed["fleet"]["cells"].as_integer(), Some(4));
        assert_eq!(changed["phases"][0]["servers"].as_integer(), Some(9));
        assert!(changed["phases"][1].get("servers").is_none());
        assert_eq!(changed["time_scale"].as_float(), Some(2.0));
    }

    #[test]
    fn a_path_that_leads_nowhere_names_the_step_and_its_neighbour() {
        let mut changed = document();
        let error = apply(&mut changed, "flet.cells", Value::Integer(4)).unwrap_err();
        assert_eq!((error.key.as_str(), error.nearest.as_deref()), ("flet", Some("fleet")));
        let error = apply(&mut changed, "phases.ad.servers", Value::Integer(4)).unwrap_err();
        assert_eq!((error.key.as_str(), error.nearest.as_deref()), ("ad", Some("add")));
        assert_eq!(changed, document());
    }
}
