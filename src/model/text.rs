//! Text that can be shown: one printable line of bounded length.

use crate::model::secrets::{without_cut_credentials, without_secrets};

/// A message longer than this many characters is cut.
const MAX_MESSAGE_CHARS: usize = 1000;

/// `1 package`, `3 packages`.
pub fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Whether a terminal and a reader of lines see a character as it is: no control character, no other line end, nothing
/// invisible, nothing that changes the direction of writing.
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let is_hidden = matches!(c,
        '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}');
    !c.is_control() && !is_hidden
}

/// `text` as one printable line. What cannot be printed becomes single spaces. What is between `//` and `@` in a URL is
/// removed, because it may be a password, and so are the values of password settings.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    // A line without such words is not searched: a status has dozens of lines without a secret.
    let mut is_suspect = false;
    for word in text.split(|c: char| c == ' ' || !is_printable(c)) {
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&without_secrets(word));
            is_suspect |= matches!(word, "port" | "from");
        }
    }
    if is_suspect { without_cut_credentials(line) } else { line }
}

/// One printable line without secrets, no longer than a failure's message may be.
pub fn short_line(text: &str) -> String {
    cut(one_line(text), MAX_MESSAGE_CHARS)
}

/// Whether one of these words is in a text.
pub fn contains_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

/// A text cut to so many characters, with three dots if there were more.
pub fn cut(mut text: String, most: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(most) {
        text.truncate(at);
        text.push_str("...");
    }
    text
}

/// A JSON text in which everything is escaped that cannot be printed; serde leaves all but the first 32 characters.
/// Outside of strings the only such character is the line end.
pub fn printable_json(json: String) -> String {
    if json.is_ascii() && !json.as_bytes().contains(&0x7f) {
        return json;
    }
    let is_plain = |c: char| c == '\n' || is_printable(c);
    if json.chars().all(is_plain) {
        return json;
    }
    let escape = |c: char| c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect();
    json.chars().map(|c| if is_plain(c) { c.to_string() } else { escape(c) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::Class;
    use crate::model::failure::Failure;
    use crate::model::secrets::without_passwords;
    use serde_json::Value;

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
            ("Authorization: Basic bWU6cw==\r\n", "Authorization: (not shown)\n"),
            ("> Proxy-Authorization: Bearer s\n", "> Proxy-Authorization: (not shown)\n"),
            ("Set-Cookie: a=s; Secure", "Set-Cookie: (not shown)"),
            (
                "MaybeAddAuth: Found matching host adding 'me' and 's's' for http://me:s@h/x from /f\n",
                "MaybeAddAuth: Found matching host adding 'me' and '(not shown)' for http://h/x from /f\n",
            ),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
        for (text, shown) in [
            (
                "https://h/x?X-Amz-Date=2&X-Amz-Signature=s' no",
                "https://h/x?X-Amz-Date=2&X-Amz-Signature=(not shown)' no",
            ),
            ("https://h/x?se=2&sig=s%3D&sp=r", "https://h/x?se=2&sig=(not shown)&sp=r"),
            ("gpgkey=file:///k signatures=2", "gpgkey=file:///k signatures=2"),
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
        assert!(failure.message.len() < 2 * MAX_MESSAGE_CHARS && failure.message.ends_with("..."));
        let exactly = "ü".repeat(MAX_MESSAGE_CHARS);
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
}
