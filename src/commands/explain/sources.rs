//! The sources that were not refreshed: since when, and what one connection to each shows.

use crate::managers::Manager;
use crate::model::class::Class;
use crate::model::text::one_line;
use crate::report::finding::Finding;
use crate::store::state::{Source, State};
use crate::system::files::{files_of, small_text};
use crate::system::process::find;
use crate::system::time::{Time, span};
use std::io::Read;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use wait_timeout::ChildExt;

/// How long a lookup and a connection may take, each.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many sources are tried; the others are only listed.
const MOST_TRIED: usize = 20;

/// What the last refresh said about the sources, and what a connection to the failed ones shows.
pub fn look(state: Option<&State>, manager: Option<&dyn Manager>, now: Time) -> Vec<Finding> {
    let sources = state.map(|state| state.sources.as_slice()).unwrap_or_default();
    let failed: Vec<_> = sources.iter().filter(|source| source.error.is_some()).collect();
    if sources.is_empty() {
        return vec![Finding::unknown("source", "none is known yet", "linux-patch refresh")];
    }
    if failed.is_empty() {
        let text = format!("the last refresh reached all {}", sources.len());
        return vec![Finding::ok("source", text)];
    }
    // All at once, so that many take no longer than one.
    let (sender, receiver) = mpsc::channel();
    let mut addresses: Vec<Option<Address>> = Vec::new();
    let mut asked = Vec::new();
    for (at, source) in failed.iter().enumerate() {
        let address = address_of(source, manager);
        // Sources on one host share a connection.
        let is_new = address.is_some() && !addresses.contains(&address);
        if let Some(address) = address.clone().filter(|_| is_new && at < MOST_TRIED) {
            asked.push(address.clone());
            let sender = sender.clone();
            std::thread::spawn(move || sender.send((address.clone(), tried(&address))));
        }
        addresses.push(address);
    }
    drop(sender);
    let until = Instant::now() + PATIENCE * 2;
    let mut answers = Vec::new();
    while let Ok(answer) = receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
        answers.push(answer);
    }
    let of = |(source, address): (&&Source, &Option<Address>)| {
        let known = address.as_ref().and_then(|address| answers.iter().find(|(other, _)| other == address));
        let seen = known.map(|(_, seen)| seen.clone()).or_else(|| {
            address
                .as_ref()
                .filter(|address| asked.contains(address))
                .map(|_| (SILENT.to_string(), NAME_SERVER.to_string()))
        });
        finding(source, seen, now)
    };
    failed.iter().zip(&addresses).map(of).collect()
}

const SILENT: &str = "its name server does not answer";
const NAME_SERVER: &str = "cat /etc/resolv.conf; getent hosts";

fn finding(source: &Source, seen: Option<(String, String)>, now: Time) -> Finding {
    let since = match source.last_success {
        Some(time) => format!("not refreshed for {}", span(now.seconds_since(time).max(0))),
        None => "never refreshed".to_string(),
    };
    let error = source.error.as_ref();
    let class = error.map_or(Class::Other, |error| error.class);
    let why = error.map(|error| format!("{}: {}", class.word(), error.message)).unwrap_or_default();
    let clock = match class {
        Class::Clock => format!("; the clock here says {now}"),
        _ => String::new(),
    };
    let (seen, command) = match (class, seen) {
        (Class::Clock, seen) => (seen.map(|(seen, _)| seen), "date; timedatectl".to_string()),
        (Class::Auth, seen) => {
            (seen.map(|(seen, _)| seen), "look at the key that the source is configured with".to_string())
        }
        (_, Some((seen, command))) => (Some(seen), command),
        (_, None) => (None, "linux-patch refresh --verbose".to_string()),
    };
    let seen = seen.map(|seen| format!("; now: {seen}")).unwrap_or_default();
    let text = format!("{}: {since} ({why}){seen}{clock}", source.id);
    Finding::problem("source", text, command)
}

/// A host and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    host: String,
    port: u16,
    is_tls: bool,
}

/// What a connection to it shows, and what to do.
fn tried(address: &Address) -> (String, String) {
    let Address { host, port, is_tls } = address;
    let first = match resolve(host) {
        Name::Is(first) => SocketAddr::new(first, *port),
        Name::Unknown => {
            return (format!("the name {host} does not resolve"), format!("{NAME_SERVER} {host}"));
        }
        Name::NotAsked => return (SILENT.to_string(), format!("{NAME_SERVER} {host}")),
        Name::NoProgram => {
            return (
                format!("the name {host} cannot be looked up without getent"),
                "install getent (libc-bin, glibc-common or musl-utils)".to_string(),
            );
        }
    };
    let more = "linux-patch refresh --verbose".to_string();
    let with_tls = if *is_tls { handshake(first, host) } else { Handshake::NotTried };
    match with_tls {
        Handshake::NotTried => {}
        Handshake::Well => {
            return (format!("{host} port {port} answers, and this system trusts its certificate"), more);
        }
        Handshake::Refused(why) => {
            let text =
                format!("{host} port {port} answers, but this system does not trust its certificate: {why}");
            let command = format!(
                "date; openssl s_client -connect {host}:{port}; look whether the source has a CA of its own"
            );
            return (text, command);
        }
        Handshake::None => {
            let command = format!("openssl s_client -connect {host}:{port}");
            return (format!("{host} port {port} answers, but not with TLS"), command);
        }
        Handshake::Silent => {
            let text = format!("{host} port {port} does not answer within {} s", PATIENCE.as_secs());
            return (text, format!("look at network, firewall and proxy; curl -v https://{host}:{port}"));
        }
    }
    match TcpStream::connect_timeout(&first, PATIENCE) {
        Ok(_) => {
            let what = match is_tls {
                true => "; its certificate was not checked, because openssl is not installed",
                false => "",
            };
            (format!("{host} port {port} answers{what}"), more)
        }
        Err(error) => {
            let command = format!("look at network, firewall and proxy; curl -v {host}:{port}");
            (format!("{host} ({}) port {port} does not answer: {error}", first.ip()), command)
        }
    }
}

/// What came of a TLS connection.
enum Handshake {
    /// There was no connection: nobody answers, or openssl is not installed.
    NotTried,
    /// The certificate is for this host, and openssl trusts it.
    Well,
    /// It is not, in openssl's words.
    Refused(String),
    /// The other side does not speak TLS.
    None,
    /// The other side says nothing.
    Silent,
}

/// Asks `openssl s_client`, which prints `verify error:num=10:certificate has expired`, or `connect:errno=111` where it
/// got no connection.
fn handshake(address: SocketAddr, host: &str) -> Handshake {
    let Some(openssl) = find("openssl") else { return Handshake::NotTried };
    let mut command = Command::new(openssl);
    command.args(["s_client", "-brief", "-verify_return_error", "-connect", &address.to_string()]);
    match host.parse::<IpAddr>() {
        Ok(_) => command.args(["-verify_ip", host]),
        Err(_) => command.args(["-verify_hostname", host, "-servername", host]),
    };
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let Some((ended_well, said)) = ended(&mut command, |child| child.stderr.take()) else {
        return Handshake::Silent;
    };
    let mut lines = said.lines();
    let refused = lines.clone().find_map(|line| line.strip_prefix("verify error:num=")?.split_once(':'));
    match (ended_well, refused) {
        (true, _) => Handshake::Well,
        (false, Some((_, why))) => Handshake::Refused(one_line(why)),
        (false, None) if lines.any(|line| line.starts_with("connect:")) => Handshake::NotTried,
        (false, None) => Handshake::None,
    }
}

/// Whether a command ended well, and what it printed; `None` where it does not exist, or did not end in time.
fn ended<R: Read>(
    command: &mut Command,
    output: impl FnOnce(&mut Child) -> Option<R>,
) -> Option<(bool, String)> {
    let mut child = command.stdin(Stdio::null()).spawn().ok()?;
    let Ok(Some(status)) = child.wait_timeout(PATIENCE) else {
        let _ = child.kill();
        // The kernel may not let it go.
        let _ = child.wait_timeout(PATIENCE);
        return None;
    };
    let mut text = String::new();
    let _ = output(&mut child).map(|out| out.take(64 << 10).read_to_string(&mut text));
    Some((status.success(), text))
}

/// What is known of a host's name.
enum Name {
    Is(IpAddr),
    Unknown,
    /// Nobody answers.
    NotAsked,
    /// There is no getent.
    NoProgram,
}

/// Asks getent, because its question can be ended. A program with a linked-in C library cannot look up a name in all
/// the ways that the system has.
fn resolve(host: &str) -> Name {
    if let Ok(address) = host.parse() {
        return Name::Is(address);
    }
    let Some(program) = find("getent") else { return Name::NoProgram };
    let mut command = Command::new(program);
    command.args(["ahosts", host]).stdout(Stdio::piped()).stderr(Stdio::null());
    let Some((_, text)) = ended(&mut command, |child| child.stdout.take()) else { return Name::NotAsked };
    text.split_whitespace().next().and_then(|word| word.parse().ok()).map_or(Name::Unknown, Name::Is)
}

/// The address of a source: from its name with most managers, else from its error, else from the files that configure
/// it.
fn address_of(source: &Source, manager: Option<&dyn Manager>) -> Option<Address> {
    let error = source.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
    let configured = || {
        let files = files_of(manager?.facts().source_config);
        files.iter().find_map(|(path, _)| section_address(&small_text(path), &source.id))
    };
    url_in(&source.id).or_else(configured).or_else(|| url_in(error))
}

/// The first address of a section `[ID]` of a file like those of yum and pacman.
fn section_address(text: &str, id: &str) -> Option<Address> {
    let lines = text.lines().map(str::trim).skip_while(|line| *line != format!("[{id}]")).skip(1);
    let mut lines = lines.take_while(|line| !line.starts_with('[')).filter(|line| !line.starts_with('#'));
    lines.find_map(|line| url_in(line.split_once('=')?.1))
}

/// The host and port of the first network address in a text.
fn url_in(text: &str) -> Option<Address> {
    let schemes = [("https://", 443, true), ("http://", 80, false), ("ftp://", 21, false)];
    let mut found = schemes.into_iter().filter_map(|scheme| Some((text.find(scheme.0)?, scheme)));
    let (at, (scheme, port, is_tls)) = found.by_ref().min_by_key(|(at, _)| *at)?;
    let rest = &text[at + scheme.len()..];
    let rest = rest.split(['/', ' ', '"', '\'', ',', ';', '?', '#', ')', '$']).next()?;
    let rest = rest.rsplit('@').next()?;
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':').map_or(Some(port), |port| port.parse().ok())?),
        None => match rest.split_once(':') {
            Some((host, given)) if !given.is_empty() => (host, given.parse().ok()?),
            _ => (rest.trim_end_matches(':'), port),
        },
    };
    (!host.is_empty()).then(|| Address { host: host.to_string(), port, is_tls })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_source_is_read_from_what_names_it() {
        let of = |text: &str| url_in(text).map(|found| (found.host, found.port, found.is_tls));
        let found = |host: &str, port, is_tls| Some((host.to_string(), port, is_tls));
        assert_eq!(of("http://a.example stable"), found("a.example", 80, false));
        assert_eq!(of("https://me:x@a.example:8443/x suite"), found("a.example", 8443, true));
        assert_eq!(of("mirror+http://[::1]:81/list"), found("::1", 81, false));
        assert_eq!(of("Status code: 404 for https://h/x, http://i/y"), found("h", 443, true));
        for text in ["base", "file:/srv/x ./", "http:///x", "http://$host/x", "http://h:99999/x"] {
            assert_eq!(of(text), None, "{text}");
        }
        let text = "[a]\nbaseurl=http://a/\n[b]\n# baseurl=http://no/\nname = b\nbaseurl = https://b/\n";
        assert_eq!(section_address(text, "b").map(|found| found.host), Some("b".to_string()));
        assert_eq!(section_address(text, "c"), None);
    }

    #[test]
    fn a_dead_port_and_a_wrong_name_are_told_apart() {
        let of = |host: &str, port| tried(&Address { host: host.into(), port, is_tls: false }).0;
        assert!(of("no-such-host.invalid", 80).contains("does not resolve"));
        assert!(of("127.0.0.1", 1).contains("port 1 does not answer"), "{}", of("127.0.0.1", 1));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(of("127.0.0.1", port), format!("127.0.0.1 port {port} answers"));
    }
}
