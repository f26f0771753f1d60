//! The power of a machine is cut at random moments, again and again. After each start the content of
//! its disk is checked.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use linux_patch::store::state_file::{Loaded, parse};
use serde_json::Value;

use crate::dice::Dice;
use crate::tally::{share, tried};
use crate::vm::{Guest, System, program};
use crate::world::{World, in_parallel};

/// A file system, the modules that its kernel needs for it, and how it is mounted.
struct Kind {
    name: &'static str,
    modules: &'static [&'static str],
    options: &'static str,
}

const KINDS: [Kind; 4] = [
    Kind { name: "ext4", modules: &[], options: "defaults" },
    // Without the option by which ext4 helps programs that forget to sync.
    Kind { name: "ext4", modules: &[], options: "noauto_da_alloc" },
    Kind { name: "xfs", modules: &["lib/libcrc32c", "fs/xfs/xfs"], options: "defaults" },
    Kind {
        name: "btrfs",
        modules: &[
            "lib/libcrc32c",
            "crypto/xor",
            "lib/raid6/raid6_pq",
            "crypto/xxhash_generic",
            "crypto/blake2b_generic",
            "fs/btrfs/btrfs",
        ],
        options: "defaults",
    },
];

struct Disk {
    dir: tempfile::TempDir,
    /// Whether a cut also loses what was written since the last flush, as one with a cache of its own
    /// does. Without it all is kept that the kernel has written.
    forgets: bool,
}

impl Disk {
    fn new(kind: &Kind, forgets: bool) -> Disk {
        let disk = Disk { dir: tempfile::tempdir().unwrap(), forgets };
        fs::File::create(disk.path("image")).unwrap().set_len(320 << 20).unwrap();
        let mut command = match kind.name {
            "ext4" => Command::new("mkfs.ext4"),
            name => program(&format!("usr/sbin/mkfs.{name}")),
        };
        let made = command.arg("-q").arg(disk.path("image")).status();
        assert!(made.expect("these tests need mkfs.ext4 (package e2fsprogs)").success());
        disk
    }

    /// With the holes that it has.
    fn copy(&self, from: &str, to: &str) {
        let copied = Command::new("cp").arg(self.path(from)).arg(self.path(to)).status();
        assert!(copied.unwrap().success());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What gives it to a machine. One that forgets is a copy, with a log of what is written and
    /// flushed.
    fn arguments(&self) -> Vec<String> {
        let file = |node: &str| {
            let path = self.path(node).display().to_string();
            format!("driver=file,node-name={node},filename={path},cache.no-flush=on")
        };
        let mut options = vec!["-blockdev".to_string(), file("image")];
        let mut drive = "image";
        if self.forgets {
            self.copy("image", "copy");
            fs::File::create(self.path("log")).unwrap();
            drive = "logged";
            let logged = "driver=blklogwrites,node-name=logged,file=copy,log=log";
            let once_flushed = "log-super-update-interval=1000000";
            options = ["-blockdev", &file("copy"), "-blockdev", &file("log"), "-blockdev"]
                .map(str::to_owned)
                .to_vec();
            options.push(format!("{logged},{once_flushed}"));
        }
        options.extend(["-device".to_string(), format!("virtio-blk-pci,drive={drive}")]);
        options
    }

    /// After a cut: how many writes are lost that the disk had accepted.
    fn forget(&self) -> usize {
        if !self.forgets {
            return 0;
        }
        match replay(&fs::read(self.path("log")).unwrap(), &self.path("image")) {
            Some(lost) => lost,
            // Cut in the middle of an entry.
            None => {
                self.copy("copy", "image");
                0
            }
        }
    }
}

/// Writes to an image what a log of dm-log-writes holds up to the last flush, and says how many writes
/// came after that. `None` where one before it is not whole; the image is then spoilt.
fn replay(log: &[u8], image: &Path) -> Option<usize> {
    const SECTOR: usize = 512;
    let number = |at: usize| Some(u64::from_le_bytes(log.get(at..at + 8)?.try_into().ok()?) as usize);
    // The number of entries is written at each flush.
    let flushed = number(16).unwrap_or(0);
    let image = fs::OpenOptions::new().write(true).open(image).unwrap();
    let (mut at, mut entry, mut lost) = (SECTOR, 0, 0);
    while let (Some(sector), Some(sectors), Some(flags)) = (number(at), number(at + 8), number(at + 16)) {
        if (sectors, flags) == (0, 0) {
            break;
        }
        at += SECTOR;
        let is_discard = flags & 4 != 0;
        let length = if is_discard { 0 } else { sectors * SECTOR };
        let Some(data) = log.get(at..at + length) else { break };
        at += length;
        if entry < flushed {
            image.write_all_at(data, (sector * SECTOR) as u64).unwrap();
        } else {
            lost += usize::from(length > 0);
        }
        entry += 1;
    }
    (entry >= flushed).then_some(lost)
}

/// What is known about a machine from its output.
#[derive(Default)]
struct Known {
    /// The newest state that it printed, and how many of its runs have ended since.
    state: Value,
    ended: u64,
    /// Refreshes of the manager that reached their end.
    refreshed: u64,
    installing: bool,
    was_cut_off: bool,
    /// How long a run takes.
    took: Duration,
}

fn total(state: &Value, of: &str) -> u64 {
    state["counters"][of].as_u64().unwrap_or(0)
}

impl Known {
    /// Reads a line that it prints while it runs.
    fn hear(&mut self, verb: &str, line: &str) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("refreshed", _) => self.refreshed += 1,
            ("installing", _) => self.installing = true,
            ("ended", code) => {
                assert_eq!(code, "0", "{verb}: the next run does not work");
                self.ended += 1;
                self.installing = false;
            }
            ("said", text) => {
                let doc: Value = serde_json::from_str(text).unwrap();
                if verb == "apply" {
                    assert_eq!(doc["repaired"], self.was_cut_off, "{doc}");
                }
                self.was_cut_off = false;
            }
            ("state", text) => {
                self.state = serde_json::from_str(text).unwrap();
                self.ended = 0;
            }
            _ => {}
        }
    }

    /// After a cut the machine finds the old state, or the one that the interrupted run wrote.
    fn check(&mut self, verb: &str, machine: &mut Guest, what: &str) -> String {
        let mut line = |beginning: &str| {
            let line = machine.line();
            let text = line.strip_prefix(beginning);
            text.unwrap_or_else(|| panic!("{what}: no {beginning} in {line}")).trim().to_string()
        };
        let files = line("files");
        let known = [".state.json.new", "history.jsonl", "lock", "log", "state.json"];
        assert!(files.split_whitespace().all(|name| known.contains(&name)), "{what}: {files}");
        let logs: usize = line("logs").parse().unwrap();
        assert!(logs <= 45, "{what}: {logs} logs");
        let text = line("state");
        let state = match &*text {
            "none" => Value::Null,
            text => {
                assert!(matches!(parse(text.as_bytes()), Loaded::Good(_)), "{what}: no state: {text:?}");
                serde_json::from_str(text).unwrap()
            }
        };
        let (was, counter) = (&self.state, format!("{verb}_total"));
        let (runs, reported) = (total(&state, &counter), total(was, &counter) + self.ended);
        assert!(runs == reported || runs == reported + 1, "{what}: {reported} runs became {runs}: {state}");
        let refreshes = total(&state, "refresh_total");
        assert!(refreshes <= self.refreshed, "{what}: a refresh that did not end: {state}");
        assert!(refreshes >= total(was, "refresh_total"), "{what}: {was} became {state}");
        if refreshes == total(was, "refresh_total") {
            for field in ["last_cache_update", "last_attempt"] {
                assert_eq!(state[field], was[field], "{what}: {was} became {state}");
            }
        }
        let unchanged = &state == was;
        let phase = state["apply"]["in_progress"]["phase"].as_str().unwrap_or_default();
        if self.installing && runs == reported {
            assert_eq!(phase, "install", "{what}: an install that nobody knows of: {state}");
        }
        let doc: Value = serde_json::from_str(&line("json")).unwrap();
        self.was_cut_off = !phase.is_empty();
        assert_eq!(doc["apply_interrupted"], self.was_cut_off, "{what}: {doc}");
        assert_eq!(doc["last_cache_update"], state["last_cache_update"], "{what}: {doc}");
        assert!(doc["history"].is_array(), "{what}: {doc}");
        let text = line("text");
        let repair = "repair it with: linux-patch apply (by hand: dpkg ";
        assert_eq!(text.contains(repair), self.was_cut_off, "{what}: {text}");
        let word = match phase {
            "" if unchanged => "unchanged",
            "" => "done",
            phase => phase,
        };
        (self.ended, self.installing) = (0, false);
        let word = word.to_string();
        self.state = state;
        word
    }
}

fn script(world: &World, verb: &str, kind: &Kind) -> String {
    let path = world.path("");
    let Kind { name, options, .. } = kind;
    let mount =
        format!("mount -t {name} -o {options} /dev/vda /disk || echo no mount\ncd {}", path.display());
    let patch = format!("patch {} --state-dir /disk/state", path.display());
    mount
        + &format!(
            r#"
one() {{ echo "$1 $(tr -d '\n' <"$2")"; }}
echo "files $(ls -A /disk/state 2>/dev/null | tr '\n' ' ')"
echo "logs $(ls /disk/state/log 2>/dev/null | wc -l)"
[ ! -e /disk/state/state.json ] || one state /disk/state/state.json
[ -e /disk/state/state.json ] || echo state none
{patch} status --history --format json >/said; one json /said
{patch} status >/said; one text /said
cp installed installed.before; cp pending pending.before
while :; do
    cp installed.before installed; cp pending.before pending
    echo run
    {patch} {verb} --format json >/said 2>/dev/console
    echo "ended $?"
    one said /said
    one state /disk/state/state.json
done
"#
        )
}

/// Cuts the power of machines that run only this script.
fn attack(verb: &str) {
    let world = World::new();
    let hit = "sleep 0.03; echo 'Hit:1 http://a s InRelease'; sleep 0.02; echo refreshed >/dev/hvc0";
    world.on("update", hit);
    world.on("install", "echo installing >/dev/hvc0; sleep 0.05; unpack; sleep 0.05");
    let systems = KINDS.map(|kind| {
        let modules = [&["drivers/block/virtio_blk"], kind.modules].concat();
        let system = System::new(&[&world], &modules, &script(&world, verb, &kind));
        (kind, system)
    });
    // The first cuts of a machine fall into the first run ever.
    let (machines, cuts) = (share(4, 16), share(2, 7));
    let dice = Mutex::new(Dice::new(&format!("power cuts, {verb}")));
    let tally = Mutex::new(BTreeMap::new());
    let lost = Mutex::new((0, 0));
    // No more machines at once than processors: each emulates one.
    let numbers: Vec<usize> = (0..machines).collect();
    let halves: Vec<_> = numbers.chunks(machines / 2).collect();
    in_parallel(&halves, |numbers| {
        for number in *numbers {
            let (kind, system) = &systems[number % KINDS.len()];
            let forgets = (number + number / KINDS.len()) % 2 == 1;
            let disk = Disk::new(kind, forgets);
            let mut known = Known { took: Duration::from_secs(1), ..Known::default() };
            for cut in 0..=cuts {
                let Kind { name, options, .. } = kind;
                let what =
                    format!("{verb}, {name}, {options}, a disk that forgets: {forgets}, after {cut} cuts");
                let mut machine = system.boot(&disk.arguments());
                let found = known.check(verb, &mut machine, &what);
                if cut > 0 {
                    *tally.lock().unwrap().entry(found).or_insert(0) += 1;
                }
                let (skip, part) = {
                    let mut dice = dice.lock().unwrap();
                    // A share of a run, and of what is printed after it.
                    (if cut == cuts { 1 } else { dice.below(3) }, dice.below(1400) as u32)
                };
                let mut begun = Instant::now();
                let mut runs = 0;
                loop {
                    let line = machine.line();
                    known.hear(verb, &line);
                    if line == "run" {
                        begun = Instant::now();
                        runs += 1;
                    }
                    if line.starts_with("ended") {
                        known.took = begun.elapsed();
                    }
                    if line == "run" && runs > skip {
                        break;
                    }
                }
                let moment = known.took * part / 1000;
                std::thread::sleep(moment.saturating_sub(begun.elapsed()));
                machine.cut().iter().for_each(|line| known.hear(verb, line));
                let writes = disk.forget();
                let mut lost = lost.lock().unwrap();
                *lost = (lost.0 + usize::from(writes > 0), lost.1 + writes);
            }
        }
    });
    let count = cuts * machines;
    let (forgot, writes) = lost.into_inner().unwrap();
    let tally = tally.into_inner().unwrap();
    println!("{verb}: {tally:?}; {forgot} cuts lost {writes} writes that the disk had not flushed");
    tried(count, &format!("cuts of the power in `{verb}`"));
    let hit = if verb == "apply" { "install" } else { "unchanged" };
    assert!(count < 50 || tally.contains_key(hit), "the cuts miss a phase: {tally:?}");
}

#[test]
#[ignore = "make faults"]
fn a_refresh_in_which_the_power_is_cut() {
    attack("refresh");
}

#[test]
#[ignore = "make faults"]
fn an_apply_in_which_the_power_is_cut() {
    attack("apply");
}
