//! What consumers put into the stream: JSON with the writer's name, so that consumers may share a stream.
//!
//! Written by the services, read back by the readers. A record that does not read as one, or is another consumer's,
//! is nobody's mistake: it is counted and passed over.

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use weir_core::{clock::WallMs, id::ServerName};

/// One record of a consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Envelope<T> {
    /// The consumer that wrote it.
    pub(crate) from: ServerName,
    /// Its life: a random number drawn at its start.
    pub(crate) life: u64,
    /// Rises with each record of a life.
    pub(crate) number: u64,
    /// When it was taken in.
    pub(crate) at: WallMs,
    /// What it says.
    pub(crate) body: T,
}

impl<T: Serialize> Envelope<T> {
    /// The record's data.
    pub(crate) fn encode(&self) -> Bytes {
        serde_json::to_vec(self).expect("records have text keys only").into()
    }
}

impl<T: DeserializeOwned> Envelope<T> {
    /// A record of `name`; `None` when it is somebody else's.
    pub(crate) fn decode(data: &[u8], name: &ServerName) -> Option<Self> {
        let envelope: Self = serde_json::from_slice(data).ok()?;
        (envelope.from == *name).then_some(envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_for_its_writer_and_for_nobody_else() {
        let name = ServerName::new("bus");
        let envelope =
            Envelope { from: name.clone(), life: 3, number: 7, at: WallMs(5), body: "x".to_owned() };
        let data = envelope.encode();
        assert_eq!(Envelope::<String>::decode(&data, &name), Some(envelope));
        assert_eq!(Envelope::<String>::decode(&data, &ServerName::new("other")), None);
        assert_eq!(Envelope::<u64>::decode(&data, &name), None);
        assert_eq!(Envelope::<String>::decode(b"\xff{", &name), None);
    }
}
