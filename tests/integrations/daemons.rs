//! Programs that run in a throw-away root as long as the test does, and ports for them on loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::sandbox::Sandbox;

/// Fails with the name of the package where a program is not installed.
#[track_caller]
pub fn need(program: &str, package: &str) {
    assert!(Path::new(program).exists(), "{program} is needed (package {package}); see `make integrations`");
}

/// A file of contrib or docs.
#[track_caller]
pub fn ours(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()))
}

/// An address of the test's own with a port that nobody has.
pub fn free_address() -> SocketAddr {
    static HOSTS: AtomicUsize = AtomicUsize::new(1);
    let number = HOSTS.fetch_add(1, Ordering::Relaxed);
    let address = Ipv4Addr::new(127, 74, (number / 250) as u8, (number % 250 + 1) as u8);
    let listener = TcpListener::bind((address, 0)).expect("could not listen on a loopback address");
    listener.local_addr().unwrap()
}

/// Starts a program inside that stays; what it prints goes to `/srv/NAME.log`.
#[track_caller]
pub fn start(sandbox: &Sandbox, name: &str, command: &str) {
    sandbox.sh(&format!("setsid sh -c 'exec {command}' </dev/null >/srv/{name}.log 2>&1 &"));
}

#[track_caller]
pub fn log_of(sandbox: &Sandbox, name: &str) -> String {
    sandbox.read(&format!("/srv/{name}.log")).unwrap_or_default()
}

/// Waits until somebody listens there.
#[track_caller]
pub fn listens(sandbox: &Sandbox, name: &str, address: SocketAddr) {
    for _ in 0..600 {
        if TcpStream::connect(address).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{name} does not listen on {address}:\n{}", log_of(sandbox, name));
}

/// The body of what a web server answers to a GET.
#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("nobody listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("no answer");
    let answer = String::from_utf8(answer).expect("an answer in UTF-8");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains(" 200 "), "{path}: {answer}");
    body.to_string()
}
