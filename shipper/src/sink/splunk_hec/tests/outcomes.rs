//! Each code and each answer without one.

use std::time::Duration;

use crate::sink::Outcome;
use crate::sink::splunk_hec::acknowledgement::told;
use crate::sink::splunk_hec::reply::{Context, Reply, outcome};
use crate::sink::transport::Answer;

const SHOWN: &str = "https://hec.example:8088/";

/// Three events to the index `linux`.
const SENT: Context<'_> =
    Context { events: 3, bytes: 900, index: Some("linux"), acknowledgement: false, shown: SHOWN };

const ACKNOWLEDGED: Context<'_> = Context { acknowledgement: true, ..SENT };

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status: status.try_into().unwrap(),
        body: body.as_bytes().to_vec(),
        is_whole: true,
        after: None,
        endpoint: 0,
        words: format!("{SHOWN} answered {status}"),
    }
}

/// `None`: it was taken.
fn became(answer: &Answer, context: &Context<'_>) -> Option<Outcome> {
    let reply = Reply::read(answer);
    match &reply {
        Some(reply) if reply.is_success(answer) => None,
        _ => Some(outcome(reply.as_ref(), answer, context)),
    }
}

fn coded(status: u16, code: u64) -> Answer {
    answer(status, &format!(r#"{{"text":"so it is","code":{code}}}"#))
}

fn bad(code: u64, number: i64) -> Answer {
    let body = format!(r#"{{"text":"bad","code":{code},"invalid-event-number":{number}}}"#);
    answer(400, &body)
}

fn blocked(answer: &Answer) -> String {
    match became(answer, &SENT) {
        Some(Outcome::Blocked { cause }) => cause,
        other => panic!("{other:?}"),
    }
}

fn is_retry(answer: &Answer) -> bool {
    matches!(became(answer, &SENT), Some(Outcome::Retry { .. }))
}

#[test]
fn only_code_0_with_status_200_is_taken() {
    assert_eq!(became(&answer(200, r#"{"text":"Success","code":0}"#), &SENT), None);
    assert_eq!(became(&answer(200, r#"{"code":0,"ackId":7,"new":[]}"#), &SENT), None);
    for body in [
        "",
        "OK",
        "null",
        "{}",
        "[]",
        r#"{"text":"Success"}"#,
        r#"{"text":"Success","code":"0"}"#,
        r#"{"text":"Success","code":null}"#,
        r#"{"text":"Success","code":-1}"#,
        r#"{"text":"Success","code":0.5}"#,
        r#"{"text":"Success","code":0"#,
        r#"{"text":"Success","code":0}{"#,
        r#"{"code":0,"code":9}"#,
        r#"{"code":17}"#,
        r#"{"code":99}"#,
        "<html>Success</html>",
    ] {
        assert!(is_retry(&answer(200, body)), "{body}");
        assert!(is_retry(&answer(204, body)), "{body}");
    }
    assert!(is_retry(&coded(201, 0)));
    assert!(is_retry(&coded(202, 0)));
    assert!(is_retry(&coded(503, 0)));
    let cut = Answer { is_whole: false, ..coded(200, 0) };
    assert!(is_retry(&cut));
}

#[test]
fn a_page_of_somebody_else_is_named_as_such() {
    let Some(Outcome::Retry { cause, .. }) = became(&answer(200, "<html>"), &SENT) else {
        panic!("not again");
    };
    assert!(cause.contains("not in the words of a Splunk collector"), "{cause}");
}

#[test]
fn a_collector_that_is_not_ready_is_asked_again() {
    for (status, code) in
        [(500, 8), (503, 9), (503, 18), (503, 19), (503, 20), (503, 23), (429, 26), (429, 27)]
    {
        let waits = Answer { after: Some(Duration::from_secs(7)), ..coded(status, code) };
        let Some(Outcome::Retry { cause, after }) = became(&waits, &SENT) else {
            panic!("{code} is not asked again");
        };
        assert_eq!(after, Some(Duration::from_secs(7)));
        assert!(cause.contains(&format!("code {code}, ")), "{cause}");
        assert!(is_retry(&coded(400, code)), "the code counts before the status");
    }
}

#[test]
fn what_somebody_must_mend_holds_and_says_how() {
    for (status, code, advice) in [
        (403, 1, "enable the token in Splunk"),
        (401, 2, "no token arrived"),
        (401, 3, "change the header Authorization"),
        (403, 4, "Splunk does not know the token"),
        (400, 7, "index, which is \"linux\": create it in Splunk"),
        (400, 10, "set `acknowledgement: true`"),
        (400, 11, "X-Splunk-Request-Channel"),
        (
            400,
            14,
            "switch on indexer acknowledgement at the token in Splunk, or set `acknowledgement: false`",
        ),
        (400, 16, "take the token out of the URL"),
        (400, 21, "Splunk does not know the token"),
        (400, 22, "enable the token in Splunk"),
    ] {
        let cause = blocked(&coded(status, code));
        assert!(cause.starts_with(SHOWN), "{cause}");
        assert!(cause.contains(advice), "{code}: {cause}");
        blocked(&coded(503, code));
    }
}

#[test]
fn the_index_of_the_token_is_told_from_one_of_the_sink() {
    let context = Context { index: None, ..SENT };
    let Some(Outcome::Blocked { cause }) = became(&coded(400, 7), &context) else {
        panic!("taken")
    };
    assert!(cause.contains("the default index of the token"), "{cause}");
}

#[test]
fn an_incorrect_index_puts_no_event_aside() {
    blocked(&bad(7, 1));
}

#[test]
fn events_before_the_bad_one_are_taken_and_the_rest_comes_again() {
    for code in [6, 12, 13, 15] {
        for (number, rest) in [(0, vec![1, 2]), (1, vec![2]), (2, vec![])] {
            let Some(Outcome::Mixed { rejected, again, .. }) = became(&bad(code, number), &SENT)
            else {
                panic!("{code} at {number} is not told apart");
            };
            let (place, reason) = &rejected[0];
            assert_eq!((rejected.len(), *place), (1, usize::try_from(number).unwrap()));
            assert!(reason.contains(&format!("code {code}, ")), "{reason}");
            assert_eq!(again, rest);
        }
    }
}

#[test]
fn with_acknowledgement_those_before_the_bad_one_come_again_too() {
    for (number, rest) in [(0, vec![1, 2]), (1, vec![0, 2]), (2, vec![0, 1])] {
        let Some(Outcome::Mixed { again, .. }) = became(&bad(12, number), &ACKNOWLEDGED) else {
            panic!("{number} is not told apart");
        };
        assert_eq!(again, rest);
    }
}

#[test]
fn a_bad_event_that_is_not_named_is_searched_for() {
    let is_refused =
        |answer: &Answer| matches!(became(answer, &SENT), Some(Outcome::Refused { .. }));
    for code in [5, 6, 12, 13, 15] {
        assert!(is_refused(&coded(400, code)), "{code}");
    }
    assert!(is_refused(&bad(6, 3)), "there are only three");
    assert!(is_refused(&bad(6, -1)), "that is no place");
    assert!(is_refused(&bad(5, 1)), "none was indexed");
    assert!(is_refused(&coded(400, 99)), "a new code goes by its status");
}

#[test]
fn without_a_known_code_the_status_counts() {
    for body in ["", "<html>", r#"{"text":"new","code":99}"#] {
        for status in [408, 429, 500, 502, 503, 504] {
            assert!(is_retry(&answer(status, body)), "{status}");
        }
        for status in [301, 401, 403, 404, 405] {
            blocked(&answer(status, body));
        }
    }
}

#[test]
fn what_is_too_large_is_so_whatever_the_body_says() {
    for body in ["", "<html>", r#"{"text":"x","code":6,"invalid-event-number":0}"#] {
        let outcome = became(&answer(413, body), &SENT);
        assert!(matches!(outcome, Some(Outcome::TooLarge { .. })), "{outcome:?}");
    }
}

#[test]
fn only_numbers_with_true_are_acknowledged() {
    let acks = |body| told(&answer(200, body));
    assert_eq!(acks(r#"{"acks":{"0":true,"1":false,"12":true}}"#), Some(vec![0, 12]));
    assert_eq!(acks(r#"{"acks":{}}"#), Some(vec![]));
    assert_eq!(acks(r#"{"acks":{"x":true,"-1":true,"1.0":true}}"#), Some(vec![]));
    for body in ["", "{}", r#"{"acks":[0]}"#, r#"{"acks":{"0":1}}"#, r#"{"acks":{"0":true}"#] {
        assert_eq!(acks(body), None, "{body}");
    }
    assert_eq!(told(&answer(503, r#"{"acks":{"0":true}}"#)), None);
    let cut = Answer { is_whole: false, ..answer(200, r#"{"acks":{"0":true}}"#) };
    assert_eq!(told(&cut), None);
}
