//! The situations that most scenarios begin with.

use crate::deb::{Deb, deb};
use crate::repo::Repo;
use crate::sandbox::Sandbox;
use crate::server::Fault;

/// An address where nobody listens.
pub const REFUSED: &str = "http://127.88.0.1:1";
/// A name that never exists.
pub const UNRESOLVABLE: &str = "http://mirror.invalid";

/// A root with these packages and one source with those.
#[track_caller]
pub fn one(installed: &[Deb], published: &[Deb]) -> (Sandbox, Repo) {
    one_in(Sandbox::new(), installed, published)
}

#[track_caller]
pub fn one_in(sandbox: Sandbox, installed: &[Deb], published: &[Deb]) -> (Sandbox, Repo) {
    let repo = Repo::new(published);
    sandbox.add_source("test", &repo);
    if !installed.is_empty() {
        sandbox.install(installed);
    }
    (sandbox, repo)
}

/// tb-hello 1.0 is installed and 2.0 is published.
#[track_caller]
pub fn pending_update() -> (Sandbox, Repo) {
    one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0")])
}

/// Three sources, each with an update for a package of its own: tb-alpha, tb-beta, tb-gamma.
#[track_caller]
pub fn three() -> (Sandbox, [Repo; 3]) {
    let sandbox = Sandbox::new();
    let repos = ["alpha", "beta", "gamma"].map(|name| {
        let package = format!("tb-{name}");
        let repo = Repo::new(&[deb(&package, "2.0")]);
        sandbox.add_source(name, &repo);
        (repo, deb(&package, "1.0"))
    });
    sandbox.install(&repos.each_ref().map(|(_, package)| package.clone()));
    (sandbox, repos.map(|(repo, _)| repo))
}

/// The same, the source in the middle having failed in this way from the start.
#[track_caller]
pub fn three_with(pattern: &str, fault: Fault) -> (Sandbox, [Repo; 3]) {
    let (sandbox, repos) = three();
    repos[1].server.fault(pattern, fault);
    (sandbox, repos)
}

pub const IN_POSTINST: &str = "/run/in-postinst";

/// A package whose configuration takes this long, unless /run/fast is there, or until [`END_POSTINST`].
pub fn slow(version: &str, seconds: u32) -> Deb {
    deb("tb-slow", version).script(
        "postinst",
        &format!("[ -e /run/fast ] && exit 0\necho $$ >{IN_POSTINST}\nsleep {seconds} || [ -e /run/fast ]"),
    )
}

/// Lets the configuration of such a package end well at once. It may not have come to its wait.
pub const END_POSTINST: &str = "touch /run/fast; read pid </run/in-postinst
    while [ -d /proc/$pid ] && ! kill $(cat /proc/$pid/task/$pid/children); do /bin/sleep 0.05; done 2>/dev/null";

/// With this apt itself does not give up on a server that says nothing.
#[allow(dead_code)] // Not every test that has this module needs it.
pub const PATIENT: &str = "Acquire::http::Timeout \"600\";\n";

/// From now on write down every call of the package manager that is found on PATH.
pub fn spy(sandbox: &Sandbox) {
    for name in ["apt", "apt-get", "apt-cache", "apt-mark", "apt-config", "dpkg", "dpkg-query"] {
        let body = format!(r#"echo "{name} $*" >>/run/calls; exec /usr/bin/{name} "$@""#);
        sandbox.write_script(&format!("/usr/local/bin/{name}"), &body);
    }
}

/// The calls since `spy`, or since this was last asked.
pub fn calls(sandbox: &Sandbox) -> Vec<String> {
    let text = sandbox.read("/run/calls").unwrap_or_default();
    sandbox.sh("rm -f /run/calls");
    text.lines().map(str::to_owned).collect()
}

/// The files' clock has its own precision, and so have the times in the state: this waits until both change.
pub fn tick() {
    std::thread::sleep(std::time::Duration::from_millis(1100));
}
