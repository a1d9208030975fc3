//! Latencies as lines of an HDR interval log (the format of HdrHistogram's own tools), one for each operation and
//! tenant of a window.
//!
//! Used by the result folder only. The tag is `operation` or `operation/tenant`, with the characters that a tag
//! cannot hold percent-encoded.

use std::time::Duration;

use hdrhistogram::{
    Histogram,
    serialization::{
        Deserializer, V2DeflateSerializer,
        interval_log::{IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag},
    },
};

use crate::series::{At, LatencyOf, LoadWindow};

/// The lines of one window.
pub(super) fn lines(window: &LoadWindow) -> Vec<u8> {
    let mut text = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .begin_log_with(&mut text, &mut serializer)
        .expect("writing to memory does not fail");
    for latency in &window.latency {
        let mut histogram = LatencyOf::histogram();
        latency.add_to(&mut histogram);
        let tag = tag(latency);
        let start = Duration::from_millis(window.at.0);
        let length = Duration::from_millis(window.length_ms);
        log.write_histogram(&histogram, start, length, Tag::new(&tag))
            .expect("writing to memory does not fail");
    }
    text
}

/// Reads one line and hangs it on the window that starts at its time.
pub(super) fn take_line(line: &[u8], windows: &mut [LoadWindow]) -> Result<(), String> {
    if line.starts_with(b"#") {
        return Ok(());
    }
    let line = [line, b"\n"].concat();
    let Some(Ok(LogEntry::Interval(entry))) = IntervalLogIterator::new(&line).next() else {
        return Err("not a line of an interval log".to_owned());
    };
    let at = At(u64::try_from(entry.start_timestamp().as_millis()).map_err(|_| "a time out of range")?);
    let bytes = base64_simd::STANDARD.decode_to_vec(entry.encoded_histogram()).map_err(|e| e.to_string())?;
    let histogram: Histogram<u64> =
        Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|e| format!("histogram: {e}"))?;
    let tag = entry.tag().ok_or("a line without a tag")?;
    let (operation, tenant) = match tag.as_str().split_once('/') {
        Some((operation, tenant)) => (decode(operation)?, Some(decode(tenant)?)),
        None => (decode(tag.as_str())?, None),
    };
    let found =
        windows.binary_search_by_key(&at, |w| w.at).map_err(|_| format!("no window starts at {at:?}"))?;
    windows[found].latency.push(LatencyOf::new(operation, tenant, &histogram));
    Ok(())
}

fn tag(latency: &LatencyOf) -> String {
    let operation = encode(&latency.operation);
    match &latency.tenant {
        Some(tenant) => format!("{operation}/{}", encode(tenant)),
        None => operation,
    }
}

/// Everything but letters, digits and `-_.:` as `%xx`.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02x}"));
        }
    }
    encoded
}

fn decode(text: &str) -> Result<String, String> {
    let problem = || format!("a tag with a broken escape: {text:?}");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = tail.get(..2).and_then(|d| str::from_utf8(d).ok()).ok_or_else(problem)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| problem())?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| problem())
}
