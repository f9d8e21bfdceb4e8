# Runs in the guest, as root. $MODES, set before it, are the capture modes to go through. Each exec
# that a test looks for carries a mark as its last argument.

# The event file is in this one place for whichever mode is at work, since a script waits for its own
# event there.
events=/run/events.ndjson

prepare() {
    mkdir -p /opt/alice
    # The name by which the interpreter of a script opens what was executed by descriptor.
    ln -s /proc/self/fd /dev/fd
    for copy in /opt/root-binary /opt/alice/binary /opt/setuid; do
        cp /usr/bin/guest-exec "$copy"
    done
    chmod 4755 /opt/setuid

    # Waits until its own event is written, so that nothing about it has to be looked up in a hurry.
    # The quotes are those of JSON: the mark in grep's own arguments has none around it.
    cat >/opt/alice/wait <<'END'
#!/bin/sh
for mark; do :; done
until grep -q "\"$mark\"" /run/events.ndjson 2>/dev/null; do usleep 20000; done
END
    cp /opt/alice/wait /opt/root-script
    cp /opt/alice/wait /opt/inner
    printf '#!/opt/inner\n' >/opt/alice/outer
    printf '#!/bin/sh\n' >/opt/alice/quick
    # These are refused after the hook has seen them, and not-executable before.
    printf 'neither ELF nor script\n' >/opt/alice/garbage
    printf '#!/nonexistent\n' >/opt/alice/no-interpreter
    cp /opt/alice/garbage /opt/root-garbage
    chmod 755 /opt/alice/* /opt/root-script /opt/inner /opt/root-garbage
    echo >/opt/alice/not-executable
    chown -R alice:alice /opt/alice

    for mode in auto lsm fentry tracepoint; do
        printf 'capture: { mode: %s }\nspool: { dir: /run/spool-%s, disk_free_min: 1MiB, bytes_max: 16MiB }\nsinks:\n  - { name: local, type: file, path: %s }\n' \
            $mode $mode $events >/etc/$mode.yaml
        sed '1s/ }/, pin: true }/; s/spool-/pinned-/' /etc/$mode.yaml >/etc/$mode-pinned.yaml
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
        /opt/root-binary "storm-$number"
        number=$((number + 1))
    done
}

behaviours() {
    /opt/alice/wait user-owned-script
    /opt/alice/quick quick-script
    /opt/root-script root-owned-script
    /opt/root-binary root-owned-binary
    /opt/alice/binary user-owned-binary
    /opt/alice/outer script-run-by-script

    garbage='/nonexistent /opt/alice/not-executable /opt/alice/garbage /opt/alice/no-interpreter'
    # shellcheck disable=SC2086 # one word a path
    guest-exec try $garbage /opt/root-script -- root-after-failures
    guest-exec try /nonexistent /opt/root-garbage /opt/alice/wait -- user-after-failures
    guest-exec fd /opt/alice/wait script-by-descriptor
    guest-exec fd /opt/alice/binary binary-by-descriptor
    guest-exec thread /opt/alice/wait script-by-thread
    unshare -p -f /opt/alice/quick pid-namespace

    su alice -c '/opt/setuid setuid'
    /opt/root-binary '' 'two  words' "$(printf 'a\nb\tc\033[1m"\\')" 'é' arguments
    (cd /opt/alice && ./quick relative-name)

    sh -c "echo \$\$ >$cgroup/cgroup.procs; exec /opt/root-binary container"
    sh -c 'echo 1000 >/proc/self/loginuid; exec /opt/root-binary loginuid'

    /opt/root-binary last
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
        /opt/root-binary "pinned-$number"
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

prepare
id=0123456789abcdef
cgroup=/sys/fs/cgroup/docker-$id$id$id$id.scope
mkdir $cgroup
for namespace in mnt pid net uts ipc cgroup time user; do
    readlink /proc/self/ns/$namespace | tr -d '[]' | tr : ' '
done >/run/namespaces
emit_file namespaces /run/namespaces

shipper doctor --json >/run/doctor
emit_file doctor.json /run/doctor
if start auto; then /opt/root-binary auto; fi
stop auto
shipper doctor >/run/doctor.txt
emit_file doctor.txt /run/doctor.txt
for mode in $MODES; do
    if start $mode; then behaviours; fi
    stop $mode
    pinning $mode
done
