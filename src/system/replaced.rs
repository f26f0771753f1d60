//! Finds processes that still run replaced code: they have executables or libraries of the system mapped that were
//! deleted since. Everything is read from /proc; nothing is started.

use crate::system::boot;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// A process has at most 65,530 mappings unless somebody allows more. More than this is not read.
const MOST_BYTES: u64 = 16 << 20;

/// These processes, by what they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// The numbers of the processes, by the unit that they belong to, or else by their name.
    pub units: BTreeMap<String, Vec<u32>>,
    /// Whether some of it can only be replaced by a reboot: the first process, and the system's message bus.
    pub needs_reboot: bool,
}

/// What a look has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// What runs replaced code.
    pub found: Replaced,
    /// Whether that is all. It is not where the time was over, or nothing was found and some processes cannot be seen.
    pub is_all: bool,
    /// Whether the time was over.
    pub is_late: bool,
}

/// The init: it decides how the unit of a process is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Init {
    Systemd,
    Openrc,
    Other,
}

/// What one process shows.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// It runs no replaced code.
    Well,
    /// It may not be seen.
    Refused,
    /// It runs replaced code, and belongs to this.
    Outdated(u32, String),
}

/// Looks at all processes for so long. To read the mappings of a process is to wait for it, for ever perhaps where its
/// memory is on a server that does not answer: so a thread does that. It ends with us, with Linux from 5.3 on.
pub fn look(budget: Duration) -> Looked {
    look_in(PathBuf::from("/proc"), budget)
}

fn look_in(proc: PathBuf, budget: Duration) -> Looked {
    let until = Instant::now() + budget;
    let (sender, receiver) = channel();
    let mut looked = Looked::default();
    if std::thread::Builder::new().spawn(move || look_at_each(&proc, &sender)).is_err() {
        return looked;
    }
    let (mut is_any, mut is_refused) = (false, false);
    loop {
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(Some(Seen::Outdated(pid, whose))) => add(&mut looked.found, pid, &whose),
            Ok(Some(seen)) => is_refused |= seen == Seen::Refused,
            // If some processes cannot be seen, finding nothing means that it is not known.
            Ok(None) => {
                let is_told = !is_refused || looked.found != Replaced::default();
                return Looked { is_all: is_any && is_told, ..looked };
            }
            Err(_) => return Looked { is_late: true, ..looked },
        }
        is_any = true;
    }
}

/// Sends what each process shows, then nothing.
fn look_at_each(proc: &Path, sender: &Sender<Option<Seen>>) {
    let init = match () {
        () if boot::is_systemd() => Init::Systemd,
        () if Path::new("/run/openrc").is_dir() => Init::Openrc,
        () => Init::Other,
    };
    let (own, ours) = (std::process::id(), [namespace(&proc.join("self")), namespace(&proc.join("1"))]);
    let names = std::fs::read_dir(proc).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut pids: Vec<u32> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    // The first process says most.
    pids.sort_unstable();
    for pid in pids {
        let dir = proc.join(pid.to_string());
        let seen = match File::open(dir.join("maps")).and_then(has_replaced) {
            // We ourselves may have been updated, and will end anyway.
            Ok(true) if pid != own && is_of_this_system(&dir, &ours) => {
                Seen::Outdated(pid, whose(&dir, init))
            }
            Err(error) if is_refusal(&error) => Seen::Refused,
            _ => Seen::Well,
        };
        if sender.send(Some(seen)).is_err() {
            return;
        }
    }
    let _ = sender.send(None);
}

/// Whether access was refused; otherwise the process has ended meanwhile.
fn is_refusal(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied
}

fn add(found: &mut Replaced, pid: u32, whose: &str) {
    const BUS: [&str; 6] =
        ["dbus.service", "dbus-broker.service", "dbus", "dbus-daemon", "dbus-broker", "dbus-broker-launch"];
    if pid == 1 || whose == "init.scope" || BUS.contains(&whose) {
        found.needs_reboot = true;
    } else {
        found.units.entry(whose.to_string()).or_default().push(pid);
    }
}

/// Whether a table of mappings has deleted code of the system. It is read only up to the first.
fn has_replaced(maps: impl Read) -> std::io::Result<bool> {
    let mut lines = BufReader::new(maps.take(MOST_BYTES));
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        if replaced_file(&line).is_some_and(|file| !Path::new(&format!("{file} (deleted)")).exists()) {
            return Ok(true);
        }
    }
}

/// `7f12-7f34 r-xp 00028000 fe:01 3473    /usr/lib/x86_64-linux-gnu/libc.so.6 (deleted)`: the file, if it is deleted
/// code of the system. Other deleted mappings do not count: memory without a file, code made at run time, temporary
/// files, and files that are of no package.
fn replaced_file(line: &[u8]) -> Option<&str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line).strip_suffix(b" (deleted)")?;
    let at = line.iter().position(|byte| *byte == b'/')?;
    let mut fields = line[..at].split(|byte| *byte == b' ');
    let is_code = fields.nth(1).is_some_and(|mode| mode.get(2) == Some(&b'x'));
    let file = std::str::from_utf8(&line[at..]).ok()?;
    (is_code && is_of_system(file)).then_some(file)
}

/// Whether a file lies where packages put their code.
fn is_of_system(file: &str) -> bool {
    let top = file.trim_start_matches('/').split('/').next().unwrap_or_default();
    let is_own = file.starts_with("/usr/local/") || file.starts_with("/usr/src/");
    matches!(top, "usr" | "bin" | "sbin" | "lib" | "lib32" | "lib64" | "libx32") && !is_own
}

/// The mount namespace of a process.
fn namespace(dir: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(dir.join("ns/mnt")).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// Whether a process runs on this system and not in a container: it is in our mount namespace, in that of the first
/// process, or has the same root in a namespace of its own, as many services do.
fn is_of_this_system(dir: &Path, ours: &[Option<(u64, u64)>; 2]) -> bool {
    let root = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    namespace(dir).is_some_and(|of| ours.contains(&Some(of)))
        || root(&dir.join("root")).is_some_and(|of| root(Path::new("/")) == Some(of))
}

/// What a process belongs to.
fn whose(dir: &Path, init: Init) -> String {
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
    unit(&read("cgroup"), init).unwrap_or_else(|| {
        let comm = read("comm");
        let file = std::fs::read_link(dir.join("exe")).unwrap_or_default();
        let file = file.to_string_lossy();
        name(comm.trim_end(), file.rsplit('/').next().unwrap_or_default()).to_string()
    })
}

/// The name of a process. The kernel keeps 15 bytes; if the name of its file begins so and is longer, that is used.
fn name<'a>(comm: &'a str, file: &'a str) -> &'a str {
    let file = file.strip_suffix(" (deleted)").unwrap_or(file);
    if comm.is_empty() || (comm.len() == 15 && file.starts_with(comm)) { file } else { comm }
}

/// The unit in a process' /proc/PID/cgroup: `0::/system.slice/ssh.service`. For a user's service it is
/// `user@1000.service`, the only unit of it that the system knows.
fn unit(cgroup: &str, init: Init) -> Option<String> {
    let of_manager = |line: &&str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next().unwrap_or_default();
        controllers.is_empty() || controllers == "name=systemd" || controllers == "name=openrc"
    };
    let paths: Vec<_> =
        cgroup.lines().filter(of_manager).filter_map(|line| line.splitn(3, ':').nth(2)).collect();
    let parts = || paths.iter().flat_map(|path| path.split('/'));
    let ends = |end: &'static str| move |part: &&str| part.ends_with(end);
    let found = match init {
        Init::Systemd => parts().find(ends(".service")).or_else(|| parts().rfind(ends(".scope"))),
        Init::Openrc => {
            let mut of_v1 =
                cgroup.lines().filter_map(|line| line.split_once(":name=openrc:/")).map(|(_, path)| path);
            parts().find_map(|part| part.strip_prefix("openrc.")).or_else(|| of_v1.next_back())
        }
        Init::Other => None,
    };
    found.filter(|unit| !unit.is_empty()).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_deleted_code_of_the_system_is_replaced_code() {
        let file = |path: &str| format!("7f12-7f34 r-xp 00028000 fe:01 3473    {path}\n");
        for path in ["/usr/lib/libx.so.1", "/usr/sbin/d", "/lib64/ld.so", "/usr/lib/a b.so", "/bin/busybox"] {
            let line = file(&format!("{path} (deleted)"));
            assert_eq!(replaced_file(line.as_bytes()), Some(path));
            assert!(has_replaced(format!("{}{line}", file(path)).as_bytes()).unwrap());
            assert_eq!(replaced_file(file(path).as_bytes()), None);
            let data = line.replace("r-xp", "r--p");
            assert_eq!(replaced_file(data.as_bytes()), None, "{data}");
        }
        for path in [
            "/memfd:jit (deleted)",
            "/SYSV00000000 (deleted)",
            "/dev/zero (deleted)",
            "/dev/shm/x (deleted)",
            "/tmp/.gl1 (deleted)",
            "/var/tmp/x (deleted)",
            "/run/user/0/x (deleted)",
            "/home/a/x (deleted)",
            "/root/x (deleted)",
            "/usr/local/bin/x (deleted)",
            "/opt/a/bin/x (deleted)",
            "/usr/src/x (deleted)",
            "/srv/usr/lib/x (deleted)",
            "/library/x (deleted)",
            "/[aio] (deleted)",
            "/i915 (deleted)",
            "[heap]",
            "",
            " (deleted)",
        ] {
            assert_eq!(replaced_file(file(path).as_bytes()), None, "{path}");
        }
        assert_eq!(replaced_file(b"\xff / (deleted)"), None);
    }

    #[test]
    fn a_process_belongs_to_the_unit_of_its_control_group() {
        use Init::{Openrc, Other, Systemd};
        for (cgroup, init, expected) in [
            ("0::/system.slice/ssh.service\n", Systemd, Some("ssh.service")),
            ("0::/system.slice/docker.service/more\n", Systemd, Some("docker.service")),
            ("0::/system.slice/system-getty.slice/getty@tty1.service", Systemd, Some("getty@tty1.service")),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", Systemd, Some("session-3.scope")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service",
                Systemd,
                Some("user@1000.service"),
            ),
            ("0::/init.scope\n", Systemd, Some("init.scope")),
            (
                "12:cpu:/x.service\n1:name=systemd:/system.slice/cron.service\n0::/\n",
                Systemd,
                Some("cron.service"),
            ),
            ("0::/\n", Systemd, None),
            ("0::/system.slice/outer.service\n", Other, None),
            ("0::/openrc.sshd\n", Openrc, Some("sshd")),
            ("4:cpu:/sshd\n1:name=openrc:/crond\n", Openrc, Some("crond")),
            ("1:name=openrc:/\n", Openrc, None),
            ("", Systemd, None),
        ] {
            assert_eq!(unit(cgroup, init).as_deref(), expected, "{cgroup}");
        }
    }

    #[test]
    fn without_a_unit_it_is_called_by_its_name() {
        assert_eq!(name("sshd", "sshd"), "sshd");
        assert_eq!(name("tb-script", "dash (deleted)"), "tb-script");
        assert_eq!(name("a-name-of-many-", "a-name-of-many-letters (deleted)"), "a-name-of-many-letters");
        assert_eq!(name("", "x"), "x");
    }

    #[test]
    fn what_only_a_reboot_replaces_is_no_service() {
        let mut found = Replaced::default();
        add(&mut found, 7, "tb.service");
        add(&mut found, 9, "tb.service");
        assert!(!found.needs_reboot);
        for (pid, whose) in [(1, "x"), (2, "init.scope"), (3, "dbus.service"), (4, "dbus-daemon")] {
            let mut found = Replaced::default();
            add(&mut found, pid, whose);
            assert!(found.needs_reboot && found.units.is_empty(), "{whose}");
        }
        assert_eq!(found.units, BTreeMap::from([("tb.service".to_string(), vec![7, 9])]));
    }

    /// A directory like /proc with these processes: their numbers and their mappings.
    fn processes(shown: &[(u32, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (pid, maps) in shown {
            let process = dir.path().join(pid.to_string());
            std::fs::create_dir(&process).unwrap();
            std::fs::write(process.join("maps"), maps).unwrap();
            std::os::unix::fs::symlink("/", process.join("root")).unwrap();
        }
        dir
    }

    const OLD: &str = "7f12-7f34 r-xp 00028000 fe:01 3473    /usr/lib/libtb-none.so.1 (deleted)\n";

    fn looked(proc: &Path, budget: u64) -> Looked {
        look_in(proc.to_path_buf(), Duration::from_millis(budget))
    }

    #[test]
    fn that_nothing_runs_replaced_code_is_known_only_where_all_are_shown() {
        let well = processes(&[(4, ""), (5, "")]);
        assert_eq!(looked(well.path(), 60_000), Looked { is_all: true, ..Looked::default() });
        let none = processes(&[]);
        assert!(!looked(none.path(), 60_000).is_all, "no process at all: /proc is not there");
        for (errno, expected) in [
            (rustix::io::Errno::ACCESS, true),
            (rustix::io::Errno::PERM, true),
            (rustix::io::Errno::NOENT, false),
            (rustix::io::Errno::SRCH, false),
        ] {
            assert_eq!(is_refusal(&errno.into()), expected, "{errno}");
        }
    }

    #[test]
    fn a_process_that_cannot_be_looked_at_holds_up_nothing_and_what_was_found_counts() {
        let stuck = processes(&[(1, OLD)]);
        let process = stuck.path().join("7");
        std::fs::create_dir(&process).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, process.join("maps"), rustix::fs::Mode::RWXU).unwrap();
        let found = looked(stuck.path(), 1_000);
        assert!(!found.is_all && found.is_late && found.found.needs_reboot, "{found:?}");
        let all = looked(processes(&[(1, OLD), (3, OLD)]).path(), 60_000);
        assert!(all.is_all && all.found.needs_reboot && all.found.units.len() == 1, "{all:?}");
    }
}
