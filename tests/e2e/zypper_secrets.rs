//! Passwords of repositories, wherever they are configured, with the real zypper.

use crate::rpm::{RpmRepo, rpm};
use crate::sandbox::Sandbox;
use crate::server::Fault;
use crate::zypper::Zypper;

const SECRET: &str = "s3cr3t";

/// The places, among all that is kept or shown, that contain the secret.
fn leaks(sandbox: &Sandbox, shown: &str) -> Vec<String> {
    let kept = sandbox.sh(&format!(
        "grep -rn {SECRET} /var/lib/linux-patch /var/log/linux-patch 2>/dev/null || true; grep -c . /var/log/linux-patch/*"
    ));
    let shown = shown.lines().filter(|line| line.contains(SECRET)).map(|line| format!("shown: {line}"));
    let kept = kept.lines().filter(|line| line.contains(SECRET)).map(str::to_owned);
    kept.chain(shown).collect()
}

/// How a server is addressed, for each way to give a password. The last four zypper itself prints.
const WAYS: [fn(&str) -> String; 9] = [
    |host| format!("baseurl=http://{host}/?{SECRET}"),
    |host| format!("baseurl=http://me:{SECRET}@{host}/"),
    |host| format!("baseurl=http://me:a%40{SECRET}%2Fb&c@{host}/"),
    |host| format!("baseurl=http://{host}/?credentials=test"),
    |host| format!("baseurl=http://127.99.99.99/?proxy={host}&proxyuser=me&proxypass={SECRET}"),
    |host| format!("baseurl=http://127.99.99.99/\nproxy=http://me:{SECRET}@{host}"),
    |host| format!("baseurl=http://{host}/?username=me&password={SECRET}"),
    |host| format!("baseurl=http://{host}/\npassword={SECRET}"),
    |host| format!("baseurl=http://{host}/\ngpgkey=http://me:{SECRET}@{host}/key?password={SECRET}"),
];

/// One root with a repository for each, whose servers do this to files with that in their path.
#[track_caller]
fn tried(pattern: &str, fault: Fault) {
    let root = Zypper::with(&[rpm("tb-0", "1.0"), rpm("tb-1", "1.0")]);
    let sandbox = root.sandbox();
    sandbox.write("/etc/zypp/credentials.d/test", format!("username=me\npassword={SECRET}\n"));
    sandbox.write("/root/.curlrc", format!("proxy-user = \"me:{SECRET}\"\n"));
    let repos: Vec<_> = (0..WAYS.len())
        .map(|nth| {
            let repo = RpmRepo::new(&[rpm(&format!("tb-{nth}"), "2.0")]);
            let url = repo.server.url();
            let lines = WAYS[nth](url.trim_start_matches("http://").trim_end_matches('/'));
            let text = format!("[repo{nth}]\nname=r\nenabled=1\nautorefresh=1\ngpgcheck=0\n{lines}\n");
            sandbox.write(&format!("/etc/zypp/repos.d/{nth}.repo"), text);
            repo.server.fault(pattern, fault);
            repo
        })
        .collect();
    let mut shown = String::new();
    for args in [
        &["--verbose", "refresh"][..],
        &["--verbose", "apply"],
        &["status"],
        &["status", "--history", "--format", "json"],
        &["status", "--explain"],
    ] {
        let mut command = sandbox.command("linux-patch");
        command.args(["--manager", "zypper"]).args(args);
        let ended = sandbox.start(command).wait();
        shown += &format!("{}{}", ended.stdout, ended.stderr);
    }
    assert!(sandbox.log().contains("repo0"), "{}", sandbox.log());
    let asked: usize = repos.iter().map(|repo| repo.server.requests("")).sum();
    assert!(asked > 8, "{asked}: {shown}");
    let found = leaks(sandbox, &shown);
    assert!(found.is_empty(), "{pattern} {fault:?}:\n{}", found.join("\n"));
}

#[test]
fn the_password_of_a_repository_stands_nowhere() {
    for (pattern, fault) in [
        ("/none", Fault::Close),
        ("/", Fault::Status(401)),
        ("/", Fault::Status(404)),
        ("/", Fault::Close),
        ("-primary", Fault::Flip),
        ("/tb-", Fault::Status(404)),
        ("/tb-", Fault::Status(401)),
        ("/tb-", Fault::Flip),
        ("/tb-", Fault::Close),
    ] {
        tried(pattern, fault);
    }
}

#[test]
fn a_password_with_a_slash_at_which_zypper_stops_stands_nowhere_either() {
    let root = Zypper::with(&[rpm("tb-0", "1.0")]);
    let sandbox = root.sandbox();
    let url = format!("http://me:{SECRET}/{SECRET}@127.99.99.99/");
    sandbox.write("/etc/zypp/repos.d/a.repo", format!("[a]\nname=r\nenabled=1\ngpgcheck=0\nbaseurl={url}\n"));
    let mut shown = String::new();
    for command in ["refresh", "apply", "status"] {
        let ended = sandbox.run(&["linux-patch", "--manager", "zypper", "--verbose", command]);
        assert!((1..=3).contains(&ended.code), "{}", ended.stderr);
        shown += &format!("{}{}", ended.stdout, ended.stderr);
    }
    let found = leaks(sandbox, &shown);
    assert!(found.is_empty(), "{}", found.join("\n"));
}
