//! Delivery: events to one sink, in order, until the sink has them. Retry lives here and nowhere else.

mod backoff;
mod queue;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::event::Event;
use crate::sink::{Outcome, Sink};
use backoff::Pauses;
pub use queue::{Closed, Receiver, Sender, queue};

/// Most events sent at once.
const BATCH_EVENTS_MAX: usize = 1000;

/// How long the first event of a batch waits for more: the price of one fsync for many events.
const LINGER: Duration = Duration::from_millis(20);

/// What the daemon tells its sinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// How often SIGHUP came.
    pub reopens: u64,
    /// When to give up what is not delivered; set once the daemon stops.
    pub deadline: Option<Instant>,
}

/// What became of the events of one sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// The sink has them.
    pub sent: u64,
    /// Still not sent when the daemon had to stop.
    pub left: u64,
}

/// Delivers until the queue is closed and empty, or the deadline passes.
pub async fn run(
    name: &str,
    sink: &mut dyn Sink,
    queue: &mut Receiver,
    control: &mut watch::Receiver<Control>,
) -> Delivered {
    let mut delivered = Delivered::default();
    let mut batch: Vec<Arc<Event>> = Vec::with_capacity(BATCH_EVENTS_MAX);
    let mut reopens = 0;
    loop {
        tokio::select! {
            more = queue.next(&mut batch, BATCH_EVENTS_MAX, LINGER) => if !more { break },
            // The pipeline holds the other end for as long as there are sinks.
            _ = control.changed() => {}
        }
        let asked = control.borrow_and_update().reopens;
        if asked != reopens {
            reopens = asked;
            sink.reopen().await;
        }
        if batch.is_empty() {
            continue;
        }
        if !send(name, sink, &batch, control).await {
            delivered.left = batch.len() as u64 + queue.abandon();
            return delivered;
        }
        delivered.sent += batch.len() as u64;
        batch.clear();
        queue.acknowledge();
    }
    if let Err(error) = sink.close().await {
        tracing::error!(sink = name, %error, "could not be closed");
    }
    delivered
}

/// Sends one batch, as often as it takes. False when the deadline passed first.
async fn send(
    name: &str,
    sink: &mut dyn Sink,
    batch: &[Arc<Event>],
    control: &mut watch::Receiver<Control>,
) -> bool {
    let mut pauses = Pauses::default();
    let mut failures = 0u64;
    loop {
        let (after, what, blocked) = match sink.send(batch).await {
            Outcome::Sent => {
                if failures > 0 {
                    tracing::info!(sink = name, failures, "delivering again");
                }
                return true;
            }
            Outcome::Retry { after, reason } => (after, reason, false),
            Outcome::Blocked { cause } => (None, cause, true),
        };
        failures += 1;
        let mut pause = pauses.next(after);
        let deadline = control.borrow_and_update().deadline;
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            pause = pause.min(left);
        }
        if blocked {
            tracing::error!(sink = name, "cannot deliver: {what}; trying again in {pause:.1?}");
        } else {
            tracing::warn!(sink = name, "cannot deliver: {what}; trying again in {pause:.1?}");
        }
        let until = Instant::now() + pause;
        // Woken early by a signal: SIGHUP and the deadline both are a reason to try now.
        let woken = tokio::time::timeout_at(until, control.changed()).await.is_ok();
        if woken && control.borrow().deadline.is_none() {
            sink.reopen().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::Enricher;
    use crate::event::{LossKind, LossStage, WallTime};

    /// Answers from a script, then `Sent`; keeps what it was sent. Stands in for a sink whose other
    /// side fails on demand.
    struct Scripted {
        answers: Vec<Outcome>,
        got: Vec<u64>,
        sends: usize,
        reopened: usize,
    }

    #[async_trait::async_trait]
    impl Sink for Scripted {
        async fn send(&mut self, batch: &crate::sink::Batch) -> Outcome {
            self.sends += 1;
            if !self.answers.is_empty() {
                return self.answers.remove(0);
            }
            self.got.extend(batch.iter().map(|event| match &**event {
                Event::Loss(loss) => loss.count,
                Event::Exec(exec) => exec.sequence,
            }));
            Outcome::Sent
        }
        async fn reopen(&mut self) {
            self.reopened += 1;
        }
    }

    fn scripted(answers: Vec<Outcome>) -> Scripted {
        Scripted { answers, got: Vec::new(), sends: 0, reopened: 0 }
    }

    fn retry() -> Outcome {
        Outcome::Retry { after: None, reason: "away".to_owned() }
    }

    fn numbered(count: u64) -> Arc<Event> {
        let mut enricher = Enricher::new(1);
        Arc::new(Event::Loss(enricher.loss(
            LossStage::RingFull,
            LossKind::Exec,
            None,
            count,
            WallTime(0),
            WallTime(0),
        )))
    }

    #[tokio::test(start_paused = true)]
    async fn every_event_arrives_once_and_in_order_whatever_the_sink_answers_first() {
        let (sender, mut receiver) = queue(8 << 20);
        for count in 1..=2500 {
            sender.send(numbered(count)).await.expect("open");
        }
        drop(sender);
        let blocked = Outcome::Blocked { cause: "no right to write".to_owned() };
        let mut sink = scripted(vec![retry(), blocked, retry()]);
        let (_control, mut watched) = watch::channel(Control::default());
        let delivered = run("test", &mut sink, &mut receiver, &mut watched).await;
        assert_eq!(delivered, Delivered { sent: 2500, left: 0 });
        assert_eq!(sink.got, (1..=2500).collect::<Vec<_>>());
        assert_eq!(sink.sends, 3 + 3);
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_deadline_what_is_left_is_counted() {
        let (sender, mut receiver) = queue(1 << 20);
        for count in 1..=10 {
            sender.send(numbered(count)).await.expect("open");
        }
        let mut sink = scripted((0..1000).map(|_| retry()).collect());
        let (control, mut watched) = watch::channel(Control::default());
        let deadline = Some(Instant::now() + Duration::from_secs(5));
        control.send_replace(Control { deadline, ..Control::default() });
        let delivered = run("test", &mut sink, &mut receiver, &mut watched).await;
        assert_eq!(delivered, Delivered { sent: 0, left: 10 });
        assert_eq!(sender.send(numbered(11)).await, Err(Closed), "nothing is accepted any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_reopen_reaches_an_idle_sink_and_one_that_waits() {
        let (sender, mut receiver) = queue(1 << 20);
        let mut sink = scripted(vec![retry()]);
        let (control, mut watched) = watch::channel(Control::default());
        let driver = async {
            control.send_modify(|control| control.reopens += 1);
            tokio::time::sleep(Duration::from_secs(1)).await;
            sender.send(numbered(1)).await.expect("open");
            tokio::time::sleep(Duration::from_millis(100)).await;
            control.send_modify(|control| control.reopens += 1);
            drop(sender);
        };
        let (delivered, ()) =
            tokio::join!(run("test", &mut sink, &mut receiver, &mut watched), driver);
        assert_eq!(delivered.sent, 1);
        assert!(sink.reopened >= 2);
    }
}
