//! The files of the index as apk stores them, named by addresses, and the dates in them. apk gives such a file the time
//! of the refresh.

use super::lists::{is_local, source_id};
use crate::managers::capabilities::{ConfigFile, PackedIndex};
use glob::Pattern;
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// Archives with a file that lists all packages, `C:`, `P:`, `V:` and so on for each.
///
/// ```text
/// P:musl
/// V:1.2.4-r2
/// t:1686217211
/// ```
pub struct Indexes;

impl PackedIndex for Indexes {
    fn is_stored(&self, id: &str) -> bool {
        !is_local(id)
    }

    fn names(&self, id: &str, configured: &[ConfigFile]) -> Vec<String> {
        let texts = configured.iter().filter_map(|file| Some((file, std::str::from_utf8(&file.bytes).ok()?)));
        let of_file = texts.clone().find(|(file, _)| file.path.ends_with("apk/arch"));
        let of_file = of_file.and_then(|(_, text)| text.split_whitespace().next());
        let architectures = of_file.map_or_else(usual_architectures, |architecture| vec![architecture]);
        // The id has no password.
        let words = texts.flat_map(|(_, text)| text.split_whitespace());
        let is_it = |word: &&str| word.contains("://") && source_id(word) == id;
        let addresses = words.filter(is_it).chain([id]);
        match is_local(id) {
            // Nothing is stored of a repository in a directory.
            true => {
                let dir = id
                    .strip_prefix("file:")
                    .map_or(id.to_string(), |dir| format!("/{}", dir.trim_start_matches('/')));
                let path = |it: &&str| Pattern::escape(&format!("{dir}/{it}/APKINDEX.tar.gz"));
                architectures.iter().map(path).collect()
            }
            false => addresses.flat_map(|address| names(address, &architectures)).collect(),
        }
    }

    /// Where its cache is read-only apk 3 keeps what came for this one command.
    fn is_read_unstored(&self) -> bool {
        true
    }

    /// apk 3 dates what it writes, and so does abuild-sign with the signature before it; others give no time.
    fn has_times(&self) -> bool {
        true
    }

    fn built(&self, _: &[u8], line: &[u8]) -> Option<i64> {
        std::str::from_utf8(line).ok()?.strip_prefix("t:")?.parse().ok()
    }
}

/// The names that an index has with apk before 2.12.12 and 2.14.1, with later ones, and with apk 3. The file of an
/// earlier apk may still be there.
fn names(address: &str, architectures: &[&str]) -> Vec<String> {
    let in_hex = |digest: &[u8]| digest[..4].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut hashes = vec![in_hex(&Sha1::digest(address))];
    for architecture in architectures {
        let whole = |address: &str| format!("{address}/{architecture}/APKINDEX.tar.gz");
        hashes.push(in_hex(&Sha1::digest(whole(address.strip_suffix('/').unwrap_or(address)))));
        hashes.push(in_hex(&Sha256::digest(whole(address.trim_end_matches('/')))));
    }
    hashes.iter().map(|hash| format!("APKINDEX.{hash}.tar.gz")).collect()
}

/// What apk is made for where no file says it, by what this program is made for.
fn usual_architectures<'a>() -> Vec<&'a str> {
    match std::env::consts::ARCH {
        "arm" => vec!["armv7", "armhf"],
        "powerpc64" => vec!["ppc64le"],
        same => vec![same],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> ConfigFile {
        ConfigFile { path: path.into(), bytes: text.into(), listed_at: 0 }
    }

    fn index(hash: &str) -> String {
        format!("APKINDEX.{hash}.tar.gz")
    }

    #[test]
    fn an_index_is_found_by_the_address_of_its_repository() {
        // As apk 2.10 printed it: `WARNING: Ignoring APKINDEX.adfa7ceb.tar.gz`.
        let main = Indexes.names("http://dl-cdn.alpinelinux.org/alpine/v3.8/main", &[]);
        assert_eq!(main[0], index("adfa7ceb"));
        let mirror = Indexes.names("http://mirrors.ustc.edu.cn/alpine/v3.4/community", &[]);
        assert_eq!(mirror[0], index("6a82a2a6"));
        // What sha1sum and sha256sum say of the whole address.
        let arch = file("/etc/apk/arch", "x86_64\n");
        let main = "https://dl-cdn.alpinelinux.org/alpine/v3.19/main";
        let names = Indexes.names(main, std::slice::from_ref(&arch));
        assert_eq!(names, ["6bd8ca47", "89e52dfd", "12e04506"].map(index));
        let with_slash = Indexes.names(&format!("{main}/"), std::slice::from_ref(&arch));
        assert_eq!(with_slash[1..], names[1..]);
    }

    #[test]
    fn an_address_with_a_password_is_taken_from_the_configuration() {
        let written = "https://dl-cdn.alpinelinux.org/alpine/v3.19/main";
        let secret = written.replace("://", "://user:secret@");
        let arch = file("/etc/apk/arch", "aarch64");
        let repositories =
            file("/etc/apk/repositories", &format!("# {written}/x\n@edge {secret}\n/media/a\n"));
        let found = Indexes.names(written, &[arch.clone(), repositories]);
        let directly = Indexes.names(&secret, &[arch]);
        assert_eq!(found[..3], directly[..3]);
    }

    #[test]
    fn the_index_of_a_repository_in_a_directory_stays_there() {
        let arch = file("/etc/apk/arch", "x86_64\naarch64\n");
        for id in ["/media/usb/apks", "file:///media/usb/apks", "file:/media/usb/apks"] {
            let names = Indexes.names(id, std::slice::from_ref(&arch));
            assert_eq!(names, ["/media/usb/apks/x86_64/APKINDEX.tar.gz"], "{id}");
        }
    }

    #[test]
    fn the_time_of_a_build_is_read() {
        assert_eq!(Indexes.built(b"V:1", b"t:1686217211"), Some(1_686_217_211));
        for line in ["T:1686217211", "t:", "t:x", "it:5", "t:99999999999999999999", "t: 5"] {
            assert_eq!(Indexes.built(b"", line.as_bytes()), None, "{line}");
        }
    }
}
