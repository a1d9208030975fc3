//! RabbitMQ streams: their binary protocol, as far as a producer of records needs it.
//!
//! A frame is a length (4), then key (2) and version (2), big-endian; a request has a number (4) behind that, its answer the
//! same number and a code (2), and the top bit of its key set. Texts are a length (2) and bytes, data a length (4) and bytes.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use anyhow::{Context, bail};

use super::{Heard, Protocol, STREAM};

const DECLARE_PUBLISHER: u16 = 1;
const PUBLISH: u16 = 2;
const PUBLISH_CONFIRM: u16 = 3;
const PUBLISH_ERROR: u16 = 4;
const CREATE: u16 = 13;
const METADATA_UPDATE: u16 = 16;
const PEER_PROPERTIES: u16 = 17;
const SASL_HANDSHAKE: u16 = 18;
const SASL_AUTHENTICATE: u16 = 19;
const TUNE: u16 = 20;
const OPEN: u16 = 21;
const HEARTBEAT: u16 = 23;

const OK: u16 = 1;
const STREAM_ALREADY_EXISTS: u16 = 5;

/// The largest frame that this client believes in.
const FRAME_BYTES_MAX: usize = 16 << 20;
/// The only publisher of a connection.
const PUBLISHER: u8 = 0;

/// One connection.
#[derive(Debug, Default)]
pub(super) struct RabbitMq {
    requests: u32,
}

impl RabbitMq {
    /// Asks, and reads frames until the answer is there; its code.
    fn call(&mut self, stream: &mut TcpStream, key: u16, body: &[u8]) -> anyhow::Result<u16> {
        self.requests += 1;
        let request = [&self.requests.to_be_bytes(), body].concat();
        stream.write_all(&frame(key, &request))?;
        loop {
            let answer = read_frame(stream)?;
            if u16_at(&answer, 0)? == key | 0x8000 {
                return u16_at(&answer, 8);
            }
        }
    }

    fn must(&mut self, stream: &mut TcpStream, key: u16, body: &[u8], or: u16) -> anyhow::Result<()> {
        let code = self.call(stream, key, body)?;
        if code != OK && code != or {
            bail!("RabbitMQ answers request {key} with code {code}");
        }
        Ok(())
    }
}

impl Protocol for RabbitMq {
    fn open(&mut self, stream: &mut TcpStream) -> anyhow::Result<()> {
        self.must(stream, PEER_PROPERTIES, &0_u32.to_be_bytes(), OK)?;
        self.must(stream, SASL_HANDSHAKE, &[], OK)?;
        let plain = b"\0guest\0guest";
        let length = u32::try_from(plain.len())?.to_be_bytes();
        self.must(stream, SASL_AUTHENTICATE, &[&text("PLAIN")[..], &length, plain].concat(), OK)?;
        // The server proposes bounds of frames and heartbeats; they are taken as they are.
        loop {
            let proposed = read_frame(stream)?;
            if u16_at(&proposed, 0)? == TUNE {
                stream.write_all(&frame(TUNE | 0x8000, &proposed[4..]))?;
                break;
            }
        }
        self.must(stream, OPEN, &text("/"), OK)?;
        let no_arguments = 0_u32.to_be_bytes();
        self.must(stream, CREATE, &[&text(STREAM)[..], &no_arguments].concat(), STREAM_ALREADY_EXISTS)?;
        let declared = [&[PUBLISHER][..], &text(""), &text(STREAM)].concat();
        self.must(stream, DECLARE_PUBLISHER, &declared, OK)
    }

    fn batch(&mut self, records: usize, record: &[u8]) -> Vec<u8> {
        let mut body = vec![PUBLISHER];
        body.extend_from_slice(&(records as u32).to_be_bytes());
        for id in 0..records as u64 {
            body.extend_from_slice(&id.to_be_bytes());
            // One section of data of AMQP 1.0, as every client of RabbitMQ writes it.
            body.extend_from_slice(&(record.len() as u32 + 8).to_be_bytes());
            body.extend_from_slice(&[0x00, 0x53, 0x75, 0xb0]);
            body.extend_from_slice(&(record.len() as u32).to_be_bytes());
            body.extend_from_slice(record);
        }
        frame(PUBLISH, &body)
    }

    fn answers(&mut self, bytes: &[u8]) -> anyhow::Result<(usize, Heard)> {
        let (mut taken, mut heard) = (0, Heard::default());
        while let Some(length) = bytes[taken..].first_chunk::<4>() {
            let whole = 4 + u32::from_be_bytes(*length) as usize;
            let Some(frame) = bytes.get(taken + 4..taken + whole) else { break };
            match u16_at(frame, 0)? & 0x7fff {
                // Publisher (1), a count (4), then one number (8) a record.
                PUBLISH_CONFIRM => heard.acknowledged += u32_at(frame, 5)? as usize,
                // The same, with a code (2) behind each number.
                PUBLISH_ERROR => {
                    let code = u16_at(frame, 9 + 8)?;
                    let said = format!("code {code}");
                    heard.refused.extend(std::iter::repeat_n(said, u32_at(frame, 5)? as usize));
                }
                HEARTBEAT => heard.reply.extend_from_slice(&self::frame(HEARTBEAT, &[])),
                METADATA_UPDATE => bail!("RabbitMQ moved the stream"),
                key => bail!("RabbitMQ sends frame {key}"),
            }
            taken += whole;
        }
        Ok((taken, heard))
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn frame(key: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32 + 4).to_be_bytes().to_vec();
    frame.extend_from_slice(&key.to_be_bytes());
    frame.extend_from_slice(&1_u16.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

/// A frame without its length.
fn read_frame(stream: &mut TcpStream) -> anyhow::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).context("an answer of RabbitMQ")?;
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        bail!("RabbitMQ sends a frame of {length} bytes");
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

fn u16_at(bytes: &[u8], at: usize) -> anyhow::Result<u16> {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    Ok(u16::from_be_bytes(*found.context("a frame that is too short")?))
}

fn u32_at(bytes: &[u8], at: usize) -> anyhow::Result<u32> {
    let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
    Ok(u32::from_be_bytes(*found.context("a frame that is too short")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmed_records_count_and_refused_ones_keep_their_code() {
        let numbers = [0_u64.to_be_bytes(), 1_u64.to_be_bytes()].concat();
        let confirmed = frame(PUBLISH_CONFIRM, &[&[PUBLISHER][..], &2_u32.to_be_bytes(), &numbers].concat());
        let refused = [&[PUBLISHER][..], &1_u32.to_be_bytes(), &numbers[..8], &18_u16.to_be_bytes()].concat();
        let bytes = [confirmed, frame(PUBLISH_ERROR, &refused), frame(HEARTBEAT, &[])].concat();
        let (taken, heard) = RabbitMq::default().answers(&bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(bytes.len() - taken, frame(HEARTBEAT, &[]).len(), "what is not whole stays");
        assert_eq!((heard.acknowledged, heard.refused), (2, vec!["code 18".to_owned()]));
    }

    #[test]
    fn a_batch_is_one_frame_that_holds_every_record() {
        let batch = RabbitMq::default().batch(3, b"abc");
        assert_eq!(u32_at(&batch, 0).unwrap() as usize, batch.len() - 4);
        assert_eq!(batch.windows(3).filter(|window| window == b"abc").count(), 3);
    }
}
