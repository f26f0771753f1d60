//! What each verb costs as a host grows: more pending, more installed, more sources, more output, more history. With
//! apt, whose database and sources are plain text, so that a host of any size is made at once.

use crate::apt;
use crate::deb::{Deb, deb};
use crate::manager::Manager;
use crate::sandbox::Sandbox;
use std::fmt::Write;
use std::time::Instant;

pub fn measure() {
    println!("| host | verb | ms | own CPU, ms | own memory, MiB |\n|---|---|---|---|---|");
    for installed in [1_000, 100_000] {
        let host = Host::new(installed, &[deb("tb-number-0", "2.0")]);
        host.row(&format!("{installed} installed"), &["refresh", "apply", "apply", "status"]);
    }
    for sources in [3, 500, 1_000] {
        let host = Host::new(10, &[deb("tb-number-0", "2.0")]);
        host.sandbox().sh(&format!(
            "mkdir -p /srv/s && cd /srv/s && for n in $(seq {sources}); do mkdir $n && : >$n/Packages && \
             echo \"deb [trusted=yes] file:/srv/s/$n ./\"; done >/etc/apt/sources.list.d/many.list"
        ));
        let verbs: &[&str] = &["refresh", "status --max-age 1d", "apply --dry-run"];
        host.row(&format!("{sources} sources"), verbs);
    }
    let loud = deb("tb-number-0", "2.0").script("postinst", "yes 'a line of a script' | head -c 64M");
    let host = Host::new(10, &[loud]);
    host.row("64 MiB of output", &["refresh", "apply", "status"]);
    let host = Host::new(10, &[deb("tb-number-0", "2.0")]);
    host.sandbox().patch(&["refresh"]).exits(0);
    let dir = "/var/lib/linux-patch";
    host.sandbox().sh(&format!(
        "cd {dir}; line=$(head -n 1 history.jsonl); yes \"$line\" | head -c 1040000 | head -n -1 >history.jsonl; \
         cp history.jsonl history.jsonl.1"
    ));
    host.row("history at its bound", &["status --history", "status", "refresh", "apply"]);
    for pending in [10, 1_000, 10_000] {
        let host = Host::new(pending, &[]);
        // The index alone: nothing is downloaded, and making so many packages takes an hour.
        let mut index = String::new();
        for number in 0..pending {
            // Writing to a String cannot fail.
            let _ = write!(
                index,
                "Package: tb-number-{number}\nArchitecture: all\nVersion: 2.0\nFilename: ./tb-number-{number}.deb\n\
                 Size: 1000\nSHA256: {number:064x}\nDescription: a package among many\n\n"
            );
        }
        host.sandbox().write("/srv/index/Packages", index);
        let source = "deb [trusted=yes] file:/srv/index ./\n";
        host.sandbox().write("/etc/apt/sources.list.d/index.list", source);
        host.row(
            &format!("{pending} pending"),
            &["refresh", "status", "status --format json", "apply --dry-run"],
        );
    }
}

/// A host on which so many packages are installed, and a source that offers others.
struct Host {
    apt: apt::Apt,
    _repo: <apt::Apt as Manager>::Repo,
}

impl Host {
    fn new(installed: usize, offered: &[Deb]) -> Host {
        let apt = apt::Apt::new();
        let repo = crate::repo::Repo::new(offered);
        apt.sandbox().add_source("one", &repo);
        let mut status = String::new();
        for number in 0..installed {
            // Writing to a String cannot fail.
            let _ = write!(
                status,
                "Package: tb-number-{number}\nStatus: install ok installed\nMaintainer: A Person <a@b.example>\n\
                 Architecture: all\nVersion: 1.0\nDescription: a package among many\n\n"
            );
        }
        apt.sandbox().write("/run/status", status);
        apt.sandbox().sh("cat /run/status >>/var/lib/dpkg/status; rm /run/status; cd /var/lib/dpkg/info; \
             sed -n 's/^Package: \\(tb-number-.*\\)/\\1.list/p' ../status | xargs touch");
        Host { apt, _repo: repo }
    }

    fn sandbox(&self) -> &Sandbox {
        self.apt.sandbox()
    }

    fn row(&self, host: &str, verbs: &[&str]) {
        for verb in verbs {
            // Memory and time of the program itself, without what it starts; looked at until it ends.
            let script = format!(
                "linux-patch {verb} >/run/said 2>&1 & p=$!; while s=$(cat /proc/$p/stat) && \
                 m=$(sed -n 's/^VmHWM:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$p/status) && [ -n \"$m\" ]; \
                 do last=\"$s\"; most=$m; sleep 0.02; done 2>/dev/null; code=0; wait $p || code=$?; \
                 set -- ${{last##*)}}; echo \"$code ${{most:-0}} $(( ${{12:-0}} + ${{13:-0}} ))\""
            );
            let started = Instant::now();
            let said = self.sandbox().sh(&script);
            let wall = started.elapsed().as_millis();
            let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            let [code, memory, ticks] = numbers[..] else { panic!("{verb}: {said:?}") };
            if code > 1 {
                println!("{verb} ended with {code}: {:?}", self.sandbox().read("/run/said"));
            }
            let verb = verb.replace(" --max-age 1d", "");
            // One that ends before it is looked at has taken little.
            let memory =
                if memory < 1024 { "-".to_string() } else { format!("{:.1}", memory as f64 / 1024.0) };
            println!("| {host} | {verb} | {wall} | {} | {memory} |", ticks * 10);
        }
    }
}
