//! What is said of sinks that are wrong.

use super::problems;

#[test]
fn sinks_are_told_what_is_wrong_with_them() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["1:1: missing key `sinks`"]),
        ("# nothing\n", &["1:1: missing key `sinks`"]),
        ("sinks: []", &["1:8: `sinks` must have from 1 to 64 entries, but has 0"]),
        ("sinks: { name: a }", &["1:8: `sinks` must be a list (`- …`), but is a mapping"]),
        ("sinks: [a]", &["1:9: `sinks[0]` must be a mapping (`key: value`), but is the text `a`"]),
        ("sink: []", &["1:1: unknown key `sink`; did you mean `sinks`?"]),
        (
            "sinks: [{}]",
            &["1:9: missing key `name` in `sinks[0]`", "1:9: missing key `type` in `sinks[0]`"],
        ),
        ("sinks: [{ name: a, type: file }]", &["1:9: missing key `path` in `sinks[0]`"]),
        (
            "sinks: [{ name: a, type: file, path: /x, format: ocfs }]",
            &[
                "1:50: `sinks[0].format` must be one of ecs, ocsf, cim, native, but is `ocfs`; did you mean `ocsf`?",
            ],
        ),
        (
            "sinks: [{ name: a, type: console, format: cim }]",
            &["1:43: `sinks[0].format` is for JSON; add `output: json`, or leave it out"],
        ),
        (
            "sinks: [{ name: a, type: elasticsearch, url: 'https://e', format: cim }]",
            &[
                "1:67: `sinks[0].format` must be ecs, since a data stream wants `@timestamp` and the \
               mappings are for ECS; for `cim` take a sink of type http or kafka",
            ],
        ),
        (
            "sinks: [{ name: a, type: fil, path: /x, outptu: json }]",
            &[
                "1:26: `sinks[0].type` must be one of file, console, kafka, http, elasticsearch, splunk_hec, but is `fil`; did you \
                 mean `file`?",
                "1:41: unknown key `outptu`; the keys here are type, name, path, rotate, \
                 compress, keep, format, batch, retry, when, quarantine",
            ],
        ),
        (
            "sinks: [{ name: a b, type: carbon, brokers: 7, pth: x }]",
            &[
                "1:17: `sinks[0].name` must be 1 to 64 letters, digits, `-` or `_`, but is `a b`",
                "1:28: `sinks[0].type` must be one of file, console, kafka, http, elasticsearch, splunk_hec, but is `carbon`",
                "1:45: `sinks[0].brokers` must be a list (`- …`), but is the number 7",
            ],
        ),
        (
            "sinks: [{ name: a, typ: console, pth: /x }]",
            &[
                "1:20: unknown key `typ`; did you mean `type`?",
                "1:34: unknown key `pth`; did you mean `path`?",
            ],
        ),
        (
            "sinks: [{ name: 7, type: file, path: 7, compress: zstd }]",
            &[
                "1:17: `sinks[0].name` must be text, but is the number 7; put it in quotes",
                "1:38: `sinks[0].path` must be text, but is the number 7; put it in quotes",
                "1:51: `sinks[0].compress` must be one of gzip, none, but is `zstd`",
            ],
        ),
        (
            "sinks: [{ name: '', type: file, path: /x/ }]",
            &[
                "1:17: `sinks[0].name` must be 1 to 64 letters, digits, `-` or `_`, but is ``",
                "1:39: `sinks[0].path` must be the path of a file, but is `/x/`",
            ],
        ),
        (
            "sinks: [{ name: a, type: file, path: \"/x\\0\", output: json }]",
            &[
                "1:38: `sinks[0].path` must be the path of a file, but is `/x\\u{0}`",
                "1:46: unknown key `output`; the keys here are type, name, path, rotate, \
                 compress, keep, format, batch, retry, when, quarantine",
            ],
        ),
        (
            "sinks: [{ name: a, type: file, path: x, rotate: { bytes: 4095, interval: 10 } }]",
            &[
                "1:58: `sinks[0].rotate.bytes` must be from 4KiB to 1TiB, but is `4095`",
                "1:74: `sinks[0].rotate.interval` must be a length of time such as `500ms`, \
                 `20s`, `24h` or `30d`, but is `10`; add a unit",
            ],
        ),
        (
            "sinks: [{ name: a, type: file, path: x, rotate: { interval: 500ms }, \
             keep: { files: 100001, bytes: 0, age: soon } }]",
            &[
                "1:61: `sinks[0].rotate.interval` must be from 1s to 3650d, but is `500ms`",
                "1:85: `sinks[0].keep.files` must be from 0 to 100000, but is `100001`",
                "1:108: `sinks[0].keep.age` must be a length of time such as `500ms`, `20s`, \
                 `24h` or `30d`, but is `soon`",
            ],
        ),
        (
            "sinks: [{ name: a, type: console, batch: { events: 0, bytes: 65MiB, linger: 61s }, \
             when: file.pth, quarantine: { bytes_max: 0 } }]",
            &[
                "1:52: `sinks[0].batch.events` must be from 1 to 100000, but is `0`",
                "1:62: `sinks[0].batch.bytes` must be from 1KiB to 64MiB, but is `65MiB`",
                "1:77: `sinks[0].batch.linger` must be at most 1m, but is `61s`",
                "1:90: `sinks[0].when`, character 1: there is no field `file.pth`; did you mean `file.path`?",
                "1:125: `sinks[0].quarantine.bytes_max` must be from 64KiB to 1TiB, but is `0`",
            ],
        ),
        (
            "sinks:\n- { name: a, type: console, retry: { initial: 2m } }\n\
             - { name: b, type: file, path: x, retry: { initial: 1s, max: 500ms } }\n\
             - { name: c, type: file, path: y, retry: { max: 100ms } }\n",
            &[
                "2:47: `sinks[0].retry.initial` must not be longer than `retry.max`, but 2m is \
                 longer than 1m",
                "3:53: `sinks[1].retry.initial` must not be longer than `retry.max`, but 1s is \
                 longer than 500ms",
                "4:49: `sinks[2].retry.initial` must not be longer than `retry.max`, but 500ms is \
                 longer than 100ms",
            ],
        ),
        (
            "spool: { dir: ./run//spool/ }\n\
             sinks: [{ name: a, type: file, path: run/spool/log/x.ndjson }]",
            &["2:38: `sinks[0].path` must not be in the directory of the spool, `./run//spool/`"],
        ),
        (
            "sinks: [{ name: a, type: file, path: /var/lib/shipper/spool/x }]",
            &["1:38: `sinks[0].path` must not be in the directory of the spool, \
               `/var/lib/shipper/spool`"],
        ),
        ("sinks: [{ name: a, type: file, path: /var/lib/shipper/spool.ndjson }]", &[]),
        (
            "sinks: [{ name: a, type: file, path: /proc/self }]",
            &["1:38: `sinks[0].path` is a directory; name a file in it, such as shipper.ndjson"],
        ),
        (
            "sinks:\n- { name: a, type: file, path: /x/y }\n\
             - { name: a, type: file, path: /x/./z/..//y }\n\
             - { name: b, type: console }\n- { name: c, type: console }\n",
            &[
                "3:11: `sinks[1].name` must be unique, but the sink in line 2 is `a` too",
                "3:32: `sinks[1].path` must be a file of its own, but line 2 has it already",
                "5:20: `sinks[3]` is a second console, but there is one terminal; the first is in \
                 line 4",
            ],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text), *expected, "{text}");
    }
}
