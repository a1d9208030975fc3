//! `floor`: the server of `weir_benches::floor`, with its stages as flags.
//!
//! Prints where it listens and serves until it is ended. It listens on loopback alone.
#![forbid(unsafe_code)]

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
};

use anyhow::bail;
use weir_benches::floor::{Stages, serve};

const USAGE: &str = "floor [--decode] [--hash] [--store FOLDER]";

fn main() -> anyhow::Result<()> {
    let mut stages = Stages::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--decode" => stages.decode = true,
            "--hash" => stages.hash = true,
            "--store" => match arguments.next() {
                Some(folder) => stages.store = Some(PathBuf::from(folder)),
                None => bail!("{USAGE}"),
            },
            _ => bail!("{USAGE}"),
        }
    }
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    writeln!(std::io::stdout(), "floor at http://{}", listener.local_addr()?)?;
    serve(&listener, &stages)
}
