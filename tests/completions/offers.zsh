# Prints what an interactive zsh offers for a line when Tab is pressed, one word a line:
#     zsh -f offers.zsh DIRECTORY_OF_THE_COMPLETION LINE
zmodload zsh/zpty
found=$(mktemp)

# The shell that is looked at. Every match goes through compadd; comppostfuncs says that all have.
cat >$found.rc <<END
PS1=
fpath=($1 \$fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
    local -a hits
    [[ "\$*" != *-[OAD]* ]] && { builtin compadd -A hits "\$@"; print -l -- \$hits >>$found }
    builtin compadd "\$@"
}
tell() { comppostfuncs=(tell); print -- END >>$found }
comppostfuncs=(tell)
print READY >>$found
END
zpty shell env TERM=dumb zsh -f -i
zpty -w shell ". $found.rc"
wait_for() {
    integer tries=0
    while (( tries++ < 3000 )) && ! grep -qx $1 $found; do
        zpty -r -t shell ignored
        sleep 0.01
    done
}
wait_for READY
zpty -w -n shell "$2"$'\t'
wait_for END
zpty -d shell
grep -vx -e READY -e END $found
rm -f $found $found.rc
