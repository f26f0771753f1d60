//! A process that keeps private mount and process namespaces alive.
//!
//! It lives as long as the pipe to its standard input: when the test drops it, panics or is killed
//! outright, the pipe closes, the first process of the namespace ends, and the kernel takes every
//! process and mount in there along. Nothing has to be cleaned up by hand.

use std::fs::{File, Permissions};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, open, openat, openat2, unlinkat};
use rustix::io::Errno;

/// What every command in here sees, and nothing else: no proxy, no locale, nothing of the caller's.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// By their paths: to look a name up in another PATH the whole test process would be forked, and its page tables copied.
const UNSHARE: &str = "/usr/bin/unshare";
const NSENTER: &str = "/usr/bin/nsenter";

pub struct Holder {
    child: Child,
    pid: u32,
}

impl Holder {
    /// Run the shell lines `setup` in new namespaces and hold these. The lines set `$root`, the
    /// directory that is to be the root inside.
    pub fn start(setup: &str) -> Holder {
        assert!(
            rustix::process::geteuid().is_root(),
            "the e2e tests must run as root: they mount throw-away roots and install packages in them"
        );
        // Its number out here is read before anything mounts a new /proc, and told only from within
        // the new root, so that no command can come too early. The last shell waits with `wait`, so
        // that it also reaps what loses its parent in there.
        let script = format!(
            "set -e\nread -r outside rest </proc/self/stat\n{setup}\nexec 3<&0\n\
             exec chroot \"$root\" sh -c 'echo \"$1\"; cat <&3 >/dev/null & wait $!' sh \"$outside\""
        );
        let mut complaints = tempfile::tempfile().expect("could not create a temporary file");
        let mut child = Command::new(UNSHARE)
            .args(["--mount", "--propagation", "private", "--pid", "--fork"])
            .args(["sh", "-c", &script])
            .env_clear()
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(duplicate(&complaints))
            .spawn()
            .expect("could not run unshare (package util-linux)");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .expect("could not read from the namespace holder");
        let Ok(pid) = line.trim().parse() else {
            drop(child.stdin.take());
            let code = child.wait();
            let mut words = String::new();
            complaints.rewind().unwrap();
            complaints.read_to_string(&mut words).unwrap();
            panic!(
                "could not set up a throw-away root; the e2e tests need root, new namespaces and \
                 overlayfs ({code:?}):\n{words}"
            );
        };
        Holder { child, pid }
    }

    /// A command that will run inside, with a clean environment.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(NSENTER);
        command
            .arg(format!("--target={}", self.pid))
            .args(["--mount", "--pid", "--root", "--wd", "--", program])
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/root")
            .stdin(Stdio::null());
        command
    }

    /// Creates or replaces a file inside, in a directory that is there already.
    pub fn write(&self, inside: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let (dir, name) = inside.rsplit_once('/').expect("no absolute path");
        let only_path = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open(self.outside_path("/"), only_path, Mode::empty())?;
        // Every link on the way leads to a place inside.
        let dir = openat2(&root, format!("{dir}/"), only_path, Mode::empty(), ResolveFlags::IN_ROOT)?;
        match unlinkat(&dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let new = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let mut file = File::from(openat(&dir, name, new, Mode::RUSR)?);
        file.write_all(content)?;
        file.set_permissions(Permissions::from_mode(mode))
    }

    /// Where a path of the inside can be read from outside. Never write through it: an absolute
    /// symbolic link on the way would lead into the machine's own files.
    pub fn outside_path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.pid))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Ends once the kernel has taken down the whole namespace.
        let _ = self.child.wait();
    }
}

/// A second handle on an open file, for a child's standard stream.
pub fn duplicate(file: &File) -> Stdio {
    Stdio::from(file.try_clone().expect("could not duplicate a file handle"))
}
