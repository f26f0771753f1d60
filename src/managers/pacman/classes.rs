//! The class of what pacman says.

use crate::model::class::Class;
use crate::model::text::contains_any;

/// The class of the reason why a file could not be had.
pub fn reason_class(file: &str, reason: &str) -> Class {
    const NETWORK: &[&str] = &[
        "Could not resolve",
        "unable to resolve",
        "Name or service not known",
        "Temporary failure in name resolution",
        "ould not connect",
        "ouldn't connect",
        "Failed to connect",
        "Connection",
        "Recv failure",
        "Send failure",
        "Operation too slow",
        "timed out",
        "Timeout",
        "Empty reply",
        "SSL",
        "TLS",
        "unreachable",
    ];
    // A server may write anything behind its number.
    let is_answer = has_status(reason);
    if is_space(reason) && !is_answer {
        Class::Space
    } else if reason.contains("Unsupported proxy s") && !is_answer {
        Class::Config
    } else if contains_any(reason, NETWORK) && !is_answer {
        Class::Network
    } else if file.ends_with(".sig") {
        // A signature that does not exist: no refresh mends that.
        Class::Auth
    } else {
        Class::Fetch
    }
}

/// Whether a server answered with the number of an error: `The requested URL returned error: 404` of curl, `ERROR 404:
/// Not Found.` of wget.
pub fn has_status(reason: &str) -> bool {
    let numbers = ["returned error: ", "ERROR "].iter().filter_map(|before| reason.split_once(before));
    let mut numbers = numbers.filter_map(|(_, rest)| rest.get(..3));
    numbers.any(|number| number.parse::<u16>().is_ok_and(|number| (300..600).contains(&number)))
}

/// The class of what stands behind the name of an invalid database.
pub fn database_class(words: &str) -> Class {
    if is_about_key(words) { Class::Auth } else { Class::Fetch }
}

pub fn is_about_key(words: &str) -> bool {
    words.contains("PGP signature") || words.contains("missing required signature")
}

/// pacman's words about a file's signature, behind its name.
pub fn is_about_signature(words: &str) -> bool {
    words.starts_with("signature from ")
        || words.starts_with("missing required signature")
        || words.starts_with("signature format error")
        || words.starts_with("unsupported signature format")
        || (words.starts_with("key \"") && !words.contains("could not be looked up locally"))
}

/// Reads `core: signature from "Somebody <x@example.org>" is unknown trust`.
pub fn is_signature(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(_, words)| is_about_signature(words))
}

pub fn is_space(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "No space left on device",
        "not enough free disk space",
        "Disk quota exceeded",
        "Read-only file system",
        "Failed writing",
        "Failure writing output",
        "(Write failed)",
    ];
    let full = text.starts_with("Partition ")
        && (text.contains(" too full") || text.ends_with(" mounted read only"));
    full || contains_any(text, WORDS)
}

/// The class of one error line by itself.
pub fn class_of(line: &str) -> Class {
    const CONFIG: &[&str] = &[
        "no usable package repositories configured",
        "config file ",
        "'failed to resolve path ",
        "no servers configured for repository",
        "config parsing ",
        // pacman 7 downloads as another user, in a sandbox that not every kernel has.
        "restricting filesystem access failed",
        "restricting syscall access failed",
        "switching to sandbox user ",
        "'sandboxuser' ",
        "download user '",
        "problem setting DownloadUser '",
        "failed to get download user '",
        "hook ",
        "parsing hook file ",
        "error while reading hook ",
    ];
    let is_bad_hook = line.starts_with("Missing ") && line.contains(" in hook: ");
    if let Some((file, reason)) = retrieving(line) {
        reason_class(file, reason)
    } else if is_space(line) {
        Class::Space
    } else if unreadable_database(line).is_some() || line.contains(" appears to be truncated: ") {
        Class::Fetch
    } else if SCRIPT.iter().any(|words| line.starts_with(words)) {
        Class::Script
    } else if CONFIG.iter().any(|words| line.starts_with(words)) || is_bad_url(line) || is_bad_hook {
        Class::Config
    } else if is_signature(line)
        || line.starts_with("keyring is not writable")
        || line.starts_with("required key missing")
        || line.starts_with("GPGME error: ")
        || line.starts_with("key \"")
        || lacks_keyring(line)
    {
        Class::Auth
    } else if line.starts_with("database '") {
        database_class(line)
    } else if ["target not found: ", "unresolvable package conflicts", "cannot resolve \""]
        .iter()
        .any(|words| line.starts_with(words))
    {
        Class::Dependency
    } else if is_of_entry(line) || line.starts_with("duplicated database entry ") {
        // A package whose install was cut off.
        Class::Interrupted
    } else {
        Class::Other
    }
}

/// The class of a line such as `failed to commit transaction (conflicting files)`.
pub fn end_class(end: &str) -> Class {
    let reason = end.split_once('(').map_or("", |(_, reason)| reason);
    let reason = reason.strip_suffix(')').unwrap_or(reason);
    const FETCH: &[&str] = &[
        "failed to retrieve some files",
        "download library error",
        "invalid url for server",
        "error invoking external downloader",
        "invalid or corrupted package",
        "invalid or corrupted package (checksum)",
        "invalid or corrupted database",
        "could not find database",
        "package missing required signature",
        "invalid or corrupted package (PGP signature)",
        "invalid or corrupted database (PGP signature)",
    ];
    const DEPENDENCY: &[&str] = &[
        "could not satisfy dependencies",
        "conflicting dependencies",
        "conflicting files",
        "duplicate target",
        "package architecture is not valid",
        "could not find or read package",
        "operation cancelled due to ignorepkg",
    ];
    const AUTH: &[&str] =
        &["missing PGP signature", "invalid PGP signature", "required key missing from keyring"];
    match reason {
        "unable to lock database" => Class::Lock,
        "failed to run transaction hooks" => Class::Script,
        "not enough space" => Class::Space,
        "no servers configured for repository" | "database has no configured servers" => Class::Config,
        _ if FETCH.contains(&reason) => Class::Fetch,
        _ if AUTH.contains(&reason) => Class::Auth,
        _ if DEPENDENCY.contains(&reason) => Class::Dependency,
        _ => Class::Other,
    }
}

/// `failed retrieving file 'core.db' from 127.0.0.1:8080 : The requested URL returned error: 404`
pub fn retrieving(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("failed retrieving file '")?;
    let (file, rest) = rest.split_once("' from ")?;
    Some((file, rest.split_once(" : ").map_or(rest, |(_, reason)| reason)))
}

/// Whether pacman 7 says that it cannot limit itself to some directories. 7.0 goes on all the same, 7.1 does not.
pub fn is_no_sandbox(line: &str) -> bool {
    line.starts_with("restricting filesystem access failed because ")
}

/// The repository in a line that says that its file could not be read.
pub fn unreadable_database(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix("could not read db '") {
        return rest.split_once('\'').map(|(id, _)| id);
    }
    // `could not parse package description file 'tb-a-2.0-1/desc' from db 'core'`: pacman drops the whole repository.
    if let Some(rest) = line.strip_prefix("could not parse package description file '") {
        return rest.split_once("' from db '")?.1.strip_suffix('\'');
    }
    let (path, _) = line.strip_prefix("could not open file ")?.split_once(".db: ")?;
    path.rsplit_once("/sync/").map(|(_, id)| id).filter(|id| !id.contains('/'))
}

/// What pacman says about a script without naming the package.
pub const SCRIPT: &[&str] = &[
    "command failed to execute correctly",
    "command terminated by signal ",
    "scriptlet failed to execute correctly",
    "unable to run hook",
    "could not run hook",
    "call to execv failed",
    "call to waitpid failed",
    "could not fork a new process",
    "could not change the root directory",
];

/// `url 'nonsense/core.db' is invalid`
pub fn is_bad_url(line: &str) -> bool {
    line.starts_with("url '") && line.ends_with("' is invalid")
}

/// pacman 7 writes its first letter otherwise.
pub fn lacks_keyring(line: &str) -> bool {
    line.to_lowercase().starts_with("public keyring not found")
}

/// Whether a file of an installed package could not be read.
pub fn is_of_entry(line: &str) -> bool {
    line.starts_with("could not open file ") && line.contains("/local/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::assert_classes;

    #[test]
    fn the_number_that_a_server_answers_with_decides() {
        let table = [
            (Class::Fetch, "The requested URL returned error: 404 No space left on device"),
            (Class::Fetch, "The requested URL returned error: 503 Connection refused"),
            (Class::Fetch, "http://h/x: ERROR 404: SSL timed out."),
            (Class::Network, "Failed to connect to h port 80: Connection refused"),
            (Class::Space, "Failed writing body (0 != 16384)"),
        ];
        assert_classes(&table, |reason| reason_class("core.db", reason));
    }

    #[test]
    fn each_error_of_pacman_by_itself_has_its_class() {
        let table = [
            (Class::Space, "Partition / too full: 100 blocks needed, 5 blocks free"),
            (Class::Space, "Partition /usr is mounted read only"),
            (Class::Space, "not enough free disk space"),
            (Class::Space, "could not extract usr/share/x (Write failed)"),
            (
                Class::Space,
                "failed to create temporary download directory /x/download-a: No space left on device",
            ),
            (Class::Space, "could not create directory /x: Read-only file system"),
            (Class::Auth, "core: signature from \"A <a@b.c>\" is invalid"),
            (Class::Auth, "core: signature from \"A <a@b.c>\" is expired"),
            (Class::Auth, "tb-a: signature from \"A <a@b.c>\" should never be trusted"),
            (Class::Auth, "tb-a: key \"0123456789ABCDEF\" is disabled"),
            (Class::Auth, "tb-a: key \"0123456789ABCDEF\" is unknown"),
            (Class::Auth, "tb-a: missing required signature"),
            (Class::Auth, "tb-a: signature format error"),
            (Class::Auth, "tb-a: unsupported signature format"),
            (Class::Auth, "required key missing from keyring"),
            (Class::Auth, "keyring is not writable"),
            (Class::Auth, "key \"0123456789ABCDEF\" could not be imported"),
            (Class::Auth, "key \"0123456789ABCDEF\" could not be looked up remotely"),
            (Class::Auth, "Public keyring not found; have you run 'pacman-key --init'?"),
            (Class::Auth, "public keyring not found; have you run 'pacman-key --init'?"),
            (Class::Auth, "GPGME error: Invalid crypto engine"),
            (Class::Auth, "database 'core' is not valid (invalid or corrupted database (PGP signature))"),
            (Class::Fetch, "database 'core' is not valid (invalid or corrupted database)"),
            (Class::Fetch, "failed retrieving file 'core.db' from h : expected download size exceeded"),
            (Class::Fetch, "failed retrieving file 'core.db' from h : The requested URL returned error: 503"),
            (Class::Network, "failed retrieving file 'core.db' from h : Could not resolve host: h"),
            (
                Class::Network,
                "failed retrieving file 'core.db' from h : SSL certificate problem: certificate has expired",
            ),
            (Class::Fetch, "core.db appears to be truncated: 100/200 bytes"),
            (Class::Config, "config file /etc/pacman.conf could not be read: No such file or directory"),
            (Class::Config, "config file /etc/pacman.conf, line 3: invalid value for 'SigLevel' : 'Maybe'"),
            (Class::Config, "config parsing exceeded max recursion depth of 10"),
            (Class::Config, "no usable package repositories configured."),
            (Class::Config, "no servers configured for repository: core"),
            (Class::Config, "url 'nonsense/core.db' is invalid"),
            (Class::Config, "'sandboxuser' (alpm) does not exist"),
            (Class::Config, "download user 'alpm' does not exist"),
            (Class::Config, "failed to get download user 'alpm': No such file or directory"),
            (
                Class::Config,
                "restricting filesystem access failed because Landlock is not supported by the kernel!",
            ),
            (Class::Config, "hook /etc/pacman.d/hooks/x.hook line 3: invalid option Foo"),
            (Class::Config, "parsing hook file /etc/pacman.d/hooks/x.hook failed"),
            (Class::Config, "Missing Exec option in hook: /etc/pacman.d/hooks/x.hook"),
            (Class::Config, "error while reading hook /etc/pacman.d/hooks/x.hook: Is a directory"),
            (Class::Script, "command failed to execute correctly"),
            (Class::Script, "command terminated by signal 9: Killed"),
            (Class::Script, "scriptlet failed to execute correctly"),
            (
                Class::Script,
                "unable to run hook /usr/share/libalpm/hooks/x.hook: could not satisfy dependencies",
            ),
            (Class::Script, "call to execv failed (No such file or directory)"),
            (Class::Script, "could not fork a new process (Cannot allocate memory)"),
            (Class::Script, "could not change the root directory (Operation not permitted)"),
            (Class::Dependency, "target not found: tb-x"),
            (Class::Dependency, "unresolvable package conflicts detected"),
            (Class::Dependency, "cannot resolve \"tb-x\", a dependency of \"tb-y\""),
            (
                Class::Interrupted,
                "could not open file /var/lib/pacman/local/tb-a-1.0-1/desc: No such file or directory",
            ),
            (Class::Interrupted, "duplicated database entry 'tb-a'"),
        ];
        assert_classes(&table, class_of);
    }
}
