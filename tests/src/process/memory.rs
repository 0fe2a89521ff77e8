//! The memory of a process, to look for what must not be there any more.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};

use anyhow::Context;

use super::{Finding, Scanner};

/// What is found in the memory that a process can write to. The system lets only root look at a process that
/// forbids core dumps: `None` for anybody else.
///
/// # Errors
/// When there is no such process.
pub fn memory(process: u32, scanner: &Scanner) -> anyhow::Result<Option<Vec<Finding>>> {
    let mut memory = match File::open(format!("/proc/{process}/mem")) {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(None),
        opened => opened?,
    };
    let mut findings = Vec::new();
    for line in fs::read_to_string(format!("/proc/{process}/maps"))?.lines() {
        let (range, rest) = line.split_once(' ').context("a range of addresses")?;
        let (from, to) = range.split_once('-').context("where it begins and ends")?;
        if !rest.starts_with("rw") {
            continue;
        }
        let address = |text| u64::from_str_radix(text, 16);
        let (from, to) = (address(from)?, address(to)?);
        memory.seek(SeekFrom::Start(from))?;
        let mut region = Vec::new();
        // Some of it was never touched, and what is gone meanwhile is gone.
        let _ = memory.by_ref().take(to - from).read_to_end(&mut region);
        findings.extend(scanner.bytes(rest.split_whitespace().nth(4).unwrap_or("heap"), &region));
    }
    findings.sort();
    findings.dedup();
    Ok(Some(findings))
}
