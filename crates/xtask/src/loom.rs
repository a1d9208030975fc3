//! `cargo xtask loom`: runs every loom model of weir-sync, and demands that loom finds every deliberately broken
//! variant. Called by people and by `cargo xtask test`. It must never count a variant as found for another reason than
//! the one in the table: a model that fails to build or to start proves nothing.

use std::env;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

mod variants;

use crate::cargo;
use variants::{VARIANTS, Variant};

/// Loom's bound on preemptions in one execution, unless the environment says more. Nearly all known interleaving bugs
/// need two or fewer; each further one makes the models take about nine times as long.
const PREEMPTIONS_MAX: &str = "2";
const PREEMPTIONS_VARIABLE: &str = "LOOM_MAX_PREEMPTIONS";

/// The slowest model takes two seconds; one that takes this long does not end.
const MODEL_WAIT_MAX: Duration = Duration::from_secs(120);
const MODEL_POLL: Duration = Duration::from_millis(5);

const MODULE: &str = "::loom_tests::";

/// Runs it all, prints a line for each model and variant, and fails when one is not as it should be.
pub(crate) fn run() -> anyhow::Result<()> {
    check_table()?;
    let mut tally = Tally::default();

    let clean = Build::new(&[])?;
    let models = clean.models()?;
    for model in &models {
        tally.count("model", model, clean.run_model(model)?.judge_clean());
    }
    for group in one_variant_a_primitive(VARIANTS) {
        let broken = Build::new(&group)?;
        for variant in group {
            ensure!(models.contains(&variant.model_path()), "{}: no model {}", variant.name, variant.model);
            let verdict = broken.run_model(&variant.model_path())?.judge_broken(variant);
            tally.count("broken", variant.name, verdict);
        }
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    ensure!(tally.failed == 0, "{} loom checks failed", tally.failed);
    Ok(())
}

/// A test binary of weir-sync under loom, sane or with some variants broken.
struct Build {
    binary: PathBuf,
    output: PathBuf,
    preemptions: String,
}

impl Build {
    /// `--cfg loom` is for every crate, so that loom is compiled once; `--cfg loom_broken` only for weir-sync. The
    /// profile is cargo's `test` without debug information and not `release`: the models run for a second in all,
    /// so the time goes to the compiler, which needs a third as long for this.
    fn new(broken: &[&Variant]) -> anyhow::Result<Self> {
        let target = cargo::target().join("loom");
        let mut rustflags = env::var("RUSTFLAGS").unwrap_or_default();
        rustflags.push_str(" --cfg loom");
        let mut cargo = cargo::cargo(&["rustc", "--quiet", "--package", "weir-sync", "--lib"]);
        cargo.args(["--profile", "test", "--message-format", "json-render-diagnostics", "--target-dir"]);
        cargo.arg(&target).arg("--");
        cargo.args(broken.iter().flat_map(|variant| ["--cfg".to_owned(), variant.cfg()]));
        cargo.env("RUSTFLAGS", rustflags).env_remove("CARGO_ENCODED_RUSTFLAGS");
        cargo.env("CARGO_PROFILE_TEST_DEBUG", "0").stderr(Stdio::inherit());
        let built = cargo.output().with_context(|| format!("start {cargo:?}"))?;
        ensure!(built.status.success(), "build weir-sync for loom: {}", built.status);
        let messages = String::from_utf8(built.stdout).context("read cargo's messages")?;
        let binary = executable(&messages).context("cargo named no test binary")?;
        let preemptions = env::var(PREEMPTIONS_VARIABLE).unwrap_or_else(|_| PREEMPTIONS_MAX.to_owned());
        Ok(Self { binary: binary.into(), output: target.join("model-output.txt"), preemptions })
    }

    /// The full paths of all models.
    fn models(&self) -> anyhow::Result<Vec<String>> {
        let listed = Command::new(&self.binary)
            .args(["--list", "--format", "terse"])
            .output()
            .with_context(|| format!("list the models of {}", self.binary.display()))?;
        ensure!(listed.status.success(), "list the models of {}: {}", self.binary.display(), listed.status);
        let listed = String::from_utf8(listed.stdout).context("read the list of models")?;
        let models: Vec<_> =
            listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
        ensure!(models.iter().any(|model| model.contains(MODULE)), "weir-sync has no loom models");
        Ok(models)
    }

    /// Runs one model in a process of its own: loom's panics may abort, and a hang must not take the others along.
    fn run_model(&self, model: &str) -> anyhow::Result<ModelRun> {
        let output = File::create(&self.output).with_context(|| self.on_output("create"))?;
        let mut child = Command::new(&self.binary)
            .args(["--exact", model, "--nocapture", "--test-threads=1"])
            .env(PREEMPTIONS_VARIABLE, &self.preemptions)
            .env("LOOM_LOCATION", "1")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(output.try_clone().with_context(|| self.on_output("share"))?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("start {}", self.binary.display()))?;
        let mut waited = Duration::ZERO;
        let exit = loop {
            if let Some(status) = child.try_wait().context("wait for the model")? {
                break if status.success() { Exit::Passed } else { Exit::Failed };
            }
            if waited >= MODEL_WAIT_MAX {
                child.kill().context("end the model")?;
                child.wait().context("wait for the model's end")?;
                break Exit::TooLong;
            }
            sleep(MODEL_POLL);
            waited += MODEL_POLL;
        };
        let output = fs::read_to_string(&self.output).with_context(|| self.on_output("read"))?;
        Ok(ModelRun { exit, output })
    }

    fn on_output(&self, operation: &str) -> String {
        format!("{operation} {}", self.output.display())
    }
}

enum Exit {
    Passed,
    Failed,
    TooLong,
}

/// How one model ended and all that it printed.
struct ModelRun {
    exit: Exit,
    output: String,
}

/// A sentence for the line of a check: `Ok` when it is as it should be, else with the output that shows it.
type Verdict = Result<String, String>;

impl ModelRun {
    fn judge_clean(&self) -> Verdict {
        match (&self.exit, executions(&self.output)) {
            (Exit::Passed, Some(count)) => Ok(format!("{count} executions")),
            (Exit::Passed, None) => Err(format!("passed without a count of executions\n{}", self.output)),
            (Exit::Failed, _) => Err(format!("loom found a fault\n{}", self.output)),
            (Exit::TooLong, _) => Err(format!("did not end in {MODEL_WAIT_MAX:?}\n{}", self.output)),
        }
    }

    fn judge_broken(&self, variant: &Variant) -> Verdict {
        match self.exit {
            Exit::Failed if self.output.contains(variant.found_as) => {
                Ok(format!("found by {}: {}", variant.model, variant.found_as))
            }
            Exit::Failed => Err(format!("failed, but not with {:?}\n{}", variant.found_as, self.output)),
            Exit::Passed => Err(format!("loom did not find it in {}\n{}", variant.model, self.output)),
            Exit::TooLong => Err(format!("did not end in {MODEL_WAIT_MAX:?}\n{}", self.output)),
        }
    }
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    fn count(&mut self, kind: &str, name: &str, verdict: Verdict) {
        let name = name.replace(MODULE, "::");
        match verdict {
            Ok(detail) => {
                self.passed += 1;
                println!("ok      {kind:6}  {name}  ({detail})");
            }
            Err(detail) => {
                self.failed += 1;
                println!("FAILED  {kind:6}  {name}  ({detail})");
            }
        }
    }
}

/// Groups so that no primitive has two broken variants in one build, and none that another one's model uses. Primitives do
/// not use each other, so one build can carry a fault in each, and 22 builds become 4; the commit path uses three of them,
/// and its faults share builds with the others'.
fn one_variant_a_primitive(variants: &[Variant]) -> Vec<Vec<&Variant>> {
    let mut groups: Vec<Vec<&Variant>> = Vec::new();
    for variant in variants {
        let free = groups.iter_mut().find(|group| group.iter().all(|other| variant.is_apart_from(other)));
        match free {
            Some(group) => group.push(variant),
            None => groups.push(vec![variant]),
        }
    }
    groups
}

/// Every broken variant in the sources is in the table, and the other way round: else a variant could rot unseen.
fn check_table() -> anyhow::Result<()> {
    let sources = cargo::root().join("crates/weir-sync/src");
    let mut in_sources = Vec::new();
    let mut folders = vec![sources];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
            let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
                in_sources.extend(broken_names(&text).map(str::to_owned));
            }
        }
    }
    for name in &in_sources {
        ensure!(
            VARIANTS.iter().any(|variant| variant.name == name),
            "{name} is not in the table of variants"
        );
    }
    for Variant { name, primitive, .. } in VARIANTS {
        if !in_sources.iter().any(|other| other == name) {
            bail!("{name} is in the table of variants, but not in the sources");
        }
        ensure!(name.starts_with(primitive), "{name} does not begin with its primitive, {primitive}");
    }
    Ok(())
}

/// The names in all `loom_broken = "name"` of a source text.
fn broken_names(text: &str) -> impl Iterator<Item = &str> {
    text.split("loom_broken = \"").skip(1).filter_map(|rest| rest.split('"').next())
}

/// The test binary in cargo's JSON messages. Found by its key: a JSON reader for one string would be one more crate.
fn executable(messages: &str) -> Option<&str> {
    messages.split("\"executable\":\"").nth(1)?.split('"').next()
}

/// What the model says of itself when it is done.
fn executions(output: &str) -> Option<u64> {
    output.lines().find_map(|line| line.rsplit_once("executions: "))?.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLOCK: Variant =
        Variant { primitive: "mailbox", name: "mailbox_x", model: "m", found_as: "deadlock", uses: &[] };

    #[test]
    fn the_table_names_exactly_the_variants_in_the_sources() {
        check_table().unwrap();
    }

    #[test]
    fn the_document_names_every_model_and_every_variant() {
        let root = cargo::root();
        let document = fs::read_to_string(root.join("docs/CONCURRENCY.md")).unwrap();
        let mut names: Vec<String> = VARIANTS.iter().map(|variant| variant.name.to_owned()).collect();
        for entry in fs::read_dir(root.join("crates/weir-sync/src")).unwrap() {
            let models = fs::read_to_string(entry.unwrap().path().join("loom_tests.rs")).unwrap_or_default();
            let tests = models.split("#[test]\nfn ").skip(1).filter_map(|rest| rest.split('(').next());
            names.extend(tests.map(str::to_owned));
        }
        assert!(names.len() > VARIANTS.len(), "no model was found");
        let missing: Vec<_> = names.iter().filter(|name| !document.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "docs/CONCURRENCY.md does not name {missing:?}");
    }

    #[test]
    fn a_group_holds_at_most_one_variant_of_a_primitive_and_all_are_in_some_group() {
        let groups = one_variant_a_primitive(VARIANTS);
        assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), VARIANTS.len());
        for group in groups {
            let mut primitives: Vec<_> = group.iter().map(|variant| variant.primitive).collect();
            primitives.sort_unstable();
            primitives.dedup();
            assert_eq!(primitives.len(), group.len());
            let used: Vec<_> = group.iter().flat_map(|variant| variant.uses).collect();
            assert!(
                !primitives.iter().any(|primitive| used.contains(&primitive)),
                "{primitives:?} and {used:?}"
            );
        }
    }

    #[test]
    fn a_broken_variant_counts_only_when_it_fails_for_its_own_reason() {
        let judge = |exit, output: &str| ModelRun { exit, output: output.to_owned() }.judge_broken(&DEADLOCK);
        assert!(judge(Exit::Failed, "panicked at x: deadlock; threads").is_ok());
        assert!(judge(Exit::Failed, "error while loading shared libraries").is_err());
        assert!(judge(Exit::Passed, "executions: 7").is_err());
        assert!(judge(Exit::TooLong, "deadlock").is_err());
    }

    #[test]
    fn a_clean_model_counts_only_when_it_passes_and_tells_its_executions() {
        let judge = |exit, output: &str| ModelRun { exit, output: output.to_owned() }.judge_clean();
        assert_eq!(judge(Exit::Passed, "test a::b ... executions: 77\nok"), Ok("77 executions".to_owned()));
        assert!(judge(Exit::Passed, "running 0 tests").is_err());
        assert!(judge(Exit::Failed, "executions: 77").is_err());
        assert!(judge(Exit::TooLong, "").is_err());
    }

    #[test]
    fn the_test_binary_is_found_in_cargos_messages() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":\"/t/deps/weir_sync-1\",\"fresh\":true}";
        assert_eq!(executable(messages), Some("/t/deps/weir_sync-1"));
        assert_eq!(executable("{\"executable\":null}"), None);
    }
}
