//! What the proxy does to connections; and what a broker keeps over its death.

use shipper_tests::kafka::{Cluster, Listener, Plan, Topic, kcat};
use shipper_tests::process::until;
use shipper_tests::proxy::PRODUCE;

use crate::produce;

/// Patient: -E goes on although every broker is down for a moment.
const PLAIN: [&str; 3] = ["-E", "-Xacks=all", "-Xmessage.timeout.ms=60000"];
const IDEMPOTENT: [&str; 3] = ["-E", "-Xenable.idempotence=true", "-Xmessage.timeout.ms=60000"];

#[test]
fn a_broker_is_cut_off_hung_robbed_of_answers_and_killed() -> anyhow::Result<()> {
    let plan = Plan::new(1).proxied(Listener::Plaintext);
    let Some(cluster) = Cluster::start(plan)? else { return Ok(()) };
    cluster.admin().create_topic(&Topic::new("t"))?;
    let proxy = cluster.broker(1).proxy();
    let brokers = cluster.bootstrap(Listener::Plaintext);
    assert_eq!(brokers, format!("127.0.0.1:{}", proxy.port()));
    let answers = || -> anyhow::Result<bool> {
        Ok(kcat(&["-L", "-m", "2", "-b", &brokers], b"")?.status.success())
    };
    let texts = || -> anyhow::Result<Vec<String>> {
        Ok(cluster.consume("t")?.iter().map(shipper_tests::kafka::Message::text).collect())
    };

    // Done by the broker, unknown to the client, repeated by it, and kept once.
    proxy.drop_responses(PRODUCE, 2);
    produce(&brokers, "t", &IDEMPOTENT, "lost answer\n")?;
    assert_eq!(proxy.dropped_responses(), 2);
    assert_eq!(texts()?, ["lost answer"]);

    proxy.drop_responses(PRODUCE, 1);
    produce(&brokers, "t", &PLAIN, "sent twice\n")?;
    assert_eq!(texts()?, ["lost answer", "sent twice", "sent twice"]);

    proxy.cut();
    assert!(!answers()?);
    proxy.mend()?;
    assert!(answers()?);

    proxy.hang();
    assert!(!answers()?);
    proxy.mend()?;
    assert!(answers()?);

    // In the middle of a request of half a megabyte.
    proxy.cut_after(200_000);
    let long = "x".repeat(500_000);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| produce(&brokers, "t", &IDEMPOTENT, &long));
        until("the cut", || Ok(proxy.is_cut()))?;
        assert_eq!(texts()?.len(), 3);
        proxy.mend()?;
        sender.join().expect("no panic")
    })?;
    assert_eq!(texts()?.len(), 4);

    let broker = cluster.broker(1);
    broker.pause()?;
    assert!(!answers()?);
    broker.resume()?;
    assert!(answers()?);

    broker.kill()?;
    assert!(!broker.is_running());
    assert!(!answers()?);
    cluster.start_broker(1)?;
    assert_eq!(texts()?.len(), 4);
    broker.stop()?;
    cluster.start_broker(1)?;
    assert_eq!(texts()?.len(), 4);
    Ok(())
}
