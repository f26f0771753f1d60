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
        // `(11/12) ` and `( 3/12) `.
        let is_count = |count: &str| count.bytes().all(|byte| byte.is_ascii_digit() || b"/ ".contains(&byte));
        let hook = hook.filter(|(count, _)| is_count(count));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_known_by_its_number_however_many_there_are() {
        let text = ":: Running post-transaction hooks...\n( 3/12) Install DKMS modules\nno headers\n(11/12) Updating\nx\n";
        assert_eq!(talkative(text), [("Install DKMS modules", vec!["no headers"]), ("Updating", vec!["x"])]);
    }
}
