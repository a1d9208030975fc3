//! Redis Streams: `XADD` with an id that the server gives, one command a record, pipelined.
//!
//! An answer is a bulk string, the id; anything else is a refusal.

use std::net::TcpStream;

use super::{Heard, Protocol, STREAM, line};

/// A connection needs no log-in and a stream no making.
#[derive(Debug)]
pub(super) struct Redis;

impl Protocol for Redis {
    fn open(&mut self, _: &mut TcpStream) -> anyhow::Result<()> {
        Ok(())
    }

    fn batch(&mut self, records: usize, record: &[u8]) -> Vec<u8> {
        let mut command = format!("*5\r\n$4\r\nXADD\r\n${}\r\n{STREAM}\r\n", STREAM.len()).into_bytes();
        command.extend_from_slice(format!("$1\r\n*\r\n$1\r\nd\r\n${}\r\n", record.len()).as_bytes());
        command.extend_from_slice(record);
        command.extend_from_slice(b"\r\n");
        command.repeat(records)
    }

    fn answers(&mut self, bytes: &[u8]) -> anyhow::Result<(usize, Heard)> {
        let (mut taken, mut heard) = (0, Heard::default());
        while let Some((head, head_bytes)) = line(&bytes[taken..]) {
            let Some(length) = head.strip_prefix(b"$") else {
                heard.refused.push(String::from_utf8_lossy(head).into_owned());
                taken += head_bytes;
                continue;
            };
            let whole = head_bytes + std::str::from_utf8(length)?.parse::<usize>()? + 2;
            if bytes.len() < taken + whole {
                break;
            }
            heard.acknowledged += 1;
            taken += whole;
        }
        Ok((taken, heard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_acknowledgements_and_errors_are_refusals() {
        let bytes = b"$15\r\n1700000000000-0\r\n-OOM command not allowed\r\n$15\r\n17000000000";
        let (taken, heard) = Redis.answers(bytes).unwrap();
        assert_eq!(&bytes[taken..], b"$15\r\n17000000000", "what is not whole stays");
        assert_eq!((heard.acknowledged, heard.refused), (1, vec!["-OOM command not allowed".to_owned()]));
    }
}
