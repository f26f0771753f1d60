//! What the scenarios and the benchmark need of a manager: packages, repositories, and roots in
//! which it owns the system.

use std::time::Duration;

use crate::sandbox::{Running, Sandbox};
use crate::server::Server;

/// A package, described for any manager.
#[derive(Clone, Debug, Default)]
pub struct Package {
    pub name: String,
    /// Such as `2.0`; what the manager adds is [`Manager::REVISION`].
    pub version: String,
    /// Packages it needs, in any version.
    pub needs: Vec<String>,
    /// Packages in whose place it comes.
    pub replaces: Vec<String>,
    /// Whether it is offered to no machine yet, as apt has it.
    pub is_phased: bool,
    /// Whether it closes a hole, and its repository says so.
    pub is_security: bool,
    /// Shell lines to run after it has been installed.
    pub script: Option<String>,
    /// A configuration file of its own, `/etc/NAME.conf`, with this text.
    pub config: Option<String>,
    /// How many bytes more it is to have than it needs, none of which can be compressed away.
    pub padding: usize,
}

pub fn package(name: &str, version: &str) -> Package {
    Package { name: name.into(), version: version.into(), ..Package::default() }
}

impl Package {
    pub fn needs(mut self, name: &str) -> Package {
        self.needs.push(name.into());
        self
    }

    #[allow(dead_code)] // For the random walk, as the next two.
    pub fn replacing(mut self, name: &str) -> Package {
        self.replaces.push(name.into());
        self
    }

    #[allow(dead_code)]
    pub fn security(mut self) -> Package {
        self.is_security = true;
        self
    }

    #[allow(dead_code)]
    pub fn phased(mut self) -> Package {
        self.is_phased = true;
        self
    }

    pub fn script(mut self, lines: &str) -> Package {
        self.script = Some(lines.into());
        self
    }

    pub fn config(mut self, text: &str) -> Package {
        self.config = Some(text.into());
        self
    }

    pub fn padded(mut self, bytes: usize) -> Package {
        self.padding = bytes;
        self
    }
}

/// `bytes` letters that no compression makes much shorter.
pub fn noise(bytes: usize) -> String {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let letter = |_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        char::from(b"0123456789abcdefghijklmnopqrstuv"[(seed % 32) as usize])
    };
    (0..bytes).map(letter).collect()
}

/// A repository on a server of its own.
pub trait Repository {
    /// One that has published these packages.
    fn with(packages: &[Package]) -> Self;
    fn server(&self) -> &Server;
    /// Replace everything published, index and all, in one step.
    fn publish(&self, packages: &[Package]);
    /// Do so just before the `nth` request for a path holding `pattern` is answered.
    fn publish_before(&self, pattern: &str, nth: usize, packages: &[Package]);
}

/// A scenario that a manager cannot play.
pub struct Lack {
    pub scenario: &'static str,
    pub why: &'static str,
    /// Words of the failure that proves it.
    pub fails_with: &'static str,
}

/// A root in which one manager owns the system.
pub trait Manager: Sized {
    /// As `--manager` has it.
    const NAME: &'static str;
    /// Scenarios that fail with this manager, and why that is right.
    const LACKS: &'static [Lack] = &[];
    /// Whether an older version of one source can be installed instead of a newer one of another.
    const PASSES_OVER: bool = false;
    /// What its versions have behind the `1.0` of a scenario.
    const REVISION: &'static str;
    /// Part of the path that is asked for once per refresh, without which there is no index.
    const INDEX: &'static str;
    /// The directory below which it keeps what it downloads.
    const DOWNLOADS: &'static str;
    /// The directory into which a refresh writes the index.
    const INDEXES: &'static str;
    type Repo: Repository;

    /// Its words for a package that the server says is not there.
    fn gone() -> &'static str {
        "404"
    }

    /// A root in which nothing is installed that counts, and no source is configured.
    fn new() -> Self;
    fn sandbox(&self) -> &Sandbox;
    /// Puts packages into the root; only the package database knows it.
    fn install(&self, packages: &[Package]);
    fn add_source(&self, name: &str, repo: &Self::Repo);
    /// Part of such a source's identifier in the state.
    fn source_id(&self, name: &str, _: &Self::Repo) -> String {
        name.to_owned()
    }
    /// What the package database says is installed, without the revision: `tb-hello 2.0`.
    fn installed(&self) -> Vec<String>;
    /// Part of the path of a published package.
    fn file_of(name: &str, version: &str) -> String {
        format!("/{name}-{version}")
    }
    /// A package whose new version only a reboot puts to use.
    fn core(&self, version: &str) -> Package {
        package("systemd", version)
    }
    /// Hold the lock that keeps this manager from refreshing and from installing until this much
    /// time has passed or the process, whose number in the root is returned too, is killed.
    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32);
}

/// For a manager with wrong settings: everything in which it is like the manager that it wraps. Only one kind of test
/// with this file has such managers.
#[allow(unused_macros)]
macro_rules! as_unturned {
    ($manager:ty) => {
        const NAME: &'static str = <$manager>::NAME;
        const LACKS: &'static [crate::manager::Lack] = <$manager>::LACKS;
        const REVISION: &'static str = <$manager>::REVISION;
        const PASSES_OVER: bool = <$manager>::PASSES_OVER;
        const INDEX: &'static str = <$manager>::INDEX;
        type Repo = <$manager as Manager>::Repo;

        fn sandbox(&self) -> &Sandbox {
            self.0.sandbox()
        }

        fn install(&self, packages: &[Package]) {
            self.0.install(packages);
        }

        fn installed(&self) -> Vec<String> {
            self.0.installed()
        }
    };
}
