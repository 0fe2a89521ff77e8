//! What a process uses, as Linux counts it.

use std::time::Duration;

use anyhow::Context;

/// Ticks in a second, in everything that `/proc` says (`proc_pid_stat(5)`; 100 on all that Linux runs on today).
const TICKS: f64 = 100.0;

/// What a process has, and has had.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Resident, in KiB.
    pub(super) memory: f64,
    /// Of all cores, since it began.
    pub(super) cpu: Duration,
}

impl Usage {
    /// Of this process, and of those that it started and that still run.
    pub(super) fn of_family(process: u32) -> anyhow::Result<Self> {
        let mut all = Self::of(process)?;
        for entry in std::fs::read_dir("/proc")? {
            let Some(child) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // One that is gone meanwhile used nothing that matters.
            if let Ok((parent, cpu)) = stat(child)
                && parent == process
            {
                all.cpu += cpu;
            }
        }
        Ok(all)
    }

    /// Of this process.
    pub(super) fn of(process: u32) -> anyhow::Result<Self> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = resident.and_then(|text| text.split_whitespace().next()?.parse().ok());
        let memory = memory.context("how much memory a process has")?;
        Ok(Self { memory, cpu: stat(process)?.1 })
    }
}

/// The parent of a process, and the time that it had.
fn stat(process: u32) -> anyhow::Result<(u32, Duration)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program may hold anything, but is the last that stands in brackets.
    let (_, rest) = text.rsplit_once(')').context("the name of a program")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |n: usize| fields.get(n).context("a field");
    let ticks = |n| anyhow::Ok(field(n)?.parse::<f64>()?);
    let cpu = Duration::from_secs_f64((ticks(11)? + ticks(12)?) / TICKS);
    Ok((field(1)?.parse()?, cpu))
}
