//! `peer-load`: the client of `weir_benches::peer`, with its load as flags. Prints one JSON object.
#![forbid(unsafe_code)]

use std::{io::Write, time::Duration};

use anyhow::{Context, bail};
use weir_benches::peer::{Broker, PeerLoad, run};

const USAGE: &str =
    "peer-load redis|nats|rabbitmq ADDRESS [--connections N] [--batch N] [--record-size BYTES] [--seconds S]";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let broker = match arguments.next().as_deref() {
        Some("redis") => Broker::Redis,
        Some("nats") => Broker::Nats,
        Some("rabbitmq") => Broker::RabbitMq,
        _ => bail!("{USAGE}"),
    };
    let address = arguments.next().context(USAGE)?.parse().context(USAGE)?;
    let mut load = PeerLoad {
        address,
        connections: 8,
        batch: 500,
        record_bytes: 1024,
        duration: Duration::from_secs(3),
    };
    while let Some(flag) = arguments.next() {
        let value: usize = arguments.next().context(USAGE)?.parse().context(USAGE)?;
        match flag.as_str() {
            "--connections" => load.connections = value,
            "--batch" => load.batch = value,
            "--record-size" => load.record_bytes = value,
            "--seconds" => load.duration = Duration::from_secs(value as u64),
            _ => bail!("{USAGE}"),
        }
    }
    let report = run(broker, &load)?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    Ok(())
}
