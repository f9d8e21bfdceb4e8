//! What is said about the sinks over HTTP, and that no secret is ever repeated.

use super::sink;
use crate::problems;

/// Stands in the texts below where no secret belongs.
const SECRET: &str = "hunter2";

/// A sink with this beside its name, the rest in line 2.
fn bare(kind: &str, rest: &str) -> String {
    format!("sinks: [{{ name: a, type: {kind},\n {rest} }}]\n")
}

#[test]
fn urls_are_told_what_is_wrong_with_them() {
    let cases: &[(&str, &[&str])] = &[
        ("name: b", &["1:9: missing key `url` (or `urls`) in `sinks[0]`"]),
        (
            "url: 'https://h', urls: ['https://i']",
            &["2:26: `sinks[0]` has `url` and `urls`; write all of them in `urls`"],
        ),
        ("urls: []", &["2:8: `sinks[0].urls` must have from 1 to 16 entries, but has 0"]),
        (
            "urls: https://h",
            &["2:8: `sinks[0].urls` must be a list (`- …`), but is the text `https://h`"],
        ),
        ("url: ['https://h']", &["2:7: `sinks[0].url` must be text; put it in quotes"]),
        ("url:", &["2:5: `sinks[0].url` must be text, but is empty"]),
        (
            "urls: ['https://h:443/', 'https://i', 'https://H']",
            &["2:40: `sinks[0].urls[2]` is where `sinks[0].urls[0]` is; leave one out"],
        ),
        ("urls: ['https://h', 'http://h', 'https://h:80', 'https://h/a', 'https://h?a']", &[]),
    ];
    for (text, expected) in cases {
        let text = bare("http", text)
            .replace("name: a, ", if text.contains("name") { "" } else { "name: a, " });
        assert_eq!(problems(&text), *expected, "{text}");
    }

    let host = "must have a host and at most a port before its path, as \
                `https://collector:8443/in`";
    let scheme = "must be a URL that begins with `https://` or `http://`";
    let user = "must not have a user or a password in it; write them under `auth`";
    let wrong = [
        ("", scheme),
        ("collector:8443/ingest", scheme),
        ("HTTPS://h", scheme),
        ("ftp://h", scheme),
        ("https:/h", scheme),
        ("https://", host),
        ("https:///in", host),
        ("https://?a", host),
        ("https://h:/", host),
        ("https://h:0/", host),
        ("https://h:65536/", host),
        ("https://h:+1/", host),
        ("https://a b/", host),
        ("https://a..b", host),
        ("https://-a.b", host),
        ("https://[::1", host),
        ("https://[h]/", host),
        ("https://::1/", host),
        ("https://1.2.3", host),
        ("https://1.2.3.256/", host),
        ("https://0x7f000001", host),
        ("https://h\\in", host),
        ("https://kö/", host),
        ("https://u@h/", user),
        ("https://u:hunter2@h/in", user),
        ("https://h/#part", "must not have a fragment (`#...`); no server is told of it"),
        ("https://h/a b", "must be ASCII without spaces; write other characters as `%20`"),
        ("https://h/ä", "must be ASCII without spaces; write other characters as `%20`"),
    ];
    for (url, expected) in wrong {
        let told = problems(&bare("http", &format!("url: '{url}'")));
        assert_eq!(told, [format!("2:7: `sinks[0].url` {expected}")], "{url}");
    }
    let long = format!("url: 'https://h/{}'", "a".repeat(2048));
    assert_eq!(
        problems(&bare("http", &long)),
        ["2:7: `sinks[0].url` must have at most 2048 characters"]
    );
}

#[test]
fn a_path_that_the_sink_appends_itself_is_told_to_be_left_out() {
    let query = "must not have a query (`?...`); it is sent with a path that shipper appends";
    let bulk = "must be written without `/_bulk`, which shipper appends itself";
    let hec = "must be written without `/services/collector`, which shipper appends itself";
    let cases = [
        ("elasticsearch", "https://h/_bulk", Some(bulk)),
        ("elasticsearch", "https://h/es/_bulk/", Some(bulk)),
        ("elasticsearch", "https://h?pretty", Some(query)),
        ("elasticsearch", "https://h/es", None),
        ("splunk_hec", "https://h/services/collector", Some(hec)),
        ("splunk_hec", "https://h/a/services/collector/event/1.0", Some(hec)),
        ("splunk_hec", "https://h/?channel=1", Some(query)),
        ("splunk_hec", "https://h/services", None),
        ("http", "https://h/_bulk?pretty", None),
        ("http", "https://h/services/collector/raw", None),
    ];
    for (kind, url, expected) in cases {
        let token = if kind == "splunk_hec" { ", token: { env: T }" } else { "" };
        let told = problems(&bare(kind, &format!("url: '{url}'{token}")));
        let expected: Vec<String> =
            expected.iter().map(|problem| format!("2:7: `sinks[0].url` {problem}")).collect();
        assert_eq!(told, expected, "{kind} {url}");
    }
}

#[test]
fn a_secret_is_not_sent_readable_to_another_machine() {
    let basic = "auth: { basic: { username: u, password: { env: P } } }";
    let cases = [
        ("http", basic, "the password"),
        ("http", "auth: { bearer: { env: T } }", "the token"),
        ("http", "auth: { header: { name: K, value: { env: K } } }", "the header with its secret"),
        ("elasticsearch", "auth: { api_key: { env: K } }", "the key"),
        ("splunk_hec", "token: { env: T }", "the token"),
    ];
    for (kind, auth, what) in cases {
        let told = problems(&bare(
            kind,
            &format!(
                "urls: ['https://h', 'http://h', 'http://localhost:1', 'http://127.8.0.1', \
                 'http://[::1]/', 'http://localhost.h'], {auth}"
            ),
        ));
        let message = |at: &str, index: usize| {
            format!(
                "{at}: `sinks[0].urls[{index}]` sends {what} readable to everybody on the way; \
                 write `https://`"
            )
        };
        assert_eq!(told, [message("2:22", 1), message("2:93", 5)], "{kind} {auth}");
    }
    assert_eq!(problems(&bare("http", "url: 'http://h'")), [""; 0]);
}

#[test]
fn each_setting_is_told_what_is_wrong_with_it() {
    let cases: &[(&str, &[&str])] = &[
        (
            "encoding: jsn, compression: lz4, concurrency: 0",
            &[
                "2:12: `sinks[0].encoding` must be one of ndjson, json, but is `jsn`; did you mean \
                 `json`?",
                "2:30: `sinks[0].compression` must be one of none, gzip, zstd, but is `lz4`",
                "2:48: `sinks[0].concurrency` must be from 1 to 64, but is `0`",
            ],
        ),
        (
            "timeouts: { connect: 99ms, request: 61m, idle: 5 }, \
             rate_limit: { requests: 0, bytes: 1 }",
            &[
                "2:23: `sinks[0].timeouts.connect` must be from 100ms to 10m, but is `99ms`",
                "2:38: `sinks[0].timeouts.request` must be from 100ms to 1h, but is `61m`",
                "2:49: `sinks[0].timeouts.idle` must be a length of time such as `500ms`, `20s`, \
                 `24h` or `30d`, but is `5`; add a unit",
                "2:78: `sinks[0].rate_limit.requests` must be from 1 to 1000000, but is `0`",
                "2:88: `sinks[0].rate_limit.bytes` must be from 1KiB to 1TiB, but is `1`",
            ],
        ),
        ("auth: {}", &["2:8: `sinks[0].auth` must have one of basic, bearer, header, but has 0"]),
        (
            "auth: { bearer: { env: T }, header: { name: K, value: { env: K } } }",
            &["2:8: `sinks[0].auth` must have one of basic, bearer, header, but has 2"],
        ),
        ("auth: { bearr: { env: T } }", &["2:10: unknown key `bearr`; did you mean `bearer`?"]),
        (
            "auth: { api_key: { env: T } }",
            &["2:10: unknown key; the keys here are basic, bearer, header"],
        ),
        (
            "auth: { basic: { username: 'a:b' } }",
            &[
                "2:17: missing key `password` in `sinks[0].auth.basic`",
                "2:29: `sinks[0].auth.basic.username` must be 1 to 1024 bytes of text on one \
                 line, without a colon",
            ],
        ),
        (
            "auth: { header: { name: Content-Type, value: { env: V } } }",
            &["2:26: `sinks[0].auth.header.name` is set by shipper itself; leave it out"],
        ),
        (
            "auth: { header: { name: 'X Y', value: { env: V } } }",
            &["2:26: `sinks[0].auth.header.name` must be the name of a header: 1 to 128 letters, \
               digits, `-` or `_`"],
        ),
        (
            "tls: { cert_file: /c, server_name: '[::1]' }",
            &[
                "2:20: `sinks[0].tls.cert_file` needs `key_file` too, the private key of that \
                 certificate",
                "2:37: `sinks[0].tls.server_name` must be the name or the address of a host, such \
                 as `collector.example.com`",
            ],
        ),
        ("tls: { server_name: '::1' }, proxy: none", &[]),
        (
            "tls: { server_name: h }, proxy: { url: 'http://p' }",
            &["2:22: `sinks[0].tls.server_name` cannot be asked for through a proxy; leave it \
               out, or write `proxy: none`"],
        ),
        (
            "proxy: direct",
            &["2:9: `sinks[0].proxy` must be one of environment, none, or a mapping with url"],
        ),
        (
            "proxy: { url: 'http://p:3128/x', username: u }",
            &[
                "2:16: `sinks[0].proxy.url` must have nothing after its host and port",
                "2:45: `sinks[0].proxy.username` needs `password` too",
            ],
        ),
        (
            "proxy: { url: 'socks5://p', password: { env: P } }",
            &[
                "2:16: `sinks[0].proxy.url` must be a URL that begins with `https://` or `http://`",
                "2:40: `sinks[0].proxy.password` needs `username` too",
            ],
        ),
        (
            "proxy: { url: 'http://u:p@p' }",
            &["2:16: `sinks[0].proxy.url` must not have a user or a password in it; write them \
               beside it, as `username` and `password`"],
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(&sink("http", text)), *expected, "{text}");
    }
    assert_eq!(
        problems(&bare("http", "url: 'http://h', tls: {}")),
        ["2:24: `sinks[0].tls` would not be used, since no URL begins with `https://`; write \
          that, or leave out `tls`"]
    );
    assert_eq!(problems(&bare("http", "urls: ['http://h', 'https://h'], tls: {}")), [""; 0]);
    assert_eq!(
        problems(&sink("elasticsearch", "compression: zstd, auth: { token: {} }")),
        [
            "2:15: `sinks[0].compression` must be one of none, gzip, but is `zstd`",
            "2:29: unknown key; the keys here are api_key, basic, bearer",
        ]
    );
    assert_eq!(
        problems(&sink("splunk_hec", "tokn: { env: T }, acknowledgement: yes, auth: {}")),
        [
            "2:2: unknown key `tokn`; did you mean `token`?",
            "2:37: `sinks[0].acknowledgement` must be `true` or `false`, but is `yes`",
            "2:42: unknown key `auth`; the keys here are type, name, token, index, source, \
             sourcetype, acknowledgement, compression, url, urls, tls, proxy, timeouts, \
             concurrency, rate_limit, format, batch, retry, when, quarantine",
        ]
    );
}

#[test]
fn the_name_in_a_certificate_is_the_one_of_a_host() {
    let told = |name: &str| problems(&sink("http", &format!("tls: {{ server_name: '{name}' }}")));
    for name in ["h", "collector.example.com", "a_b.c", "10.0.0.1", "2001:db8::1"] {
        assert_eq!(told(name), [""; 0], "{name}");
    }
    for name in ["", "h:80", "https://h", "*.example.com", "a b", "a..b", "1.2.3", "[::1]", ":a:"] {
        let expected = "2:22: `sinks[0].tls.server_name` must be the name or the address of a \
                        host, such as `collector.example.com`";
        assert_eq!(told(name), [expected], "{name}");
    }
}

#[test]
fn headers_are_told_what_is_wrong_with_them() {
    let own = "is set by shipper itself; leave it out";
    let proxy = "is for the proxy; write name and password under `proxy`";
    let auth = "proves who shipper is; write it under `auth`, its value in a file";
    let names = [
        ("Host", own),
        ("content-type", own),
        ("Content-Encoding", own),
        ("Transfer-Encoding", own),
        ("Connection", own),
        ("Idempotency-Key", own),
        ("Expect", own),
        ("TE", own),
        ("Trailer", own),
        ("Upgrade", own),
        ("Proxy-Authorization", proxy),
        ("authorization", auth),
    ];
    for (name, problem) in names {
        let told = problems(&sink("http", &format!("headers: {{ {name}: x }}")));
        assert_eq!(told, [format!("2:13: `sinks[0].headers.{name}` {problem}")]);
    }
    let value =
        "must be 1 to 1024 visible ASCII characters on one line, without spaces around them";
    let fields = "event.action, event.kind, host.name, host.id, user.id";
    let values = [
        ("''", value.to_owned()),
        ("' a'", value.to_owned()),
        ("\"a\\nb\"", value.to_owned()),
        ("\"a\\tb\"", value.to_owned()),
        ("é", value.to_owned()),
        ("7", "must be text; put it in quotes".to_owned()),
        ("[a]", "must be text; put it in quotes".to_owned()),
        ("'{host.nam}'", "has an unknown field in braces; did you mean `{host.name}`?".to_owned()),
        (
            "'{process.name}'",
            format!("has an unknown field in braces; the fields a header may hold are {fields}"),
        ),
        ("'}'", "has a `{` or `}` too many; a field is written {event.action}".to_owned()),
    ];
    for (value, problem) in values {
        let told = problems(&sink("http", &format!("headers: {{ X-A: {value} }}")));
        assert_eq!(told, [format!("2:18: `sinks[0].headers.X-A` {problem}")], "{value}");
    }
    let text = "headers: { X-A: a, x-a: b, X-Key: c, 'a b': d }, \
                auth: { header: { name: x-key, value: { env: K } } }";
    assert_eq!(
        problems(&sink("http", text)),
        [
            "2:21: `sinks[0].headers.x-a` is the header of line 2 in other letters; leave one out",
            "2:29: `sinks[0].headers.X-Key` is written under `auth` too; leave one out",
            "2:39: `sinks[0].headers` has a key that must be the name of a header: 1 to 128 \
             letters, digits, `-` or `_`",
        ]
    );
    let many: Vec<String> = (0..33).map(|n| format!("X-{n}: a")).collect();
    assert_eq!(
        problems(&sink("http", &format!("headers: {{ {} }}", many.join(", ")))),
        ["2:11: `sinks[0].headers` must have at most 32 entries, but has 33"]
    );
}

#[test]
fn a_data_stream_has_a_name_that_elasticsearch_takes() {
    let barred = r#"must not have a space or one of \ / * ? " < > | , # :"#;
    let begun = "must not begin with `-`, `_` or `+`";
    let named = "must be the name of a data stream or an index";
    let cases = [
        ("logs-shipper.process-prod", None),
        (".hidden", None),
        ("ä", None),
        ("", Some(named)),
        (".", Some(named)),
        ("..", Some(named)),
        ("Logs", Some("must be lowercase")),
        ("_bulk", Some(begun)),
        ("-a", Some(begun)),
        ("+a", Some(begun)),
        ("a b", Some(barred)),
        ("a/b", Some(barred)),
        (r"a\b", Some(barred)),
        ("a*", Some(barred)),
        ("a:b", Some(barred)),
        ("a#b", Some(barred)),
        ("<logs-{now/d}>", Some(barred)),
    ];
    for (name, problem) in cases {
        let told = problems(&sink("elasticsearch", &format!("data_stream: '{name}'")));
        let expected: Vec<String> = problem
            .iter()
            .map(|problem| format!("2:15: `sinks[0].data_stream` {problem}, but is `{name}`"))
            .collect();
        assert_eq!(told, expected, "{name}");
    }
    let long = format!("data_stream: {}", "a".repeat(256));
    assert!(problems(&sink("elasticsearch", &long))[0].contains("must have at most 255 bytes"));
}

#[test]
fn a_secret_that_was_written_down_is_refused_and_never_repeated() {
    let told = problems(&sink("splunk_hec", &format!("token: {SECRET}")));
    assert_eq!(
        told,
        ["2:9: `sinks[0].token` is a secret and must not stand here; put it into the environment \
          or a file and write `{ env: NAME }` or `{ file: PATH }`"]
    );
    let texts = [
        format!("auth: {SECRET}"),
        format!("auth: [{SECRET}]"),
        format!("auth: {{ {SECRET} }}"),
        format!("auth: {{ 'Bearer {SECRET}' }}"),
        format!("auth: {{ bearer: {SECRET} }}"),
        format!("auth: {{ bearer: {{ token: {SECRET} }} }}"),
        format!("auth: {{ basic: {SECRET} }}"),
        format!("auth: {{ basic: 'u:{SECRET}' }}"),
        format!("auth: {{ basic: {{ username: 'u:{SECRET}', password: {{ env: P }} }} }}"),
        format!("auth: {{ basic: {{ username: u, password: {SECRET} }} }}"),
        format!("auth: {{ header: 'X-Api-Key: {SECRET}' }}"),
        format!("auth: {{ header: {{ name: 'X-Api-Key: {SECRET}', value: {SECRET} }} }}"),
        format!("headers: {SECRET}"),
        format!("headers: ['X-Api-Key: {SECRET}']"),
        format!("headers: {{ 'X-Api-Key: {SECRET}' }}"),
        format!("headers: {{ Authorization: 'Bearer {SECRET}' }}"),
        format!("headers: {{ X-Api-Key: [{SECRET}] }}"),
        format!("headers: {{ X-Api-Key: '{{{SECRET}}}' }}"),
        format!("headers: {{ X-Api-Key: '{SECRET}é' }}"),
        format!("tls: {{ key_password: {SECRET} }}"),
        format!("tls: {SECRET}"),
        format!("proxy: 'http://u:{SECRET}@p'"),
        format!("proxy: {{ 'http://u:{SECRET}@p' }}"),
        format!("proxy: [{SECRET}]"),
        format!("proxy: {{ url: 'http://u:{SECRET}@p:3128' }}"),
        format!("proxy: {{ url: 'u:{SECRET}@p:3128' }}"),
        format!("proxy: {{ url: 'http://p', username: u, password: {SECRET} }}"),
        format!("proxy: {{ url: 'http://p', username: 'u:{SECRET}', password: {{ env: P }} }}"),
        format!("urls: ['https://u:{SECRET}@h', [{SECRET}], 'https://u:p/{SECRET}@h']"),
    ];
    for text in texts {
        let told = problems(&sink("http", &text));
        assert!(!told.is_empty(), "{text}");
        assert!(!told.iter().any(|line| line.contains(SECRET)), "{text}: {told:?}");
    }
    for url in
        ["u:hunter2@h", "https://u:hunter2@h", "https://u:hun#hunter2@h", "https://h:hunter2"]
    {
        let told = problems(&bare("http", &format!("url: '{url}'")));
        assert!(!told.is_empty(), "{url}");
        assert!(!told.iter().any(|line| line.contains(SECRET)), "{url}: {told:?}");
    }
}
