//! Events that are refused: split, found, put aside, reported; or held when it is not their fault.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{NAME, Scripted, Setup, all, now, open, refused, retry, sent};
use crate::deliver::Delivered;
use crate::rules::{Expression, Lists, Place};
use crate::sink::Outcome;
use crate::spool::disk::{Disk, RealDisk};
use crate::spool::inspect::{self, Piece};
use crate::spool::requeue::requeue_quarantined;
use crate::spool::{self, Entry, LossStage, SpoolLoss};

/// Number, reason and payload of what was put aside.
pub fn put_aside(setup: &Setup) -> Vec<(u64, String, Vec<u8>)> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let directory = spool::quarantine_directory(&setup.directory.path().join("spool"), NAME);
    let Ok(pieces) = inspect::walk(&disk, &directory, 1) else { return Vec::new() };
    let mut entries = Vec::new();
    for piece in pieces {
        let Piece::Block { block, .. } = piece.unwrap() else { panic!("damaged") };
        for (_, record) in block.records() {
            let Entry { number, reason, payload } = Entry::decode(record).unwrap();
            entries.push((number, reason.to_owned(), payload.to_owned()));
        }
    }
    entries
}

/// Numbers and reasons of what was put aside.
pub fn quarantined(setup: &Setup) -> Vec<(u64, String)> {
    put_aside(setup).into_iter().map(|(number, reason, _)| (number, reason)).collect()
}

/// Refuses whatever comes until somebody has mended the configuration.
fn refused_for_an_hour() -> Arc<Scripted> {
    let mended = Instant::now() + Duration::from_secs(3600);
    Scripted::new(move |_| if Instant::now() < mended { refused() } else { sent() })
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_large_is_split_until_it_fits() {
    let mut setup = Setup::new(100);
    let sink = Scripted::new(|numbers| match numbers.len() {
        ..=7 => sent(),
        _ => Outcome::TooLarge { cause: "413".to_owned(), bytes_max: None },
    });
    assert_eq!(setup.run(&sink).await.sent, 100);
    assert_eq!(sink.got(), all(1..=100), "in order");
    assert_eq!(quarantined(&setup), []);
}

#[tokio::test(start_paused = true)]
async fn the_event_at_fault_is_found_and_put_aside_and_the_rest_goes_on() {
    let mut setup = Setup::new(300);
    let sink = Scripted::new(|numbers| {
        if numbers.iter().any(|number| [42, 43, 250].contains(number)) { refused() } else { sent() }
    });
    let delivered = setup.run(&sink).await;
    assert_eq!(delivered, Delivered { sent: 297, quarantined: 3, complete: true });
    let expected: Vec<u64> = (1..=300).filter(|n| ![42, 43, 250].contains(n)).collect();
    assert_eq!(sink.got(), expected);
    let reason = "mapping failed".to_owned();
    let aside = quarantined(&setup);
    assert_eq!(aside, [42, 43, 250].map(|number| (number, reason.clone())));
    assert!(sink.calls() < 3 + 3 * 2 * 8, "by halves, not one by one");
}

#[tokio::test(start_paused = true)]
async fn what_the_other_side_says_of_each_event_is_followed() {
    let mut setup = Setup::new(10);
    let mut answers = vec![
        Outcome::Mixed {
            rejected: vec![(3, "bad date".to_owned())],
            again: vec![0, 9],
            cause: Some("429 for some".to_owned()),
            after: None,
        },
        retry(),
    ]
    .into_iter();
    let sink = Scripted::new(move |_| answers.next().unwrap_or_else(sent));
    let delivered = setup.run(&sink).await;
    assert_eq!(delivered, Delivered { sent: 9, quarantined: 1, complete: true });
    assert_eq!(sink.calls.lock().unwrap()[1..], [vec![1, 10], vec![1, 10]]);
    let mut got = sink.got();
    got.sort_unstable();
    assert_eq!(got, [1, 2, 3, 5, 6, 7, 8, 9, 10]);
    assert_eq!(quarantined(&setup), [(4, "bad date".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn events_after_one_that_is_refused_are_sent_again_at_once() {
    let mut setup = Setup::new(10);
    // As a collector that reads one after the other, and no further than to the first it refuses.
    let sink = Scripted::new(|numbers| match numbers.iter().position(|number| number % 4 == 0) {
        None => sent(),
        Some(at) => Outcome::Mixed {
            rejected: vec![(at, "bad date".to_owned())],
            again: (at + 1..numbers.len()).collect(),
            cause: None,
            after: None,
        },
    });
    let begun = tokio::time::Instant::now();
    let delivered = setup.run(&sink).await;
    assert!(begun.elapsed() <= setup.settings.linger, "no pause");
    assert_eq!(delivered, Delivered { sent: 8, quarantined: 2, complete: true });
    assert_eq!(sink.got(), [1, 2, 3, 5, 6, 7, 9, 10]);
    assert_eq!(sink.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn when_most_are_refused_all_are_held_until_the_configuration_is_mended() {
    let mut setup = Setup::new(200);
    let sink = refused_for_an_hour();
    let delivered = setup.run(&sink).await;
    assert_eq!(delivered, Delivered { sent: 200, quarantined: 0, complete: true });
    assert_eq!(sink.got(), all(1..=200));
    let calls = sink.calls();
    assert!(calls < 200 + 400, "one event a try while held, not all of them: {calls}");
}

#[tokio::test(start_paused = true)]
async fn single_events_that_are_all_refused_are_held_as_well_after_a_few() {
    let mut setup = Setup::new(30);
    setup.settings.batch_events_max = 1;
    let sink = refused_for_an_hour();
    let delivered = setup.run(&sink).await;
    assert_eq!(delivered, Delivered { sent: 23, quarantined: 7, complete: true });
    assert_eq!(sink.got(), all(8..=30));
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_that_is_full_holds_the_sink() {
    let mut setup = Setup::new(100);
    setup.settings.quarantine_bytes_max = 0;
    let start = Instant::now();
    let hour = Duration::from_secs(3600);
    let sink = Scripted::new(move |numbers| {
        if numbers.contains(&50) && start.elapsed() < hour { refused() } else { sent() }
    });
    let (_control, watched) = tokio::sync::watch::channel(crate::deliver::Control::default());
    let run = setup.run_with(&sink, watched);
    assert!(tokio::time::timeout(2 * hour, run).await.is_err(), "it waits for somebody");
    // Nothing was skipped: the next life delivers all of it.
    setup.settings.quarantine_bytes_max = 64 << 20;
    let next = Scripted::answers(Vec::new());
    setup.run(&next).await;
    assert_eq!(next.got(), all(1..=100));
}

/// What the next life of the daemon is to report, whatever ended this one.
fn reported(setup: &Setup) -> Vec<SpoolLoss> {
    let (mut writer, _spool) = open(setup.directory.path());
    writer.take_losses()
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_no_event_is_put_aside_and_reported() {
    let mut setup = Setup::new(3);
    let (mut writer, spool) = open(setup.directory.path());
    drop(spool);
    writer.append(b"\xff\xff\xff");
    writer.write(b"", now());
    writer.close(now()).unwrap();
    let sink = Scripted::answers(Vec::new());
    let delivered = setup.run(&sink).await;
    assert_eq!(delivered, Delivered { sent: 3, quarantined: 1, complete: true });
    assert_eq!(quarantined(&setup)[0].0, 4);
    let losses = reported(&setup);
    assert_eq!(losses.len(), 1);
    assert_eq!((losses[0].stage, losses[0].count), (LossStage::Quarantined, 1));
    assert_eq!(losses[0].sink.as_deref(), Some(NAME));
}

#[tokio::test(start_paused = true)]
async fn a_report_of_a_loss_that_is_put_aside_makes_no_further_report() {
    let mut setup = Setup::new(3);
    let sink = Scripted::new(|numbers| if numbers.contains(&2) { refused() } else { sent() });
    assert_eq!(setup.run(&sink).await.quarantined, 1);
    assert_eq!(reported(&setup), []);
}

#[tokio::test(start_paused = true)]
async fn an_expression_lets_reports_of_losses_through_whatever_it_says() {
    let mut setup = Setup::new(20);
    let lists = &mut Lists::new(std::path::Path::new("/"));
    setup.settings.when = Some(Expression::new("false", Place::Sink, lists).expect("valid"));
    let sink = Scripted::answers(Vec::new());
    assert_eq!(setup.run(&sink).await.sent, 20);
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_which_nothing_is_sent_leaves_the_sink_where_it_stands() {
    let mut setup = Setup::new(4);
    setup.settings.batch_events_max = 1;
    let script = |numbers: &[u64]| match numbers {
        [4] => refused(),
        _ => Outcome::Sent { position: b"after 3".to_vec() },
    };
    setup.run(&Scripted::new(script)).await;
    let spool = setup.directory.path().join("spool");
    assert!(requeue_quarantined(&RealDisk, &spool, NAME).unwrap());
    for start in ["of the replay", "after it"] {
        let sink = Scripted::new(script);
        setup.run(&sink).await;
        assert_eq!(*sink.resumed.lock().unwrap(), [b"after 3".to_vec()], "the start {start}");
    }
}
