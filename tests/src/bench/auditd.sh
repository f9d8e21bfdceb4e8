# Runs auditd with one rule, for executions, until standard input ends; then all is as it was before.
# $1: a directory for its files. Whoever started this may end in any way: the end of standard input comes.
state() { auditctl -s | sed -n "s/^$1 //p"; }

command -v auditctl >/dev/null && command -v auditd >/dev/null || {
    echo "CANNOT auditd is not installed (apt-get install auditd)"
    exit 0
}
[ "$(state pid)" = 0 ] && [ "$(auditctl -l)" = "No rules" ] || {
    echo "CANNOT auditd or audit rules are in use on this machine"
    exit 0
}
enabled=$(state enabled)
backlog=$(state backlog_limit)
rule='always,exit -F arch=b64 -S execve -S execveat -k shipper-bench'
mkdir "$1/plugins"
cat >"$1/auditd.conf" <<EOF
local_events = yes
write_logs = yes
log_file = $1/out
log_format = RAW
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 1000
num_logs = 2
max_log_file_action = IGNORE
space_left = 2
space_left_action = IGNORE
admin_space_left = 1
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
plugin_dir = $1/plugins
EOF
undo() {
    # shellcheck disable=SC2086 # a list of words
    auditctl -d $rule
    kill "$daemon"
    wait "$daemon"
    auditctl -e "$enabled"
    auditctl -b "$backlog"
} >/dev/null 2>&1
auditd -n -c "$1" >"$1/said" 2>&1 &
daemon=$!
until [ "$(state pid)" = "$daemon" ]; do
    kill -0 "$daemon" 2>/dev/null || {
        echo "CANNOT auditd does not start: $(tr '\n' ' ' <"$1/said")"
        undo
        exit 0
    }
    sleep 0.05
done
# As its own example of rules has it.
auditctl -b 8192 >/dev/null
# shellcheck disable=SC2086 # a list of words
auditctl -a $rule >/dev/null || {
    echo "CANNOT the kernel takes no audit rule"
    undo
    exit 0
}
echo "READY $daemon $(pgrep -x kauditd)"
read -r _
undo
