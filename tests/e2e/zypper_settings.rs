//! Settings in zypp.conf, zypper.conf and variables change nothing that linux-patch reads, with the real zypper.

use std::time::Duration;

use crate::manager::{Manager, Package};
use crate::rpm::{Rpm, RpmRepo, rpm};
use crate::sandbox::{Running, Sandbox, is_newer};
use crate::zypper::{Zypper, one};

/// Every setting that changes what is printed, asked or answered, what a command may do and where things are kept, set
/// to the wrong value. Some are of one version only.
pub struct Misconfigured(Zypper);

const LIBZYPP: &str = "[main]\ncachedir = /srv/zypp\nmetadatadir = /srv/zypp/indexes\nsolvfilesdir = /srv/zypp/solved\n\
    packagesdir = /srv/zypp/downloads\nconfigdir = /srv/etc\nreposdir = /srv/repos\nservicesdir = /srv/services\n\
    varsdir = /srv/vars\nvendordir = /srv/vendors\nmultiversiondir = /srv/multiversion\n\
    locksfile.path = /srv/locks\nlocksfile.apply = no\nhistory.logfile = /srv/history\n\
    credentials.global.dir = /srv/credentials\ncredentials.global.file = /srv/credentials/all\n\
    update.datadir = /srv/data\nupdate.scriptsdir = /srv/scripts\nupdate.messagessdir = /srv/messages\n\
    update.messages.notify = single | false\nrepo.add.probe = true\nrepo.refresh.delay = 100000\n\
    repo.refresh.locales = de, fr\ncommit.downloadMode = DownloadOnly\nlock_timeout = -1\n\
    download.use_deltarpm = true\ndownload.use_deltarpm.always = true\ndownload.media_preference = volatile\n\
    download.media_mountdir = /srv/mounts\ndownload.max_concurrent_connections = 1\n\
    download.max_silent_tries = 1\ndownload.min_download_speed = 1\ndownload.max_download_speed = 100000000\n\
    download.transfer_timeout = 3600\ndownload.use_geoip_mirror = true\nsolver.focus = Update\n\
    solver.onlyRequires = true\nsolver.allowVendorChange = true\nsolver.dupAllowDowngrade = true\n\
    solver.dupAllowNameChange = false\nsolver.dupAllowArchChange = true\nsolver.dupAllowVendorChange = true\n\
    solver.cleandepsOnRemove = true\nsolver.noUpdateProvide = true\nsolver.upgradeTestcasesToKeep = 9\n\
    solver.upgradeRemoveDroppedPackages = true\nsolver.checkSystemFile = /srv/none\n\
    solver.checkSystemFileDir = /srv/none.d\nmultiversion = provides:multiversion(kernel)\n\
    multiversion.kernels = latest\nrpm.install.excludedocs = yes\ntechpreview.ZYPP_MEDIANETWORK = 1\n";

const ZYPPER: &str = "[main]\nshowAlias = no\nrepoListColumns = URkpna\n[solver]\ninstallRecommends = no\n\
    forceResolutionCommands = install,update,dist-upgrade,patch,remove\n[commit]\n\
    psCheckAccessDeleted = no\n[search]\nrunSearchPackages = always\n[color]\nuseColors = always\n\
    background = light\nresult = red\nmsgStatus = red\nmsgError = green\nmsgWarning = green\n\
    positive = red\nchange = red\nnegative = green\nhighlight = red\nlowlight = red\nprompt = red\n\
    promptOption = red\npkglistHighlight = all\npkglistHighlightAttribute = red\n[subcommand]\n\
    seachSubcommandInPath = yes\n";

const VARIABLES: &[&str] = &[
    "LC_ALL=de_DE.UTF-8",
    "LANG=de_DE.UTF-8",
    "LANGUAGE=de:fr",
    "COLUMNS=20",
    "TERM=xterm",
    "ZYPP_LOGFILE=-",
    "ZYPP_FULLLOG=1",
    "ZYPP_LIBSOLV_FULLLOG=1",
    "ZYPP_LIBSAT_FULLLOG=1",
    "ZYPP_MEDIA_CURL_DEBUG=2",
    "ZYPP_PROFILING=1",
    "ZYPP_PLUGIN_DEBUG=1",
    "ZYPP_RPM_DEBUG=1",
    "ZYPP_METALINK_DEBUG=1",
    "ZYPP_LOCK_TIMEOUT=-1",
    "ZYPP_LOCKFILE_ROOT=/srv",
    "ZYPP_READONLY_HACK=1",
    "ZYPP_COMMIT_NO_PACKAGE_CACHE=1",
    "ZYPP_PCK_PRELOAD=0",
    "ZYPP_SINGLE_RPMTRANS=0",
    "ZYPP_CLASSIC_RPMTRANS=1",
    "ZYPP_IS_RUNNING=1",
    "ZYPP_REPO_RELEASEVER=1",
    "ZYPPER_PBD=1",
    "YAST_IS_RUNNING=1",
    "HOME=/srv/home",
];

impl Manager for Misconfigured {
    as_unturned!(Zypper);
    const DOWNLOADS: &'static str = "/srv/zypp/downloads";
    const INDEXES: &'static str = "/srv/zypp";

    fn gone() -> &'static str {
        Zypper::gone()
    }

    fn new() -> Misconfigured {
        let manager = Zypper::new();
        let sandbox = manager.sandbox();
        sandbox.sh("mkdir -p /srv/zypp /srv/repos /srv/etc /srv/home; rm -r /etc/zypp/repos.d");
        sandbox.write("/etc/zypp/zypp.conf", LIBZYPP);
        sandbox.write("/etc/zypp/zypper.conf", ZYPPER);
        sandbox.write("/srv/home/.zypper.conf", ZYPPER);
        let script = format!("export {}\nexec /usr/bin/linux-patch \"$@\"", VARIABLES.join(" "));
        sandbox.write_script("/usr/local/bin/linux-patch", &script);
        Misconfigured(manager)
    }

    fn add_source(&self, name: &str, repo: &RpmRepo) {
        self.0.add_repo(name, repo);
        self.sandbox().sh(&format!("mv /etc/zypp/repos.d/{name}.repo /srv/repos/"));
    }

    fn core(&self, version: &str) -> Package {
        let package = self.0.core(version);
        self.sandbox().sh("mkdir -p /srv/etc; mv /etc/zypp/needreboot.d /srv/etc/");
        package
    }

    fn hold_lock(&self, time: Duration) -> (Running<'_>, u32) {
        self.0.hold_lock(time)
    }
}

/// What the scenarios do not do: patches are listed and described, a selection is locked, what is in the way
/// is removed.
#[test]
fn no_setting_changes_what_is_read_and_done() {
    let root = Misconfigured::new();
    let repo = RpmRepo::new(&[]);
    let new = ["tb-sec", "tb-two", "tb-ex"].map(|name| rpm(name, "2.0"));
    repo.publish_with_advisory("security", &[new.as_slice(), &[full()]].concat());
    root.add_source("test", &repo);
    let old = ["tb-sec", "tb-two", "tb-ex", "tb-old", "tb-full"].map(|name| rpm(name, "1.0"));
    root.0.root.install(&old);
    let patch = |args: &[&str]| root.0.patch(args);
    patch(&["refresh"]).exits(0).remembers("/pending/count", 3).remembers("/pending/security", 1);
    patch(&["apply", "--security"]).applied(&["tb-sec 1.0-1 2.0-1"]);
    patch(&["apply", "--exclude", "tb-ex"]).applied(&["tb-two 1.0-1 2.0-1"]);
    patch(&["apply", "--full"]).exits(0).changed(&[
        "tb-ex 1.0-1 2.0-1",
        "tb-full 1.0-1 2.0-1",
        "tb-old 1.0-1 -",
    ]);
}

fn full() -> Rpm {
    rpm("tb-full", "2.0").tag("Conflicts: tb-old")
}

/// If only downloads are made, a list made them too.
#[test]
fn a_refresh_downloads_no_package_whatever_the_mode_of_downloads() {
    let (root, repo) = one(&[rpm("tb-hello", "1.0")], &[rpm("tb-hello", "2.0")]);
    root.sandbox().write("/etc/zypp/zypp.conf", "[main]\ncommit.downloadMode = DownloadOnly\n");
    root.patch(&["refresh"]).exits(0).leaves_pending(&["tb-hello 1.0-1 2.0-1"]);
    assert_eq!(repo.server.requests("/tb-hello-"), 0);
    root.patch(&["apply"]).applied(&["tb-hello 1.0-1 2.0-1"]);
}

/// Only new versions record there what was installed.
#[test]
fn a_history_elsewhere_tells_of_a_run_that_was_cut_off_and_rules_elsewhere_of_what_stays() {
    if !is_newer() {
        return;
    }
    let slow = rpm("tb-slow", "2.0").post("touch /run/in-post; [ -e /run/fast ] || sleep 60");
    let slow = slow.tag("Requires(post): tb-conf >= 2.0, tb-ex >= 2.0");
    let new = [slow, rpm("tb-conf", "2.0"), rpm("tb-ex", "2.0")];
    let (root, _repo) = one(&["tb-slow", "tb-conf", "tb-ex"].map(|name| rpm(name, "1.0")), &new);
    let sandbox = root.sandbox();
    let text = "[main]\nhistory.logfile = /srv/history\nmultiversiondir = /srv/multiversion\n";
    sandbox.write("/etc/zypp/zypp.conf", text);
    sandbox.write("/srv/multiversion/conf", "tb-conf\n");
    let mut command = sandbox.command("zypper");
    command.args(["-n", "update"]);
    let running = sandbox.start(command);
    sandbox.wait_for_file("/run/in-post");
    let history = || sandbox.read("/srv/history").unwrap_or_default();
    sandbox.wait_until("both are on record", || {
        ["|tb-ex|", "|tb-conf|"].iter().all(|name| history().contains(name))
    });
    sandbox.kill_everything();
    running.wait();
    sandbox.write("/run/fast", "");
    let versions = || sandbox.sh("rpm -q --qf '%{NAME} %{VERSION}\n' tb-conf tb-ex | sort");
    assert_eq!(versions(), "tb-conf 1.0\ntb-conf 2.0\ntb-ex 1.0\ntb-ex 2.0\n");
    root.patch(&["apply"]).repaired();
    assert_eq!(versions(), "tb-conf 1.0\ntb-conf 2.0\ntb-ex 2.0\n");
}
