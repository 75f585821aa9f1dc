//! CPU time and memory of processes, and how busy the machine is, from Linux's /proc.

use std::time::Duration;

use crate::figures::float;

/// How long the machine is watched before a measurement: long enough for clock ticks of 10 ms to tell something.
const WATCH: Duration = Duration::from_millis(500);

/// What is needed of one line of `/proc/<pid>/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// User and system time of the process itself, in clock ticks.
    ticks: u64,
}

/// Reads a line of `/proc/<pid>/stat`; the name in it may hold spaces and parentheses.
fn parse_stat(line: &str) -> Option<Stat> {
    let (_, after_name) = line.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    // From here on: 0 state, 1 parent, 11 user time, 12 system time.
    let parent = fields.nth(1)?.parse().ok()?;
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Stat { parent, ticks: user + system })
}

/// Returns the CPU time used so far by `pid` and its living descendants, or none where there is no /proc.
pub(crate) fn used_by(pid: u32) -> Option<Duration> {
    let processes: Vec<(u32, Stat)> = std::fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            // A process that ends meanwhile is no fault.
            Some((pid, parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?))
        })
        .collect();
    let ticks = ticks_of_tree(&processes, pid)?;
    let per_second = rustix::param::clock_ticks_per_second();
    Some(Duration::from_secs(1).checked_mul(u32::try_from(ticks).ok()?)? / u32::try_from(per_second).ok()?)
}

fn ticks_of_tree(processes: &[(u32, Stat)], root: u32) -> Option<u64> {
    let mut total = processes.iter().find(|(pid, _)| *pid == root)?.1.ticks;
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        for (pid, stat) in processes.iter().filter(|(_, stat)| stat.parent == parent) {
            total += stat.ticks;
            parents.push(*pid);
        }
    }
    Some(total)
}

/// Watches the whole machine for a moment and returns the share of its CPU time that is used.
pub(crate) async fn busy_share() -> Option<f64> {
    let read = || parse_machine(&std::fs::read_to_string("/proc/stat").ok()?);
    let (busy_before, total_before) = read()?;
    tokio::time::sleep(WATCH).await;
    let (busy, total) = read()?;
    let passed = total.checked_sub(total_before).filter(|passed| *passed > 0)?;
    Some(float(busy.checked_sub(busy_before)?) / float(passed))
}

/// Reads the busy and all clock ticks of the machine from /proc/stat.
fn parse_machine(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    // User, nice, system, idle, waiting for disks, interrupts twice, stolen; guests are part of user.
    let ticks: Vec<u64> = fields.take(8).map_while(|field| field.parse().ok()).collect();
    let total: u64 = ticks.iter().sum();
    Some((total - ticks.get(3)? - ticks.get(4)?, total))
}

/// Returns a process's resident memory in kB, or none if it is gone.
pub(crate) fn resident_kb(pid: u32) -> Option<u64> {
    parse_resident(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn parse_resident(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "4117 (nginx: (w) 1) S 4116 4116 4100 0 -1 4194624 1021 7 0 0 312 1045 5 6 20 0 1 0 81325 \
                        11247616 1400 18446744073709551615 1 1 0 0 0 0 0 1073745920 402745863 0 0 0 17 1 0 0";

    #[test]
    fn a_stat_line_with_parentheses_in_the_name() {
        assert_eq!(parse_stat(LINE), Some(Stat { parent: 4116, ticks: 312 + 1045 }));
        assert_eq!(parse_stat("4117 (cut off) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn a_tree_counts_every_generation_and_nobody_else() {
        let process = |pid, parent, ticks| (pid, Stat { parent, ticks });
        let processes =
            [process(10, 1, 1), process(11, 10, 20), process(12, 11, 300), process(13, 1, 4000), process(14, 10, 50)];
        assert_eq!(ticks_of_tree(&processes, 10), Some(371));
        assert_eq!(ticks_of_tree(&processes, 13), Some(4000));
        assert_eq!(ticks_of_tree(&processes, 99), None);
    }

    #[test]
    fn the_machine_s_ticks() {
        let stat = "cpu  100 1 50 800 40 0 9 0 0 0\ncpu0 50 1 25 400 20 0 5 0 0 0\n";
        assert_eq!(parse_machine(stat), Some((160, 1000)));
        assert_eq!(parse_machine("intr 1 2 3\n"), None);
    }

    #[test]
    fn resident_memory() {
        assert_eq!(parse_resident("Name:\tmaru-auth\nVmHWM:\t   14120 kB\nVmRSS:\t   13900 kB\n"), Some(13_900));
        assert_eq!(parse_resident("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn this_process_has_used_some_memory() {
        assert!(resident_kb(std::process::id()).unwrap() > 100);
        assert!(used_by(std::process::id()).is_some());
    }
}
