//! A program and what it starts: one process group, which ends with the program.

use std::process::ExitStatus;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

/// A child that was started as the leader of a process group or session. All of the group is
/// killed when this is dropped.
///
/// INVARIANT: the group is signalled only while its leader is not reaped. Until then the number of
/// both is nobody else's; afterwards it could be that of processes which have nothing to do with it.
#[derive(Debug)]
pub struct Group {
    leader: Child,
    /// None once the group was killed, after which the leader may be reaped.
    id: Option<Pid>,
    exited: CancellationToken,
}

impl Group {
    /// The group that `leader` leads, which was not waited for yet.
    ///
    /// # Errors
    /// What the operating system says; then the leader is killed if it was started to be.
    pub fn of(leader: Child) -> std::io::Result<Self> {
        let reaped = || std::io::Error::from(Errno::CHILD);
        let id = leader.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let id = id.ok_or_else(reaped)?;
        let exited = CancellationToken::new();
        let told = exited.clone().drop_guard();
        // A runtime's own way to wait for a child reaps it.
        std::thread::Builder::new().name("program".to_owned()).spawn(move || {
            let _told = told;
            let awaited = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while waitid(WaitId::Pid(id), awaited).is_err_and(|e| e == Errno::INTR) {}
        })?;
        Ok(Self { leader, id: Some(id), exited })
    }

    /// Waits until the leader has exited; it is not reaped yet.
    pub async fn exited(&self) {
        self.exited.cancelled().await;
    }

    /// Signals all of the group; a leader that leads none, alone.
    pub fn signal(&self, signal: Signal) {
        if let Some(id) = self.id
            && kill_process_group(id, signal).is_err()
        {
            // It may have exited; then there is nothing to do.
            let _ = kill_process(id, signal);
        }
    }

    /// Kills what is left of the group, and reaps its leader.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn end(mut self) -> std::io::Result<ExitStatus> {
        self.kill();
        self.leader.wait().await
    }

    fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.id = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::process::Command;

    use super::*;

    /// The state of a process, as the kernel has it: `Z` waits to be reaped; none is gone.
    fn state(id: u32) -> Option<char> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit(") ").next()?.chars().next()
    }

    fn is_over(id: u32) -> bool {
        matches!(state(id), None | Some('Z'))
    }

    /// A shell that leads a group, and the process that it leaves in it.
    async fn started(script: &str) -> (Group, u32, u32) {
        let mut shell = Command::new("/bin/sh");
        let mut shell = shell
            .args(["-c", script])
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut said = BufReader::new(shell.stdout.take().unwrap()).lines();
        let left = said.next_line().await.unwrap().unwrap().parse().unwrap();
        let leader = shell.id().unwrap();
        (Group::of(shell).unwrap(), leader, left)
    }

    #[tokio::test]
    async fn a_group_is_killed_before_the_number_of_its_leader_can_be_anybody_elses() {
        let (group, leader, left) = started("sleep 60 >/dev/null & echo $!; exit 3").await;
        group.exited().await;
        assert_eq!(state(leader), Some('Z'), "the leader keeps its number");
        assert!(!is_over(left), "what it started goes on");
        assert_eq!(group.end().await.unwrap().code(), Some(3));
        assert_eq!(state(leader), None);
        for _ in 0..100 {
            if is_over(left) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("what it started outlived it");
    }

    #[tokio::test]
    async fn a_group_that_is_dropped_ends_with_all_that_it_started() {
        let (group, leader, left) = started("sleep 60 >/dev/null & echo $!; wait").await;
        drop(group);
        for _ in 0..100 {
            if is_over(leader) && is_over(left) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("it goes on");
    }

    #[tokio::test]
    async fn a_child_that_leads_no_group_is_signalled_alone() {
        let sleep = Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
        let group = Group::of(sleep).unwrap();
        group.signal(Signal::TERM);
        group.exited().await;
        let status = group.end().await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    }
}
