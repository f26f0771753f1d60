//! Which manager is driven, where one, several or none are there. Each is a fake that writes down
//! its name; what it is asked does not matter here.

use linux_patch::managers::MANAGERS;

use crate::sandbox::Sandbox;

/// A root with nothing but these on PATH, and what linux-patch itself is started with.
struct Choice {
    sandbox: Sandbox,
}

impl Choice {
    fn of(programs: &[&str]) -> Choice {
        let choice = Choice { sandbox: Sandbox::new() };
        for program in programs {
            choice
                .sandbox
                .write_script(&format!("/opt/fakes/{program}"), "echo ${0##*/} >>/run/driven; exit 1");
        }
        // The machine's own managers are hidden.
        for manager in MANAGERS {
            let hidden =
                format!("for dir in /usr/bin /usr/sbin; do rm -f $dir/{}; done", manager.facts().programs[0]);
            choice.sandbox.sh(&hidden);
        }
        choice.sandbox.sh("rm -rf /var/lib/dpkg/status /var/lib/rpm /usr/lib/sysimage/rpm");
        choice
    }

    fn os(self, text: &str) -> Choice {
        self.sandbox.write("/etc/os-release", text);
        self
    }

    fn database_of(self, name: &str) -> Choice {
        let manager = MANAGERS.iter().find(|manager| manager.facts().name == name).unwrap();
        let path = manager.facts().package_databases[0];
        // A directory, which need hold nothing in particular.
        let path = if path.ends_with('/') { format!("{path}any") } else { path.to_string() };
        self.sandbox.write(&path, "");
        self
    }

    /// What a refresh drives: the manager in the document, and the program that ran first.
    #[track_caller]
    fn drives(&self, args: &[&str], manager: &str, program: &str) {
        self.sandbox.sh("rm -f /run/driven");
        let mut command = self.sandbox.patch_command(&[&["refresh", "--timeout", "5s"], args].concat());
        command.env("PATH", "/opt/fakes:/usr/bin:/bin");
        let ended = self.sandbox.start(command).wait();
        let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(document["manager"], manager, "{ended:?}");
        let driven = self.sandbox.read("/run/driven").unwrap_or_default();
        assert_eq!(driven.lines().next(), Some(program), "{ended:?}");
    }

    /// The exit code of a status.
    fn status(&self, args: &[&str]) -> i32 {
        let mut command = self.sandbox.patch_command(&[&["status"], args].concat());
        command.env("PATH", "/opt/fakes:/usr/bin:/bin");
        self.sandbox.start(command).wait().code
    }
}

#[test]
fn each_manager_alone_is_driven() {
    for manager in MANAGERS {
        let choice = Choice::of(&[manager.facts().programs[0]]);
        choice.drives(&[], manager.facts().name, manager.facts().programs[0]);
        choice.drives(
            &["--manager", manager.facts().name],
            manager.facts().name,
            manager.facts().programs[0],
        );
    }
}

#[test]
fn of_several_the_one_that_owns_the_system_is_driven() {
    let every: Vec<_> = MANAGERS.iter().map(|manager| manager.facts().programs[0]).collect();
    for manager in MANAGERS {
        // os-release and the database both name it.
        let system = manager.facts().systems[0];
        Choice::of(&every)
            .os(&format!("NAME=x\nID={system}\n"))
            .database_of("apt")
            .database_of(manager.facts().name)
            .drives(&[], winner(manager.facts().name), winner_program(manager.facts().name));
    }
    Choice::of(&["apt-get", "dnf"]).os("ID=debian\n").database_of("apt").database_of("dnf").drives(
        &[],
        "apt",
        "apt-get",
    );
    Choice::of(&["apt-get", "dnf"]).os("ID=other\n").database_of("dnf").drives(&[], "dnf", "dnf");
    let both = Choice::of(&["apt-get", "dnf"]).os("ID=debian\n").database_of("apt");
    both.drives(&["--manager", "dnf"], "dnf", "dnf");
}

/// dnf, dnf5 and yum own the same systems and share a database: the first of them is driven, which
/// on a system with one of them is that one.
fn winner(name: &str) -> &str {
    if ["dnf5", "yum"].contains(&name) { "dnf" } else { name }
}

fn winner_program(name: &str) -> &'static str {
    let manager = MANAGERS.iter().find(|manager| manager.facts().name == winner(name)).unwrap();
    manager.facts().programs[0]
}

#[test]
fn none_at_all_is_refused_naming_what_was_looked_for() {
    let choice = Choice::of(&[]);
    for args in [["refresh"], ["apply"]] {
        let report = choice.sandbox.patch(&args);
        report.exits(3);
        for manager in MANAGERS {
            report.mentions("/reason", manager.facts().programs[0]);
        }
        assert!(!choice.sandbox.exists("/var/lib/linux-patch/state.json"), "{report}");
    }
    for manager in MANAGERS {
        let report = choice.sandbox.patch(&["refresh", "--manager", manager.facts().name]);
        report.exits(3).mentions("/reason", manager.facts().programs[0]);
    }
}

#[test]
fn a_link_to_another_manager_is_that_manager() {
    // Fedora since 41: all of them are dnf 5.
    let choice = Choice::of(&["dnf5"]).os("ID=fedora\n").database_of("dnf5");
    choice.sandbox.sh("ln -s dnf5 /opt/fakes/dnf; ln -s dnf5 /opt/fakes/yum");
    for args in [&[][..], &["--manager", "dnf"], &["--manager", "yum"], &["--manager", "dnf5"]] {
        choice.drives(args, "dnf5", "dnf5");
        assert_eq!(choice.status(args), 2, "{args:?}");
    }
    assert_eq!(choice.status(&["--manager", "zypper"]), 3);
    // RHEL 8 and later.
    let choice = Choice::of(&["dnf-3"]).os("ID=\"rhel\"\n").database_of("dnf");
    choice.sandbox.sh("ln -s dnf-3 /opt/fakes/dnf; ln -s dnf-3 /opt/fakes/yum");
    for args in [&[][..], &["--manager", "dnf"], &["--manager", "yum"]] {
        choice.drives(args, "dnf", "dnf");
    }
}
