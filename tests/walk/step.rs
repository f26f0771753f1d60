//! What can happen: each step is a line of words, drawn by dice, performed on a world, and written to the file that
//! repeats a walk. A step that does not fit the world as it is does nothing, so that any of them can be left out.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::manager::{Package, Repository, package};
use crate::oracle::{self, Before};
use crate::power;
use crate::report::Report;
use crate::sandbox::{Running, Sandbox};
use crate::system::{Flaw, System};
use crate::world::{FAKETIME, Health, IN_SCRIPT, NAMES, NEW, Source, World, goes_for, made, sources};

/// One of the items.
fn one(dice: &mut Dice, items: &[&'static str]) -> &'static str {
    items[dice.below(items.len())]
}

const FAULTS: [&str; 13] =
    ["404", "403", "503", "503", "close", "hang", "trickle", "short", "long", "cut", "flip", "self", "page"];

/// How often each kind of step is drawn.
const KINDS: [(&str, usize); 28] = [
    ("publish", 22),
    ("withdraw", 2),
    ("fault", 11),
    ("recover", 6),
    ("flaw", 1),
    ("source", 1),
    ("rename", 1),
    ("mirrors", 1),
    ("module", 1),
    ("clock", 2),
    ("prefer", 2),
    ("setting", 2),
    ("hold", 2),
    ("edit", 1),
    ("hand", 2),
    ("purge", 1),
    ("disk", 1),
    ("disk well", 2),
    ("reboot", 1),
    ("locked", 1),
    ("kill", 1),
    ("power", 2),
    ("both", 2),
    ("race", 2),
    ("language", 2),
    ("run refresh", 9),
    ("run status", 4),
    ("run apply", 17),
];

/// Draws the steps of a seed. What goes wrong together must meet: so each seed has a package and a source that
/// most happens to, and kinds of steps that come three times as often as with others, or not at all.
struct Draw {
    dice: Dice,
    sources: &'static [&'static str],
    source: &'static str,
    name: &'static str,
    kinds: Vec<(&'static str, usize)>,
    /// What another package was last published to come in the place of.
    replaced: Option<&'static str>,
}

/// The steps of a seed: so many, and in the end everything is well again and the host must be healed.
pub fn draw<M: System>(seed: u64, count: usize) -> Vec<String> {
    let (mut dice, sources) = (Dice::of(seed), sources(seed));
    let (source, name) = (one(&mut dice, sources), one(&mut dice, &NAMES));
    // Half of the hosts prefer a source, are refreshed often and patched seldom: updates wait there while sources fail.
    let is_seldom = dice.below(2) == 0;
    let kinds = KINDS.iter().map(|(kind, often)| match *kind {
        "run apply" if is_seldom => (*kind, often / 4),
        "run refresh" if is_seldom => (*kind, often * 2),
        kind if kind.starts_with("run") || kind == "disk well" => (kind, *often),
        kind => (kind, often * [0, 1, 1, 3][dice.below(4)]),
    });
    let kinds = kinds.collect();
    let mut draw = Draw { dice, sources, source, name, kinds, replaced: None };
    // Some speak another language from the beginning on.
    let language = (draw.dice.below(2) == 0).then(|| "language de".to_owned());
    let mut steps = Vec::from_iter(language);
    steps.extend(is_seldom.then(|| format!("prefer {source}")));
    steps.extend((1..=count).map(|nth| draw.step::<M>(nth)));
    steps.push("heal".into());
    steps
}

impl Draw {
    fn one(&mut self, items: &[&'static str]) -> &'static str {
        one(&mut self.dice, items)
    }

    fn kind(&mut self) -> &'static str {
        let mut at = self.dice.below(self.kinds.iter().map(|(_, often)| often).sum());
        for (kind, often) in &self.kinds {
            match at.checked_sub(*often) {
                Some(rest) => at = rest,
                None => return kind,
            }
        }
        unreachable!("what is drawn is below the sum")
    }

    fn step<M: System>(&mut self, nth: usize) -> String {
        let (favourite, name) = (self.source, self.name);
        let source = if self.dice.below(2) == 0 { favourite } else { self.one(self.sources) };
        let name = if self.dice.below(2) == 0 { name } else { self.one(&NAMES) };
        // Above everything that was published before, and another one in each source.
        let version =
            format!("{}.{}", nth + 1, self.sources.iter().position(|other| *other == source).unwrap());
        match self.kind() {
            "publish" => {
                let kinds = [
                    "plain", "plain", "plain", "plain", "new", "newer", "unmet", "fails", "fools", "slow",
                    "security", "security", "big", "ousts", "ousts", "renamed", "renamed", "renamed",
                    "phased",
                ];
                let kind = self.one(&kinds);
                if ["ousts", "renamed"].contains(&kind) {
                    self.replaced =
                        Some(if kind == "ousts" || name == "tb-b" { goes_for(name) } else { name });
                }
                format!("publish {source} {name} {version} {kind}")
            }
            "withdraw" => format!("withdraw {source} {name}"),
            "fault" => {
                let place = self.one(&["all", "all", "index", "index", "packages", "packages", "packages"]);
                format!("fault {source} {place} {}", self.one(&FAULTS))
            }
            kind @ ("recover" | "rename") => format!("{kind} {source}"),
            "flaw" => format!("flaw {source} {}", self.one(&["stranger", "expired"])),
            "source" => format!("source {source} {}", self.one(&["off", "on", "on"])),
            "mirrors" => format!("mirrors {source} {}", self.one(&["off", "on", "metalink", "metalink"])),
            "module" => format!("module {source}"),
            // Never as far apart as an index may be old.
            "clock" => {
                format!("clock {}", self.one(&["-259200", "-2400", "0", "0", "3000", "21600", "864000"]))
            }
            "prefer" if M::PREFERS => format!("prefer {}", self.one(&[source, source, source, "none"])),
            "setting" => format!("setting {}", self.dice.below(M::SETTINGS.len())),
            "hold" => format!("{} {name}", self.one(&["hold", "hold", "unhold"])),
            "edit" => format!("edit {version}"),
            "hand" => format!("hand {name} {}.9", 1 + self.dice.below(nth + 1)),
            "disk" => {
                let place = self.one(&["index", "downloads", "state"]);
                format!("disk {place} {}", self.one(&["full", "read-only"]))
            }
            kind @ ("locked" | "power") => format!("{kind} {}", self.one(&["refresh", "apply"])),
            "kill" => {
                let whom = self.one(&["everything", "us", "manager"]);
                format!("kill {whom} {source} {name} {version}")
            }
            "both" => format!("both {}", self.one(&["refresh refresh", "refresh apply", "apply apply"])),
            "race" => format!("race {source} {name} {version}"),
            "language" => format!("language {}", self.one(&["de", "de", "none"])),
            "run refresh" => {
                let options = ["", "", "", " --if-stale", " --if-stale", " --max-age 1s", " --timeout 24s"];
                format!("run refresh{}", self.one(&options))
            }
            "run status" => format!("run status{}", self.one(&["", " --refresh", " --alert security"])),
            "run apply" => {
                let mut step = String::from("run apply");
                // None as often as one; seldom two.
                for _ in 0..[0, 0, 0, 1, 1, 2][self.dice.below(6)] {
                    let option = self.option::<M>(source, name);
                    if !step.contains(option.split(' ').next().unwrap_or_default()) {
                        step += &format!(" {option}");
                    }
                }
                step
            }
            kind => kind.to_owned(),
        }
    }

    fn option<M: System>(&mut self, source: &str, name: &str) -> String {
        if let Some(replaced) = self.replaced.filter(|_| self.dice.below(3) > 0) {
            return format!("--exclude {replaced}");
        }
        let new = self.one(&NEW);
        let mut options: Vec<String> =
            ["--strict", "--download-only", "--dry-run", "--full", "--autoremove", "--not-after 00:00"]
                .map(str::to_owned)
                .to_vec();
        let excluded = [name, name, goes_for(name), new];
        options.extend(excluded.map(|name| format!("--exclude {name}")));
        if M::CHOOSES {
            let others = [format!("--from *{source}*"), name.to_owned()];
            options.extend(others);
            options.extend(["--security", "--min-age 7d"].map(str::to_owned));
        }
        options.swap_remove(self.dice.below(options.len()))
    }
}

/// Whether a linux-patch runs that was started just now.
fn is_under_way(sandbox: &Sandbox, began: Instant) -> bool {
    let is_early = began.elapsed() < Duration::from_millis(300);
    is_early || sandbox.processes().iter().any(|(_, name)| name == "linux-patch")
}

impl<M: System> World<M> {
    /// `linux-patch ARGS`, not started yet. A mirror that says nothing must not take the time of the whole walk.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut all = vec!["--manager", M::NAME];
        all.extend(args);
        let mut command = self.sandbox().command("env");
        if self.clock != 0 {
            command.args(["NO_FAKE_STAT=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"]);
            command.arg(format!("LD_PRELOAD={FAKETIME}")).arg(format!("FAKETIME={:+}", self.clock));
        }
        command.args(["linux-patch", "--format", "json"]).args(&all);
        command.env("LINUX_PATCH_TIMEOUT", format!("{}s", M::BUDGET));
        if self.speaks_german {
            command.env("LANGUAGE", "de").env("LANG", "C.UTF-8").env("LC_ALL", "C.UTF-8");
        }
        command
    }

    pub fn start(&self, args: &[&str]) -> Running<'_> {
        self.sandbox().start(self.command(args))
    }

    /// Runs linux-patch, and has the oracle look at what it did.
    pub fn run(&mut self, args: &[&str]) -> Report {
        let args = &self.named(args)[..];
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let before = Before::of(self);
        let report = self.start(&args).report();
        oracle::look(self, &before, &args, &report);
        report
    }

    /// The same, with the names of sources as the manager has them.
    fn named(&self, args: &[&str]) -> Vec<String> {
        let named = |arg: &&str| match arg.strip_prefix('*').and_then(|arg| arg.strip_suffix('*')) {
            Some(name) => self.source(name).map_or("*none*".into(), |nth| {
                let source = &self.plan.sources[nth];
                format!("*{}*", self.manager.id(&self.plan, source))
            }),
            None => (*arg).to_owned(),
        };
        args.iter().map(named).collect()
    }

    /// Performs a step.
    pub fn perform(&mut self, step: &str) {
        let words: Vec<&str> = step.split_whitespace().collect();
        let known = words.get(1).and_then(|name| self.source(name));
        match (words.as_slice(), known) {
            (["publish", _, name, version, kind], Some(nth)) => self.publish(nth, name, version, kind),
            (["withdraw", _, name], Some(nth)) => {
                self.plan.sources[nth].packages.retain(|package| package.name != *name);
                self.plan.sources[nth].publish();
            }
            (["flaw", _, word], Some(nth)) => {
                let flaw = if *word == "expired" { Flaw::Expired } else { Flaw::Stranger };
                self.plan.sources[nth].flaw = Some(flaw).filter(|flaw| M::FLAWS.contains(flaw));
                self.plan.sources[nth].publish();
            }
            // If an install waits for a mirror for ever, that is not a fault of linux-patch.
            (["fault", _, "packages" | "all", "trickle"] | ["fault", _, "packages", "hang"], _) => {}
            (["fault", _, place, fault], Some(nth)) => {
                self.plan.sources[nth].faults.insert((*place).into(), (*fault).into());
                self.plan.sources[nth].set_faults();
            }
            (["recover", _], Some(nth)) => self.recover(nth),
            (["mirrors", _, word], Some(nth)) => {
                let source = &mut self.plan.sources[nth];
                source.has_list = *word == "on";
                source.has_metalink = *word == "metalink" && M::METALINKS;
                // Both dnf keep an index by its address; what came from a source they know besides.
                source.known.retain(|name, _| !M::METALINKS || source.came.contains(name));
            }
            // There is one module, in which everything of its source is from then on.
            (["module", _], Some(nth)) if M::MODULES && self.modular().is_none() => {
                let source = &mut self.plan.sources[nth];
                (source.is_modular, source.known) = (true, Default::default());
                source.publish();
            }
            (["clock", seconds], _) => self.set_clock(seconds.parse().unwrap()),
            (["source", _, word], Some(nth)) => self.plan.sources[nth].is_configured = *word == "on",
            (["rename", _], Some(nth)) => self.plan.sources[nth].file += "x",
            (["prefer", _], nth) if M::PREFERS => self.plan.preferred = nth,
            (["setting", nth], _) => {
                let nth: usize = nth.parse().unwrap();
                if !self.plan.settings.remove(&nth) {
                    self.plan.settings.insert(nth);
                }
            }
            (["hold", name], _) if !self.plan.held.contains(*name) && !self.troubles.contains("broken") => {
                self.manager.hold(name, true);
                self.plan.held.insert((*name).into());
            }
            (["unhold", name], _) => self.unhold(name),
            (["edit", text], _) => {
                let path = "/etc/tb-b.conf";
                if self.sandbox().exists(path) {
                    self.sandbox().sh(&format!("echo mine {text} >{path}"));
                    self.files.insert(path.into(), format!("mine {text}\n"));
                }
            }
            (["hand", name, version], _) => self.install_by_hand(name, version),
            (["purge"], _) if self.spoilt_disk().is_none() => {
                self.plan.sources.iter_mut().for_each(|source| source.known.clear());
                self.sandbox().sh(&format!("find {} -type f -delete 2>/dev/null || true", M::INDEXES));
                self.memory.is_fresh = Some(false);
            }
            (["disk", "well"], _) => self.mend_disks(),
            (["disk", place, how], _) => self.spoil_disk(place, how),
            (["reboot"], _) => self.reboot(),
            (["locked", verb], _) => self.run_while_locked(verb),
            (["kill", whom, _, name, version], _) => self.kill(whom, words[2], name, version),
            (["power", verb], _) => power::cut(self, verb),
            (["both", one, other], _) => self.run_both(one, other),
            (["race", _, name, version], Some(nth)) => self.race(nth, name, version),
            (["language", word], _) => self.speaks_german = *word == "de",
            (["run", args @ ..], _) => drop(self.run(args)),
            (["heal"], _) => oracle::heal(self),
            _ => {}
        }
        self.configure();
    }

    pub fn publish(&mut self, nth: usize, name: &str, version: &str, kind: &str) {
        let now = self.now();
        let packages = &mut self.plan.sources[nth].packages;
        packages.retain(|package| package.name != name);
        let made = match kind {
            "renamed" => {
                packages.retain(|package| package.name != NEW[2]);
                package(NEW[2], version).replacing(if name == "tb-b" { goes_for(name) } else { name })
            }
            _ => made(name, version, kind),
        };
        for old in &made.replaces {
            self.replacers.entry(old.clone()).or_default().insert(made.name.clone());
        }
        self.since.entry((made.name.clone(), made.version.clone())).or_insert(now);
        if kind == "security" {
            self.secured.insert(name.into());
        }
        packages.push(made);
        // What it needs comes with it.
        for new in [("new", NEW[0]), ("newer", NEW[1])].iter().filter(|(of, _)| *of == kind) {
            packages.retain(|package| package.name != new.1);
            packages.push(package(new.1, version));
        }
        self.plan.sources[nth].publish();
    }

    pub fn recover(&mut self, nth: usize) {
        let source = &mut self.plan.sources[nth];
        source.faults.clear();
        source.set_faults();
        if source.flaw.take().is_some() {
            source.publish();
        }
    }

    pub fn unhold(&mut self, name: &str) {
        if self.plan.held.contains(name) && !self.troubles.contains("broken") {
            self.manager.hold(name, false);
            self.plan.held.remove(name);
            self.configure();
        }
    }

    fn install_by_hand(&mut self, name: &str, version: &str) {
        if self.troubles.is_empty()
            && !self.memory.is_cut_off
            && !self.plan.held.contains(name)
            && name != "tb-b"
            && (M::OBSOLETES || oracle::is_installed(self, name))
            && !self.is_replaced(name)
            && M::LEFT_LOCK.is_none_or(|lock| !self.sandbox().exists(lock))
        {
            self.manager.install(&[made(name, version, "plain")]);
            self.plan.sources.iter_mut().for_each(|source| drop(source.came.take(name)));
        }
    }

    /// Whether something is installed that came in its place, which rpm does not go back on.
    fn is_replaced(&self, name: &str) -> bool {
        let replacers = self.replacers.get(name);
        replacers.is_some_and(|names| names.iter().any(|new| oracle::is_installed(self, new)))
    }

    fn place(&self, place: &str) -> &'static str {
        match place {
            "index" => M::INDEXES,
            "downloads" => M::DOWNLOADS,
            _ => "/var/lib/linux-patch",
        }
    }

    fn spoil_disk(&mut self, place: &str, how: &str) {
        if self.spoilt_disk().is_some() {
            return;
        }
        let dir = self.place(place);
        self.sandbox().sh(&match how {
            "full" => format!(
                "mkdir -p {dir} /run/disk && mount -t tmpfs -o size=4M full /run/disk && cp -a {dir} /run/disk/dir && \
                 {{ cat /dev/zero >/run/disk/filler 2>/dev/null || true; }} && mount --bind /run/disk/dir {dir}"
            ),
            _ => format!("mkdir -p {dir} && mount --bind {dir} {dir} && mount -o remount,ro,bind {dir}"),
        });
        self.troubles.insert(format!("disk {place} {how}"));
    }

    /// Such as `disk index full`.
    pub fn spoilt_disk(&self) -> Option<String> {
        self.troubles.iter().find(|trouble| trouble.starts_with("disk")).cloned()
    }

    pub fn mend_disks(&mut self) {
        let Some(trouble) = self.spoilt_disk() else { return };
        let words: Vec<&str> = trouble.split(' ').collect();
        let dir = self.place(words[1]);
        let back =
            format!("rm -f /run/disk/filler; umount {dir}; cp -a /run/disk/dir/. {dir}/; umount /run/disk");
        self.sandbox().sh(if words[2] == "full" { back } else { format!("umount {dir}") }.as_str());
        self.troubles.remove(&trouble);
    }

    /// Everything ends without warning, /run is empty then, and the boot is another one.
    pub fn reboot(&mut self) {
        self.mend_disks();
        self.sandbox().kill_everything();
        let id = "/proc/sys/kernel/random/boot_id";
        self.sandbox().sh(&format!(
            "rm -rf /run/*; mkdir -p /run/lock; cat /proc/sys/kernel/random/uuid >/srv/boot; \
             umount {id} 2>/dev/null || true; mount --bind /srv/boot {id}"
        ));
    }

    /// Another program has the lock of the manager for a second: it is waited for.
    fn run_while_locked(&mut self, verb: &str) {
        // Such a disk takes no lock, one that was left behind has no holder, and libfaketime moves no time of a file.
        let is_left = M::LEFT_LOCK.is_some_and(|lock| self.sandbox().exists(lock));
        if is_left || self.clock != 0 || self.spoilt_disk().is_some() {
            return;
        }
        let before = Before::of(self);
        self.sandbox().sh("rm -f /run/lock-is-held");
        let (holder, _) = self.manager.hold_lock(Duration::from_secs(1));
        let report = self.start(&[verb]).report();
        holder.wait();
        oracle::look(self, &before, &[verb], &report);
    }

    /// An apply that is cut off in the script of a package.
    fn kill(&mut self, whom: &str, source: &str, name: &str, version: &str) {
        let Some(nth) = self.source(source).filter(|_| self.troubles.is_empty() && !self.memory.is_cut_off)
        else {
            return;
        };
        self.publish(nth, name, version, "slow");
        self.sandbox().sh(&format!("rm -f {IN_SCRIPT}"));
        let before = Before::of(self);
        let running = self.start(&["apply"]);
        let sandbox = self.sandbox();
        let began = Instant::now();
        sandbox.wait_until("the script or the end comes", || {
            sandbox.exists(IN_SCRIPT) || !is_under_way(sandbox, began)
        });
        if !sandbox.exists(IN_SCRIPT) {
            let report = running.report();
            return oracle::look(self, &before, &["apply"], &report);
        }
        sandbox.sh(&format!("rm {IN_SCRIPT}"));
        match whom {
            "everything" => sandbox.kill_everything(),
            "us" => sandbox.signal(sandbox.patch_pid(), "KILL"),
            _ => {
                let is_one = |row: &&(u32, String)| M::PROGRAMS.contains(&row.1.as_str());
                if let Some((pid, _)) = sandbox.processes().iter().find(is_one) {
                    sandbox.signal(*pid, "KILL");
                }
                let report = running.report();
                return oracle::look_after_accident(self, &before, &report);
            }
        }
        let ended = running.wait();
        sandbox.wait_until("what was left has ended", || sandbox.processes().is_empty());
        assert!(ended.code > 3, "killed: it ended with {} all the same", ended.code);
        oracle::note_cut_off(self);
    }

    /// Two at once: while the first one waits for an index, the second one comes.
    fn run_both(&mut self, one: &str, other: &str) {
        // A metalink is asked for instead, if nothing is new.
        let is_asked = |source: &Source<M>| source.health() == Health::Well && !source.has_metalink;
        let asked = self.plan.configured().find(|(_, source)| is_asked(source)).map(|(nth, _)| nth);
        let Some(nth) = asked.filter(|_| self.troubles.is_empty() && self.is_well()) else { return };
        let before = Before::of(self);
        let server = self.plan.sources[nth].repo.server();
        let asked = server.requests(M::ASKED);
        let gate = server.hold_back_next(M::ASKED);
        let first = self.start(&[one]);
        let sandbox = self.sandbox();
        let began = Instant::now();
        sandbox.wait_until("the index is asked for", || {
            server.requests(M::ASKED) > asked || !is_under_way(sandbox, began)
        });
        let second = self.start(&[other]);
        // It must find the lock taken.
        std::thread::sleep(Duration::from_millis(200));
        drop(gate);
        let (first, second) = (first.report(), second.report());
        oracle::look_at_both(self, &before, [(one, &first), (other, &second)]);
    }

    /// Whether every configured source is.
    pub fn is_well(&self) -> bool {
        self.plan.configured().all(|(_, source)| source.health() == Health::Well && source.faults.is_empty())
    }

    /// An apply that finds a package replaced between its refresh and its download.
    fn race(&mut self, nth: usize, name: &str, version: &str) {
        let now = self.now();
        let source = &mut self.plan.sources[nth];
        let old = source.packages.iter().find(|package| package.name == name);
        let is_plain = |old: &&Package| !source.is_modular && old.replaces.is_empty();
        let Some(old) = old.filter(is_plain) else { return };
        self.since.entry((name.into(), version.into())).or_insert(now);
        let file = M::file_of(name, &old.version);
        let old = source.packages.clone();
        source.packages.retain(|package| package.name != name);
        source.packages.push(made(name, version, "plain"));
        let nth_request = source.repo.server().requests(&file) + 1;
        let before = Before::of(self);
        let source = &self.plan.sources[nth];
        source.repo.publish_before(&file, nth_request, &source.packages);
        let served = M::served(&source.repo);
        let report = self.start(&["apply"]).report();
        let source = &mut self.plan.sources[nth];
        source.repo.server().forget_hooks();
        // Nobody asked for the package: nothing happened.
        let is_replaced = M::served(&source.repo) != served;
        if !is_replaced {
            source.packages = old;
        }
        oracle::look_after_race(self, &before, name, &report);
        if is_replaced {
            self.plan.sources[nth].publish();
        }
    }
}
