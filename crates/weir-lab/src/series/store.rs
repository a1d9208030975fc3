//! A result's folder: `run.json`, and for each arm `arms/NAME-REPEAT/series.ndjson` with `latency.hdr` beside it.
//!
//! Written line by line while an arm runs (so that a run cut short can still be read), read back whole by `weir report`
//! and `weir compare`. A torn last line is cut and reported; any other line that does not parse is an error that names
//! file and line: nothing is skipped in silence. Judgements are stored beside the series, never read back.

mod latency_log;

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{ArmSeries, ArmSetup, Record, RunHeader};

/// Bytes of one line of a series. A setup with a thousand tenants stays below one mebibyte.
const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What reading or writing a result can meet.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{operation} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line that is no record.
    #[error("{}:{line}: {problem}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A folder that is no result.
    #[error("{} is not the folder of a result: {problem}", .path.display())]
    NotAResult {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        problem: String,
    },
}

/// A result's folder.
#[derive(Debug, Clone)]
pub struct ResultFolder {
    path: PathBuf,
}

/// A result, read back.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// What all arms share.
    pub header: RunHeader,
    /// The arms, in the order of their names' first appearance, then of their repeats.
    pub arms: Vec<ArmSeries>,
    /// Files whose last line was torn (a run cut short), for a warning.
    pub torn: Vec<PathBuf>,
}

impl ResultFolder {
    /// Makes the folder and writes its header.
    pub fn create(path: &Path, header: &RunHeader) -> Result<Self, StoreError> {
        let arms = path.join("arms");
        fs::create_dir_all(&arms).map_err(|source| io_error("create folder", &arms, source))?;
        let folder = Self { path: path.to_owned() };
        let text = serde_json::to_string_pretty(header).expect("a header has text keys only");
        folder.write("run.json", &text)?;
        Ok(folder)
    }

    /// Opens a folder that holds a result.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if path.join("run.json").is_file() {
            return Ok(Self { path: path.to_owned() });
        }
        Err(StoreError::NotAResult { path: path.to_owned(), problem: "it has no run.json".to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file of the folder (`summary.json`, `report.html`) in one step: it is there whole or not at all.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, StoreError> {
        let path = self.path.join(name);
        let partial = self.path.join(format!(".{name}.partial"));
        fs::write(&partial, text).map_err(|source| io_error("write", &partial, source))?;
        fs::rename(&partial, &path).map_err(|source| io_error("rename to", &path, source))?;
        Ok(path)
    }

    /// Starts an arm's files. An arm of the same name and repeat is written over.
    pub fn write_arm(&self, setup: &ArmSetup) -> Result<SeriesWriter, StoreError> {
        let folder = self.path.join("arms").join(folder_name(&setup.arm, setup.repeat));
        fs::create_dir_all(&folder).map_err(|source| io_error("create folder", &folder, source))?;
        let mut writer = SeriesWriter {
            series: Sink::create(folder.join("series.ndjson"))?,
            latency: Sink::create(folder.join("latency.hdr"))?,
        };
        let comment = "#[latencies from intended start, microseconds; tags are operation/tenant]\n";
        writer.latency.put(comment.as_bytes())?;
        writer.write(&Record::Setup(Box::new(setup.clone())))?;
        Ok(writer)
    }

    /// Reads everything back.
    pub fn read(&self) -> Result<Recorded, StoreError> {
        let header = self.path.join("run.json");
        let text = fs::read_to_string(&header).map_err(|source| io_error("read", &header, source))?;
        let header: RunHeader = serde_json::from_str(&text).map_err(|e| StoreError::NotAResult {
            path: self.path.clone(),
            problem: format!("run.json: {e}"),
        })?;
        let mut arms = Vec::new();
        let mut torn = Vec::new();
        for folder in self.arm_folders()? {
            arms.push(read_arm(&folder, &mut torn)?);
        }
        arms.sort_by_key(|arm| (arm.setup.order, arm.setup.repeat));
        Ok(Recorded { header, arms, torn })
    }

    fn arm_folders(&self) -> Result<Vec<PathBuf>, StoreError> {
        let path = self.path.join("arms");
        let entries = fs::read_dir(&path).map_err(|source| io_error("list", &path, source))?;
        let mut folders = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| io_error("list", &path, source))?.path();
            if entry.join("series.ndjson").is_file() {
                folders.push(entry);
            }
        }
        folders.sort();
        Ok(folders)
    }
}

/// Writes one arm's series as it comes.
#[derive(Debug)]
pub struct SeriesWriter {
    series: Sink,
    latency: Sink,
}

impl SeriesWriter {
    /// Writes one record (and the latencies of a load window beside it).
    pub fn write(&mut self, record: &Record) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(record).expect("a record has text keys only");
        line.push(b'\n');
        self.series.put(&line)?;
        if let Record::Load(window) = record {
            self.latency.put(&latency_log::lines(window))?;
        }
        Ok(())
    }

    /// Brings what was written to the file system. Call it once a window, so that a run cut short keeps what it had.
    pub fn flush(&mut self) -> Result<(), StoreError> {
        self.series.flush()?;
        self.latency.flush()
    }
}

/// A file that is written from its start, with its name for errors.
#[derive(Debug)]
struct Sink {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Sink {
    fn create(path: PathBuf) -> Result<Self, StoreError> {
        match File::create(&path) {
            Ok(file) => Ok(Self { path, file: BufWriter::new(file) }),
            Err(source) => Err(io_error("create", &path, source)),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(|source| io_error("write", &self.path, source))
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.file.flush().map_err(|source| io_error("write", &self.path, source))
    }
}

fn read_arm(folder: &Path, torn: &mut Vec<PathBuf>) -> Result<ArmSeries, StoreError> {
    let path = folder.join("series.ndjson");
    let mut series: Option<ArmSeries> = None;
    let complete = each_line(&path, |line, number| {
        let record: Record = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        match (&mut series, record) {
            (None, Record::Setup(setup)) => series = Some(ArmSeries::new(*setup)),
            (None, _) => return Err("the first record must be the setup".to_owned()),
            (Some(_), Record::Setup(_)) => return Err(format!("a second setup at record {number}")),
            (Some(series), record) => series.push(record),
        }
        Ok(())
    })?;
    if !complete {
        torn.push(path.clone());
    }
    let mut series = series.ok_or_else(|| StoreError::NotAResult {
        path: folder.to_owned(),
        problem: "series.ndjson holds no setup".to_owned(),
    })?;
    check_servers(&series).map_err(|problem| StoreError::NotAResult { path: folder.to_owned(), problem })?;
    let path = folder.join("latency.hdr");
    let complete = each_line(&path, |line, _| latency_log::take_line(line, &mut series.load))?;
    if !complete {
        torn.push(path);
    }
    Ok(series)
}

/// Servers are numbered in their order and every row names one of them: readers index by that number.
fn check_servers(series: &ArmSeries) -> Result<(), String> {
    for (position, server) in series.servers.iter().enumerate() {
        if server.id.0 as usize != position {
            return Err(format!("server {} is number {} but comes as {position}", server.name, server.id.0));
        }
    }
    let known = series.servers.len();
    let samples = series.samples.iter().map(|s| s.server);
    let events = series.events.iter().map(|e| e.server);
    match samples.chain(events).find(|id| id.0 as usize >= known) {
        Some(id) => Err(format!("a row names server {}, but only {known} are declared", id.0)),
        None => Ok(()),
    }
}

/// Calls `take` with every whole line; false when the file ends within one (a writer was stopped in the middle).
fn each_line(
    path: &Path,
    mut take: impl FnMut(&[u8], usize) -> Result<(), String>,
) -> Result<bool, StoreError> {
    let file = File::open(path).map_err(|source| io_error("open", path, source))?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let limit = LINE_BYTES_MAX as u64;
        let read = io::Read::take(&mut reader, limit)
            .read_until(b'\n', &mut line)
            .map_err(|source| io_error("read", path, source))?;
        if read == 0 {
            break;
        }
        if line.pop_if(|last| *last == b'\n').is_none() {
            if read as u64 == limit {
                let problem = format!("a line of more than {LINE_BYTES_MAX} bytes");
                return Err(StoreError::Line { path: path.to_owned(), line: number, problem });
            }
            return Ok(false);
        }
        take(&line, number).map_err(|problem| StoreError::Line {
            path: path.to_owned(),
            line: number,
            problem,
        })?;
    }
    Ok(true)
}

/// The arm's folder name: letters, digits, `-` and `_` stay, everything else becomes its hexadecimal bytes.
fn folder_name(arm: &str, repeat: u32) -> String {
    let mut name = String::new();
    for byte in arm.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    format!("{name}-{repeat}")
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
