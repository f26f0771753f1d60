//! The completions in contrib/ are those of the program (`UPDATE_COMPLETIONS=1` writes them anew), and
//! real shells complete by them.

use clap::{CommandFactory, ValueHint};
use clap_complete::{Shell, generate};
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_completions_are_those_of_the_command_line() {
    let dir = Path::new(ROOT).join("contrib/completions");
    let update = std::env::var_os("UPDATE_COMPLETIONS").is_some_and(|value| value == "1");
    for (shell, name) in
        [(Shell::Bash, "linux-patch.bash"), (Shell::Zsh, "_linux-patch"), (Shell::Fish, "linux-patch.fish")]
    {
        let mut made = Vec::new();
        // With hints, bash gets the word that is there already, and no space behind any value.
        let mut command = if shell == Shell::Bash { linux_patch::cli::Cli::command() } else { hinted() };
        generate(shell, &mut command, "linux-patch", &mut made);
        let mut made = String::from_utf8(made).unwrap();
        if shell == Shell::Bash {
            // clap_complete 4.6 sets one name where a subcommand begins and looks for this other one, where
            // the program's own name has a hyphen: nothing would be completed after a subcommand.
            made = made.replace("linux__subcmd__patch__subcmd__", "linux__patch__subcmd__");
            made = made.replacen("    prev=\"$3\"\n", BASH_VALUES, 1);
            made = made.replacen(BASH_WORDS, &without_values(&command), 1);
            for option in ["reboot", "history"] {
                let case = format!("                --{option})\n                    ");
                made = made.replacen(
                    &format!("{case}COMPREPLY=("),
                    &format!("{case}[[ -z \"${{joined}}\" ]] || COMPREPLY=("),
                    1,
                );
            }
            let alert = made.find("                --alert)\n").unwrap();
            let end = alert + made[alert..].find("                    return 0\n").unwrap();
            made.insert_str(end, "                    COMPREPLY=(\"${COMPREPLY[@]#\"${begun}\"}\")\n");
            made = without_files(&made);
        }
        if shell == Shell::Zsh {
            // Options may come behind a package; and these values are none after a blank.
            made = made.replace("'*::packages ", "'*:packages ");
            for option in ["reboot", "history"] {
                made = made.replace(&format!("'--{option}=["), &format!("'--{option}=-["));
            }
        }
        if shell == Shell::Fish {
            // argparse fails where the value of an option is still to come: there is no command yet either.
            made = made.replacen("or return\n", "or return 0\n", 1);
            // These values are none after a blank.
            made.insert_str(0, "complete -c linux-patch -f\n\n");
            let is_one = |line: &str| line.contains(" -l reboot -d ") || line.contains(" -l history -d ");
            let lines = made.lines().map(|line| {
                if is_one(line) { line.replace(" -r -f -a ", " -f -a ") } else { line.to_string() }
            });
            made = lines.map(|line| line + "\n").collect();
        }
        let path = dir.join(name);
        if update {
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == made, "contrib/completions/{name} is out of date: run make completions");
    }
}

/// The command line, with what the values are: only these options take the name of a file, which would be offered for
/// every other value too.
fn hinted() -> clap::Command {
    let hint = |arg: clap::Arg| match arg.get_id().as_str() {
        "state_dir" => arg.value_hint(ValueHint::DirPath),
        "output" => arg.value_hint(ValueHint::FilePath),
        _ if arg.get_action().takes_values() => arg.value_hint(ValueHint::Other),
        _ => arg,
    };
    linux_patch::cli::Cli::command().mut_args(hint).mut_subcommands(|command| command.mut_args(hint))
}

/// The same for bash.
fn without_files(made: &str) -> String {
    let mut takes_file = false;
    let lines = made.lines().map(|line| {
        if line.trim_start().starts_with('-') && line.ends_with(')') {
            takes_file = ["--state-dir)", "--output)"].contains(&line.trim());
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        match line.contains("COMPREPLY=($(compgen -f ") {
            // Behind a directory comes a slash and no space.
            true if takes_file => format!("{line}\n{indent}compopt -o filenames 2>/dev/null\n"),
            true => format!("{indent}COMPREPLY=()\n"),
            false => format!("{}\n", line.replace(" -o bashdefault -o default", "")),
        }
    });
    lines.collect()
}

/// bash makes several words of `--reboot=always` and of `security-age:7d=critical`, and puts what is offered behind
/// the last of them; and the value of --reboot is none after a blank.
const BASH_VALUES: &str = r#"    prev="$3"
    local joined="" begun="" value="" word="${COMP_WORDS[COMP_CWORD]}" at="${COMP_CWORD}"
    while ((at > 1)) && [[ "${COMP_WORDS[at]}" == [=:] || "${COMP_WORDS[at-1]}" == [=:] ]]; do
        ((at--))
        word="${COMP_WORDS[at]}${word}"
    done
    if ((at < COMP_CWORD)); then
        prev="${COMP_WORDS[at-1]}"
        if [[ "${word}" == --*=* ]]; then
            joined=1
            prev="${word%%=*}"
            word="${word#*=}"
        fi
        cur="${word}"
        begun="${word%"${word##*[=:]}"}"
    fi
"#;

/// Where bash looks for the command among the words.
const BASH_WORDS: &str = "    do\n        case \"${cmd},${i}\" in\n";

/// The value of a global option may have the name of a command, and is none.
fn without_values(command: &clap::Command) -> String {
    let with_value = command.get_arguments().filter(|arg| arg.get_action().takes_values());
    let names: Vec<_> = with_value.filter_map(|arg| Some(format!("--{}", arg.get_long()?))).collect();
    let skipped = format!(
        r#"    do
        case "${{value}},${{i}}" in
            1,=)
                continue
                ;;
            1,*)
                value=""
                continue
                ;;
            ,{})
                value=1
                ;;
        esac
"#,
        names.join(" | ,")
    );
    BASH_WORDS.replacen("    do\n", &skipped, 1)
}

/// What a shell offers for a line with the cursor at its end.
fn offers(shell: &str, line: &str) -> Vec<String> {
    let dir = Path::new(ROOT).join("contrib/completions");
    let mut command = Command::new(shell);
    command.current_dir(&dir).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent");
    match shell {
        "bash" => command.args(["--norc", "-c", BASH, "bash", line]),
        "zsh" => {
            let script = Path::new(ROOT).join("tests/completions/offers.zsh");
            command.arg("-f").arg(script).arg(&dir).arg(line)
        }
        _ => command.args(["--no-config", "-c", "source linux-patch.fish; complete -C $argv[1]", line]),
    };
    let output = command.output().unwrap_or_else(|error| panic!("these tests need {shell}: {error}"));
    let text = String::from_utf8(output.stdout).unwrap();
    // fish puts a description behind a tab.
    text.lines().map(|line| line.split('\t').next().unwrap().to_string()).collect()
}

/// What bash does when Tab is pressed.
const BASH: &str = r#"
. ./linux-patch.bash
COMP_LINE=$1
COMP_POINT=${#1}
line=${1//=/ = }
read -ra COMP_WORDS <<<"${line//:/ : }"
[[ $1 != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
[[ $(complete -p linux-patch) =~ -F\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" linux-patch "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
# With this option it offers files where nothing else is offered.
[[ ${#COMPREPLY[@]} != 0 || $(complete -p linux-patch) != *'-o default'* ]] || compgen -f -- "$cur"
"#;

/// Nothing in particular.
const NOTHING: &str = "";
/// The directory, with or without the slashes around it.
const USR: &str = "/usr";

#[test]
fn bash_zsh_and_fish_complete_commands_options_and_values() {
    for shell in ["bash", "zsh", "fish"] {
        for (line, offered, not_offered) in [
            ("linux-patch ", "apply", "--if-stale"),
            ("linux-patch re", "refresh", "status"),
            ("linux-patch refresh --", "--if-stale", "--reboot"),
            ("linux-patch apply --", "--reboot-delay", "--if-stale"),
            ("linux-patch status --al", "--alert", "--max-age"),
            ("linux-patch -q apply --dow", "--download-only", "--dry-run"),
            ("linux-patch --manager ", "zypper", "refresh"),
            ("linux-patch status --format ", "nagios", "apply"),
            ("linux-patch status --format=", "nagios", "--alert"),
            ("linux-patch --format=json st", "status", "refresh"),
            ("linux-patch apply --reboot=al", "always", "if-needed"),
            ("linux-patch apply --reboot=", "if-needed", "--security"),
            ("linux-patch status --history=", "apply", "--alert"),
            ("linux-patch status --alert ", "held-back", "--explain"),
            ("linux-patch status --alert sec", "security", "updates"),
            ("linux-patch status --alert=mir", "mirror:14d", "updates"),
            ("linux-patch status --alert security=cr", "critical", "updates"),
            ("linux-patch status --alert apply --alert re", "reboot", "--refresh"),
            ("linux-patch --format json --state-dir /tmp status --al", "--alert", "--max-age"),
            // The value of an option may have the name of a command.
            ("linux-patch --state-dir status re", "refresh", "--refresh"),
            ("linux-patch --state-dir=status re", "refresh", "--refresh"),
            ("linux-patch --state-dir apply status --al", "--alert", "--max-age"),
            ("linux-patch apply tb-hello --sec", "--security", "--strict"),
            ("linux-patch --state-dir /us", USR, "/us"),
            ("linux-patch status --output=/us", USR, "--output"),
            // What follows a blank is no value of these.
            ("linux-patch apply --reboot ", NOTHING, "always"),
            ("linux-patch status --history ", NOTHING, "refresh"),
            // No value of these is a file, nor is a package.
            ("linux-patch status --warning ", NOTHING, "linux-patch.bash"),
            ("linux-patch apply --exclude linux-p", NOTHING, "linux-patch.bash"),
            ("linux-patch apply linux-p", NOTHING, "linux-patch.bash"),
        ] {
            // fish and zsh offer the whole word.
            let whole = |offer: String| offer.rsplit('=').next().unwrap_or_default().to_string();
            let offers: Vec<_> = offers(shell, line).into_iter().map(whole).collect();
            let is_offered = |offer: &String| match offered {
                USR => offer.trim_matches('/') == "usr",
                offered => offer == offered,
            };
            assert!(offered == NOTHING || offers.iter().any(is_offered), "{shell}, {line:?}: {offers:?}");
            assert!(!offers.iter().any(|offer| offer == not_offered), "{shell}, {line:?}: {offers:?}");
        }
    }
}
