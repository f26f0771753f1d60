//! Real .deb files, described in one line and built once.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deb {
    pub name: String,
    pub version: String,
    fields: Vec<(String, String)>,
    files: Vec<(String, String)>,
    programs: Vec<(String, String)>,
    conffiles: Vec<String>,
    scripts: Vec<(String, String)>,
}

/// A package with nothing special about it.
pub fn deb(name: &str, version: &str) -> Deb {
    Deb {
        name: name.into(),
        version: version.into(),
        fields: Vec::new(),
        files: Vec::new(),
        programs: Vec::new(),
        conffiles: Vec::new(),
        scripts: Vec::new(),
    }
}

impl Deb {
    /// Add a control field, such as `Depends`.
    pub fn field(mut self, name: &str, value: &str) -> Deb {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Ship a file, given by its absolute path.
    pub fn file(mut self, path: &str, content: &str) -> Deb {
        self.files.push((path.into(), content.into()));
        self
    }

    /// Ship a copy of a file of this machine, such as a program or a library.
    pub fn program(mut self, path: &str, copy_of: &str) -> Deb {
        self.programs.push((path.into(), copy_of.into()));
        self
    }

    /// Ship a configuration file.
    pub fn conffile(mut self, path: &str, content: &str) -> Deb {
        self.conffiles.push(path.into());
        self.file(path, content)
    }

    /// Add a maintainer script, such as `postinst`.
    pub fn script(mut self, name: &str, body: &str) -> Deb {
        self.scripts.push((name.into(), format!("#!/bin/sh\n{body}\n")));
        self
    }

    /// Make the package this much bigger.
    pub fn padded(self, bytes: usize) -> Deb {
        let path = format!("/usr/share/{}/padding", self.name);
        self.file(&path, &"linux-patch end-to-end test\n".repeat(bytes / 28 + 1))
    }

    pub fn file_name(&self) -> String {
        format!("{}_{}_all.deb", self.name, self.version)
    }

    pub fn pool_path(&self) -> String {
        format!("/pool/{}", self.file_name())
    }

    /// The control file, which is also the greater part of the stanza in an index.
    pub fn control(&self) -> String {
        let mut text = format!(
            "Package: {}\nVersion: {}\nArchitecture: all\nMaintainer: Nobody <nobody@example.invalid>\n",
            self.name, self.version
        );
        for (name, value) in &self.fields {
            text += &format!("{name}: {value}\n");
        }
        text + "Description: made by the end-to-end tests\n"
    }

    /// The file itself; the same description is built only once.
    pub fn bytes(&self) -> Arc<Vec<u8>> {
        static BUILT: OnceLock<Mutex<HashMap<Deb, Arc<Vec<u8>>>>> = OnceLock::new();
        let built = BUILT.get_or_init(Mutex::default);
        if let Some(bytes) = built.lock().unwrap().get(self) {
            return bytes.clone();
        }
        let bytes = Arc::new(self.build());
        built.lock().unwrap().insert(self.clone(), bytes.clone());
        bytes
    }

    fn build(&self) -> Vec<u8> {
        let work = tempfile::tempdir().expect("could not create a temporary directory");
        let tree = work.path().join("tree");
        put(&tree, "DEBIAN/control", self.control(), 0o644);
        for (path, content) in &self.files {
            put(&tree, path.trim_start_matches('/'), content, 0o644);
        }
        for (path, copy_of) in &self.programs {
            let content = fs::read(copy_of).expect("could not read what is to be copied");
            put(&tree, path.trim_start_matches('/'), &content, 0o755);
        }
        if !self.conffiles.is_empty() {
            put(&tree, "DEBIAN/conffiles", self.conffiles.join("\n") + "\n", 0o644);
        }
        for (name, body) in &self.scripts {
            put(&tree, &format!("DEBIAN/{name}"), body, 0o755);
        }
        // Whatever the umask of whoever runs the tests.
        let _ = fs::set_permissions(tree.join("DEBIAN"), Permissions::from_mode(0o755));
        let made = work.path().join("made.deb");
        let output = Command::new("dpkg-deb")
            .args(["-Znone", "--root-owner-group", "--build"])
            .args([&tree, &made])
            .output()
            .expect("could not run dpkg-deb (package dpkg)");
        assert!(
            output.status.success(),
            "could not build {self:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::read(made).unwrap()
    }
}

fn put(tree: &Path, path: &str, content: impl AsRef<[u8]>, mode: u32) {
    let path = tree.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
}
