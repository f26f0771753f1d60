//! The patterns of `--exclude`.

use glob::Pattern;

/// The patterns of `--exclude`.
///
/// # Errors
/// When one holds what no package name does.
pub fn patterns(globs: &[String]) -> Result<Vec<Pattern>, String> {
    let allowed = |glob: &str| {
        !glob.is_empty()
            && glob.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._:*?[]!".contains(&byte))
    };
    let pattern = |glob: &String| match Pattern::new(glob) {
        Ok(pattern) if allowed(glob) => Ok(pattern),
        _ => Err(format!("{glob:?} is not a pattern of package names, like linux-image-*")),
    };
    globs.iter().map(pattern).collect()
}

/// Whether one of them matches a name, with or without its architecture.
pub fn matches(patterns: &[Pattern], name: &str, plain: &str) -> bool {
    patterns.iter().any(|glob| glob.matches(name) || glob.matches(plain))
}
