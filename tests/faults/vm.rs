//! A machine that can be suspended and whose power can be cut: qemu with a kernel of its own, an init
//! of busybox, the built binary and the fakes. No network, and nothing of this machine but what is
//! copied into its memory.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tempfile::TempDir;

use crate::world::{BINARY, World};

/// Where `make vm-root` puts qemu, a kernel and busybox.
const ROOT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/../vm-root");

/// How long to wait for a line: the processor is emulated, and the machine is busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// The first process. What the script prints goes to a console that has taken it when the call ends:
/// what a cut comes after was said.
const INIT: &str = r#"#!/bin/sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(ls /modules); do xzcat "/modules/$module" >/module && insmod /module; done
# linux-patch in a world, with nothing in its environment but the PATH of that.
patch() {
    world=$1
    shift
    env -i PATH="$world/fakes:$world/tools" /bin/linux-patch --manager apt "$@"
}
uptime() { cut -d . -f 1 /proc/uptime; }
stty raw -echo </dev/hvc0
. /script >/dev/hvc0 </dev/hvc0
echo end >/dev/hvc0
poweroff -f
"#;

fn root() -> PathBuf {
    fs::canonicalize(ROOT).unwrap_or_else(|_| panic!("there is no qemu in {ROOT}: run `make vm-root`"))
}

/// A program of the root, with its own libraries: it runs here, where others may be installed.
pub fn program(path: &str) -> Command {
    let libraries = root().join("usr/lib/x86_64-linux-gnu");
    let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(&libraries).arg(root().join(path));
    command
}

/// The one file of a directory of the root whose name begins so.
fn found(dir: &str, beginning: &str) -> PathBuf {
    let entries = fs::read_dir(root().join(dir)).unwrap_or_else(|error| panic!("{dir}: {error}"));
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(beginning);
    paths.find(is_it).unwrap_or_else(|| panic!("no {beginning} in {dir} of {ROOT}"))
}

/// What such a machine starts from: the kernel, and the content of its memory.
pub struct System {
    dir: TempDir,
}

impl System {
    /// With these worlds, each at the path that it has here too, a script of shell, and the modules of
    /// the kernel (path below its `kernel`) in the order in which they are loaded.
    pub fn new(worlds: &[&World], modules: &[&str], script: &str) -> System {
        let system = System { dir: tempfile::tempdir().unwrap() };
        let tree = system.dir.path().join("tree");
        let below = |path: &Path| tree.join(path.strip_prefix("/").unwrap());
        for dir in ["bin", "usr", "proc", "sys", "dev", "tmp", "etc", "modules", "disk"] {
            fs::create_dir_all(tree.join(dir)).unwrap();
        }
        for name in ["sbin", "usr/bin", "usr/sbin"] {
            std::os::unix::fs::symlink("/bin", tree.join(name)).unwrap();
        }
        let copy = |from: &Path, to: &Path| {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            let copied = Command::new("cp").args(["-a", "--dereference"]).arg(from).arg(to).status();
            assert!(copied.unwrap().success(), "could not copy {}", from.display());
        };
        copy(&root().join("usr/bin/busybox"), &tree.join("bin/busybox"));
        std::os::unix::fs::symlink("busybox", tree.join("bin/sh")).unwrap();
        copy(Path::new(BINARY), &tree.join("bin/linux-patch"));
        // None for a static one.
        let libraries = Command::new("ldd").arg(BINARY).output().unwrap().stdout;
        for word in String::from_utf8(libraries).unwrap().split_whitespace() {
            if word.starts_with('/') {
                copy(Path::new(word), &below(Path::new(word)));
            }
        }
        let kernel = found("usr/lib/modules", "").join("kernel");
        for (number, module) in modules.iter().enumerate() {
            copy(&kernel.join(format!("{module}.ko.xz")), &tree.join(format!("modules/{number}")));
        }
        for world in worlds {
            let path = world.path("");
            fs::create_dir_all(below(&path)).unwrap();
            let copied = Command::new("cp").arg("-a").arg(path.join(".")).arg(below(&path)).status();
            assert!(copied.unwrap().success());
        }
        fs::write(tree.join("script"), script).unwrap();
        fs::write(tree.join("init"), INIT).unwrap();
        let packed = Command::new("sh")
            .args([
                "-c",
                "cd \"$1\" && chmod 755 init && find . | bin/busybox cpio -o -H newc >../initrd",
                "sh",
            ])
            .arg(&tree)
            .stderr(Stdio::null())
            .status();
        assert!(packed.unwrap().success(), "could not pack the memory of the machine");
        system
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the machine; `arguments` give it a disk. Emulated, which every machine that these tests
    /// run on can do; PATCH_TEST_ACCEL=kvm is faster where it can be had.
    pub fn boot(&self, arguments: &[String]) -> Guest {
        let accel = std::env::var("PATCH_TEST_ACCEL").unwrap_or_else(|_| "tcg".to_string());
        let console = tempfile::Builder::new().prefix("console").tempfile_in(self.dir.path()).unwrap();
        let mut command = program("usr/bin/qemu-system-x86_64");
        for place in ["qemu", "seabios"] {
            command.arg("-L").arg(root().join("usr/share").join(place));
        }
        command.args("-M pc -cpu max -m 256 -no-reboot -nodefaults -no-user-config -nic none".split(' '));
        command.args(["-accel", &accel, "-display", "none"]);
        command.arg("-serial").arg(format!("file:{}", console.path().display()));
        command.args("-device virtio-serial-pci -device virtconsole,chardev=said".split(' '));
        command.args("-chardev stdio,id=said,signal=off".split(' '));
        command.arg("-kernel").arg(found("boot", "vmlinuz-")).arg("-initrd").arg(self.path("initrd"));
        // The timer is not checked: the check fails if the emulation gets too little processor time.
        command
            .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check"])
            .args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (say, lines) = channel();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut line = String::new();
            // A line that the cut left incomplete does not count.
            while output.read_line(&mut line).is_ok() && line.ends_with('\n') {
                if say.send(line.trim_end().to_string()).is_err() {
                    break;
                }
                line.clear();
            }
        });
        let input = child.stdin.take();
        Guest { child, lines, input, console, heard: Vec::new() }
    }
}

/// A machine that runs.
pub struct Guest {
    child: Child,
    lines: Receiver<String>,
    /// Kept open: it reads from there.
    input: Option<ChildStdin>,
    console: tempfile::NamedTempFile,
    heard: Vec<String>,
}

impl Guest {
    /// The next line that it says.
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.heard.push(line.clone());
                line
            }
            Err(error) => {
                let console = fs::read_to_string(self.console.path()).unwrap_or_default();
                panic!("the machine says no more ({error}):\n{}\n{console}", self.heard.join("\n"))
            }
        }
    }

    /// Its output until the power was cut: SIGKILL loses everything that its kernel had not written.
    pub fn cut(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // The reader ends with the pipe.
        self.lines.iter().collect()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have been cut off already, or have switched itself off.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
