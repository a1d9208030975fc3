//! Models of the commit path as a whole: writers who leave their writes or write themselves, the committer, and a reader at
//! the watermark.

use super::{Answer, Failed, Path, WRITE_BYTES};
use crate::completion::Completion;
use crate::facade::{Arc, block_on, check_model, thread};
use crate::watermark::Risen;

/// As many writes in a group as wait.
const ALL: usize = 100;

/// A path and its committer.
fn open(group_bytes_max: usize, fails_at: Option<u64>) -> (Arc<Path>, thread::JoinHandle<()>) {
    let path = Arc::new(Path::new(group_bytes_max, fails_at));
    let committer = {
        let path = Arc::clone(&path);
        thread::spawn(move || path.commit())
    };
    (path, committer)
}

fn end(path: &Path, committer: thread::JoinHandle<()>) {
    path.close();
    committer.join().unwrap();
}

/// A path with both of its threads.
struct Both {
    path: Arc<Path>,
    threads: [thread::JoinHandle<()>; 2],
}

impl Both {
    fn open(fails_at: Option<u64>) -> Self {
        let (path, committer) = open(WRITE_BYTES, fails_at);
        let second = {
            let path = Arc::clone(&path);
            thread::spawn(move || path.write_ahead())
        };
        Self { path, threads: [committer, second] }
    }

    fn end(self) -> Arc<Path> {
        self.path.close();
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.path
    }
}

/// Writes from another thread, itself if it can, while the caller goes on.
fn another_writes_here(path: &Arc<Path>) -> thread::JoinHandle<Option<Answer>> {
    let path = Arc::clone(path);
    thread::spawn(move || path.append_here().map(heard))
}

fn heard(answer: Completion<Answer>) -> Answer {
    block_on(answer).expect("whoever was let in is answered")
}

#[test]
fn whoever_hears_an_acknowledgement_finds_the_record_on_disk() {
    check_model(|| {
        let (path, committer) = open(WRITE_BYTES, None);
        let other = another_writes_here(&path);
        let place = heard(path.append().unwrap()).unwrap();
        let (index, synced) = path.read();
        assert!(synced > place, "acknowledged before the sync");
        assert!(index.contains(&place), "acknowledged, and not to be found");
        other.join().unwrap().unwrap().unwrap();
        end(&path, committer);
    });
}

#[test]
fn whoever_sees_the_watermark_finds_all_below_it_and_nothing_unsynced() {
    check_model(|| {
        let (path, committer) = open(WRITE_BYTES, None);
        let reader = {
            let path = Arc::clone(&path);
            thread::spawn(move || {
                for place in 0..2 {
                    assert_eq!(block_on(path.watermark.above(place)), Risen::Above);
                    let (index, synced) = path.read();
                    assert!(index.len() as u64 > place, "below the watermark, and not to be found");
                    assert!(synced >= index.len() as u64, "to be found before it was synced");
                }
            })
        };
        let answers = [path.append().unwrap(), path.append_here().unwrap()];
        reader.join().unwrap();
        drop(answers);
        end(&path, committer);
    });
}

#[test]
fn what_a_writer_left_is_written_before_what_it_writes_itself() {
    check_model(|| {
        let (path, committer) = open(WRITE_BYTES, None);
        let (left, written) = (path.append().unwrap(), path.append_here().unwrap());
        assert_eq!((heard(left), heard(written)), (Ok(0), Ok(1)), "overtaken");
        end(&path, committer);
        assert_eq!(path.read(), (vec![0, 1], 2));
    });
}

#[test]
fn two_who_write_themselves_and_the_committer_never_write_at_once() {
    check_model(|| {
        let (path, committer) = open(WRITE_BYTES, None);
        let other = another_writes_here(&path);
        let mut places =
            [path.append_here().map(heard), other.join().unwrap()].map(|answer| answer.unwrap().unwrap());
        places.sort_unstable();
        assert_eq!(places, [0, 1]);
        end(&path, committer);
        assert_eq!(path.read(), (vec![0, 1], 2));
    });
}

#[test]
fn a_failed_sync_fails_its_group_and_everything_later() {
    check_model(|| {
        let (path, committer) = open(WRITE_BYTES, Some(0));
        let answers = [path.append_here().unwrap(), path.append().unwrap()];
        for answer in answers {
            assert_eq!(heard(answer), Err(Failed), "acknowledged behind a failed sync");
        }
        end(&path, committer);
        assert_eq!(path.read().0, [], "what failed is not to be found");
    });
}

#[test]
fn a_failed_sync_leaves_what_was_before_it() {
    check_model(|| {
        let (path, committer) = open(ALL, Some(1));
        let first = heard(path.append_here().unwrap());
        let second = heard(path.append().unwrap());
        assert_eq!((first, second), (Ok(0), Err(Failed)));
        assert_eq!(path.read(), (vec![0], 1));
        end(&path, committer);
    });
}

#[test]
fn closing_answers_everybody_who_was_let_in() {
    check_model(|| {
        let (path, committer) = open(ALL, None);
        let writer = {
            let path = Arc::clone(&path);
            thread::spawn(move || [path.append().map(block_on), path.append_here().map(block_on)])
        };
        end(&path, committer);
        let answers = writer.join().unwrap();
        let let_in: Vec<_> = answers.iter().flatten().collect();
        assert!(
            let_in.iter().all(|answer| matches!(answer, Ok(Ok(_)))),
            "let in, and not answered: {let_in:?}"
        );
        assert_eq!(let_in.len(), path.read().0.len(), "durable, and nobody was told");
        assert!(answers.is_sorted_by_key(Option::is_none), "the first was refused and the second let in");
    });
}

#[test]
fn whoever_is_written_while_a_group_is_synced_is_acknowledged_by_a_sync_of_its_own() {
    check_model(|| {
        let both = Both::open(None);
        let answers = [both.path.append().unwrap(), both.path.append().unwrap()];
        for (answer, expected) in answers.into_iter().zip(0..) {
            assert_eq!(heard(answer), Ok(expected));
            let (index, synced) = both.path.read();
            assert!(synced > expected, "acknowledged before the sync");
            assert!(index.contains(&expected), "acknowledged, and not to be found");
        }
        assert_eq!(both.end().read(), (vec![0, 1], 2));
    });
}

#[test]
fn a_failed_sync_fails_whoever_was_written_meanwhile() {
    check_model(|| {
        let both = Both::open(Some(0));
        let answers = [both.path.append().unwrap(), both.path.append().unwrap()];
        for answer in answers {
            assert_eq!(heard(answer), Err(Failed), "acknowledged behind a failed sync");
        }
        assert_eq!(both.end().read().0, [], "what failed is not to be found");
    });
}

#[test]
fn who_writes_itself_waits_while_a_group_is_synced() {
    check_model(|| {
        let both = Both::open(None);
        let answers = [both.path.append().unwrap(), both.path.append_here().unwrap()];
        assert_eq!(answers.map(heard), [Ok(0), Ok(1)]);
        both.end();
    });
}

#[test]
fn closing_answers_whoever_was_written_while_a_group_was_synced() {
    check_model(|| {
        let both = Both::open(None);
        let answers = [both.path.append().unwrap(), both.path.append().unwrap()];
        let path = both.end();
        assert_eq!(answers.map(heard), [Ok(0), Ok(1)]);
        assert_eq!(path.read(), (vec![0, 1], 2));
    });
}
