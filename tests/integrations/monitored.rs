//! A machine that a monitoring system checks, and what happens to it: real refreshes and applies with a
//! real apt, with all four exit codes.

use crate::bench;
use crate::daemons::{free_address, listens, need, ours, start};
use crate::deb::deb;
use crate::repo::Repo;
use crate::sandbox::Sandbox;
use crate::server::Fault;
use std::net::Ipv4Addr;

/// A root with tb-hello and tb-sec, and a source with an update for each; that of tb-sec is a security
/// update.
pub struct Monitored {
    pub sandbox: Sandbox,
    pub sources: [Repo; 2],
}

impl Monitored {
    #[track_caller]
    pub fn new() -> Monitored {
        let installed = [deb("tb-hello", "1.0"), deb("tb-sec", "1.0")];
        let (sandbox, plain) = bench::one(&installed, &[deb("tb-hello", "2.0")]);
        let secure =
            Repo::claiming(|claims| claims.label = "Debian-Security".into(), &[deb("tb-sec", "2.0")]);
        sandbox.add_source("security", &secure);
        Monitored { sandbox, sources: [plain, secure] }
    }

    #[track_caller]
    fn does(&self, args: &[&str], code: i32) {
        self.sandbox.patch(args).exits(code);
    }

    /// A daemon of NRPE with its configuration as Debian has it, and ours; gives its address.
    #[track_caller]
    pub fn with_nrpe(&self) -> Ipv4Addr {
        need("/usr/sbin/nrpe", "nagios-nrpe-server");
        need("/usr/lib/nagios/plugins/check_nrpe", "nagios-nrpe-plugin");
        let mut address = free_address();
        // The port that every check_nrpe asks.
        address.set_port(5666);
        self.sandbox.write("/etc/nagios/nrpe.d/linux-patch.cfg", ours("contrib/nagios/nrpe.cfg"));
        self.sandbox.sh(&format!(
            "install -d -o nagios /run/nagios
             sed -i 's/^allowed_hosts=.*/allowed_hosts=127.0.0.0\\/8/; $aserver_address={}' /etc/nagios/nrpe.cfg",
            address.ip()
        ));
        start(&self.sandbox, "nrpe", "nrpe -c /etc/nagios/nrpe.cfg -f");
        listens(&self.sandbox, "nrpe", address);
        loopback(address.ip())
    }

    /// An sshd that lets the user nagios of the monitoring server in as the user nagios; gives its
    /// address. The client's configuration knows the port.
    #[track_caller]
    pub fn with_sshd(&self) -> Ipv4Addr {
        need("/usr/sbin/sshd", "openssh-server");
        need("/usr/lib/nagios/plugins/check_by_ssh", "monitoring-plugins-basic");
        let address = free_address();
        let (ip, port) = (address.ip(), address.port());
        self.sandbox.sh(&format!(
            "mkdir -p -m 755 /run/sshd /srv/ssh
             sed -i '/^nagios:/s#[^:]*:[^:]*$#/srv/nagios:/bin/sh#' /etc/passwd
             sed -i 's#^nagios:[^:]*:#nagios:*:#' /etc/shadow
             mkdir -m 700 -p /srv/nagios/.ssh
             for name in /srv/ssh/host /srv/nagios/.ssh/id_ed25519; do ssh-keygen -q -t ed25519 -N '' -f $name; done
             echo \"[{ip}]:{port} $(cut -d' ' -f1,2 /srv/ssh/host.pub)\" >/srv/nagios/.ssh/known_hosts
             cp /srv/nagios/.ssh/id_ed25519.pub /srv/nagios/.ssh/authorized_keys
             printf 'Host {ip}\\n  Port {port}\\n' >/srv/nagios/.ssh/config
             echo 'an old greeting' >/srv/ssh/banner
             chown -R nagios /srv/nagios"
        ));
        // A banner goes to the client's standard error.
        self.sandbox.write(
            "/srv/ssh/config",
            format!(
                "ListenAddress {ip}:{port}\nHostKey /srv/ssh/host\nPidFile none\nUsePAM no\nStrictModes yes\n\
                 Banner /srv/ssh/banner\n"
            ),
        );
        start(&self.sandbox, "sshd", "/usr/sbin/sshd -D -e -f /srv/ssh/config");
        listens(&self.sandbox, "sshd", address);
        loopback(ip)
    }
}

fn loopback(ip: std::net::IpAddr) -> Ipv4Addr {
    match ip {
        std::net::IpAddr::V4(ip) => ip,
        std::net::IpAddr::V6(_) => unreachable!("only IPv4 is given out"),
    }
}

/// Something that happens to the machine, and what every check of contrib then says.
pub struct Step {
    pub what: &'static str,
    pub happens: fn(&Monitored),
    pub code: i32,
    /// Parts of the first line, before its performance data.
    pub words: &'static [&'static str],
    /// Of the performance data.
    pub perfdata: &'static [&'static str],
    /// The lines after the first.
    pub list: &'static [&'static str],
}

const BOTH: &[&str] = &["tb-sec 1.0 -> 2.0 (security)", "tb-hello 1.0 -> 2.0"];

pub const STORY: &[Step] = &[
    Step {
        what: "nothing was ever refreshed",
        happens: |_| (),
        code: 3,
        words: &["UNKNOWN: ", "never refreshed"],
        perfdata: &["age=U;14400;86400;0", "pending=U;;;0", "security=U;0;;0", "reboot_required=U;0;;0;1"],
        list: &[],
    },
    Step {
        what: "a security update is pending",
        happens: |machine| machine.does(&["refresh"], 0),
        code: 1,
        words: &["WARNING: 1 security update pending, ", "2 updates pending (1 security)"],
        perfdata: &["pending=2;;;0", "security=1;0;;0", "failed_sources=0;;;0"],
        list: BOTH,
    },
    Step {
        what: "an apply fails",
        happens: |machine| {
            machine.sources[0].server.fault(".deb", Fault::Status(404));
            machine.does(&["apply"], 2);
        },
        code: 2,
        words: &["CRITICAL: 1 security update pending, the last apply failed (fetch: "],
        perfdata: &["pending=2;;;0", "security=1;0;;0"],
        list: BOTH,
    },
    Step {
        what: "an apply succeeds",
        happens: |machine| {
            machine.sources[0].server.heal();
            machine.does(&["apply"], 0);
        },
        code: 0,
        words: &["OK: ", "nothing pending"],
        perfdata: &["pending=0;;;0", "security=0;0;;0", "held_back=0;;;0", "reboot_required=0;0;;0;1"],
        list: &[],
    },
    Step {
        what: "one source of two fails",
        happens: |machine| {
            machine.sources[1].server.fault("/InRelease", Fault::Status(503));
            machine.does(&["refresh"], 1);
        },
        code: 1,
        words: &["WARNING: ", "nothing pending"],
        perfdata: &["failed_sources=1;;;0"],
        list: &[],
    },
    Step {
        what: "both sources fail",
        happens: |machine| {
            machine.sources[0].server.fault("/InRelease", Fault::Status(503));
            machine.does(&["refresh"], 2);
        },
        code: 2,
        words: &["CRITICAL: "],
        perfdata: &["failed_sources=2;;;0"],
        list: &[],
    },
    Step {
        what: "all is well but that a reboot is required",
        happens: |machine| {
            machine.sources.iter().for_each(|source| source.server.heal());
            machine.does(&["refresh"], 0);
            machine.sandbox.sh("touch /run/reboot-required");
        },
        code: 1,
        words: &["WARNING: reboot required, "],
        perfdata: &["failed_sources=0;;;0", "reboot_required=1;0;;0;1"],
        list: &[],
    },
    Step {
        what: "the state is lost",
        happens: |machine| {
            machine.sandbox.sh("echo '{' >/var/lib/linux-patch/state.json");
        },
        code: 3,
        words: &["UNKNOWN: "],
        perfdata: &["age=U;14400;86400;0"],
        list: &[],
    },
];

/// Has five hundred updates pending, too many for the buffers on the way.
pub fn overflow(machine: &Monitored) {
    machine.sandbox.sh("rm -f /var/lib/linux-patch/state.json*");
    machine.does(&["refresh"], 0);
    let mut state = machine.sandbox.state();
    let update = |number| {
        serde_json::json!({"name": format!("package-{number}"), "installed": "1.0|1", "candidate": "2.0",
                           "security": false, "source": null})
    };
    state["pending"]["packages"] = (0..500).map(update).collect();
    state["pending"]["count"] = 500.into();
    machine.sandbox.write("/var/lib/linux-patch/state.json", state.to_string());
}

/// What a monitoring system made of a check.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub code: i32,
    pub output: String,
    pub long_output: Vec<String>,
    pub perfdata: Vec<String>,
}

/// How many values the performance data has.
pub const VALUES: usize = 9;

impl Seen {
    /// Reads the output of a plugin.
    pub fn of_text(code: i32, text: &str) -> Seen {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let (output, perfdata) = first.split_once('|').unwrap_or((first, ""));
        Seen {
            code,
            output: output.trim().to_string(),
            long_output: rest.lines().map(str::to_owned).collect(),
            perfdata: perfdata.split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// What `overflow` returns: complete, except the list, which says that it is cut.
    #[track_caller]
    pub fn has_overflown(&self, by: &str) {
        assert!(self.output.contains("500 updates pending"), "{by}: {self:?}");
        assert!(self.perfdata.len() == VALUES && self.perfdata[1] == "pending=500;;;0", "{by}: {self:?}");
        let listed = self.long_output.len() - 1;
        assert!(listed > 100 && self.long_output[0] == "package-0 1.0/1 -> 2.0", "{by}: {self:?}");
        assert_eq!(self.long_output[listed], format!("and {} more", 500 - listed), "{by}");
    }

    #[track_caller]
    pub fn is(&self, by: &str, step: &Step) {
        let place = format!("{by}, {}: {self:?}", step.what);
        assert_eq!(self.code, step.code, "{place}");
        for words in step.words {
            assert!(self.output.contains(words), "{words:?}: {place}");
        }
        assert!(self.output.starts_with("PATCH ") && !self.output.contains('|'), "{place}");
        for value in step.perfdata {
            assert!(self.perfdata.iter().any(|found| found == value), "{value}: {place}");
        }
        assert_eq!(self.perfdata.len(), VALUES, "{place}");
        assert_eq!(self.long_output, step.list, "{place}");
    }
}
