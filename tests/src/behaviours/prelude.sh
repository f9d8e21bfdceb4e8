# The words that rows use, and the loop that runs them. POSIX sh: dash and busybox run it. The
# variables are those of plan.rs; each row has $D, its directory, and $MARK, its last argument.

# tell NAME VALUE: a value that the row's expectations may name.
tell() { printf '%s=%s\n' "$1" "$2"; }

# cannot WHY: the machine has no such thing; the row is left out and the table says why.
cannot() {
    tell CANNOT "$*"
    exit 77
}

# program NAME [MODE [OWNER]]: a static binary that ends at once.
program() {
    cp "$TINY" "$1"
    chown "${3:-0}:${3:-0}" "$1"
    chmod "${2:-755}" "$1" # Last: a change of the owner takes setuid away.
}

# text NAME MODE OWNER TEXT: an executable file with this text, \n and \ooo in it as printf has them.
text() {
    printf "$4" >"$1"
    chown "$3:$3" "$1"
    chmod "$2" "$1"
}

# held COMMAND...: runs it with an open standard input until the event of this row is written, so that
# nothing about it is looked up in a hurry.
held() { "$HELPER" held "$EVENTS" "$MARK" "$@"; }

# in_namespaces KINDS COMMAND...: in new namespaces of these kinds (mnt,pid,net,uts,ipc,cgroup,time,user;
# root: mapped as root in the user namespace). What is mounted there goes with it.
in_namespaces() { "$HELPER" unshare "$@"; }

# namespace KIND: its number for the caller.
namespace() { readlink "/proc/self/ns/$1" | tr -dc 0-9; }

# device_of FILE: as events have it.
device_of() {
    number=$(stat -c %d "$1")
    echo "$((number >> 8 & 4095)):$((number & 255 | number >> 12 & 1048320))"
}

# cgroup NAME: makes one and prints its directory; its path below the top is NAME. In the unified
# hierarchy, or of the controller pids.
cgroup() {
    top=/sys/fs/cgroup
    [ -e $top/cgroup.controllers ] || top=/sys/fs/cgroup/pids
    [ -e $top/cgroup.procs ] || cannot "there are no cgroups"
    mkdir -p "$top/$1" || cannot "no cgroup can be made"
    echo "$top/$1"
}

# leave CGROUP: removes it. Its last process has ended, which the kernel may notice a moment later.
leave() {
    tries=0
    until rmdir "$1" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || return 1
        sleep 1
    done
}

# bytes TEXT...: base64 of what printf makes of it.
bytes() { printf "$@" | base64 | tr -d '\n'; }

# run_row ID ATTEMPT
run_row() {
    MARK=$RUN-$1-$2
    D=$WORK/$1-$2
    export D MARK
    mkdir "$D"
    (
        set -eu
        cd "$D"
        "row_$1"
    ) </dev/null >"$WORK/out" 2>"$WORK/err"
    code=$?
    {
        echo "@ $1 $2 $code"
        echo "D=$D"
        echo "MARK=$MARK"
        grep '^[A-Z_0-9]*=' "$WORK/out"
        sed 's/^/! /' "$WORK/err"
    } >>"$RESULTS"
    return $code
}

# run_rows ATTEMPTS_MAX: all rows, then those again whose event is missing.
run_rows() {
    {
        echo "@ all 0 0"
        tell USER_NAME "$(awk -F: '$3 == 1000 { print $1; exit }' /etc/passwd)"
        tell SH "$(readlink -f /bin/sh)"
        tell WAITS "$WAITS"
        tell TINY_BYTES "$(stat -c %s "$TINY")"
        for kind in mnt pid net uts ipc cgroup time user; do
            tell "NS_$(echo $kind | tr a-z A-Z)" "$(namespace $kind)"
        done
    } >"$RESULTS"
    attempt=1
    todo=$ROWS
    while :; do
        expected=
        for id in $todo; do
            run_row "$id" $attempt
            # 75: what it waited for did not come.
            case "$? $SILENT " in
                *" $id "*) ;;
                "0 "* | "75 "*) expected="$expected $id" ;;
            esac
        done
        # shellcheck disable=SC2086 # one word an id
        todo=$("$HELPER" unseen "$EVENTS" "$TINY" "$RUN" $attempt $expected) || return 1
        attempt=$((attempt + 1))
        [ -n "$todo" ] && [ $attempt -le "$1" ] || break
    done
}
