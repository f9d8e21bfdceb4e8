//! What a generic collector takes, and what it holds to be no HTTP.

use std::io::{Read as _, Write as _};

use shipper_tests::collector::{Collector, Dialect, GenericPlan, Plan};

use crate::{NDJSON, call, connect, curl, line, parse, post, request, send};

const POST: (&str, &str) = ("POST", "/ingest?tenant=1");

fn generic(plan: GenericPlan) -> anyhow::Result<Collector> {
    Collector::start(Dialect::Generic(plan), Plan::default())
}

#[test]
fn lines_and_arrays_are_taken_as_they_are_and_compressed() -> anyhow::Result<()> {
    let collector = generic(GenericPlan::default())?;
    let lines = line("1") + &line("2");
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(line("4").as_bytes())?;
        encoder.finish()?
    };
    let zstd = zstd::encode_all(line("5").as_bytes(), 1)?;
    let array = br#"[{"event":{"id":"3"}}]"#;
    let chunked = "POST / HTTP/1.1\r\nHost: c\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\
                   Content-Type: application/json; charset=utf-8\r\n\r\n\
                   9\r\n[{\"event\"\r\nd;x=y\r\n:{\"id\":\"6\"}}]\r\n0\r\nTrailer: x\r\n\r\n";

    assert_eq!(call(&collector, POST, &[NDJSON], lines.as_bytes())?.status, 200);
    let json = "Content-Type: application/json";
    assert_eq!(call(&collector, POST, &[json], array)?.status, 200);
    assert_eq!(call(&collector, POST, &[NDJSON, "Content-Encoding: gzip"], &gzip)?.status, 200);
    assert_eq!(call(&collector, POST, &[NDJSON, "Content-Encoding: zstd"], &zstd)?.status, 200);
    assert_eq!(parse(&send(&collector, chunked.as_bytes())?)?.status, 200);

    let account = collector.account();
    assert!(account.has_exactly(["1", "2", "3", "4", "5", "6"]), "{account:?}");
    assert_eq!((account.malformed, account.requests, account.connections), (0, 5, 5));
    assert_eq!(account.statuses.get(&200), Some(&5));
    let seen = &collector.requests()[2];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), POST);
    assert_eq!(seen.header("content-encoding"), Some("gzip"));
    assert_eq!((seen.body_bytes, seen.body.as_slice()), (gzip.len(), line("4").as_bytes()));
    Ok(())
}

#[test]
fn a_connection_serves_one_request_after_the_other() -> anyhow::Result<()> {
    let collector = generic(GenericPlan::default())?;
    let one = |id: &str| {
        let text = String::from_utf8(post(id)).expect("text");
        text.replace("Connection: close\r\n", "").into_bytes()
    };
    // Two that wait for their answers, two at once without waiting.
    let mut socket = connect(&collector)?;
    let mut answer = [0; 1024];
    for id in ["1", "2"] {
        socket.write_all(&one(id))?;
        let count = socket.read(&mut answer)?;
        assert_eq!(parse(&answer[..count])?.status, 200);
    }
    socket.write_all(&[one("3"), post("4")].concat())?;
    let mut rest = String::new();
    socket.read_to_string(&mut rest)?;
    assert_eq!(rest.matches("HTTP/1.1 200 OK").count(), 2);
    let account = collector.account();
    assert!(account.has_exactly(["1", "2", "3", "4"]));
    assert_eq!((account.connections, account.in_flight_max), (1, 1));
    Ok(())
}

#[test]
fn curl_is_told_to_continue_with_a_large_body() -> anyhow::Result<()> {
    let collector = generic(GenericPlan::default())?;
    let url = format!("{}/ingest", collector.localhost_url());
    let events: String = (0..40_000).map(|id| line(&id.to_string())).collect();
    let told = ["-H", NDJSON, "-H", "Expect: 100-continue", "--data-binary", "@-"];
    let out = ["-o", "/dev/null", "-w", "%{http_code} %{num_connects} "];
    let Some((code, said)) = curl(&[&told[..], &out, &[&url]].concat(), events.as_bytes())? else {
        return Ok(());
    };
    assert_eq!((code, said.as_str()), (0, "200 1 "));
    assert_eq!(collector.look(|account| account.events.len()), 40_000);
    Ok(())
}

#[test]
fn what_is_no_http_or_cannot_be_decoded_is_answered_400_and_counted() -> anyhow::Result<()> {
    let collector = generic(GenericPlan::default())?;
    let with = |header: &str, body: &[u8]| request("POST", "/", &[NDJSON, header], body);
    let raw = |text: &str| text.as_bytes().to_vec();
    let two_lengths = "POST / HTTP/1.1\r\nHost: c\r\nContent-Length: 0\r\n\
                       Transfer-Encoding: chunked\r\n\r\n";
    let bad = [
        raw("\x16\x03\x01 hello\r\n\r\n"),
        raw("POST / HTTP/1.1\r\n\r\n"),
        raw("POST / HTTP/1.1\r\nHost: c\r\nContent-Length: -1\r\n\r\n"),
        raw(two_lengths),
        raw("POST / HTTP/1.1\r\nHost: c\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        "x".repeat(100_000).into_bytes(),
        with("Content-Encoding: gzip", line("1").as_bytes()),
        with("Content-Encoding: zstd", line("1").as_bytes()),
        with("Content-Encoding: br", line("1").as_bytes()),
        with("X: y", b""),
        with("X: y", b"\n"),
        with("X: y", line("1").trim_end().as_bytes()),
        with("X: y", b"{\"event\":{\"id\":1}}\n"),
        with("X: y", b"{\"event\":\n"),
    ];
    for (place, bytes) in bad.iter().enumerate() {
        assert_eq!(parse(&send(&collector, bytes)?)?.status, 400, "{place}");
        assert_eq!(collector.look(|account| account.malformed), place + 1);
    }
    // Known to be no event, and told by another status.
    let text = "Content-Type: text/plain";
    assert_eq!(call(&collector, POST, &[text], line("1").as_bytes())?.status, 415);
    assert_eq!(call(&collector, ("GET", "/"), &[], b"")?.status, 405);
    let head = call(&collector, ("HEAD", "/"), &[], b"")?;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    let account = collector.account();
    assert_eq!((account.malformed, account.complaints.len()), (bad.len() + 1, bad.len() + 1));
    assert!(account.events.is_empty());
    Ok(())
}

#[test]
fn a_client_that_breaks_off_is_not_malformed() -> anyhow::Result<()> {
    let collector = generic(GenericPlan::default())?;
    let whole = post("1");
    for length in [0, 10, whole.len() - 1] {
        connect(&collector)?.write_all(&whole[..length])?;
    }
    send(&collector, &whole)?;
    collector.die();
    let account = collector.account();
    assert_eq!((account.malformed, account.connections, account.requests), (0, 4, 2));
    assert!(account.has_exactly(["1"]));
    Ok(())
}

#[test]
fn a_key_that_was_taken_is_not_taken_again_and_misuse_is_noted() -> anyhow::Result<()> {
    for dedup in [true, false] {
        let collector = generic(GenericPlan { dedup, ..GenericPlan::default() })?;
        let put = |key: &str, id: &str| {
            let header = format!("Idempotency-Key: {key}");
            call(&collector, POST, &[NDJSON, &header], line(id).as_bytes())
        };
        for _ in 0..2 {
            assert_eq!(put("a", "1")?.status, 200);
        }
        assert_eq!(put("b", "2")?.status, 200);
        let account = collector.account();
        assert!(account.has_exactly(["1", "2"]));
        assert_eq!(account.repeated(), usize::from(!dedup));
        assert_eq!((account.keys["a"], account.keys["b"]), (2, 1));
        assert!(account.key_violations.is_empty());

        put("a", "3")?;
        put("c", "2")?;
        assert_eq!(collector.account().key_violations, ["a", "c"]);
    }
    Ok(())
}

#[test]
fn what_is_too_large_or_marked_is_refused_whole() -> anyhow::Result<()> {
    let collector = generic(GenericPlan {
        body_bytes_max: Some(60),
        refused: vec![("poison".into(), 422)],
        ..GenericPlan::default()
    })?;
    let put = |lines: String| call(&collector, POST, &[NDJSON], lines.as_bytes());
    assert_eq!(put(line("1") + &line("2") + &line("3"))?.status, 413);
    assert_eq!(put(line("1") + &line("poison"))?.status, 422);
    assert_eq!(put(line("1") + &line("2"))?.status, 200);
    collector.change(|dialect| *dialect = Dialect::generic());
    assert_eq!(put(line("1") + &line("2") + &line("poison"))?.status, 200);
    let account = collector.account();
    assert!(account.has_exactly(["1", "2", "poison"]));
    assert_eq!((account.taken["1"], account.malformed), (2, 0));
    Ok(())
}

#[test]
fn who_has_not_the_token_of_now_is_not_let_in() -> anyhow::Result<()> {
    let plan = Plan { token: Some("Bearer old".into()), ..Plan::default() };
    let collector = Collector::start(Dialect::generic(), plan)?;
    let put =
        |auth: &str| Ok(call(&collector, POST, &[NDJSON, auth], line("1").as_bytes())?.status);
    let old = "Authorization: Bearer old";
    let outcome: anyhow::Result<Vec<u16>> =
        ["X: y", "Authorization: Basic old", old].map(put).into_iter().collect();
    assert_eq!(outcome?, [401, 401, 200]);
    collector.expect_token("Bearer new");
    let outcome: anyhow::Result<Vec<u16>> =
        [old, "Authorization: Bearer new"].map(put).into_iter().collect();
    assert_eq!(outcome?, [401, 200]);
    assert_eq!(collector.account().taken["1"], 2);
    Ok(())
}

#[test]
fn tens_of_thousands_of_requests_are_kept_account_of() -> anyhow::Result<()> {
    let collector = generic(GenericPlan::default())?;
    let (clients, each) = (4, 5_000);
    std::thread::scope(|scope| {
        for client in 0..clients {
            let collector = &collector;
            scope.spawn(move || {
                let mut socket = connect(collector).expect("a connection");
                let mut answer = [0; 256];
                for number in 0..each {
                    let bytes =
                        String::from_utf8(post(&format!("{client}-{number}"))).expect("text");
                    let bytes = bytes.replace("Connection: close\r\n", "");
                    socket.write_all(bytes.as_bytes()).expect("written");
                    assert!(socket.read(&mut answer).expect("an answer") > 0);
                }
            });
        }
    });
    let account = collector.account();
    assert_eq!((account.events.len(), account.repeated()), (clients * each, 0));
    assert!(account.in_flight_max <= clients);
    assert_eq!(collector.requests().len(), 10_000);
    Ok(())
}
