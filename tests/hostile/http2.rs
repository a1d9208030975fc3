//! Sieges over HTTP/2: its own floods, and windows that stay shut.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use serde_json::json;
use weir_tests::semantics::{says, says_same};

use crate::{
    arena::{Arena, Siege},
    frames::{
        CONTINUATION, END_HEADERS, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE,
        call, field, frame, frames, head, opening,
    },
};

/// What a client hears that asks too much (RFC 9113, 7).
const ENHANCE_YOUR_CALM: u32 = 11;
/// How long a flood that is held up waits before it looks whether it is over.
const GLANCE: Duration = Duration::from_millis(50);
/// Streams of one connection, as the server allows them.
const STREAMS: u32 = 128;

/// The reason of the GOAWAY in `answer`, if there is one.
fn reason(answer: &[u8]) -> Option<u32> {
    let (_, last) = frames(answer).into_iter().rfind(|(kind, _)| *kind == GOAWAY)?;
    Some(u32::from_be_bytes(last[4..8].try_into().unwrap()))
}

#[test]
fn who_opens_and_resets_without_end_is_told_to_calm_down() {
    says("opens and resets streams of HTTP/2 without end", "GOAWAY: ENHANCE_YOUR_CALM");
    says("a connection of HTTP/2", "floods of resets end it");
    let mut told = 0;
    Arena::open().besiege("rapid reset", |siege| {
        let mut burst = opening(65_535);
        for number in (1..2_000).step_by(2) {
            burst.extend(frame(HEADERS, END_HEADERS, number, &head("ListStreams")));
            burst.extend(frame(RST_STREAM, 0, number, &8_u32.to_be_bytes()));
        }
        siege.repeat(|| {
            let answer = siege.exchange([burst.as_slice()]);
            let reason = reason(&answer);
            assert!(matches!(reason, None | Some(ENHANCE_YOUR_CALM)), "{answer:?}");
            told += u32::from(reason.is_some()); // or a reset has overtaken it
        });
    });
    assert!(told > 0, "nobody was told why");
}

#[test]
fn a_head_without_an_end_is_ended_by_its_bound() {
    says("sends a head without an end in CONTINUATION frames", "GOAWAY, once it is over the bound");
    let mut told = 0;
    Arena::open().besiege("CONTINUATION flood", |siege| {
        let begin = [opening(65_535), frame(HEADERS, 0, 1, &head("ListStreams"))].concat();
        let more = frame(CONTINUATION, 0, 1, &field("x", &"y".repeat(1_000)));
        siege.repeat(|| {
            // 100 MB of it: were it taken, the exchange would wait for an answer in vain.
            let parts = [begin.as_slice()].into_iter().chain(std::iter::repeat_n(more.as_slice(), 100_000));
            let answer = siege.exchange(parts);
            told += u32::from(reason(&answer).is_some()); // or a reset has overtaken it
        });
    });
    assert!(told > 0, "nobody was told why");
}

#[test]
fn control_frames_in_floods_are_answered_or_not_but_never_kept() {
    says("floods PING, SETTINGS, WINDOW_UPDATE, PRIORITY", "then it is the others' turn");
    let mut arena = Arena::open();
    let ping = frame(PING, 0, 0, b"12345678");
    let settings = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let window = frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
    let priority = frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]);
    for (name, frame, reads) in [
        ("PING flood, answers read", &ping, true),
        ("PING flood, answers not read", &ping, false),
        ("SETTINGS flood, answers read", &settings, true),
        ("SETTINGS flood, answers not read", &settings, false),
        ("WINDOW_UPDATE flood", &window, true),
        ("PRIORITY flood", &priority, true),
    ] {
        let many = frame.repeat((64 << 10) / frame.len());
        arena.besiege(name, |siege| siege.repeat(|| flood(siege, &many, reads)));
    }
}

/// Sends `many` without a pause until the siege is over or the server ends the connection.
fn flood(siege: &Siege, many: &[u8], reads: bool) {
    let mut stream = siege.connect();
    stream.write_all(&opening(65_535)).unwrap();
    stream.set_write_timeout(Some(GLANCE)).unwrap();
    stream.set_read_timeout(Some(GLANCE)).unwrap();
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut reading = stream.try_clone().unwrap();
        let ended = &ended;
        if reads {
            scope.spawn(move || {
                let mut waste = vec![0; 64 << 10];
                while !ended.load(Ordering::Relaxed) && goes_on(reading.read(&mut waste)) {}
                ended.store(true, Ordering::Relaxed);
            });
        }
        while !siege.is_lifted() && !ended.load(Ordering::Relaxed) && goes_on(stream.write(many)) {
            siege.is_laid();
        }
        ended.store(true, Ordering::Relaxed);
    });
}

/// Whether the other side is still there. No room and nothing to read for a while is no end.
fn goes_on(outcome: std::io::Result<usize>) -> bool {
    match outcome {
        Ok(count) => count > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

#[test]
fn streams_whose_windows_stay_shut_hold_the_budget_for_answers_and_no_more() {
    says("a connection of HTTP/2", "carries 128 requests at once");
    says_same("One plain port speaks HTTP/1.1 and HTTP/2");
    let mut arena = Arena::open();
    let body = json!({"ShardIterator": arena.iterator()}).to_string();
    arena.besiege("windows of 0", |siege| {
        let mut asks = opening(0);
        for number in 0..STREAMS {
            asks.extend(call(2 * number + 1, "GetRecords", &body));
        }
        let mut shut = siege.connect();
        shut.write_all(&asks).unwrap();
        let heard = await_heads(&mut shut, STREAMS as usize);
        let settings = frames(&heard).into_iter().find(|(kind, _)| *kind == SETTINGS).unwrap().1;
        let most = [&[0, 3], STREAMS.to_be_bytes().as_slice()].concat(); // SETTINGS_MAX_CONCURRENT_STREAMS
        assert!(settings.chunks(6).any(|setting| setting == most), "{settings:?}");
        siege.hold();
    });
}

/// Reads until so many answers have begun; all that came.
fn await_heads(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut some = vec![0; 64 << 10];
    while frames(&heard).iter().filter(|(kind, _)| *kind == HEADERS).count() < count {
        let read = stream.read(&mut some).unwrap();
        assert!(read > 0, "closed after {} bytes", heard.len());
        heard.extend_from_slice(&some[..read]);
    }
    heard
}
