//! A throw-away root in which a real systemd is the first process, and can be started again.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::sandbox::{Ended, Sandbox};

/// Boots the root whenever /srv/boot is there, and again when it restarts; where the caller's lines set
/// `$network`, behind that command. Only what is in question runs in it: beside the basic
/// units the message bus, logind and whatever timers.target wants.
const BOOTS: &str = r#"
rm -rf $root/etc/systemd/system/*.wants $root/etc/systemd/system/default.target $root/etc/nologin
rm -rf $root/var/lib/systemd/timers $root/var/lib/systemd/deb-systemd-helper-*/linux-patch*
rm -f $root/usr/local/sbin/* $root/usr/sbin/policy-rc.d
mkdir -p $root/etc/systemd/system $root/etc/systemd/system.conf.d $root/var/lib/systemd/timers
printf '[Manager]\nDefaultTimeoutStopSec=2s\n' >$root/etc/systemd/system.conf.d/test.conf
cat >$root/etc/systemd/system/default.target <<END
[Unit]
Requires=basic.target
Wants=dbus.service systemd-logind.service
END
scope= network=${network-}
[ ! -d /run/systemd/system ] || scope='systemd-run --quiet --scope --property=Delegate=yes'
(
  set +e
  for group in $groups; do echo 0 >$group/cgroup.procs; done
  while :; do
    until [ -e $root/srv/boot ]; do sleep 0.05; done
    rm $root/srv/boot
    # With processes numbered as it sees them, and a /run of its own; it mounts /proc and /dev itself.
    $scope $network unshare --mount --propagation private sh -c 'mount -t proc proc /proc; mount -t tmpfs run /run
      umount "$1/dev/pts" "$1/dev" "$1/proc"
      exec systemd-nspawn --quiet --keep-unit --register=no --console=pipe --resolv-conf=off \
        --timezone=off --boot -D "$1" \
        --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self"' sh $root </dev/null
    # It was told to restart, which empties /run.
    [ $? != 133 ] || { rm -rf $root/run/*; touch $root/srv/boot; continue; }
    touch $root/srv/is-off
  done >>$root/srv/console 2>&1
) &
"#;

pub struct Booted {
    pub sandbox: Sandbox,
    // Removed when nothing is left in them.
    _groups: Groups,
}

/// Control groups of its own: two systemds must not take each other's.
struct Groups(Vec<PathBuf>);

impl Groups {
    fn new() -> Groups {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("linux-patch-test-{}-{number}", std::process::id());
        // systemd-run makes them where systemd runs.
        if std::path::Path::new("/run/systemd/system").exists() {
            return Groups(Vec::new());
        }
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
        let tops = own.lines().filter_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let top = match controllers {
                "name=systemd" => "/sys/fs/cgroup/systemd",
                "" if std::path::Path::new("/sys/fs/cgroup/unified").exists() => "/sys/fs/cgroup/unified",
                "" => "/sys/fs/cgroup",
                _ => return None,
            };
            Some(PathBuf::from(format!("{top}{}/{name}", path.trim_end_matches('/'))))
        });
        let groups: Vec<_> =
            tops.filter(|path| path.parent().unwrap().join("cgroup.procs").exists()).collect();
        for group in &groups {
            std::fs::create_dir(group).unwrap_or_else(|error| {
                panic!("control groups that can be written are needed: {}: {error}", group.display())
            });
        }
        Groups(groups)
    }

    fn variable(&self) -> String {
        let paths: Vec<_> = self.0.iter().map(|path| path.to_str().unwrap()).collect();
        format!("groups='{}'", paths.join(" "))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in &self.0 {
            let _ = Command::new("find")
                .arg(group)
                .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"])
                .stderr(std::process::Stdio::null())
                .status();
        }
    }
}

impl Booted {
    /// A root that can be booted, with the units of contrib and shell lines of the caller, which see
    /// the root as `$root`.
    #[track_caller]
    pub fn prepared(lines: &str) -> Booted {
        for (program, package) in [
            ("/usr/bin/systemd-nspawn", "systemd-container"),
            ("/usr/bin/dbus-daemon", "dbus"),
            ("/lib/systemd/systemd-logind", "systemd"),
        ] {
            assert!(std::path::Path::new(program).exists(), "{program} is needed (package {package})");
        }
        let groups = Groups::new();
        let lines = format!("{}\n{lines}\n{BOOTS}", groups.variable());
        Booted { sandbox: Sandbox::prepared(&lines), _groups: groups }
    }

    /// One with the units, and with the root of a newer Debian in /srv/newer.
    #[track_caller]
    pub fn with_newer() -> Booted {
        let groups = Groups::new();
        let mount = "mkdir -p $base/newer $base/newer-work $root/srv/newer
            mount -t overlay -o lowerdir=/proc/self/fd/9,upperdir=$base/newer,workdir=$base/newer-work overlay $root/srv/newer";
        let lines = format!("{}\n{mount}\n{BOOTS}", groups.variable());
        let booted = Booted { sandbox: Sandbox::prepared_with_newer(&lines), _groups: groups };
        booted.install_units();
        booted
    }

    /// One with the units of contrib, where the package puts them.
    #[track_caller]
    pub fn with_units() -> Booted {
        let booted = Booted::prepared("");
        booted.install_units();
        booted
    }

    fn install_units(&self) {
        for name in UNITS {
            self.sandbox.write(&format!("/usr/lib/systemd/system/{name}"), unit(name));
        }
    }

    #[track_caller]
    pub fn boot(&self) {
        self.sandbox.sh("rm -f /srv/is-off; touch /srv/boot");
        let start = Instant::now();
        loop {
            let said = self.leader().map(|_| self.run(&["systemctl", "is-system-running"]).stdout);
            if said.as_deref().is_some_and(|said| ["running\n", "degraded\n"].contains(&said)) {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "systemd did not boot ({said:?}): control groups that can be written are needed\n{}",
                self.sandbox.read("/srv/console").unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the machine is off.
    #[track_caller]
    pub fn goes_off(&self) {
        self.sandbox.wait_for_file("/srv/is-off");
    }

    /// Orderly off and on again.
    #[track_caller]
    pub fn reboot_with(&self, while_off: impl FnOnce()) {
        self.run(&["systemctl", "poweroff"]);
        self.goes_off();
        while_off();
        self.boot();
    }

    /// The number of its first process, seen from the sandbox.
    pub fn leader(&self) -> Option<u32> {
        let all = self.sandbox.processes();
        all.into_iter().filter(|(_, name)| name == "systemd").map(|(pid, _)| pid).min()
    }

    pub fn command(&self, program: &str) -> Command {
        let leader = self.leader().expect("systemd does not run");
        let mut command = self.sandbox.command("nsenter");
        command.args([&format!("--target={leader}"), "--mount", "--uts", "--ipc", "--pid", "--root", "--wd"]);
        command.args(["--", program]);
        command
    }

    /// A command in the booted root.
    #[track_caller]
    pub fn run(&self, argv: &[&str]) -> Ended {
        let mut command = self.command(argv[0]);
        command.args(&argv[1..]);
        self.sandbox.start(command).wait()
    }

    /// Shell lines in the booted root that must succeed.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let ended = self.run(&["sh", "-ec", script]);
        assert_eq!(ended.code, 0, "{script}\n{}\n{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    /// A property of a unit.
    #[track_caller]
    pub fn show(&self, unit: &str, property: &str) -> String {
        self.run(&["systemctl", "show", "--value", "--property", property, unit]).stdout.trim().to_string()
    }

    pub fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "--output=cat", "--unit", unit]).stdout
    }

    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        self.sandbox.wait_until(what, condition);
    }
}

/// The units of contrib.
pub const UNITS: [&str; 4] = [
    "linux-patch-apply.service",
    "linux-patch-apply.timer",
    "linux-patch-refresh.service",
    "linux-patch-refresh.timer",
];

pub fn unit(name: &str) -> String {
    let path = format!("{}/contrib/systemd/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The indented blocks of a file of docs, each without its indentation.
pub fn blocks(name: &str) -> Vec<String> {
    let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut blocks = vec![String::new()];
    for line in text.lines() {
        match line.strip_prefix("    ") {
            Some(code) => *blocks.last_mut().unwrap() += &format!("{code}\n"),
            None if line.is_empty() && blocks.last().unwrap().ends_with('\n') => {
                blocks.last_mut().unwrap().push('\n');
            }
            None if blocks.last().unwrap().is_empty() => {}
            None => blocks.push(String::new()),
        }
    }
    blocks.into_iter().map(|block| block.trim_end().to_string() + "\n").filter(|it| it.len() > 1).collect()
}
