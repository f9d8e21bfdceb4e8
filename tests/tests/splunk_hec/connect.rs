//! What `shipper validate --connect` says of a collector.

use shipper::sink::splunk_hec::check_connection;
use shipper::sink::{Finding, Grade};
use shipper_tests::collector::{Collector, Fault, HecPlan};

use super::line::{TOKEN, change, collector, settings, write_token};

fn findings(collector: &Collector, acknowledgement: bool) -> anyhow::Result<Vec<Finding>> {
    let dir = tempfile::tempdir()?;
    let token_file = dir.path().join("token");
    write_token(&token_file, TOKEN)?;
    let settings = settings(&[collector], &token_file, acknowledgement)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(check_connection(&settings)))
}

fn bad(findings: &[Finding]) -> Vec<&str> {
    let bad = findings.iter().filter(|finding| finding.grade == Grade::Bad);
    bad.map(|finding| finding.text.as_str()).collect()
}

/// All but whether the index exists is good.
fn is_good(findings: &[Finding]) -> bool {
    let notes = findings.iter().filter(|finding| finding.grade == Grade::Note).count();
    bad(findings).is_empty() && notes == 1
}

#[test]
fn a_good_collector_is_good_and_nothing_is_written_to_it() -> anyhow::Result<()> {
    let collector = collector(HecPlan::default())?;
    let found = findings(&collector, false)?;
    assert!(is_good(&found), "{found:?}");
    change(&collector, |plan| plan.ack = true);
    let found = findings(&collector, true)?;
    assert!(is_good(&found), "{found:?}");
    let account = collector.account();
    assert_eq!((account.events.len(), account.malformed), (0, 0), "{:?}", account.complaints);
    let requests = collector.requests();
    let mut posts = requests.iter().filter(|seen| seen.method == "POST");
    assert!(posts.all(|seen| seen.header("content-length").is_some()), "{requests:?}");
    Ok(())
}

#[test]
fn acknowledgement_must_be_on_at_both_ends() -> anyhow::Result<()> {
    let collector = collector(HecPlan::default())?;
    let found = findings(&collector, true)?;
    assert!(bad(&found)[0].contains("switch on indexer acknowledgement"), "{found:?}");
    change(&collector, |plan| plan.ack = true);
    let found = findings(&collector, false)?;
    assert!(bad(&found)[0].contains("set `acknowledgement: true`"), "{found:?}");
    Ok(())
}

#[test]
fn a_wrong_token_and_bad_health_are_told_apart() -> anyhow::Result<()> {
    let collector = collector(HecPlan { health: 18, ..HecPlan::default() })?;
    collector.expect_token("Splunk other");
    let found = findings(&collector, true)?;
    let [health, token] = bad(&found)[..] else { anyhow::bail!("{found:?}") };
    assert!(health.contains("queues are full"), "{health}");
    assert!(token.contains("Splunk does not know the token"), "{token}");
    let text = format!("{found:?}");
    assert!(!text.contains(TOKEN.trim_start_matches("Splunk ")), "{text}");
    Ok(())
}

#[test]
fn a_collector_that_is_not_there_is_named() -> anyhow::Result<()> {
    let collector = collector(HecPlan::default())?;
    collector.die();
    let found = findings(&collector, false)?;
    assert!(bad(&found)[0].contains(&collector.url()), "{found:?}");
    Ok(())
}

#[test]
fn what_is_no_collector_is_told_once_and_splunks_web_interface_is_known() -> anyhow::Result<()> {
    let collector = collector(HecPlan::default())?;
    for (fault, words) in [
        (
            Fault::OkWith("<html>Welcome</html>".to_owned()),
            "is there something else at this address",
        ),
        (Fault::Redirect(303, "/en-US/account/login".to_owned()), "usually 8088"),
    ] {
        collector.always(fault);
        let found = findings(&collector, true)?;
        let [said] = bad(&found)[..] else { anyhow::bail!("{found:?}") };
        assert!(said.contains(words), "{said}");
    }
    Ok(())
}
