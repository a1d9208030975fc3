//! Real SDKs from Python, in the environment that `cargo xtask test` prepares.

use std::{path::Path, process::Command, time::Duration};

use crate::{prepared, process::output};

/// How long one script may take, on a loaded machine.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(240);

/// Runs `tests/python/SCRIPT` with arguments; panics with its output when it fails.
pub fn run(script: &str, arguments: &[&str]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(script);
    let mut command = Command::new(prepared("WEIR_PYTHON"));
    with_dummy_credentials(command.arg(&path).args(arguments));
    let ended = output(&mut command, SCRIPT_TIMEOUT);
    assert!(
        ended.status.success(),
        "{script}: {}\n{}{}",
        ended.status,
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// The AWS command line of the same environment: `aws kinesis …` against `url`.
pub fn aws_kinesis(url: &str) -> Command {
    let program = prepared("WEIR_PYTHON").with_file_name("aws");
    let mut command = Command::new(program);
    with_dummy_credentials(command.args(["kinesis", "--endpoint-url", url, "--output", "json"]));
    command
}

fn with_dummy_credentials(command: &mut Command) {
    command
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
}
