//! What criterion measured, as a table in which every way of doing some work stands beside its baseline.
//!
//! Reads the samples that criterion leaves on disk, of one run or of several. A median stands with the tenth and the
//! ninetieth percentile of all samples; a ratio is taken within each run, where both sides met the same neighbours.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context;
use serde::{Deserialize, de::DeserializeOwned};

/// What a baseline's name begins with: `weir_benches::BASELINE`, which no tool may depend on.
const BASELINE: &str = "baseline";

/// One case of one run.
#[derive(Debug)]
pub(crate) struct Case {
    name: Name,
    per_iteration: Option<PerIteration>,
    /// Nanoseconds an iteration, one for each sample, in order of size.
    nanos: Vec<f64>,
    written: SystemTime,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    group: String,
    work: String,
    way: String,
}

/// `benchmark.json`, as far as it is read here.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    throughput: Option<PerIteration>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
enum PerIteration {
    Bytes(u64),
    Elements(u64),
}

/// `sample.json`, as far as it is read here.
#[derive(Deserialize)]
struct Sample {
    iters: Vec<f64>,
    times: Vec<f64>,
}

/// All cases below a run's folder, in the order in which they ran.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
            let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with("new/benchmark.json") {
                cases.push(case(&path, &path.with_file_name("sample.json"))?);
            }
        }
    }
    cases.sort_by_key(|case| case.written);
    Ok(cases)
}

fn case(benchmark: &Path, sample: &Path) -> anyhow::Result<Case> {
    let Benchmark { group_id, function_id, value_str, throughput } = json(benchmark)?;
    let Sample { iters, times } = json(sample)?;
    let mut nanos: Vec<f64> = times.iter().zip(&iters).map(|(time, iters)| time / iters).collect();
    nanos.sort_by(f64::total_cmp);
    let written = fs::metadata(sample).and_then(|metadata| metadata.modified());
    Ok(Case {
        name: Name {
            group: group_id,
            work: value_str.unwrap_or_default(),
            way: function_id.unwrap_or_default(),
        },
        per_iteration: throughput,
        nanos,
        written: written.with_context(|| format!("time of {}", sample.display()))?,
    })
}

fn json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("understand {}", path.display()))
}

/// The table over all runs, a line a case, in the order of the first run.
pub(crate) fn markdown(runs: &[Vec<Case>]) -> String {
    let mut pooled: BTreeMap<&Name, Vec<f64>> = BTreeMap::new();
    let mut ratios: BTreeMap<&Name, Vec<f64>> = BTreeMap::new();
    for run in runs {
        for case in run {
            pooled.entry(&case.name).or_default().extend(&case.nanos);
            let baseline = run.iter().find(|other| {
                (&other.name.group, &other.name.work) == (&case.name.group, &case.name.work)
                    && other.name.way.starts_with(BASELINE)
            });
            if let Some(baseline) = baseline.filter(|baseline| baseline.name != case.name) {
                let ratio = quantile(&baseline.nanos, 0.5) / quantile(&case.nanos, 0.5);
                ratios.entry(&case.name).or_default().push(ratio);
            }
        }
    }
    let mut text = "| bench | work | way | median [p10..p90] | a second | against the baseline |\n\
                    | --- | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for case in runs.first().into_iter().flatten() {
        let Name { group, work, way } = &case.name;
        let nanos = pooled.get_mut(&case.name).expect("every case was pooled");
        nanos.sort_by(f64::total_cmp);
        let median = quantile(nanos, 0.5);
        let spread = format!("[{}..{}]", time(quantile(nanos, 0.1)), time(quantile(nanos, 0.9)));
        let rate = case.per_iteration.map(|per_iteration| rate(per_iteration, median)).unwrap_or_default();
        let ratio = ratios.get_mut(&case.name).map(|ratios| times(ratios)).unwrap_or_default();
        writeln!(text, "| {group} | {work} | {way} | {} {spread} | {rate} | {ratio} |", time(median))
            .expect("a string takes all that is written to it");
    }
    text
}

/// Of sorted values; the nearest.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// How many times faster than the baseline: over runs, the median and the bounds.
fn times(ratios: &mut [f64]) -> String {
    ratios.sort_by(f64::total_cmp);
    let (least, most) = (quantile(ratios, 0.0), quantile(ratios, 1.0));
    let median = quantile(ratios, 0.5);
    if ratios.len() == 1 {
        format!("{median:.2} x")
    } else {
        format!("{median:.2} x [{least:.2}..{most:.2}]")
    }
}

fn time(nanos: f64) -> String {
    scaled(nanos, &[(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")])
}

fn rate(per_iteration: PerIteration, nanos: f64) -> String {
    const BYTES: [(f64, &str); 3] = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    const ELEMENTS: [(f64, &str); 3] = [(1e6, "M"), (1e3, "k"), (1.0, "")];
    let (count, units) = match per_iteration {
        PerIteration::Bytes(count) => (count, &BYTES),
        PerIteration::Elements(count) => (count, &ELEMENTS),
    };
    scaled(count as f64 * 1e9 / nanos, units)
}

/// Three digits that mean something, in the largest unit that leaves one before the point.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = units.iter().find(|(size, _)| value >= *size);
    let (size, unit) = *fits.or(units.last()).expect("there is a unit");
    let value = value / size;
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(way: &str, nanos: &[f64]) -> Case {
        Case {
            name: Name { group: "routing".into(), work: "64 shards".into(), way: way.into() },
            per_iteration: Some(PerIteration::Elements(500)),
            nanos: nanos.to_vec(),
            written: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_ratio_is_taken_within_each_run_and_samples_over_all() {
        let quiet = vec![case("weir", &[100.0, 200.0, 300.0]), case("baseline", &[800.0])];
        let noisy = vec![case("weir", &[2_000.0]), case("baseline", &[4_000.0])];
        let text = markdown(&[quiet, noisy]);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            lines[0],
            "| routing | 64 shards | weir | 300 ns [100 ns..2.00 us] | 1667 M | 4.00 x [2.00..4.00] |"
        );
        assert_eq!(lines[1], "| routing | 64 shards | baseline | 4.00 us [800 ns..4.00 us] | 125 M |  |");
    }

    #[test]
    fn a_baseline_of_other_work_is_no_baseline() {
        let mut other = case("baseline", &[800.0]);
        other.name.work = "1 shard".into();
        let text = markdown(&[vec![case("weir", &[100.0]), other]]);
        assert!(!text.contains(" x "), "{text}");
    }

    #[test]
    fn what_criterion_wrote_is_read() {
        let benchmark = r#"{"group_id":"g","function_id":"f","value_str":null,
            "throughput":{"Bytes":1024},"full_id":"g/f","directory_name":"g/f","title":"g/f"}"#;
        let benchmark: Benchmark = serde_json::from_str(benchmark).unwrap();
        assert!(matches!(benchmark.throughput, Some(PerIteration::Bytes(1_024))));
        let sample: Sample =
            serde_json::from_str(r#"{"sampling_mode":"Linear","iters":[1.0,2.0],"times":[5.0,8.0]}"#)
                .unwrap();
        assert_eq!(sample.iters.len(), sample.times.len());
    }
}
