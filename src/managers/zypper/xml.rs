//! Reading what `zypper --xmlout` prints. Only XML tells zypper's own words from those of a package's script: a
//! script's output is escaped inside a message.

use crate::model::secrets::without_passwords;
use crate::model::text::{is_printable, one_line};
use std::borrow::Cow;

/// An element: its tag as written, and the text up to the next element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The name; a closing tag begins with `/`.
    pub name: &'a str,
    attributes: &'a str,
    raw_text: &'a str,
}

impl<'a> Element<'a> {
    /// The value of an attribute.
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.attributes;
        loop {
            let (key, after) = rest.trim_start().split_once('=')?;
            let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            let (value, after) = after[1..].split_once(quote)?;
            if key == name {
                return Some(decoded(value));
            }
            rest = after;
        }
    }

    /// Whether an attribute has this value.
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.get(name).as_deref() == Some(value)
    }

    /// The text behind the tag. It is the text of the element if that contains no other element.
    pub fn text(&self) -> Cow<'a, str> {
        decoded(self.raw_text)
    }
}

/// The elements of a report in order, opening and closing tags alike. Anything else is skipped, so that any input is
/// read to its end.
pub fn elements(report: &str) -> impl Iterator<Item = Element<'_>> {
    let mut rest = report;
    std::iter::from_fn(move || {
        let start = rest.find('<')? + 1;
        let tag = &rest[start..];
        let end = end_of_tag(tag)?;
        let inner = tag[..end].trim_end_matches('/');
        let after = &tag[end + 1..];
        let text_end = after.find('<').unwrap_or(after.len());
        let (name, attributes) = inner.split_once([' ', '\n', '\t']).unwrap_or((inner, ""));
        rest = &after[text_end..];
        Some(Element { name, attributes, raw_text: &after[..text_end] })
    })
}

/// The elements with this name.
pub fn named<'a>(report: &'a str, name: &'static str) -> impl Iterator<Item = Element<'a>> {
    elements(report).filter(move |element| element.name == name)
}

/// The place of the `>` that ends a tag; one between quotes does not.
fn end_of_tag(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut parts = text.split('&');
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let entity = part.split_once(';').and_then(|(name, rest)| Some((character(name)?, rest)));
        match entity {
            Some((character, rest)) => {
                plain.push(character);
                plain.push_str(rest);
            }
            None => {
                plain.push('&');
                plain.push_str(part);
            }
        }
    }
    Cow::Owned(plain)
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

/// An alias as the state has it, and as `--repo` takes it: unchanged, with its blanks.
pub fn id_of(alias: &str) -> String {
    let is_plain = alias.chars().all(is_printable) && without_passwords(alias) == alias;
    if is_plain { alias.to_string() } else { one_line(alias) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_has_its_attributes_and_its_text() {
        let report = "<?xml version='1.0'?>\n<stream>\n<a x=\"1 > 2\" y='&quot;&#65;&#x42;&no;'>b &lt;c&gt; &amp;amp;</a>\n<d/>";
        let found: Vec<_> = elements(report).collect();
        let names: Vec<_> = found.iter().map(|element| element.name).collect();
        assert_eq!(names, ["?xml", "stream", "a", "/a", "d"]);
        assert_eq!(found[2].get("x").unwrap(), "1 > 2");
        assert_eq!(found[2].get("y").unwrap(), "\"AB&no;");
        assert_eq!(found[2].get("z"), None);
        assert_eq!(found[2].text(), "b <c> &amp;");
    }

    #[test]
    fn what_is_no_report_has_no_element_to_trip_over() {
        for text in ["", "<", "<a", "a > b", "<a b", "<a b='", "<a b=>", "<é ü=\"ß\">"] {
            for element in elements(text) {
                let _ = (element.get("b"), element.text());
            }
        }
        // A quote that is never closed swallows only the rest.
        assert_eq!(elements("<a b='x><c/>").count(), 0);
    }

    #[test]
    fn a_long_report_is_read_once() {
        let report = "<x y='&amp;'>&".repeat(200_000);
        assert_eq!(elements(&report).filter(|element| element.get("y").is_some()).count(), 200_000);
    }
}
