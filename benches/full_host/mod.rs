//! An apply on a full host: the packages of this machine, some of them packed anew with their own files and scripts.

use crate::manager::{Manager, noise};
use crate::repo::Repo;
use crate::rpm::{Rpm, RpmRepo, rpm};
use crate::sandbox::Sandbox;
use crate::{beside, dnf, dnf5, zypper};

/// How many packages an apply updates at most.
const UPDATED: usize = 60;

/// The largest package, in KiB, as it is installed.
const LARGEST: usize = 8000;

/// Packs installed packages as they are, in a newer version, into /srv/full. One that another needs in its very version
/// could not be updated alone.
const PACK: &str = r#"
mkdir /srv/full
cd /var/lib/dpkg/info
grep -o '[^ ,|]* (= [^)]*)' ../status | sed 's/[: ].*//' | sort -u >/run/fixed
dpkg-query -W -f '${db:Status-Status} ${Essential} ${Installed-Size} ${Package} ${binary:Package}\n' |
  awk -v largest=LARGEST '$1 == "installed" && $2 != "yes" && $3 < largest { print $4, $5 }' |
  awk 'NR % 4 == 0' | grep -v -E '^(apt|base-files|dpkg|debconf|init|libc6|linux-|openssh-|systemd|udev)' |
  while read -r name package; do
    ! grep -qxF "$name" /run/fixed || continue
    rm -rf /run/one
    mkdir -p /run/one/DEBIAN
    dpkg-query -L "$package" | sed 's,^/,,' |
      (cd /; while read -r path; do [ -d "$path" ] || [ ! -e "$path" ] || echo "$path"; done | tar -c -T - 2>/dev/null) |
      tar -x -C /run/one
    for what in preinst postinst prerm postrm triggers conffiles; do
      [ ! -e "$package.$what" ] || cp "$package.$what" "/run/one/DEBIAN/$what"
    done
    dpkg-query -s "$package" |
      awk '/^[^ ]/ { skip = /^(Status|Conffiles|Config-Version):/ } !skip { print $0 (/^Version:/ ? "+newer" : "") }' \
      >/run/one/DEBIAN/control
    number=$((${number:-0} + 1)) deb=$number.deb
    dpkg-deb --root-owner-group -Zgzip -z1 -b /run/one /srv/full/$deb >/dev/null 2>&1 || continue
    dpkg-deb -f /srv/full/$deb
    set -- $(sha256sum /srv/full/$deb) $(stat -c %s /srv/full/$deb)
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' $deb "$3" "$1"
    [ $number -lt UPDATED ] || break
  done >/srv/full/Packages
cp -a ../status /run/status
"#;

/// Beside the bare commands that do the same. Before each run the package database says again what it said at first.
pub fn measure() {
    let sandbox = Sandbox::prepared("cp -a /var/lib/dpkg/. $root/var/lib/dpkg");
    let pack = PACK.replace("LARGEST", &LARGEST.to_string()).replace("UPDATED", &UPDATED.to_string());
    sandbox.sh(&pack);
    let names = sandbox.list("/srv/full");
    let paths: Vec<_> = names.iter().map(|name| format!("/./{name}")).collect();
    let files: Vec<_> = paths
        .iter()
        .zip(&names)
        .map(|(path, name)| (path.as_str(), sandbox.read_bytes(&format!("/srv/full/{name}"))))
        .collect();
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    let repo = Repo::flat(&files, &Repo::new(&[]));
    sandbox.write("/etc/apt/sources.list.d/full.list", format!("deb [trusted=yes] {} ./\n", repo.url()));
    println!(
        "an apply of {} of {} packages of this machine, {} MB with their scripts, and one that finds nothing:",
        names.len() - 1,
        sandbox.installed().len(),
        bytes / 1_000_000
    );
    let bare = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -y upgrade";
    let again = || drop(sandbox.sh("cp -a /run/status /var/lib/dpkg/status; apt-get clean"));
    beside("apt", &sandbox, &[bare, "linux-patch apply"], 3, again);
    let packages = files_of_packages(&sandbox, &names);
    of_rpms::<dnf::Dnf>(&packages, "dnf -y --refresh upgrade");
    of_rpms::<dnf5::Dnf5>(&packages, "dnf5 -y --refresh upgrade");
    let zypper = "zypper --non-interactive refresh && zypper --non-interactive update";
    of_rpms::<zypper::Zypper>(&packages, zypper);
}

/// Of each packed package its files: path and size in bytes.
fn files_of_packages(sandbox: &Sandbox, names: &[String]) -> Vec<Vec<(String, usize)>> {
    let file = |line: &str| {
        // `-rw-r--r-- root/root 1234 2026-01-01 00:00 ./usr/bin/name`
        let mut words = line.strip_prefix('-')?.split_whitespace();
        let (size, path) = (words.nth(2)?, words.nth(2)?);
        Some((path.strip_prefix('.')?.to_owned(), size.parse().ok()?))
    };
    let packed = names.iter().filter(|name| name.ends_with(".deb"));
    packed
        .map(|name| sandbox.sh(&format!("dpkg-deb -c /srv/full/{name}")).lines().filter_map(file).collect())
        .collect()
}

/// The same packages as rpms: as many files of the same sizes, a third of which no compression makes shorter, and
/// `ldconfig` after each that has a library.
fn of_rpms<M: Manager<Repo = RpmRepo>>(packages: &[Vec<(String, usize)>], bare: &str) {
    let pack = |version: &str| -> Vec<Rpm> {
        let one = |(number, files): (usize, &Vec<(String, usize)>)| {
            let mut package = rpm(&format!("tb-full-{number}"), version);
            for (path, size) in files {
                let content = format!("{}{}", noise(size / 3), " ".repeat(size - size / 3));
                package = package.file("", &format!("/opt/full/{number}{path}"), &content);
            }
            let has_library = files.iter().any(|(path, _)| path.contains(".so."));
            if has_library { package.post("/sbin/ldconfig") } else { package }
        };
        packages.iter().enumerate().map(one).collect()
    };
    let manager = M::new();
    let sandbox = manager.sandbox();
    for package in pack("1.0") {
        sandbox.write(&format!("/srv/{}", package.file_name()), package.bytes().as_slice());
    }
    sandbox.sh("rpm -i --nodeps /srv/tb-full-*.rpm && rm /srv/tb-full-*.rpm && cp -a /var/lib/rpm /run/rpm");
    let newer = pack("2.0");
    let repo = RpmRepo::new(&newer);
    manager.add_source("one", &repo);
    let bytes: usize = newer.iter().map(|package| package.bytes().len()).sum();
    println!("an apply of {} packages with the same files as rpms, {} MB:", newer.len(), bytes / 1_000_000);
    let ours = format!("linux-patch --manager {} apply", M::NAME);
    let again = || {
        sandbox.sh("rm -rf /var/lib/rpm && cp -a /run/rpm /var/lib/rpm");
        sandbox.sh(&format!("find {} -name '*.rpm' -delete", M::DOWNLOADS));
    };
    beside(M::NAME, sandbox, &[bare, &ours], 3, again);
}
