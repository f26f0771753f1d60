//! yum 3.4: Red Hat Enterprise Linux 7, CentOS 7, Amazon Linux 2. Behaviour measured with yum
//! 3.4.3 as it was last published, and rpm 4.14.

mod autoremove;
mod classes;
mod commands;
mod culprits;
mod errors;
mod lists;
mod refresh;
mod settings;

use crate::managers::capabilities::{Autoremove, ConfigFile};
use crate::managers::database::Database;
use crate::managers::facts::{Facts, Places, Plan, RebootPackages};
use crate::managers::machine::Machine;
use crate::managers::manager::Manager;
use crate::managers::origins::Origins;
use crate::managers::rpm;
use crate::managers::rpm::advisories::Advisories;
use crate::managers::rpm::database::Rpm;
use crate::managers::rpm::tables::silence;
use crate::model::failure::Failure;
use crate::model::listing::Listing;
use crate::model::packages::{CutOff, Damage};
use crate::model::published::Published;
use crate::model::refreshed::Refreshed;
use crate::model::updates::HeldBack;
use crate::system::process::{End, Finished, Invocation};
use commands::{SOURCES, choice, yum};
use glob::Pattern;
use std::time::Duration;

/// What never changes of it.
static FACTS: Facts = Facts {
    name: "yum",
    programs: &["yum"],
    systems: rpm::systems::OF_YUM,
    package_databases: &["/var/lib/rpm/Packages"],
    source_config: SOURCES,
    index: &["/var/cache/yum", "/etc/yum/pluginconf.d"],
    cache: "/var/cache/yum",
    stamp: Some("cachecookie"),
    unknown: refresh::NO_REPOSITORY,
    locks: rpm::LOCKS,
    pid_files: &["/var/run/yum.pid"],
    // yum itself cannot tell, so a newer kernel counts, and the packages that needs-restarting in yum-utils knows.
    reboot_packages: RebootPackages {
        names: &[
            "kernel",
            "kernel-rt",
            "glibc",
            "linux-firmware",
            "systemd",
            "udev",
            "openssl-libs",
            "gnutls",
            "dbus",
        ],
        directories: &[],
    },
    knows_security: true,
    rules: rpm::RULES,
    settings_in: &["/etc/yum.conf", "/etc/yum.repos.d", "/etc/yum/repos.d"],
    ..Facts::NONE
};

/// The manager of this folder.
#[derive(Debug)]
pub struct Yum;

impl Manager for Yum {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn database(&self) -> &'static dyn Database {
        &Rpm
    }

    fn repair(&self, _: &Places, damage: &Damage) -> Vec<Invocation> {
        // The next update does not see the older one of two versions that were left. `yum-complete-transaction` would
        // remove these, but also packages, as a whole, whose update had not begun.
        rpm::leftovers::repair(damage, None)
    }

    fn refresh(&self, budget: Duration) -> Invocation {
        // yum never names the repositories that it refreshed, and says nothing where it leaves one out because the disk
        // is too full. It disables the ones that it leaves out, and its shell can be asked for these in the same run.
        // `-v` would say as much, but also hide all warnings; `-d 6 -e 2` does not. No filter of the administrator's
        // may let `check-update` accept an old index.
        let timeout = silence(budget);
        let mut options = vec!["-d", "6", "-e", "2", SKIP, "--setopt=*.metadata_expire=0"];
        options.extend(["--setopt=*.metadata_expire_filter=never", "--setopt=*.retries=1", &timeout]);
        Invocation { input: QUESTIONS, ..yum(&options, &["shell", "/proc/self/fd/0"]) }
    }

    fn judge(&self, finished: &Finished) -> Refreshed {
        refresh::judge(finished)
    }

    fn pending(&self, plan: &Plan) -> Invocation {
        yum(&["-C", SKIP], &[]).with(choice(plan)).with(["check-update"])
    }

    fn parse_pending(&self, text: &str) -> Listing {
        lists::pending(text)
    }

    fn list(&self, plan: &Plan) -> Invocation {
        list(plan)
    }

    fn parse_list(&self, text: &str) -> Listing {
        lists::transaction(text)
    }

    fn parse_origins(&self, text: &str) -> Origins {
        rpm::advisories::parse(text)
    }

    fn list_needs(&self, plan: &Plan, names: &[String]) -> Invocation {
        list_needs(plan, names)
    }

    fn download(&self, plan: &Plan) -> Option<Invocation> {
        Some(download(plan))
    }

    fn install(&self, plan: &Plan, _: &Finished) -> Invocation {
        // `-C` uses nothing but the cache, so that the install cannot wait for a mirror.
        // With this, rpm names the configuration files that it leaves aside.
        update(plan, &["-y", "-C", "--setopt=rpmverbosity=info"], &[])
    }

    fn autoremove(&self) -> Option<&'static dyn Autoremove> {
        Some(&autoremove::UNNEEDED)
    }

    fn install_began(&self, finished: &Finished) -> bool {
        errors::install_began(finished)
    }

    fn classify(&self, finished: &Finished) -> Option<Failure> {
        errors::classify(finished)
    }

    fn culprits(&self, finished: &Finished) -> Vec<HeldBack> {
        culprits::culprits(finished)
    }

    fn keyless(&self, finished: &Finished) -> Option<String> {
        culprits::keyless(finished)
    }

    fn cut_off_runs(&self, _: &dyn Machine) -> Vec<CutOff> {
        rpm::history::not_done(&rpm::history::text_of_files("/var/lib/yum", "transaction-"))
    }

    fn sources_of_files(&self, files: Vec<ConfigFile>) -> Option<Vec<String>> {
        Some(rpm::files::enabled(&files))
    }

    fn with_files(&self, refreshed: Refreshed, read: &dyn Fn() -> Vec<ConfigFile>) -> Refreshed {
        rpm::files::in_the_light_of(read(), refreshed)
    }

    fn pending_of_refresh(&self, finished: &Finished) -> Option<Listing> {
        Some(refresh::pending(finished))
    }

    fn tell_security(&self, machine: &dyn Machine, listing: &mut Listing) -> Result<(), Failure> {
        let advisories = Advisories {
            open: ask_advisories("updates"),
            settled: ask_advisories("installed"),
            read: rpm::advisories::parse,
            plan: list_security(),
            read_plan: lists::transaction,
        };
        advisories.tell_security(machine, listing)
    }

    fn plan_of_download(&self, finished: &Finished) -> Option<Listing> {
        Some(lists::transaction(&finished.stdout))
    }

    fn was_done_when_killed(&self, finished: &Finished) -> bool {
        matches!(finished.end, End::Signal(_)) && errors::all_steps_done(finished)
    }

    fn release_files(&self, id: &str) -> Vec<String> {
        // Below the architecture and the release, as in most configurations.
        let id = Pattern::escape(id);
        ["", "*/", "*/*/"].map(|above| format!("{above}{id}/repomd.xml")).into()
    }

    fn published(&self, text: &str) -> Published {
        Published::of_repomd(text)
    }

    fn is_index(&self, path: &str) -> bool {
        path.ends_with("/repomd.xml")
    }
}

/// A repository that is down must not keep the others from being refreshed. But yum then uses the index that it has,
/// and exits as if that were the new one.
const SKIP: &str = "--setopt=*.skip_if_unavailable=1";

/// Commands after a refresh use exactly what it fetched.
const AS_REFRESHED: &str = "--setopt=*.metadata_expire=never";

/// The questions for one start of yum in a refresh: which repositories are disabled, what is pending, which
/// repositories are still enabled after that.
const QUESTIONS: &str = "repolist disabled\ncheck-update\nrepolist all\n";

/// One package with unmet dependencies stops yum from updating any, unless it may skip it. `upgrade` also replaces
/// obsolete packages where yum.conf turns that off.
fn update(plan: &Plan, options: &[&str], names: &[String]) -> Invocation {
    let verb = if plan.full { "upgrade" } else { "update" };
    let choice = choice(plan).into_iter().chain(rpm::excludes::of_keyless(plan));
    yum(&["--skip-broken"], options).with(choice).with([verb]).with(names)
}

/// `--assumeno` outranks an `assumeyes` in yum.conf; if it did not, only a test would run.
fn list(plan: &Plan) -> Invocation {
    list_needs(plan, &[])
}

/// Without `-C`: to find out that a dependency cannot be met, yum reads the lists of files, which a refresh does not
/// fetch.
fn list_needs(plan: &Plan, names: &[String]) -> Invocation {
    let options = [
        "--assumeno",
        "--setopt=tsflags=test",
        // A repository without a key must not stop the list; packages are checked before they are installed.
        "--setopt=*.gpgcheck=0",
        AS_REFRESHED,
        "--setopt=*.timeout=10",
        "--setopt=*.retries=1",
    ];
    update(plan, &options, names)
}

/// What would be done for security updates alone.
fn list_security() -> Invocation {
    let mut invocation = list(&Plan::default());
    invocation.args.insert(0, "--security".to_string());
    invocation
}

/// Asks for the advisories of every kind that pending updates would settle (`updates`), or that installed packages have
/// settled (`installed`).
fn ask_advisories(which: &str) -> Invocation {
    yum(&["-q", "-C", SKIP], &["updateinfo", "list", which])
}

fn download(plan: &Plan) -> Invocation {
    let options = ["-y", "--downloadonly", AS_REFRESHED, "--setopt=*.timeout=30", "--setopt=*.retries=1"];
    update(plan, &options, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(stdout: &str) -> Finished {
        Finished::ended(143, stdout, "")
    }

    #[test]
    fn what_a_repository_says_of_itself_is_found_where_yum_keeps_it() {
        // By default the cache is below the architecture and the release, but it can be elsewhere.
        let patterns = Yum.release_files("a[1]");
        assert_eq!(patterns, ["a[[]1[]]/repomd.xml", "*/a[[]1[]]/repomd.xml", "*/*/a[[]1[]]/repomd.xml"]);
        let text = "<repomd><revision>1767225600</revision><data type=\"updateinfo\">";
        let published = Yum.published(text);
        assert_eq!(published.at.unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(published.has_advisories, Some(true));
    }

    #[test]
    fn only_a_transaction_whose_last_step_is_printed_is_done() {
        let head = "Running transaction check\nRunning transaction test\n";
        assert!(!errors::install_began(&printed(head)));
        let steps = |steps: &str| printed(&format!("{head}Running transaction\n{steps}"));
        assert!(errors::install_began(&steps("")) && !errors::all_steps_done(&steps("")));
        assert!(!errors::all_steps_done(&steps("  Updating   : a-2-1.noarch      1/2 \n")));
        assert!(!errors::all_steps_done(&steps(
            "  Updating   : a-2-1.noarch      1/2 \nfrom a script: 2/2\n"
        )));
        assert!(errors::all_steps_done(&steps("  Cleanup    : a-1-1.noarch      2/2 \nfrom a script\n")));
        assert!(errors::all_steps_done(&steps("  Verifying  : a-2-1.noarch      1/2 \n")));
    }

    #[test]
    fn a_refresh_hides_no_warning_and_is_content_with_no_old_index() {
        let line = Yum.refresh(Duration::from_secs(120)).line();
        for word in [
            " -d 6 -e 2 ",
            " --setopt=*.skip_if_unavailable=1 ",
            " --setopt=*.metadata_expire=0 ",
            " --setopt=*.metadata_expire_filter=never ",
            " --setopt=*.timeout=8 ",
        ] {
            assert!(line.contains(word), "{word:?} is not in {line}");
        }
        assert!(!line.contains(" -v "), "{line}");
        assert!(download(&Plan::default()).line().contains(" --skip-broken "));
    }

    #[test]
    fn what_is_left_out_stands_on_the_command_line_and_a_file_is_no_repository() {
        let plan = Plan {
            without: vec!["extra".into(), "/etc/yum.repos.d/x.repo".into()],
            left_out: vec!["kernel".into()],
            ..Plan::default()
        };
        let line = list_needs(&plan, &["tb-a".into()]).line();
        assert!(line.ends_with(" --disablerepo=extra --exclude=kernel update tb-a"), "{line}");
        let full = Plan { full: true, ..Plan::default() };
        assert!(
            Yum.install(&full, &printed("")).line().ends_with(" -y -C --setopt=rpmverbosity=info upgrade")
        );
    }
}
