//! The machine, as a result's header keeps it.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{envelope::ProbeOutcome, series::Host};

/// Settings that bound a fleet, by the name that people know.
const FACTS: [(&str, &str); 6] = [
    ("kernel.pid_max", "/proc/sys/kernel/pid_max"),
    ("kernel.threads-max", "/proc/sys/kernel/threads-max"),
    ("vm.max_map_count", "/proc/sys/vm/max_map_count"),
    ("user.max_user_namespaces", "/proc/sys/user/max_user_namespaces"),
    ("fs.file-max", "/proc/sys/fs/file-max"),
    ("net.ipv4.ip_local_port_range", "/proc/sys/net/ipv4/ip_local_port_range"),
];

/// Reads what is known of this machine. `tried` says how each kind of envelope did.
pub(super) fn host(tried: &[ProbeOutcome]) -> Host {
    let text = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default().trim().to_owned();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let memory = field(&text("/proc/meminfo"), "MemTotal").unwrap_or_default();
    let memory_kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
    let mut facts: BTreeMap<String, String> = FACTS
        .into_iter()
        .map(|(name, path)| (name.to_owned(), text(path).split_whitespace().collect::<Vec<_>>().join(" ")))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    for outcome in tried {
        facts.insert(format!("envelope {}", outcome.kind), outcome.detail.clone());
    }
    Host {
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        memory_bytes: memory_kib * 1024,
        kernel: text("/proc/sys/kernel/osrelease"),
        cpu: field(&text("/proc/cpuinfo"), "model name").unwrap_or_default(),
        root: nix::unistd::geteuid().is_root(),
        facts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cores_memory_and_a_kernel() {
        let host = host(&[]);
        assert!(host.cores >= 1 && host.memory_bytes > 1 << 20 && !host.kernel.is_empty(), "{host:?}");
        assert!(host.facts.contains_key("kernel.pid_max"));
    }
}
