//! Models of the commit path as a whole: writers, two committers, and a reader at the watermark.

use super::{Failed, Path, WRITE_BYTES};
use crate::facade::{Arc, block_on, check_model, thread};
use crate::watermark::Risen;

/// As many writes in a group as wait.
const ALL: usize = 100;

/// A path and its two committers.
fn open(group_bytes_max: usize, fails_at: Option<u64>) -> (Arc<Path>, [thread::JoinHandle<()>; 2]) {
    let path = Arc::new(Path::new(group_bytes_max, fails_at));
    let committers = [(); 2].map(|()| {
        let path = Arc::clone(&path);
        thread::spawn(move || path.commit())
    });
    (path, committers)
}

fn end(path: &Path, committers: [thread::JoinHandle<()>; 2]) {
    path.close();
    committers.into_iter().for_each(|committer| committer.join().unwrap());
}

#[test]
fn whoever_hears_an_acknowledgement_finds_the_record_on_disk() {
    check_model(|| {
        let (path, committers) = open(WRITE_BYTES, None);
        let answers = [(); 2].map(|()| path.append().unwrap());
        for (answer, place) in answers.into_iter().zip(0..) {
            assert_eq!(block_on(answer), Ok(Ok(place)));
            let (index, synced) = path.read();
            assert!(synced > place, "acknowledged before the sync");
            assert!(index.contains(&place), "acknowledged, and not to be found");
        }
        end(&path, committers);
    });
}

#[test]
fn whoever_sees_the_watermark_finds_all_below_it_and_nothing_unsynced() {
    check_model(|| {
        let (path, committers) = open(WRITE_BYTES, None);
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
        let answers = [(); 2].map(|()| path.append().unwrap());
        reader.join().unwrap();
        drop(answers);
        end(&path, committers);
    });
}

#[test]
fn what_two_writers_leave_is_published_in_the_order_of_the_log() {
    check_model(|| {
        let (path, committers) = open(WRITE_BYTES, None);
        let writer = {
            let path = Arc::clone(&path);
            thread::spawn(move || block_on(path.append().unwrap()).unwrap().unwrap())
        };
        let mut places = [block_on(path.append().unwrap()).unwrap().unwrap(), writer.join().unwrap()];
        places.sort_unstable();
        assert_eq!(places, [0, 1]);
        end(&path, committers);
        assert_eq!(path.read(), (vec![0, 1], 2));
    });
}

#[test]
fn a_failed_sync_fails_its_group_and_everything_later() {
    check_model(|| {
        let (path, committers) = open(WRITE_BYTES, Some(0));
        let answers = [(); 2].map(|()| path.append().unwrap());
        for answer in answers {
            assert_eq!(block_on(answer), Ok(Err(Failed)), "acknowledged behind a failed sync");
        }
        end(&path, committers);
        assert_eq!(path.read().0, [], "what failed is not to be found");
    });
}

#[test]
fn a_failed_sync_leaves_what_was_before_it() {
    check_model(|| {
        let (path, committers) = open(ALL, Some(1));
        let first = block_on(path.append().unwrap());
        let second = block_on(path.append().unwrap());
        assert_eq!((first, second), (Ok(Ok(0)), Ok(Err(Failed))));
        assert_eq!(path.read(), (vec![0], 1));
        end(&path, committers);
    });
}

#[test]
fn closing_answers_everybody_who_was_let_in() {
    check_model(|| {
        let (path, committers) = open(ALL, None);
        let writer = {
            let path = Arc::clone(&path);
            thread::spawn(move || [(); 2].map(|()| path.append().map(block_on)))
        };
        end(&path, committers);
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
