_linux__patch() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
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
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${value},${i}" in
            1,=)
                continue
                ;;
            1,*)
                value=""
                continue
                ;;
            ,--manager | ,--state-dir | ,--format)
                value=1
                ;;
        esac
        case "${cmd},${i}" in
            ",$1")
                cmd="linux__patch"
                ;;
            linux__patch,apply)
                cmd="linux__patch__subcmd__apply"
                ;;
            linux__patch,refresh)
                cmd="linux__patch__subcmd__refresh"
                ;;
            linux__patch,status)
                cmd="linux__patch__subcmd__status"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        linux__patch)
            opts="-v -q -h -V --manager --state-dir --format --verbose --quiet --help --version refresh status apply"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --manager)
                    COMPREPLY=($(compgen -W "apt dnf dnf5 yum zypper apk pacman" -- "${cur}"))
                    return 0
                    ;;
                --state-dir)
                    COMPREPLY=($(compgen -f "${cur}"))
                    compopt -o filenames 2>/dev/null
                    return 0
                    ;;
                --format)
                    COMPREPLY=($(compgen -W "text json nagios openmetrics" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        linux__patch__subcmd__apply)
            opts="-v -q -h --security --min-age --exclude --from --full --autoremove --download-only --dry-run --wait --strict --not-after --reboot --reboot-delay --reboot-at --max-age --timeout --manager --state-dir --format --verbose --quiet --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --min-age)
                    COMPREPLY=()
                    return 0
                    ;;
                --exclude)
                    COMPREPLY=()
                    return 0
                    ;;
                --from)
                    COMPREPLY=()
                    return 0
                    ;;
                --wait)
                    COMPREPLY=()
                    return 0
                    ;;
                --not-after)
                    COMPREPLY=()
                    return 0
                    ;;
                --reboot)
                    [[ -z "${joined}" ]] || COMPREPLY=($(compgen -W "if-needed always" -- "${cur}"))
                    return 0
                    ;;
                --reboot-delay)
                    COMPREPLY=()
                    return 0
                    ;;
                --reboot-at)
                    COMPREPLY=()
                    return 0
                    ;;
                --max-age)
                    COMPREPLY=()
                    return 0
                    ;;
                --timeout)
                    COMPREPLY=()
                    return 0
                    ;;
                --manager)
                    COMPREPLY=($(compgen -W "apt dnf dnf5 yum zypper apk pacman" -- "${cur}"))
                    return 0
                    ;;
                --state-dir)
                    COMPREPLY=($(compgen -f "${cur}"))
                    compopt -o filenames 2>/dev/null
                    return 0
                    ;;
                --format)
                    COMPREPLY=($(compgen -W "text json nagios openmetrics" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        linux__patch__subcmd__refresh)
            opts="-v -q -h --if-stale --max-age --timeout --splay --manager --state-dir --format --verbose --quiet --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --max-age)
                    COMPREPLY=()
                    return 0
                    ;;
                --timeout)
                    COMPREPLY=()
                    return 0
                    ;;
                --splay)
                    COMPREPLY=()
                    return 0
                    ;;
                --manager)
                    COMPREPLY=($(compgen -W "apt dnf dnf5 yum zypper apk pacman" -- "${cur}"))
                    return 0
                    ;;
                --state-dir)
                    COMPREPLY=($(compgen -f "${cur}"))
                    compopt -o filenames 2>/dev/null
                    return 0
                    ;;
                --format)
                    COMPREPLY=($(compgen -W "text json nagios openmetrics" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        linux__patch__subcmd__status)
            opts="-w -c -v -q -h --refresh --max-age --timeout --explain --history --warning --critical --alert --exclude --output --manager --state-dir --format --verbose --quiet --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --max-age)
                    COMPREPLY=()
                    return 0
                    ;;
                --timeout)
                    COMPREPLY=()
                    return 0
                    ;;
                --history)
                    [[ -z "${joined}" ]] || COMPREPLY=($(compgen -W "refresh apply" -- "${cur}"))
                    return 0
                    ;;
                --warning)
                    COMPREPLY=()
                    return 0
                    ;;
                -w)
                    COMPREPLY=()
                    return 0
                    ;;
                --critical)
                    COMPREPLY=()
                    return 0
                    ;;
                -c)
                    COMPREPLY=()
                    return 0
                    ;;
                --alert)
                    COMPREPLY=($(compgen -W "updates updates=critical security security=critical security-age:7d security-age:7d=critical held-back held-back=critical reboot reboot=critical services services=critical mirror:14d mirror:14d=critical support support=critical apply apply=critical" -- "${cur}"))
                    COMPREPLY=("${COMPREPLY[@]#"${begun}"}")
                    return 0
                    ;;
                --exclude)
                    COMPREPLY=()
                    return 0
                    ;;
                --output)
                    COMPREPLY=($(compgen -f "${cur}"))
                    compopt -o filenames 2>/dev/null
                    return 0
                    ;;
                --manager)
                    COMPREPLY=($(compgen -W "apt dnf dnf5 yum zypper apk pacman" -- "${cur}"))
                    return 0
                    ;;
                --state-dir)
                    COMPREPLY=($(compgen -f "${cur}"))
                    compopt -o filenames 2>/dev/null
                    return 0
                    ;;
                --format)
                    COMPREPLY=($(compgen -W "text json nagios openmetrics" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _linux__patch -o nosort linux-patch
else
    complete -F _linux__patch linux-patch
fi
