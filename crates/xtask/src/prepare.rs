//! What the tests need besides Rust: Kinesis clients, a browser, a second user.
//!
//! Called by `cargo xtask test` before the first test, and alone by `cargo xtask prepare`. What can be installed is;
//! what cannot fails with the exact command to run. Nothing here is needed to use Weir.

mod clients;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

use crate::cargo::run;

/// The user that the "without root" tests run as when the tests run as root.
const ORDINARY_USER: &str = "weir-test";

/// Names under which distributions install a Chromium that runs headless.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A variable that the tests read, and what it names, or why that could not be made.
pub(crate) type Setting = (&'static str, anyhow::Result<PathBuf>);

/// Installs everything; the settings under which the tests find it. What fails does not stop the rest.
pub(crate) fn settings() -> Vec<Setting> {
    let mut settings = clients::settings();
    settings.push(("WEIR_BROWSER", browser()));
    settings.extend(ordinary_user().transpose().map(|user| ("WEIR_ORDINARY_USER", user.map(PathBuf::from))));
    settings
}

/// The Kinesis emulators of npm that the benches stand Weir beside; their `node_modules`.
pub(crate) fn emulators() -> anyhow::Result<PathBuf> {
    clients::emulators()
}

/// A Python with the clients, and with moto.
pub(crate) fn python() -> anyhow::Result<PathBuf> {
    clients::python()
}

/// NATS, from PyPI: the one of distributions is too old to sync before it acknowledges.
pub(crate) fn nats() -> anyhow::Result<PathBuf> {
    clients::nats()
}

/// A program that the benches take from the distribution.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Program {
    Redis,
    RabbitMq,
    Wrk,
}

/// Where a program is; it is installed when it is not there and can be.
pub(crate) fn program(program: Program) -> anyhow::Result<PathBuf> {
    let (package, name) = match program {
        Program::Redis => ("redis-server", "redis-server"),
        // The one on the PATH changes the user; this one runs as whoever calls it.
        Program::RabbitMq => ("rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server"),
        Program::Wrk => ("wrk", "wrk"),
    };
    if let Some(found) = on_path(name) {
        return Ok(found);
    }
    install(&[package])?;
    on_path(name).with_context(|| format!("{package} was installed but {name} is not there"))
}

/// A browser that opens the report as a reader would.
fn browser() -> anyhow::Result<PathBuf> {
    if let Some(found) = BROWSERS.iter().find_map(|name| on_path(name)) {
        return Ok(found);
    }
    install(&["chromium"])?;
    BROWSERS.iter().find_map(|name| on_path(name)).context("chromium was installed but is not on the PATH")
}

/// A user without root. `None` when the tests run without root already.
fn ordinary_user() -> anyhow::Result<Option<String>> {
    if !is_root()? {
        return Ok(None);
    }
    if !succeeds(Command::new("id").arg(ORDINARY_USER)) {
        let mut add = Command::new("useradd");
        add.args(["--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ORDINARY_USER]);
        run(add).with_context(|| format!("by hand: useradd --system --no-create-home {ORDINARY_USER}"))?;
    }
    Ok(Some(ORDINARY_USER.to_owned()))
}

fn is_root() -> anyhow::Result<bool> {
    let id = Command::new("id").arg("-u").output().context("run id -u")?;
    Ok(id.stdout.trim_ascii() == b"0")
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    let by_hand =
        format!("apt-get update && apt-get install -y --no-install-recommends {}", packages.join(" "));
    if on_path("apt-get").is_none() || !is_root()? {
        bail!("{} is missing; run as root: {by_hand}", packages.join(", "));
    }
    eprintln!("installing {}", packages.join(", "));
    let mut update = Command::new("apt-get");
    update.args(["update", "-qq"]).stdout(Stdio::null());
    run(update)?;
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
    run(apt).with_context(|| format!("by hand, as root: {by_hand}"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| Path::is_file(file))
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
