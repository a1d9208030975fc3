//! Logs: to stderr, lowercase fragments with fields, `WEIR_LOG` chooses what (default `info`).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging. Called once, by `main`.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
