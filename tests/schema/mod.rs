//! The schemas of contrib/schema, and as much of JSON Schema as they use.

use serde_json::Value;
use std::path::PathBuf;

/// What of a document is not as its schema says, a line each. Keys that are in no schema are told too where
/// `is_strict`: a later version may add some.
pub fn violations(name: &str, document: &Value, is_strict: bool) -> Vec<String> {
    let file = format!("contrib/schema/linux-patch-{name}.json");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut found = Vec::new();
    Check { root: &schema, is_strict, found: &mut found }.check(&schema, document, name);
    found
}

/// The schema of what a command printed.
pub fn of_document(document: &Value) -> &'static str {
    match document["command"].as_str() {
        Some("status") => "status",
        Some("refresh") => "refresh",
        Some("apply") => "apply",
        _ => "usage-error",
    }
}

struct Check<'a> {
    root: &'a Value,
    is_strict: bool,
    found: &'a mut Vec<String>,
}

impl Check<'_> {
    fn check(&mut self, schema: &Value, value: &Value, at: &str) {
        for (word, rule) in schema.as_object().unwrap() {
            match word.as_str() {
                "$ref" => {
                    let place = rule.as_str().unwrap().trim_start_matches('#');
                    let target = self.root.pointer(place).unwrap_or_else(|| panic!("no {place}"));
                    self.check(target, value, at);
                }
                "type" => self.note(is_of_type(rule, value), at, value),
                "enum" => self.note(rule.as_array().unwrap().contains(value), at, value),
                "minimum" => {
                    self.note(value.as_i64().is_none_or(|value| value >= rule.as_i64().unwrap()), at, value)
                }
                "pattern" => self.note(value.as_str().is_none_or(|text| has_pattern(rule, text)), at, value),
                "anyOf" => {
                    let fits = |schema: &Value| {
                        let mut found = Vec::new();
                        Check { root: self.root, is_strict: self.is_strict, found: &mut found }
                            .check(schema, value, at);
                        found
                    };
                    let tries: Vec<_> = rule.as_array().unwrap().iter().map(fits).collect();
                    if tries.iter().all(|found| !found.is_empty()) {
                        self.found.extend(tries.into_iter().next().unwrap());
                    }
                }
                "required" => {
                    for key in rule.as_array().unwrap().iter().map(|key| key.as_str().unwrap()) {
                        if value.is_object() && value.get(key).is_none() {
                            self.found.push(format!("{at}: {key} is not there"));
                        }
                    }
                }
                "properties" => self.properties(rule, value, at),
                "items" => {
                    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, item, &format!("{at}/{number}"));
                    }
                }
                "$schema" | "$comment" | "$defs" | "title" => {}
                other => panic!("{other} is a word of JSON Schema that is not known here"),
            }
        }
    }

    fn properties(&mut self, rule: &Value, value: &Value, at: &str) {
        for (key, value) in value.as_object().into_iter().flatten() {
            match rule.get(key) {
                Some(schema) => self.check(schema, value, &format!("{at}/{key}")),
                None if self.is_strict => self.found.push(format!("{at}: {key} is in no schema")),
                None => {}
            }
        }
    }

    fn note(&mut self, holds: bool, at: &str, value: &Value) {
        if !holds {
            self.found.push(format!("{at}: {value} is not what it should be"));
        }
    }
}

fn is_of_type(rule: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    };
    match rule {
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        name => is(name.as_str().unwrap()),
    }
}

/// A pattern of digits in classes with counts, and plain letters: `^[0-9]{4}-[0-9]{2}T...Z$`.
fn has_pattern(rule: &Value, text: &str) -> bool {
    let mut pattern = rule.as_str().unwrap().trim_matches(['^', '$']);
    let mut chars = text.chars();
    while !pattern.is_empty() {
        if let Some(rest) = pattern.strip_prefix("[0-9]{") {
            let (count, rest) = rest.split_once('}').unwrap();
            if !(0..count.parse().unwrap()).all(|_| chars.next().is_some_and(|char| char.is_ascii_digit())) {
                return false;
            }
            pattern = rest;
        } else if chars.next() == pattern.chars().next() {
            pattern = &pattern[1..];
        } else {
            return false;
        }
    }
    chars.next().is_none()
}
