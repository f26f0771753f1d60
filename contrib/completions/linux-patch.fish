complete -c linux-patch -f

# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_linux_patch_global_optspecs
    string join \n manager= state-dir= format= v/verbose q/quiet h/help V/version
end

function __fish_linux_patch_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_linux_patch_global_optspecs) -- $cmd 2>/dev/null
    or return 0
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_linux_patch_using_subcommand
    set -l cmd (__fish_linux_patch_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c linux-patch -n "__fish_linux_patch_needs_command" -l manager -d 'Package manager to drive [default: the one that owns the system]' -r -f -a "apt\t''
dnf\t''
dnf5\t''
yum\t''
zypper\t''
apk\t''
pacman\t''"
complete -c linux-patch -n "__fish_linux_patch_needs_command" -l state-dir -d 'Directory of the state file and its lock' -r -f -a "(__fish_complete_directories)"
complete -c linux-patch -n "__fish_linux_patch_needs_command" -l format -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document'
nagios\t'One line of a monitoring plugin (status only)'
openmetrics\t'Metrics for a textfile collector (status only)'"
complete -c linux-patch -n "__fish_linux_patch_needs_command" -s v -l verbose -d 'Show what the package manager prints, and every package instead of the first 20'
complete -c linux-patch -n "__fish_linux_patch_needs_command" -s q -l quiet -d 'Say nothing when all is well'
complete -c linux-patch -n "__fish_linux_patch_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c linux-patch -n "__fish_linux_patch_needs_command" -s V -l version -d 'Print version'
complete -c linux-patch -n "__fish_linux_patch_needs_command" -f -a "refresh" -d 'Refresh the package index and record whether that worked'
complete -c linux-patch -n "__fish_linux_patch_needs_command" -f -a "status" -d 'Say whether the index is fresh, by exit code'
complete -c linux-patch -n "__fish_linux_patch_needs_command" -f -a "apply" -d 'Refresh, then install what is pending'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand refresh" -l max-age -d 'Age up to which the index counts as fresh' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand refresh" -l timeout -d 'Time budget of a refresh, lock waits included' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand refresh" -l splay -d 'Wait a share of this time first, constant per host (for cron)' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand refresh" -l manager -d 'Package manager to drive [default: the one that owns the system]' -r -f -a "apt\t''
dnf\t''
dnf5\t''
yum\t''
zypper\t''
apk\t''
pacman\t''"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand refresh" -l state-dir -d 'Directory of the state file and its lock' -r -f -a "(__fish_complete_directories)"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand refresh" -l format -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document'
nagios\t'One line of a monitoring plugin (status only)'
openmetrics\t'Metrics for a textfile collector (status only)'"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand refresh" -l if-stale -d 'Do nothing where the index is still fresh'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand refresh" -s v -l verbose -d 'Show what the package manager prints, and every package instead of the first 20'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand refresh" -s q -l quiet -d 'Say nothing when all is well'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand refresh" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -l max-age -d 'Age up to which the index counts as fresh' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -l timeout -d 'Time budget of a refresh, lock waits included' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -l history -d 'List the last 20 runs; with a number so many, with refresh or apply only those of that command' -f -a "refresh\t''
apply\t''"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -s w -l warning -d 'Age above which the exit code is 1; the same as --max-age' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -s c -l critical -d 'Age above which the exit code is 2' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -l alert -d 'Let something else change the exit code too: updates, security, held-back (each with :COUNT), security-age:DUR, reboot, services, mirror:DUR[@GLOB], support[:DUR] or apply, with =warning or =critical (may be repeated)' -r -f -a "updates\t''
updates=critical\t''
security\t''
security=critical\t''
security-age:7d\t''
security-age:7d=critical\t''
held-back\t''
held-back=critical\t''
reboot\t''
reboot=critical\t''
services\t''
services=critical\t''
mirror:14d\t''
mirror:14d=critical\t''
support\t''
support=critical\t''
apply\t''
apply=critical\t''"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -l exclude -d 'Leave out the packages whose names match (may be repeated)' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -l output -d 'Write the result to this file, replaced in one step, instead of standard output' -r -F
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -l manager -d 'Package manager to drive [default: the one that owns the system]' -r -f -a "apt\t''
dnf\t''
dnf5\t''
yum\t''
zypper\t''
apk\t''
pacman\t''"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -l state-dir -d 'Directory of the state file and its lock' -r -f -a "(__fish_complete_directories)"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -l format -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document'
nagios\t'One line of a monitoring plugin (status only)'
openmetrics\t'Metrics for a textfile collector (status only)'"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -l refresh -d 'Refresh first where the index is not fresh'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -l explain -d 'Say why the host is not fresh or not patched, what to do, and what will run next'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -s v -l verbose -d 'Show what the package manager prints, and every package instead of the first 20'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -s q -l quiet -d 'Say nothing when all is well'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l min-age -d 'Leave out updates that this host has known for less time, except security updates' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l exclude -d 'Leave out the packages whose names match (may be repeated)' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l from -d 'Install only updates from sources whose id matches, and what they need from others (may be repeated)' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l wait -d 'How long to wait for locks that others hold' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l not-after -d 'Begin no install after this time of the day, HH:MM in local time' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l reboot -d 'Reboot the machine afterwards [without a value: if-needed]' -f -a "if-needed\t'Only where the distribution or a newer kernel asks for it'
always\t'After every apply that did not fail'"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l reboot-delay -d 'How long to wait before the reboot, in whole minutes' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l reboot-at -d 'Reboot at the next HH:MM in local time, instead of after a delay' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l max-age -d 'Age up to which the index counts as fresh' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l timeout -d 'Time budget of a refresh, lock waits included' -r -f
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l manager -d 'Package manager to drive [default: the one that owns the system]' -r -f -a "apt\t''
dnf\t''
dnf5\t''
yum\t''
zypper\t''
apk\t''
pacman\t''"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l state-dir -d 'Directory of the state file and its lock' -r -f -a "(__fish_complete_directories)"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l format -d 'Form of the result on standard output' -r -f -a "text\t'For people'
json\t'One JSON document'
nagios\t'One line of a monitoring plugin (status only)'
openmetrics\t'Metrics for a textfile collector (status only)'"
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l security -d 'Install security updates only'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l full -d 'Also install updates that need the removal of a package'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l autoremove -d 'Also remove packages that were installed automatically and are no longer needed'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l download-only -d 'Download what is pending, install nothing'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l dry-run -d 'Refresh, say what would be installed, install nothing'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -l strict -d 'Install nothing where only some sources were refreshed'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -s v -l verbose -d 'Show what the package manager prints, and every package instead of the first 20'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -s q -l quiet -d 'Say nothing when all is well'
complete -c linux-patch -n "__fish_linux_patch_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
