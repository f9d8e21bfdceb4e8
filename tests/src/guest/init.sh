#!/bin/busybox sh
# Process 1 of a test guest: makes the system whole, runs /script, reports its exit code and powers
# off. Three serial ports: ttyS0 is the kernel's console, ttyS1 what the script prints, ttyS2 the
# reports to the harness (transfer.rs has their form).

export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox --install -s /bin

mount_at() { mount -t "$1" "$1" "$2" || echo "init: no $1 on $2"; }
mount_at proc /proc
mount_at sysfs /sys
mount_at devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount_at devpts /dev/pts
mount_at tmpfs /dev/shm
mount_at tmpfs /tmp
mount_at tmpfs /run
mount_at securityfs /sys/kernel/security
mount_at bpf /sys/fs/bpf
# What the kernel does not know of its command line is in the environment of process 1.
if [ "${cgroups-v2}" = v1 ]; then
    mount_at tmpfs /sys/fs/cgroup
    for controller in pids memory cpu; do
        mkdir /sys/fs/cgroup/$controller
        mount -t cgroup -o $controller cgroup /sys/fs/cgroup/$controller ||
            echo "init: no controller $controller of cgroup v1"
    done
else
    mount_at cgroup2 /sys/fs/cgroup
fi
# Not every kernel has it.
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
chmod 1777 /tmp /dev/shm
# The kernel leaves it writable for all.
chmod 755 /
hostname guest
ip link set lo up
chown -R alice:alice /home/alice

# Raw: bytes arrive as they were written, with no carriage returns added.
stty -F /dev/ttyS1 115200 raw -echo
stty -F /dev/ttyS2 115200 raw -echo

sh /script </dev/null >/dev/ttyS1 2>&1
code=$?

echo "exit $code" >/dev/ttyS2
# Setting a port up again waits until its last byte is out; powering off does not.
stty -F /dev/ttyS1 raw -echo
stty -F /dev/ttyS2 raw -echo
sync
poweroff -f
