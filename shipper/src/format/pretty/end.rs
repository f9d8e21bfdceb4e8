//! How a process ended, in words.

use serde_json::Value;

use super::{flag, text, value};

/// Whether it ended with status 0, and how: `exit 3 after 1.25s`, `SIGSEGV (core dumped) after 12ms`.
pub(super) fn told(event: &Value) -> (bool, String) {
    let code = event.pointer("/process/exit_code").and_then(Value::as_u64);
    let signal = event.pointer("/shipper/exit/signal").and_then(Value::as_u64);
    let mut how = match (text(event, "/shipper/exit/signal_name"), signal, code) {
        (Some(name), ..) => value(name),
        (None, Some(signal), _) => format!("signal {signal}"),
        (None, None, Some(code)) => format!("exit {code}"),
        (None, None, None) => "ended".to_owned(),
    };
    if flag(event, "/shipper/exit/core_dumped") {
        how.push_str(" (core dumped)");
    }
    if let Some(ns) = event.pointer("/shipper/exit/duration_ns").and_then(Value::as_u64) {
        how.push_str(" after ");
        how.push_str(&duration(ns));
    }
    (code.is_none_or(|code| code == 0) && signal.is_none(), how)
}

/// A length of time, to about three digits.
fn duration(ns: u64) -> String {
    let (ms, seconds) = (ns / 1_000_000, ns / 1_000_000_000);
    match seconds {
        0 if ms == 0 => "<1ms".to_owned(),
        0 => format!("{ms}ms"),
        1..60 => format!("{seconds}.{:02}s", ms % 1000 / 10),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_length_of_time_is_short_whatever_it_is() {
        let second = 1_000_000_000;
        for (ns, shown) in [
            (0, "<1ms"),
            (999_999, "<1ms"),
            (12_345_678, "12ms"),
            (second, "1.00s"),
            (59 * second + 999_999_999, "59.99s"),
            (60 * second, "1m 0s"),
            (3725 * second, "1h 2m"),
            (90_061 * second, "1d 1h"),
        ] {
            assert_eq!(duration(ns), shown);
        }
        assert_eq!(duration(u64::MAX), "213503d 23h");
    }

    #[test]
    fn a_signal_is_told_by_name_and_a_status_by_number() {
        let end = |code: Value, exit: Value| {
            told(&json!({"process": {"exit_code": code}, "shipper": {"exit": exit}}))
        };
        let ns = 12_000_000;
        for (told, is_well, how) in [
            (end(json!(0), json!({"duration_ns": ns})), true, "exit 0 after 12ms"),
            (end(json!(3), json!({})), false, "exit 3"),
            (
                end(
                    json!(139),
                    json!({"signal": 11, "signal_name": "SIGSEGV", "core_dumped": true,
                                       "duration_ns": ns}),
                ),
                false,
                "SIGSEGV (core dumped) after 12ms",
            ),
            (end(json!(160), json!({"signal": 32})), false, "signal 32"),
            (end(Value::Null, Value::Null), true, "ended"),
        ] {
            assert_eq!(told, (is_well, how.to_owned()));
        }
    }
}
