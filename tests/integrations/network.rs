//! A network of its own: hosts with a real sshd behind a bridge, and a controller that reaches them.
//! Nothing of it can be seen from the machine, and nothing of the machine from it.

use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::booted::Booted;
use crate::deb::Deb;
use crate::holder::duplicate;
use crate::repo::Repo;
use crate::sandbox::Sandbox;

/// Where the test itself is: the mirror and the controller.
pub const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const INSIDE: &str = "LINUX_PATCH_TEST_NETWORK";
const KEYS: &str = "/srv/ssh";

/// Runs the test of this name, which calls this, once more in a network of its own.
#[track_caller]
pub fn in_own_network(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        ip("link set lo up");
        ip("link add bridge0 type bridge");
        ip(&format!("addr add {HERE}/24 dev bridge0"));
        ip("addr add 10.77.0.2/24 dev bridge0");
        ip("link set bridge0 up");
        return test();
    }
    let ended = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().expect("the tests have no path"))
        .args([name, "--exact", "--include-ignored", "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .expect("could not run unshare (package util-linux)");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    println!("{said}");
    assert!(ended.status.success() && said.contains("1 passed"), "{name} failed in its network");
}

/// `ip ARGS` here.
#[track_caller]
fn ip(args: &str) {
    let done = Command::new("ip").args(args.split(' ')).output();
    let done = done.expect("could not run ip (package iproute2)");
    assert!(done.status.success(), "ip {args}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Shell lines that give the host with this number a network with a cable to our bridge.
fn plugged_in(number: u8) -> String {
    format!(
        "command -v ip >/dev/null || {{ echo 'ip is needed (package iproute2)' >&2; exit 1; }}
         unshare --net sleep infinity </dev/null >/dev/null & keeper=$!
         here=$(readlink $root/proc/self/ns/net)
         while [ \"$(readlink $root/proc/$keeper/ns/net)\" = \"$here\" ]; do sleep 0.01; done
         network=\"nsenter --net=$root/proc/$keeper/ns/net\"
         ip link add host{number} type veth peer name eth0 netns $keeper
         ip link set host{number} master bridge0 up
         $network ip addr add {address}/24 dev eth0
         $network ip link set lo up
         $network ip link set eth0 up
         echo $keeper >$root/srv/keeper\n",
        address = address(number),
    )
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 10 + number)
}

/// One host: systemd and sshd, or sshd alone.
pub struct Host {
    pub number: u8,
    pub booted: Booted,
    pub has_systemd: bool,
}

impl Host {
    pub fn name(&self) -> String {
        format!("host{}", self.number)
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.booted.sandbox
    }

    /// Unplugs its cable, or plugs it in again.
    #[track_caller]
    pub fn cable(&self, is_in: bool) {
        ip(&format!("link set host{} {}", self.number, if is_in { "up" } else { "down" }));
    }

    /// How many runs its history holds of a command that began with this.
    pub fn runs(&self, command: &str) -> usize {
        let text = self.sandbox().read("/var/lib/linux-patch/history.jsonl").unwrap_or_default();
        let wanted = format!("\"command\":\"{command}");
        text.lines().filter(|line| line.contains(&wanted)).count()
    }

    pub fn boot_id(&self) -> String {
        self.booted.run(&["cat", "/proc/sys/kernel/random/boot_id"]).stdout
    }

    /// A source whose repository publishes this, with that installed before.
    pub fn has(&self, installed: &[Deb], repo: &Repo) {
        self.sandbox().add_source("test", repo);
        self.sandbox().install(installed);
    }

    #[track_caller]
    fn start(&self, public_key: &str) {
        let sandbox = self.sandbox();
        // Root's own shell would read files of the machine; the other one asks sudo.
        sandbox.sh(&format!(
            "mkdir -m 755 {KEYS}; mkdir -m 700 /srv/admin
             sed -i 's#^root:.*#root:x:0:0:root:/srv:/bin/sh#' /etc/passwd
             sed -i 's#^root:[^:]*:#root:*:#' /etc/shadow
             echo admin:x:7777:7777:admin:/srv/admin:/bin/sh >>/etc/passwd
             echo admin:x:7777: >>/etc/group; echo 'admin:*:20000::::::' >>/etc/shadow
             chown 7777:7777 /srv/admin
             ssh-keygen -q -t ed25519 -N '' -f {KEYS}/host"
        ));
        sandbox.write_mode("/etc/sudoers.d/admin", "admin ALL=(ALL) NOPASSWD: ALL\n", 0o440);
        sandbox.write(&format!("{KEYS}/authorized"), public_key);
        let pam = if self.has_systemd { "yes" } else { "no" };
        sandbox.write(
            &format!("{KEYS}/config"),
            format!(
                "ListenAddress {}:22\nHostKey {KEYS}/host\nAuthorizedKeysFile {KEYS}/authorized\n\
                 PermitRootLogin yes\nPidFile none\nPrintMotd no\nUsePAM {pam}\nUseDNS no\n\
                 ClientAliveInterval 2\nClientAliveCountMax 2\nSubsystem sftp internal-sftp\n",
                address(self.number)
            ),
        );
        let sshd = format!("/usr/sbin/sshd -D -e -f {KEYS}/config");
        if self.has_systemd {
            sandbox.write(
                "/etc/systemd/system/test-sshd.service",
                format!("[Service]\nRuntimeDirectory=sshd\nKillMode=process\nExecStart={sshd}\n"),
            );
            sandbox.sh("mkdir -p /etc/systemd/system/basic.target.wants
                 cd /etc/systemd/system/basic.target.wants; ln -s ../test-sshd.service .
                 ln -s /lib/systemd/system/systemd-user-sessions.service .");
            self.booted.boot();
        } else {
            let keeper = sandbox.read("/srv/keeper").unwrap();
            let network = format!("nsenter --net=/proc/{}/ns/net", keeper.trim());
            // By this link Ansible would detect systemd.
            sandbox.sh("rm -f /sbin/init");
            sandbox.sh(&format!("mkdir -p -m 755 /run/sshd; {network} {sshd} >{KEYS}/log 2>&1 &"));
        }
        sandbox.wait_until("sshd listens", || TcpStream::connect((address(self.number), 22)).is_ok());
    }
}

/// The controller, and its hosts.
pub struct Fleet {
    pub controller: Sandbox,
    pub hosts: Vec<Host>,
}

impl Fleet {
    /// So many hosts; those from `plain` on have no systemd. Each is prepared, then started.
    #[track_caller]
    pub fn new(count: u8, plain: u8, prepare: impl Fn(&Host)) -> Fleet {
        for (program, package) in [
            ("/usr/bin/ansible-playbook", "ansible-core"),
            ("/usr/sbin/sshd", "openssh-server"),
            ("/usr/bin/sudo", "sudo"),
            ("/usr/lib/python3/dist-packages/apt/__init__.py", "python3-apt"),
        ] {
            assert!(std::path::Path::new(program).exists(), "{program} is needed (package {package})");
        }
        let controller = Sandbox::new();
        controller.sh("mkdir -p /srv/home/work; ssh-keygen -q -t ed25519 -N '' -f /srv/home/key");
        let public_key = controller.read("/srv/home/key.pub").unwrap();
        let hosts: Vec<Host> = (1..=count)
            .map(|number| {
                let host = Host {
                    number,
                    booted: Booted::prepared(&plugged_in(number)),
                    has_systemd: number < plain,
                };
                prepare(&host);
                host.start(&public_key);
                host
            })
            .collect();
        let mut inventory = String::from(
            "[all:vars]\nansible_python_interpreter=/usr/bin/python3\n\
             ansible_ssh_common_args=-F none -i /srv/home/key -o BatchMode=yes -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=5 \
             -o ServerAliveInterval=2 -o ServerAliveCountMax=2\n[fleet]\n",
        );
        for host in &hosts {
            // On one of them, as in most fleets, the login is a user who may become root.
            let user = if host.number == 1 { "admin" } else { "root" };
            inventory +=
                &format!("{} ansible_host={} ansible_user={user}\n", host.name(), address(host.number));
        }
        controller.write("/srv/home/inventory", inventory);
        controller.write("/srv/home/ansible.cfg", "");
        let fleet = Fleet { controller, hosts };
        fleet.bring("contrib/ansible", "/srv/home/linux-patch/contrib/ansible");
        fleet.bring("contrib/systemd", "/srv/home/linux-patch/contrib/systemd");
        fleet.bring("contrib/cron", "/srv/home/linux-patch/contrib/cron");
        fleet.bring("man", "/srv/home/linux-patch/man");
        fleet
    }

    /// Copies a directory of the repository, links as links.
    #[track_caller]
    fn bring(&self, name: &str, path: &str) {
        let mut tar = Command::new("tar")
            .args(["-C", &format!("{}/{name}", env!("CARGO_MANIFEST_DIR")), "-c", "."])
            .stdout(Stdio::piped())
            .spawn()
            .expect("could not run tar");
        let done = self
            .controller
            .command("sh")
            .args(["-c", r#"mkdir -p "$1" && tar -C "$1" -x --no-same-owner"#, "sh", path])
            .stdin(tar.stdout.take().unwrap())
            .status()
            .unwrap();
        assert!(done.success() && tar.wait().unwrap().success(), "could not bring {name}");
    }

    /// A command of Ansible's on the controller, not started yet.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.controller.command("timeout");
        command.args(["900", "env", "-C", "/srv/home/work", program]);
        command.args(["-i", "/srv/home/inventory"]).args(args);
        for (name, value) in [
            ("HOME", "/srv/home"),
            ("LC_ALL", "C.UTF-8"),
            ("ANSIBLE_CONFIG", "/srv/home/ansible.cfg"),
            ("ANSIBLE_NOCOLOR", "1"),
            // Must have no effect on an apply.
            ("ANSIBLE_SSH_RETRIES", "3"),
        ] {
            command.env(name, value);
        }
        command
    }

    /// `ansible-playbook contrib/ansible/NAME ARGS` to its end.
    #[track_caller]
    pub fn play(&self, name: &str, args: &[&str]) -> Played {
        self.start(name, args).wait()
    }

    /// The same, not waited for.
    #[track_caller]
    pub fn start(&self, name: &str, args: &[&str]) -> Playing {
        let path = format!("/srv/home/linux-patch/contrib/ansible/{name}");
        let mut command = self.command("ansible-playbook", &[&path]);
        let output = tempfile::NamedTempFile::new().expect("could not create a temporary file");
        command.args(args).stdout(duplicate(output.as_file())).stderr(duplicate(output.as_file()));
        Playing { child: command.spawn().expect("could not run nsenter (package util-linux)"), output }
    }

    /// The report on a host in this directory.
    pub fn report(&self, dir: &str, host: &Host) -> Option<serde_json::Value> {
        let text = self.controller.read(&format!("{dir}/{}.json", host.name()))?;
        Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
    }
}

/// A running playbook.
pub struct Playing {
    child: Child,
    output: tempfile::NamedTempFile,
}

impl Playing {
    fn said(&self) -> String {
        std::fs::read_to_string(self.output.path()).unwrap()
    }

    /// Waits for something to happen, or to be said, while it plays.
    #[track_caller]
    pub fn wait_until(&mut self, what: &str, holds: impl Fn(&str) -> bool) {
        while !holds(&self.said()) {
            let end = self.child.try_wait().unwrap();
            assert!(end.is_none(), "it ended before {what}: {}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn wait(mut self) -> Played {
        let status = self.child.wait().unwrap();
        let played = Played { code: status.code().unwrap_or(-1), said: self.said() };
        println!("{}", played.said);
        played
    }
}

/// A playbook that has ended.
#[derive(Debug)]
pub struct Played {
    pub code: i32,
    pub said: String,
}

impl Played {
    /// A number of a host in the recap, such as `changed`.
    #[track_caller]
    pub fn count(&self, host: &Host, what: &str) -> usize {
        let recap = self.said.split("PLAY RECAP").nth(1).unwrap_or_else(|| panic!("no recap: {}", self.said));
        let start = format!("{} ", host.name());
        let line = recap.lines().find(|line| line.starts_with(&start)).unwrap_or_default();
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(&format!("{what}=")));
        word.map(|number| number.parse().unwrap()).unwrap_or_else(|| panic!("no {what} of {start}: {recap}"))
    }
}
