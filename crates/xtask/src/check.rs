//! Format, lints and documentation: what needs no test to run.

use crate::{
    cargo::{self, cargo},
    tally::Tally,
};

/// The steps, one after another; a failure does not stop the next.
pub(crate) fn run(tally: &mut Tally) {
    tally.step("Format", |_| {
        cargo::run(cargo(&["fmt", "--all", "--check"]))?;
        for own in ["tests/rust/Cargo.toml", "tests/fuzz/Cargo.toml"] {
            cargo::run(cargo(&["fmt", "--check", "--manifest-path", own]))?; // workspaces of their own
        }
        Ok(())
    });
    tally.step("Lints", |_| {
        cargo::run(cargo(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    });
    tally.step("Documentation", |_| {
        let mut doc = cargo(&["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"]);
        doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links");
        cargo::run(doc)
    });
}
