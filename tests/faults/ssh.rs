//! An apply over ssh whose connection is lost, or whose client does not read: a real sshd on
//! loopback in a throw-away root, with and without a terminal.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::bench;
use crate::deb::{Deb, deb};
use crate::repo::Repo;
use crate::sandbox::{Running, Sandbox};
use crate::tally::{share, tried};
use crate::world::in_parallel;

const SSHD: &str = "/usr/sbin/sshd";
const KEYS: &str = "/srv/ssh";
/// This file exists when something waits at its gate, which `open_gates` opens.
const AT_GATE: &str = "/srv/at-gate";

/// A root with tb-slow 1.0, a source with 2.0, and an sshd.
struct Host {
    sandbox: Sandbox,
    repo: Repo,
    address: Ipv4Addr,
    port: u16,
    clients: AtomicUsize,
}

/// The client's end of a connection.
struct Client<'a> {
    pid: u32,
    name: String,
    run: Running<'a>,
}

impl Host {
    #[track_caller]
    fn new(update: Deb, options: &str) -> Host {
        let host = Host::configured(Sandbox::new(), update, &format!("UsePAM no\n{options}"));
        host.sandbox.sh(&format!("mkdir -m 755 /run/sshd; {SSHD} -D -e -f {KEYS}/config >{KEYS}/log 2>&1 &"));
        host.listens();
        host
    }

    /// One whose sshd is not started yet.
    #[track_caller]
    fn configured(sandbox: Sandbox, update: Deb, options: &str) -> Host {
        assert!(
            std::path::Path::new(SSHD).exists(),
            "{SSHD} is needed (packages openssh-server and openssh-client)"
        );
        static HOSTS: AtomicUsize = AtomicUsize::new(1);
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        let address = Ipv4Addr::new(127, 79, (number / 250) as u8, (number % 250 + 1) as u8);
        let listener = TcpListener::bind((address, 0)).expect("could not listen on a loopback address");
        let port = listener.local_addr().unwrap().port();
        let (sandbox, repo) = bench::one_in(sandbox, &[deb("tb-slow", "1.0")], &[update]);
        // Root's own shell would read files of the machine.
        sandbox.sh(&format!(
            "mkdir -m 755 {KEYS}
             sed -i 's#^root:.*#root:x:0:0:root:/srv:/bin/sh#' /etc/passwd
             sed -i 's#^root:[^:]*:#root:*:#' /etc/shadow
             for name in host client; do ssh-keygen -q -t ed25519 -N '' -f {KEYS}/$name; done
             cp {KEYS}/client.pub {KEYS}/authorized"
        ));
        sandbox.write(
            &format!("{KEYS}/config"),
            format!(
                "ListenAddress {address}:{port}\nHostKey {KEYS}/host\nAuthorizedKeysFile {KEYS}/authorized\n\
                 PermitRootLogin yes\nStrictModes yes\nPidFile none\nPrintMotd no\n{options}\n"
            ),
        );
        Host { sandbox, repo, address, port, clients: AtomicUsize::new(0) }
    }

    #[track_caller]
    fn listens(&self) {
        self.sandbox.wait_until("sshd listens", || {
            self.sandbox.read(&format!("{KEYS}/log")).unwrap_or_default().contains("Server listening")
        });
    }

    /// `ssh HOST linux-patch ARGS`, started inside.
    #[track_caller]
    fn ssh(&self, terminal: bool, args: &str) -> Client<'_> {
        let name = format!("/run/client.{}", self.clients.fetch_add(1, Ordering::Relaxed));
        // Started by a shell, because nsenter would stop with it.
        let mut command = self.sandbox.command("sh");
        command.args([
            "-c",
            r#"note=$1; shift; "$@" >$note.out 2>&1 & echo $! >$note.new; mv $note.new $note; wait $!"#,
        ]);
        command.args(["sh", &name, "ssh", "-F", "none", "-q", if terminal { "-tt" } else { "-T" }]);
        command.args(["-i", &format!("{KEYS}/client"), "-p", &self.port.to_string()]);
        for option in ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"] {
            command.args(["-o", option]);
        }
        command.args([&format!("root@{}", self.address), "linux-patch"]);
        command.args(args.split(' '));
        let run = self.sandbox.start(command);
        self.sandbox.wait_for_file(&name);
        Client { pid: self.sandbox.read(&name).unwrap().trim().parse().unwrap(), name, run }
    }

    fn pids_of(&self, name: &str) -> Vec<u32> {
        let all = self.sandbox.processes();
        all.into_iter().filter(|(_, found)| found == name).map(|(pid, _)| pid).collect()
    }

    /// What a client has printed so far.
    fn said(&self, client: &Client) -> String {
        self.sandbox.read(&format!("{}.out", client.name)).unwrap_or_default()
    }

    /// Closes the gate of a script: it waits there.
    fn close_gate(&self, name: &str) {
        self.sandbox.write(&format!("/srv/gate.{name}"), "");
    }

    /// Gates for apt where it lists what is pending: before the install, and after it.
    fn gate_listings(&self) {
        let body =
            format!(r#"case " $* " in *" -s "*) {} ;; esac; exec /usr/bin/apt-get "$@""#, gate("listing"));
        self.sandbox.write_script("/usr/local/bin/apt-get", &body);
        // After an install of every update only the installed packages are listed.
        let body = format!(
            r#"if [ -e {} ]; then {}; fi; exec /usr/bin/dpkg-query "$@""#,
            bench::IN_POSTINST,
            gate("recount")
        );
        self.sandbox.write_script("/usr/local/bin/dpkg-query", &body);
    }

    fn open_gates(&self) {
        self.sandbox.sh("rm -f /srv/gate.*");
    }

    /// Loses a connection, and waits until the server has noticed.
    #[track_caller]
    fn lose(&self, client: &Client, loss: Loss) {
        match loss {
            Loss::Killed => self.sandbox.signal(client.pid, "KILL"),
            Loss::Silent => self.sandbox.signal(client.pid, "STOP"),
            Loss::Server => {
                let sessions = self.pids_of("sshd").into_iter().filter(|pid| *pid != self.listener());
                sessions.for_each(|pid| self.sandbox.signal(pid, "KILL"));
            }
        }
        self.sandbox.wait_until("the server notices", || self.pids_of("sshd") == [self.listener()]);
    }

    /// The sshd that accepts connections: the first one that there was.
    fn listener(&self) -> u32 {
        self.pids_of("sshd").into_iter().min().expect("sshd does not run")
    }

    fn apply(&self) -> Value {
        self.sandbox.state()["apply"].clone()
    }

    /// The exit code and the class of failure of the last run in the history.
    fn last_in_history(&self) -> (Value, Value) {
        let text = self.sandbox.read("/var/lib/linux-patch/history.jsonl").unwrap_or_default();
        let last: Value =
            text.lines().last().map(|line| serde_json::from_str(line).unwrap()).unwrap_or_default();
        (last["exit_code"].clone(), last["class"].clone())
    }

    #[track_caller]
    fn run_ends(&self) {
        self.sandbox.wait_until("the run has ended", || self.pids_of("linux-patch").is_empty());
        for name in ["apt-get", "dpkg"] {
            assert_eq!(self.pids_of(name), [0; 0], "{name} is left running");
        }
    }

    /// The install took place, is recorded with the right exit code, and status says so.
    #[track_caller]
    fn has_installed(&self, what: &str) {
        self.sandbox.has_exactly(&["tb-slow 2.0"]);
        let apply = self.apply();
        assert_eq!(apply["in_progress"], Value::Null, "{what}: {apply:#}");
        assert_eq!(apply["last"]["outcome"], "success", "{what}: {apply:#}");
        assert_eq!(apply["last"]["packages"][0]["to"], "2.0", "{what}: {apply:#}");
        assert_eq!(self.last_in_history(), (json!(0), Value::Null), "{what}");
        let status = self.sandbox.run(&["linux-patch", "status"]);
        assert!(status.code == 0 && status.stdout.contains("1 package changed"), "{what}: {status:?}");
    }

    /// The run stopped before it changed anything, is recorded if it held the lock, and another
    /// one can do the work.
    #[track_caller]
    fn has_stopped(&self, what: &str, held_the_lock: bool) {
        self.sandbox.has_exactly(&["tb-slow 1.0"]);
        let apply = self.apply();
        assert_eq!(apply["in_progress"], Value::Null, "{what}: {apply:#}");
        if held_the_lock {
            assert_eq!(apply["last"]["outcome"], "interrupted", "{what}: {apply:#}");
            // A child that has not left our group yet gets the signal itself.
            let message = apply["last"]["error"]["message"].as_str().unwrap();
            assert!(message.contains("SIGHUP") || message.contains("by signal 1"), "{what}: {apply:#}");
            assert_eq!(self.last_in_history(), (json!(2), json!("interrupted")), "{what}");
            let status = self.sandbox.run(&["linux-patch", "status"]).stdout;
            assert!(status.contains("interrupted"), "{what}: {status}");
        } else {
            assert_eq!((&apply["last"], self.last_in_history().0), (&Value::Null, Value::Null), "{what}");
        }
        self.sandbox.patch(&["apply"]).applied(&["tb-slow 1.0 2.0"]);
        self.has_installed(what);
    }
}

/// tb-slow 2.0 with a gate in its configuration.
fn gated() -> Deb {
    deb("tb-slow", "2.0").script("postinst", &format!("touch {}\n{}", bench::IN_POSTINST, gate("install")))
}

/// Shell lines that wait as long as a gate is closed.
fn gate(name: &str) -> String {
    format!("while [ -e /srv/gate.{name} ]; do touch {AT_GATE}; sleep 0.02; done")
}

/// How a connection is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loss {
    /// The client is killed.
    Killed,
    /// Nothing comes from the client any more; the server gives up.
    Silent,
    /// The server's process for it is killed.
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Lock,
    Refresh,
    Listing,
    Download,
    Install,
    Recount,
}

/// One connection lost in one phase. With a terminal the run gets SIGHUP and stops, unless the
/// install has begun; without a terminal it notices nothing and goes on to its end.
fn lose_connection(phase: Phase, terminal: bool, loss: Loss) {
    let what = &format!("{loss:?} in {phase:?}, {}", if terminal { "terminal" } else { "no terminal" });
    let host = Host::new(gated(), "ClientAliveInterval 1\nClientAliveCountMax 1");
    let sandbox = &host.sandbox;
    host.gate_listings();
    let mut held_back = None;
    match phase {
        Phase::Refresh => held_back = Some(host.repo.server.hold_back("/InRelease")),
        Phase::Download => held_back = Some(host.repo.server.hold_back("/pool/")),
        Phase::Listing => host.close_gate("listing"),
        Phase::Install => host.close_gate("install"),
        Phase::Recount => host.close_gate("recount"),
        Phase::Lock => {
            host.close_gate("lock");
            let hold = format!(
                "mkdir -p -m 755 /var/lib/linux-patch; flock /var/lib/linux-patch/lock -c '{}'",
                gate("lock")
            );
            sandbox.sh(&format!("({hold}) >/dev/null 2>&1 &"));
            sandbox.wait_for_file(AT_GATE);
        }
    }
    let client = host.ssh(terminal, "apply");
    match phase {
        Phase::Lock => sandbox.wait_until("it waits", || host.said(&client).contains("waiting for")),
        Phase::Refresh => sandbox.wait_until("it refreshes", || host.repo.server.requests("/InRelease") == 1),
        Phase::Download => sandbox.wait_until("it downloads", || host.repo.server.requests("/pool/") == 1),
        _ => sandbox.wait_for_file(AT_GATE),
    }
    host.lose(&client, loss);
    let committed = matches!(phase, Phase::Install | Phase::Recount);
    if committed || !terminal {
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(host.pids_of("linux-patch").len(), 1, "{what}: it does not go on");
        drop(held_back);
        host.open_gates();
        host.run_ends();
        host.has_installed(what);
    } else {
        host.run_ends();
        drop(held_back);
        host.open_gates();
        sandbox.wait_until("all gates are left", || {
            sandbox.processes().iter().all(|(_, name)| name != "flock" && name != "sleep")
        });
        host.has_stopped(what, phase != Phase::Lock);
    }
    // A client that is still there learns of it, and has ssh's own exit code.
    if loss != Loss::Killed {
        sandbox.run(&["kill", "-s", "CONT", &client.pid.to_string()]);
        assert_eq!(client.run.wait().code, 255, "{what}");
    }
}

#[test]
fn a_lost_connection_stops_a_run_before_the_install_and_never_after() {
    let phases =
        [Phase::Install, Phase::Download, Phase::Recount, Phase::Lock, Phase::Listing, Phase::Refresh];
    let mut all = Vec::new();
    for loss in [Loss::Killed, Loss::Server, Loss::Silent] {
        for phase in phases {
            all.extend([(phase, true, loss), (phase, false, loss)]);
        }
    }
    let tries = &all[..share(6, all.len())];
    in_parallel(tries, |(phase, terminal, loss)| lose_connection(*phase, *terminal, *loss));
    tried(tries.len(), "connections of ssh lost in a phase of apply");
}

#[test]
fn a_client_killed_at_any_moment_leaves_all_or_nothing() {
    let tries: Vec<u64> = (0..share(3, 100) as u64).collect();
    let [stopped, completed] = [AtomicUsize::new(0), AtomicUsize::new(0)];
    in_parallel(&tries, |number| {
        let terminal = number % 3 != 2;
        let host = Host::new(deb("tb-slow", "2.0").script("postinst", "sleep 0.2"), "");
        let client = host.ssh(terminal, "apply");
        host.sandbox.wait_until("it runs", || {
            !host.pids_of("linux-patch").is_empty()
                || host.sandbox.exists("/var/lib/linux-patch/history.jsonl")
        });
        // Spread over the length of a run, and never twice the same.
        std::thread::sleep(Duration::from_millis(number * 613 % 1500));
        let what = &format!("moment {number}");
        // It may have ended before.
        host.sandbox.run(&["kill", "-s", "KILL", &client.pid.to_string()]);
        host.run_ends();
        if host.sandbox.installed()["tb-slow"] == "2.0" {
            completed.fetch_add(1, Ordering::Relaxed);
            host.has_installed(what);
        } else {
            assert!(terminal, "{what}: a run that nobody told stopped");
            stopped.fetch_add(1, Ordering::Relaxed);
            // So early that the lock was not taken yet.
            let held_the_lock = host.apply()["last"] != Value::Null;
            host.has_stopped(what, held_the_lock);
        }
    });
    let [stopped, completed] = [stopped.into_inner(), completed.into_inner()];
    tried(
        tries.len(),
        &format!("clients killed at any moment: {stopped} runs stopped, {completed} completed"),
    );
}

#[test]
fn a_second_apply_shows_what_the_first_does_and_waits_for_it() {
    let tries = [("listing", "refresh"), ("install", "install"), ("recount", "install")];
    let tries = &tries[..share(1, 3)];
    in_parallel(tries, |(gated_at, phase)| {
        for loses in [false, true] {
            let host = Host::new(gated(), "");
            host.gate_listings();
            host.close_gate(gated_at);
            let first = host.ssh(false, "apply");
            host.sandbox.wait_for_file(AT_GATE);
            let pid = host.sandbox.patch_pid();
            let second = host.ssh(true, "apply");
            host.sandbox.wait_until("the second waits", || host.said(&second).contains("waiting for"));
            let said = host.said(&second);
            let words = [format!("linux-patch apply, process {pid}, since"), format!("(phase {phase})")];
            assert!(words.iter().all(|words| said.contains(words)), "{said}");
            if loses {
                host.sandbox.signal(first.pid, "KILL");
            }
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(host.pids_of("linux-patch").len(), 2, "{said}");
            host.open_gates();
            let ends = [("first", first), ("second", second)].map(|(which, client)| {
                let out = format!("{}.out", client.name);
                let code = client.run.wait().code;
                (which, code, host.sandbox.read(&out).unwrap())
            });
            host.run_ends();
            let lost = if loses { 128 + 9 } else { 0 };
            assert_eq!((ends[0].1, ends[1].1), (lost, 0), "{ends:?}");
            assert!(loses || ends[0].2.contains("1 package changed"), "{ends:?}");
            assert!(ends[1].2.contains("nothing pending"), "{ends:?}");
            host.sandbox.has_exactly(&["tb-slow 2.0"]);
            let text = host.sandbox.read("/var/lib/linux-patch/history.jsonl").unwrap();
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let runs: Vec<_> = lines.iter().map(|run| (&run["exit_code"], &run["packages"])).collect();
            assert_eq!(runs, [(&json!(0), &json!(1)), (&json!(0), &json!(0))]);
        }
    });
    tried(2 * tries.len(), "second applies over ssh while a first one runs");
}

#[test]
fn a_client_that_does_not_read_holds_up_nothing() {
    // Lines longer than what a terminal takes when it takes a little, and more of them, over a time,
    // than all that is between the two ends holds: some 2 MB.
    let talk = "line=$(head -c 3000 /dev/zero | tr '\\0' x)
                for n in 1 2 3 4 5 6 7 8; do yes $line | head -c 1000000; sleep 0.2; done";
    let tries =
        [(true, "--verbose apply"), (false, "--verbose apply"), (true, "apply"), (false, "--quiet apply")];
    let tries = &tries[..share(1, 4)];
    in_parallel(tries, |(terminal, args)| {
        let host = Host::new(deb("tb-slow", "2.0").script("postinst", talk), "");
        let client = host.ssh(*terminal, args);
        host.sandbox.wait_until("it runs", || !host.pids_of("linux-patch").is_empty());
        host.sandbox.signal(client.pid, "STOP");
        host.sandbox.wait_until("the run is recorded", || host.apply()["last"]["outcome"] == "success");
        host.sandbox.sh("flock -w 5 /var/lib/linux-patch/lock true");
        host.has_installed(args);
        host.sandbox.signal(client.pid, "CONT");
        let out = format!("{}.out", client.name);
        assert_eq!(client.run.wait().code, 0, "{args}");
        let said = host.sandbox.read(&out).unwrap();
        assert!(said.len() < 6_000_000, "{args}: nothing was held up, {} bytes came", said.len());
        assert!(
            args.contains("quiet") || said.contains("done: 1 package changed"),
            "{args}: {} bytes",
            said.len()
        );
    });
    tried(tries.len(), "floods of output through a client that is stopped");
}

#[test]
fn a_script_that_asks_the_terminal_gets_no_answer_and_stops_nothing() {
    let asks = ["read answer </dev/tty", "stty -echo </dev/tty", "head -n 1 /dev/tty"];
    let tries = &asks[..share(1, asks.len())];
    in_parallel(tries, |asks| {
        let script = format!("touch {}; {asks} || true", bench::IN_POSTINST);
        let host = Host::new(deb("tb-slow", "2.0").script("postinst", &script), "");
        let client = host.ssh(true, "apply");
        assert_eq!(client.run.wait().code, 0, "{asks}");
        host.has_installed(asks);
    });
    tried(tries.len(), "maintainer scripts that ask the terminal");
}

/// systemd as the first process of the root, with an sshd and the logind that ends every process of
/// a session at its end, root's too.
const SYSTEMD: &str = r#"
rm -rf $root/etc/systemd/system/*.wants $root/etc/systemd/system/default.target $root/etc/nologin
mkdir -p $root/etc/systemd/logind.conf.d $root/etc/systemd/system.conf.d $root/var/log/journal
printf '[Login]\nKillUserProcesses=yes\nKillExcludeUsers=nobody\n' >$root/etc/systemd/logind.conf.d/test.conf
printf '[Manager]\nDefaultTimeoutStopSec=2s\n' >$root/etc/systemd/system.conf.d/test.conf
cat >$root/etc/systemd/system/default.target <<END
[Unit]
Requires=basic.target
Wants=dbus.service systemd-logind.service test-sshd.service
END
cat >$root/etc/systemd/system/test-sshd.service <<END
[Service]
RuntimeDirectory=sshd
KillMode=process
ExecStart=/bin/sh -c 'while [ ! -e /srv/ssh/config ]; do sleep 0.1; done; exec /usr/sbin/sshd -D -e -f /srv/ssh/config 2>/srv/ssh/log'
END
scope=
[ ! -d /run/systemd/system ] || scope='systemd-run --quiet --scope --property=Delegate=yes'
# With processes numbered as it sees them, and a /run of its own; it mounts /proc and /dev itself.
$scope unshare --mount sh -c 'mount -t proc proc /proc; mount -t tmpfs run /run
  umount "$1/dev/pts" "$1/dev" "$1/proc"
  exec systemd-nspawn --quiet --keep-unit --register=no --console=pipe --boot -D "$1"' sh $root \
  </dev/null >$root/srv/console 2>&1 &
"#;

/// systemd-nspawn leaves its control groups behind where no systemd has given it a scope for them.
fn remove_control_groups() {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    for line in groups.lines() {
        let (top, path) = match line.split_once(':').unwrap().1.split_once(':').unwrap() {
            ("name=systemd", path) => ("/sys/fs/cgroup/systemd", path),
            ("", path) if std::path::Path::new("/sys/fs/cgroup/unified").exists() => {
                ("/sys/fs/cgroup/unified", path)
            }
            ("", path) => ("/sys/fs/cgroup", path),
            _ => continue,
        };
        for name in ["payload", "supervisor"] {
            let group = format!("{top}{}/{name}", path.trim_end_matches('/'));
            // A control group in use is not removed.
            let _ = Command::new("find")
                .args([&group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// What the end of a session does under systemd. Tried for real only by `make faults`: it needs
/// control groups that can be written.
#[test]
fn the_end_of_a_session_does_not_end_an_install() {
    let tries = [true, false];
    for terminal in &tries[..share(0, tries.len())] {
        let sandbox = Sandbox::prepared(SYSTEMD);
        let host = Host::configured(sandbox, gated(), "UsePAM yes");
        let console = || host.sandbox.read("/srv/console").unwrap_or_default();
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(100));
            if host.sandbox.exists(&format!("{KEYS}/log")) {
                break;
            }
        }
        assert!(
            host.sandbox.exists(&format!("{KEYS}/log")),
            "systemd did not boot (packages systemd-container, dbus and libpam-systemd, and control groups \
             that can be written, are needed):\n{}",
            console()
        );
        host.listens();
        host.close_gate("install");
        let client = host.ssh(*terminal, "apply");
        host.sandbox.wait_for_file(AT_GATE);
        host.lose(&client, Loss::Killed);
        // SIGTERM has come by now; SIGKILL comes after two seconds.
        std::thread::sleep(Duration::from_secs(4));
        host.open_gates();
        host.run_ends();
        host.has_installed(&format!("terminal {terminal}"));
        drop(client);
        drop(host);
        remove_control_groups();
    }
    tried(share(0, tries.len()), "ends of a login session under systemd, KillUserProcesses=yes");
}
