//! Locks as apt and dpkg take them, held by somebody else.

use std::time::Duration;

use crate::sandbox::{Running, Sandbox};

pub const LISTS: &str = "/var/lib/apt/lists/lock";
pub const FRONTEND: &str = "/var/lib/dpkg/lock-frontend";

/// They are POSIX record locks, which flock(1) does not take. perl-base is on every Debian.
const TAKE: &str = r#"
use Fcntl;
open(my $file, '+>>', $ARGV[0]) or die $!;
my $whole = pack('s s i l! l! i i', F_WRLCK, 0, 0, 0, 0, 0, 0);
fcntl($file, F_SETLK, $whole) or exit 1;
if ($ARGV[1]) { open(my $mark, '>', $ARGV[2]) or die $!; print $mark $$; close $mark; sleep $ARGV[1]; }
"#;

const HELD: &str = "/run/lock-is-held";

/// Holds a lock until the process is killed or this much time has passed. Returns also its process number inside.
#[track_caller]
pub fn hold<'a>(sandbox: &'a Sandbox, path: &str, time: Duration) -> (Running<'a>, u32) {
    hold_with(sandbox, TAKE, path, time)
}

/// The same with one that others may share.
#[track_caller]
pub fn hold_shared<'a>(sandbox: &'a Sandbox, path: &str, time: Duration) -> (Running<'a>, u32) {
    hold_with(sandbox, &TAKE.replace("F_WRLCK", "F_RDLCK"), path, time)
}

#[track_caller]
fn hold_with<'a>(sandbox: &'a Sandbox, script: &str, path: &str, time: Duration) -> (Running<'a>, u32) {
    let mut command = sandbox.command("perl");
    command.args(["-e", script, path, &time.as_secs().to_string(), HELD]);
    let running = sandbox.start(command);
    let pid = || sandbox.read(HELD).and_then(|text| text.parse().ok());
    sandbox.wait_until("somebody holds the lock", || pid().is_some());
    (running, pid().unwrap())
}

#[track_caller]
pub fn is_free(sandbox: &Sandbox, path: &str) -> bool {
    sandbox.run(&["perl", "-e", TAKE, path]).code == 0
}

/// Hold a lock of the kind that is a file with the number of a living process.
#[track_caller]
pub fn hold_by_number<'a>(sandbox: &'a Sandbox, path: &str, time: Duration) -> (Running<'a>, u32) {
    let mut command = sandbox.command("sh");
    let script = format!(
        "echo $$ >{HELD}.new; cp {HELD}.new {path}; mv {HELD}.new {HELD}; exec sleep {}",
        time.as_secs()
    );
    command.args(["-c", &script]);
    let running = sandbox.start(command);
    let pid = || sandbox.read(HELD).and_then(|text| text.trim().parse().ok());
    sandbox.wait_until("somebody holds the lock", || pid().is_some());
    (running, pid().unwrap())
}
