//! Pages that the disk does not give: named with file and offset, and nothing given up that may read another time.

use std::{
    io::IoSlice,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    damage::{Written, read_on, segments, written},
    *,
};
use crate::disk::{PAGE_BYTES, REFUSED_PAGES_MAX, read_what_reads_at};

const PAGE: usize = PAGE_BYTES as usize;
/// Bytes of the records: those that fill a segment, and some in the next.
const FILLERS: [usize; 14] = [5, 0, 2_000, 7_500, 7_500, 7_500, 7_500, 40, 30, 20, 10, 900, 0, 1];

/// A log of two segments in which one page does not read.
#[derive(Clone)]
struct Spoilt {
    disk: FaultDisk,
    shards: Vec<Written>,
    path: PathBuf,
    page: Range<usize>,
    is_last: bool,
    what: String,
}

/// What became of reading everything.
#[derive(Debug, Default)]
struct Told {
    /// Records that were not served.
    missing: usize,
    /// The errors that stood in their way.
    errors: Vec<ReadError>,
}

/// Every page of a log that was closed in order or killed, one after another.
fn each_page(clean: bool) -> impl Iterator<Item = Spoilt> {
    let (disk, shards) = written(FILLERS, clean);
    let files = segments(&disk);
    assert_eq!(files.len(), 2);
    let pages = files
        .clone()
        .into_iter()
        .flat_map(move |path| (0..SEGMENT_PAGES).map(move |page| (path.clone(), page)));
    pages.map(move |(path, page)| {
        let (disk, page) = (disk.after_kill(1), page * PAGE..(page + 1) * PAGE);
        disk.spoil(&path, page.clone()).unwrap();
        let what = format!("clean {clean}, {} from {}", path.display(), page.start);
        Spoilt { disk, shards: shards.clone(), is_last: path == files[1], path, page, what }
    })
}

const SEGMENT_PAGES: usize = SEGMENT_BYTES as usize / PAGE;

impl Spoilt {
    fn open(&self) -> Result<(Journal, RecoveryReport), OpenError> {
        Journal::open(config(&self.disk), &Threads::new(), Clock::new())
    }

    fn read(&self, journal: &Journal) -> Told {
        let mut told = Told::default();
        for written in &self.shards {
            let (read, stopped) = read_on(journal, written, &self.what);
            told.missing += written.1.len() - read;
            told.errors.extend(stopped);
        }
        told
    }

    /// Is the page named by `report`, as one that does not read?
    fn is_named_by(&self, report: &RecoveryReport) -> bool {
        let offset = self.page.start as u64;
        let mut unreadable = report.damage.iter().filter(|found| found.kind == DamageKind::Unreadable);
        unreadable.any(|found| found.path == self.path && found.offset == offset)
    }

    /// A look at all frames names the page if there is anything in it that counts, and everything else is listed as ever.
    fn verify(&self) {
        let survey = Survey::on(Arc::new(self.disk.clone()), Path::new("data"), Depth::Frames);
        let survey = survey.unwrap_or_else(|error| panic!("{}: {error}", self.what));
        assert_eq!((survey.segments.len(), survey.shards.len()), (2, 3), "{}", self.what);
        let segment = survey.segments.iter().find(|segment| segment.path == self.path).unwrap();
        let has_frames = (self.page.start as u64) < segment.used_bytes;
        assert_eq!(
            self.is_named_by(&survey.report),
            has_frames || self.is_last,
            "{}: {:?}",
            self.what,
            survey.report
        );
        let has_trailer = self.page.end == SEGMENT_BYTES as usize;
        assert_eq!(survey.is_whole(), !(has_frames || has_trailer || self.is_last), "{}", self.what);
    }

    /// What was refused is all there when the disk gives it again.
    fn reads_again(&self) {
        self.disk.mend();
        let (journal, report) = self.open().unwrap();
        assert_eq!((report.damage, report.torn_tail), (Vec::new(), None), "{}", self.what);
        assert_eq!(self.read(&journal).missing, 0, "{}", self.what);
    }

    /// Written over as the refusal says, the page is damaged like any other: what was in it is named, all else is served.
    fn goes_on_without_it(&self) {
        let file = self.disk.open(&self.path).unwrap();
        file.write_at(self.page.start as u64, &[IoSlice::new(&[0; PAGE])]).unwrap();
        match self.open() {
            Ok((journal, report)) => {
                let told = self.read(&journal);
                let named = !report.damage.is_empty() || report.torn_tail.is_some();
                assert!(told.missing == 0 || named, "{}: {told:?}", self.what);
                let damaged =
                    |error: &ReadError| matches!(error, ReadError::Damaged(_) | ReadError::NoShard { .. });
                assert!(told.errors.iter().all(damaged), "{}: {told:?}", self.what);
            }
            Err(error) => assert!(matches!(error, OpenError::NoSnapshot(_)), "{}: {error}", self.what),
        }
    }
}

#[test]
fn a_page_that_does_not_read_is_named_and_nothing_is_given_up_for_it() {
    let (mut refused, mut kept) = (0, 0);
    for spoilt in [true, false].into_iter().flat_map(each_page) {
        let what = &spoilt.what;
        spoilt.verify();
        match spoilt.open() {
            Ok((journal, _)) => {
                let told = spoilt.read(&journal);
                // A footer vouches for what lies in it, until somebody reads there.
                let by_name = |error: &ReadError| matches!(error, ReadError::Storage(error) if error.path == spoilt.path);
                assert!(told.errors.iter().all(by_name), "{what}: {told:?}");
                assert_eq!(told.missing == 0, told.errors.is_empty(), "{what}: {told:?}");
                kept += 1;
            }
            Err(OpenError::Unreadable { path, offset, bytes, source }) => {
                assert_eq!((path, offset), (spoilt.path.clone(), spoilt.page.start as u64), "{what}");
                assert!((1..=PAGE_BYTES).contains(&bytes), "{what}: {bytes}");
                assert_eq!(source.raw_os_error(), Some(Errno::EIO as i32), "{what}");
                Spoilt { disk: spoilt.disk.after_kill(1), ..spoilt.clone() }.goes_on_without_it();
                spoilt.reads_again();
                refused += 1;
            }
            Err(other) => panic!("{what}: {other}"),
        }
    }
    assert!(refused > SEGMENT_PAGES / 2 && kept > SEGMENT_PAGES, "{refused} refused, {kept} opened");
}

#[test]
fn a_read_that_fails_once_costs_nothing() {
    for clean in [true, false] {
        for passes in 0..8 {
            let (disk, shards) = written(FILLERS, clean);
            disk.fail_after(Operation::Read, passes, Errno::EIO);
            let what = format!("clean {clean}, after {passes} reads");
            let opened = Journal::open(config(&disk), &Threads::new(), Clock::new());
            // Once all is recovered the tail is written again, and must be read for it.
            let refused =
                matches!(&opened, Err(OpenError::Storage(error)) if error.operation == "read the tail of");
            let (journal, report) = if refused { open(&disk) } else { opened.unwrap() };
            assert_eq!((report.damage, report.torn_tail), (Vec::new(), None), "{what}");
            for written in &shards {
                assert_eq!(read_on(&journal, written, &what).0, written.1.len(), "{what}");
            }
        }
    }
}

#[test]
fn heads_that_all_do_not_read_are_no_heads_that_are_gone() {
    let (disk, _) = written(FILLERS, true);
    for path in segments(&disk) {
        disk.spoil(&path, 0..PAGE).unwrap();
    }
    let refused = Journal::open(config(&disk), &Threads::new(), Clock::new()).unwrap_err();
    let told = "read the head of data/segment-0000000000000001.log: Input/output error (os error 5)";
    assert_eq!(refused.to_string(), told);
}

#[test]
fn where_a_disk_gives_nothing_more_no_page_is_asked_for_by_itself() {
    let (disk, path) = (FaultDisk::new(1, 1 << 30), Path::new("file"));
    let pages = 2 * REFUSED_PAGES_MAX as usize;
    let file = disk.lay_out(path, (pages * PAGE) as u64, true).unwrap();
    disk.spoil(path, PAGE..pages * PAGE).unwrap();
    let before = disk.faults_happened();
    let mut bytes = vec![1; pages * PAGE - 10];
    let [unreadable] = &read_what_reads_at(file.as_ref(), 10, &mut bytes).unwrap()[..] else { panic!() };
    assert_eq!((unreadable.offset, unreadable.bytes), (PAGE_BYTES, ((pages - 1) * PAGE) as u64));
    assert_eq!(disk.faults_happened() - before, 2 + u64::from(REFUSED_PAGES_MAX));
    assert!(bytes.iter().all(|byte| *byte == 0));
}
