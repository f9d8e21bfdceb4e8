//! Each fault, as a client sees it and as the account has it.

use std::io::{ErrorKind, Read as _, Write as _};

use shipper_tests::collector::{Collector, Dialect, Fault, Plan, RetryAfter};

use crate::{connect, parse, post, send};

fn start() -> anyhow::Result<Collector> {
    Collector::start(Dialect::generic(), Plan::default())
}

fn taken(collector: &Collector) -> usize {
    collector.look(|account| account.events.len())
}

#[test]
fn any_status_is_answered_and_takes_only_if_it_is_good() -> anyhow::Result<()> {
    let collector = start()?;
    let cases = [
        (Fault::Status(503), 503, "", false),
        (Fault::Status(202), 202, "", true),
        (Fault::Status(204), 204, "", true),
        (Fault::StatusWith(400, "no".into()), 400, "no", false),
        (Fault::StatusWith(200, "yes".into()), 200, "yes", true),
        (Fault::OkWith("{\"code\":6}".into()), 200, "{\"code\":6}", false),
        (Fault::Lost, 200, "", false),
        (Fault::HugeAnswer { status: 500, bytes: 3 }, 500, "3\r\nxxx\r\n0\r\n\r\n", false),
        (Fault::Well, 200, "", true),
    ];
    let mut count = 0;
    for (place, (fault, status, body, takes)) in cases.into_iter().enumerate() {
        collector.script([fault.clone()]);
        let answer = parse(&send(&collector, &post(&place.to_string()))?)?;
        assert_eq!((answer.status, answer.body.as_str()), (status, body), "{fault:?}");
        count += usize::from(takes);
        assert_eq!(taken(&collector), count, "{fault:?}");
        assert_eq!(collector.requests().last().and_then(|seen| seen.status), Some(status));
    }
    Ok(())
}

#[test]
fn what_the_dialect_refuses_is_not_made_good() -> anyhow::Result<()> {
    let plan = Plan { token: Some("Bearer x".into()), ..Plan::default() };
    let collector = Collector::start(Dialect::generic(), plan)?;
    collector.script([Fault::Status(202), Fault::Status(503)]);
    assert_eq!(parse(&send(&collector, &post("1"))?)?.status, 401);
    assert_eq!(parse(&send(&collector, &post("1"))?)?.status, 503);
    assert_eq!(taken(&collector), 0);
    Ok(())
}

#[test]
fn clients_are_told_when_to_come_back_and_where_to_go() -> anyhow::Result<()> {
    let collector = start()?;
    collector.script([
        Fault::RetryAfter(429, RetryAfter::Seconds(7)),
        Fault::RetryAfter(503, RetryAfter::Date(3600)),
        Fault::RetryAfter(503, RetryAfter::Date(-3600)),
        Fault::Redirect(307, "/elsewhere".into()),
    ]);
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(parse(&send(&collector, &post("1"))?)?);
    }
    assert_eq!(answers.iter().map(|a| a.status).collect::<Vec<_>>(), [429, 503, 503, 307]);
    assert_eq!(answers[0].header("retry-after"), Some("7"));
    let date = |place: usize| answers[place].header("retry-after").map(httpdate::parse_http_date);
    let now = std::time::SystemTime::now();
    assert!(date(1).is_some_and(|at| at.is_ok_and(|at| at > now)));
    assert!(date(2).is_some_and(|at| at.is_ok_and(|at| at < now)));
    assert_eq!(answers[3].header("location"), Some("/elsewhere"));
    assert_eq!((taken(&collector), collector.script_left()), (0, 0));
    assert_eq!(parse(&send(&collector, &post("1"))?)?.status, 200);
    Ok(())
}

#[test]
fn the_connection_is_closed_at_any_byte_of_the_request() -> anyhow::Result<()> {
    let collector = start()?;
    let whole = post("1");
    for length in [1, 30, whole.len() - 1, whole.len(), whole.len() + 9] {
        collector.script([Fault::CloseAtRequestByte(length)]);
        match send(&collector, &whole) {
            Ok(answer) => assert_eq!(answer, b""),
            // There was more of it on the way.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    let account = collector.account();
    assert_eq!((account.requests, account.events.len(), account.malformed), (5, 0, 0));
    Ok(())
}

#[test]
fn the_connection_is_closed_at_any_byte_of_the_answer() -> anyhow::Result<()> {
    let collector = start()?;
    let whole = send(&collector, &post("whole"))?;
    for length in [0, 1, 20, whole.len() - 1, whole.len(), whole.len() + 9] {
        collector.script([Fault::CloseAtAnswerByte(length)]);
        let got = send(&collector, &post(&length.to_string()))?;
        assert_eq!(got, whole[..whole.len().min(length)]);
    }
    assert_eq!(taken(&collector), 7);
    Ok(())
}

#[test]
fn no_answer_comes_whether_taken_or_not() -> anyhow::Result<()> {
    let collector = start()?;
    for taken_first in [false, true] {
        collector.script([
            Fault::CloseBeforeAnswer { taken: taken_first },
            Fault::Reset { taken: taken_first },
            Fault::Garbage { taken: taken_first },
        ]);
        assert_eq!(send(&collector, &post("1"))?, b"");
        let reset = send(&collector, &post("2")).expect_err("no answer");
        assert_eq!(reset.kind(), ErrorKind::ConnectionReset);
        assert!(parse(&send(&collector, &post("3"))?).is_err());
        assert_eq!(taken(&collector), if taken_first { 3 } else { 0 });
    }
    assert!(collector.requests().iter().all(|seen| seen.status.is_none()));
    assert!(collector.account().statuses.is_empty());
    Ok(())
}

#[test]
fn a_stalled_request_is_answered_by_nothing_but_death() -> anyhow::Result<()> {
    let collector = start()?;
    collector.script([
        Fault::Stall { taken: true },
        Fault::Stall { taken: false },
        Fault::StallAtRequestByte(20),
        Fault::Stall { taken: false },
    ]);
    let mut sockets = Vec::new();
    for number in 1..=4 {
        let mut socket = connect(&collector)?;
        socket.write_all(&post(&number.to_string()))?;
        collector.wait("the request", |account| account.requests == number)?;
        sockets.push(socket);
    }
    collector.wait("what is taken", |account| account.has_exactly(["1"]))?;
    // One gives up, which leaves the others as they are.
    drop(sockets.pop());
    assert_eq!(parse(&send(&collector, &post("5"))?)?.status, 200);
    collector.die();
    for mut socket in sockets {
        let mut answer = Vec::new();
        let read = socket.read_to_end(&mut answer);
        assert!(
            read.is_ok() || read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
        );
        assert_eq!(answer, b"");
    }
    // The fifth beside at least the three that are left.
    assert!(collector.account().in_flight_max >= 4);
    Ok(())
}

#[test]
fn a_slow_answer_is_whole_and_one_that_nobody_awaits_is_taken() -> anyhow::Result<()> {
    let collector = start()?;
    collector.script([Fault::Trickle(1), Fault::Slow(20), Fault::Slow(3_600_000)]);
    assert_eq!(parse(&send(&collector, &post("1"))?)?.status, 200);
    assert_eq!(parse(&send(&collector, &post("2"))?)?.status, 200);
    let mut impatient = connect(&collector)?;
    impatient.write_all(&post("3"))?;
    collector.wait("what is taken", |account| account.events.len() == 3)?;
    drop(impatient);
    // That would wait for an hour, had the collector not seen the client go.
    collector.die();
    Ok(())
}

#[test]
fn answers_may_be_huge_or_have_no_end() -> anyhow::Result<()> {
    let collector = start()?;
    collector.script([Fault::HugeAnswer { status: 200, bytes: 5_000_000 }, Fault::EndlessHeaders]);
    let answer = send(&collector, &post("1"))?;
    assert!(answer.len() > 5_000_000 && answer.ends_with(b"0\r\n\r\n"));
    assert_eq!(taken(&collector), 1);

    let mut socket = connect(&collector)?;
    socket.write_all(&post("2"))?;
    let mut headers = vec![0; 3 << 20];
    socket.read_exact(&mut headers)?;
    assert!(headers.starts_with(b"HTTP/1.1 200 OK\r\nX-More: "));
    assert!(!headers.windows(4).any(|bytes| bytes == b"\r\n\r\n"));
    assert_eq!(taken(&collector), 1);
    Ok(())
}

#[test]
fn faults_happen_always_or_only_to_some_paths() -> anyhow::Result<()> {
    let collector = start()?;
    let to = |path: &str| -> anyhow::Result<u16> {
        let text = String::from_utf8(post("1"))?.replace("/ingest", path);
        Ok(parse(&send(&collector, text.as_bytes())?)?.status)
    };
    collector.always(Fault::Status(503));
    collector.script([Fault::Status(429)]);
    collector.only("/in");
    assert_eq!([to("/out")?, to("/in?x")?, to("/ingest")?, to("/out")?], [200, 429, 503, 200]);
    collector.always(Fault::Well);
    assert_eq!(to("/in")?, 200);
    Ok(())
}

#[test]
fn requests_above_a_limit_are_told_that_they_are_too_many() -> anyhow::Result<()> {
    let collector = start()?;
    collector.limit_in_flight(Some(2));
    collector.script([Fault::Stall { taken: true }, Fault::Stall { taken: true }]);
    let mut at_work = Vec::new();
    for number in 1..=2 {
        let mut socket = connect(&collector)?;
        socket.write_all(&post(&number.to_string()))?;
        collector.wait("the request", |account| account.events.len() == number)?;
        at_work.push(socket);
    }
    for _ in 0..3 {
        assert_eq!(parse(&send(&collector, &post("3"))?)?.status, 429);
    }
    assert_eq!(collector.account().in_flight_max, 3);
    collector.limit_in_flight(None);
    assert_eq!(parse(&send(&collector, &post("3"))?)?.status, 200);
    assert!(collector.account().has_exactly(["1", "2", "3"]));
    Ok(())
}

#[test]
fn it_dies_and_returns_at_the_same_port_with_its_memory() -> anyhow::Result<()> {
    let collector = start()?;
    send(&collector, &post("1"))?;
    let mut idle = connect(&collector)?;
    collector.wait("the connection", |account| account.connections == 2)?;
    for id in ["2", "3"] {
        collector.die();
        let refused = send(&collector, &post(id)).expect_err("dead");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        collector.revive()?;
        collector.revive()?;
        assert_eq!(parse(&send(&collector, &post(id))?)?.status, 200);
    }
    assert_eq!(idle.read(&mut [0])?, 0);
    assert!(collector.account().has_exactly(["1", "2", "3"]));

    // Only the connections.
    let mut idle = connect(&collector)?;
    collector.wait("the connection", |account| account.connections == 5)?;
    collector.disconnect();
    assert_eq!(idle.read(&mut [0])?, 0);
    assert_eq!(parse(&send(&collector, &post("4"))?)?.status, 200);
    Ok(())
}

#[test]
fn a_mute_collector_accepts_and_says_nothing() -> anyhow::Result<()> {
    let collector = start()?;
    collector.mute(true);
    let mut socket = connect(&collector)?;
    socket.write_all(&post("1"))?;
    collector.wait("the connection", |account| account.connections == 1)?;
    collector.mute(false);
    assert_eq!(parse(&send(&collector, &post("2"))?)?.status, 200);
    collector.die();
    let mut answer = Vec::new();
    // Closed with the request unread.
    let read = socket.read_to_end(&mut answer);
    assert!(read.is_ok() || read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    assert_eq!(answer, b"");
    let account = collector.account();
    assert!(account.has_exactly(["2"]));
    assert_eq!(account.requests, 1);
    Ok(())
}
