//! contrib/nagios/nrpe.cfg in a real NRPE, asked by the real check_nrpe; and check_by_ssh.

use crate::daemons::ours;
use crate::monitored::{Monitored, STORY, Seen, VALUES, overflow};

#[test]
#[ignore = "make integrations"]
fn check_nrpe_passes_every_state_on() {
    let machine = Monitored::new();
    let address = machine.with_nrpe().to_string();
    let run = |argv: &[&str]| {
        let ended = machine.sandbox.run(argv);
        Seen::of_text(ended.code, &ended.stdout)
    };
    let check = |options: &[&str]| {
        let mut argv = vec!["/usr/lib/nagios/plugins/check_nrpe", "-H", &address, "-c", "check_linux_patch"];
        argv.extend(options);
        run(&argv)
    };
    for step in STORY {
        (step.happens)(&machine);
        // Packets as everybody's since 2016, and those of before.
        check(&[]).is("check_nrpe", step);
        check(&["-2"]).is("check_nrpe -2", step);
    }
    overflow(&machine);
    check(&[]).has_overflown("check_nrpe");
    // As where security updates cannot be told from others.
    let mut state = machine.sandbox.state();
    state["pending"]["security"] = serde_json::Value::Null;
    machine.sandbox.write("/var/lib/linux-patch/state.json", state.to_string());
    assert_eq!(check(&[]).code, 3);
    let plugin = "/usr/lib/nagios/plugins/check_nrpe";
    let seen = run(&[plugin, "-H", &address, "-c", "check_linux_patch_all_updates"]);
    assert!(seen.code == 1 && seen.output.starts_with("PATCH WARNING: 500 updates pending"), "{seen:?}");
    // The old packets have room for one kilobyte: the list is cut, what counts comes first.
    let seen = check(&["-2"]);
    assert!(seen.perfdata.len() == VALUES && seen.perfdata[1] == "pending=500;;;0", "{seen:?}");
}

#[test]
#[ignore = "make integrations"]
fn check_by_ssh_takes_no_word_on_standard_error_for_a_failure() {
    let machine = Monitored::new();
    let address = machine.with_sshd().to_string();
    let by_ssh = |options: &[&str], command: &str| {
        let mut argv = vec!["setpriv", "--reuid=nagios", "--clear-groups", "env", "HOME=/srv/nagios"];
        argv.extend(["/usr/lib/nagios/plugins/check_by_ssh", "-H", &address, "-l", "nagios"]);
        argv.extend(options);
        argv.extend(["-C", command]);
        let ended = machine.sandbox.run(&argv);
        Seen::of_text(ended.code, &ended.stdout)
    };
    // A command line that is wrong, the sandbox's banner being kept quiet: all of it on standard output.
    let seen = by_ssh(&["-q"], "linux-patch status --format nagios --wrong");
    assert!(seen.code == 3 && seen.output.starts_with("PATCH UNKNOWN: unexpected argument"), "{seen:?}");
    let seen = by_ssh(&["-q"], "linux-patch status --format nagios --refresh");
    assert!(seen.code == 3 && seen.output.starts_with("PATCH UNKNOWN: "), "{seen:?}");
    // The option -E in contrib ignores a banner.
    let seen = by_ssh(&[], "linux-patch status --format nagios");
    assert!(seen.code == 3 && seen.output.contains("old greeting"), "{seen:?}");
    let seen = by_ssh(&["-E"], "linux-patch status --format nagios");
    assert!(seen.output.starts_with("PATCH UNKNOWN: the index was never refreshed"), "{seen:?}");
    // A key that may do nothing else, as in docs/monitoring.md, and nobody there.
    let text = ours("docs/monitoring.md");
    let restricted = text.lines().find_map(|line| line.strip_suffix(" ssh-ed25519 AAAA...")).unwrap().trim();
    machine.sandbox.write("/srv/restricted", format!("{restricted}\n"));
    machine.sandbox.sh(
        "cd /srv/nagios/.ssh; { tr '\\n' ' ' </srv/restricted; cat id_ed25519.pub; } >new; chown nagios new
         mv new authorized_keys",
    );
    machine.sandbox.patch(&["refresh"]).exits(0);
    let seen = by_ssh(&["-E"], "rm -rf /srv/nagios");
    assert!(seen.code == 1 && seen.output.starts_with("PATCH WARNING: 1 security update"), "{seen:?}");
    assert_eq!(seen.long_output.len(), 2, "{seen:?}");
    let sshd = machine.sandbox.processes().into_iter().find(|(_, name)| name == "sshd");
    machine.sandbox.signal(sshd.expect("sshd runs").0, "KILL");
    // Without -U that is 255, which Nagios takes for CRITICAL.
    let seen = by_ssh(&["-E", "-U"], "linux-patch status");
    assert!(seen.code == 3 && !seen.output.is_empty(), "{seen:?}");
}
