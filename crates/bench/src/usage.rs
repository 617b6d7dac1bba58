//! What a process used, as Linux counts it.

use std::fs;

use crate::Failure;

/// The kernel tells CPU time in hundredths of a second, whatever its own clock
/// does (`USER_HZ`).
pub(crate) const TICK_US: f64 = 10_000.0;

/// CPU time of a process and all its threads so far, microseconds.
pub(crate) fn cpu_us(pid: u32) -> Result<f64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    Ok(f64::from(ticks(&text).ok_or("/proc/PID/stat has another form")?) * TICK_US)
}

/// Resident memory of a process, MiB.
pub(crate) fn rss_mib(pid: u32) -> Result<f64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = kibibytes(&text).ok_or("/proc/PID/status has another form")?;
    Ok(f64::from(kib) / 1024.0)
}

/// Threads of a process.
pub(crate) fn threads(pid: u32) -> Result<u32, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Threads:"));
    Ok(line.ok_or("/proc/PID/status has another form")?.trim().parse()?)
}

/// `utime` and `stime`, the 14th and 15th field; the second is the program's
/// name in brackets and may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut times = after_name.split(' ').skip(11).map(str::parse::<u32>);
    times.next()?.ok()?.checked_add(times.next()?.ok()?)
}

fn kibibytes(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 900 0 0 0 31 11 0 0 20 0 4 0 12345 0 0";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!(ticks("42 (a"), None);
    }

    #[test]
    fn resident_memory_is_one_line_of_many() {
        let status = "Name:\tx\nVmPeak:\t  999 kB\nVmRSS:\t   2048 kB\nThreads:\t4\n";
        assert_eq!(kibibytes(status), Some(2048));
    }
}
