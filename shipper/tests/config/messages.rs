//! What is said about a configuration that is wrong: sections, keys, types, values.

use super::{SINKS, problems};

#[test]
fn sections_are_told_what_is_wrong_with_them() {
    let cases: &[(&str, &[&str])] = &[
        ("capture: { mode: lsm, ring_buffer_bytes: 65536, argv_bytes_max: 256 }\n", &[]),
        ("capture: {}\nenrich: { ancestry_depth_max: 64 }\n", &[]),
        ("captur: {}\n", &["1:1: unknown key `captur`; did you mean `capture`?"]),
        (
            "kafka: {}\n",
            &[
                "1:1: unknown key `kafka`; the keys here are capture, enforce, rules, rules_files, enrich, redact, spool, shutdown_timeout, sinks",
            ],
        ),
        ("<<: {}\n", &["1:1: merge keys (`<<`) are not known; write the keys out"]),
        ("capture:\n", &["1:8: `capture` must be a mapping (`key: value`), but is empty"]),
        ("capture: [lsm]\n", &["1:10: `capture` must be a mapping (`key: value`), but is a list"]),
        (
            "capture: { mode: lms }\n",
            &["1:18: `capture.mode` must be one of auto, lsm, fentry, tracepoint, but is `lms`; \
               did you mean `lsm`?"],
        ),
        (
            "capture: { mode: on }\n",
            &["1:18: `capture.mode` must be one of auto, lsm, fentry, tracepoint, but is `on`"],
        ),
        (
            "capture: { mode: [lsm] }\n",
            &["1:18: `capture.mode` must be one of auto, lsm, fentry, tracepoint, but is a list"],
        ),
        (
            "capture: { ring_buffer_bytes: 20MiB, argv_bytes_max: 65537 }\n",
            &[
                "1:31: `capture.ring_buffer_bytes` must be a power of two, but is `20MiB`; near it \
                 are 16MiB and 32MiB",
                "1:54: `capture.argv_bytes_max` must be from 256 to 64KiB, but is `65537`",
            ],
        ),
        (
            "capture: { ring_buffer_bytes: 2GiB, argv_bytes_max: 9999999999999TiB }\n",
            &[
                "1:31: `capture.ring_buffer_bytes` must be from 64KiB to 1GiB, but is `2GiB`",
                "1:53: `capture.argv_bytes_max` must be from 256 to 64KiB, but is \
                 `9999999999999TiB`",
            ],
        ),
        (
            "capture: { ring_buffer_bytes: 16 elephants, argv_bytes_max: true }\n",
            &[
                "1:31: `capture.ring_buffer_bytes` must be a size such as `64KiB` or a whole \
                 number of bytes, but is `16 elephants`",
                "1:61: `capture.argv_bytes_max` must be a size such as `64KiB` or a whole number \
                 of bytes, but is `true`",
            ],
        ),
        (
            "capture: { ring_buffer_bytes: -1, argv_bytes_max: 1e3 }\n",
            &[
                "1:31: `capture.ring_buffer_bytes` must be a size such as `64KiB` or a whole \
                 number of bytes, but is `-1`",
                "1:51: `capture.argv_bytes_max` must be a size such as `64KiB` or a whole number \
                 of bytes, but is `1e3`",
            ],
        ),
        ("capture: { env: [LD_PRELOAD, BASH_FUNC_ls%%] }\n", &[]),
        ("capture: { env: [] }\n", &[]),
        (
            "capture: { env: LD_PRELOAD }\n",
            &["1:17: `capture.env` must be a list (`- …`), but is the text `LD_PRELOAD`"],
        ),
        (
            "capture: { env: [LD_PRELOAD=x, 'a b', LD_*, 7] }\n",
            &[
                "1:18: `capture.env[0]` must be the whole name of an environment variable, without \
                 blanks, `=` and `*`, but is `LD_PRELOAD=x`",
                "1:32: `capture.env[1]` must be the whole name of an environment variable, without \
                 blanks, `=` and `*`, but is `a b`",
                "1:39: `capture.env[2]` must be the whole name of an environment variable, without \
                 blanks, `=` and `*`, but is `LD_*`",
                "1:45: `capture.env[3]` must be text, but is the number 7; put it in quotes",
            ],
        ),
        (
            "capture: { env: [A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, A, \
             A, A, A, A, A, A, A, A, A, A] }\n",
            &["1:17: `capture.env` must have at most 32 entries, but has 33"],
        ),
        ("capture: { exit: 1 }\n", &["1:18: `capture.exit` must be `true` or `false`, but is `1`"]),
        (
            "capture: { pin: yes }\n",
            &["1:17: `capture.pin` must be `true` or `false`, but is `yes`"],
        ),
        (
            "capture: { exclude: { uids: [997, 0, 1000-1999], cgroups: [/a.slice/b.service], trees: [/usr/bin/x], \
             namespaces: [{ pid: 4026532500 }, net: 4026531840] }, rate_limit_per_cgroup: { per_second: 1, burst: 1 } }\n",
            &[],
        ),
        (
            "capture: { exclude: { uids: [root, 7-6, -1, 4294967296, []] } }\n",
            &[
                "1:30: `capture.exclude.uids[0]` must be a user id such as `997` or a range such as \
                 `1000-1999`, but is `root`",
                "1:36: `capture.exclude.uids[1]` must be a user id such as `997` or a range such as \
                 `1000-1999`, but is `7-6`",
                "1:41: `capture.exclude.uids[2]` must be a user id such as `997` or a range such as \
                 `1000-1999`, but is `-1`",
                "1:45: `capture.exclude.uids[3]` must be a user id such as `997` or a range such as \
                 `1000-1999`, but is `4294967296`",
                "1:57: `capture.exclude.uids[4]` must be a user id such as `997` or a range such as \
                 `1000-1999`, but is a list",
            ],
        ),
        (
            "capture: { exclude: { cgroups: [/, system.slice], trees: [buildd], uid: [7] } }\n",
            &[
                "1:33: `capture.exclude.cgroups[0]` must be the path of a cgroup below the root, such as \
                 `/system.slice/build.service`, but is `/`",
                "1:36: `capture.exclude.cgroups[1]` must be the path of a cgroup below the root, such as \
                 `/system.slice/build.service`, but is `system.slice`",
                "1:59: `capture.exclude.trees[0]` must be the absolute path of a program, but is `buildd`",
                "1:68: unknown key `uid`; did you mean `uids`?",
            ],
        ),
        (
            "capture: { exclude: { namespaces: [{ pid: 0 }, { ipc: 1 }, { pid: 1, net: 2 }] } }\n",
            &[
                "1:43: `capture.exclude.namespaces[0].pid` must be from 1 to 4294967295, but is `0`",
                "1:50: unknown key `ipc`; the keys here are pid, mnt, net, user",
                "1:60: `capture.exclude.namespaces[2]` must have one of pid, mnt, net, user, but has 2",
            ],
        ),
        (
            "capture: { rate_limit_per_cgroup: { per_second: 0 } }\n",
            &[
                "1:35: missing key `burst` in `capture.rate_limit_per_cgroup`",
                "1:49: `capture.rate_limit_per_cgroup.per_second` must be from 1 to 1000000, but is `0`",
            ],
        ),
        ("spool: { fsync: always }\nshutdown_timeout: 1h\n", &[]),
        ("spool: { fsync: { interval: 60s }, disk_free_min: 0, dir: run/spool/ }\n", &[]),
        (
            "spool: { dir: '', bytes_max: 1MiB, disk_free_min: 91%, when_full: drop }\n",
            &[
                "1:15: `spool.dir` must be the path of a directory, but is ``",
                "1:30: `spool.bytes_max` must be from 16MiB to 1024TiB, but is `1MiB`",
                "1:51: `spool.disk_free_min` must be a whole percentage up to `90%` or a size such \
                 as `64KiB`, but is `91%`",
                "1:67: `spool.when_full` must be one of block, drop_newest, drop_oldest, but is \
                 `drop`; did you mean `drop_newest`?",
            ],
        ),
        (
            "spool: { fsync: { interval: 0ms }, disk_free_min: -1, compression: lz }\n",
            &[
                "1:29: `spool.fsync.interval` must be from 1ms to 1m, but is `0ms`",
                "1:51: `spool.disk_free_min` must be a whole percentage up to `90%` or a size such \
                 as `64KiB`, but is `-1`",
                "1:68: `spool.compression` must be one of none, lz4, zstd, but is `lz`; did you \
                 mean `lz4`?",
            ],
        ),
        (
            "spool: { fsync: allways }\n",
            &["1:17: `spool.fsync` must be one of always, never, or a mapping with interval, but \
               is `allways`; did you mean `always`?"],
        ),
        (
            "spool: { fsync: 20ms }\n",
            &["1:17: `spool.fsync` must be one of always, never, or a mapping with interval, but \
               is `20ms`"],
        ),
        (
            "spool: { fsync: { intervall: 20ms } }\n",
            &["1:19: unknown key `intervall`; did you mean `interval`?"],
        ),
        ("spool: { fsync: {} }\n", &["1:17: missing key `interval` in `spool.fsync`"]),
        (
            "shutdown_timeout: 5\n",
            &[
                "1:19: `shutdown_timeout` must be a length of time such as `500ms`, `20s`, `24h` or \
               `30d`, but is `5`; add a unit",
            ],
        ),
        (
            "enrich: { process_table_max: 1000 }\n",
            &["1:30: `enrich.process_table_max` must be from 1024 to 4194304, but is `1000`"],
        ),
        (
            "enrich: { ancestry_depth_max: 0 }\n",
            &["1:31: `enrich.ancestry_depth_max` must be from 1 to 64, but is `0`"],
        ),
        ("enrich: { container_dirs: { docker: [], storage: [/srv/containers] } }\n", &[]),
        (
            "enrich: { container_dirs: { dockers: [], containerd: /run/containerd, storage: [''] } }\n",
            &[
                "1:29: unknown key `dockers`; did you mean `docker`?",
                "1:54: `enrich.container_dirs.containerd` must be a list (`- …`), but is the text \
                 `/run/containerd`",
                "1:81: `enrich.container_dirs.storage[0]` must be the path of a directory, but is ``",
            ],
        ),
        (
            "enrich: { container_dirs: { docker: [a, b, c, d, e, f, g, h, i] } }\n",
            &["1:37: `enrich.container_dirs.docker` must have at most 8 entries, but has 9"],
        ),
        (
            "enrich: { ancestry_depth_max: \"16\" }\n",
            &["1:31: `enrich.ancestry_depth_max` must be a whole number, but is the text `16`; \
               remove the quotes"],
        ),
        (
            "enrich: { ancestry_depth_max: 1.5 }\n",
            &["1:31: `enrich.ancestry_depth_max` must be a whole number, but is the number 1.5"],
        ),
        ("enrich: { hash: sha256, hash_bytes_max: 16GiB, hash_wait_max: 10s }\n", &[]),
        (
            "enrich: { hash: sha-256, hash_bytes_max: 1KiB, hash_wait_max: 1m }\n",
            &[
                "1:17: `enrich.hash` must be one of none, sha256, but is `sha-256`; did you mean \
                 `sha256`?",
                "1:42: `enrich.hash_bytes_max` must be from 4KiB to 16GiB, but is `1KiB`",
                "1:63: `enrich.hash_wait_max` must be from 1ms to 10s, but is `1m`",
            ],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(&format!("{text}{SINKS}")), *expected, "{text}");
    }
}

#[test]
fn deny_rules_are_told_what_is_wrong_with_them() {
    let cases: &[(&str, &[&str])] = &[
        ("redact: {}\n", &[]),
        (
            "redact:\n  enabled: false\n  hash_key: { env: KEY }\n  patterns:\n    \
             - { name: ticket_2, regex: 'tkt-(?<secret>[0-9]{4,})' }\n",
            &[],
        ),
        (
            "redact:\n  enabled: on\n  hash_key: hunter2\n  patterns:\n    - name: A-b\n      regex: '(a'\n    \
             - name: x\n      regex: 'a*'\n    - name: y\n      regex: '(\\w{1000}){1000}'\n    \
             - name: z\n      regex: [a-z]\n    - regex: ''\n",
            &[
                "2:12: `redact.enabled` must be `true` or `false`, but is `on`",
                "3:13: `redact.hash_key` is a secret and must not stand here; put it into the \
                 environment or a file and write `{ env: NAME }` or `{ file: PATH }`",
                "5:13: `redact.patterns[0].name` must be 1 to 32 lower-case letters, digits or `_`, \
                 but is `A-b`",
                "6:14: `redact.patterns[0].regex` is no regular expression that shipper knows: \
                 unclosed group",
                "8:14: `redact.patterns[1].regex` would match where there is nothing; let it need at \
                 least one character",
                "10:14: `redact.patterns[2].regex` is too large: compiled it takes more than 1 MiB; \
                 use fewer or smaller repetitions",
                "12:14: `redact.patterns[3].regex` must be text; put it in single quotes",
                "13:7: missing key `name` in `redact.patterns[4]`",
                "13:14: `redact.patterns[4].regex` must have 1 to 1024 bytes, but has 0",
            ],
        ),
        ("enforce: {}\ncapture: { mode: tracepoint, failures: none }\n", &[]),
        (
            "enforce:\n  dry_run: false\n  without_daemon: keep\n  rules:\n  \
             - { id: exec.user-owned, deny: not_root_owned, path_prefix: /tmp, \
             except: { uids: [0, 4294967294], cgroups: [/system.slice/build.service] } }\n\
             capture: { mode: lsm, pin: true }\n",
            &[],
        ),
        (
            "enforce: { dry_run: 1, without_daemon: deny, rules: [{ id: a b, deny: suid }] }\n",
            &[
                "1:21: `enforce.dry_run` must be `true` or `false`, but is `1`",
                "1:40: `enforce.without_daemon` must be one of allow, keep, but is `deny`",
                "1:60: `enforce.rules[0].id` must be 1 to 64 letters, digits, `-`, `_` or `.`, but \
                 is `a b`",
                "1:71: `enforce.rules[0].deny` must be one of not_root_owned, writable_by_others, \
                 memfd, deleted, any, but is `suid`",
            ],
        ),
        (
            "enforce: { rules: [{ deny: memfd }, { id: b }] }\n",
            &[
                "1:20: missing key `id` in `enforce.rules[0]`",
                "1:37: missing key `deny` in `enforce.rules[1]`",
            ],
        ),
        (
            "enforce: { rules: [{ id: a, deny: any }, { id: a, deny: memfd, path_prefix: /x }] }\n",
            &[
                "1:35: `enforce.rules[0]` would deny every file; give it a `path_prefix`",
                "1:48: `enforce.rules[1].id` must be unique, but the rule in line 1 is `a` too",
                "1:77: `enforce.rules[1].path_prefix` has no meaning with `deny: memfd`: such a \
                 file is in no directory; leave it out",
            ],
        ),
        (
            "enforce: { rules: [{ id: a, deny: any, path_prefix: /tmp/, except: { uids: \
             [4294967295], cgroups: [build] } }] }\n",
            &[
                "1:53: `enforce.rules[0].path_prefix` must be an absolute path below `/`, at most \
                 127 bytes, without `.`, `..` or a `/` at its end, but is `/tmp/`",
                "1:77: `enforce.rules[0].except.uids[0]` must be from 0 to 4294967294, but is \
                 `4294967295`",
                "1:100: `enforce.rules[0].except.cgroups[0]` must be the path of a cgroup below the root, \
                 such as `/system.slice/build.service`, but is `build`",
            ],
        ),
        (
            "capture: { mode: fentry, failures: none }\n\
             enforce: { without_daemon: keep, rules: [{ id: a, deny: memfd }] }\n",
            &[
                "1:18: `capture.mode` must be lsm or auto with rules in `enforce`, but is `fentry`: \
                 no other mode can refuse",
                "1:36: `capture.failures` must be denied or all with rules in `enforce`, but is \
                 `none`: what they refuse would not be reported",
                "2:28: `enforce.without_daemon: keep` needs `capture.pin: true`: programs that are \
                 not pinned go with the daemon",
            ],
        ),
        (
            "enforce: { without_daemon: keep, rules: [{ id: a, deny: memfd }] }\n",
            &["1:28: `enforce.without_daemon: keep` needs `capture.pin: true`: programs that are \
               not pinned go with the daemon"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(&format!("{text}{SINKS}")), *expected, "{text}");
    }
    let many: Vec<String> = (0..17).map(|n| format!("{{ id: r{n}, deny: memfd }}")).collect();
    let many = format!("enforce: {{ rules: [{}] }}\n{SINKS}", many.join(", "));
    assert_eq!(problems(&many), ["1:19: `enforce.rules` must have at most 16 entries, but has 17"]);
}

#[test]
fn keys_types_and_impossible_values_are_all_reported_at_once() {
    let text = "\
# The worst of all configurations.
capture:
  mode: tracepoints
  ring_buffer_bytes: 3MiB
  ring_bufer: 1
enrich:
  ancestry_depth_max: many
  ancestry_depth_max: 16
sinks:
  - name: local
    type: file
    path: /var/log/shipper/
    rotat: { bytes: 100MiB }
    keep: { files: -1, age: 30 }
  - name: local
    type: konsole
outputs: []
1: 2
";
    assert_eq!(
        problems(text),
        [
            "3:9: `capture.mode` must be one of auto, lsm, fentry, tracepoint, but is \
             `tracepoints`; did you mean `tracepoint`?",
            "4:22: `capture.ring_buffer_bytes` must be a power of two, but is `3MiB`; near it are \
             2MiB and 4MiB",
            "5:3: unknown key `ring_bufer`; the keys here are mode, ring_buffer_bytes, \
             argv_bytes_max, env, exit, failures, syscall_tracepoints, exclude, \
             rate_limit_per_cgroup, pin",
            "7:23: `enrich.ancestry_depth_max` must be a whole number, but is the text `many`",
            "8:3: key `ancestry_depth_max` is given twice, first in line 7",
            "12:11: `sinks[0].path` must be the path of a file, but is `/var/log/shipper/`",
            "13:5: unknown key `rotat`; did you mean `rotate`?",
            "14:20: `sinks[0].keep.files` must be from 0 to 100000, but is `-1`",
            "14:29: `sinks[0].keep.age` must be a length of time such as `500ms`, `20s`, `24h` or \
             `30d`, but is `30`; add a unit",
            "15:11: `sinks[1].name` must be unique, but the sink in line 10 is `local` too",
            "16:11: `sinks[1].type` must be one of file, console, kafka, http, elasticsearch, splunk_hec, but is `konsole`; did you \
             mean `console`?",
            "17:1: unknown key `outputs`; the keys here are capture, enforce, rules, rules_files, enrich, redact, spool, shutdown_timeout, sinks",
            "18:1: the key `1` must be text; put it in quotes",
        ]
    );
}
