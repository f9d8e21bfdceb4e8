//! How many batches are with the sink at once, and how many in a second.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{NAME, Scripted, Setup, all, open, retry, sent};
use crate::config::settings::{Concurrency, RateLimit};
use crate::deliver::{Control, Delivered, status};

const SECOND: Duration = Duration::from_secs(1);

fn setup(events: u64, concurrency: Concurrency, requests: Option<u32>) -> Setup {
    let mut setup = Setup::new(events);
    setup.settings.batch_events_max = 10;
    setup.settings.concurrency = concurrency;
    setup.settings.rate_limit = RateLimit { requests, bytes: None };
    setup
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_sink_begins_with_one_batch_and_gets_more_while_all_goes_well() {
    let setup = setup(1_000, Concurrency::Adaptive(5), None);
    let start = Instant::now();
    let sink = Scripted::slow(SECOND, |_| sent());
    let (writer, spool) = open(setup.directory.path());
    writer.close(super::now()).unwrap();
    let mut line = setup.line(&spool, &sink);
    line.status_dir = Some(setup.directory.path().to_owned());
    let (_control, watched) = watch::channel(Control::default());
    assert_eq!(line.run(watched).await.sent, 1_000);
    assert_eq!(sink.got(), all(1..=1_000));
    assert_eq!(sink.under_way.lock().unwrap().1, 5);
    // Four windows of 1 to 4, and 90 by fives.
    assert_eq!(start.elapsed().as_secs(), 4 + 18);
    let status = status::read(setup.directory.path(), NAME).unwrap().unwrap();
    assert_eq!(status.figures["concurrency_limit"], 5);
}

#[tokio::test(start_paused = true)]
async fn failures_of_batches_that_were_under_way_together_halve_it_once() {
    let mut setup = setup(1_000, Concurrency::Adaptive(8), None);
    let mut calls = 0;
    let sink = Scripted::slow(SECOND, move |_| {
        calls += 1;
        // One to seven went well; then eight at once fail.
        if (29..37).contains(&calls) { retry() } else { sent() }
    });
    let (control, watched) = watch::channel(Control::default());
    let look = async {
        // One of them tries alone; when that went well, as many as allowed go with the next.
        while sink.calls() < 37 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(SECOND / 2).await;
        let under_way = sink.under_way.lock().unwrap().0;
        control.send_modify(|control| control.deadline = Some(Instant::now()));
        under_way
    };
    let sink = Arc::clone(&sink);
    let (_, under_way) = tokio::join!(setup.run_with(&sink, watched), look);
    assert_eq!(under_way, 4);
}

#[tokio::test(start_paused = true)]
async fn a_rate_spreads_requests_in_order_and_its_wait_ends_with_the_daemon() {
    let mut setup = setup(100, Concurrency::Fixed(4), Some(2));
    let sink = Scripted::slow(SECOND * 5, |_| sent());
    let (control, watched) = watch::channel(Control::default());
    let start = Instant::now();
    let deadline = start + SECOND * 60;
    control.send_modify(|control| control.deadline = Some(deadline));
    assert_eq!(setup.run_with(&sink, watched).await.sent, 100);
    assert_eq!(sink.got(), all(1..=100));
    // Two at once, two more within the next second, then by fours each five.
    assert_eq!(start.elapsed().as_secs(), 15);

    let mut setup = self::setup(100, Concurrency::Fixed(4), Some(1));
    let sink = Scripted::new(|_| sent());
    let (control, watched) = watch::channel(Control::default());
    let start = Instant::now();
    let deadline = start + Duration::from_millis(3_500);
    control.send_modify(|control| control.deadline = Some(deadline));
    let delivered = setup.run_with(&sink, watched).await;
    assert_eq!(delivered, Delivered { sent: 40, quarantined: 0, complete: false });
    assert_eq!(Instant::now(), deadline);
}

#[tokio::test(start_paused = true)]
async fn with_a_backlog_the_status_is_written_and_signals_are_heard_between_batches() {
    let mut setup = setup(1_000, Concurrency::Fixed(8), None);
    let (control, watched) = watch::channel(Control::default());
    let directory = setup.directory.path().to_owned();
    let mut calls = 0;
    let mut first_status = None;
    let (told, heard) = std::sync::mpsc::channel();
    let sink = Scripted::new(move |_| {
        calls += 1;
        if calls == 1 {
            control.send_modify(|control| control.reopens = 1);
        }
        if first_status.is_none() && status::read(&directory, NAME).unwrap().is_some() {
            first_status = Some(calls);
            told.send(calls).unwrap();
        }
        if calls == 50 {
            control.send_modify(|control| control.deadline = Some(Instant::now()));
        }
        sent()
    });
    let (writer, spool) = open(setup.directory.path());
    writer.close(super::now()).unwrap();
    setup.settings.batch_events_max = 10;
    let mut line = setup.line(&spool, &sink);
    line.status_dir = Some(setup.directory.path().to_owned());
    assert!(!line.run(watched).await.complete, "a backlog is left");
    assert_eq!(*sink.reopened.lock().unwrap(), 1);
    let first_status = heard.try_recv().expect("a status before the end");
    assert!(first_status < 20, "written at call {first_status}");
}
