//! What the scripts and hooks of packages printed.

/// The packages and hooks whose scripts printed something, each with the lines below its name.
pub fn talkative(stdout: &str) -> Vec<(&str, Vec<&str>)> {
    const STEPS: &[&str] = &["upgrading ", "installing ", "reinstalling ", "downgrading ", "removing "];
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut current = None;
    let mut is_open = false;
    for line in stdout.lines().filter(|line| !line.trim().is_empty()) {
        let step = STEPS.iter().find_map(|step| line.strip_prefix(step)?.strip_suffix("..."));
        let hook = line.strip_prefix('(').and_then(|rest| rest.split_once(") "));
        let hook = hook.filter(|(count, _)| count.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/'));
        if let Some(name) = step.or(hook.map(|(_, name)| name)) {
            (current, is_open) = (Some(name), false);
        } else if line.starts_with("Errors occurred, ") {
            // The hook that is named last is the one that stopped pacman.
            found.extend(current.take().map(|name| (name, Vec::new())));
            is_open = false;
        } else if line.starts_with(":: ") {
            (current, is_open) = (None, false);
        } else if let Some(name) = current.take() {
            found.push((name, vec![line]));
            is_open = true;
        } else if let Some((_, said)) = found.last_mut().filter(|_| is_open) {
            said.push(line);
        }
    }
    found
}
