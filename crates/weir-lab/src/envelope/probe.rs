//! Proves kinds of envelope: makes one, puts a child in, lets the kernel refuse it a thread, and removes it.
//!
//! A kind counts as working only when the kernel refused exactly the thread after the last allowed one, with EAGAIN. Asked
//! at the start of a run and by `weir limits`.

use std::{fmt, path::Path};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use serde::{Deserialize, Serialize};

use super::{
    EnvelopeError, EnvelopeKind, EnvelopeLimits, Envelopes, count_threads, thread_count::ThreadCount,
    user_namespace::obstacle,
};

/// The limit that a probe sets: small, yet more than any program starts with by itself.
const PROBE_THREADS_MAX: u32 = 24;
/// Where the child gives up when no limit binds.
const PROBE_THREADS_TRIED: u32 = 2 * PROBE_THREADS_MAX;

/// How one kind of envelope did on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeOutcome {
    /// The kind.
    pub kind: EnvelopeKind,
    /// Did the kernel hold the limit, to the integer?
    pub works: bool,
    /// What was seen, or what went wrong.
    pub detail: String,
    /// What to change on this host for it to work, where we know.
    pub mend: Option<String>,
}

/// No kind of envelope works on this host: no run can be honest here.
#[derive(Debug, Clone)]
pub struct NoEnvelope {
    /// All kinds with their reasons.
    pub tried: Vec<ProbeOutcome>,
}

impl std::error::Error for NoEnvelope {}

impl fmt::Display for NoEnvelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no kernel limit on the threads of one server can be set here.")?;
        for outcome in &self.tried {
            write!(f, "\n  {}: {}", outcome.kind, outcome.detail)?;
            if let Some(mend) = &outcome.mend {
                write!(f, "\n    to change that: {mend}")?;
            }
        }
        Ok(())
    }
}

/// Tries every kind. `weir` is the binary that knows the hidden commands. What asks this process to end meanwhile (Ctrl-C)
/// waits until the last kind is put back, and then ends it as it would have. Call it from a process with one thread.
pub fn probe_all(weir: &Path) -> Vec<ProbeOutcome> {
    let _held = EndHeld::new();
    EnvelopeKind::ALL.into_iter().map(|kind| probe(kind, weir).0).collect()
}

/// While it lives, the signals that ask for an end wait: a kind that is being tried stands in the host's own tree.
struct EndHeld {
    before: Option<SigSet>,
}

impl EndHeld {
    fn new() -> Self {
        let held: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
        // The call knows only a wrong `how` as an error.
        Self { before: held.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok() }
    }
}

impl Drop for EndHeld {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // As above.
            let _ = before.thread_set_mask();
        }
    }
}

pub(super) fn find(weir: &Path) -> Result<(Envelopes, Vec<ProbeOutcome>), NoEnvelope> {
    let mut tried = Vec::new();
    for kind in EnvelopeKind::ALL {
        let (outcome, envelopes) = probe(kind, weir);
        tried.push(outcome);
        if let Some(envelopes) = envelopes {
            return Ok((envelopes, tried));
        }
    }
    Err(NoEnvelope { tried })
}

/// Proves one kind; hands its ground back when it holds.
fn probe(kind: EnvelopeKind, weir: &Path) -> (ProbeOutcome, Option<Envelopes>) {
    let outcome = |works, detail: String, mend| ProbeOutcome { kind, works, detail, mend };
    let envelopes = match Envelopes::plant(kind) {
        Ok(envelopes) => envelopes,
        Err(error) => {
            // No permission helps where no such hierarchy is mounted.
            let nothing_to_permit =
                kind == EnvelopeKind::CgroupV1 && matches!(error, EnvelopeError::NoController { .. });
            let mend = if nothing_to_permit { None } else { mend(kind) };
            return (outcome(false, error.to_string(), mend), None);
        }
    };
    match count_inside(&envelopes, weir) {
        Ok(ThreadCount { threads: PROBE_THREADS_MAX, errno: Some(nix::libc::EAGAIN) }) => {
            let detail = format!("the kernel refused thread {} with EAGAIN", PROBE_THREADS_MAX + 1);
            (outcome(true, detail, None), Some(envelopes))
        }
        Ok(ThreadCount { threads, errno: Some(errno) }) => {
            let detail = format!(
                "a limit of {PROBE_THREADS_MAX} threads refused after {threads} (errno {errno}): it is not this \
                 server's alone"
            );
            (outcome(false, detail, mend(kind)), None)
        }
        Ok(ThreadCount { threads, errno: None }) => {
            let why = if nix::unistd::geteuid().is_root() { ": root is not bound by it" } else { "" };
            let detail = format!("a limit of {PROBE_THREADS_MAX} threads let {threads} through{why}");
            (outcome(false, detail, None), None)
        }
        Err(detail) => (outcome(false, detail, mend(kind)), None),
    }
}

/// Runs the thread counter inside a fresh envelope and returns how far it came.
fn count_inside(envelopes: &Envelopes, weir: &Path) -> Result<ThreadCount, String> {
    let limits = EnvelopeLimits { threads_max: PROBE_THREADS_MAX, memory_max: None, cpu_max: None };
    let envelope = envelopes.make("probe", limits).map_err(|error: EnvelopeError| error.to_string())?;
    let max = PROBE_THREADS_TRIED.to_string();
    let output = envelope
        .command(weir, ["__count-threads", "--max", &max])
        .output()
        .map_err(|error| format!("start {}: {error}", weir.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("the thread counter said no count: {error}"))
}

/// What a person could change so that `kind` works, where we can tell.
fn mend(kind: EnvelopeKind) -> Option<String> {
    match kind {
        EnvelopeKind::CgroupV2 => Some(
            "run the lab in a delegated group: systemd-run --user --scope -p Delegate=yes weir run"
                .to_owned(),
        ),
        EnvelopeKind::CgroupV1 => Some(
            "run the lab as root, or let its user make groups: chown its own group below the pids controller's mount"
                .to_owned(),
        ),
        EnvelopeKind::UserNamespace => {
            let found = obstacle(Path::new("/"));
            Some(found.map_or_else(
                || {
                    "let unshare(CLONE_NEWUSER) through: in a container, a seccomp profile that allows it"
                        .to_owned()
                },
                |obstacle| format!("{} ({})", obstacle.mend, obstacle.what),
            ))
        }
        EnvelopeKind::Uid => (!nix::unistd::geteuid().is_root()).then(|| "run the lab as root".to_owned()),
    }
}

/// What the hidden `weir __count-threads --max N` prints: one line of JSON.
pub fn count_threads_line(max: u32) -> String {
    serde_json::to_string(&count_threads(max)).expect("two numbers are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_envelope_says_for_each_kind_what_to_change() {
        let tried = vec![ProbeOutcome {
            kind: EnvelopeKind::UserNamespace,
            works: false,
            detail: "unshare(CLONE_NEWUSER): EPERM".into(),
            mend: Some("sysctl kernel.unprivileged_userns_clone=1".into()),
        }];
        let text = NoEnvelope { tried }.to_string();
        assert!(text.contains("user-namespace: unshare(CLONE_NEWUSER): EPERM"), "{text}");
        assert!(text.contains("to change that: sysctl kernel.unprivileged_userns_clone=1"), "{text}");
    }

    #[test]
    fn a_program_that_is_not_weir_proves_nothing() {
        // `false` exits with 1 whatever it is told: nothing may count as an envelope then.
        let found = probe(EnvelopeKind::UserNamespace, Path::new("/bin/false"));
        assert!(!found.0.works && found.1.is_none());
    }
}
