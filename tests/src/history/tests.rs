//! Histories that are right pass; one that is wrong in one way is found, and what is said of it names that way.

use super::*;

const SHARD: &str = "shardId-0";

/// Writes a history of stream `s`, where every record's key is `k` unless said otherwise.
#[derive(Default)]
struct Story(History);

fn number(number: u32) -> Sequence {
    Sequence(number.to_string())
}

fn named(shard: &str) -> ShardName {
    ShardName { stream: "s".to_owned(), shard: shard.to_owned() }
}

fn stored(sequence: u32) -> Outcome {
    Outcome::Stored { shard: SHARD.to_owned(), sequence: number(sequence) }
}

impl Story {
    fn begin(&self, data: &str) -> At {
        self.begin_after(data, None)
    }

    fn begin_after(&self, data: &str, after: Option<u32>) -> At {
        let after = after.map(number);
        self.0.write(Event::Put(Put { stream: "s".into(), key: "k".into(), data: data.into(), after }))
    }

    fn end(&self, put: At, outcome: Outcome) {
        self.0.write(Event::PutEnded { put, outcome });
    }

    fn put(&self, data: &str, sequence: u32) {
        self.end(self.begin(data), stored(sequence));
    }

    fn iterator_of(&self, reader: u64, shard: &str, start: Start) -> At {
        let iterator = self.0.write(Event::Iterator { reader, shard: named(shard), start });
        self.0.write(Event::IteratorEnded { iterator });
        iterator
    }

    fn iterator(&self, start: Start) -> At {
        self.iterator_of(1, SHARD, start)
    }

    /// A page of (number, data); each arrived at ten times its number.
    fn page(&self, from: At, records: &[(u32, &str)], next: Next) -> At {
        let page = self.0.write(Event::Page { from });
        self.end_page(page, records, next);
        page
    }

    fn end_page(&self, page: At, records: &[(u32, &str)], next: Next) {
        let records = records.iter().map(|(sequence, data)| Read {
            sequence: number(*sequence),
            key: "k".to_owned(),
            data: (*data).to_owned(),
            arrived_ms: u64::from(*sequence) * 10,
        });
        self.0.write(Event::PageEnded { page, records: records.collect(), next });
    }

    /// All of the shard, by a reader of its own.
    fn read(&self, records: &[(u32, &str)]) {
        let reader = 100 + self.0.now() as u64;
        self.page(self.iterator_of(reader, SHARD, Start::TrimHorizon), records, Next::Tip);
    }

    fn shards(&self, shards: &[(&str, &[&str])]) {
        let shards = shards.iter().map(|(shard, parents)| told(shard, parents)).collect();
        self.0.write(Event::Shards { stream: "s".into(), shards });
    }

    #[track_caller]
    fn is_right(&self) {
        assert_eq!(self.0.faults(At::MAX), Vec::<String>::new());
    }

    /// It has one fault, and this is said of it.
    #[track_caller]
    fn is_wrong(&self, said: &str) {
        let faults = self.0.faults(At::MAX);
        assert!(faults.len() == 1 && faults[0].contains(said), "{said:?}: {faults:#?}");
    }
}

fn told(shard: &str, parents: &[&str]) -> ShardTold {
    let parents = parents.iter().map(|parent| (*parent).to_owned()).collect();
    ShardTold { shard: shard.to_owned(), parents }
}

#[test]
fn a_history_in_which_every_word_is_kept_has_no_fault() {
    let story = Story::default();
    story.put("a", 9);
    story.put("b", 10);
    let unknown = story.begin("c");
    story.0.write(Event::Killed("node".to_owned()));
    story.end(unknown, Outcome::Unknown);
    let again = story.begin("c");
    story.end(again, stored(12));
    let refused = story.begin("d");
    story.end(refused, Outcome::Refused);
    let first = story.page(story.iterator(Start::TrimHorizon), &[(9, "a")], Next::More);
    story.page(first, &[(10, "b"), (11, "c"), (12, "c")], Next::Tip);
    story.end(story.begin_after("e", Some(12)), stored(13));
    story.page(story.iterator_of(2, SHARD, Start::At(number(10))), &[(10, "b"), (11, "c")], Next::More);
    story.read(&[(9, "a"), (10, "b"), (11, "c"), (12, "c"), (13, "e")]);
    story.is_right();
}

#[test]
fn a_record_that_was_acknowledged_and_is_never_read_is_lost() {
    let story = Story::default();
    let iterator = story.iterator(Start::Latest);
    story.put("a", 1);
    story.page(iterator, &[], Next::More); // nothing is said of what lies behind
    story.is_wrong("\"a\" is lost: acknowledged before the first kill at 1 in shardId-0 of s");
    assert_eq!(story.0.faults(2), Vec::<String>::new(), "nothing has been read since");
}

#[test]
fn a_shard_that_nobody_has_read_has_lost_what_was_acknowledged_in_it() {
    let story = Story::default();
    let settled = story.0.now();
    story.put("a", 1);
    assert_eq!(story.0.faults(settled), Vec::<String>::new(), "nobody has looked since");
    story.is_wrong("\"a\" is lost: acknowledged before the first kill at 1 in shardId-0 of s");
}

#[test]
fn a_place_has_one_record_and_one_acknowledgement() {
    let story = Story::default();
    story.put("a", 1);
    story.read(&[(1, "a")]);
    let sent = story.begin("b");
    story.end(sent, Outcome::Unknown);
    story.read(&[(1, "b")]);
    story.is_wrong("1 in shardId-0 of s is \"a\" and was read as \"b\"");

    let story = Story::default();
    let (one, other) = (story.begin("a"), story.begin("b"));
    story.end(one, stored(1));
    story.end(other, stored(1));
    let faults = story.0.faults(0);
    assert!(faults.len() == 1 && faults[0].contains("was given to \"a\" and to \"b\""), "{faults:#?}");
}

#[test]
fn a_record_is_there_at_most_as_often_as_it_was_sent() {
    let story = Story::default();
    story.put("a", 1);
    story.read(&[(1, "a"), (2, "a")]);
    story
        .is_wrong("\"a\" was sent 1 times but for refusals, and is there 2 times: 1 in shardId-0 of s, 2 in");

    let refused = Story::default();
    let put = refused.begin("a");
    refused.end(put, Outcome::Refused);
    refused.read(&[(1, "a")]);
    refused.is_wrong("sent 0 times but for refusals, and is there 1 times");
}

#[test]
fn what_is_there_was_sent_with_its_key() {
    let story = Story::default();
    story.read(&[(1, "a")]);
    story.is_wrong("\"a\" at 1 in shardId-0 of s was never sent");

    let story = Story::default();
    let put = Put { stream: "s".into(), key: "other".into(), data: "a".into(), after: None };
    story.0.write(Event::Put(put));
    story.read(&[(1, "a")]);
    story.is_wrong("has the key \"k\", and was sent with \"other\"");
}

#[test]
fn what_is_sent_after_an_acknowledgement_has_the_higher_number() {
    let story = Story::default();
    let early = story.begin("a"); // overlaps: may have either
    story.put("b", 2);
    story.end(early, stored(1));
    story.read(&[(1, "a"), (2, "b")]);
    story.is_right();

    let story = Story::default();
    let other = |data: &str| Put { stream: "s".into(), key: data.into(), data: data.into(), after: None };
    for (data, sequence) in [("a", 10), ("b", 9)] {
        story.end(story.0.write(Event::Put(other(data))), stored(sequence));
    }
    let faults = story.0.faults(0);
    let said = "\"b\" was sent after 10 in shardId-0 of s was acknowledged before the first kill, and has 9";
    assert_eq!(faults, [said]);
}

#[test]
fn sequence_number_for_ordering_is_kept() {
    let story = Story::default();
    story.end(story.begin_after("a", Some(7)), stored(7));
    story.read(&[(7, "a")]);
    story.is_wrong("\"a\" was to be after 7, and is 7 in shardId-0 of s");
}

#[test]
fn a_key_goes_to_its_shard_or_to_one_that_comes_of_it() {
    let lineage: [(&str, &[&str]); 3] = [(SHARD, &[]), ("shardId-1", &[SHARD]), ("shardId-2", &[])];
    for (shard, is_right) in [("shardId-1", true), ("shardId-2", false)] {
        let story = Story::default();
        story.put("a", 1);
        let second = story.begin("b");
        story.end(second, Outcome::Stored { shard: shard.to_owned(), sequence: number(100) });
        story.shards(&lineage);
        let parent = story.iterator(Start::TrimHorizon);
        story.page(parent, &[(1, "a")], Next::End(vec![told("shardId-1", &[SHARD])]));
        story.page(story.iterator_of(1, shard, Start::TrimHorizon), &[(100, "b")], Next::Tip);
        if is_right {
            story.is_right();
        } else {
            story.is_wrong("\"b\" of key \"k\" went to shardId-2 of s, which does not come of shardId-0");
        }
    }
}

#[test]
fn a_page_rises_and_begins_behind_the_one_before() {
    let story = Story::default();
    let (one, other) = (story.begin("a"), story.begin("b"));
    story.page(story.iterator(Start::TrimHorizon), &[(2, "b"), (1, "a")], Next::More);
    story.is_wrong("a page of shardId-0 of s has 1 behind 2");
    story.end(one, Outcome::Unknown);
    story.end(other, Outcome::Unknown);

    let story = Story::default();
    story.put("a", 1);
    let first = story.page(story.iterator(Start::TrimHorizon), &[(1, "a")], Next::More);
    story.page(first, &[(1, "a")], Next::Tip);
    story.is_wrong("from After(Sequence(\"1\")) has 1, which is before that");
}

#[test]
fn a_page_passes_nothing_over_that_was_known_before_it() {
    let put_three = || {
        let story = Story::default();
        ["a", "b", "c"].iter().zip(1..).for_each(|(data, sequence)| story.put(data, sequence));
        story.read(&[(1, "a"), (2, "b"), (3, "c")]);
        story
    };
    let gap = put_three();
    gap.page(gap.iterator_of(2, SHARD, Start::TrimHorizon), &[(1, "a"), (3, "c")], Next::More);
    gap.is_wrong("from Start passes over 2 (\"b\")");

    let between_pages = put_three();
    let iterator = between_pages.iterator_of(2, SHARD, Start::TrimHorizon);
    let first = between_pages.page(iterator, &[(1, "a")], Next::More);
    between_pages.page(first, &[(3, "c")], Next::More);
    between_pages.is_wrong("from After(Sequence(\"1\")) passes over 2 (\"b\")");

    let early_tip = put_three();
    early_tip.page(early_tip.iterator_of(2, SHARD, Start::TrimHorizon), &[(1, "a"), (2, "b")], Next::Tip);
    early_tip.is_wrong("passes over 3 (\"c\")");

    let limited = put_three();
    limited.page(limited.iterator_of(2, SHARD, Start::TrimHorizon), &[(1, "a")], Next::More);
    limited.page(limited.iterator_of(3, SHARD, Start::TrimHorizon), &[], Next::More);
    limited.is_right();

    let meanwhile = Story::default();
    let page = meanwhile.0.write(Event::Page { from: meanwhile.iterator(Start::TrimHorizon) });
    meanwhile.put("a", 1);
    meanwhile.end_page(page, &[], Next::Tip);
    meanwhile.read(&[(1, "a")]);
    meanwhile.is_right();
}

#[test]
fn what_was_read_once_is_passed_over_by_nobody_although_it_was_never_acknowledged() {
    let story = Story::default();
    let unknown = story.begin("a");
    story.read(&[(1, "a")]);
    story.0.write(Event::Killed("node".to_owned()));
    story.end(unknown, Outcome::Unknown);
    story.read(&[]);
    story.is_wrong("a page of shardId-0 of s from Start passes over 1 (\"a\"), after kill 1 (node)");
}

#[test]
fn every_iterator_begins_where_its_kind_says() {
    // Records 1, 2 and 3 lie there, which arrived at 10, 20 and 30; what comes later is 4.
    let cases: [(Start, &[u32]); 6] = [
        (Start::TrimHorizon, &[1, 2, 3, 4]),
        (Start::At(number(2)), &[2, 3, 4]),
        (Start::After(number(2)), &[3, 4]),
        (Start::Time(20), &[2, 3, 4]),
        (Start::Time(21), &[3, 4]),
        (Start::Latest, &[4]),
    ];
    let all = [(1, "a"), (2, "b"), (3, "c"), (4, "d")];
    for (start, due) in cases {
        for from in 1..=4 {
            let story = Story::default();
            ["a", "b", "c"].iter().zip(1..).for_each(|(data, sequence)| story.put(data, sequence));
            story.read(&all[..3]);
            let iterator = story.iterator_of(2, SHARD, start.clone());
            story.put("d", 4);
            story.read(&all);
            story.page(iterator, &all[from - 1..], Next::Tip);
            match (from as u32).cmp(&due[0]) {
                Ordering::Equal => story.is_right(),
                Ordering::Less => story.is_wrong("which is before that"),
                Ordering::Greater => story.is_wrong(&format!("passes over {}", due[0])),
            }
        }
    }
}

#[test]
fn latest_may_or_may_not_have_what_overlaps_it() {
    for given in [&[][..], &[(1, "a")]] {
        let story = Story::default();
        let put = story.begin("a");
        let iterator = story.iterator_of(2, SHARD, Start::Latest);
        story.end(put, stored(1));
        story.page(iterator, given, Next::Tip);
        story.read(&[(1, "a")]);
        story.is_right();
    }
}

#[test]
fn a_shard_ends_once_and_with_its_children() {
    let story = Story::default();
    let late = story.begin("a");
    story.page(story.iterator(Start::TrimHorizon), &[], Next::End(vec![told("shardId-1", &[SHARD])]));
    story.end(late, stored(1));
    assert_eq!(story.0.faults(0).len(), 1);
    assert!(story.0.faults(0)[0].contains("passes over 1 (\"a\")"), "also what came after the end was told");

    let childless = Story::default();
    childless.page(childless.iterator(Start::TrimHorizon), &[], Next::End(Vec::new()));
    childless.is_wrong("shardId-0 of s ends without children");

    let strange = Story::default();
    strange.page(
        strange.iterator(Start::TrimHorizon),
        &[],
        Next::End(vec![told("shardId-7", &["shardId-6"])]),
    );
    strange.is_wrong("shardId-0 of s ends with shardId-7, which does not come of it");

    let changed = Story::default();
    changed.shards(&[("shardId-1", &[SHARD])]);
    changed.shards(&[("shardId-1", &[])]);
    changed.is_wrong("shardId-1 of s has the parents [], and had others");
}

#[test]
fn a_reader_that_meets_children_before_parents_sees_a_key_out_of_order() {
    let story = Story::default();
    story.put("a", 1);
    let second = story.begin("b");
    story.end(second, Outcome::Stored { shard: "shardId-1".to_owned(), sequence: number(100) });
    let child = [told("shardId-1", &[SHARD])];
    story.page(story.iterator_of(1, "shardId-1", Start::TrimHorizon), &[(100, "b")], Next::Tip);
    story.page(story.iterator_of(1, SHARD, Start::TrimHorizon), &[(1, "a")], Next::End(child.to_vec()));
    story.is_wrong("reader 1 of s met 100 of key \"k\" before 1");
}

#[test]
fn streams_are_there_from_their_creation_to_their_deletion() {
    let story = Story::default();
    let look = |there| {
        let look = story.0.write(Event::Look("s".to_owned()));
        story.0.write(Event::Looked { look, there });
    };
    look(false);
    let create = story.0.write(Event::Create("s".to_owned()));
    look(false);
    story.0.write(Event::Done { call: create });
    look(true);
    story.is_right();
    look(false);
    story.is_wrong("stream s was created, and is not there");

    let story = Story::default();
    let look = |there| {
        let look = story.0.write(Event::Look("s".to_owned()));
        story.0.write(Event::Looked { look, there });
    };
    let create = story.0.write(Event::Create("s".to_owned()));
    story.0.write(Event::Done { call: create });
    let delete = story.0.write(Event::Delete("s".to_owned()));
    look(true);
    look(false);
    story.0.write(Event::Done { call: delete });
    look(false);
    story.is_right();
    look(true);
    story.is_wrong("stream s was deleted, and is there");
}

#[test]
fn the_records_of_a_stream_that_is_deleted_need_not_be_read() {
    let story = Story::default();
    story.put("a", 1);
    story.0.write(Event::Delete("s".to_owned()));
    story.is_right();
}
