//! What the fuzz target of iterators and tokens drives: arbitrary bytes as the text of one, and as what is behind the seal.
//!
//! Called by the target in `tests/fuzz` and by the test that replays its corpus. Nothing that ships calls it.

use std::time::Duration;

use weir_core::{
    clock::WallMs,
    id::{AccountId, Region, TenantName},
};

use crate::{
    authenticate::Caller,
    iterator::ShardIterator,
    page_token,
    seal::{SealKind, Sealer},
};

const NOW: WallMs = WallMs(1_606_300_000_000);

/// As a text, none but our own opens. As a payload that was sealed, what reads is written again as it was, or nothing reads.
pub fn tokens(input: &[u8]) {
    let sealer = Sealer::new(&"5a".repeat(32), Duration::from_secs(300)).expect("32 bytes");
    if let Ok(text) = std::str::from_utf8(input) {
        let kinds = [
            SealKind::ShardIterator,
            SealKind::ListShards,
            SealKind::ListStreams,
            SealKind::ListStreamConsumers,
        ];
        for kind in kinds {
            assert!(sealer.open(kind, NOW, text).is_err(), "nobody guesses a seal");
        }
        let region: Region = "us-east-1".parse().expect("a region");
        let caller = Caller { account: AccountId::DEFAULT, region, tenant: TenantName::new("t") };
        assert!(page_token::open(&sealer, SealKind::ListShards, &caller, NOW, text).is_err());
        assert!(ShardIterator::open(&sealer, text, NOW).is_err());
    }
    let sealed = sealer.seal(SealKind::ShardIterator, NOW, input);
    assert_eq!(sealer.open(SealKind::ShardIterator, NOW, &sealed).expect("our own"), input);
    if let Ok(iterator) = ShardIterator::open(&sealer, &sealed, NOW) {
        assert_eq!(ShardIterator::open(&sealer, &format!("\"{sealed}\""), NOW), Ok(iterator));
    }
}
