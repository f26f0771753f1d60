//! Small rpm packages, repositories of them, and roots in which dnf finds both.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use chrono::{DateTime, Duration, Utc};
use sha2::{Digest, Sha256};

use crate::report::Report;
use crate::sandbox::{Running, Sandbox};
use crate::server::{Entry, Server, Site};
use crate::vault::{Signer, Vault};

/// A package: name, version and what else its spec says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rpm {
    name: String,
    version: String,
    tags: Vec<String>,
    post: Option<String>,
    /// How the list of files has each, its path and its content.
    files: Vec<(String, String, String)>,
    signer: Option<Signer>,
    architecture: &'static str,
}

pub fn rpm(name: &str, version: &str) -> Rpm {
    Rpm {
        name: name.into(),
        version: version.into(),
        tags: Vec::new(),
        post: None,
        files: Vec::new(),
        signer: None,
        architecture: "noarch",
    }
}

impl Rpm {
    /// A line of the preamble, such as `Requires: tb-new`.
    pub fn tag(mut self, line: &str) -> Rpm {
        self.tags.push(line.into());
        self
    }

    /// For machines of this kind alone.
    pub fn of(mut self, architecture: &'static str) -> Rpm {
        self.architecture = architecture;
        self
    }

    /// What runs after the install.
    pub fn post(mut self, script: &str) -> Rpm {
        self.post = Some(script.into());
        self
    }

    /// A file, which the list of files has with these words before it, such as `%config `.
    pub fn file(mut self, words: &str, path: &str, content: &str) -> Rpm {
        self.files.push((words.into(), path.into(), content.into()));
        self
    }

    /// With a signature of its own.
    pub fn signed(mut self, signer: Signer) -> Rpm {
        self.signer = Some(signer);
        self
    }

    pub fn file_name(&self) -> String {
        format!("{}-{}-1.noarch.rpm", self.name, self.version)
    }

    fn spec(&self) -> String {
        let Rpm { name, version, tags, post, files, .. } = self;
        let post = post.as_ref().map(|script| format!("%post\n{script}\n")).unwrap_or_default();
        let mut install = String::new();
        let mut list = String::new();
        for (nth, (words, path, _)) in files.iter().enumerate() {
            install += &format!("install -D -m 644 %{{_topdir}}/{nth} %{{buildroot}}{path}\n");
            list += &format!("{words}{path}\n");
        }
        let kind = if self.architecture == "noarch" { "BuildArch: noarch\n" } else { "" };
        format!(
            "Name: {name}\nVersion: {version}\nRelease: 1\nSummary: a test\nLicense: none\n{kind}{}\n\
             %description\nMade by the end-to-end tests\n%install\n{install}{post}%files\n{list}",
            tags.join("\n")
        )
    }

    /// The file itself; the same description is built only once.
    pub fn bytes(&self) -> Arc<Vec<u8>> {
        static BUILT: OnceLock<Mutex<HashMap<Rpm, Arc<Vec<u8>>>>> = OnceLock::new();
        let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap();
        built.entry(self.clone()).or_insert_with(|| Arc::new(self.build())).clone()
    }

    fn build(&self) -> Vec<u8> {
        let work = tempfile::tempdir().expect("could not create a temporary directory");
        let spec = work.path().join("made.spec");
        fs::write(&spec, self.spec()).unwrap();
        for (nth, (_, _, content)) in self.files.iter().enumerate() {
            fs::write(work.path().join(nth.to_string()), content).unwrap();
        }
        let define = |name: &str, value: &str| ["--define".to_owned(), format!("{name} {value}")];
        let top = work.path().to_str().unwrap();
        run(Command::new("rpmbuild")
            .args(["-bb", "--quiet", "--target", self.architecture])
            .args(define("_topdir", top))
            .args(define("_rpmdir", top))
            .args(define("_rpmfilename", "made.rpm"))
            // Nothing in here is to be stripped, compressed or checked.
            .args(define("__os_install_post", "%{nil}"))
            .args(define("__check_files", "%{nil}"))
            .arg(&spec));
        let bytes = fs::read(work.path().join("made.rpm")).unwrap();
        self.signer.map_or(bytes.clone(), |signer| Vault::get().sign_rpm(signer, &bytes))
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("could not run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The half that publishes. The server's hooks can own it without owning the server.
struct Publisher {
    site: Arc<Site>,
    published: Mutex<i32>,
    /// The mirrors of which the metalink is, if there is one.
    mirrors: Mutex<Vec<String>>,
    began: DateTime<Utc>,
}

pub struct RpmRepo {
    pub server: Server,
    publisher: Arc<Publisher>,
}

impl RpmRepo {
    pub fn new(rpms: &[Rpm]) -> RpmRepo {
        let site = Arc::new(Site::default());
        let began = Utc::now() - Duration::hours(12);
        let publisher = Arc::new(Publisher {
            site: site.clone(),
            published: Mutex::default(),
            mirrors: Mutex::default(),
            began,
        });
        publisher.publish(rpms, None);
        RpmRepo { server: Server::start(site), publisher }
    }

    /// Replace everything published by these packages, index and all, in one step.
    pub fn publish(&self, rpms: &[Rpm]) {
        self.publisher.publish(rpms, None);
    }

    /// The same, with an advisory of this kind for the first of them.
    pub fn publish_with_advisory(&self, kind: &str, rpms: &[Rpm]) {
        let advisory = updateinfo(&[("TB-1", kind, &rpms[0].name, &rpms[0].version)]);
        self.publisher.publish(rpms, Some(&advisory));
    }

    /// The same, with these advisories: identifier, kind, package and the version that settles it.
    pub fn publish_with_advisories(&self, advisories: &[(&str, &str, &str, &str)], rpms: &[Rpm]) {
        self.publisher.publish(rpms, Some(&updateinfo(advisories)));
    }

    /// Likewise, where the first of them may be installed by those only who agree to a licence.
    pub fn publish_with_licence(&self, rpms: &[Rpm]) {
        self.publisher.publish_with(rpms, |work| add_metadata(work, "susedata", &susedata(work, &rpms[0])));
    }

    /// Likewise, where these are a stream of the module tb-mod, its default one perhaps.
    pub fn publish_module(&self, rpms: &[Rpm], is_default: bool) {
        let text = modulemd(rpms, is_default);
        self.publisher.publish_with(rpms, |work| add_metadata(work, "modules", &text));
    }

    /// Likewise, with an index that was to be used for a minute, long ago.
    pub fn publish_expired(&self, rpms: &[Rpm]) {
        let info = "<suseinfo xmlns='http://linux.duke.edu/metadata/repo'><expire>60</expire></suseinfo>";
        self.publisher.publish_with(rpms, |work| {
            add_metadata(work, "suseinfo", info);
            date(work, 1_000_000_000);
        });
    }

    /// Likewise, with an index of this time, in seconds since 1970.
    pub fn publish_dated(&self, seconds: i64, rpms: &[Rpm]) {
        self.publisher.publish_with(rpms, |work| date(work, seconds));
    }

    /// Just before the `nth` request for a path holding `pattern` is answered, publish these.
    pub fn publish_before(&self, pattern: &str, nth: usize, rpms: &[Rpm]) {
        let (publisher, rpms) = (self.publisher.clone(), rpms.to_vec());
        self.server.before(pattern, nth, move || publisher.publish(&rpms, None));
    }

    /// Sign the index that is published, and offer the key beside it.
    pub fn sign(&self, signer: Signer) {
        let mut files = self.publisher.site.files.lock().unwrap();
        let index = &files["/repodata/repomd.xml"];
        let (bytes, modified) = (index.bytes.clone(), index.modified);
        let signature = Vault::get().sign_apart(signer, "--armor", &bytes);
        for (end, bytes) in [("asc", signature), ("key", Vault::get().key_of(signer))] {
            let path = format!("/repodata/repomd.xml.{end}");
            files.insert(path, Entry { bytes: Arc::new(bytes), modified });
        }
    }

    /// Offer `/metalink`, by which each publication can be had from these mirrors.
    #[allow(dead_code)] // For the random walk.
    pub fn offer_metalink(&self, mirrors: &[&str]) {
        *self.publisher.mirrors.lock().unwrap() = mirrors.iter().map(|url| (*url).to_owned()).collect();
        self.publisher.add_metalink(&mut self.publisher.site.files.lock().unwrap());
    }

    /// Offer the key of packages beside the index, until the next publication.
    pub fn offer_key(&self, signer: Signer) {
        let entry = Entry { bytes: Arc::new(Vault::get().key_of(signer)), modified: Utc::now() };
        self.publisher.site.files.lock().unwrap().insert("/KEY".into(), entry);
    }

    /// The files as (path, bytes), for a repository that is not served.
    pub fn files(&self) -> Vec<(String, Arc<Vec<u8>>)> {
        self.publisher.site.copies()
    }

    /// How often the index has been asked for: once per refresh.
    pub fn refreshes(&self) -> usize {
        self.server.requests("/repomd.xml")
    }
}

impl Publisher {
    fn publish(&self, rpms: &[Rpm], advisory: Option<&str>) {
        self.publish_with(rpms, |work| {
            if let Some(text) = advisory {
                add_metadata(work, "updateinfo", text);
            }
        });
    }

    fn publish_with(&self, rpms: &[Rpm], add: impl Fn(&Path)) {
        let work = tempfile::tempdir().expect("could not create a temporary directory");
        for rpm in rpms {
            fs::write(work.path().join(rpm.file_name()), rpm.bytes().as_slice()).unwrap();
        }
        run(Command::new("createrepo_c").args(["--quiet", "--no-database"]).arg(work.path()));
        add(work.path());
        // Times rise from one publication to the next, and stay in the past.
        let modified = {
            let mut published = self.published.lock().unwrap();
            *published += 1;
            self.began + Duration::minutes((*published).into())
        };
        let mut files = self.site.files.lock().unwrap();
        files.clear();
        for dir in ["", "repodata"] {
            for entry in fs::read_dir(work.path().join(dir)).unwrap().flatten() {
                if entry.path().is_file() {
                    let path = format!("/{}", Path::new(dir).join(entry.file_name()).display());
                    let bytes = Arc::new(fs::read(entry.path()).unwrap());
                    files.insert(path, Entry { bytes, modified });
                }
            }
        }
        self.add_metalink(&mut files);
    }

    fn add_metalink(&self, files: &mut BTreeMap<String, Entry>) {
        let mirrors = self.mirrors.lock().unwrap();
        if mirrors.is_empty() {
            return;
        }
        let (index, modified) =
            files.get("/repodata/repomd.xml").map(|e| (e.bytes.clone(), e.modified)).unwrap();
        let sum: String = Sha256::digest(&*index).iter().map(|byte| format!("{byte:02x}")).collect();
        let urls =
            mirrors.iter().map(|url| format!("<url protocol=\"http\">{url}/repodata/repomd.xml</url>"));
        let text = format!(
            "<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\"><files><file name=\"repomd.xml\">\
             <size>{}</size><verification><hash type=\"sha256\">{sum}</hash></verification>\
             <resources>{}</resources></file></files></metalink>",
            index.len(),
            urls.collect::<String>()
        );
        files.insert("/metalink".into(), Entry { bytes: Arc::new(text.into_bytes()), modified });
    }
}

/// Of a kind such as `security`, or `security, reboot`.
fn updateinfo(advisories: &[(&str, &str, &str, &str)]) -> String {
    let update = |(id, kind, name, version): &(&str, &str, &str, &str)| {
        let mut wishes = kind.split(", ");
        let kind = wishes.next().unwrap_or_default();
        let wishes: String =
            wishes.map(|wish| format!("<{wish}_suggested>True</{wish}_suggested>")).collect();
        format!(
            "<update from=\"x\" status=\"final\" type=\"{kind}\" version=\"1\"><id>{id}</id><title>t</title>\
             <severity>Important</severity><issued date=\"2026-01-01 00:00:00\"/><description>d</description>\
             <pkglist><collection><package name=\"{name}\" version=\"{version}\" release=\"1\" epoch=\"0\" \
             arch=\"noarch\"><filename>{name}-{version}-1.noarch.rpm</filename>{wishes}</package></collection></pkglist>\
             </update>"
        )
    };
    format!("<updates>{}</updates>", advisories.iter().map(update).collect::<String>())
}

/// The stream `1` of tb-mod.
fn modulemd(rpms: &[Rpm], is_default: bool) -> String {
    let names = rpms.iter().map(|rpm| format!("    - {}-0:{}-1.noarch\n", rpm.name, rpm.version));
    let artifacts: String = names.collect();
    let default =
        "---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: tb-mod\n  stream: \"1\"\n...\n";
    format!(
        "---\ndocument: modulemd\nversion: 2\ndata:\n  name: tb-mod\n  stream: \"1\"\n  version: 1\n  \
         context: 12345678\n  arch: {}\n  summary: a test\n  description: a test\n  license:\n    \
         module:\n    - MIT\n  artifacts:\n    rpms:\n{artifacts}...\n{}",
        std::env::consts::ARCH,
        if is_default { default } else { "" }
    )
}

/// Gives an index another time.
fn date(work: &Path, seconds: i64) {
    let index = work.join("repodata/repomd.xml");
    let text = fs::read_to_string(&index).unwrap();
    let lines = text.lines().map(|line| match line.trim_start().split('>').next() {
        Some("<timestamp") => format!("<timestamp>{seconds}</timestamp>\n"),
        Some("<revision") => format!("<revision>{seconds}</revision>\n"),
        _ => format!("{line}\n"),
    });
    fs::write(&index, lines.collect::<String>()).unwrap();
}

/// Adds a file of this kind to the index of a repository that lies in a directory.
fn add_metadata(work: &Path, kind: &str, text: &str) {
    let file = work.join(format!("{kind}.xml"));
    fs::write(&file, text).unwrap();
    run(Command::new("modifyrepo_c").arg(format!("--mdtype={kind}")).arg(&file).arg(work.join("repodata")));
    fs::remove_file(file).unwrap();
}

/// What asks for an agreement before this package is installed.
fn susedata(work: &Path, rpm: &Rpm) -> String {
    let output = Command::new("sha256sum").arg(work.join(rpm.file_name())).output().unwrap();
    let sum = String::from_utf8_lossy(&output.stdout);
    let id = sum.split(' ').next().unwrap_or_default();
    format!(
        "<susedata xmlns='http://linux.duke.edu/metadata/susedata' packages='1'>\
         <package pkgid='{id}' name='{}' arch='noarch'><version epoch='0' ver='{}' rel='1'/>\
         <eula>Never look under the hood.</eula></package></susedata>",
        rpm.name, rpm.version
    )
}

/// A root whose packages are rpm's; apt is there too, as on the machine.
pub struct Root {
    pub sandbox: Sandbox,
    pub manager: &'static str,
}

impl Root {
    /// One that dnf drives.
    pub fn new(installed: &[Rpm]) -> Root {
        Root::of("dnf", Sandbox::new(), installed)
    }

    /// One that `manager` drives. Debian's rpm keeps its database below the home directory, Fedora's
    /// does not.
    pub fn of(manager: &'static str, sandbox: Sandbox, installed: &[Rpm]) -> Root {
        Root::prepare(&sandbox);
        let root = Root { sandbox, manager };
        root.install(installed);
        root
    }

    /// Makes a root one whose packages are rpm's.
    pub fn prepare(sandbox: &Sandbox) {
        sandbox.sh(
            "rm -rf /etc/yum.repos.d /var/lib/rpm /var/cache/dnf /var/cache/libdnf5 /var/lib/dnf /root/.rpmdb; \
             mkdir -p /etc/rpm /etc/yum.repos.d /var/lib/rpm /var/cache/dnf; echo '%_dbpath /var/lib/rpm' >/etc/rpm/macros; \
             rpm --initdb",
        );
    }

    #[track_caller]
    pub fn install(&self, rpms: &[Rpm]) {
        let bring = |rpm: &Rpm| {
            let path = format!("/srv/{}", rpm.file_name());
            self.sandbox.write(&path, rpm.bytes().as_slice());
            path
        };
        let paths: Vec<_> = rpms.iter().map(bring).collect();
        if !paths.is_empty() {
            self.sandbox.sh(&format!("rpm -i --force {} 2>&1", paths.join(" ")));
        }
    }

    pub fn add_repo(&self, id: &str, repo: &RpmRepo) {
        self.add_repo_with(id, &repo.server.url(), "");
    }

    pub fn add_repo_with(&self, id: &str, url: &str, more: &str) {
        let text = format!("[{id}]\nname={id}\nbaseurl={url}\ngpgcheck=0\n{more}");
        self.sandbox.write(&format!("/etc/yum.repos.d/{id}.repo"), text);
    }

    /// `linux-patch --manager MANAGER ARGS`, started.
    #[track_caller]
    pub fn start(&self, args: &[&str]) -> Running<'_> {
        self.sandbox.start(self.sandbox.patch_command(&[&["--manager", self.manager], args].concat()))
    }

    #[track_caller]
    pub fn patch(&self, args: &[&str]) -> Report {
        self.start(args).report()
    }

    #[track_caller]
    pub fn has_exactly(&self, expected: &[&str]) {
        let text = self.sandbox.sh("rpm -qa --qf '%{NAME} %{VERSION}\\n' | sort");
        let found: Vec<_> = text.lines().collect();
        assert_eq!(found, expected, "{}\n{}", self.sandbox.state(), self.sandbox.log());
    }
}

/// A root with these packages and one repository with those.
#[track_caller]
pub fn one(installed: &[Rpm], published: &[Rpm]) -> (Root, RpmRepo) {
    one_in(Root::new(installed), published)
}

/// That root with one repository.
#[track_caller]
pub fn one_in(root: Root, published: &[Rpm]) -> (Root, RpmRepo) {
    let repo = RpmRepo::new(published);
    root.add_repo("test", &repo);
    (root, repo)
}

/// tb-hello 1.0 is installed and 2.0 is published.
#[track_caller]
pub fn pending_update() -> (Root, RpmRepo) {
    one(&[rpm("tb-hello", "1.0")], &[rpm("tb-hello", "2.0")])
}

/// Three repositories, each with an update for a package of its own.
#[track_caller]
pub fn three(more: &str) -> (Root, [RpmRepo; 3]) {
    three_in(Root::new(&[]), more)
}

/// The same in that root.
#[track_caller]
pub fn three_in(root: Root, more: &str) -> (Root, [RpmRepo; 3]) {
    root.install(&["alpha", "beta", "gamma"].map(|name| rpm(&format!("tb-{name}"), "1.0")));
    let repos = ["alpha", "beta", "gamma"].map(|name| {
        let repo = RpmRepo::new(&[rpm(&format!("tb-{name}"), "2.0")]);
        root.add_repo_with(name, &repo.server.url(), more);
        repo
    });
    (root, repos)
}

/// Two packages and a newer version of tb-a that want its place, and two other updates: what is there, and what
/// is published.
pub fn contested() -> ([Rpm; 3], [Rpm; 5]) {
    let new = [
        rpm("tb-new", "2.0").tag("Obsoletes: tb-a < 3").tag("Provides: tb-a = 2.5"),
        rpm("tb-another", "2.0").tag("Obsoletes: tb-a < 3").tag("Provides: tb-a = 2.4"),
        rpm("tb-a", "2.0"),
        rpm("tb-b", "2.0"),
        rpm("tb-c", "2.0"),
    ];
    (["tb-a", "tb-b", "tb-c"].map(|name| rpm(name, "1.0")), new)
}
