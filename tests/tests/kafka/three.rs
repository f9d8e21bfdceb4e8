//! The cluster of three brokers that tests use in turn: to start one takes longer than most of them.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shipper_tests::kafka::delivery::Delivery;
use shipper_tests::kafka::{Cluster, Listener, PLAIN_PASSWORD, Plan, Topic};
use shipper_tests::process::Process;
use shipper_tests::site::{self, Pace, Stream};

use super::HELPER;

static CLUSTER: Mutex<Option<Cluster>> = Mutex::new(None);

/// A property of librdkafka with which a hang is noticed within a test.
pub const IMPATIENT: &str =
    "    options: { socket.timeout.ms: 1000, reconnect.backoff.max.ms: 500 }\n";

/// Some 150 executions a second: a broker is away for long, and all has to be delivered in the end.
const PACE: Pace = Pace { in_a_row: 10, pause_ms: 60, padding_bytes: 100 };

/// A test's turn with the cluster. However the test before ended, all brokers serve.
pub struct Turn(MutexGuard<'static, Option<Cluster>>);

impl Turn {
    /// Waits for it. `None`, and the test is skipped, where Kafka cannot be had.
    pub fn take() -> anyhow::Result<Option<Turn>> {
        let mut held = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            // Users and proxies on a listener of their own: what is about brokers alone goes past
            // them.
            let plan = Plan::new(3)
                .proxied(Listener::SaslPlaintext)
                // A throttled request waits for two seconds at most, not for eleven.
                .server("quota.window.num", "2");
            *held = Cluster::start(plan)?;
        }
        if held.is_none() {
            return Ok(None);
        }
        let turn = Turn(held);
        for broker in turn.brokers() {
            broker.proxy().mend()?;
            if broker.is_running() {
                broker.resume()?;
            }
        }
        turn.start_all()?;
        Ok(Some(turn))
    }

    /// Starts all brokers that do not run, together: one alone of three serves nobody.
    pub fn start_all(&self) -> anyhow::Result<()> {
        std::thread::scope(|scope| {
            let down = self.brokers().iter().filter(|broker| !broker.is_running());
            let starts: Vec<_> =
                down.map(|broker| scope.spawn(|| self.start_broker(broker.id()))).collect();
            starts.into_iter().try_for_each(|start| start.join().expect("no start panics"))
        })
    }

    /// Makes a topic with three partitions on all brokers, two of which must have an event before it
    /// counts.
    pub fn make_topic(&self, name: &str) -> anyhow::Result<()> {
        self.admin().create_topic(
            &Topic::new(name).partitions(3).replication(3).config("min.insync.replicas", "2"),
        )
    }

    /// SIGKILL to all.
    pub fn kill_all(&self) -> anyhow::Result<()> {
        self.brokers().iter().try_for_each(|broker| broker.kill())
    }
}

impl Deref for Turn {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("there is one in each turn")
    }
}

/// A daemon that delivers a stream of executions.
pub struct Work {
    pub delivery: Delivery,
    pub process: Process,
    pub stream: Stream,
}

impl Work {
    /// To a topic of this name as [`Turn::make_topic`] makes it. `sink` and `plan` are as for
    /// [`Delivery::with`]. `None`, and the test is skipped, where capture is not allowed.
    pub fn begin(
        cluster: &Turn,
        listener: Listener,
        topic: &str,
        sink: &str,
        plan: site::Plan,
    ) -> anyhow::Result<Option<Work>> {
        cluster.make_topic(topic)?;
        Work::begin_with_topic(cluster, listener, topic, sink, plan)
    }

    /// The same with a topic that is there.
    pub fn begin_with_topic(
        cluster: &Turn,
        listener: Listener,
        topic: &str,
        sink: &str,
        plan: site::Plan,
    ) -> anyhow::Result<Option<Work>> {
        let mut sink = format!("    key: event_id\n{sink}");
        if listener == Listener::SaslPlaintext {
            sink.push_str(
                "    sasl: { mechanism: PLAIN, username: plain, \
                 password: { env: SHIPPER_TEST_PASSWORD } }\n",
            );
        }
        let delivery = Delivery::with(topic, cluster, listener, topic, &sink, plan)?;
        let Some(delivery) = delivery else { return Ok(None) };
        let Some(process) = site::Site::begin_or_skip(&mut command(&delivery))? else {
            return Ok(None);
        };
        let mut stream = delivery.site.stream(HELPER, PACE)?;
        stream.await_more(100)?;
        Ok(Some(Work { delivery, process, stream }))
    }

    /// Ends the stream and the daemon. Everything is in the topic once.
    ///
    /// # Panics
    /// When it is not.
    pub fn end_exact(self, cluster: &Cluster) -> anyhow::Result<()> {
        let Work { delivery, process, stream } = self;
        let count = stream.end()?;
        delivery.settle(process, count, cluster)?.assert_exact();
        Ok(())
    }
}

/// The daemon, with the password that [`Work::begin`] has configured.
pub fn command(delivery: &Delivery) -> std::process::Command {
    let mut command = delivery.site.command();
    command.env("SHIPPER_TEST_PASSWORD", PLAIN_PASSWORD);
    command
}
