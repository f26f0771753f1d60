//! A throw-away root in which the real package manager and the built binary run.
//!
//! An overlay over the machine's own root or over that of a newer Debian, with an empty package database (which makes every call
//! of apt take hundredths of a second), its own devices, and no way to reach anything but loopback.

use crate::leisure::at_leisure;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::deb::Deb;
use crate::holder::{Holder, duplicate};
use crate::repo::Repo;
use crate::report::Report;
use crate::vault::Vault;

/// No scenario takes nearly as long on an idle machine; what takes longer hangs.
const PATIENCE: u64 = 90;

/// Run in the directory that the overlay lies over, which may be below the place that is hidden here. The program is
/// open as 8. It starts few programs, because every test pays for them: `mount` and `cp` do much at once.
const SETUP: &str = r#"
umask 022
base=/tmp
mount -t tmpfs -o mode=0755 patch-sandbox $base
mkdir $base/upper $base/work $base/root
root=$base/root
mount -t overlay -o lowerdir=.,upperdir=$base/upper,workdir=$base/work overlay $root
{
  echo proc /proc proc
  echo patch-sandbox /tmp tmpfs mode=1777
  for place in dev etc/apt etc/dpkg var/lib/apt var/lib/dpkg var/cache/apt var/log boot run srv usr/local; do
    echo patch-sandbox /$place tmpfs mode=0755,X-mount.mkdir
  done
  echo devpts /dev/pts devpts newinstance,ptmxmode=0666,X-mount.mkdir
} >$base/fstab
mount --all --fstab $base/fstab --target-prefix $root

# Never the machine's own /dev: a link made in there would change the machine.
(cd /dev && cp -a null zero full random urandom tty fd stdin stdout stderr $root/dev)
ln -s pts/ptmx $root/dev/ptmx

(cd $root && mkdir -p dev/shm run/lock usr/local/sbin usr/local/bin etc/dpkg/dpkg.cfg.d \
  etc/apt/apt.conf.d etc/apt/preferences.d etc/apt/sources.list.d etc/apt/trusted.gpg.d etc/apt/keyrings \
  var/lib/apt/lists/partial var/cache/apt/archives/partial var/log/apt \
  var/lib/dpkg/info var/lib/dpkg/updates var/lib/dpkg/triggers var/lib/dpkg/alternatives var/lib/dpkg/parts)
: >$root/var/lib/dpkg/status
: >$root/var/lib/dpkg/available

# Some of what apt does depends on the machine: always the same one. Names are looked up in the hosts file, then at an
# address where nobody answers. What is there may be a link that leads out.
(cd $root && rm -rf var/lib/linux-patch etc/machine-id etc/resolv.conf etc/nsswitch.conf)
echo 0123456789abcdef0123456789abcdef >$root/etc/machine-id
echo 'nameserver 127.255.255.254' >$root/etc/resolv.conf
printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' >$root/etc/nsswitch.conf

cp /proc/self/fd/8 $root/usr/bin/linux-patch
exec 8<&-

# What could restart something is recorded instead.
for name in shutdown reboot poweroff halt systemctl; do
  printf '#!/bin/sh\necho "${0##*/} $*" >>/run/restarts\n' >$root/usr/local/sbin/$name
done
chmod 755 $root/usr/local/sbin/*
"#;

pub struct Sandbox {
    holder: Holder,
}

/// Whether the package managers are those of a newer Debian.
pub fn is_newer() -> bool {
    std::env::var_os("PATCH_TEST_NEWER").is_some()
}

impl Sandbox {
    /// Over the machine's own root, or over that of a newer Debian where PATCH_TEST_NEWER is set:
    /// so `make test-newer` plays everything with newer package managers.
    pub fn new() -> Sandbox {
        if is_newer() { Sandbox::newer() } else { Sandbox::prepared("") }
    }

    /// Over the root of a newer Debian, for package managers that this one does not have.
    pub fn newer() -> Sandbox {
        Sandbox::over(&Sandbox::newer_root(), "")
    }

    fn newer_root() -> String {
        Sandbox::made_by_make("newer-root")
    }

    /// What `make` of this name has put beside what is built.
    fn made_by_make(name: &str) -> String {
        // What is built for a target that is named lies one directory deeper.
        let above = Path::new(env!("CARGO_TARGET_TMPDIR")).ancestors().skip(1).take(2);
        let root = above.map(|dir| dir.join(name)).find(|root| root.is_dir());
        let root = root.unwrap_or_else(|| panic!("there is no {name}: run `make {name}`"));
        root.into_os_string().into_string().expect("a path that is no text")
    }

    /// Over the machine's own root, with the apk of an Alpine Linux in it.
    #[allow(dead_code)] // Not every test that has this module needs it.
    pub fn prepared_with_apk() -> Sandbox {
        let opened = format!("/' && exec 9<'{}' && cd '/", Sandbox::made_by_make("apk-root"));
        Sandbox::over(&opened, "cp -a /proc/self/fd/9/usr/. $root/usr/; exec 9<&-\n")
    }

    /// Over the machine's own root, with shell lines that do something in `$root` before anything
    /// else runs there.
    pub fn prepared(lines: &str) -> Sandbox {
        Sandbox::over("/", lines)
    }

    #[allow(dead_code)] // Not every test that has this module needs it.
    /// Likewise; the lines find the root of a newer Debian at /proc/self/fd/9.
    pub fn prepared_with_newer(lines: &str) -> Sandbox {
        Sandbox::over(&format!("/' && exec 9<'{}' && cd '/", Sandbox::newer_root()), lines)
    }

    fn over(lower: &str, lines: &str) -> Sandbox {
        crate::hangup::hear();
        let program = env!("CARGO_BIN_EXE_linux-patch");
        let setup = format!("exec 8<'{program}'\ncd '{lower}'\n{SETUP}{lines}");
        let sandbox = Sandbox { holder: Holder::start(&setup) };
        sandbox.write("/etc/apt/keyrings/test.gpg", Vault::get().known_key());
        sandbox
    }

    /// Creates or replaces a file inside.
    pub fn write_mode(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) {
        let may_be_executed = mode & 0o111 != 0;
        if may_be_executed || self.holder.write(path, content.as_ref(), mode).is_err() {
            self.write_from_inside(path, content.as_ref(), mode);
        }
    }

    /// The same by a program inside, which also makes the directory. If this process wrote what is executed then, another
    /// test's fork could still hold it open for writing ("text file busy").
    fn write_from_inside(&self, path: &str, content: &[u8], mode: u32) {
        let mut file = tempfile::tempfile().expect("could not create a temporary file");
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        let mut command = self.holder.command("install");
        command.args(["-D", &format!("--mode={mode:o}"), "/dev/stdin", path]).stdin(Stdio::from(file));
        let done = command.status().expect("could not run nsenter (package util-linux)");
        assert!(done.success(), "could not write {path} in the sandbox");
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        self.write_mode(path, content, 0o644);
    }

    pub fn write_script(&self, path: &str, body: &str) {
        self.write_mode(path, format!("#!/bin/sh\n{body}\n"), 0o755);
    }

    /// The text of a file inside, or nothing if there is none.
    pub fn read(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.holder.outside_path(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    #[allow(dead_code)] // Not every test that has this module needs it.
    pub fn read_bytes(&self, path: &str) -> Vec<u8> {
        fs::read(self.holder.outside_path(path)).expect("no such file in the sandbox")
    }

    pub fn exists(&self, path: &str) -> bool {
        self.holder.outside_path(path).symlink_metadata().is_ok()
    }

    pub fn mode(&self, path: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt;
        let meta = fs::metadata(self.holder.outside_path(path)).expect("no such file in the sandbox");
        meta.permissions().mode() & 0o7777
    }

    /// The names in a directory inside, sorted.
    pub fn list(&self, path: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.holder.outside_path(path)) else {
            return Vec::new();
        };
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// A command inside that has not been started yet.
    pub fn command(&self, program: &str) -> Command {
        self.holder.command(program)
    }

    /// Run a command inside to its end.
    #[track_caller]
    pub fn run(&self, argv: &[&str]) -> Ended {
        let mut command = self.holder.command(argv[0]);
        command.args(&argv[1..]);
        self.start(command).wait()
    }

    /// Run shell lines inside that must succeed, and return what they print.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        let ended = self.run(&["sh", "-ec", script]);
        assert_eq!(ended.code, 0, "{script}\n{}\n{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    /// Start a command inside, its output going to files (a pipe would stay open as long as
    /// anything that inherited it lives).
    #[track_caller]
    pub fn start(&self, command: Command) -> Running<'_> {
        let stdout = tempfile::tempfile().expect("could not create a temporary file");
        self.start_with(command, duplicate(&stdout), Some(stdout))
    }

    /// As `start`, its standard output being a pipe to `Running::stdout`.
    #[track_caller]
    pub fn start_piped(&self, command: Command) -> Running<'_> {
        self.start_with(command, Stdio::piped(), None)
    }

    fn start_with(&self, mut command: Command, stdout: Stdio, file: Option<File>) -> Running<'_> {
        let stderr = tempfile::tempfile().expect("could not create a temporary file");
        let what = command
            .get_args()
            .skip_while(|arg| *arg != "--")
            .skip(1)
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ");
        let child = command
            .stdout(stdout)
            .stderr(duplicate(&stderr))
            .spawn()
            .expect("could not run nsenter (package util-linux)");
        Running { sandbox: self, child, what, stdout: file, stderr, started: Instant::now() }
    }

    /// `linux-patch --format json ARGS...`, not started yet.
    pub fn patch_command(&self, args: &[&str]) -> Command {
        let mut command = self.holder.command("linux-patch");
        command.args(["--format", "json"]).args(args);
        command
    }

    /// The same for a user who may do nothing.
    pub fn patch_command_of_nobody(&self, args: &[&str]) -> Command {
        let mut command = self.holder.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.args(["linux-patch", "--format", "json"]).args(args);
        command
    }

    /// Run `linux-patch --format json ARGS...` and check what holds for every run.
    #[track_caller]
    pub fn patch(&self, args: &[&str]) -> Report {
        self.patch_with(args, &[])
    }

    /// As `patch`, with variables added to the environment.
    #[track_caller]
    pub fn patch_with(&self, args: &[&str], env: &[(&str, &str)]) -> Report {
        let mut command = self.patch_command(args);
        command.envs(env.iter().copied());
        self.start(command).report()
    }

    pub fn state(&self) -> Value {
        let text = self.read("/var/lib/linux-patch/state.json").unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// The state that the next run continues, also where it was put aside.
    #[allow(dead_code)] // Only the walk needs it.
    pub fn kept_state(&self) -> Value {
        let aside = || self.read("/var/lib/linux-patch/state.json.unsaved");
        let text = self.read("/var/lib/linux-patch/state.json").or_else(aside).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// The newest log of the package manager's own output.
    pub fn log(&self) -> String {
        let names = self.list("/var/log/linux-patch");
        let texts = names.iter().filter_map(|name| {
            let text = self.read(&format!("/var/log/linux-patch/{name}"))?;
            Some(format!("--- {name}\n{text}\n"))
        });
        texts.collect()
    }

    /// One source line for a repository, signed by the key that the sandbox knows.
    pub fn add_source(&self, name: &str, repo: &Repo) {
        self.add_source_at(name, &repo.url(), &repo.suite());
    }

    pub fn add_source_at(&self, name: &str, url: &str, suite: &str) {
        let line = format!("deb [signed-by=/etc/apt/keyrings/test.gpg] {url} {suite} main\n");
        self.write(&format!("/etc/apt/sources.list.d/{name}.list"), line);
    }

    /// Put packages into the root behind the back of everybody but dpkg.
    #[track_caller]
    pub fn install(&self, debs: &[Deb]) {
        let paths: Vec<String> = debs.iter().map(|deb| self.bring(deb)).collect();
        let mut argv = vec!["dpkg", "--install"];
        argv.extend(paths.iter().map(String::as_str));
        let ended = self.run(&argv);
        assert_eq!(ended.code, 0, "dpkg --install: {}{}", ended.stdout, ended.stderr);
    }

    /// Write a package file into the root and return its path there.
    pub fn bring(&self, deb: &Deb) -> String {
        let path = format!("/srv/debs/{}", deb.file_name());
        self.write(&path, deb.bytes().as_slice());
        path
    }

    /// What dpkg says is installed and configured, by name. Other states keep theirs in the text.
    pub fn installed(&self) -> BTreeMap<String, String> {
        let lines = self.run(&["dpkg-query", "-W", "-f=${db:Status-Status} ${Package} ${Version}\n"]);
        let rows = lines.stdout.lines().map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let (status, name, version) =
                (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            match status.as_str() {
                "installed" => (name, version),
                _ => (name, format!("{version} {status}")),
            }
        });
        rows.collect()
    }

    /// Check what dpkg says is installed: `"tb-hello 2.0"`, and nothing else.
    #[track_caller]
    pub fn has_exactly(&self, expected: &[&str]) {
        let found: Vec<String> = self.installed().iter().map(|(n, v)| format!("{n} {v}")).collect();
        assert_eq!(found, expected, "installed packages\n{}\n{}", self.state(), self.log());
    }

    /// The processes inside, without the ones that keep the sandbox: (pid inside, name).
    pub fn processes(&self) -> Vec<(u32, String)> {
        let pids = self.list("/proc").into_iter().filter_map(|name| name.parse::<u32>().ok());
        let mut pids: Vec<_> = pids.collect();
        // From parent to child: by their names 100 would stand before 99.
        pids.sort_unstable();
        pids.into_iter()
            .filter_map(|pid| {
                let stat = self.read(&format!("/proc/{pid}/stat"))?;
                let (head, tail) = stat.rsplit_once(") ")?;
                let name = head.split_once('(')?.1.to_owned();
                let mut words = tail.split(' ');
                let (state, parent) = (words.next()?, words.next()?);
                let keeper = pid == 1 || (parent == "1" && name == "cat");
                (state != "Z" && !keeper).then_some((pid, name))
            })
            .collect()
    }

    /// The number inside of the one linux-patch that runs.
    #[track_caller]
    pub fn patch_pid(&self) -> u32 {
        let ours = self.processes().into_iter().find(|(_, name)| name == "linux-patch");
        ours.expect("linux-patch does not run").0
    }

    #[track_caller]
    pub fn runs_nothing(&self) {
        let left = self.processes();
        assert!(left.is_empty(), "left running: {left:?}");
    }

    /// Wait until a condition inside holds.
    #[track_caller]
    pub fn wait_until(&self, what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < at_leisure(PATIENCE), "waited in vain until {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    pub fn wait_for_file(&self, path: &str) {
        self.wait_until(&format!("{path} exists"), || self.exists(path));
    }

    /// Ends everything inside without warning, as a power failure would. linux-patch is first, so that it cannot
    /// notice; then from parent to child, so that dpkg cannot either.
    #[track_caller]
    pub fn kill_everything(&self) {
        let mut all = self.processes();
        all.sort_by_key(|(_, name)| name != "linux-patch");
        let pids: Vec<String> = all.iter().map(|(pid, _)| pid.to_string()).collect();
        // Some may be gone before their turn comes.
        self.run(&["sh", "-c", &format!("kill -s KILL {}", pids.join(" "))]);
        self.wait_until("everything is gone", || self.processes().is_empty());
    }

    /// Send a signal to a process by its number inside.
    #[track_caller]
    pub fn signal(&self, pid: u32, signal: &str) {
        self.sh(&format!("kill -s {signal} {pid}"));
    }
}

/// A command that has been started inside.
pub struct Running<'a> {
    sandbox: &'a Sandbox,
    child: Child,
    what: String,
    stdout: Option<File>,
    stderr: File,
    started: Instant,
}

impl Running<'_> {
    /// The other end of the pipe, for one started with `start_piped`.
    pub fn take_stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().expect("standard output is not a pipe")
    }

    /// Waits until it says this on standard error.
    #[track_caller]
    pub fn wait_to_hear(&self, words: &str) {
        use std::os::unix::fs::FileExt;
        let says = || {
            // Not from the place at which it writes.
            let mut said = vec![0; 1 << 16];
            let length = self.stderr.read_at(&mut said, 0).unwrap_or(0);
            String::from_utf8_lossy(&said[..length]).contains(words)
        };
        let stat = format!("/proc/{}/stat", self.child.id());
        let has_ended =
            || fs::read_to_string(&stat).is_ok_and(|stat| stat.rsplit(')').next().unwrap().starts_with(" Z"));
        self.sandbox.wait_until(words, || says() || has_ended());
        assert!(says(), "{} ended without saying {words:?}", self.what);
    }

    #[track_caller]
    pub fn wait(mut self) -> Ended {
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("could not wait for a child") {
                break status;
            }
            if self.started.elapsed() > at_leisure(PATIENCE) {
                let left = self.sandbox.processes();
                panic!(
                    "{} hangs; running: {left:?}\n{}\n{}",
                    self.what,
                    slurp(&mut self.stderr),
                    self.sandbox.log()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        use std::os::unix::process::ExitStatusExt;
        Ended {
            what: self.what,
            // A shell's way to tell a signal from a code.
            code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            elapsed: self.started.elapsed(),
            stdout: self.stdout.as_mut().map(slurp).unwrap_or_default(),
            stderr: slurp(&mut self.stderr),
        }
    }

    /// Wait for a `linux-patch --format json` and check what holds for every run.
    #[track_caller]
    pub fn report(self) -> Report {
        let sandbox = self.sandbox;
        Report::check(self.wait(), sandbox)
    }
}

fn slurp(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended {
    pub what: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub elapsed: Duration,
}
