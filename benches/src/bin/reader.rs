//! `reader`: the readers of `weir_benches::reader`, with their load as flags. Prints one JSON object.
#![forbid(unsafe_code)]

use std::{io::Write, time::Duration};

use anyhow::{Context, bail};
use weir_benches::reader::{CatchUp, Follow, catch_up, follow};

const USAGE: &str = "reader catch-up|poll|push ADDRESS [--stream NAME] [--shards N] [--readers N] [--rate N] [--consumers N] \
                     [--record-size BYTES] [--seconds S]";

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let way = arguments.next().context(USAGE)?;
    let address = arguments.next().context(USAGE)?.parse().context(USAGE)?;
    let (mut stream, mut shards, mut readers, mut consumers) = ("s".to_owned(), 4, 8, 1);
    let (mut rate, mut record_bytes, mut seconds) = (20_000, 1024, 3);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().context(USAGE)?;
        match flag.as_str() {
            "--stream" => stream = value,
            "--shards" => shards = value.parse().context(USAGE)?,
            "--readers" => readers = value.parse().context(USAGE)?,
            "--consumers" => consumers = value.parse().context(USAGE)?,
            "--rate" => rate = value.parse().context(USAGE)?,
            "--record-size" => record_bytes = value.parse().context(USAGE)?,
            "--seconds" => seconds = value.parse().context(USAGE)?,
            _ => bail!("{USAGE}"),
        }
    }
    let duration = Duration::from_secs(seconds);
    let report = match way.as_str() {
        "catch-up" => catch_up(&CatchUp { address, stream, shards, readers, record_bytes, duration })?,
        "poll" | "push" => {
            let push = way == "push";
            follow(&Follow { address, stream, shards, push, consumers, rate, record_bytes, duration })?
        }
        _ => bail!("{USAGE}"),
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    Ok(())
}
