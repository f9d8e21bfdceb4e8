//! Batches: how they are cut, several in flight, acknowledged in order, one probe while down.

use crate::config::settings::Concurrency;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Scripted, Setup, all, now, numbered, open, put, retry, sent};
use crate::deliver::Control;

#[tokio::test(start_paused = true)]
async fn a_batch_is_full_by_events_or_by_bytes_or_after_its_linger() {
    let mut setup = Setup::new(10);
    setup.settings.batch_events_max = 4;
    let sink = Scripted::answers(Vec::new());
    setup.run(&sink).await;
    assert_eq!(*sink.calls.lock().unwrap(), [all(1..=4), all(5..=8), all(9..=10)]);

    // Each event takes 8 bytes; one alone may be larger than the limit.
    for (bytes_max, per_batch) in [(26, 3), (3, 1)] {
        let mut setup = Setup::new(9);
        setup.settings.batch_bytes_max = bytes_max;
        let sink = Scripted::answers(Vec::new());
        setup.run(&sink).await;
        assert!(sink.calls.lock().unwrap().iter().all(|call| call.len() == per_batch));
        assert_eq!(sink.got(), all(1..=9));
    }

    let setup = Setup::new(0);
    let sink = Scripted::answers(Vec::new());
    let (mut writer, spool) = open(setup.directory.path());
    let line = setup.line(&spool, &sink);
    let (_control, watched) = watch::channel(Control::default());
    let driver = async {
        put(&mut writer, &numbered(1));
        tokio::time::sleep(Duration::from_millis(10)).await;
        put(&mut writer, &numbered(2));
        tokio::time::sleep(Duration::from_millis(39)).await;
        assert_eq!(sink.calls(), 0, "its linger is 50 ms");
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert_eq!(sink.got(), [1, 2]);
        writer.close(now()).unwrap();
    };
    tokio::join!(line.run(watched), driver);
}

#[tokio::test(start_paused = true)]
async fn several_batches_are_in_flight_and_none_is_acknowledged_before_an_older_one() {
    let mut setup = Setup::new(40);
    setup.settings.batch_events_max = 10;
    setup.settings.concurrency = Concurrency::Fixed(4);
    // The first batch fails until all others are in.
    let others = Arc::new(AtomicBool::new(false));
    let (seen, mut count) = (Arc::clone(&others), 0);
    let sink = Scripted::slow(Duration::from_millis(100), move |numbers| {
        if numbers[0] == 1 && !seen.load(Ordering::Relaxed) {
            return retry();
        }
        count += 1;
        if count == 3 {
            seen.store(true, Ordering::Relaxed);
        }
        sent()
    });
    let (control, watched) = watch::channel(Control::default());
    let stop = async {
        while sink.calls() < 4 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        control.send_modify(|control| control.deadline = Some(Instant::now()));
    };
    let (delivered, ()) = {
        let sink = Arc::clone(&sink);
        tokio::join!(setup.run_with(&sink, watched), stop)
    };
    assert_eq!(sink.under_way.lock().unwrap().1, 4);
    assert_eq!(delivered.sent, 0, "three are in, but the first one is not");
    let next = Scripted::answers(Vec::new());
    setup.run(&next).await;
    assert_eq!(next.got(), all(1..=40), "so all of them come again");
}

#[tokio::test(start_paused = true)]
async fn while_a_sink_is_down_one_batch_probes_it_and_the_others_wait() {
    let mut setup = Setup::new(80);
    setup.settings.batch_events_max = 10;
    setup.settings.concurrency = Concurrency::Fixed(4);
    let start = Instant::now();
    let hour = Duration::from_secs(3600);
    let sink = Scripted::slow(Duration::from_millis(10), move |_| {
        if start.elapsed() < hour { retry() } else { sent() }
    });
    setup.run(&sink).await;
    let mut got = sink.got();
    got.sort_unstable();
    assert_eq!(got, all(1..=80));
    let calls = sink.calls.lock().unwrap();
    let failed = calls.len() - 8;
    assert_eq!(calls[..4].iter().map(|call| call[0]).collect::<Vec<_>>(), [1, 11, 21, 31]);
    assert!(calls[4..failed].iter().all(|call| call[0] == 1), "only the oldest probes");
}
