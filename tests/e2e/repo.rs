//! A small signed repository on a server of its own.

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use chrono::{DateTime, Duration, Utc};
use sha2::{Digest, Sha256};

use crate::deb::Deb;
use crate::server::{Entry, Server, Site};
use crate::vault::{Signer, Vault};

/// What the Release file claims about its own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    Always,
    /// Its Valid-Until is a week ahead.
    ForAWeek,
    /// Its Valid-Until has passed.
    Expired,
    /// Its Date lies in the future.
    NotYet,
}

/// What a repository says about itself from the next publication on.
#[derive(Clone)]
pub struct Claims {
    pub origin: String,
    pub label: String,
    pub suite: String,
    pub signer: Signer,
    pub validity: Validity,
    /// How many days before its time it is dated, as on a mirror that stands still.
    pub days_behind: i64,
    /// The packages for which the index has only an MD5 sum.
    pub with_md5_only: Vec<String>,
    /// Whether the Release file has only an MD5 sum of the index.
    pub has_md5_only: bool,
    /// The name of the file with the index, which is never compressed, whatever that ends in.
    pub index: &'static str,
    /// Whether the index can also be had by its sum.
    pub by_hash: bool,
    /// Whether there are translations of the descriptions.
    pub is_translated: bool,
    /// The end of the name of a variant of the architecture (`v3`) that has an index of its own with the same packages.
    pub variant: Option<&'static str>,
    /// Whether nothing comes from it unasked, as from backports.
    pub is_not_automatic: bool,
}

/// The half that publishes. The server's hooks can own it without owning the server.
pub struct Publisher {
    site: Arc<Site>,
    claims: Mutex<Claims>,
    published: Mutex<i32>,
    began: DateTime<Utc>,
}

pub struct Repo {
    pub server: Server,
    publisher: Arc<Publisher>,
}

impl Repo {
    /// A repository that has published these packages.
    pub fn new(debs: &[Deb]) -> Repo {
        Repo::claiming(|_| (), debs)
    }

    pub fn claiming(change: impl FnOnce(&mut Claims), debs: &[Deb]) -> Repo {
        Repo::serving(Server::start, change, debs)
    }

    /// One that is served on this address of this machine.
    #[allow(dead_code)] // For the integrations.
    pub fn at(address: Ipv4Addr, debs: &[Deb]) -> Repo {
        Repo::serving(|site| Server::start_at(site, address), |_| (), debs)
    }

    fn serving(
        serve: impl FnOnce(Arc<Site>) -> Server,
        change: impl FnOnce(&mut Claims),
        debs: &[Deb],
    ) -> Repo {
        let site = Arc::new(Site::default());
        let mut claims = Claims {
            origin: "Debian".into(),
            label: "Debian".into(),
            suite: "stable".into(),
            signer: Signer::Known,
            validity: Validity::Always,
            days_behind: 0,
            with_md5_only: Vec::new(),
            has_md5_only: false,
            index: "Packages",
            by_hash: false,
            is_translated: false,
            variant: None,
            is_not_automatic: false,
        };
        change(&mut claims);
        let publisher = Arc::new(Publisher {
            site: site.clone(),
            claims: Mutex::new(claims),
            published: Mutex::new(0),
            began: Utc::now() - Duration::hours(12),
        });
        publisher.publish(debs);
        Repo { server: serve(site), publisher }
    }

    /// One without a Release file that serves these files beside the packages of another.
    #[allow(dead_code)] // For the end-to-end tests.
    pub fn flat(files: &[(&str, Vec<u8>)], packages: &Repo) -> Repo {
        let repo = Repo::new(&[]);
        let modified = repo.publisher.began;
        let entry = |bytes| Entry { bytes, modified };
        let own = files.iter().map(|(path, bytes)| ((*path).to_owned(), entry(Arc::new(bytes.clone()))));
        let theirs = packages.files().into_iter().filter(|(path, _)| !path.starts_with("/dists"));
        let all = own.chain(theirs.map(|(path, bytes)| (path, entry(bytes)))).collect();
        *repo.publisher.site.files.lock().unwrap() = all;
        repo
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    pub fn suite(&self) -> String {
        self.publisher.claims.lock().unwrap().suite.clone()
    }

    /// Replace everything published by these packages, index and pool, in one step.
    pub fn publish(&self, debs: &[Deb]) {
        self.publisher.publish(debs);
    }

    /// Change what the repository says of itself, and publish.
    pub fn publish_claiming(&self, change: impl FnOnce(&mut Claims), debs: &[Deb]) {
        change(&mut self.publisher.claims.lock().unwrap());
        self.publisher.publish(debs);
    }

    /// Just before the `nth` request for a path holding `pattern` is answered, publish these packages.
    pub fn publish_before(&self, pattern: &str, nth: usize, debs: &[Deb]) {
        let (publisher, debs) = (self.publisher.clone(), debs.to_vec());
        self.server.before(pattern, nth, move || publisher.publish(&debs));
    }

    /// The files as (path, bytes), for a repository that is not served.
    pub fn files(&self) -> Vec<(String, Arc<Vec<u8>>)> {
        self.publisher.site.copies()
    }

    /// How often the index has been asked for: once per refresh.
    pub fn refreshes(&self) -> usize {
        self.server.requests("/InRelease")
    }
}

impl Publisher {
    pub fn publish(&self, debs: &[Deb]) {
        let claims = self.claims.lock().unwrap().clone();
        // Times rise from one publication to the next, and stay in the past.
        let time = {
            let mut published = self.published.lock().unwrap();
            *published += 1;
            self.began + Duration::minutes((*published).into())
        };
        let mut packages = String::new();
        let mut fresh = Vec::new();
        for deb in debs {
            let bytes = deb.bytes();
            let sum = match claims.with_md5_only.contains(&deb.name) {
                true => format!("MD5sum: {}", md5(&bytes)),
                false => format!("SHA256: {}", hex(&bytes)),
            };
            packages += &format!(
                "{}Filename: {}\nSize: {}\n{sum}\n\n",
                deb.control(),
                deb.pool_path().trim_start_matches('/'),
                bytes.len(),
            );
            fresh.push((deb.pool_path(), bytes));
        }
        let packages = Arc::new(packages.into_bytes());
        let index = format!("main/binary-{}/{}", architecture(), claims.index);
        let mut indexes = vec![(index.clone(), packages.clone())];
        if let Some(variant) = claims.variant {
            let index = format!("main/binary-{}{variant}/{}", architecture(), claims.index);
            indexes.push((index, packages.clone()));
        }
        if claims.is_translated {
            indexes.push(("main/i18n/Translation-en".into(), Arc::new(translation(debs).into_bytes())));
        }
        let release = release(&claims, time, &indexes);
        let (name, release) = match claims.signer {
            Signer::Nobody => ("Release", release.into_bytes()),
            signer => ("InRelease", Vault::get().sign(signer, &release)),
        };
        let dist = format!("/dists/{}", claims.suite);
        if let Some((dir, _)) = index.rsplit_once('/').filter(|_| claims.by_hash) {
            fresh.push((format!("{dist}/{dir}/by-hash/SHA256/{}", hex(&packages)), packages));
        }
        fresh.extend(indexes.into_iter().map(|(index, bytes)| (format!("{dist}/{index}"), bytes)));
        fresh.push((format!("{dist}/{name}"), Arc::new(release)));

        let mut files = self.site.files.lock().unwrap();
        let old = std::mem::take(&mut *files);
        for (path, bytes) in fresh {
            // What has not changed keeps its time, as on a real mirror.
            let modified = match old.get(&path) {
                Some(entry) if entry.bytes == bytes => entry.modified,
                _ => time,
            };
            files.insert(path, Entry { bytes, modified });
        }
    }
}

/// A translation that changes with each version.
fn translation(debs: &[Deb]) -> String {
    let entry = |deb: &Deb| {
        let text = format!("{} {}", deb.name, deb.version);
        format!(
            "Package: {}\nDescription-md5: {}\nDescription-en: {text}\n\n",
            deb.name,
            md5(text.as_bytes())
        )
    };
    debs.iter().map(entry).collect()
}

fn release(claims: &Claims, time: DateTime<Utc>, indexes: &[(String, Arc<Vec<u8>>)]) -> String {
    let rfc = |time: DateTime<Utc>| time.format("%a, %d %b %Y %H:%M:%S UTC").to_string();
    let mut text = format!(
        "Origin: {}\nLabel: {}\nSuite: {}\nCodename: {}\nDate: {}\n",
        claims.origin,
        claims.label,
        claims.suite,
        claims.suite,
        rfc(match claims.validity {
            Validity::NotYet => Utc::now() + Duration::days(2),
            _ => time - Duration::days(claims.days_behind),
        }),
    );
    if claims.validity == Validity::Expired {
        text += &format!("Valid-Until: {}\n", rfc(Utc::now() - Duration::hours(1)));
    }
    if claims.validity == Validity::ForAWeek {
        text += &format!("Valid-Until: {}\n", rfc(Utc::now() + Duration::days(7)));
    }
    if claims.is_not_automatic {
        text += "NotAutomatic: yes\nButAutomaticUpgrades: yes\n";
    }
    if claims.by_hash {
        text += "Acquire-By-Hash: yes\n";
    }
    let architecture = architecture();
    let variant = claims.variant.map(|variant| format!(" {architecture}{variant}")).unwrap_or_default();
    let kind = if claims.has_md5_only { "MD5Sum" } else { "SHA256" };
    text += &format!("Architectures: {architecture}{variant}\nComponents: main\n{kind}:\n");
    for (name, bytes) in indexes {
        let sum = if claims.has_md5_only { md5(bytes) } else { hex(bytes) };
        text += &format!(" {sum} {} {name}\n", bytes.len());
    }
    text
}

fn md5(bytes: &[u8]) -> String {
    let mut child = Command::new("md5sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("could not run md5sum (package coreutils)");
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..32].to_owned()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The machine's own architecture, in dpkg's words.
fn architecture() -> &'static str {
    static ARCHITECTURE: OnceLock<String> = OnceLock::new();
    ARCHITECTURE.get_or_init(|| {
        let output = Command::new("dpkg")
            .arg("--print-architecture")
            .output()
            .expect("could not run dpkg: these tests need a machine of the Debian family");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    })
}
