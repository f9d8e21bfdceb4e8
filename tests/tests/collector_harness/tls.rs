//! The collector over TLS, as curl sees it.

use shipper_tests::collector::{Collector, Dialect, Fault, Plan};
use shipper_tests::pki::Certificate;

use crate::{NDJSON, curl, line};

/// curl's own: the certificate is not one to trust.
const DISTRUSTED: i32 = 60;

struct Client {
    collector: Collector,
}

impl Client {
    fn start(plan: Plan) -> anyhow::Result<Client> {
        Ok(Client { collector: Collector::start(Dialect::generic(), plan)? })
    }

    /// Posts an event. Gives the exit status of curl and the status of the answer.
    fn post(&self, url: &str, id: &str, args: &[&str]) -> anyhow::Result<Option<(i32, String)>> {
        let ca = self.collector.ca_file();
        let ca = ca.to_str().expect("a path of text");
        let fixed = ["--cacert", ca, "-H", NDJSON, "--data-binary", "@-", "-w", "%{http_code}"];
        curl(&[&fixed[..], &["-o", "/dev/null", url], args].concat(), line(id).as_bytes())
    }
}

#[test]
fn a_certificate_is_good_or_bad_from_one_connection_to_the_next() -> anyhow::Result<()> {
    let client = Client::start(Plan { tls: Some(Certificate::Valid), ..Plan::default() })?;
    let collector = &client.collector;
    for url in [collector.url(), collector.localhost_url()] {
        let Some(outcome) = client.post(&url, "1", &[])? else { return Ok(()) };
        assert_eq!(outcome, (0, "200".into()));
    }
    for bad in [Certificate::Expired, Certificate::OtherAuthority, Certificate::OtherHost] {
        collector.present(bad)?;
        let code = client.post(&collector.url(), "2", &[])?.map(|(code, _)| code);
        assert_eq!(code, Some(DISTRUSTED), "{bad:?}");
    }
    collector.present(Certificate::OtherAuthority)?;
    let other = collector.other_ca_file();
    let trusting = ["--cacert", other.to_str().expect("a path of text")];
    assert_eq!(client.post(&collector.url(), "3", &trusting)?, Some((0, "200".into())));
    collector.present(Certificate::Valid)?;
    assert_eq!(client.post(&collector.url(), "4", &[])?, Some((0, "200".into())));
    let account = collector.account();
    assert!(account.has_exactly(["1", "3", "4"]));
    // curl looks at the host only after the handshake.
    assert_eq!((account.failed_handshakes, account.malformed), (2, 0));
    Ok(())
}

#[test]
fn a_client_needs_a_certificate_where_that_is_asked_for() -> anyhow::Result<()> {
    let client =
        Client::start(Plan { tls: Some(Certificate::Valid), client_ca: true, ..Plan::default() })?;
    let url = client.collector.url();
    let Some((code, _)) = client.post(&url, "1", &[])? else { return Ok(()) };
    assert_ne!(code, 0);
    for (certificate, lets_in) in [
        (Certificate::Valid, true),
        (Certificate::Expired, false),
        (Certificate::OtherAuthority, false),
    ] {
        let pair = client.collector.client("shipper", certificate)?;
        let (cert, key) =
            (pair.cert_file.display().to_string(), pair.key_file.display().to_string());
        let outcome = client.post(&url, "2", &["--cert", &cert, "--key", &key])?;
        let good = outcome.is_some_and(|outcome| outcome == (0, "200".into()));
        assert_eq!(good, lets_in, "{certificate:?}");
    }
    assert!(client.collector.account().has_exactly(["2"]));
    Ok(())
}

#[test]
fn faults_are_the_same_over_tls() -> anyhow::Result<()> {
    let client = Client::start(Plan { tls: Some(Certificate::Valid), ..Plan::default() })?;
    let collector = &client.collector;
    // What curl makes of them: an answer, or none that is whole.
    let cases = [
        (Fault::Status(503), true, false),
        (Fault::CloseAtRequestByte(40), false, false),
        (Fault::CloseBeforeAnswer { taken: true }, false, true),
        (Fault::CloseAtAnswerByte(12), false, true),
        (Fault::Reset { taken: false }, false, false),
        (Fault::Garbage { taken: true }, false, true),
        (Fault::Trickle(0), true, true),
        (Fault::EndlessHeaders, false, false),
        (Fault::HugeAnswer { status: 200, bytes: 1_000_000 }, true, true),
    ];
    for (place, (fault, answers, takes)) in cases.into_iter().enumerate() {
        let before = collector.look(|account| account.events.len());
        collector.script([fault.clone()]);
        let Some((code, _)) = client.post(&collector.url(), &place.to_string(), &[])? else {
            return Ok(());
        };
        assert_eq!(code == 0, answers, "{fault:?}: {code}");
        let after = collector.look(|account| account.events.len());
        assert_eq!(after - before, usize::from(takes), "{fault:?}");
    }
    Ok(())
}

#[test]
fn a_stalled_handshake_ends_with_the_collector() -> anyhow::Result<()> {
    let client = Client::start(Plan { tls: Some(Certificate::Valid), ..Plan::default() })?;
    let collector = &client.collector;
    collector.mute(true);
    std::thread::scope(|scope| {
        let post = scope.spawn(|| client.post(&collector.url(), "1", &[]));
        let connected = collector.wait("the connection", |account| account.connections == 1);
        collector.die();
        let outcome = post.join().expect("no panic")?;
        if outcome.is_some() {
            connected?;
        }
        assert!(outcome.is_none_or(|(code, _)| code != 0));
        Ok(())
    })
}
