//! How Redis, NATS and RabbitMQ are started: on loopback, with their data in a folder of the run's own.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::Context;

use super::Running;

/// Redis with an append-only file, synced before each answer or once a second.
pub(super) fn redis(program: &Path, folder: &Path, at: SocketAddr, always: bool) -> anyhow::Result<Running> {
    let mut command = Command::new(program);
    command
        .args(["--bind", "127.0.0.1", "--port", &at.port().to_string(), "--save", "", "--dir"])
        .arg(folder);
    command.args(["--appendonly", "yes", "--appendfsync", if always { "always" } else { "everysec" }]);
    Running::listening(command, at)
}

/// NATS with JetStream, synced before each acknowledgement or every two minutes.
pub(super) fn nats(program: &Path, folder: &Path, at: SocketAddr, always: bool) -> anyhow::Result<Running> {
    let sync = if always { "sync_interval: always" } else { "" };
    let folder_text = folder.display();
    let config = format!(
        "host: 127.0.0.1\nport: {}\njetstream {{\n  store_dir: \"{folder_text}\"\n  {sync}\n}}\n",
        at.port()
    );
    let file = folder.join("nats.conf");
    fs::write(&file, config).context("write the settings of NATS")?;
    let mut command = Command::new(program);
    command.arg("--config").arg(file);
    Running::listening(command, at)
}

/// RabbitMQ with its plug-in for streams. It runs as whoever runs the suite, with a name daemon of its own.
pub(super) fn rabbitmq(
    program: &Path,
    folder: &Path,
    at: SocketAddr,
    free: &[u16],
) -> anyhow::Result<Running> {
    let [daemon, between_nodes, queues] = free else { anyhow::bail!("three ports are needed") };
    fs::write(folder.join("plugins"), "[rabbitmq_stream].\n")?;
    let config =
        format!("listeners.tcp.1 = 127.0.0.1:{queues}\nstream.listeners.tcp.1 = 127.0.0.1:{}\n", at.port());
    fs::write(folder.join("rabbitmq.conf"), config)?;
    let mut command = Command::new(program);
    command.env("HOME", folder).env("RABBITMQ_NODENAME", "bench@localhost");
    command
        .env("RABBITMQ_CONF_ENV_FILE", folder.join("none"))
        .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq"));
    command.env("RABBITMQ_MNESIA_BASE", folder.join("data")).env("RABBITMQ_LOG_BASE", folder.join("log"));
    command
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
        .env("RABBITMQ_PID_FILE", folder.join("pid"));
    command.env("RABBITMQ_DIST_PORT", between_nodes.to_string());
    command.env("ERL_EPMD_PORT", daemon.to_string()).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    let mut end_daemon = Command::new("epmd");
    end_daemon.arg("-kill").env("ERL_EPMD_PORT", daemon.to_string());
    Ok(Running::listening(command, at)?.behind_it(end_daemon))
}
