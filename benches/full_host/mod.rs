//! An apply on a full host: the packages of this machine, some of them packed anew with their own files and scripts.

use crate::beside;
use crate::repo::Repo;
use crate::sandbox::Sandbox;

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
}
