//! NATS JetStream: `PUB` with a subject for the reply, on which JetStream acknowledges each record.
//!
//! Replies arrive as `MSG` with a small JSON object: a sequence number, or an error.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use anyhow::{Context, bail};

use super::{Heard, Protocol, STREAM, line};

/// The code of "stream name already in use": another connection has made it.
const EXISTS: &str = "\"err_code\":10058";

/// One connection, with subjects for replies of its own.
#[derive(Debug)]
pub(super) struct Nats {
    connection: usize,
}

impl Nats {
    pub(super) fn new(connection: usize) -> Self {
        Self { connection }
    }
}

impl Protocol for Nats {
    fn open(&mut self, stream: &mut TcpStream) -> anyhow::Result<()> {
        let config = format!(
            r#"{{"name":"{STREAM}","subjects":["{STREAM}.d"],"storage":"file","retention":"limits","num_replicas":1,"discard":"old"}}"#
        );
        write!(
            stream,
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\"version\":\"1\",\"protocol\":1}}\r\n\
             SUB r.{0} 1\r\nPUB $JS.API.STREAM.CREATE.{STREAM} r.{0} {1}\r\n{config}\r\n",
            self.connection,
            config.len()
        )?;
        let mut bytes = Vec::new();
        loop {
            let mut piece = [0; 4096];
            let count = stream.read(&mut piece)?;
            if count == 0 {
                bail!("NATS closed the connection");
            }
            bytes.extend_from_slice(&piece[..count]);
            let (taken, heard) = self.answers(&bytes)?;
            bytes.drain(..taken);
            stream.write_all(&heard.reply)?;
            if let Some(refused) = heard.refused.iter().find(|refused| !refused.contains(EXISTS)) {
                bail!("NATS makes no stream: {refused}");
            }
            if heard.acknowledged + heard.refused.len() > 0 {
                return Ok(());
            }
        }
    }

    fn batch(&mut self, records: usize, record: &[u8]) -> Vec<u8> {
        let mut command = format!("PUB {STREAM}.d r.{} {}\r\n", self.connection, record.len()).into_bytes();
        command.extend_from_slice(record);
        command.extend_from_slice(b"\r\n");
        command.repeat(records)
    }

    fn answers(&mut self, bytes: &[u8]) -> anyhow::Result<(usize, Heard)> {
        let (mut taken, mut heard) = (0, Heard::default());
        while let Some((head, head_bytes)) = line(&bytes[taken..]) {
            let head = std::str::from_utf8(head).context("NATS speaks text")?;
            let mut whole = head_bytes;
            match head.split_whitespace().next() {
                Some("MSG") => {
                    let length = head.rsplit(' ').next().and_then(|word| word.parse::<usize>().ok());
                    whole += length.context("a message without a length")? + 2;
                    let Some(body) = bytes.get(taken + head_bytes..taken + whole - 2) else { break };
                    if bytes.len() < taken + whole {
                        break;
                    }
                    let body = String::from_utf8_lossy(body);
                    if body.contains("\"error\"") {
                        heard.refused.push(body.into_owned());
                    } else {
                        heard.acknowledged += 1;
                    }
                }
                Some("PING") => heard.reply.extend_from_slice(b"PONG\r\n"),
                Some("INFO" | "PONG" | "+OK") => {}
                _ => bail!("NATS says {head:?}"),
            }
            taken += whole;
        }
        Ok((taken, heard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_acknowledges_an_error_refuses_and_a_ping_is_answered() {
        let error = r#"{"error":{"code":503}}"#;
        let text =
            format!("INFO {{}}\r\nMSG r.0 1 9\r\n{{\"seq\":1}}\r\nMSG r.0 1 {}\r\n{error}\r\n", error.len());
        let bytes = [text.as_bytes(), b"PING\r\nMSG r.0 1 9\r\n{\"seq\":"].concat();
        let (taken, heard) = Nats::new(0).answers(&bytes).unwrap();
        assert!(bytes[taken..].starts_with(b"MSG"), "what is not whole stays");
        let refused = vec![error.to_owned()];
        assert_eq!(heard, Heard { acknowledged: 1, refused, reply: b"PONG\r\n".to_vec() });
    }
}
