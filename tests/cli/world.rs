//! A machine of fakes: a PATH on which every package tool is a script of the test's, and a
//! state directory of its own, so that no test needs root or can touch the real system.

#[path = "../schema/mod.rs"]
mod schema;

use crate::leisure::at_leisure;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Every program that linux-patch starts; `guard` compares it with the sources.
pub const HELPERS: [&str; 6] = ["apt-get", "apt-cache", "apt-config", "dpkg", "dpkg-query", "shutdown"];
/// What else the program can start: there only where a test puts a fake of it.
pub const OTHERS: [&str; 17] = [
    "date",
    "reboot",
    "systemctl",
    "systemd-run",
    "openrc-shutdown",
    "busctl",
    "dnf",
    "dnf5",
    "rpm",
    "yum",
    "zypper",
    "apk",
    "grep",
    "pacman",
    "pacman-conf",
    "sha256sum",
    // By its path: it is on no PATH. Asked only about an index that came from another suite.
    "/usr/lib/apt/apt-helper",
];

/// What the scripts themselves need. Linked one by one: with a whole `/usr/bin` on PATH a slip
/// of a test would upgrade the machine it runs on.
const TOOLS: [&str; 16] = [
    "sh", "cat", "sed", "sleep", "mv", "cp", "rm", "env", "readlink", "setsid", "ls", "head", "touch",
    "mkdir", "perl", "yes",
];

/// One script for all helpers. It notes the call before anything else, so that a test sees also
/// those that were killed.
const FAKE: &str = r#"#!/bin/sh
world=${0%/fakes/*}
verb=${0##*/}
fd=
for word; do
    case $word in
        -oAPT::Status-Fd=*) fd=${word#*=} ;;
        update) verb=update ;;
        -s) verb=simulate ;;
        -d) verb=download ;;
        upgrade | dist-upgrade) case $verb in apt-get | apk) verb=install ;; esac ;;
        version | policy | audit | fetch | fix | info) [ "$verb" != apk ] || verb=$word ;;
    esac
done
# yum's words mean other things than apt-get's.
case "${0##*/} $*" in
    "yum "*" shell "*) verb=yum-refresh ;;
    "yum "*" check-update") verb=yum-pending ;;
    "yum "*" updateinfo "*) verb=yum-advisories ;;
    "yum "*" --assumeno "*) verb=yum-list ;;
    "yum "*" --downloadonly "*) verb=yum-download ;;
    "yum "*) verb=yum-install ;;
    "rpm -e "*) verb=rpm-erase ;;
esac
# Not echo: dpkg-query's format has backslashes.
printf '%s\n' "$$ $verb $*" >>"$world/calls"
count=0
[ ! -e "$world/count.$verb" ] || read -r count <"$world/count.$verb"
count=$((count + 1))
echo $count >"$world/count.$verb"
# A program that asks for ever ends here: the test that it is in finds no document.
asked=0 caller=
[ ! -e "$world/asked.$verb" ] || read -r caller asked <"$world/asked.$verb"
[ "$caller" = $PPID ] || asked=0
asked=$((asked + 1))
echo "$PPID $asked" >"$world/asked.$verb"
[ $asked -le 100 ] || kill -s KILL $PPID

# Prints a recording and exits as it did.
replay() {
    sed -n '/^--- stdout$/,/^--- \(stderr\|status-fd:\)$/{/^--- /d;p}' "$1"
    sed -n '/^--- stderr$/,${/^--- stderr$/d;p}' "$1" >&2
    code=$(sed -n '/^exit /{s///p;q}' "$1")
    [ "$code" -ge 0 ] || kill "$code" $$
    exit "$code"
}
# Writes a line to the progress descriptor.
progress() { echo "$1" >>"/proc/self/fd/$fd"; }
# Waits until the test lets it go on, or is over, or has gone wrong.
gate() {
    tries=0
    while [ ! -e "$world/go" ] && [ -d "$world/fakes" ] && [ $tries -lt 2400 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
}
# What dpkg does to the package database, at once.
unpack() {
    progress 'pmstatus:dpkg-exec:0.0000:Running dpkg'
    cp "$world/installed.after" "$world/installed.$$" && mv "$world/installed.$$" "$world/installed"
    : >"$world/pending"
}

script=$world/scripts/$verb
[ ! -e "$script.$count" ] || script=$script.$count
. "$script"
"#;

/// The packages before and after, as dpkg-query lists them.
const INSTALLED: &str = "tb-hello\tall\t1.0-1\tii \ntb-sec\tall\t1.0-1\tii \ntb-world\tall\t1.0-1\tii \nlibc6\tamd64\t2.36\tii \n";

pub struct World {
    dir: TempDir,
}

impl World {
    /// A machine with three updates pending on which everything goes well.
    pub fn new() -> World {
        crate::hangup::hear();
        let world = World { dir: tempfile::tempdir().unwrap() };
        for dir in ["fakes", "tools", "scripts"] {
            std::fs::create_dir(world.path(dir)).unwrap();
        }
        let places = || ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(Path::new).into_iter();
        for tool in TOOLS {
            let real = places().map(|dir| dir.join(tool)).find(|path| path.exists());
            let real = real.unwrap_or_else(|| panic!("these tests need {tool}"));
            std::os::unix::fs::symlink(real, world.path("tools").join(tool)).unwrap();
        }
        world.write("fake.text", FAKE);
        world.copy_program(&world.path("fake.text"), "fake");
        for helper in HELPERS {
            world.install_fake(helper);
        }
        world.write("pending", &recording_stdout("3.0-a4-simulate-upgrade"));
        world.write("installed", INSTALLED);
        world.write("installed.after", &INSTALLED.replace("\t1.0-1", "\t2.0-1"));
        world.on("update", &replay("3.0-a1-refresh-no-updates"));
        world.on("simulate", "cat $world/pending");
        world.on("download", "exit 0");
        world.on("install", "unpack");
        world.on("dpkg-query", "cat $world/installed");
        for quiet in ["apt-cache", "apt-config", "apt-get", "dpkg", "shutdown"] {
            world.on(quiet, "exit 0");
        }
        world
    }

    /// A machine of yum's with two updates pending, on which everything goes well.
    pub fn of_yum() -> World {
        let world = World::new();
        for fake in ["yum", "rpm"] {
            world.install_fake(fake);
        }
        let installed = |hello: &str, world: &str| {
            format!("tb-hello\tnoarch\t0:{hello}-1\t5\ntb-world\tnoarch\t0:{world}-1\t5\n")
        };
        world.write("installed", &installed("1.0", "1.0"));
        world.write("installed.after", &installed("3.0", "2.0"));
        world.on("rpm", "cat $world/installed");
        world.on("yum-refresh", &replay_of("yum", "3.4.3-v-c2-refresh"));
        world.on("yum-advisories", "exit 0");
        world.on("yum-download", &replay_of("yum", "3.4.3-v-c3-download-after"));
        world.on("yum-install", &format!("{INSTALL_ALL}; {}", replay_of("yum", "3.4.3-v-c3-install-after")));
        world
    }

    pub fn install_fake(&self, name: &str) {
        std::os::unix::fs::symlink(self.path("fake"), self.path("fakes").join(name)).unwrap();
    }

    /// Copies a program by another process: a file that this one has open for writing at the
    /// moment at which another thread forks cannot be started ("text file busy").
    pub fn copy_program(&self, from: &Path, name: &str) -> PathBuf {
        let to = self.path(name);
        assert!(Command::new("cp").arg(from).arg(&to).status().unwrap().success());
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o755)).unwrap();
        to
    }

    /// Runs linux-patch without root, from a place that others can reach too.
    pub fn run_unprivileged(&self, args: &[&str]) -> Ran {
        std::fs::set_permissions(self.path(""), PermissionsExt::from_mode(0o777)).unwrap();
        let mut command = self.bare(self.copy_program(Path::new(BINARY), "linux-patch"));
        command.args(args);
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        Ran::of(command)
    }

    /// What a helper does: `update`, `simulate`, `download` and `install` are apt-get's.
    pub fn on(&self, verb: &str, script: &str) -> &Self {
        self.write(&format!("scripts/{verb}"), script);
        self
    }

    /// What it does at its nth call only.
    pub fn on_call(&self, verb: &str, nth: usize, script: &str) -> &Self {
        self.on(&format!("{verb}.{nth}"), script)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The calls of a helper, in order, as `PID VERB ARGUMENTS`.
    pub fn calls(&self, verb: &str) -> Vec<String> {
        let all = self.read("calls");
        let of_verb = all.lines().filter(|line| line.split(' ').nth(1) == Some(verb));
        of_verb.map(str::to_owned).collect()
    }

    pub fn count(&self, verb: &str) -> usize {
        self.calls(verb).len()
    }

    /// Any program with nothing in its environment but this world's PATH.
    pub fn bare(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("PATH", format!("{}:{}", self.path("fakes").display(), self.path("tools").display()));
        if let Some(profile) = std::env::var_os("LLVM_PROFILE_FILE") {
            command.env("LLVM_PROFILE_FILE", profile);
        }
        command
    }

    /// linux-patch with this world's state directory and the words of `args`.
    pub fn command(&self, args: &str) -> Command {
        self.command_of(Path::new(BINARY), args)
    }

    /// The same of a copy.
    pub fn command_of(&self, program: &Path, args: &str) -> Command {
        let mut command = match args.contains("--reboot") && Path::new("/run/systemd/system").exists() {
            // The machine's systemd knows nothing of what a fake schedules.
            true => {
                let mut command = self.bare("/usr/bin/unshare");
                command.args(["--user", "--map-root-user", "--mount", "/bin/sh", "-c"]);
                command.arg("/bin/mount -t tmpfs none /run/systemd && exec \"$0\" \"$@\"").arg(program);
                command
            }
            false => self.bare(program),
        };
        command.arg("--state-dir").arg(self.state_dir()).args(args.split_whitespace());
        command
    }

    /// The same behind a launcher of some words.
    pub fn launched(&self, launcher: &[&str], args: &str) -> Command {
        let mut command = self.bare(self.path("tools").join(launcher[0]));
        command.args(&launcher[1..]).arg(BINARY).arg("--state-dir").arg(self.state_dir());
        command.args(args.split_whitespace());
        command
    }

    pub fn run(&self, args: &str) -> Ran {
        Ran::of(self.command(args))
    }

    /// Runs with `--format json` and gives the checked document.
    pub fn json(&self, args: &str) -> Value {
        self.run(&format!("{args} --format json")).json()
    }

    pub fn spawn(&self, args: &str) -> Child {
        self.command(args).spawn().unwrap()
    }

    /// A run whose messages can be read in a file of that name while it goes on.
    pub fn spawn_telling(&self, args: &str, file: &str) -> Child {
        self.command(args).stderr(self.messages(file)).spawn().unwrap()
    }

    pub fn messages(&self, file: &str) -> Stdio {
        Stdio::from(std::fs::File::create(self.path(file)).unwrap())
    }

    pub fn has_state(&self) -> bool {
        self.state_dir().join("state.json").exists()
    }

    /// Whether the state is one that the program can read.
    pub fn has_good_state(&self) -> bool {
        let bytes = std::fs::read(self.state_dir().join("state.json")).unwrap();
        matches!(
            linux_patch::store::state_file::parse(&bytes),
            linux_patch::store::state_file::Loaded::Good(_)
        )
    }

    pub fn state(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.state_dir().join("state.json")).unwrap()).unwrap()
    }

    pub fn write_state(&self, state: &Value) {
        self.write_state_bytes(state.to_string().as_bytes());
    }

    pub fn write_state_bytes(&self, bytes: &[u8]) {
        std::fs::create_dir_all(self.state_dir()).unwrap();
        std::fs::write(self.state_dir().join("state.json"), bytes).unwrap();
    }

    /// Names of the files in the state directory.
    pub fn state_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.state_dir()).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub const BINARY: &str = env!("CARGO_BIN_EXE_linux-patch");

/// What a script does to have all updates installed.
pub const INSTALL_ALL: &str = "cp $world/installed.after $world/installed";

/// The path of a recording.
pub fn fixture(manager: &str, name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(manager);
    let path = dir.join(format!("{name}.txt"));
    assert!(path.exists(), "there is no recording {name}");
    path
}

/// A script that does what was recorded.
pub fn replay(name: &str) -> String {
    replay_of("apt", name)
}

/// Likewise, of another manager.
pub fn replay_of(manager: &str, name: &str) -> String {
    format!("replay '{}'", fixture(manager, name).display())
}

fn recording_stdout(name: &str) -> String {
    let text = std::fs::read_to_string(fixture("apt", name)).unwrap();
    text.split("--- stdout\n").nth(1).unwrap().split("--- stderr\n").next().unwrap().to_string()
}

/// A run that ended.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ran {
    #[track_caller]
    pub fn of(mut command: Command) -> Ran {
        command.stderr(Stdio::piped());
        Ran::with_its_stderr(command)
    }

    /// Likewise, with standard error going where the command says: a pipe that is full loses what comes, from
    /// the middle of a character on.
    #[track_caller]
    pub fn with_its_stderr(mut command: Command) -> Ran {
        let started = Instant::now();
        let ran = Ran::end(command.stdout(Stdio::piped()).spawn().unwrap());
        Ran { took: started.elapsed(), ..ran }
    }

    /// Waits for its end; what hangs is ended, and a failure.
    #[track_caller]
    pub fn end(child: Child) -> Ran {
        const LONGEST: Duration = Duration::from_secs(300);
        let pid = rustix::process::Pid::from_child(&child);
        let (send, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || send.send(child.wait_with_output()));
        match ended.recv_timeout(LONGEST) {
            Ok(output) => Ran::from(output.unwrap()),
            Err(_) => {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                panic!("it goes on for ever, or for {LONGEST:?}");
            }
        }
    }

    /// The one document on standard output, with everything the contract says of every document.
    #[track_caller]
    pub fn json(&self) -> Value {
        let all = format!("exit {}\n{}\n{}", self.code, self.stdout, self.stderr);
        let doc: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not exactly one document ({error}): {all}"));
        assert!((0..=3).contains(&self.code), "{all}");
        assert_eq!(doc["exit_code"], self.code, "{all}");
        assert_eq!(doc["status"], if self.code == 0 { "healthy" } else { "degraded" }, "{all}");
        let words = ["fresh", "stale", "failed", "unknown"];
        assert!(words.contains(&doc["cache_status"].as_str().unwrap()), "{all}");
        let reason = doc["reason"].as_str().unwrap();
        assert!(!reason.is_empty() && !reason.contains(char::is_control), "{all}");
        assert!(doc["last_cache_update"].is_null() || doc["last_cache_update"].is_string(), "{all}");
        assert!(doc.as_object().unwrap().contains_key("last_cache_update"), "{all}");
        assert!(doc["age_seconds"].is_null() || doc["age_seconds"].is_i64(), "{all}");
        assert!(doc.as_object().unwrap().contains_key("age_seconds"), "{all}");
        assert_eq!(doc["version"], env!("CARGO_PKG_VERSION"), "{all}");
        match doc["command"].as_str() {
            Some("refresh") => assert!(doc["sources"].is_array() && doc["joined"].is_boolean(), "{all}"),
            Some("apply") => {
                assert!(doc["retried"].is_boolean() && doc["packages"].is_array(), "{all}");
                assert!(doc["reboot_required"].is_boolean(), "{all}");
                assert!(doc.as_object().unwrap().contains_key("error"), "{all}");
                assert!(self.code == 0 || self.code == 1 || doc["error"]["class"].is_string(), "{all}");
            }
            _ => {}
        }
        let violations = schema::violations(schema::of_document(&doc), &doc, false);
        assert!(violations.is_empty(), "{violations:?} {all}");
        doc
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
            took: Duration::ZERO,
        }
    }
}

/// Waits for something that another process does.
#[track_caller]
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + at_leisure(30);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Works on all items, some at once: most of the time is spent in sleeping fakes.
pub fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}
