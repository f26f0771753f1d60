//! not committed
use crate::bench;
use crate::deb::deb;
use crate::sandbox::Sandbox;

#[test]
fn x_settings() {
    let (sandbox, repo) = bench::one(&[deb("tb-hello", "1.0")], &[deb("tb-hello", "2.0")]);
    for conf in [
        "",
        "quiet \"2\";",
        "Binary::apt-get::quiet \"2\";",
        "quiet::NoUpdate \"true\"; quiet::NoProgress \"true\";",
        "APT::Status-Fd \"1\";",
        "APT::Keep-Fds { \"1\"; \"2\"; };",
        "Binary::apt-get::APT::Get::Simulate \"true\";",
        "APT::Get::Assume-No \"true\"; APT::Get::Only-Upgrade \"true\";",
        "Binary::apt-get::APT::Output-Version \"30\";",
    ] {
        sandbox.write("/etc/apt/apt.conf.d/x", format!("{conf}\n"));
        let ended = sandbox.run(&["sh", "-c", "apt-get -q=1 -oAPT::Get::Simulate=false -oAPT::Output-Version=0 update; apt-get -q=1 -oAPT::Get::Simulate=false -oAPT::Output-Version=0 -y --print-uris upgrade"]);
        println!("#### {conf} {}\n{}\n---\n{}", ended.code, ended.stdout, ended.stderr);
    }
    drop(repo);
}
