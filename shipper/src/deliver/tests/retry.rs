//! What can be tried again is, for ever and with pauses; what was asked for is honoured.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Scripted, Setup, all, blocked, now, numbered, open, open_on, put, retry, sent};
use crate::deliver::{Control, Delivered};
use crate::sink::Outcome;
use crate::spool::disk::sim::{Op, SimDisk};

#[tokio::test(start_paused = true)]
async fn every_event_arrives_once_and_in_order_whatever_the_sink_answers_first() {
    let mut setup = Setup::new(250);
    let sink = Scripted::answers(vec![retry(), blocked(), retry()]);
    let delivered = setup.run(&sink).await;
    assert_eq!(delivered, Delivered { sent: 250, quarantined: 0, complete: true });
    assert_eq!(sink.got(), all(1..=250));
    assert_eq!(sink.calls(), 3 + 3);
    // The next life begins where this one ended.
    let again = Scripted::answers(Vec::new());
    assert_eq!(setup.run(&again).await.sent, 0);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_blocked_for_weeks_loses_nothing() {
    let mut setup = Setup::new(10);
    let start = Instant::now();
    let month = Duration::from_secs(30 * 24 * 3600);
    let sink = Scripted::new(move |_| if start.elapsed() < month { blocked() } else { sent() });
    assert_eq!(setup.run(&sink).await.sent, 10);
    assert_eq!(sink.got(), all(1..=10));
}

#[tokio::test(start_paused = true)]
async fn the_other_side_may_ask_for_a_longer_pause() {
    let mut setup = Setup::new(1);
    let start = Instant::now();
    let asked = Duration::from_secs(3600);
    let after = Outcome::Retry { cause: "429".to_owned(), after: Some(asked) };
    let sink = Scripted::answers(vec![after]);
    setup.run(&sink).await;
    // Its own pause is on top. The clock counts in ms, and the linger comes before.
    let latest = asked + setup.settings.retry_initial + Duration::from_millis(60);
    assert!((asked..=latest).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(sink.got(), [1]);
}

#[tokio::test(start_paused = true)]
async fn past_the_deadline_the_rest_stays_in_the_spool_for_the_next_start() {
    let mut setup = Setup::new(250);
    let sink = Scripted::new(|numbers| if numbers[0] > 100 { retry() } else { sent() });
    let (control, watched) = watch::channel(Control::default());
    let deadline = Some(Instant::now() + Duration::from_secs(5));
    control.send_replace(Control { deadline, ..Control::default() });
    let delivered = setup.run_with(&sink, watched).await;
    assert_eq!(delivered, Delivered { sent: 100, quarantined: 0, complete: false });
    let next = Scripted::answers(Vec::new());
    assert_eq!(setup.run(&next).await.sent, 150);
    assert_eq!(next.got(), all(101..=250));
}

#[tokio::test(start_paused = true)]
async fn a_reopen_reaches_an_idle_sink_and_one_that_waits() {
    let setup = Setup::new(0);
    let sink = Scripted::answers(vec![Outcome::Retry {
        cause: "away".to_owned(),
        after: Some(Duration::from_secs(1_000_000)),
    }]);
    let (mut writer, spool) = open(setup.directory.path());
    let line = setup.line(&spool, &sink);
    let (control, watched) = watch::channel(Control::default());
    let driver = async {
        control.send_modify(|control| control.reopens += 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(*sink.reopened.lock().unwrap(), 1);
        put(&mut writer, &numbered(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(sink.calls(), 1);
        control.send_modify(|control| control.reopens += 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        writer.close(now()).unwrap();
    };
    let (delivered, ()) = tokio::join!(line.run(watched), driver);
    assert_eq!(delivered.sent, 1, "it did not wait eleven days");
    assert_eq!(*sink.reopened.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_position_is_saved_before_a_batch_that_asks_for_it_and_comes_back_at_the_next_start() {
    let mut setup = Setup::new(150);
    let position = |text: &str| text.as_bytes().to_vec();
    let sink = Scripted::answers(vec![
        Outcome::Sent { position: position("first") },
        Outcome::Checkpoint { position: position("second") },
        retry(),
    ]);
    let (control, watched) = watch::channel(Control::default());
    let stop = async {
        while sink.calls() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        control.send_modify(|control| control.deadline = Some(Instant::now()));
    };
    let (delivered, ()) = {
        let sink = Arc::clone(&sink);
        tokio::join!(setup.run_with(&sink, watched), stop)
    };
    assert_eq!(delivered.sent, 100);
    let next = Scripted::answers(Vec::new());
    setup.run(&next).await;
    assert_eq!(next.got(), all(101..=150));
    assert_eq!(*next.resumed.lock().unwrap(), [position("second")]);
}

/// The reader gives a place up at the third try. Whatever else happens meanwhile must not make
/// these come in a moment.
#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_for_half_a_second_costs_nothing_however_busy_the_line_is() {
    let setup = Setup::new(0);
    let disk = SimDisk::default();
    let (mut writer, spool) = open_on(Arc::new(disk.clone()), Path::new("/"));
    (1..=50).for_each(|number| put(&mut writer, &numbered(number)));
    let sink = Scripted::answers(Vec::new());
    let line = setup.line(&spool, &sink);
    disk.fail(Op::Read, 0, 1000, Errno::IO);
    let (control, watched) = watch::channel(Control::default());
    let driver = async {
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            control.send_modify(|control| control.reopens += 1);
        }
        disk.heal();
        writer.close(now()).unwrap();
    };
    let (delivered, ()) = tokio::join!(line.run(watched), driver);
    assert_eq!(delivered.sent, 50);
    assert_eq!(sink.got(), all(1..=50));
}
