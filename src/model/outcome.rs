//! The currency between running the package manager and remembering what it did.

use crate::model::told::Told;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Fields that a later program of the same state version wrote; they survive a rewrite.
pub type Extra = Map<String, Value>;

/// Why something failed, as far as a script can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// 404, 403, 5xx, hash or size mismatch, truncated file.
    Fetch,
    /// DNS, refused, reset, timed out, TLS.
    Network,
    /// A lock, the manager's or our own, is held by somebody else.
    Lock,
    /// Unknown key, bad or missing signature.
    Auth,
    /// A Release file outside its period of validity.
    Clock,
    /// Disk full or read-only file system.
    Space,
    /// Unmet or conflicting dependencies, unknown package, file conflicts.
    Dependency,
    /// A maintainer script failed.
    Script,
    /// A signal, or an earlier install that was cut off.
    Interrupted,
    /// Malformed source, or no source at all.
    Config,
    /// Our own time budget.
    Timeout,
    /// Anything else.
    Other,
}

impl Class {
    /// The word used in the state, in JSON and in metrics.
    pub fn word(self) -> &'static str {
        match self {
            Class::Fetch => "fetch",
            Class::Network => "network",
            Class::Lock => "lock",
            Class::Auth => "auth",
            Class::Clock => "clock",
            Class::Space => "space",
            Class::Dependency => "dependency",
            Class::Script => "script",
            Class::Interrupted => "interrupted",
            Class::Config => "config",
            Class::Timeout => "timeout",
            Class::Other => "other",
        }
    }

    /// Whether a refresh and a second download can mend it.
    pub fn is_retried(self) -> bool {
        matches!(self, Class::Fetch | Class::Network)
    }

    /// Which of two errors of one run is the cause to report: a full disk and a bad signature
    /// also make fetches fail, never the other way round. Higher wins.
    fn rank(self) -> u8 {
        match self {
            Class::Space => 6,
            Class::Lock => 5,
            Class::Config => 4,
            Class::Auth => 3,
            Class::Clock => 2,
            Class::Fetch | Class::Network => 1,
            _ => 0,
        }
    }
}

/// A message longer than this many characters is cut.
const MOST_WORDS: usize = 1000;

/// A failure: its class and one line with the manager's own decisive words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure it is.
    pub class: Class,
    /// One line for people.
    pub message: String,
    /// The updates without which the others could be installed, where nothing was changed yet.
    #[serde(skip)]
    pub culprits: Vec<HeldBack>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Failure {
    /// A failure with its message made safe to print: one line, no control characters, no
    /// credentials out of URLs.
    pub fn new(class: Class, message: impl AsRef<str>) -> Self {
        Failure { class, message: short_line(message.as_ref()), culprits: Vec::new(), extra: Extra::new() }
    }

    /// The failure that names the cause better; the first one when they rank alike.
    pub fn more_decisive(self, other: Failure) -> Failure {
        if other.class.rank() > self.class.rank() { other } else { self }
    }
}

/// How a refresh ended, judged by what happened to each source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefreshOutcome {
    /// Every configured source was refreshed.
    Fresh,
    /// Some were, some were not.
    Partial,
    /// None was.
    Failed,
}

/// One source after one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceResult {
    /// The manager's own name for it, for apt `URI SUITE`.
    pub id: String,
    /// Why it was not refreshed; `None` when it was.
    pub error: Option<Failure>,
}

/// What one run of the manager's refresh did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// The sources the manager spoke of.
    pub sources: Vec<SourceResult>,
    /// The verdict.
    pub outcome: RefreshOutcome,
    /// The decisive error; `None` exactly when the outcome is fresh.
    pub error: Option<Failure>,
    /// Whether anything of the index may have changed.
    pub changed: bool,
}

impl Refreshed {
    /// An attempt in which nothing was refreshed.
    pub fn failed(sources: Vec<SourceResult>, error: Failure) -> Self {
        Refreshed { sources, outcome: RefreshOutcome::Failed, error: Some(error), changed: true }
    }

    /// The verdict on an attempt, given what became of each source, what stopped it before all were looked at, and
    /// the words for the case that there is no source.
    pub fn of(
        sources: impl IntoIterator<Item = (String, Option<Failure>)>,
        stopped: Option<Failure>,
        unnamed: &str,
    ) -> Self {
        let sources: Vec<_> = sources.into_iter().map(|(id, error)| SourceResult { id, error }).collect();
        let mut errors: Vec<_> = sources.iter().filter_map(|source| source.error.clone()).collect();
        let are_all = errors.len() == sources.len();
        let is_whole = stopped.is_none();
        errors.extend(stopped);
        match errors.into_iter().reduce(Failure::more_decisive) {
            None if sources.is_empty() => Refreshed::failed(sources, Failure::new(Class::Config, unnamed)),
            None => Refreshed { sources, outcome: RefreshOutcome::Fresh, error: None, changed: false },
            Some(error) if are_all || !is_whole => Refreshed::failed(sources, error),
            error => Refreshed { sources, outcome: RefreshOutcome::Partial, error, changed: false },
        }
    }

    /// The verdict anew, after sources turned out to have failed.
    pub fn judge_again(&mut self) {
        let errors = || self.sources.iter().filter_map(|source| source.error.clone());
        let Some(error) = errors().reduce(Failure::more_decisive) else { return };
        let all = errors().count() == self.sources.len();
        self.outcome = if all { RefreshOutcome::Failed } else { RefreshOutcome::Partial };
        self.error = Some(self.error.take().map_or(error.clone(), |known| known.more_decisive(error)));
    }
}

/// An update that `apply` would install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Package name, with `:architecture` where it is not the native one.
    pub name: String,
    /// Installed version; `None` for a package that an upgrade brings in anew.
    pub installed: Option<String>,
    /// Version that would be installed.
    pub candidate: String,
    /// Whether it is, or contains, a security update; `None` where the manager cannot tell.
    pub security: Option<bool>,
    /// Where the candidate comes from, for apt `Label:Version/Suite`.
    pub source: Option<String>,
    /// The installed packages that go because this one comes in their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaces: Vec<String>,
    /// What else is known of it.
    #[serde(flatten)]
    pub told: Told,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Update {
    /// The same update, as one that is not installed.
    pub fn held_back(self, reason: &str) -> HeldBack {
        HeldBack {
            name: self.name,
            installed: self.installed,
            candidate: Some(self.candidate),
            reason: reason.to_string(),
            class: None,
            security: self.security,
            told: self.told,
            extra: self.extra,
        }
    }
}

/// The reason of an update that stays for a reason which the manager does not tell.
pub const KEPT_BACK: &str = "kept back";
/// The reason of one that is offered to a part of all hosts at a time, to which this one does not belong yet.
pub const PHASED: &str = "phased";

/// A newer version that `apply` does not install.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// Package name.
    pub name: String,
    /// Installed version, where the manager says it.
    pub installed: Option<String>,
    /// Version that is held back, where the manager says it.
    pub candidate: Option<String>,
    /// `held` by the administrator, `phased` by the distribution, `kept back` because it
    /// needs a removal or something that cannot be installed, or why linux-patch leaves it out.
    pub reason: String,
    /// What kind of failure it would be, where it is linux-patch that leaves it out, so that the other
    /// updates can be installed. `None` where the manager keeps it back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Whether it is, or contains, a security update.
    pub security: Option<bool>,
    /// What else is known of it.
    #[serde(flatten)]
    pub told: Told,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl HeldBack {
    /// The update that it would be.
    pub fn into_update(self) -> Option<Update> {
        Some(Update {
            name: self.name,
            installed: self.installed,
            candidate: self.candidate?,
            security: self.security,
            source: None,
            replaces: Vec::new(),
            told: self.told,
            extra: self.extra,
        })
    }
}

/// What is pending, as the manager lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// What `apply` would install.
    pub updates: Vec<Update>,
    /// What it would not.
    pub held_back: Vec<HeldBack>,
    /// What it would remove, with the installed version.
    pub removals: Vec<(String, Option<String>)>,
}

/// More updates than this are not a list of updates: the state would become too large to be read.
const MOST_LISTED: usize = 30_000;

/// Whether something that a manager lists can be a package name at all. Looser than what is taken as
/// an argument, since packages with odd names exist, but never an option, a path, a pattern or
/// several names: names go into command lines, and into files that the manager reads.
fn can_be_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._:~@^%".contains(&byte);
    !name.is_empty() && name.len() <= 256 && !name.starts_with('-') && name.bytes().all(allowed)
}

impl Listing {
    /// Moves the updates that cannot be installed from what is pending to what is held back. Another
    /// candidate may be installable: it stays pending.
    pub fn leave_out(&mut self, impossible: &[HeldBack]) {
        for held in impossible {
            let is_it = |update: &Update| {
                let other = held.candidate.as_ref().is_some_and(|candidate| *candidate != update.candidate);
                update.name == held.name && !other
            };
            let Some(at) = self.updates.iter().position(is_it) else { continue };
            let update = self.updates.remove(at);
            self.held_back.retain(|known| known.name != held.name);
            self.held_back.push(HeldBack { class: held.class, ..update.held_back(&held.reason) });
        }
    }

    /// Takes what a fuller list has among its updates for one here too: the administrator allows what
    /// the manager otherwise refuses.
    pub fn allow(&mut self, fuller: &Listing) {
        let is_update = |held: &HeldBack| {
            let is_it = |update: &Update| {
                update.name == held.name && Some(&update.candidate) == held.candidate.as_ref()
            };
            held.class.is_some() && fuller.updates.iter().any(is_it)
        };
        let (allowed, held_back) = std::mem::take(&mut self.held_back).into_iter().partition(is_update);
        self.held_back = held_back;
        self.updates.extend(Vec::into_iter(allowed).filter_map(HeldBack::into_update));
    }

    /// The list with everything in it fit to be printed.
    ///
    /// # Errors
    /// When one of its names cannot be one, or there are too many: leaving out some would not keep
    /// them from being installed.
    pub fn checked(mut self) -> Result<Listing, Failure> {
        let names = self.updates.iter().map(|update| &update.name);
        let names = names.chain(self.held_back.iter().map(|held| &held.name));
        let mut names = names.chain(self.removals.iter().map(|(name, _)| name));
        if names.clone().nth(MOST_LISTED).is_some() {
            return Err(Failure::new(Class::Other, format!("more than {MOST_LISTED} packages are listed")));
        }
        if let Some(name) = names.find(|name| !can_be_name(name)) {
            let text = format!("what is listed as a package cannot be one: {}", cut(one_line(name), 100));
            return Err(Failure::new(Class::Other, text));
        }
        let tidy = |text: &mut String| *text = short_line(text);
        for update in &mut self.updates {
            tidy(&mut update.candidate);
            update.installed.iter_mut().chain(&mut update.source).for_each(tidy);
        }
        let told = self.updates.iter_mut().map(|update| &mut update.told);
        let told = told.chain(self.held_back.iter_mut().map(|held| &mut held.told));
        told.filter_map(|told| told.severity.as_mut()).for_each(tidy);
        for held in &mut self.held_back {
            tidy(&mut held.reason);
            held.installed.iter_mut().chain(&mut held.candidate).for_each(tidy);
        }
        self.removals.iter_mut().filter_map(|(_, version)| version.as_mut()).for_each(tidy);
        Ok(self)
    }

    /// The names of what would be installed.
    pub fn names(&self) -> Vec<String> {
        self.updates.iter().map(|update| update.name.clone()).collect()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.updates.is_empty() && self.removals.is_empty()
    }

    /// What would change if it were installed.
    pub fn as_changes(&self) -> Vec<Change> {
        let updates = self.updates.iter().map(|update| Change {
            name: update.name.clone(),
            from: update.installed.clone(),
            to: Some(update.candidate.clone()),
            open_seconds: None,
            extra: Extra::new(),
        });
        let removals = self.removals.iter().map(|(name, installed)| Change {
            name: name.clone(),
            from: installed.clone(),
            to: None,
            open_seconds: None,
            extra: Extra::new(),
        });
        updates.chain(removals).collect()
    }
}

/// One package whose version changed during a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Package name.
    pub name: String,
    /// Version before; `None` when it was not installed.
    pub from: Option<String>,
    /// Version after; `None` when it was removed.
    pub to: Option<String>,
    /// For how long the update had been known here.
    #[serde(default)]
    pub open_seconds: Option<i64>,
    /// Unknown fields.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Change {
    /// Name and version of a package that came or was changed.
    pub fn new_version(&self) -> Option<(&str, &str)> {
        Some((&self.name, self.to.as_deref()?))
    }
}

/// `1 package`, `3 packages`.
pub fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Whether a terminal and a reader of lines take a character for what it looks like: no control
/// character, no other end of a line, nothing invisible, nothing that turns the direction of
/// writing.
pub fn is_printable(c: char) -> bool {
    let is_hidden = matches!(c,
        '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !is_hidden
}

/// `text` as one printable line: what cannot be printed becomes single spaces, and what stands
/// between `//` and `@` in a URL goes, since it may be a password, as do the values of those.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c == ' ' || !is_printable(c)) {
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&without_secrets(word));
        }
    }
    without_cut_credentials(line)
}

/// The same, and no longer than a failure's message may be.
pub fn short_line(text: &str) -> String {
    cut(one_line(text), MOST_WORDS)
}

/// A text with at most so many characters, and three dots where there were more.
pub fn cut(mut text: String, most: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
        text.push_str("...");
    }
    text
}

/// A JSON text with everything escaped that cannot be printed; serde leaves all but the first 32
/// characters as they are. Outside of its strings no such character stands but the line end.
pub fn printable_json(json: String) -> String {
    let is_plain = |c: char| c == '\n' || is_printable(c);
    if json.chars().all(is_plain) {
        return json;
    }
    let escape = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
    json.chars().map(|c| if is_plain(c) { c.to_string() } else { escape(c) }).collect()
}

/// A text of any form without what stands between `//` and `@` in a URL, and without the values of
/// settings such as `proxy_password: x` or `password = x`, of which a manager prints all in an error, also
/// where they are part of an address, as in `?proxypass=x&`, or of XML.
pub fn without_passwords(text: &str) -> String {
    let of_line = |line: &str| match line.split_once([':', '=']) {
        Some((name, value)) if is_secret(name) && !value.trim().is_empty() => {
            let end = if line.ends_with('\n') { "\n" } else { "" };
            format!("{name}{} (not shown){end}", &line[name.len()..=name.len()])
        }
        _ => {
            let words: String = line.split_inclusive(char::is_whitespace).map(without_secrets).collect();
            without_cut_credentials(words)
        }
    };
    text.split_inclusive('\n').map(of_line).collect()
}

/// pacman and zypper take the address for ended at a `/` in a password.
///
/// ```text
/// failed retrieving file 'core.db' from me:sec :
/// Invalid port component &apos;sec&apos;
/// ```
fn without_cut_credentials(line: String) -> String {
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

fn is_secret(setting: &str) -> bool {
    let name = setting.trim();
    name.len() < 40 && !name.contains(char::is_whitespace) && name.to_ascii_lowercase().ends_with("password")
}

fn without_secrets(word: &str) -> String {
    without_secret_values(&without_token(without_credentials(word)))
}

/// An address without what stands alone behind its question mark: `https://host/repo/?0123456789abcdef`.
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

/// What secrets are called within an address.
const SECRETS: &[&str] = &["password", "passwd", "proxypass", "token", "token__", "secret"];

/// A word in which `password=x` stands among others, or `\"password\">x<`, without those values.
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

/// One pass over a word of any length: what a manager prints may be nothing but slashes.
fn without_credentials(word: &str) -> String {
    let last_at = word.rfind('@');
    let mut kept = String::new();
    let mut rest = word;
    while let Some(start) = rest.find("://").map(|at| at + 3) {
        let (before, after) = rest.split_at(start);
        let end = after.find('/').unwrap_or(after.len());
        // Another address may begin where this one seems to end: `x://y://me:secret@h`.
        let end = if after[..end].ends_with(':') && end < after.len() { end - 1 } else { end };
        // A password may hold a slash: no port is made of letters.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_turned_out_to_have_failed_are_judged_by_their_number() {
        let judged = |classes: &[Option<Class>], before: Option<Class>| {
            let failure = |class: &Option<Class>| class.map(|class| Failure::new(class, "x"));
            let source = |class| SourceResult { id: "a".into(), error: failure(class) };
            let outcome = if before.is_some() { RefreshOutcome::Partial } else { RefreshOutcome::Fresh };
            let sources = classes.iter().map(source).collect();
            let mut judged = Refreshed { sources, outcome, error: failure(&before), changed: false };
            judged.judge_again();
            (judged.outcome, judged.error.map(|error| error.class))
        };
        let fetch = Some(Class::Fetch);
        assert_eq!(judged(&[None, None], None), (RefreshOutcome::Fresh, None));
        assert_eq!(judged(&[fetch, None], None), (RefreshOutcome::Partial, fetch));
        assert_eq!(judged(&[fetch, fetch], None), (RefreshOutcome::Failed, fetch));
        assert_eq!(judged(&[fetch, fetch], fetch), (RefreshOutcome::Failed, fetch));
        let space = Some(Class::Space);
        assert_eq!(judged(&[fetch, None], space), (RefreshOutcome::Partial, space), "the graver one");
        assert_eq!(judged(&[space, None], fetch), (RefreshOutcome::Partial, space), "the graver one");
    }

    #[test]
    fn messages_are_one_printable_line_without_credentials() {
        assert_eq!(one_line("a\nb\x1b[31m\tc\r"), "a b [31m c");
        assert_eq!(one_line("\u{9b}1m a\u{2028}b\u{202e}c\u{7f}\u{feff}ü"), "1m a b c ü");
        assert_eq!(
            one_line("'http://me:secret@host:80/x http://host/y@z"),
            "'http://host:80/x http://host/y@z"
        );
        assert_eq!(one_line("https://user@h"), "https://h");
        assert_eq!(one_line("x://y://me:secret@h http://h:/x"), "x://y://h http://h:/x");
        assert_eq!(one_line("http://me:se/cr/et@h/x/y"), "http://h/x/y");
        assert_eq!(one_line("http://me:se/cret@h:80"), "http://h:80");
        assert_eq!(one_line("x: Invalid port component 'se' y"), "x: Invalid port component (not shown)");
        assert_eq!(
            one_line("failed retrieving file 'a' from me:se : x"),
            "failed retrieving file 'a' from (not shown) : x"
        );
        assert_eq!(
            one_line("failed retrieving file 'a' from h:80 : x"),
            "failed retrieving file 'a' from h:80 : x"
        );
        assert_eq!(one_line("http://h:80/x@y http://h/x?y@z"), "http://h:80/x@y http://h/x?(not shown)");
        assert_eq!(without_passwords("a\n\tb  http://u:p@h/x\r\n"), "a\n\tb  http://h/x\r\n");
        let settings = "name: x\npassword: a b\nproxy_password = c\npassword: \nWrong password: d\n";
        let shown =
            "name: x\npassword: (not shown)\nproxy_password = (not shown)\npassword: \nWrong password: d\n";
        assert_eq!(without_passwords(settings), shown);
        for (text, shown) in [
            ("[b] Größe→=x ü>y", "[b] Größe→=x ü>y"),
            (
                "[x|http://h/?proxyuser=me&amp;proxypass=s] y",
                "[x|http://h/?proxyuser=me&amp;proxypass=(not shown)] y",
            ),
            (
                "'smb://h/s?mountoptions=username=me,password=s,x=y'",
                "'smb://h/s?mountoptions=username=me,password=(not shown),x=y'",
            ),
            ("<extra key=\"password\">s</extra>\n", "<extra key=\"password\">(not shown)</extra>\n"),
            ("http://h/?proxy=http://me:s@p&amp;proxyport=4", "http://h/?proxy=http://p&amp;proxyport=4"),
            ("'http://h/?__token__=s': no", "'http://h/?__token__=(not shown)': no"),
            ("a=b password= c tokens=d name=\"password\"", "a=b password= c tokens=d name=\"password\""),
        ] {
            assert_eq!(without_passwords(text), shown);
            assert_eq!(one_line(text), shown.trim_end());
        }
    }

    #[test]
    fn a_message_of_any_length_leaves_the_state_readable() {
        let failure = Failure::new(Class::Other, "x".repeat(20 << 20));
        assert!(failure.message.len() < 2 * MOST_WORDS && failure.message.ends_with("..."));
        let exactly = "ü".repeat(MOST_WORDS);
        assert_eq!(Failure::new(Class::Other, &exactly).message, exactly);
    }

    #[test]
    fn a_word_of_many_addresses_is_no_danger_for_the_stack() {
        let word = "://me@".repeat(1 << 20);
        assert_eq!(one_line(&word), "://".repeat(1 << 20));
        assert_eq!(without_passwords(&"://".repeat(1 << 20)).len(), 3 << 20);
        assert_eq!(without_passwords(&"=".repeat(1 << 18)).len(), 1 << 18);
        assert!(without_passwords(&format!("x&{}", "password=".repeat(1 << 16))).len() < 40);
    }

    #[test]
    fn json_has_nothing_unprintable_and_means_the_same() {
        let value = serde_json::json!({"a\u{9b}": "\x1b[m\u{7f}\u{2028}\u{e0041}ü\n"});
        let text = printable_json(serde_json::to_string_pretty(&value).unwrap());
        assert!(text.chars().all(|c| c == '\n' || is_printable(c)), "{text:?}");
        assert!(text.contains("\\u009b") && text.contains("ü"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    fn listing(name: &str) -> Listing {
        let removals = vec![(name.to_string(), Some("1\x1b[m".to_string()))];
        Listing { removals, ..Listing::default() }
    }

    #[test]
    fn a_list_with_a_name_that_cannot_be_one_is_none() {
        for name in ["", "-o", "--full", "a b", "*", "a*", "a?", "/x", "a,b", "a=1", "$(id)", "a\x1b[m", "ü"]
        {
            let failure = listing(name).checked().expect_err(name);
            assert!(failure.message.chars().all(is_printable), "{failure:?}");
        }
        for name in ["tb-hello", "g++", "libc6:i386", "NetworkManager", ".build-deps", "a_b", "x~y@z"] {
            let listed = listing(name).checked().unwrap();
            assert_eq!(listed.removals, [(name.to_string(), Some("1 [m".to_string()))]);
        }
        assert!(listing(&"a".repeat(257)).checked().is_err());
        let many = |count| Listing { removals: vec![("a".to_string(), None); count], ..Listing::default() };
        assert!(many(MOST_LISTED).checked().is_ok() && many(MOST_LISTED + 1).checked().is_err());
    }

    /// The cause of a failed fetch is named, not the fetch; of two that rank alike the first.
    #[test]
    fn the_more_decisive_of_two_failures_is_told() {
        let ranks = [
            &[Class::Space][..],
            &[Class::Lock],
            &[Class::Config],
            &[Class::Auth],
            &[Class::Clock],
            &[Class::Fetch, Class::Network],
            &[Class::Dependency, Class::Script, Class::Interrupted, Class::Timeout, Class::Other],
        ];
        let all: Vec<_> = ranks
            .iter()
            .enumerate()
            .flat_map(|(rank, of)| of.iter().map(move |class| (rank, *class)))
            .collect();
        for (rank, class) in &all {
            for (other_rank, other) in &all {
                let told = Failure::new(*class, "first").more_decisive(Failure::new(*other, "second"));
                let expected = if other_rank < rank { "second" } else { "first" };
                assert_eq!(told.message, expected, "{class:?}, then {other:?}");
            }
        }
    }
}
