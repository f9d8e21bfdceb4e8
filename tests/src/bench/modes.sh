# Runs in a guest, as root. Prints for each mode, three times in turn: COST MODE RULES NANOSECONDS EXECUTIONS, of all programs
# of the daemon together.
EXECUTIONS=500

mkdir -p /opt /run/cost
cp /usr/lib/cost/tiny /opt/program
echo 1 >/proc/sys/kernel/bpf_stats_enabled

# What the kernel counted for the programs that the daemon holds.
spent() {
    cat /proc/$shipper/fdinfo/* 2>/dev/null |
        awk '/^prog_id/ { id = $2 } /^run_time_ns/ { ns[id] = $2 } END { for (id in ns) sum += ns[id]; printf "%.0f\n", sum }'
}

execute() {
    number=0
    while [ $number -lt $1 ]; do
        /opt/program cost
        number=$((number + 1))
    done
}

measure() {
    printf 'capture: { mode: %s }\nspool: { dir: /run/cost/spool-%s-%s, disk_free_min: 1MiB, bytes_max: 16MiB }\nsinks:\n  - { name: local, type: file, path: /run/cost/events }\n%s\n' \
        $1 $1 $2 "$3" >/run/cost/config
    shipper run --config /run/cost/config 2>/run/cost/log &
    shipper=$!
    until grep -q 'capture has begun' /run/cost/log; do
        kill -0 $shipper 2>/dev/null || { cat /run/cost/log; return 1; }
        usleep 20000
    done
    execute 100
    before=$(spent)
    execute $EXECUTIONS
    after=$(spent)
    kill -TERM $shipper
    wait $shipper
    rm -r /run/cost/events /run/cost/spool-*
    echo "COST $1 $2 $((after - before)) $EXECUTIONS"
}

rules='enforce:
  rules:
    - { id: exec.memfd, deny: memfd }
    - { id: exec.user-owned, deny: not_root_owned, except: { uids: [1000] } }
    - { id: exec.writable, deny: writable_by_others }
    - { id: exec.deleted, deny: deleted }
    - { id: exec.tmp, deny: any, path_prefix: /tmp }'

for round in 1 2 3; do
    for mode in tracepoint fentry lsm; do
        measure $mode none '' || exit 1
    done
    measure lsm five "$rules" || exit 1
done
