//! Real clients, in the environments that `cargo xtask prepare` makes.
//!
//! Each function gives the command that runs one client's program of this package, with credentials that any Weir
//! without configured ones takes. What a client is told besides (an endpoint, a region) its own program says.

use std::{path::Path, process::Command, time::Duration};

use crate::{prepared, process::output};

/// How long one program may take, on a loaded machine.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(240);

/// `tests/python/SCRIPT` in the environment of boto3.
pub fn python(script: &str) -> Command {
    program(prepared("WEIR_PYTHON"), "python", script)
}

/// `tests/python/SCRIPT` in the environment of async-kinesis.
pub fn python_async(script: &str) -> Command {
    program(prepared("WEIR_PYTHON_ASYNC"), "python", script)
}

/// `tests/node/SCRIPT`, which finds the packages of `tests/node/package.json`.
pub fn node(script: &str) -> Command {
    let mut command = program("node", "node", script);
    command.env("NODE_PATH", prepared("WEIR_NODE_MODULES"));
    command
}

/// `tests/java/PROGRAM`, compiled as it starts, with the jars of the Java SDK and of the KCL.
pub fn java(file: &str) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(jars()).arg(source("java", file));
    with_credentials(command)
}

/// The KCL's daemon, which hands records to a program in another language.
pub fn multilang_daemon(properties: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(jars()).arg("software.amazon.kinesis.multilang.MultiLangDaemon");
    command.arg("--properties-file").arg(properties);
    with_credentials(command)
}

/// The program of `tests/rust`.
pub fn rust() -> Command {
    with_credentials(Command::new(prepared("WEIR_RUST_CLIENT")))
}

/// The AWS command line: `aws kinesis …` against `url`.
pub fn aws_kinesis(url: &str) -> Command {
    let mut command = Command::new(prepared("WEIR_PYTHON").with_file_name("aws"));
    command.args(["kinesis", "--endpoint-url", url, "--output", "json"]);
    with_credentials(command)
}

/// Runs a program to its end; what it wrote to standard output. Panics with all its output when it fails.
pub fn run(command: &mut Command) -> String {
    let ended = output(command, PROGRAM_TIMEOUT);
    assert!(
        ended.status.success(),
        "{command:?}: {}\n{}{}",
        ended.status,
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

/// The file of a program in `tests/LANGUAGE`.
pub fn source(language: &str, file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(language).join(file)
}

fn program(interpreter: impl AsRef<std::ffi::OsStr>, language: &str, script: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(source(language, script));
    with_credentials(command)
}

fn jars() -> std::path::PathBuf {
    prepared("WEIR_KCL_JARS").join("*")
}

/// Credentials that name no account, and none of the machine's own settings.
fn with_credentials(mut command: Command) -> Command {
    command
        .env("AWS_ACCESS_KEY_ID", "any")
        .env("AWS_SECRET_ACCESS_KEY", "any")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}
