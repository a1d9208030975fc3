//! Sieges over HTTP/1.1.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use serde_json::json;
use weir_tests::{http::ANY_SIGNATURE, semantics::says};

use crate::arena::{Arena, Siege, connections_max};

const MIB: usize = 1 << 20;
/// For so long an idle connection of either protocol is not closed: the shorter of the two times is twenty seconds.
const KEPT: Duration = Duration::from_secs(15);

/// A head with `more` lines, each with its end.
fn head(operation: &str, more: &str) -> Vec<u8> {
    format!(
        "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.{operation}\r\n\
         content-type: application/x-amz-json-1.1\r\nx-amz-date: 20201125T024400Z\r\n\
         authorization: {ANY_SIGNATURE}\r\n{more}\r\n"
    )
    .into_bytes()
}

fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

#[test]
fn bodies_cut_short_end_their_connection() {
    says("cuts its body short, sends broken chunks", "`SerializationException` (400), or a close");
    Arena::open().besiege("bodies cut short", |siege| {
        let short = [head("PutRecord", "content-length: 100\r\n"), b"{\"Stream".to_vec()].concat();
        siege.repeat(|| {
            let mut stream = siege.connect();
            stream.write_all(&short).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(matches!(status(&answer), None | Some(400)), "{}", String::from_utf8_lossy(&answer));
        });
    });
}

#[test]
fn bodies_of_40_mb_are_too_large() {
    says("sends a body over 18 MiB", "413");
    Arena::open().besiege("bodies of 40 MB", |siege| {
        let announced = head("PutRecord", &format!("content-length: {}\r\n", 40 * MIB));
        let chunked = head("PutRecord", "transfer-encoding: chunked\r\n");
        let (piece, chunk) =
            (vec![b'x'; MIB], [b"100000\r\n".to_vec(), vec![b'x'; MIB], b"\r\n".to_vec()].concat());
        siege.repeat(|| {
            for (head, part) in [(&announced, &piece), (&chunked, &chunk)] {
                let parts = [head.as_slice()].into_iter().chain(std::iter::repeat_n(part.as_slice(), 40));
                let answer = siege.exchange(parts.chain([b"0\r\n\r\n".as_slice()]));
                assert_eq!(status(&answer), Some(413), "{}", String::from_utf8_lossy(&answer));
            }
        });
    });
}

#[test]
fn heads_of_64_kib_are_too_large() {
    says("sends a head over 32 KiB or 100 lines (HTTP/2: 32 KiB)", "431");
    Arena::open().besiege("heads of 64 KiB", |siege| {
        let one = head("PutRecord", &format!("x-large: {}\r\n", "x".repeat(64 << 10)));
        let many = head("PutRecord", &"x-many: x\r\n".repeat((64 << 10) / 11));
        siege.repeat(|| {
            for head in [&one, &many] {
                let answer = siege.exchange([head.as_slice()]);
                assert_eq!(status(&answer), Some(431), "{}", String::from_utf8_lossy(&answer));
            }
        });
    });
}

#[test]
fn heads_that_never_end_hold_the_budget_for_heads_and_no_more() {
    says("sends many heads at once that are long and have no end", "a close, when all heads");
    Arena::open().besiege("10,000 long heads without an end", |siege| {
        let count = connections_max().min(10_000);
        let whole = head("PutRecord", &format!("x-long: {}\r\n", "x".repeat(31 << 10)));
        let begun = &whole[..whole.len() - 4];
        let held: Vec<TcpStream> = (0..count)
            .map(|_| {
                let mut stream = siege.connect();
                let _ = stream.write_all(begun); // or the server has closed it already
                stream
            })
            .collect();
        assert!(
            count > 6_000,
            "this host allows {count} connections: raise its limit of open files (ulimit -n)"
        );
        siege.hold();
        let closed = |stream: &&TcpStream| {
            stream.set_nonblocking(true).unwrap();
            !matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
        };
        assert!(held.iter().any(|stream| closed(&stream)), "{count} heads are over the budget");
    });
}

#[test]
fn broken_chunks_are_no_body() {
    Arena::open().besiege("broken chunks", |siege| {
        let head = head("PutRecord", "transfer-encoding: chunked\r\n");
        siege.repeat(|| {
            for chunks in [
                "zz\r\nhello\r\n",
                "fffffffffffffffff\r\nhello",
                "-5\r\nhello\r\n",
                "5\r\nhello!!\r\n0\r\n\r\n",
            ] {
                let answer = siege.exchange([head.as_slice(), chunks.as_bytes()]);
                assert_eq!(status(&answer), Some(400), "{chunks:?}: {}", String::from_utf8_lossy(&answer));
            }
        });
    });
}

#[test]
fn sixty_clients_that_stall_in_their_bodies_hold_what_they_sent() {
    Arena::open().besiege("60 stalled clients", |siege| {
        let head = head("PutRecord", &format!("content-length: {}\r\n", 15 * MIB));
        let some = vec![b' '; MIB];
        let stalled: Vec<TcpStream> = (0..60)
            .map(|_| {
                let mut stream = siege.connect();
                stream.write_all(&head).unwrap();
                stream.write_all(&some).unwrap();
                stream
            })
            .collect();
        siege.hold();
        drop(stalled);
    });
}

#[test]
fn clients_that_never_read_hold_the_budget_for_answers_and_no_more() {
    says("many large answers at once that nobody reads", "then `ServiceUnavailable`");
    let mut arena = Arena::open();
    let body = json!({"ShardIterator": arena.iterator()}).to_string();
    arena.besiege("120 clients that never read", |siege| {
        let ask =
            [head("GetRecords", &format!("content-length: {}\r\n", body.len())), body.into_bytes()].concat();
        let mut deaf: Vec<TcpStream> = (0..120).map(|_| siege.connect()).collect();
        let mut heard = [0; 12];
        for stream in &mut deaf {
            stream.write_all(&ask).unwrap();
        }
        let statuses = deaf.iter_mut().map(|stream| {
            stream.read_exact(&mut heard).unwrap(); // and never again
            status(&heard).unwrap()
        });
        let statuses: Vec<u16> = statuses.collect();
        assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
        assert!(
            statuses.contains(&200) && statuses.contains(&503),
            "more than the budget was asked for: {statuses:?}"
        );
        siege.hold();
        drop(deaf);
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a client has no clock but its own")]
fn ten_thousand_idle_connections_are_kept_beside_the_others() {
    says("opens connections and is silent", "are served at once");
    Arena::open().besiege("10,000 idle connections", |siege| {
        let count = connections_max().min(10_000);
        let opening = crate::frames::opening(0);
        let idle: Vec<(Instant, TcpStream)> =
            (0..count).map(|number| (Instant::now(), idle(siege, number, &opening))).collect();
        assert!(
            count == 10_000,
            "this host allows {count} connections: raise its limit of open files (ulimit -n)"
        );
        siege.hold();
        // A server that shut them would have nobody to keep.
        let mut young = idle.into_iter().rev().take_while(|(since, _)| since.elapsed() < KEPT).peekable();
        assert!(young.peek().is_some(), "the last of them came too long ago");
        young.for_each(|(_, mut stream)| assert_open(&mut stream));
    });
}

#[test]
fn handshakes_that_are_never_finished_and_those_that_are_none_hold_nobody_up() {
    Arena::open().besiege("500 unfinished TLS handshakes", |siege| {
        let begun = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3], [7; 32].as_slice()].concat(); // a hello breaks off
        let unfinished: Vec<TcpStream> = (0..500)
            .map(|number| {
                let mut stream = siege.connect_securely();
                stream.write_all(&begun[..begun.len() * (number % 3) / 2]).unwrap();
                stream
            })
            .collect();
        siege.repeat(|| {
            let mut stream = siege.connect_securely();
            stream.write_all(b"POST / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer); // an alert and an end, or a reset
            assert!(answer.len() < 16 && status(&answer).is_none(), "{}", String::from_utf8_lossy(&answer));
        });
        drop(unfinished);
    });
}

/// Reads what there is of an answer, and finds neither an end nor a reset behind it.
fn assert_open(stream: &mut TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let mut some = [0; 4_096];
    loop {
        match stream.read(&mut some) {
            Ok(read) => assert!(read > 0, "it was closed"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A third says nothing, a third has asked for something once, a third speaks HTTP/2.
fn idle(siege: &Siege, number: usize, opening: &[u8]) -> TcpStream {
    let mut stream = siege.connect();
    let mut heard = [0; 9];
    match number % 3 {
        0 => {}
        1 => {
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
            stream.read_exact(&mut heard).unwrap();
        }
        _ => {
            stream.write_all(opening).unwrap();
            stream.read_exact(&mut heard).unwrap();
        }
    }
    stream
}
