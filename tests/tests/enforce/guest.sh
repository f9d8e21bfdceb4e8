# Runs in the guest, as root. $LSM, set before it, says whether deny rules can work on this kernel.
# Each attempt is noted in /run/tries: name, exit code, what was said.

events=/run/events.ndjson
lib=/usr/lib/rows
rules="
  rules:
    # Before the others: its permission bits are 0777.
    - { id: exec.memfd, deny: memfd }
    - { id: exec.user-owned, deny: not_root_owned, except: { uids: [1000], cgroups: [/build] } }
    - { id: exec.writable, deny: writable_by_others }
    - { id: exec.deleted, deny: deleted }
    - { id: exec.srv, deny: any, path_prefix: /srv/denied }
"

# config NAME CAPTURE ENFORCE [RULES]
config() {
    printf 'capture: { failures: denied%s }\nenforce:\n  %s\n%s\nspool: { dir: /run/spool-%s, disk_free_min: 1MiB, bytes_max: 16MiB }\nsinks:\n  - { name: local, type: file, path: %s }\n' \
        "$2" "$3" "${4-$rules}" "$1" $events >"/etc/$1.yaml"
}

mkdir_cd() {
    mkdir "$1" && cd -P "$1"
}

# into_long GO: goes where a path is longer than the 4096 bytes that the kernel programs keep, by GO NAME.
into_long() {
    name=$(printf 'n%.0s' $(seq 255))
    cd -P /opt
    for level in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
        $1 "$name" || return 1
    done
}

prepare() {
    mkdir -p /opt /srv/denied /srv/deniedfoo /sys/fs/cgroup/build/inner /sys/fs/cgroup/other
    for file in plain user-owned group-writable world-writable; do
        cp $lib/tiny /opt/$file
    done
    chown alice /opt/user-owned
    chmod 775 /opt/group-writable
    chmod 757 /opt/world-writable
    cp $lib/tiny /srv/denied/program
    cp $lib/tiny /srv/deniedfoo/program
    printf '#!/bin/sh\nexit 0\n' >/opt/script
    chmod 755 /opt/script
    chown alice /opt/script
    # Deeper than the kernel programs walk.
    deep=/srv/denied
    for level in 0 1 2 3 4 5 6; do
        deep=$deep/$level/b/c/d/e/f/g/h/i/j
    done
    mkdir -p $deep
    cp $lib/tiny $deep/program
    (into_long mkdir_cd && cp $lib/tiny user-owned && chown alice user-owned)
    config dry '' 'dry_run: true'
    # Of other-user's executions only those that are refused are recorded.
    config deny ', exclude: { uids: [1001] }' 'dry_run: false'
    config pinned ', pin: true' 'dry_run: false'
    config kept ', pin: true' 'dry_run: false
  without_daemon: keep'
    config nowhere '' 'dry_run: true' '
  rules: [{ id: r, deny: memfd, except: { cgroups: [/not/there] } }]'
    config link '' 'dry_run: true' '
  rules: [{ id: r, deny: any, path_prefix: /var/link }]'
    config unowned '' 'dry_run: true' '
  rules: [{ id: exec.user-owned, deny: not_root_owned }]'
    mkdir -p /var
    ln -s /srv /var/link
}

# start NAME: false when the daemon ends instead.
start() {
    : >/run/log
    shipper run --config "/etc/$1.yaml" 2>/run/log &
    shipper=$!
    until grep -q 'capture has begun' /run/log; do
        kill -0 $shipper 2>/dev/null || return 1
        usleep 20000
    done
}

# stop NAME: hands out what the daemon logged and wrote, its exit code, and what was tried.
stop() {
    kill -TERM $shipper 2>/dev/null
    wait $shipper
    echo $? >/run/code
    emit_file "$1.code" /run/code
    emit_file "$1.log" /run/log
    if [ -e $events ]; then
        emit_file "$1.ndjson" $events
        rm $events
    fi
    if [ -e /run/tries ]; then
        emit_file "$1.tries" /run/tries
        rm /run/tries
    fi
}

# try NAME PROGRAM ARGUMENTS: the name is the last argument of the program too.
try() {
    name=$1
    shift
    "$@" "$name" >/run/said 2>&1
    echo "$name $? $(tail -n 1 /run/said)" >>/run/tries
}

inside() {
    # shellcheck disable=SC2016 # for the inner shell
    sh -c 'echo $$ >/sys/fs/cgroup/$0/cgroup.procs; exec "$@"' "$@"
}

tries() {
    cp $lib/tiny /opt/gone
    try plain /opt/plain
    try user-owned /opt/user-owned
    try group-writable /opt/group-writable
    try world-writable /opt/world-writable
    try memfd $lib/exec_helper memfd $lib/tiny
    try deleted $lib/exec_helper deleted /opt/gone
    try below-prefix /srv/denied/program
    try beside-prefix /srv/deniedfoo/program
    try too-deep $deep/program
    (into_long 'cd -P' && try long-path ./user-owned)
    try script /opt/script
    try script-of-shell sh /opt/script
    try other-user $lib/exec_helper as 1001 /opt/user-owned
    try excepted-user $lib/exec_helper as 1000 /opt/user-owned
    try excepted-user-other-rule $lib/exec_helper as 1000 /opt/world-writable
    try excepted-cgroup inside build /opt/user-owned
    try below-excepted-cgroup inside build/inner /opt/user-owned
    try other-cgroup inside other /opt/user-owned
}

# allowed NAME LIMIT_S: waits until the file may be executed; how many seconds that took is noted.
allowed() {
    begun=$(cut -d. -f1 /proc/uptime)
    until /opt/user-owned waits 2>/dev/null; do
        now=$(cut -d. -f1 /proc/uptime)
        if [ $((now - begun)) -gt "$2" ]; then
            echo "$1 never" >>/run/tries
            return
        fi
        usleep 200000
    done
    echo "$1 allowed" >>/run/tries
}

doctor() {
    shipper doctor --json >/run/doctor 2>&1
    emit_file "$1.doctor" /run/doctor
}

killed() {
    kill -KILL $shipper
    wait $shipper
    rm -f $events
}

pinning() {
    start pinned || { stop pinned; return; }
    try at-work /opt/user-owned
    killed
    begun=$(cut -d. -f1 /proc/uptime)
    try just-killed /opt/user-owned
    if [ $(($(cut -d. -f1 /proc/uptime) - begun)) -gt 5 ]; then
        echo 'the machine stood still' >>/run/tries
    fi
    allowed long-killed 60
    doctor pinned-long-killed
    start pinned
    try taken-over /opt/user-owned
    stop pinned
    shipper unpin >/dev/null
    try unpinned /opt/user-owned
    ls -A /sys/fs/bpf >>/run/tries
    emit_file unpinned.tries /run/tries
    rm /run/tries
}

keeping() {
    start kept || { stop kept; return; }
    killed
    begun=$(cut -d. -f1 /proc/uptime)
    # Until the heartbeat would be too old.
    while [ $(($(cut -d. -f1 /proc/uptime) - begun)) -le 11 ]; do
        usleep 200000
    done
    try long-killed /opt/user-owned
    doctor kept
    shipper unpin >/dev/null
    try unpinned /opt/user-owned
    ls -A /sys/fs/bpf >>/run/tries
    emit_file kept.tries /run/tries
    rm /run/tries
}

# refused NAME CONFIG: the daemon must not start.
refused() {
    shipper validate --config "/etc/$2.yaml" >/run/said 2>&1
    emit_file "$1.validate" /run/said
    if start "$2"; then echo 'it has started' >>/run/log; fi
    stop "$1"
}

prepare
uname -r >/run/release
emit_file release /run/release
if [ "$LSM" = no ]; then
    refused no-lsm dry
    exit 0
fi
start dry && tries
stop dry
if start deny; then
    tries
    doctor deny
    # A service that is restarted has another cgroup of the same name.
    rmdir /sys/fs/cgroup/build/inner /sys/fs/cgroup/build
    mkdir /sys/fs/cgroup/filler /sys/fs/cgroup/build
    echo $$ >/sys/fs/cgroup/build/cgroup.procs
    allowed made-anew 60
    echo $$ >/sys/fs/cgroup/cgroup.procs
fi
stop deny
doctor stopped
pinning
keeping
refused nowhere nowhere
refused link link
chown alice /bin/busybox
refused unowned unowned
chown root /bin/busybox
