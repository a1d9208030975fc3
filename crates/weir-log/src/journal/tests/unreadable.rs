//! Pages that the disk does not give: named with file and offset, and nothing given up that may read another time.

use std::{
    collections::BTreeMap,
    io::IoSlice,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    damage::{Written, flip, read_on, scanned, segments, written},
    *,
};
use crate::{
    disk::{PAGE_BYTES, REFUSED_PAGES_MAX, Unreadable, salvage_at, write_all_at},
    frame::FrameKind,
    segment::scan::Finding,
};

const PAGE: usize = PAGE_BYTES as usize;
const SEGMENT_PAGES: usize = SEGMENT_BYTES as usize / PAGE;
/// Bytes of the records: those that fill two segments, and some in the third.
const FILLERS: [usize; 19] =
    [5, 0, 2_000, 7_500, 7_500, 7_500, 40, 7_500, 2_000, 7_500, 7_500, 7_500, 20, 7_500, 30, 20, 900, 0, 1];

/// A page of a segment, by its file and its offset.
type Page = (PathBuf, usize);
/// Of each batch, by its first record: the file and the bytes of its frame.
type Places = BTreeMap<(ShardKey, RecordIndex), (PathBuf, Range<usize>)>;

/// A log of three segments, and where each of its records lies.
#[derive(Clone)]
struct Log {
    disk: FaultDisk,
    shards: Vec<Written>,
    places: Places,
    what: String,
}

impl Log {
    /// Closed in order, or its process killed.
    fn new(clean: bool) -> Self {
        let (disk, shards) = written(FILLERS, clean);
        assert_eq!(segments(&disk).len(), 3);
        let places = segments(&disk).iter().flat_map(|path| places_in(&disk, path)).collect();
        Self { disk, shards, places, what: String::new() }
    }

    fn contents(&self) -> Vec<Vec<u8>> {
        self.disk.paths().iter().map(|path| self.disk.contents(path).unwrap()).collect()
    }

    fn pages(&self) -> Vec<Page> {
        let pages = |path: PathBuf| (0..SEGMENT_PAGES).map(move |page| (path.clone(), page * PAGE));
        segments(&self.disk).into_iter().flat_map(pages).collect()
    }

    /// The same log, in which these pages do not read.
    fn without(&self, pages: &[&Page]) -> Self {
        let disk = self.disk.after_kill(1);
        for (path, offset) in pages {
            disk.add_bad_sectors(path, *offset..offset + PAGE).unwrap();
        }
        Self { disk, what: format!("{pages:?}"), ..self.clone() }
    }

    fn open(&self) -> Result<(Journal, RecoveryReport), OpenError> {
        Journal::open(config(&self.disk), &Threads::new(), Clock::new())
    }

    /// Reads everything: per shard how much of it there was, and what stopped that.
    fn read(&self, journal: &Journal) -> Vec<(usize, Option<ReadError>)> {
        self.shards.iter().map(|written| read_on(journal, written, &self.what)).collect()
    }

    /// Opens the log while the pages do not read: whoever asks for what is in them gets the disk's error, or there is a refusal.
    fn open_as_it_is(&self) -> Result<(), OpenError> {
        let (journal, _) = self.open()?;
        for ((_, texts), (read, stopped)) in self.shards.iter().zip(self.read(&journal)) {
            let is_whole = read == texts.len() && stopped.is_none();
            assert!(is_whole || matches!(stopped, Some(ReadError::Storage(_))), "{}: {stopped:?}", self.what);
        }
        journal.close();
        Ok(())
    }

    /// All of it is there when the disk gives its pages again: nothing was given up for good meanwhile.
    fn reads_again(&self) {
        self.disk.mend();
        let (journal, report) = self.open().unwrap_or_else(|error| panic!("{}: {error}", self.what));
        assert_eq!((report.damage, report.torn_tail), (Vec::new(), None), "{}", self.what);
        for ((_, texts), (read, stopped)) in self.shards.iter().zip(self.read(&journal)) {
            assert!(read == texts.len() && stopped.is_none(), "{}: {stopped:?}", self.what);
        }
    }

    /// Writes over pages as the refusals say, one after another, until there is none. Each shard is read up to what lay in
    /// such a page, or was cut off behind one; a shard that has nothing there is whole, unless the page held what tells of all
    /// shards (the first of a segment), or is the newest segment's: who wrote nothing behind it may have lost something.
    fn goes_on_without_them(&self) {
        let mut given_up: Vec<Page> = Vec::new();
        let (journal, report) = loop {
            match self.open() {
                Ok(opened) => break opened,
                Err(OpenError::Unreadable { path, offset, bytes, can_be_given_up: true, .. }) => {
                    given_up.extend(self.write_over(&path, offset, bytes));
                }
                Err(OpenError::Unreadable { offset: PAGE_BYTES, .. }) => return, // the snapshot of the newest or the oldest
                Err(error) => panic!("{}: {error}", self.what),
            }
        };
        self.disk.mend();
        let newest = segments(&self.disk).pop().unwrap();
        let tells_of_all = given_up.iter().any(|(path, page)| *page == PAGE || *path == newest);
        let torn = report.torn_tail.as_ref().map(|torn| (&torn.path, usize::try_from(torn.offset).unwrap()));
        for ((key, texts), (read, stopped)) in self.shards.iter().zip(self.read(&journal)) {
            let what = format!("{}: {key} from {read}, {stopped:?}, {given_up:?}, {report:?}", self.what);
            assert!(
                matches!(stopped, None | Some(ReadError::Damaged(_) | ReadError::NoShard { .. })),
                "{what}"
            );
            let lost = self.places.get(&(*key, read as u64)).filter(|_| read < texts.len());
            let is_given_up = lost.is_some_and(|(path, frame)| {
                given_up
                    .iter()
                    .any(|page| page.0 == *path && page.1 < frame.end && frame.start < page.1 + PAGE)
            });
            let is_cut = lost.is_some_and(|(path, frame)| {
                torn.is_some_and(|torn| torn.0 == path && torn.1 <= frame.start)
            });
            assert!(is_given_up || is_cut || tells_of_all || (lost.is_none() && stopped.is_none()), "{what}");
            assert!(lost.is_none() || is_cut || stopped.is_some(), "{what}");
        }
    }

    fn write_over(&self, path: &Path, offset: u64, bytes: u64) -> Vec<Page> {
        let first = usize::try_from(offset).unwrap() / PAGE * PAGE;
        let end = usize::try_from(offset + bytes).unwrap().next_multiple_of(PAGE);
        let file = self.disk.open(path).unwrap();
        let write = |page: usize| {
            file.write_at(page as u64, &[IoSlice::new(&[0; PAGE])]).unwrap();
            (path.to_owned(), page)
        };
        (first..end).step_by(PAGE).map(write).collect()
    }
}

fn places_in(disk: &FaultDisk, path: &Path) -> Places {
    let (_, scanned) = scanned(disk, path);
    let records = scanned.findings.iter().filter_map(|finding| match finding {
        Finding::Frame(offset, header) if header.kind == FrameKind::Append => {
            let bytes = *offset as usize..*offset as usize + header.frame_bytes();
            Some(((header.shard, header.first), (path.to_owned(), bytes)))
        }
        Finding::Frame(..) | Finding::Damage(_) => None,
    });
    records.collect()
}

/// A look at all frames names the page if there is anything in it that counts, and lists everything else as ever.
fn verify(log: &Log, (path, offset): &Page) {
    let what = &log.what;
    let survey = Survey::on(Arc::new(log.disk.clone()), Path::new("data"), Depth::Frames);
    let survey = survey.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!((survey.segments.len(), survey.shards.len()), (3, 3), "{what}");
    let at = survey.segments.iter().position(|segment| segment.path == *path).unwrap();
    let has_frames = (*offset as u64) < survey.segments[at].used_bytes;
    let counts = has_frames || at == 2;
    let is_it = |found: &&DamageFound| (&found.path, found.offset) == (path, *offset as u64);
    let named = survey.report.damage.iter().filter(is_it).any(|found| found.kind == DamageKind::Unreadable);
    assert_eq!(named, counts, "{what}: {:?}", survey.report);
    let has_trailer = offset + PAGE == SEGMENT_BYTES as usize;
    assert_eq!(survey.is_whole(), !counts && !has_trailer, "{what}");
}

#[test]
fn a_page_that_does_not_read_is_named_and_nothing_is_given_up_for_it() {
    let (mut refused, mut opened) = (0, 0);
    for whole in [true, false].map(Log::new) {
        for page in whole.pages() {
            let log = whole.without(&[&page]);
            verify(&log, &page);
            match log.open_as_it_is() {
                Ok(()) => opened += 1,
                Err(OpenError::Unreadable { path, offset, source, .. }) => {
                    assert!(log.contents() == whole.contents(), "{}: something was written", log.what);
                    assert_eq!((path, offset), (page.0.clone(), page.1 as u64), "{}", log.what);
                    assert_eq!(source.raw_os_error(), Some(Errno::EIO as i32), "{}", log.what);
                    refused += 1;
                }
                Err(other) => panic!("{}: {other}", log.what),
            }
            log.reads_again();
            whole.without(&[&page]).goes_on_without_them();
        }
    }
    assert!(refused > 2 && opened > SEGMENT_PAGES, "{refused} refused, {opened} opened");
}

#[test]
fn of_two_pages_neither_hides_the_other() {
    for whole in [true, false].map(Log::new) {
        let pages = whole.pages();
        for (at, first) in pages.iter().enumerate() {
            for second in &pages[at + 1..] {
                let log = whole.without(&[first, second]);
                let refused = log.open_as_it_is().err();
                assert!(
                    matches!(refused, None | Some(OpenError::Unreadable { .. })),
                    "{}: {refused:?}",
                    log.what
                );
                log.reads_again();
                whole.without(&[first, second]).goes_on_without_them();
            }
        }
    }
}

#[test]
fn an_oldest_segment_whose_snapshot_the_disk_does_not_give_is_not_called_one_without() {
    let whole = Log::new(true);
    let oldest = segments(&whole.disk)[0].clone();
    whole.disk.lose_file(&oldest).unwrap();
    let second = segments(&whole.disk)[0].clone();
    let log = whole.without(&[&(second.clone(), PAGE), &(second.clone(), SEGMENT_BYTES as usize - PAGE)]);
    let refused = log.open().unwrap_err();
    let OpenError::Unreadable { path, offset, can_be_given_up, .. } = &refused else { panic!("{refused}") };
    assert_eq!((path, *offset, *can_be_given_up), (&second, PAGE_BYTES, false), "zeros would not help");
}

/// A log of which nothing is kept but its newest segment.
struct Dropped {
    before: FaultDisk,
    after: FaultDisk,
    kept: Vec<PathBuf>,
    gone: Vec<PathBuf>,
}

impl Dropped {
    fn of(whole: &Log, clean: bool) -> Self {
        let before = whole.disk.after_kill(1);
        let (journal, _) = whole.open().unwrap();
        assert!(retain(&journal, |_| Duration::ZERO, u64::MAX).segments_dropped > 1);
        let killed = whole.disk.after_kill(1);
        journal.close();
        let after = if clean { whole.disk.after_kill(1) } else { killed };
        let kept = segments(&after);
        let gone = segments(&before).into_iter().filter(|path| !kept.contains(path)).collect();
        Self { before, after, kept, gone }
    }

    /// As if the power had gone before the names of the dropped did.
    fn with_names(&self) -> FaultDisk {
        let disk = self.after.after_kill(1);
        for path in &self.gone {
            let bytes = self.before.contents(path).unwrap();
            let file = disk.lay_out(path, SEGMENT_BYTES, true).unwrap();
            write_all_at(file.as_ref(), 0, &mut [IoSlice::new(&bytes)]).unwrap();
        }
        disk
    }
}

#[test]
fn pages_of_segments_that_are_no_longer_kept_stop_nobody() {
    let whole = Log::new(true);
    let (pages, dropped) = (whole.pages(), Dropped::of(&whole, true));
    let Dropped { kept, gone, .. } = &dropped;
    let check = |disk: &FaultDisk, path: &Path, bad: Option<usize>, what: &str| {
        let survey = Survey::on(Arc::new(disk.clone()), Path::new("data"), Depth::Frames).unwrap();
        let listed = survey.report.damage_not_kept.iter().filter(|found| found.path == path);
        let pages = listed.filter(|it| it.kind == DamageKind::Unreadable).map(|it| it.offset as usize);
        let used_bytes = survey.segments.iter().find(|it| it.path == path).unwrap().used_bytes as usize;
        let expected: Vec<_> = bad.filter(|page| *page < used_bytes).into_iter().collect();
        assert_eq!(pages.collect::<Vec<_>>(), expected, "{what}: {:?}", survey.report);
        assert!(survey.is_whole(), "{what}: {:?}", survey.report);
        let bytes = disk.contents(path).unwrap();
        let (journal, report) = open(disk);
        let is_there = disk.paths().iter().any(|path| disk.contents(path).unwrap() == bytes);
        assert!(!is_there, "{what}: nor under the name of a file that is to be used again");
        assert_eq!(report.damage, [], "{what}: of what is not kept nothing can be");
        assert!(report.damage_not_kept.iter().any(|found| found.path == path), "{what}: and it is told");
        for (key, texts) in &whole.shards {
            let shard = journal.shard(*key).unwrap_or_else(|| panic!("{what}: {key} is gone"));
            assert_eq!(shard.tip, texts.len() as u64, "{what}: {key}");
            assert!(shard.damage.is_none(), "{what}: {key}: {:?}", shard.damage);
        }
        assert_eq!(segments(disk), *kept, "{what}: they went");
        // The page is not met again at the end of the log.
        fill_segments(&journal, whole.shards[0].0, 2);
        drop(journal);
        let (_, report) = open(disk);
        assert_eq!((report.damage, report.damage_not_kept), (Vec::new(), Vec::new()), "{what}: opened again");
    };
    for (path, page) in pages.into_iter().filter(|(path, _)| gone.contains(path)) {
        // Its frames are looked at as well, not its footer alone.
        let scanned = || flip(&dropped.with_names(), &path, (SEGMENT_BYTES as usize - 1) * 8);
        let disk = scanned();
        disk.add_bad_sectors(&path, page..page + PAGE).unwrap();
        check(&disk, &path, Some(page), &format!("the page at {page} of {}", path.display()));
        if page == 0 {
            let disk = flip(&dropped.with_names(), &path, 8);
            check(&disk.after_kill(1), &path, None, &format!("a bit of the head of {}", path.display()));
            disk.add_bad_sectors(&path, 0..PAGE).unwrap();
            check(&disk, &path, Some(0), &format!("the head alone of {}", path.display()));
        }
        let middle = page + PAGE / 2;
        let flipped = flip(&scanned(), &path, middle * 8);
        check(&flipped, &path, None, &format!("byte {middle} of {}", path.display()));
    }
}

#[test]
fn segments_that_are_not_kept_tell_of_the_shards_where_the_snapshot_behind_them_does_not_read() {
    let whole = Log::new(false);
    let dropped = Dropped::of(&whole, false);
    let ([other, needed], [kept]) = (&dropped.gone[..], &dropped.kept[..]) else { panic!("three segments") };
    let without_heads = flip(&flip(&dropped.with_names(), other, 0), needed, 0);
    let (journal, report) = open(&flip(&without_heads, kept, (PAGE + 100) * 8));
    let places = |damage: &[DamageFound]| -> Vec<_> {
        damage.iter().map(|found| (found.path.clone(), found.kind)).collect()
    };
    let (needed, kept) = ((needed.clone(), DamageKind::Head), (kept.clone(), DamageKind::Frame));
    assert_eq!(places(&report.damage)[..2], [needed, kept], "{report:?}");
    assert_eq!(places(&report.damage_not_kept), [(other.clone(), DamageKind::Head)], "{report:?}");
    for (key, _) in &whole.shards {
        assert!(journal.shard(*key).is_some(), "{key} is gone");
    }
}

/// All shards are there, and no number of theirs is given out twice.
fn assert_all_told(journal: &Journal, shards: &[Written], what: &str) {
    for (key, texts) in shards {
        let shard = journal.shard(*key).unwrap_or_else(|| panic!("{what}: {key} is gone"));
        assert_eq!(shard.tip, texts.len() as u64, "{what}: {key}");
    }
}

#[test]
fn a_segment_that_tells_of_the_shards_stays_until_a_later_one_does() {
    let whole = Log::new(false);
    let dropped = Dropped::of(&whole, false);
    let [kept] = &dropped.kept[..] else { panic!("{:?}", dropped.kept) };
    let mut disk = flip(&dropped.with_names(), kept, (PAGE + 100) * 8);
    let needed = [dropped.gone.last().unwrap().clone(), kept.clone()];
    // One whose name did not go at the start goes at the next retention, and nothing else.
    let left = disk.after_kill(1);
    left.fail_next(Operation::Rename, Errno::EIO);
    let (journal, _) = open(&left);
    assert_eq!(segments(&left).len(), needed.len() + 1);
    assert_eq!(retain(&journal, |_| Duration::ZERO, u64::MAX).segments_dropped, 1);
    assert_eq!(segments(&left), needed);
    for end in ["first", "killed", "killed again"] {
        let (journal, _) = open(&disk);
        assert_all_told(&journal, &whole.shards, end);
        assert_eq!(segments(&disk), needed, "{end}: only what is needed");
        retain(&journal, |_| Duration::ZERO, u64::MAX);
        assert_eq!(segments(&disk), needed, "{end}: nor does retention take it");
        disk = disk.after_kill(1);
    }
    let stay = |disk: &FaultDisk, expected: &[PathBuf]| {
        for depth in [Depth::Footers, Depth::Frames] {
            let survey = Survey::on(Arc::new(disk.clone()), Path::new("data"), depth).unwrap();
            let stay = survey.segments.iter().filter(|segment| segment.kept_for != KeptFor::Nothing);
            assert!(stay.clone().map(|segment| &segment.path).eq(expected), "{depth:?}: {survey:?}");
            let (records, shards) = (KeptFor::Records, KeptFor::Shards);
            let expected = if expected.len() == 2 { vec![shards, records] } else { vec![records] };
            assert!(stay.map(|segment| segment.kept_for).eq(expected), "{depth:?}: {survey:?}");
        }
    };
    stay(&disk, &needed);
    let rolled = disk.after_kill(1);
    let (journal, _) = open(&rolled);
    fill_segments(&journal, whole.shards[0].0, 1);
    assert_eq!(segments(&rolled)[..2], needed);
    assert_eq!(
        retain(&journal, |_| Duration::from_secs(3_600), 1).segments_dropped,
        1,
        "its footer tells as well"
    );
    let (again, _) = open(&rolled.after_kill(1));
    assert_all_told(&again, &whole.shards[1..], "rolled");
    let (journal, _) = open(&disk);
    journal.close();
    stay(&disk, &needed[1..]);
    let (journal, _) = open(&disk);
    assert_eq!(segments(&disk), dropped.kept);
    assert_all_told(&journal, &whole.shards, "closed");
}

#[test]
fn where_footers_are_not_believed_a_look_at_all_frames_calls_no_healthy_shard_damaged() {
    let whole = Log::new(true);
    let dropped = Dropped::of(&whole, true);
    let mut disk = flip(&dropped.with_names(), &dropped.kept[0], (PAGE + 100) * 8);
    dropped.gone.iter().for_each(|path| disk = flip(&disk, path, 8));
    for depth in [Depth::Footers, Depth::Frames] {
        let survey = Survey::on(Arc::new(disk.clone()), Path::new("data"), depth).unwrap();
        let damaged = survey.shards.iter().filter(|shard| shard.damage.is_some()).count();
        assert_eq!((survey.shards.len(), damaged), (whole.shards.len(), 0), "{depth:?}: {:?}", survey.report);
    }
}

#[test]
fn what_is_before_a_segment_that_tells_of_the_shards_stops_nobody() {
    let (disk, shards) = written([FILLERS, FILLERS].concat(), false);
    let whole = Log { disk, shards, places: Places::new(), what: String::new() };
    let dropped = Dropped::of(&whole, false);
    let ([first, between @ .., last], [kept]) = (&dropped.gone[..], &dropped.kept[..]) else {
        panic!("{:?} of {:?}", dropped.kept, dropped.gone)
    };
    assert!(!between.is_empty());
    let mute = flip(&dropped.with_names(), kept, (PAGE + 100) * 8);
    let scanned = flip(&mute, first, (SEGMENT_BYTES as usize - 1) * 8);
    let rotten = flip(&scanned, first, SEGMENT_BYTES as usize / 2 * 8);
    let holed = mute.after_kill(1);
    between.iter().for_each(|path| holed.lose_file(path).unwrap());
    for (disk, what) in [(rotten, "rotten"), (holed, "holed")] {
        let (journal, report) = open(&disk);
        assert!(report.damage.iter().all(|found| found.path == *kept), "{what}: {report:?}");
        assert_eq!(report.damage_not_kept.is_empty(), what == "holed", "{what}: {report:?}");
        assert_all_told(&journal, &whole.shards, what);
        let proven = |(key, _): &&Written| journal.shard(*key).unwrap().damage.is_none();
        assert!(whole.shards.iter().any(|shard| proven(&shard)), "{what}: {report:?}");
        assert_eq!(segments(&disk), [last.clone(), kept.clone()], "{what}");
    }
    mute.lose_file(last).unwrap();
    let refused = Journal::open(config(&mute), &Threads::new(), Clock::new()).unwrap_err();
    assert!(matches!(&refused, OpenError::NoSnapshot(path) if path == kept), "{refused}");
}

#[test]
fn the_first_of_all_tells_of_the_shards_without_a_snapshot() {
    let whole = Log::new(false);
    let dropped = Dropped::of(&whole, false);
    let mut disk = flip(&dropped.with_names(), &dropped.kept[0], (PAGE + 100) * 8);
    for path in &dropped.gone {
        disk = flip(&flip(&disk, path, (PAGE + 20) * 8), path, (SEGMENT_BYTES as usize - 1) * 8);
    }
    for _ in 0..2 {
        let (journal, _) = open(&disk);
        assert_all_told(&journal, &whole.shards, "all of them mute");
        disk = disk.after_kill(1);
    }
}

#[test]
fn retention_ends_at_a_segment_that_a_log_can_begin_with() {
    let whole = disk();
    let (journal, _) = open(&whole);
    let (short, kept) = (key(1, 0), key(2, 0));
    [short, kept].iter().for_each(|shard| open_shard(&journal, *shard));
    fill_segments(&journal, short, 1);
    append(&journal, kept, &["kept"]).unwrap();
    fill_segments(&journal, short, 2);
    let files = segments(&whole);
    journal.close();
    // The second file has neither snapshot nor footer, and the oldest record that is kept.
    let disk = flip(&flip(&whole, &files[1], (PAGE + 100) * 8), &files[1], (SEGMENT_BYTES as usize - 1) * 8);
    let hours = |shard| if shard == kept { Duration::from_secs(3_600) } else { Duration::ZERO };
    let (journal, _) = open(&disk);
    let dropped = retain(&journal, hours, Clock::new().wall().0 + 1).segments_dropped;
    assert_eq!((dropped, segments(&disk)), (0, files), "the first tells of the shards");
    let (again, report) = open(&disk.after_kill(1));
    assert!(report.damage.iter().all(|found| found.shards.is_empty()), "{report:?}");
    assert_eq!(read_all(&again, kept, 0).unwrap(), ["kept"]);
    assert!(retain(&journal, |_| Duration::ZERO, u64::MAX).segments_dropped > 1, "the newest tells as well");
    let (again, _) = open(&disk.after_kill(1));
    assert_eq!(append(&again, kept, &["next"]).unwrap().first, 1, "numbers go on");
}

#[test]
fn retention_does_not_say_that_what_is_needed_is_not_kept() {
    let whole = Log::new(false);
    let [_, second, newest] = &segments(&whole.disk)[..] else { panic!("three segments") };
    whole.disk.lose_file(second).unwrap();
    let disk = flip(&whole.disk, newest, (PAGE + 100) * 8);
    let (journal, _) = open(&disk);
    retain(&journal, |_| Duration::ZERO, u64::MAX);
    let (again, _) = open(&disk.after_kill(1)); // with a hole before what is kept, it would be refused
    for (key, _) in &whole.shards {
        assert!(again.shard(*key).is_some(), "{key} is gone");
    }
}

#[test]
fn a_read_that_fails_once_costs_nothing() {
    for clean in [true, false] {
        for passes in 0..10 {
            let log = Log { what: format!("clean {clean}, after {passes} reads"), ..Log::new(clean) };
            log.disk.fail_after(Operation::Read, passes, Errno::EIO);
            let opened = log.open();
            // Once all is recovered the tail is written again, and must be read for it.
            let refused =
                matches!(&opened, Err(OpenError::Storage(error)) if error.operation == "read the tail of");
            let (journal, report) = if refused { open(&log.disk) } else { opened.unwrap() };
            assert_eq!((report.damage, report.torn_tail), (Vec::new(), None), "{}", log.what);
            drop(journal);
            log.reads_again();
        }
    }
}

#[test]
fn heads_that_the_disk_does_not_give_are_not_called_gone() {
    let (disk, _) = written(FILLERS, true);
    for path in segments(&disk) {
        disk.add_bad_sectors(&path, 0..PAGE).unwrap();
    }
    let refused = Journal::open(config(&disk), &Threads::new(), Clock::new()).unwrap_err();
    let told = "read the head of data/segment-0000000000000001.log: Input/output error (os error 5)";
    assert_eq!(refused.to_string(), told);
}

#[test]
fn where_a_disk_gives_nothing_more_no_page_is_asked_for_by_itself_and_no_command_takes_the_rest() {
    let (disk, path) = (FaultDisk::new(1, 1 << 30), Path::new("file"));
    let file = disk.lay_out(path, 10 * PAGE_BYTES, true).unwrap();
    for bad in [1, 3, 4, 8] {
        disk.add_bad_sectors(path, bad * PAGE..(bad + 1) * PAGE).unwrap();
    }
    let found = |pages_left: &mut u32| {
        let mut bytes = vec![1; 10 * PAGE - 10];
        let found = salvage_at(file.as_ref(), 10, &mut bytes, pages_left).unwrap();
        let zeroed = found
            .iter()
            .map(|it| bytes[it.offset as usize - 10..][..it.bytes as usize].iter().all(|b| *b == 0));
        assert!(zeroed.into_iter().all(|is_zero| is_zero));
        found
    };
    let stretch = |page: u64, pages: u64, each_asked| {
        let (offset, bytes) = (page * PAGE_BYTES, pages * PAGE_BYTES);
        Unreadable { offset, bytes, errno: Errno::EIO, each_asked }
    };
    let each = [stretch(1, 1, true), stretch(3, 2, true), stretch(8, 1, true)];
    assert_eq!(found(&mut REFUSED_PAGES_MAX.clone()), each);
    let mut left = 2;
    assert_eq!(found(&mut left), [each[0], stretch(3, 1, true), stretch(4, 6, false)]);
    assert_eq!(left, 0);
}

#[test]
fn damage_that_is_new_stops_a_start_beside_such_a_page_and_damage_that_was_known_does_not() {
    let whole = Log::new(false);
    let files = segments(&whole.disk);
    let head = &(files[1].clone(), 0);
    let (_, frame) = whole.places.values().find(|(path, _)| *path == files[2]).unwrap();
    let rotten = Log { disk: flip(&whole.disk, &files[2], (frame.end - 1) * 8), ..whole.clone() };
    let refused = rotten.without(&[head]).open().unwrap_err();
    assert!(
        matches!(&refused, OpenError::Unreadable { path, offset: 0, .. } if *path == files[1]),
        "{refused}"
    );
    let (journal, report) = rotten.open().unwrap();
    assert_eq!(report.damage.len(), 1, "{report:?}");
    journal.close();
    let (_, report) = rotten.without(&[head]).open().unwrap();
    let kinds: Vec<_> = report.damage.iter().map(|found| found.kind).collect();
    assert_eq!(kinds, [DamageKind::Unreadable, DamageKind::Hole], "{report:?}");
}
