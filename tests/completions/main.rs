//! The completions in contrib/ are those of the program (`UPDATE_COMPLETIONS=1` writes them anew), and
//! real shells complete by them.

use clap::CommandFactory;
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
        generate(shell, &mut linux_patch::cli::Cli::command(), "linux-patch", &mut made);
        let mut made = String::from_utf8(made).unwrap();
        if shell == Shell::Bash {
            // clap_complete 4.6 sets one name where a subcommand begins and looks for this other one, where
            // the program's own name has a hyphen: nothing would be completed after a subcommand.
            made = made.replace("linux__subcmd__patch__subcmd__", "linux__patch__subcmd__");
            made = made.replacen("    prev=\"$3\"\n", BASH_VALUES, 1);
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
        }
        if shell == Shell::Fish {
            // argparse fails where the value of an option is still to come: there is no command yet either.
            made = made.replacen("or return\n", "or return 0\n", 1);
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

/// bash makes several words of `--reboot=always` and of `security-age:7d=critical`, and puts what is offered behind
/// the last of them; and the value of --reboot is none after a blank.
const BASH_VALUES: &str = r#"    prev="$3"
    local joined="" begun="" word="${COMP_WORDS[COMP_CWORD]}" at="${COMP_CWORD}"
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
"#;

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
        ] {
            // fish and zsh offer the whole word.
            let whole = |offer: String| offer.rsplit('=').next().unwrap_or_default().to_string();
            let offers: Vec<_> = offers(shell, line).into_iter().map(whole).collect();
            assert!(offers.iter().any(|offer| offer == offered), "{shell}, {line:?}: {offers:?}");
            assert!(!offers.iter().any(|offer| offer == not_offered), "{shell}, {line:?}: {offers:?}");
        }
    }
}
