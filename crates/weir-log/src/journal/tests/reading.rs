//! Where records are read from: memory at the tail of a shard that is read, memory within a batch where a page ended, and the
//! file.

use super::*;

/// A journal that keeps so many bytes in memory, and its two shards.
fn two_shards(disk: &FaultDisk, cache_bytes_max: usize) -> (Journal, ShardKey, ShardKey) {
    let config = JournalConfig { cache_bytes_max, ..config(disk) };
    let (journal, _) = Journal::open(config, &Threads::new(), Clock::new()).unwrap();
    let (a, b) = (key(1, 0), key(1, 1));
    open_shard(&journal, a);
    open_shard(&journal, b);
    (journal, a, b)
}

#[test]
fn reads_behind_the_cache_come_from_the_file() {
    let (journal, a, b) = two_shards(&disk(), 5_000);
    for shard in [a, b] {
        assert_eq!(read_all(&journal, shard, 0).unwrap(), [""; 0], "somebody follows it");
    }
    let texts: Vec<_> = (0..90).map(long).collect();
    for (n, text) in texts.iter().enumerate() {
        append(&journal, if n % 3 == 0 { a } else { b }, &[text]).unwrap();
    }
    let pick = |rest: bool| -> Vec<String> {
        texts.iter().enumerate().filter(|(n, _)| (n % 3 != 0) == rest).map(|(_, text)| text.clone()).collect()
    };
    assert_eq!(read_all(&journal, a, 0).unwrap(), pick(false));
    assert_eq!(read_all(&journal, b, 0).unwrap(), pick(true));
    let metrics = journal.metrics();
    let at_the_tip = 4; // needs no file, kept or not
    assert!(metrics.reads_cached > at_the_tip && metrics.reads_cached < metrics.reads, "{metrics:?}");
}

#[test]
fn a_batch_within_which_pages_end_is_read_from_the_file_once() {
    for between in [false, true] {
        let disk = disk();
        let (journal, a, b) = two_shards(&disk, 0);
        append(&journal, a, &["0", "1", "2"]).unwrap();
        if between {
            append(&journal, b, &["lies between them"]).unwrap();
        }
        append(&journal, a, &["3", "4", "5"]).unwrap();
        let page = |from, records| -> Result<Vec<String>, ReadError> {
            let read = journal.read(a, from, records, 1_000)?;
            let texts = read.batches.iter().flat_map(|stored| stored.batch.records());
            Ok(texts.map(|record| String::from_utf8(record.data.to_vec()).unwrap()).collect())
        };
        assert_eq!(page(0, 4).unwrap(), ["0", "1", "2", "3", "4", "5"]);
        disk.fail_next(Operation::Read, Errno::EIO);
        assert_eq!(page(4, 1).unwrap(), ["3", "4", "5"], "the page before ended within it");
        assert_eq!(page(5, 1).unwrap(), ["3", "4", "5"], "and this one did, too");
        assert!(matches!(page(5, 1), Err(ReadError::Storage(_))), "whoever begins there anew reads the file");
        assert_eq!(page(5, 1).unwrap(), ["3", "4", "5"]);

        assert_eq!(page(3, 1).unwrap(), ["3", "4", "5"]);
        wait(|done| journal.delete_shard(a, done)).unwrap();
        open_shard(&journal, a);
        append(&journal, a, &["new", "x", "y", "z"]).unwrap();
        assert_eq!(page(3, 1).unwrap(), ["new", "x", "y", "z"], "nothing of a shard outlives it");
    }
}

#[test]
fn the_tail_of_a_shard_is_in_memory_once_somebody_reads_it_or_waits_for_it() {
    let (journal, a, b) = two_shards(&disk(), 1 << 20);
    let is_cached = |shard, from| {
        let before = journal.metrics().reads_cached;
        assert!(!journal.read(shard, from, 10, 1_000).unwrap().batches.is_empty());
        journal.metrics().reads_cached > before
    };
    append(&journal, a, &["before anybody reads it"]).unwrap();
    assert!(!is_cached(a, 0));
    for shard in [a, b] {
        append(&journal, shard, &["new"]).unwrap();
    }
    assert!(is_cached(a, 1));
    assert!(!is_cached(a, 0), "what came before did not come back");
    assert!(!is_cached(b, 0), "nobody had read this one");
    let c = key(1, 2);
    open_shard(&journal, c);
    let rise = journal.rise(c, 0).unwrap();
    append(&journal, c, &["waited for"]).unwrap();
    drop(rise);
    assert!(is_cached(c, 0));
}
