//! The scenarios that the binary carries.
//!
//! Add one: put `scenarios/NAME.toml` beside the others, add a line here, and the tests below hold it to the rules.

/// A scenario inside the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// The one that runs when none is named.
pub const DEFAULT: &str = "kinesis-2020";

/// All of them, the default first.
pub const SHIPPED: [Shipped; 2] = [
    Shipped { name: DEFAULT, text: include_str!("../../scenarios/kinesis-2020.toml") },
    Shipped { name: "kinesis-2020-large", text: include_str!("../../scenarios/kinesis-2020-large.toml") },
];
