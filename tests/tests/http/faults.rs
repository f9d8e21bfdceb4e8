//! A collector that fails in every way that HTTP knows: each is told in words that help, nothing is
//! lost, and nothing comes twice but where an answer was lost.

use shipper_tests::collector::Fault::{
    CloseAtAnswerByte, CloseAtRequestByte, CloseBeforeAnswer, EndlessHeaders, Garbage, HugeAnswer,
    Redirect, Reset, Slow, Stall, StallAtRequestByte, Status, StatusWith, Trickle,
};
use shipper_tests::collector::delivery::{Work, http_sink};
use shipper_tests::collector::{Collector, Dialect, Fault, GenericPlan, Plan, RetryAfter};
use shipper_tests::pki::Certificate;
use shipper_tests::process::until;

use super::HELPER;

/// What is noticed within a test.
const IMPATIENT: &str = "    timeouts: { connect: 500ms, request: 1s }\n";

/// The most events of a batch, as the sinks of these tests have them.
const BATCH_EVENTS: usize = 20;

/// Has each fault happen, and waits until it was told with its words and overcome.
fn suffer(work: &mut Work, collector: &Collector, faults: &[(Fault, &str)]) -> anyhow::Result<()> {
    for (fault, words) in faults {
        collector.script([fault.clone()]);
        let before = work.process.logged(words);
        work.process.await_log_times(words, before + 1)?;
        let taken = collector.look(|account| account.events.len());
        collector.wait("more events", |account| account.events.len() > taken)?;
    }
    Ok(())
}

#[test]
fn no_status_costs_an_event() -> anyhow::Result<()> {
    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    let sink = http_sink(&collector.url(), IMPATIENT);
    let Some(mut work) = Work::begin(HELPER, "statuses", &sink)? else { return Ok(()) };
    // Of 400, 413 and 422 other tests tell.
    let client = (401..=412).chain(414..=418).chain([421, 423, 424, 425, 426, 428, 429, 431, 451]);
    let server = [500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 599];
    let others = [101, 300, 301, 304, 305, 308, 600, 999];
    for status in client.chain(server).chain(others) {
        let words = format!("answered {status} ");
        suffer(&mut work, &collector, &[(Status(status), &words)])?;
    }
    let (balance, log, _) = work.end(&[&collector])?;
    balance.assert_exact();
    assert!(!log.contains("put aside"), "{log}");
    Ok(())
}

#[test]
fn what_was_not_taken_comes_once() -> anyhow::Result<()> {
    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    let elsewhere = Collector::start(Dialect::generic(), Plan::default())?;
    let sink = http_sink(&collector.url(), IMPATIENT);
    let Some(mut work) = Work::begin(HELPER, "untaken", &sink)? else { return Ok(()) };
    let lost = "the connection was lost before the answer was there";
    let late = "no answer within 1s (`timeouts.request`)";
    let leads = format!("into the configuration: {}/other", elsewhere.url());
    let page = "<html>\n<h1>out of\torder</h1>".to_owned();
    suffer(
        &mut work,
        &collector,
        &[
            (CloseAtRequestByte(1), lost),
            (CloseAtRequestByte(100), lost),
            (CloseAtRequestByte(500), lost),
            (StallAtRequestByte(1), late),
            (StallAtRequestByte(400), late),
            (CloseBeforeAnswer { taken: false }, lost),
            (Reset { taken: false }, lost),
            (Stall { taken: false }, late),
            (Garbage { taken: false }, "it speaks no HTTP"),
            (EndlessHeaders, lost),
            (StatusWith(502, page), "answered 502 Bad Gateway: <html> <h1>out of order</h1>;"),
            (HugeAnswer { status: 500, bytes: 1 << 30 }, "answered 500 "),
            (Redirect(307, format!("{}/other?a=b", elsewhere.url())), &leads),
            (Redirect(302, format!("{}/other", elsewhere.url())), &leads),
        ],
    )?;
    // The first words of an answer are enough.
    collector.script([HugeAnswer { status: 200, bytes: 1 << 30 }]);
    until("a huge answer", || Ok(collector.script_left() == 0))?;
    work.end_exact(&[&collector])?;
    assert_eq!(elsewhere.account().connections, 0, "a redirect was followed");
    Ok(())
}

#[test]
fn what_was_taken_comes_again_only_where_the_answer_was_lost() -> anyhow::Result<()> {
    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    let sink = http_sink(&collector.url(), IMPATIENT);
    let Some(mut work) = Work::begin(HELPER, "unanswered", &sink)? else { return Ok(()) };
    let lost = "the connection was lost before the answer was there";
    let late = "no answer within 1s (`timeouts.request`)";
    let faults = [
        (CloseAtAnswerByte(0), lost),
        (CloseAtAnswerByte(12), lost),
        (CloseAtAnswerByte(30), lost),
        (CloseBeforeAnswer { taken: true }, lost),
        (Reset { taken: true }, lost),
        (Garbage { taken: true }, "it speaks no HTTP"),
        (Stall { taken: true }, late),
        (Slow(5000), late),
        (Trickle(200), late),
    ];
    suffer(&mut work, &collector, &faults)?;
    // Slow, but in time.
    collector.script([Slow(300), Trickle(3)]);
    until("slow answers", || Ok(collector.script_left() == 0))?;
    let (balance, ..) = work.end(&[&collector])?;
    balance.assert_complete();
    assert!(balance.duplicates > 0, "{balance:?}");
    assert!(balance.duplicates <= faults.len() * BATCH_EVENTS, "{balance:?}");
    Ok(())
}

#[test]
fn a_pause_that_is_asked_for_is_kept() -> anyhow::Result<()> {
    let collector = Collector::start(Dialect::generic(), Plan::default())?;
    let sink = http_sink(&collector.url(), "");
    let Some(mut work) = Work::begin(HELPER, "pauses", &sink)? else { return Ok(()) };
    suffer(
        &mut work,
        &collector,
        &[
            (Fault::RetryAfter(429, RetryAfter::Seconds(1)), "; trying again in 1."),
            (Fault::RetryAfter(503, RetryAfter::Seconds(2)), "; trying again in 2."),
            (Fault::RetryAfter(503, RetryAfter::Date(4)), "; trying again in "),
            (
                Fault::RetryAfter(503, RetryAfter::Date(-60)),
                "503 Service Unavailable; trying again in ",
            ),
        ],
    )?;
    // A date has whole seconds, so it is up to one less than four.
    let by_date = ["; trying again in 3.", "; trying again in 4.0s"];
    assert_eq!(by_date.map(|words| work.process.logged(words)).iter().sum::<usize>(), 1);
    work.end_exact(&[&collector])
}

/// Over TLS, and nothing is taken twice by one that knows the key.
fn over_tls() -> anyhow::Result<Collector> {
    let dialect = Dialect::Generic(GenericPlan { dedup: true, ..GenericPlan::default() });
    let plan = Plan { tls: Some(Certificate::Valid), ..Plan::default() };
    Collector::start(dialect, plan)
}

#[test]
fn a_collector_without_a_good_certificate_gets_nothing_until_it_has_one() -> anyhow::Result<()> {
    let collector = over_tls()?;
    let tls = format!("    tls: {{ ca_file: {} }}\n", collector.ca_file().display());
    let sink = http_sink(&collector.url(), &tls);
    let Some(mut work) = Work::begin(HELPER, "certificates", &sink)? else { return Ok(()) };
    for (bad, words) in [
        (Certificate::Expired, "its certificate has expired"),
        (Certificate::OtherAuthority, "from an authority that is not trusted (`tls.ca_file`)"),
        (Certificate::OtherHost, "for another host than the URL or `tls.server_name` say"),
    ] {
        work.delivery.await_state("delivering", "")?;
        collector.present(bad)?;
        collector.disconnect();
        work.process.await_log(words)?;
        work.delivery.await_state("blocked", words)?;
        let requests = collector.look(|account| account.requests);
        work.stream.await_more(50)?;
        assert_eq!(collector.look(|account| account.requests), requests, "it got something");
        collector.present(Certificate::Valid)?;
        work.process.await_log("delivering again")?;
    }
    work.delivery.await_state("delivering", "")?;
    work.end_exact(&[&collector])
}

#[test]
fn a_collector_that_dies_hangs_and_comes_back_gets_everything_once() -> anyhow::Result<()> {
    let collector = over_tls()?;
    let more = IMPATIENT.to_owned()
        + &format!("    tls: {{ ca_file: {} }}\n", collector.ca_file().display());
    let sink = http_sink(&collector.localhost_url(), &more);
    let Some(mut work) = Work::begin(HELPER, "deaths", &sink)? else { return Ok(()) };
    for round in 1..=3 {
        collector.die();
        let words = "cannot connect: Connection refused";
        let before = work.process.logged(words);
        work.process.await_log_times(words, before + 1)?;
        work.stream.await_more(50)?;
        collector.revive()?;
        work.process.await_log_times("delivering again", 2 * round - 1)?;
        collector.mute(true);
        collector.disconnect();
        let words = "no connection within 500ms (`timeouts.connect`)";
        let before = work.process.logged(words);
        work.process.await_log_times(words, before + 1)?;
        collector.mute(false);
        work.process.await_log_times("delivering again", 2 * round)?;
    }
    work.end_exact(&[&collector])
}
