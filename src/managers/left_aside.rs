//! Configuration files that an install put beside the administrator's own, as the managers print them.

use std::collections::BTreeSet;

/// How their names end.
const ENDS: &[&str] = &[
    ".dpkg-dist",
    ".dpkg-new",
    ".dpkg-old",
    ".ucf-dist",
    ".ucf-old",
    ".rpmnew",
    ".rpmsave",
    ".rpmorig",
    ".pacnew",
    ".pacsave",
    ".apk-new",
];

/// How many are listed.
const MOST: usize = 200;

/// The configuration files that an output says were left aside. dpkg names only the file that it kept, so the names of
/// the new one beside it are added. The caller has to look which of them exist.
///
/// ```text
/// Configuration file '/etc/tb.conf'
///  ==> Keeping old config file as default.
/// warning: /etc/tb.conf created as /etc/tb.conf.rpmnew
/// warning: /etc/tb.conf installed as /etc/tb.conf.pacnew
///   Installing file to etc/tb.conf.apk-new
/// ```
pub fn left_aside(output: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    for line in output.lines() {
        if let Some(rest) = line.trim_start().strip_prefix("Configuration file ") {
            let path = rest.trim().trim_matches(['\'', '`', '"']);
            let ends = ENDS.iter().filter(|end| end.contains(".dpkg-") || end.contains(".ucf-"));
            found.extend(ends.map(|end| format!("{path}{end}")));
        }
        // A new zypper has them in its XML.
        let words = line
            .split(|c: char| c.is_whitespace() || "<>".contains(c))
            .map(|word| word.trim_matches(['\'', '`', '"', ',', ';']));
        let words = words.filter(|word| ENDS.iter().any(|end| word.ends_with(end)));
        found.extend(words.map(|word| match word.starts_with('/') {
            true => word.to_string(),
            // apk leaves out the first slash.
            false => format!("/{word}"),
        }));
    }
    found.into_iter().filter(|path| !path.contains("/../")).take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_aside_is_found_in_the_words_of_every_manager() {
        let output = "warning: /etc/tb.conf created as /etc/tb.conf.rpmnew\n>>> [RPM] /etc/a.conf saved as /etc/a.conf.rpmsave\n\
                      warning: /etc/tb.conf installed as /etc/tb.conf.pacnew\n  Installing file to etc/tb.conf.apk-new\r\n\
                      Unpacking tb.pacnew-tools (1.0) ...\nerror\n\
                      <message type=\"info\">warning: /etc/z created as /etc/z.rpmnew</message>\n";
        let found = left_aside(output);
        assert_eq!(
            found,
            [
                "/etc/a.conf.rpmsave",
                "/etc/tb.conf.apk-new",
                "/etc/tb.conf.pacnew",
                "/etc/tb.conf.rpmnew",
                "/etc/z.rpmnew"
            ]
        );
        let found =
            left_aside("Configuration file '/etc/tb.conf'\r\n ==> Keeping old config file as default.\r\n");
        assert!(found.contains(&"/etc/tb.conf.dpkg-dist".to_string()), "{found:?}");
        assert!(left_aside("").is_empty());
    }
}
