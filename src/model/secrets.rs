//! Text without the passwords and tokens that addresses and settings hold.

use std::borrow::Cow;

/// A text of any form without what is between `//` and `@` in a URL, and without the values of settings such as
/// `proxy_password: x` or `password = x`. A manager prints all of these in an error. They can also be part of an
/// address, as in `?proxypass=x&`, or of XML.
pub fn without_passwords(text: &str) -> String {
    let of_line = |line: &str| match line.split_once([':', '=']) {
        Some((name, value)) if is_secret(name) && !value.trim().is_empty() => {
            let end = if line.ends_with('\n') { "\n" } else { "" };
            format!("{name}{} (not shown){end}", &line[name.len()..=name.len()])
        }
        _ => {
            let line = without_login(line);
            let words: String = line.split_inclusive(char::is_whitespace).map(without_secrets).collect();
            without_cut_credentials(words)
        }
    };
    text.split_inclusive('\n').map(of_line).collect()
}

/// pacman and zypper take a `/` in a password for the end of the host.
///
/// ```text
/// failed retrieving file 'core.db' from me:sec :
/// Invalid port component &apos;sec&apos;
/// ```
pub(super) fn without_cut_credentials(line: String) -> String {
    const PORT: &str = "nvalid port component ";
    if let Some(start) = line.find(PORT).map(|at| at + PORT.len()) {
        return format!("{}(not shown){}", &line[..start], if line.ends_with('\n') { "\n" } else { "" });
    }
    let is_of_pacman = line.contains("failed retrieving file '")
        || line.contains(" skipping for the remainder of this transaction");
    let Some((before, rest)) = line.rsplit_once(" from ").filter(|_| is_of_pacman) else { return line };
    let end = rest.find([' ', ',']).unwrap_or(rest.len());
    match rest[..end].rsplit_once(':') {
        Some((_, port)) if !is_port(port) && !rest.starts_with('[') => {
            format!("{before} from (not shown){}", &rest[end..])
        }
        _ => line,
    }
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The names of settings, and of headers of HTTP, with a secret.
const SETTINGS: &[&str] = &["password", "authorization", "cookie", "token", "api-key", "x-jfrog-art-api"];

fn is_secret(setting: &str) -> bool {
    // curl marks what it sends and what it gets.
    let name = setting.trim_matches(|c: char| c.is_whitespace() || "<>".contains(c));
    let is_one = || SETTINGS.iter().any(|end| name.to_ascii_lowercase().ends_with(end));
    name.len() < 40 && !name.contains(char::is_whitespace) && is_one()
}

/// What apt says where it is told to say everything:
///
/// ```text
/// MaybeAddAuth: Found matching host adding 'me' and 'secret' for http://host/InRelease from /etc/apt/auth.conf
/// ```
fn without_login(line: &str) -> Cow<'_, str> {
    let is_one = line.starts_with("MaybeAddAuth: ");
    let start = line.find("' and '").filter(|_| is_one).map(|at| at + "' and '".len());
    match start.zip(line.rfind("' for ")).filter(|(start, end)| start <= end) {
        Some((start, end)) => Cow::Owned(format!("{}(not shown){}", &line[..start], &line[end..])),
        None => Cow::Borrowed(line),
    }
}

pub(super) fn without_secrets(word: &str) -> Cow<'_, str> {
    // A text without an address or a setting has no secret, and neither of these is as short as an arrow.
    let is_address = || word.contains(':') && word.contains("//");
    if word.len() < 6 || !(word.contains(['=', '>']) || is_address()) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(without_secret_values(&without_token(without_credentials(word))))
}

/// An address without the token that stands alone behind its question mark: `https://host/repo/?0123456789abcdef`.
fn without_token(word: String) -> String {
    let query = word.split_once("://").and_then(|(_, rest)| rest.split_once('?')).map(|(_, query)| query);
    let Some(query) = query else { return word };
    let is_end = |c: char| c.is_whitespace() || "&=#,;:<>'\")]/".contains(c);
    let end = query.find(is_end).unwrap_or(query.len());
    if end == 0 || query[end..].starts_with('=') {
        return word;
    }
    let start = word.len() - query.len();
    format!("{}(not shown){}", &word[..start], &word[start + end..])
}

/// The names of secrets within an address.
const SECRETS: &[&str] = &[
    "password",
    "passwd",
    "proxypass",
    "token",
    "token__",
    "secret",
    // Of addresses that are signed for some time.
    "signature",
    "sig",
    "hmac",
    "apikey",
    "api_key",
];

/// A word that holds `password=x` or `\"password\">x<`, without those values.
fn without_secret_values(word: &str) -> String {
    let mut kept = String::new();
    let mut rest = word;
    while let Some(at) = rest.find(['=', '>']) {
        let (before, after) = rest.split_at(at + 1);
        kept += before;
        rest = after;
        let name = before[..at].trim_end_matches(['"', '\'']);
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = name.rsplit(|c| !is_of_name(c)).next().unwrap_or_default().to_ascii_lowercase();
        if SECRETS.iter().any(|secret| name.ends_with(secret)) {
            let is_end = |c: char| c.is_whitespace() || "&,;<'\"])".contains(c);
            let end = rest.find(is_end).unwrap_or(rest.len());
            kept += if end > 0 { "(not shown)" } else { "" };
            rest = &rest[end..];
        }
    }
    kept + rest
}

/// Takes one pass, because a word can have any length: a manager's output may be nothing but slashes.
fn without_credentials(word: &str) -> String {
    let last_at = word.rfind('@');
    let mut kept = String::new();
    let mut rest = word;
    while let Some(start) = rest.find("://").map(|at| at + 3) {
        let (before, after) = rest.split_at(start);
        let end = after.find('/').unwrap_or(after.len());
        // Another address may begin where this one seems to end: `x://y://me:secret@h`.
        let end = if after[..end].ends_with(':') && end < after.len() { end - 1 } else { end };
        // A password may hold a slash: a port has no letters.
        let is_cut =
            after[..end].split_once(':').is_some_and(|(_, port)| !port.contains('@') && !is_port(port));
        let at =
            last_at.and_then(|at| at.checked_sub(word.len() - after.len())).filter(|at| is_cut && end < *at);
        let end = at.map_or(end, |at| at + after[at..].find('/').unwrap_or(after.len() - at));
        let (authority, path) = after.split_at(end);
        kept += before;
        kept += authority.rsplit('@').next().unwrap_or_default();
        rest = path;
    }
    kept + rest
}
