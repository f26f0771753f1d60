//! Small pacman packages, repositories of them, roots in which pacman finds both, and pacman's part
//! in the scenarios of every manager.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use crate::manager::{Lack, Manager, Package, Repository, noise};
use crate::report::Report;
use crate::sandbox::{Running, Sandbox};
use crate::server::{Entry, Server, Site};
use crate::vault::{Signer, Vault};

/// A package: name, version and what else it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pkg {
    name: String,
    version: String,
    /// Lines of .PKGINFO such as `depend = tb-new`.
    info: Vec<String>,
    script: Option<String>,
    architecture: String,
    built: i64,
    /// Paths and what is in them.
    files: Vec<(String, String)>,
}

pub fn pkg(name: &str, version: &str) -> Pkg {
    let files = vec![(format!("/usr/share/tb/{name}"), format!("{name} {version}\n"))];
    let (name, version, architecture) = (name.into(), version.into(), "any".into());
    Pkg { name, version, info: Vec::new(), script: None, architecture, built: 1_700_000_000, files }
}

impl Pkg {
    /// A line of .PKGINFO, such as `depend = tb-new`.
    pub fn info(mut self, line: &str) -> Pkg {
        self.info.push(line.into());
        self
    }

    /// Built at this time (seconds since 1970).
    pub fn built(mut self, at: i64) -> Pkg {
        self.built = at;
        self
    }

    /// For machines of this kind alone.
    pub fn of(mut self, architecture: &str) -> Pkg {
        self.architecture = architecture.into();
        self
    }

    /// What runs after the install.
    pub fn script(mut self, lines: &str) -> Pkg {
        self.script = Some(lines.into());
        self
    }

    pub fn file(mut self, path: &str, content: &str) -> Pkg {
        self.files.push((path.into(), content.into()));
        self
    }

    /// Without a colon, as GitHub serves files.
    fn file_name(&self) -> String {
        format!("{}-{}-1-{}.pkg.tar.gz", self.name, self.version.replace(':', "."), self.architecture)
    }

    /// The file itself; the same description is built only once.
    pub fn bytes(&self) -> Arc<Vec<u8>> {
        static BUILT: OnceLock<Mutex<HashMap<Pkg, Arc<Vec<u8>>>>> = OnceLock::new();
        let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap();
        built.entry(self.clone()).or_insert_with(|| Arc::new(self.build())).clone()
    }

    fn build(&self) -> Vec<u8> {
        let Pkg { name, version, info, script, architecture, built, files } = self;
        let mut content = vec![(
            ".PKGINFO".to_string(),
            format!(
                "pkgname = {name}\npkgbase = {name}\npkgver = {version}-1\npkgdesc = a test\nurl = none\n\
                 builddate = {built}\npackager = none\nsize = {}\narch = {architecture}\n{}\n",
                self.size(),
                info.join("\n")
            ),
        )];
        if let Some(lines) = script {
            let text = format!("post_install() {{\n{lines}\n}}\npost_upgrade() {{\npost_install\n}}\n");
            content.push((".INSTALL".to_string(), text));
        }
        let files = files.iter().map(|(path, text)| (path.trim_start_matches('/').to_owned(), text.clone()));
        content.extend(files);
        archive(&content)
    }

    fn size(&self) -> usize {
        self.files.iter().map(|(_, text)| text.len()).sum()
    }

    /// Its entry in the index of a repository, as repo-add makes it. pacman 7 compares it with what the
    /// package says of itself.
    fn desc(&self) -> String {
        let bytes = self.bytes();
        let values = |key: &str| {
            let of_key = self.info.iter().filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            of_key.map(|value| format!("{value}\n")).collect::<String>()
        };
        let section = |title: &str, text: &str| match text {
            "" => String::new(),
            text => format!("%{title}%\n{}\n\n", text.trim_end()),
        };
        let sum: String = Sha256::digest(bytes.as_slice()).iter().map(|byte| format!("{byte:02x}")).collect();
        [
            section("FILENAME", &self.file_name()),
            section("NAME", &self.name),
            section("BASE", &self.name),
            section("VERSION", &format!("{}-1", self.version)),
            section("DESC", "a test"),
            section("GROUPS", &values("group")),
            section("CSIZE", &bytes.len().to_string()),
            section("ISIZE", &self.size().to_string()),
            section("SHA256SUM", &sum),
            section("URL", "none"),
            section("ARCH", &self.architecture),
            section("BUILDDATE", &self.built.to_string()),
            section("PACKAGER", "none"),
            section("REPLACES", &values("replaces")),
            section("CONFLICTS", &values("conflict")),
            section("PROVIDES", &values("provides")),
            section("DEPENDS", &values("depend")),
        ]
        .concat()
    }
}

/// A compressed archive of these files.
fn archive(files: &[(String, String)]) -> Vec<u8> {
    let work = tempfile::tempdir().expect("could not create a temporary directory");
    for (path, text) in files {
        let path = work.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let tops = fs::read_dir(work.path()).unwrap().flatten().map(|entry| entry.file_name());
    let mut tops: Vec<_> = tops.collect();
    tops.sort();
    let output = Command::new("tar")
        .args(["--create", "--gzip", "--owner=0", "--group=0", "--mode=u=rwX,go=rX", "--file=-"])
        .arg(format!("--directory={}", work.path().display()))
        .args(if tops.is_empty() { vec!["--files-from=/dev/null".into()] } else { tops })
        .output()
        .expect("could not run tar");
    assert!(output.status.success(), "tar: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The half that publishes. The server's hooks can own it without owning the server.
struct Publisher {
    site: Arc<Site>,
    published: Mutex<i32>,
    /// The names under which the index is asked for.
    names: Mutex<Vec<String>>,
    index: Mutex<Arc<Vec<u8>>>,
    signer: Mutex<Option<Signer>>,
    /// Who signs a package with this name; the others nobody does.
    packagers: Mutex<HashMap<String, Signer>>,
    began: DateTime<Utc>,
}

pub struct PkgRepo {
    pub server: Server,
    publisher: Arc<Publisher>,
}

impl PkgRepo {
    pub fn new(packages: &[Pkg]) -> PkgRepo {
        let site = Arc::new(Site::default());
        let publisher = Arc::new(Publisher {
            site: site.clone(),
            published: Mutex::default(),
            names: Mutex::default(),
            index: Mutex::default(),
            signer: Mutex::default(),
            packagers: Mutex::default(),
            began: Utc::now() - chrono::Duration::hours(12),
        });
        publisher.publish(packages);
        PkgRepo { server: Server::start(site), publisher }
    }

    /// Replace everything published by these packages, index and all, in one step.
    pub fn publish(&self, packages: &[Pkg]) {
        self.publisher.publish(packages);
    }

    /// Just before the `nth` request for a path holding `pattern` is answered, publish these.
    pub fn publish_before(&self, pattern: &str, nth: usize, packages: &[Pkg]) {
        let (publisher, packages) = (self.publisher.clone(), packages.to_vec());
        self.server.before(pattern, nth, move || publisher.publish(&packages));
    }

    /// Everything that is published, as a mirror has it that took it over so many days earlier.
    pub fn days_behind(&self, days: i64) {
        for entry in self.publisher.site.files.lock().unwrap().values_mut() {
            entry.modified -= chrono::Duration::days(days);
        }
    }

    /// Serve something else as the index from now on.
    pub fn publish_as_index(&self, bytes: &[u8]) {
        *self.publisher.index.lock().unwrap() = Arc::new(bytes.to_vec());
        self.publisher.serve_index();
    }

    /// Serve an index of these packages from now on, in which one text stands for another.
    pub fn publish_altered(&self, packages: &[Pkg], from: &str, to: &str) {
        self.publish(packages);
        let entry = |package: &Pkg| {
            (format!("{}-{}-1/desc", package.name, package.version), package.desc().replace(from, to))
        };
        self.publish_as_index(&archive(&packages.iter().map(entry).collect::<Vec<_>>()));
    }

    /// Serve the index packed by this command instead of gzip from now on.
    pub fn pack_index(&self, command: &str) {
        let work = tempfile::tempdir().unwrap();
        let (from, to) = (work.path().join("from"), work.path().join("to"));
        fs::write(&from, self.index()).unwrap();
        let line = format!("gunzip <{} | {command} >{}", from.display(), to.display());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}");
        self.publish_as_index(&fs::read(to).unwrap());
    }

    /// Sign the index from now on.
    pub fn sign_index(&self, signer: Signer) {
        *self.publisher.signer.lock().unwrap() = Some(signer);
        self.publisher.serve_index();
    }

    /// Sign the index no more.
    pub fn sign_no_index(&self) {
        *self.publisher.signer.lock().unwrap() = None;
        self.publisher.serve_index();
    }

    /// Sign packages with these names from the next publication on.
    pub fn sign_packages(&self, names: &[&str], signer: Signer) {
        let mut packagers = self.publisher.packagers.lock().unwrap();
        packagers.extend(names.iter().map(|name| (name.to_string(), signer)));
    }

    pub fn index(&self) -> Vec<u8> {
        self.publisher.index.lock().unwrap().to_vec()
    }

    /// The name under which pacman asks for the index.
    pub fn serve_as(&self, name: &str) {
        self.publisher.names.lock().unwrap().push(name.to_owned());
        self.publisher.serve_index();
    }
}

impl Publisher {
    fn publish(&self, packages: &[Pkg]) {
        let entry = |package: &Pkg| (format!("{}-{}-1/desc", package.name, package.version), package.desc());
        let index = archive(&packages.iter().map(entry).collect::<Vec<_>>());
        // Times rise from one publication to the next, and stay in the past.
        let modified = {
            let mut published = self.published.lock().unwrap();
            *published += 1;
            self.began + chrono::Duration::minutes((*published).into())
        };
        *self.index.lock().unwrap() = Arc::new(index);
        {
            let mut files = self.site.files.lock().unwrap();
            files.clear();
            for package in packages {
                let path = format!("/{}", package.file_name());
                let signer = self.packagers.lock().unwrap().get(&package.name).copied();
                if let Some(signer) = signer.filter(|signer| *signer != Signer::Nobody) {
                    let bytes = Vault::get().sign_apart(signer, "--no-armor", &package.bytes()).into();
                    files.insert(format!("{path}.sig"), Entry { bytes, modified });
                }
                files.insert(path, Entry { bytes: package.bytes(), modified });
            }
        }
        self.serve_index();
    }

    fn serve_index(&self) {
        let modified = self.began + chrono::Duration::minutes((*self.published.lock().unwrap()).into());
        let bytes = self.index.lock().unwrap().clone();
        let signer = *self.signer.lock().unwrap();
        let signature = signer.map(|signer| Arc::new(Vault::get().sign_apart(signer, "--no-armor", &bytes)));
        let mut files = self.site.files.lock().unwrap();
        for name in self.names.lock().unwrap().iter() {
            files.insert(format!("/{name}.db"), Entry { bytes: bytes.clone(), modified });
            files.remove(&format!("/{name}.db.sig"));
            if let Some(bytes) = signature.clone() {
                files.insert(format!("/{name}.db.sig"), Entry { bytes, modified });
            }
        }
    }
}

/// A root whose packages are pacman's; apt is there too, as on the machine.
pub struct Root {
    pub sandbox: Sandbox,
}

const CONFIG: &str = "/etc/pacman.conf";

/// What is installed wherever there is a pacman.
const ITSELF: &str = "pacman";

impl Root {
    pub fn new(installed: &[Pkg]) -> Root {
        let sandbox = Sandbox::new();
        Root::prepare(&sandbox);
        let root = Root { sandbox };
        // No machine has none at all.
        root.install(&[&[pkg(ITSELF, "6.0")], installed].concat());
        root
    }

    /// Makes a root one whose packages are pacman's. Options and directories as Arch Linux ships them,
    /// but for the signatures. After each transaction pacman would start ldconfig, if that were configured.
    pub fn prepare(sandbox: &Sandbox) {
        sandbox.sh(
            "rm -rf /var/lib/pacman /var/cache/pacman /etc/pacman.d /usr/share/tb /usr/share/libalpm /etc/ld.so.conf; \
             mkdir -p /var/lib/pacman /var/cache/pacman/pkg /etc/pacman.d; \
             [ -e /etc/mtab ] || ln -s ../proc/self/mounts /etc/mtab",
        );
        let options = "[options]\nHoldPkg = pacman glibc\nArchitecture = auto\nCheckSpace\nParallelDownloads = 5\n\
                       SigLevel = Never\nLocalFileSigLevel = Never\n";
        sandbox.write(CONFIG, options);
    }

    #[track_caller]
    pub fn install(&self, packages: &[Pkg]) {
        if packages.is_empty() {
            return;
        }
        let paths: Vec<_> = packages
            .iter()
            .map(|package| {
                let path = format!("/srv/{}", package.file_name());
                self.sandbox.write(&path, package.bytes().as_slice());
                path
            })
            .collect();
        let install = format!("LC_ALL=C pacman -U --noconfirm {}", paths.join(" "));
        self.sandbox.sh(&format!("{install} >/run/pacman-u 2>&1 || {{ cat /run/pacman-u >&2; exit 1; }}"));
    }

    pub fn add_repo(&self, name: &str, repo: &PkgRepo) {
        repo.serve_as(name);
        self.add_servers(name, &[&repo.server.url()]);
    }

    /// A repository with several mirrors, asked in this order.
    pub fn add_servers(&self, name: &str, urls: &[&str]) {
        let servers: String = urls.iter().map(|url| format!("Server = {url}\n")).collect();
        self.configure(&format!("[{name}]\n{servers}"));
    }

    /// Lines at the end of pacman.conf.
    pub fn configure(&self, lines: &str) {
        let text = self.sandbox.read(CONFIG).unwrap();
        self.sandbox.write(CONFIG, text + lines);
    }

    /// Lines among its options.
    pub fn option(&self, line: &str) {
        let text = self.sandbox.read(CONFIG).unwrap();
        self.sandbox.write(CONFIG, text.replacen("[options]\n", &format!("[options]\n{line}\n"), 1));
    }

    /// Another rule for signatures than none at all.
    pub fn trust(&self, level: &str) {
        let text = self.sandbox.read(CONFIG).unwrap();
        self.sandbox.write(CONFIG, text.replace("\nSigLevel = Never\n", &format!("\nSigLevel = {level}\n")));
        // The known key, with all the trust there is.
        let import = "export GNUPGHOME=/etc/pacman.d/gnupg; mkdir -p -m 700 $GNUPGHOME; touch $GNUPGHOME/pubring.gpg; \
                      gpg --batch --quiet --no-autostart --import /etc/apt/keyrings/test.gpg; \
                      gpg --batch --with-colons --list-keys | sed -n 's/^fpr:*\\([^:]*\\):.*/\\1:6:/p' | head -1 | \
                      gpg --batch --quiet --no-autostart --import-ownertrust";
        self.sandbox.sh(&format!("({import}) 2>&1"));
    }

    /// `linux-patch --manager pacman ARGS`, started.
    #[track_caller]
    pub fn start(&self, args: &[&str]) -> Running<'_> {
        self.sandbox.start(self.sandbox.patch_command(&[&["--manager", "pacman"], args].concat()))
    }

    #[track_caller]
    pub fn patch(&self, args: &[&str]) -> Report {
        self.start(args).report()
    }

    pub fn installed(&self) -> Vec<String> {
        let text = self.sandbox.sh("pacman -Q 2>/dev/null || true");
        let lines = text.lines().filter(|line| !line.starts_with(&format!("{ITSELF} ")));
        lines.map(|line| line.trim_end_matches("-1").to_owned()).collect()
    }

    #[track_caller]
    pub fn has_exactly(&self, expected: &[&str]) {
        let found = self.installed();
        assert_eq!(found, expected, "{}\n{}", self.sandbox.state(), self.sandbox.log());
    }

    /// The system's own index: names, times and sums.
    pub fn system_index(&self) -> String {
        self.sandbox.sh("cd /var/lib/pacman/sync 2>/dev/null || exit 0; stat -c '%n %s %y' *; sha256sum *")
    }

    /// Note every call of pacman and pacman-conf.
    pub fn watch_calls(&self) {
        for name in ["pacman", "pacman-conf"] {
            let body = format!("echo \"{name} $*\" >>/run/calls; exec /usr/bin/{name} \"$@\"");
            self.sandbox.write_script(&format!("/usr/local/bin/{name}"), &body);
        }
    }

    pub fn calls(&self) -> Vec<String> {
        self.sandbox.read("/run/calls").unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

/// A root with these packages and one repository with those.
#[track_caller]
pub fn one(installed: &[Pkg], published: &[Pkg]) -> (Root, PkgRepo) {
    let root = Root::new(installed);
    let repo = PkgRepo::new(published);
    root.add_repo("test", &repo);
    (root, repo)
}

/// tb-hello 1.0 is installed and 2.0 is published.
#[track_caller]
pub fn pending_update() -> (Root, PkgRepo) {
    one(&[pkg("tb-hello", "1.0")], &[pkg("tb-hello", "2.0")])
}

/// Three repositories, each with an update for a package of its own.
#[track_caller]
pub fn three() -> (Root, [PkgRepo; 3]) {
    let root = Root::new(&["alpha", "beta", "gamma"].map(|name| pkg(&format!("tb-{name}"), "1.0")));
    let repos = ["alpha", "beta", "gamma"].map(|name| {
        let repo = PkgRepo::new(&[pkg(&format!("tb-{name}"), "2.0")]);
        root.add_repo(name, &repo);
        repo
    });
    (root, repos)
}

/// Hold a lock as pacman does, by making the file and keeping it open, until the process is killed
/// or this much time has passed; also its pid. Whoever ends, the file goes.
pub fn hold_lock<'a>(sandbox: &'a Sandbox, path: &str, time: Duration) -> (Running<'a>, u32) {
    const HELD: &str = "/run/lock-is-held";
    let script = format!(
        "set -C; exec 9>{path}; sleep {} & exec 9>&-; echo $! >{HELD}; wait $!; rm {path}",
        time.as_secs()
    );
    let mut command = sandbox.command("sh");
    command.args(["-c", &script]);
    let running = sandbox.start(command);
    let pid = || sandbox.read(HELD).and_then(|text| text.trim().parse().ok());
    sandbox.wait_until("somebody holds the lock", || pid().is_some());
    (running, pid().unwrap())
}

pub const LOCK: &str = "/var/lib/pacman/db.lck";

const WHOLE: &str =
    "a partial upgrade breaks the system, and pacman refuses one too; see pacman_refresh and pacman_apply";
const PRIVATE: &str = "the private index has a lock of its own: a refresh does not wait; see pacman_locks";

pub struct Pacman {
    root: Root,
}

fn made(package: &Package) -> Pkg {
    let mut made = pkg(&package.name, &package.version);
    for name in &package.needs {
        made = made.info(&format!("depend = {name}"));
    }
    for name in &package.replaces {
        made = made.info(&format!("replaces = {name}")).info(&format!("conflict = {name}"));
    }
    if let Some(lines) = &package.script {
        made = made.script(lines);
    }
    if let Some(text) = &package.config {
        let path = format!("etc/{}.conf", package.name);
        made = made.file(&format!("/{path}"), text).info(&format!("backup = {path}"));
    }
    if package.padding > 0 {
        made = made.file(&format!("/usr/share/{}/padding", package.name), &noise(package.padding));
    }
    made
}

pub fn all(packages: &[Package]) -> Vec<Pkg> {
    packages.iter().map(made).collect()
}

impl Repository for PkgRepo {
    fn with(packages: &[Package]) -> PkgRepo {
        PkgRepo::new(&all(packages))
    }

    fn server(&self) -> &Server {
        &self.server
    }

    fn publish(&self, packages: &[Package]) {
        PkgRepo::publish(self, &all(packages));
    }

    fn publish_before(&self, pattern: &str, nth: usize, packages: &[Package]) {
        PkgRepo::publish_before(self, pattern, nth, &all(packages));
    }
}

impl Manager for Pacman {
    const NAME: &'static str = "pacman";
    const LACKS: &'static [Lack] = &[
        Lack {
            scenario: "a_package_that_only_a_restart_puts_to_use_requires_one",
            why: "nothing on Arch says which packages do",
            fails_with: "/reboot_required in the document",
        },
        Lack {
            scenario: "a_source_that_is_down_keeps_no_update_of_another_one_back",
            why: WHOLE,
            fails_with: "503; nothing is installed: pacman upgrades all or nothing",
        },
        Lack {
            scenario: "one_source_of_three_is_gone",
            why: WHOLE,
            fails_with: "404; nothing is installed: pacman upgrades all or nothing",
        },
        Lack {
            scenario: "one_source_of_three_is_overloaded",
            why: WHOLE,
            fails_with: "503; nothing is installed: pacman upgrades all or nothing",
        },
        Lack {
            scenario: "one_source_of_three_closes_its_connections",
            why: WHOLE,
            fails_with: "Empty reply from server; nothing is installed: pacman upgrades all or nothing",
        },
        Lack {
            scenario: "updates_ripen_for_as_long_as_is_asked",
            why: WHOLE,
            fails_with: "--min-age cannot be used with pacman: ",
        },
        Lack {
            scenario: "only_what_the_chosen_sources_offer_is_installed",
            why: WHOLE,
            fails_with: "--from cannot be used with pacman: ",
        },
        Lack {
            scenario: "named_packages_are_installed_and_no_other",
            why: WHOLE,
            fails_with: "packages cannot be chosen with pacman",
        },
        Lack {
            scenario: "a_refresh_waits_for_the_managers_lock",
            why: PRIVATE,
            fails_with: "ended without saying \"process ",
        },
        Lack {
            scenario: "a_refresh_gives_up_on_a_lock_that_is_never_let_go_and_names_its_holder",
            why: PRIVATE,
            fails_with: "refresh --timeout 5s ended with 0",
        },
        Lack {
            scenario: "everything_killed_in_mid_install_is_repaired_by_the_next_apply",
            why: "a killed pacman leaves its lock, which nobody but the administrator may remove; see pacman_locks",
            fails_with: "was left behind by a pacman that was killed",
        },
    ];
    const REVISION: &'static str = "-1";
    const INDEX: &'static str = ".db";
    const DOWNLOADS: &'static str = "/var/cache/pacman/pkg";
    const INDEXES: &'static str = "/var/lib/linux-patch/pacman/sync";
    type Repo = PkgRepo;

    fn new() -> Pacman {
        Pacman { root: Root::new(&[]) }
    }

    fn sandbox(&self) -> &Sandbox {
        &self.root.sandbox
    }

    fn install(&self, packages: &[Package]) {
        self.root.install(&all(packages));
    }

    fn add_source(&self, name: &str, repo: &PkgRepo) {
        self.root.add_repo(name, repo);
    }

    fn installed(&self) -> Vec<String> {
        self.root.installed()
    }

    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32) {
        hold_lock(&self.root.sandbox, LOCK, time)
    }
}
