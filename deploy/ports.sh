# Sourced by quickstart and kafka/broker: free ports and who listens on them, from /proc, so that no tool is needed.
# shellcheck shell=bash

# Prints a free loopback port that is none of the arguments. Below the usual range of outgoing connections (32768 up),
# so that nothing takes the port of a stopped server by chance. Somebody may still take it before it is bound: the
# caller tries again.
free_port() {
    local used candidate
    used=" $(awk 'FNR > 1 {print $2}' /proc/net/tcp /proc/net/tcp6 2>/dev/null | sed 's/.*://' | sort -u \
        | while read -r hex; do printf '%d ' "0x$hex"; done) $* "
    while :; do
        candidate=$((12000 + (RANDOM * 32768 + RANDOM) % 20000))
        case "$used" in *" $candidate "*) ;; *) break ;; esac
    done
    printf '%s\n' "$candidate"
}

# Whether the process itself listens on the port, so that somebody else's server on a port taken meanwhile is not
# mistaken for ours.
listens() { # pid, port
    local hex inode
    hex=$(printf '%04X' "$2")
    while read -r inode; do
        find "/proc/$1/fd" -lname "socket:\[$inode\]" 2>/dev/null | grep -q . && return 0
    done < <(awk -v port=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == port {print $10}' \
        /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    return 1
}
