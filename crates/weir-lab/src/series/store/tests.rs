//! A result must come back as it was written, and damage must be told, never skipped.

use proptest::prelude::*;

use super::*;
use crate::series::{
    At, HostPart, HostStall, LatencyOf, LoadWindow, Outcome,
    synthetic::{Recipe, five_arms, header},
};

/// Writes a series as the recorder does: record by record.
fn write(folder: &ResultFolder, series: &ArmSeries) {
    let mut writer = folder.write_arm(&series.setup).unwrap();
    let mut records: Vec<Record> = series.servers.iter().cloned().map(Record::Server).collect();
    for phase in &series.phases {
        records.push(Record::Phase(super::super::Phase { end: None, ..phase.clone() }));
        records.push(Record::Phase(phase.clone()));
    }
    records.extend(series.events.iter().cloned().map(Record::Event));
    records.extend(series.samples.iter().cloned().map(Record::Sample));
    records.extend(series.control.iter().cloned().map(Record::Control));
    records.extend(series.load.iter().cloned().map(Record::Load));
    records.extend(series.consumers.iter().cloned().map(Record::Consumer));
    records.extend(series.host_stalls.iter().copied().map(Record::HostStall));
    records.extend(series.integrity.map(Record::Integrity));
    for record in records {
        writer.write(&record).unwrap();
    }
    writer.flush().unwrap();
}

fn written(series: &ArmSeries) -> (tempfile::TempDir, ResultFolder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = ResultFolder::create(dir.path(), &header()).unwrap();
    write(&folder, series);
    (dir, folder)
}

#[test]
fn five_arms_come_back_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let folder = ResultFolder::create(dir.path(), &header()).unwrap();
    let mut arms = five_arms();
    let mut again = arms[0].clone();
    again.setup.repeat = 1;
    again.host_stalls = vec![HostStall { at: At(1_500), length_ms: 700, part: HostPart::Disk }];
    for series in arms.iter().rev() {
        write(&folder, series);
    }
    write(&folder, &again);
    arms.insert(1, again);
    let recorded = ResultFolder::open(dir.path()).unwrap().read().unwrap();
    assert_eq!(recorded.header, header());
    assert_eq!(recorded.torn, Vec::<PathBuf>::new());
    assert_eq!(recorded.arms.len(), 6);
    for (read, wrote) in recorded.arms.iter().zip(&arms) {
        assert!(read == wrote, "{} repeat {} differs", wrote.setup.arm, wrote.setup.repeat);
    }
}

#[test]
fn a_torn_last_line_is_cut_and_reported() {
    let series = Recipe::shared().play();
    let (_dir, folder) = written(&series);
    for name in ["series.ndjson", "latency.hdr"] {
        let path = folder.path().join("arms/shared-0").join(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    }
    let recorded = folder.read().unwrap();
    assert_eq!(recorded.torn.len(), 2);
    assert_eq!(recorded.arms[0].integrity, None, "the last record was the torn one");
    assert_eq!(recorded.arms[0].samples, series.samples);
    let parts = |s: &ArmSeries| s.load.iter().map(|w| w.latency.len()).sum::<usize>();
    assert_eq!(parts(&recorded.arms[0]) + 1, parts(&series));
}

#[test]
fn a_broken_line_in_the_middle_is_an_error_with_its_number() {
    for (name, line) in [("series.ndjson", 7), ("latency.hdr", 5)] {
        let (_dir, folder) = written(&Recipe::cellular().play());
        let path = folder.path().join("arms/cellular-0").join(name);
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines[line - 1] = "{\"kind\":\"nonsense\"}";
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        match folder.read() {
            Err(StoreError::Line { path: named, line: number, .. }) => {
                assert_eq!((named, number), (path, line));
            }
            other => panic!("{name}: {:?}", other.map(|_| "read")),
        }
    }
}

#[test]
fn a_row_of_a_server_that_was_never_declared_is_an_error() {
    let mut series = Recipe::shared().play();
    series.servers.pop();
    let (_dir, folder) = written(&series);
    let error = folder.read().unwrap_err().to_string();
    assert!(error.contains("a row names server 47, but only 47 are declared"), "{error}");
}

#[test]
fn a_folder_without_a_header_is_no_result() {
    let dir = tempfile::tempdir().unwrap();
    let error = ResultFolder::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("run.json"), "{error}");
}

#[test]
fn an_arm_with_an_awkward_name_stays_within_the_folder() {
    assert_eq!(folder_name("../cellular", 2), "%2e%2e%2fcellular-2");
    assert_eq!(folder_name("cache-fleet", 0), "cache-fleet-0");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_window_of_latencies_survives_the_log(
        operation in "\\PC{1,12}",
        tenant in proptest::option::of("\\PC{1,12}"),
        values in proptest::collection::vec((1u64..3_600_000_000, 1u64..9), 0..40),
        at in 0u64..10_000_000,
    ) {
        let mut histogram = LatencyOf::histogram();
        for (value, count) in values {
            histogram.record_n(value, count).unwrap();
        }
        let mut window = LoadWindow { at: At(at), length_ms: 500, ..LoadWindow::default() };
        window.outcomes.push(Outcome { operation: operation.clone(), error: None, count: 1 });
        window.latency.push(LatencyOf::new(operation, tenant, &histogram));
        let lines = latency_log::lines(&window);
        let mut read = [LoadWindow { latency: Vec::new(), ..window.clone() }];
        for line in lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            latency_log::take_line(line, &mut read).unwrap();
        }
        prop_assert_eq!(&read[0], &window);
    }
}
