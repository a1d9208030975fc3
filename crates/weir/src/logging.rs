//! Logs: to stderr, lowercase fragments with fields, `WEIR_LOG` chooses what (default `info`).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use weir_lab::run::Screen;

/// What is logged unless `WEIR_LOG` says otherwise. The HTTP/2 library warns of each client that it turns away: a flood of
/// those must not become a flood of lines.
const DEFAULT: &str = "info,h2=error";

/// Starts logging, and returns the stderr that a command must share with it when it draws there. Called once, by `main`.
pub(crate) fn start() -> Screen {
    let screen = Screen::default();
    let writer = screen.clone();
    let filter = EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || writer.clone())
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false) // it would panic where stderr takes nothing; a server outlives its log
        .init();
    screen
}
