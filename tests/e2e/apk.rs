//! Small apk packages, signed repositories of them, roots in which apk finds both, and apk's part in the scenarios of
//! every manager.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use flate2::{Compression, write::GzEncoder};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::manager::{Lack, Manager, Package, Repository, noise, package};
use crate::sandbox::{Running, Sandbox};
use crate::server::{Entry, Server, Site};

/// A package: name, version and what else it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pkg {
    name: String,
    version: String,
    needs: Vec<String>,
    script: Option<String>,
    /// Paths and what is in them.
    files: Vec<(String, String)>,
}

/// What a repository has of a package.
struct Built {
    bytes: Arc<Vec<u8>>,
    /// What the index says of it.
    record: String,
}

impl Pkg {
    fn file_name(&self) -> String {
        format!("{}-{}-r0.apk", self.name, self.version)
    }

    /// The same description is built only once.
    fn built(&self) -> Arc<Built> {
        static BUILT: OnceLock<Mutex<HashMap<Pkg, Arc<Built>>>> = OnceLock::new();
        let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap();
        built.entry(self.clone()).or_insert_with(|| Arc::new(self.build())).clone()
    }

    /// Two archives, one behind the other: what is known of it, and its files.
    fn build(&self) -> Built {
        let Pkg { name, version, needs, script, files } = self;
        let data: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let data = packed(&data);
        let size: usize = files.iter().map(|(_, text)| text.len()).sum();
        let depends: String = needs.iter().map(|name| format!("depend = {name}\n")).collect();
        let info = format!(
            "pkgname = {name}\npkgver = {version}-r0\npkgdesc = a test\nurl = none\narch = x86_64\nsize = {size}\n\
             license = none\n{depends}datahash = {}\n",
            hex(&Sha256::digest(&data))
        );
        let script = script.as_ref().map(|lines| format!("#!/bin/sh\n{lines}\n"));
        let scripts =
            script.iter().flat_map(|text| [(".post-install", &text[..]), (".post-upgrade", &text[..])]);
        let mut bytes = packed(&[(".PKGINFO", &info[..])].into_iter().chain(scripts).collect::<Vec<_>>());
        let identity = base64(&Sha1::digest(&bytes));
        bytes.extend(data);
        let needs = if needs.is_empty() { String::new() } else { format!("D:{}\n", needs.join(" ")) };
        let record = format!(
            "C:Q1{identity}\nP:{name}\nV:{version}-r0\nA:x86_64\nS:{}\nI:{size}\nT:a test\nU:none\nL:none\n{needs}\n",
            bytes.len()
        );
        Built { bytes: Arc::new(bytes), record }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let of_three = |three: &[u8]| {
        let number =
            (0..3).fold(0, |number, at| number << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        let digit = |at: usize| {
            if at > three.len() { '=' } else { DIGITS[(number >> (18 - 6 * at) & 63) as usize].into() }
        };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(of_three).collect()
}

/// Shell lines that print the bytes that are wanted.
fn shell(dir: &Path, script: &str) -> Vec<u8> {
    let output =
        Command::new("sh").args(["-euc", script]).current_dir(dir).output().expect("could not run sh");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// One entry of an archive: a file, a directory where it has no content, or what the next entry is more than a header
/// can say.
fn entry(path: &str, kind: char, content: &[u8]) -> Vec<u8> {
    let mode = if kind == '5' { 0o755 } else { 0o644 };
    let mut head =
        format!("{path:\0<100}{mode:07o}\0{0:07o}\0{0:07o}\0{1:011o}\0{0:011o}\0", 0, content.len());
    head += &format!("{:8}{kind}{:\0<100}ustar\000{:\0<247}", "", "", "");
    let sum: u32 = head.bytes().map(u32::from).sum();
    head.replace_range(148..156, &format!("{sum:06o}\0 "));
    let mut bytes = head.into_bytes();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A compressed archive of these files and their directories without the mark of its end, as apk wants it: with a
/// checksum of each file.
fn packed(files: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, content) in files {
        let path = path.trim_start_matches('/');
        for (at, _) in path.match_indices('/') {
            bytes.extend(entry(&path[..at], '5', b""));
        }
        // Its own length is part of the line.
        let sum = format!("68 APK-TOOLS.checksum.SHA1={}\n", hex(&Sha1::digest(content)));
        bytes.extend(entry("PaxHeader", 'x', sum.as_bytes()));
        bytes.extend(entry(path, '0', content.as_bytes()));
    }
    gzip(&bytes)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// Its public key lies in every root.
    Known,
    /// Nobody has ever heard of this one.
    #[allow(dead_code)] // For the random walk.
    Stranger,
}

/// The private keys, and the public half of the known one.
struct Keys {
    dir: tempfile::TempDir,
    known: Vec<u8>,
}

impl Keys {
    fn get() -> &'static Keys {
        static KEYS: OnceLock<Keys> = OnceLock::new();
        KEYS.get_or_init(|| {
            let dir = tempfile::tempdir().expect("could not create a temporary directory");
            let make = "for name in Known Stranger; do openssl genrsa -out $name 2048 2>/dev/null; done; \
                        openssl rsa -in Known -pubout 2>/dev/null";
            let known = shell(dir.path(), make);
            Keys { dir, known }
        })
    }

    /// An archive with the signature of what stands behind it.
    fn sign(&self, signer: Signer, bytes: &[u8]) -> Vec<u8> {
        let signed = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
        fs::write(&signed, bytes).unwrap();
        let line = format!("openssl dgst -sha1 -sign {signer:?} {}", signed.path().display());
        let signature = shell(self.dir.path(), &line);
        gzip(&entry(&format!(".SIGN.RSA.{signer:?}.rsa.pub"), '0', &signature))
    }
}

/// The half that publishes. The server's hooks can own it without owning the server.
struct Publisher {
    site: Arc<Site>,
    published: Mutex<i32>,
    signer: Mutex<Signer>,
    began: DateTime<Utc>,
}

pub struct ApkRepo {
    pub server: Server,
    publisher: Arc<Publisher>,
}

/// Where everything lies that a repository offers to this architecture.
const PLACE: &str = "/x86_64";
const INDEX: &str = "/APKINDEX.tar.gz";

impl ApkRepo {
    pub fn new(packages: &[Pkg]) -> ApkRepo {
        let publisher = Arc::new(Publisher {
            site: Arc::default(),
            published: Mutex::default(),
            signer: Mutex::new(Signer::Known),
            began: Utc::now() - chrono::Duration::hours(12),
        });
        publisher.publish(packages);
        ApkRepo { server: Server::start(publisher.site.clone()), publisher }
    }

    /// Sign the index so from the next publication on.
    #[allow(dead_code)] // For the random walk, as the next one.
    pub fn sign(&self, signer: Signer) {
        *self.publisher.signer.lock().unwrap() = signer;
    }

    #[allow(dead_code)]
    pub fn index(&self) -> Vec<u8> {
        let files = self.publisher.site.files.lock().unwrap();
        files[&format!("{PLACE}{INDEX}")].bytes.to_vec()
    }
}

/// The index of these packages, without a signature.
fn index(packages: &[Pkg]) -> Vec<u8> {
    let records: String = packages.iter().map(|package| package.built().record.clone()).collect();
    packed(&[("DESCRIPTION", "tb"), ("APKINDEX", &records)])
}

impl Publisher {
    fn publish(&self, packages: &[Pkg]) {
        // Times rise from one publication to the next, and stay in the past.
        let modified = {
            let mut published = self.published.lock().unwrap();
            *published += 1;
            self.began + chrono::Duration::minutes((*published).into())
        };
        let unsigned = index(packages);
        let mut bytes = Keys::get().sign(*self.signer.lock().unwrap(), &unsigned);
        bytes.extend(unsigned);
        let mut files = self.site.files.lock().unwrap();
        files.clear();
        files.insert(format!("{PLACE}{INDEX}"), Entry { bytes: Arc::new(bytes), modified });
        for package in packages {
            let bytes = package.built().bytes.clone();
            files.insert(format!("{PLACE}/{}", package.file_name()), Entry { bytes, modified });
        }
    }
}

impl Repository for ApkRepo {
    fn with(packages: &[Package]) -> ApkRepo {
        ApkRepo::new(&all(packages))
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn publish(&self, packages: &[Package]) {
        self.publisher.publish(&all(packages));
    }

    fn publish_before(&self, pattern: &str, nth: usize, packages: &[Package]) {
        let (publisher, packages) = (self.publisher.clone(), all(packages));
        self.server.before(pattern, nth, move || publisher.publish(&packages));
    }
}

fn made(package: &Package) -> Pkg {
    let Package { name, version, needs, replaces, script, config, padding, .. } = package.clone();
    let mut files = vec![(format!("/usr/share/tb/{name}"), format!("{name} {version}\n"))];
    files.extend(config.map(|text| (format!("/etc/{name}.conf"), text)));
    files.extend((padding > 0).then(|| (format!("/usr/share/{name}/padding"), noise(padding))));
    // Nothing comes in the place of another one; it can only be in its way.
    let needs = needs.into_iter().chain(replaces.into_iter().map(|name| format!("!{name}"))).collect();
    Pkg { name, version, needs, script, files }
}

pub fn all(packages: &[Package]) -> Vec<Pkg> {
    packages.iter().map(made).collect()
}

const DATABASE: &str = "/lib/apk/db";
const HELD: &str = "/run/lock-is-held";

/// What is installed wherever there is an apk.
const ITSELF: &str = "apk-tools";

/// A root whose packages are apk's.
pub struct Apk {
    sandbox: Sandbox,
}

impl Apk {
    /// Installs these in these versions; whatever is offered later may take their place.
    fn install(&self, packages: &[Pkg]) {
        let dir = PathBuf::from(format!("/srv/hand{PLACE}"));
        self.sandbox.write(&format!("{}{INDEX}", dir.display()), index(packages));
        for package in packages {
            self.sandbox.write(
                &dir.join(package.file_name()).display().to_string(),
                package.built().bytes.as_slice(),
            );
        }
        let exact = packages.iter().map(|package| format!(" {}={}-r0", package.name, package.version));
        let line = "APK_CONFIG=/dev/null apk add --quiet --no-network --allow-untrusted --repositories-file /dev/null --repository /srv/hand";
        let later = packages.iter().map(|package| format!("s/^{}=.*/{0}/; ", package.name));
        self.sandbox.sh(&format!(
            "{line}{} >/run/apk 2>&1 || {{ cat /run/apk >&2; exit 1; }}; sed -i '{}' /etc/apk/world",
            exact.collect::<String>(),
            later.collect::<String>()
        ));
    }
}

const CLOSED: &str =
    "apk calls a connection that is closed an I/O error, as it does a file that it cannot read";
const NOT_OFFERED: &str = "no command of apk lists them";
const AT_ONCE: &str =
    "apk downloads each package when its turn to be installed comes; nothing stops an install";

impl Manager for Apk {
    const NAME: &'static str = "apk";
    const LACKS: &'static [Lack] = &[
        // The first one, because with a cache in another place apk keeps the packages there.
        Lack {
            scenario: "a_full_disk_under_the_downloads_is_no_fetch_error",
            why: AT_ONCE,
            fails_with: "exit code of linux-patch --format json --manager apk apply ended with 0",
        },
        Lack {
            scenario: "a_package_that_only_a_restart_puts_to_use_requires_one",
            why: "with apk no package but the kernel requires one by its name",
            fails_with: "/reboot_required in the document",
        },
        Lack {
            scenario: "a_source_that_is_waited_for_is_named_on_a_terminal",
            why: "apk 3 says nothing of its repositories before the end",
            fails_with: "is not named in",
        },
        Lack {
            scenario: "every_source_down_from_the_start_is_failed",
            why: CLOSED,
            fails_with: "left: String(\"fetch\")\n right: String(\"network\")",
        },
        Lack {
            scenario: "one_source_of_three_closes_its_connections",
            why: CLOSED,
            fails_with: "left: \"fetch\"\n right: \"network\"",
        },
        Lack {
            scenario: "a_connection_closed_during_the_download_is_retried_once",
            why: CLOSED,
            fails_with: "I/O error\"} is none of [\"network\"]",
        },
        Lack {
            scenario: "what_no_source_offers_any_more_is_told",
            why: NOT_OFFERED,
            fails_with: "not_offered is not told: ",
        },
        Lack {
            scenario: "while_a_source_was_never_read_nobody_knows_what_no_source_offers",
            why: NOT_OFFERED,
            fails_with: "not told: null",
        },
        Lack {
            scenario: "what_nothing_needs_any_more_goes_where_that_is_asked_for",
            why: "apk removes it with every install",
            fails_with: "\"tb-dep 1.0-r0 -\"]\n right: [\"tb-app 2.0-r0 3.0-r0\"]",
        },
        Lack {
            scenario: "what_was_downloaded_is_installed_without_another_request",
            why: AT_ONCE,
            fails_with: "apk downloads while it installs; run apply without --download-only",
        },
        Lack {
            scenario: "what_somebody_installs_during_the_download_is_not_ours",
            why: "apk holds its lock while it downloads",
            fails_with: "Unable to lock database",
        },
        Lack { scenario: "a_termination_stops_a_download", why: AT_ONCE, fails_with: "Operation timed out" },
        Lack { scenario: "control_c_stops_a_download", why: AT_ONCE, fails_with: "Operation timed out" },
    ];
    const REVISION: &'static str = "-r0";
    const INDEX: &'static str = INDEX;
    const DOWNLOADS: &'static str = "/var/cache/apk";
    const INDEXES: &'static str = "/var/cache/apk";
    type Repo = ApkRepo;

    fn new() -> Apk {
        let sandbox = Sandbox::prepared_with_apk();
        sandbox.write("/etc/apk/keys/Known.rsa.pub", &Keys::get().known);
        sandbox.sh("mkdir -p /etc/apk/repositories.d /var/cache/apk && echo x86_64 >/etc/apk/arch && \
                    apk add --quiet --initdb --no-network --repositories-file /dev/null");
        let apk = Apk { sandbox };
        // No machine has none at all.
        Manager::install(&apk, &[package(ITSELF, "3.0")]);
        apk
    }

    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn install(&self, packages: &[Package]) {
        Apk::install(self, &all(packages));
    }

    fn add_source(&self, name: &str, repo: &ApkRepo) {
        self.sandbox
            .write(&format!("/etc/apk/repositories.d/{name}.list"), format!("{}\n", repo.server.url()));
    }

    fn source_id(&self, _: &str, repo: &ApkRepo) -> String {
        repo.server.url()
    }

    /// With `broken` behind those whose script failed, or of which files are missing.
    fn installed(&self) -> Vec<String> {
        let text = self.sandbox.read(&format!("{DATABASE}/installed")).unwrap_or_default();
        let mut rows: Vec<String> = Vec::new();
        for line in text.lines() {
            match (line.split_once(':'), rows.last_mut()) {
                (Some(("P", name)), _) => rows.push(name.to_owned()),
                (Some(("V", version)), Some(row)) => *row += &format!(" {}", version.trim_end_matches("-r0")),
                (Some(("f", flags)), Some(row)) if flags.contains(['f', 's']) => *row += " broken",
                _ => {}
            }
        }
        rows.retain(|row| !row.starts_with(ITSELF));
        rows.sort();
        rows
    }

    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32) {
        let mut command = self.sandbox.command("flock");
        let script = format!("echo $$ >{HELD}.new; mv {HELD}.new {HELD}; exec sleep {}", time.as_secs());
        command.args(["--no-fork", &format!("{DATABASE}/lock"), "sh", "-c", &script]);
        let running = self.sandbox.start(command);
        self.sandbox.wait_for_file(HELD);
        (running, self.sandbox.read(HELD).unwrap().trim().parse().unwrap())
    }
}
