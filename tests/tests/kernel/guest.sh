# Runs in the guest, as root. $MODES, set before it, are the capture modes to go through, $rows_MODE and
# $silent_MODE the rows for each. Each exec that a test looks for carries a mark as its last argument.

# The event file is in this one place for whichever mode is at work, since rows wait for events there.
events=/run/events.ndjson

lib=/usr/lib/rows

prepare() {
    # The name by which the interpreter of a script opens what was executed by descriptor.
    ln -s /proc/self/fd /dev/fd
    mkdir /opt
    cp $lib/tiny /opt/program
    cp $lib/exec_helper /opt/root
    mkdir /run/unified
    mount -t cgroup2 none /run/unified
    mkdir -p /run/unified/filtered/below /run/unified/limited
    for mode in auto lsm fentry tracepoint; do
        printf 'capture: { mode: %s, failures: all, env: [LD_PRELOAD, SSH_CONNECTION], syscall_tracepoints: true }\nspool: { dir: /run/spool-%s, disk_free_min: 1MiB, bytes_max: 16MiB }\nsinks:\n  - { name: local, type: file, path: %s }\n' \
            $mode $mode $events >/etc/$mode.yaml
        # Tracepoints of system calls cannot be pinned before 5.15.
        sed '1s/, syscall_tracepoints: true }/, pin: true }/; s/spool-/pinned-/' /etc/$mode.yaml >/etc/$mode-pinned.yaml
        # Every filter at once. Nothing is in a namespace with such a number.
        { printf 'capture:\n  mode: %s\n  failures: all\n  syscall_tracepoints: true\n  exit: true\n' $mode
            printf '  exclude: { uids: [54321, 60000-60010], cgroups: [/filtered], trees: [/opt/root]\n'
            printf '    , namespaces: [pid: 1, mnt: 1, net: 1, user: 1] }\n'
            printf '  rate_limit_per_cgroup: { per_second: 1, burst: 10 }\n'
            sed '1d; s/spool-/filters-/' /etc/$mode.yaml; } >/etc/$mode-filters.yaml
    done
}

# start MODE: false when the daemon ends instead. Programs run all the time meanwhile.
start() {
    : >/run/log # What the one before said would count for this one.
    shipper run --config "/etc/$1.yaml" 2>/run/log &
    shipper=$!
    until grep -q 'capture has begun' /run/log; do
        kill -0 $shipper 2>/dev/null || return 1
        usleep 20000
    done
}

# stop NAME: hands out what the daemon logged and wrote, and its exit code.
stop() {
    kill -TERM $shipper 2>/dev/null
    wait $shipper
    echo $? >/run/code
    emit_file "$1.code" /run/code
    emit_file "$1.log" /run/log
    if [ -e $events ]; then
        # A serial port is slow.
        gzip -c $events >/run/events.gz
        emit_file "$1.ndjson.gz" /run/events.gz
        rm $events
    fi
}

storm() {
    number=$1
    while [ "$number" -lt "$2" ]; do
        /opt/program "storm-$number"
        number=$((number + 1))
    done
}

# behaviours MODE: the rows of tests/behaviours, then a storm.
behaviours() {
    mkdir /opt/rows-$1 || exit 1
    # shellcheck disable=SC1091 # made by the test
    (
        WORK=/opt/rows-$1 EVENTS=$events RESULTS=/run/rows RUN=row-$1
        HELPER=$lib/exec_helper TINY=$lib/tiny WAITS=$lib/waits TINY32=$lib/tiny32
        eval "ROWS=\$rows_$1 SILENT=\$silent_$1"
        export WORK EVENTS RESULTS RUN HELPER TINY WAITS TINY32 ROWS SILENT
        sh $lib/script
    )
    emit_file "$1.rows" /run/rows
    rm -rf /opt/rows-$1 /run/rows

    /opt/program last
    storm 0 350
    # These compete for the CPU, and the daemon is told to stop right behind them.
    storm 350 400 & first=$!
    storm 400 450 & second=$!
    storm 450 500 & third=$!
    wait $first $second $third
}

pinned() {
    number=$1
    while [ "$number" -lt "$2" ]; do
        /opt/program "pinned-$number"
        number=$((number + 1))
    done
}

# pinning MODE: the daemon is killed while programs run, and started again; then the pins are removed.
pinning() {
    start "$1-pinned" || return 0
    pinned 0 20
    kill -KILL $shipper
    wait $shipper
    pinned 20 60
    start "$1-pinned"
    pinned 60 80
    stop "$1-pinned"
    { shipper unpin && ls -A /sys/fs/bpf; } >/run/unpin 2>&1
    emit_file "$1-pinned.unpin" /run/unpin
}

# in CGROUP COMMAND: in a shell that has gone there.
in_cgroup() {
    procs=/run/unified/$1/cgroup.procs
    shift
    # The shell goes out again, so that only what it executed is of the cgroup.
    sh -c 'procs=$1; shift; echo $$ >"$procs"; "$@"; echo $$ >/run/unified/cgroup.procs' sh "$procs" "$@"
}

# filtering MODE: what is left out, and what is not.
filtering() {
    if start "$1-filters"; then
        $lib/exec_helper as 54321 /opt/program filters-user
        $lib/exec_helper as 60005 /opt/program filters-user
        $lib/exec_helper as 54321 /bin/busybox sh -c '/ filters-user 2>/dev/null; :'
        in_cgroup filtered /opt/program filters-cgroup
        in_cgroup filtered/below /opt/program filters-cgroup
        /opt/root as 0 /opt/program filters-tree
        in_cgroup limited sh -c 'for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do /opt/program filters-limited; done'
    fi
    stop "$1-filters"
}

prepare
uname -r >/run/release
emit_file release /run/release

shipper doctor --json >/run/doctor
emit_file doctor.json /run/doctor
if start auto; then /opt/program auto; fi
stop auto
shipper doctor >/run/doctor.txt
emit_file doctor.txt /run/doctor.txt
for mode in $MODES; do
    if start $mode; then behaviours $mode; fi
    stop $mode
    pinning $mode
    filtering $mode
done
