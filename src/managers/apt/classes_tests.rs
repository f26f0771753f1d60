//! Tests of `classes.rs`.

use super::*;
use crate::model::class::assert_classes;

#[test]
fn each_message_has_its_class() {
    let table = [
        (Class::Auth, "At least one invalid signature was encountered."),
        (
            Class::Auth,
            "The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 0123",
        ),
        (Class::Auth, "The repository 'http://h s InRelease' is not signed."),
        (Class::Auth, "Could not execute 'gpgv' to verify signature (is gnupg installed?)"),
        (Class::Auth, "Can't verify signature: Sub-process /usr/bin/sqv returned an error code (1)"),
        (Class::Auth, "There were unauthenticated packages and -y was used without --allow-unauthenticated"),
        (
            Class::Clock,
            "Release file for http://h/InRelease is expired (invalid since 1d). Updates for this repository will not be applied.",
        ),
        (Class::Clock, "Release file for http://h/InRelease is not valid yet (invalid for another 3h)."),
        (Class::Config, "Malformed entry 1 in list file /etc/apt/sources.list (URI parse)"),
        (Class::Config, "Malformed stanza 1 in source list /etc/apt/sources.list.d/x.sources (type)"),
        (Class::Config, "The list of sources could not be read."),
        (Class::Config, "Unable to parse package file /etc/apt/preferences.d/bad (1)"),
        (Class::Other, "Unable to parse package file /var/lib/dpkg/status (1)"),
        (Class::Fetch, "Unable to parse package file /var/lib/apt/lists/h_dists_s_InRelease (1)"),
        (Class::Config, "The method driver /usr/lib/apt/methods/tor could not be found."),
        (Class::Config, "Syntax error /etc/apt/apt.conf.d/99:3: Extra junk after value"),
        (
            Class::Config,
            "Opening configuration file /etc/apt/x - ifstream::ifstream (2: No such file or directory)",
        ),
        (Class::Config, "Can't find a configured compressor xz for file x"),
        (Class::Dependency, "Can't find a source to download version '2.0' of 'tb-a:amd64'"),
        (
            Class::Dependency,
            "Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution).",
        ),
        (
            Class::Dependency,
            "Held packages were changed and -y was used without --allow-change-held-packages.",
        ),
        (Class::Lock, "Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 1 (apt)"),
        (
            Class::Interrupted,
            "dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.",
        ),
        (Class::Script, "Sub-process /usr/bin/dpkg returned an error code (1)"),
        (Class::Space, "You don't have enough free space in /var/cache/apt/archives/."),
        (Class::Space, "Write error - write (28: No space left on device)"),
        (Class::Fetch, "Unable to fetch some archives, maybe run apt update or try with --fix-missing?"),
    ];
    assert_classes(&table, class_of);
}

/// In apt's own words of all versions.
#[test]
fn what_apt_says_has_its_class() {
    let table = [
        (
            Class::Dependency,
            "Unable to satisfy dependencies. Reached two conflicting assignments: 1. a:amd64 is selected",
        ),
        (Class::Dependency, "Unable to satisfy dependencies. Reached two conflicting decisions:"),
        (Class::Dependency, "Unmet dependencies. Try 'apt --fix-broken install' with no packages"),
        (
            Class::Dependency,
            "Error, pkgProblemResolver::Resolve generated breaks, this may be caused by held packages.",
        ),
        (
            Class::Dependency,
            "This installation run will require temporarily removing the essential package a:amd64 due to a \
             Conflicts/Pre-Depends loop.",
        ),
        (Class::Dependency, "Could not perform immediate configuration on 'a'. Please see man 5 apt.conf"),
        (
            Class::Dependency,
            "Removing essential system-critical packages is not permitted. This might break the system.",
        ),
        (Class::Script, "Failure running script /usr/sbin/dpkg-preconfigure --apt || true"),
        (Class::Script, "Failure running hook /usr/bin/snap advise-snap"),
        (Class::Script, "Problem executing scripts DPkg::Post-Invoke 'echo Read-only; false'"),
        (Class::Interrupted, "Sub-process /usr/bin/dpkg received signal 9."),
        (Class::Interrupted, "Sub-process /usr/bin/dpkg received a segmentation fault."),
        (
            Class::Config,
            "The value 'x' is invalid for APT::Default-Release as such a release is not available",
        ),
        (Class::Config, "No priority (or zero) specified for pin"),
        (Class::Config, "Trivial Only specified but this is not a trivial operation."),
        (Class::Config, "The method 'http' is explicitly disabled via configuration."),
        (Class::Config, "Archives directory /x/partial is missing. - Acquire (2: No such file or directory)"),
        (Class::Config, "Command line option --x is not understood in combination with the other options"),
        (Class::Auth, "Some packages could not be authenticated"),
        (Class::Auth, "The repository 'http://h s InRelease' provides only weak security information."),
        (
            Class::Auth,
            "Failed to fetch http://h/a.deb  Insufficient information available to perform this download securely",
        ),
        (Class::Fetch, "Failed to fetch http://h/a.deb  404  No space left on device [IP: 127.0.0.1 80]"),
        (Class::Fetch, "Failed to fetch http://h/a.deb  404  NO_PUBKEY"),
        (Class::Fetch, "Failed to fetch http://h/a.deb  503  is not valid yet (invalid for another 1s)"),
        (
            Class::Fetch,
            "Failed to fetch file:/srv/a.deb  File not found - /srv/a.deb (2: No such file or directory)",
        ),
        (Class::Space, "Couldn't make mmap of 9 bytes - MMap-mmap (28: No space left on device)"),
    ];
    assert_classes(&table, class_of);
}

#[test]
fn a_signature_that_was_not_looked_at_is_no_matter_of_keys() {
    let before = "An error occurred during the signature verification. The repository is not updated and the previous index files will be used.";
    let table = [
        (Class::Other, "Couldn't spawn new processResource temporarily unavailable"),
        (Class::Other, "Unknown error executing apt-key"),
        (Class::Fetch, "Splitting up /var/lib/apt/lists/h_InRelease into data and signature failed"),
        (Class::Auth, "The following signatures were invalid: BADSIG 1"),
        (Class::Auth, "gpgv, gpgv2 or gpgv1 required for verification, but neither seems installed"),
        (Class::Auth, "a reason that nobody knows"),
    ];
    // apt to 2.9.32, to 3.1.12, and since.
    for words in ["GPG error", "OpenPGP signature verification failed", "Signature verification failed"] {
        let start = format!("{before} {words}: http://h stable InRelease: ");
        assert_classes(&table, |reason| class_of(&format!("{start}{reason}")));
    }
}

#[test]
fn only_a_number_of_http_at_the_beginning_is_one() {
    let table = [
        (Class::Fetch, "404  Not Found [IP: 127.0.0.1 80]"),
        (Class::Network, "404x"),
        (Class::Network, "Not a reason that is known"),
        (Class::Config, "Please use apt-cdrom to make this CD-ROM recognized by APT"),
        (Class::Config, "Unsupported proxy configured: foo://bar"),
        (Class::Config, "Downloading mirror file failed"),
        (Class::Auth, "No good signature from required signer: 0123"),
        // Whether the disk is full is looked up; the directory may also be somebody else's.
        (Class::Other, "Couldn't create temporary file /tmp/apt.conf.x for passing config to apt-key"),
        (Class::Other, "Unable to mkstemp /tmp/apt.sig.x - GetTempFile (13: Permission denied)"),
        (Class::Fetch, "Splitting up /var/lib/apt/lists/h_InRelease into data and signature failed"),
        (
            Class::Fetch,
            "Clearsigned file isn't valid, got 'NOSPLIT' (does the network require authentication?)",
        ),
        (Class::Other, "Couldn't execute /usr/bin/apt-key to check /var/lib/apt/lists/h_InRelease"),
        (Class::Other, "Couldn't spawn new processResource temporarily unavailable (11)"),
        (Class::Fetch, "Redirection loop encountered"),
        (Class::Config, "The method driver /usr/lib/apt/methods/x could not be found."),
    ];
    assert_classes(&table, fetch_class);
}

#[test]
fn dpkg_says_of_a_lock_that_it_is_or_was_held() {
    for reason in [
        "dpkg frontend lock was locked by another process with pid 7",
        "dpkg frontend is locked by another process",
        "dpkg status database is locked by another process",
    ] {
        assert_eq!(dpkg_class(reason), Class::Lock, "{reason}");
    }
}
