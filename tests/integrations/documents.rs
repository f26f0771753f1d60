//! What README.md, docs and the manual page show: code, and the commands in it.

use std::path::Path;

/// A file of the repository.
#[track_caller]
pub fn file(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()))
}

/// The files of docs/, by path.
pub fn docs() -> Vec<(String, String)> {
    let mut paths: Vec<_> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"))
        .unwrap()
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), file(&path))).collect()
}

/// Code in a text: blocks of lines, up to the next empty one, and what stands within a line.
pub struct Code {
    pub blocks: Vec<Vec<String>>,
    pub spans: Vec<String>,
}

impl Code {
    /// Fenced and indented blocks, and what stands between back quotes.
    pub fn of_markdown(text: &str) -> Code {
        let mut code = Code { blocks: Vec::new(), spans: Vec::new() };
        let (mut is_fenced, mut is_open) = (false, false);
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                is_fenced = !is_fenced;
                is_open = false;
                continue;
            }
            let inner = if is_fenced { Some(line) } else { line.strip_prefix("    ") };
            let Some(inner) = inner else {
                is_open = false;
                code.spans.extend(line.split('`').skip(1).step_by(2).map(str::to_string));
                continue;
            };
            if !is_open {
                code.blocks.push(Vec::new());
            }
            is_open = true;
            code.blocks.last_mut().expect("a block is open").push(inner.to_string());
        }
        code
    }

    /// Literal displays and literal words of the manual page.
    pub fn of_page(page: &str) -> Code {
        let mut code = Code { blocks: Vec::new(), spans: Vec::new() };
        let mut is_display = false;
        for line in page.lines() {
            match line {
                _ if line.starts_with(".Bd -literal") => {
                    is_display = true;
                    code.blocks.push(Vec::new());
                }
                ".Ed" => is_display = false,
                _ if is_display => code.blocks.last_mut().expect("a block is open").push(line.to_string()),
                _ => code.spans.extend(line.strip_prefix(".Li ").map(str::to_string)),
            }
        }
        code
    }

    /// All of it, line by line.
    pub fn lines(self) -> Vec<String> {
        self.blocks.into_iter().flatten().chain(self.spans).collect()
    }
}

/// The commands in a block, each in one piece and without its comment. Where the first line has a
/// prompt, what has none was printed.
pub fn commands(block: &[String]) -> Vec<String> {
    let prompt = ["$ ", "# "].into_iter().find(|prompt| block[0].starts_with(prompt));
    let mut commands: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in block {
        let line = match prompt {
            Some(prompt) => match line.strip_prefix(prompt) {
                Some(line) => line,
                None => continue,
            },
            None => line.as_str(),
        };
        let line = line.split_once(" # ").map_or(line, |(command, _)| command).trim();
        match commands.last_mut() {
            Some(last) if goes_on && is_loop(last) => *last += &format!("\n{line}"),
            Some(last) if goes_on => *last = format!("{} {line}", last.trim_end_matches('\\').trim_end()),
            _ => commands.push(line.to_string()),
        }
        let all = commands.last().expect("one was pushed");
        goes_on = all.ends_with(['|', '\\']) || is_loop(all) && !line.starts_with("done");
    }
    commands
}

fn is_loop(command: &str) -> bool {
    ["for ", "while "].iter().any(|word| command.starts_with(word))
}

/// The next refresh comes within an hour and may take two minutes.
#[test]
fn the_templates_pass_over_one_refresh_that_failed() {
    for (name, template) in [
        ("nagios/linux-patch.cfg", "name                 linux-patch\n"),
        ("icinga2/linux-patch.conf", "template Service \"linux-patch\""),
    ] {
        let path = format!("{}/contrib/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let template = text.split(template).nth(1).unwrap().split('}').next().unwrap();
        let number = |key: &str| {
            let line = template.lines().find(|line| line.trim_start().starts_with(key)).unwrap();
            let digits: String = line.chars().filter(char::is_ascii_digit).collect();
            digits.parse::<u32>().unwrap()
        };
        let minutes = number("retry_interval") * (number("max_check_attempts") - 1);
        assert!((63..=90).contains(&minutes), "{name}: {minutes} minutes");
    }
}
