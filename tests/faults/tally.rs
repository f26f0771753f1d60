//! How much of an attack is tried, and the line that reports it.

/// `full` tries for `make faults`, `quick` ones otherwise.
pub fn share(quick: usize, full: usize) -> usize {
    if std::env::var_os("LINUX_PATCH_FAULTS").is_some_and(|value| value == "full") { full } else { quick }
}

/// One line of what `make faults` shows in the end.
pub fn tried(count: usize, what: &str) {
    println!("tried {count:6}  {what}");
}
