//! The keys that sign the repositories, made once per test process.
//!
//! GnuPG leaves an agent running. Here it lives in namespaces of its own, on a file system that
//! vanishes with the test process.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::holder::Holder;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signer {
    /// Its public key lies in every sandbox.
    Known,
    /// Nobody has ever heard of this one.
    Stranger,
    /// There is no signature at all.
    Nobody,
}

impl Signer {
    fn name(self) -> &'static str {
        match self {
            Signer::Known => "known@example.invalid",
            Signer::Stranger => "stranger@example.invalid",
            Signer::Nobody => unreachable!("nobody signs nothing"),
        }
    }
}

pub struct Vault {
    holder: Holder,
    /// The public half of the known key.
    known: Vec<u8>,
}

impl Vault {
    pub fn get() -> &'static Vault {
        static VAULT: OnceLock<Vault> = OnceLock::new();
        VAULT.get_or_init(|| {
            let holder = Holder::start("mount -t tmpfs -o mode=0700 keys /tmp\nroot=/");
            let mut vault = Vault { holder, known: Vec::new() };
            for signer in [Signer::Known, Signer::Stranger] {
                vault.gpg(
                    &["--passphrase", "", "--quick-gen-key", signer.name(), "ed25519", "sign", "never"],
                    b"",
                );
            }
            vault.known = vault.gpg(&["--export", Signer::Known.name()], b"");
            vault
        })
    }

    pub fn known_key(&self) -> &[u8] {
        &self.known
    }

    pub fn sign(&self, signer: Signer, text: &str) -> Vec<u8> {
        self.gpg(&["--local-user", signer.name(), "--clearsign"], text.as_bytes())
    }

    /// A signature in a file of its own, in the form of `--armor` or `--no-armor`.
    pub fn sign_apart(&self, signer: Signer, form: &str, bytes: &[u8]) -> Vec<u8> {
        self.gpg(&["--local-user", signer.name(), form, "--detach-sign"], bytes)
    }

    /// The key that a signature is made with, in letters.
    pub fn key_of(&self, signer: Signer) -> Vec<u8> {
        self.gpg(&["--armor", "--export", signer.name()], b"")
    }

    /// The same rpm package with a signature in it.
    pub fn sign_rpm(&self, signer: Signer, bytes: &[u8]) -> Vec<u8> {
        let script = "file=$(mktemp --suffix .rpm) && cat >$file && GNUPGHOME=/tmp rpmsign --addsign \
                      --define \"_gpg_name $1\" --define '_gpg_path /tmp' --define '__gpg /usr/bin/gpg' $file >&2 && cat $file && rm $file";
        self.pipe(self.holder.command("sh").args(["-c", script, "sh", signer.name()]), bytes)
    }

    fn gpg(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = self.holder.command("gpg");
        command.args(["--homedir", "/tmp", "--batch", "--quiet", "--trust-model", "always"]).args(args);
        self.pipe(&mut command, input)
    }

    fn pipe(&self, command: &mut Command, input: &[u8]) -> Vec<u8> {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("could not run nsenter (package util-linux)");
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?} (packages gnupg, rpm): {words}");
        output.stdout
    }
}
