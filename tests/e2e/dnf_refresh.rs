//! refresh with the real dnf 4.

use serde_json::Value;

use crate::rpm::{Root, RpmRepo, one, pending_update, rpm, three};
use crate::server::Fault;

#[test]
fn apt_owns_a_debian_that_also_has_dnf() {
    let root = Root::new(&[rpm("tb-hello", "1.0")]);
    root.sandbox.patch(&["refresh"]).remembers("/manager", "apt");
    root.patch(&["refresh"]).remembers("/manager", "dnf");
}

#[test]
fn a_refresh_says_which_repositories_and_what_is_pending_in_one_run_of_dnf() {
    let (root, repo) = one(&[rpm("tb-hello", "1.0"), rpm("tb-old", "1.0")], &[rpm("tb-hello", "1.0")]);
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).says("/cache_status", "fresh").leaves_pending(&[]).remembers("/sources/0/id", "test");
    refreshed.remembers("/pending/security", 0);

    repo.publish(&[rpm("tb-hello", "2.0").tag("Epoch: 1"), rpm("tb-new", "1.0").tag("Obsoletes: tb-old")]);
    root.sandbox.write_script("/usr/local/bin/dnf", "echo \"$*\" >>/run/calls; exec /usr/bin/dnf \"$@\"");
    let refreshed = root.patch(&["refresh"]);
    refreshed.exits(0).leaves_pending(&["tb-hello 1.0-1 1:2.0-1", "tb-new - 1.0-1"]);
    refreshed.remembers("/pending/security", Value::Null).remembers("/last_attempt/exit_code", 100);
    let calls = || root.sandbox.read("/run/calls").unwrap_or_default().lines().count();
    assert_eq!(calls(), 2, "one refresh, and one question about advisories");
    root.patch(&["refresh"]).exits(0);
    assert_eq!(calls(), 3, "nothing has changed");
    root.patch(&["status"]).exits(0).says("/cache_status", "fresh");
}

#[test]
fn every_repository_down_is_failed_although_dnf_exits_0() {
    let (root, repos) = three("skip_if_unavailable=1\n");
    repos.iter().for_each(|repo| repo.server.fault("/repodata", Fault::Close));
    root.patch(&["refresh"]).refresh_failed("network").remembers("/last_attempt/exit_code", 0);
    root.patch(&["apply"]).exits(2).changed(&[]);
}

#[test]
fn a_repository_file_that_cannot_be_read_is_one_source_that_failed() {
    let (root, _repo) = pending_update();
    root.sandbox.write("/etc/yum.repos.d/broken.repo", "nonsense\n");
    root.patch(&["refresh"]).exits(1).one_source_failed(2, "broken.repo", "config");
    root.patch(&["apply"]).exits(1).changed(&["tb-hello 1.0-1 2.0-1"]);
}

#[test]
fn an_index_without_the_signature_that_is_asked_for_is_an_authentication_failure() {
    let root = Root::new(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    root.sandbox.write("/etc/pki/key", "no key\n");
    root.add_repo_with("test", &repo.server.url(), "repo_gpgcheck=1\ngpgkey=file:///etc/pki/key\n");
    root.patch(&["refresh"]).refresh_failed("auth");
    root.patch(&["apply"]).apply_failed("auth").changed(&[]);
}

#[test]
fn a_package_without_the_signature_that_is_asked_for_is_not_installed_and_not_retried() {
    let root = Root::new(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    root.sandbox.write("/etc/pki/key", "no key\n");
    let text =
        format!("[test]\nname=test\nbaseurl={}\ngpgcheck=1\ngpgkey=file:///etc/pki/key\n", repo.server.url());
    root.sandbox.write("/etc/yum.repos.d/test.repo", text);
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 1);
    root.patch(&["apply"]).apply_failed("auth").says("/retried", false).changed(&[]);
    root.has_exactly(&["tb-hello 1.0"]);
}

#[test]
fn a_repository_in_a_directory_counts_as_any_other() {
    let root = Root::new(&[rpm("tb-hello", "1.0")]);
    let repo = RpmRepo::new(&[rpm("tb-hello", "2.0")]);
    for (path, bytes) in repo.files() {
        root.sandbox.write(&format!("/srv/repo{path}"), bytes.as_slice());
    }
    root.add_repo_with("local", "file:///srv/repo", "");
    root.patch(&["refresh"]).exits(0).remembers("/pending/count", 1).remembers("/sources/0/id", "local");
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
    root.sandbox.sh("rm -rf /srv/repo");
    root.patch(&["refresh"]).refresh_failed("fetch");
}
