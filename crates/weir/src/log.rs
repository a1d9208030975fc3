//! `weir log`: what is in a data folder and where it is damaged, without changing a byte of it.
//!
//! `inspect` believes footers, as a start does; `verify` reads every frame. The looking is `weir-log`'s.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use weir_core::{calendar::timestamp, clock::WallMs};
use weir_log::{DamageFound, DamageKind, Depth, KeptFor, OpenError, SegmentSurvey, ShardStatus, Survey};

use crate::{
    exit::{self, Failure},
    say,
};

/// Where `weir serve` keeps its journal in a data folder. That of a node is a journal's.
pub(crate) const JOURNAL_FOLDER: &str = "log";

/// What to do with a journal.
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// What is in the log of a data folder: segments, shards, records, and what a start would find damaged.
    Inspect(LogArgs),
    /// The same, with every frame read and checked; exit code 1 when something is damaged.
    Verify(LogArgs),
}

/// Flags of both.
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    /// A data folder: of `weir serve`, or of a node. Nothing in it is changed; a server may be using it.
    folder: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &LogCommand) -> Result<u8, Failure> {
    let (args, depth) = match command {
        LogCommand::Inspect(args) => (args, Depth::Footers),
        LogCommand::Verify(args) => (args, Depth::Frames),
    };
    let inner = args.folder.join(JOURNAL_FOLDER);
    let folder = if inner.is_dir() { inner } else { args.folder.clone() };
    let survey = Survey::of(&folder, depth).map_err(|error| match error {
        OpenError::NoHead(_) => Failure::from(error), // it was looked at, and is damaged
        error => Failure::folder(error),
    })?;
    if survey.segments.is_empty() {
        return Err(Failure::usage(anyhow::anyhow!("{} holds no journal", folder.display())));
    }
    if args.json {
        say::json(&as_json(&folder, &survey))?;
    } else {
        say::text(as_text(&folder, &survey))?;
    }
    let is_asked = depth == Depth::Frames;
    Ok(if is_asked && !survey.is_whole() { exit::NOT_HELD } else { exit::HELD })
}

fn as_text(folder: &Path, survey: &Survey) -> String {
    let mut text = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{line}"); // a string takes everything
    };
    let (segments, shards) = (survey.segments.len(), survey.shards.len());
    let mib = survey.segment_bytes.unwrap_or(0) >> 20;
    line(format_args!(
        "{}: {segments} segments of {mib} MiB and {} spare, {shards} shards, {} records",
        folder.display(),
        survey.spares,
        survey.report.records
    ));
    if survey.covered > 0 {
        let covered = survey.covered;
        line(format_args!("{covered} more files are covered by rewritten segments and go at the next start"));
    }
    line(format_args!("\n{:>10}  {:<24}  {:>12}  read by", "segment", "begun", "bytes used"));
    for segment in &survey.segments {
        let begun = segment.begun.map_or_else(|| "head does not read".to_owned(), timestamp);
        line(format_args!(
            "{:>10}  {begun:<24}  {:>12}  {}{}{}",
            segment.number,
            segment.used_bytes,
            read_by(segment),
            stands_for(segment),
            kept_for(segment)
        ));
    }
    line(format_args!(
        "\n{:<12}  {:<14}  {:<20}  {:<20}  {:>12}  {:>12}  newest arrived",
        "account", "region", "stream", "shard", "oldest", "next"
    ));
    for shard in &survey.shards {
        let ShardStatus { owned, oldest, tip, last_arrived, damage } = shard;
        let newest = if *last_arrived == WallMs(0) { "-".to_owned() } else { timestamp(*last_arrived) };
        line(format_args!(
            "{:<12}  {:<14}  {:<20}  {:<20}  {oldest:>12}  {tip:>12}  {newest}{}{}",
            owned.account,
            owned.region,
            owned.stream_name,
            owned.key.shard,
            if owned.is_open() { "" } else { ", closed" },
            if damage.is_some() { ", damaged" } else { "" }
        ));
    }
    text.push_str(&damage_text(survey));
    text
}

/// What does not read, and what that comes to.
fn damage_text(survey: &Survey) -> String {
    let mut text = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{line}"); // a string takes everything
    };
    if let Some(torn) = &survey.report.torn_tail {
        line(format_args!(
            "\ntorn: {} bytes at byte {} of {}, cut off before they were acknowledged, or damaged since",
            torn.bytes,
            torn.offset,
            torn.path.display()
        ));
    }
    for found in &survey.report.damage {
        let stops = found.shards.iter().map(|key| format!(", stops {key}")).collect::<String>();
        line(format_args!(
            "\ndamaged: {} at byte {} of {}{stops}",
            what(found.kind),
            found.offset,
            found.path.display()
        ));
    }
    for found in &survey.report.damage_not_kept {
        line(format_args!(
            "\nin what is no longer kept: {} at byte {} of {}",
            what(found.kind),
            found.offset,
            found.path.display()
        ));
    }
    for damage in survey.shards.iter().filter_map(|shard| shard.damage.as_ref()) {
        line(format_args!("{damage}"));
    }
    if survey.is_whole() {
        let what = if survey.report.torn_tail.is_some() { "nothing else" } else { "nothing" };
        let kept = if survey.report.damage_not_kept.is_empty() { "" } else { " that is kept" };
        line(format_args!("\n{what}{kept} is damaged"));
    }
    text
}

fn stands_for(segment: &SegmentSurvey) -> String {
    match segment.stands_for {
        None => String::new(),
        Some(1) => ", rewritten".to_owned(),
        Some(segments) => format!(", rewritten for {segments}"),
    }
}

fn read_by(segment: &SegmentSurvey) -> &'static str {
    match (segment.has_footer, segment.was_scanned) {
        (true, false) => "its footer",
        (true, true) => "footer and frames",
        (false, _) => "its frames",
    }
}

fn kept_for(segment: &SegmentSurvey) -> &'static str {
    match segment.kept_for {
        KeptFor::Records => "",
        KeptFor::Shards => ", kept only for what shards there were",
        KeptFor::Nothing => ", no longer kept",
    }
}

fn kept_for_word(kept_for: KeptFor) -> &'static str {
    match kept_for {
        KeptFor::Records => "records",
        KeptFor::Shards => "shards",
        KeptFor::Nothing => "nothing",
    }
}

fn what(kind: DamageKind) -> &'static str {
    match kind {
        DamageKind::Head => "the head (no record is lost by it)",
        DamageKind::Footer => "the footer (no record is lost by it)",
        DamageKind::Frame => "a frame does not read",
        DamageKind::Unreadable => "the disk does not give what is there",
        DamageKind::Truncated => "the file is cut short",
        DamageKind::Missing => "the file is missing",
        DamageKind::Hole => "records are missing",
    }
}

fn as_json(folder: &Path, survey: &Survey) -> Value {
    let segment = |segment: &SegmentSurvey| {
        json!({
            "file": segment.path, "number": segment.number, "begun_ms": segment.begun.map(|begun| begun.0),
            "used_bytes": segment.used_bytes, "footer": segment.has_footer, "scanned": segment.was_scanned,
            "dropped": segment.kept_for == KeptFor::Nothing, "kept_for": kept_for_word(segment.kept_for),
            "rewritten_for": segment.stands_for,
        })
    };
    let shard = |shard: &ShardStatus| {
        let ShardStatus { owned, oldest, tip, last_arrived, damage } = shard;
        json!({
            "account": owned.account.to_string(), "region": owned.region.as_str(),
            "stream": owned.stream_name.as_str(), "shard": owned.key.shard.to_string(),
            "oldest": oldest, "next": tip, "newest_arrived_ms": last_arrived.0, "closed": !owned.is_open(),
            "damage": damage.as_ref().map(ToString::to_string),
        })
    };
    let damage = |found: &DamageFound| {
        let shards: Vec<String> = found.shards.iter().map(ToString::to_string).collect();
        json!({"file": found.path, "offset": found.offset, "what": what(found.kind), "shards": shards})
    };
    let torn = survey.report.torn_tail.as_ref();
    json!({
        "folder": folder,
        "segment_bytes": survey.segment_bytes,
        "spares": survey.spares,
        "covered": survey.covered,
        "segments": survey.segments.iter().map(segment).collect::<Vec<_>>(),
        "shards": survey.shards.iter().map(shard).collect::<Vec<_>>(),
        "records": survey.report.records,
        "torn": torn.map(|torn| json!({"file": torn.path, "offset": torn.offset, "bytes": torn.bytes})),
        "damage": survey.report.damage.iter().map(damage).collect::<Vec<_>>(),
        "damage_not_kept": survey.report.damage_not_kept.iter().map(damage).collect::<Vec<_>>(),
        "whole": survey.is_whole(),
    })
}
