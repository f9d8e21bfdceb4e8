//! kcat: a second consumer beside Kafka's own, and a producer that is not the one under test.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::message::Message;

/// Runs kcat with these arguments, `input` at its standard input, to its end. Librdkafka's own
/// limits bound it where the arguments set them (`-X message.timeout.ms=...`, `-m SECONDS`).
pub fn kcat<A: AsRef<std::ffi::OsStr>>(args: &[A], input: &[u8]) -> anyhow::Result<Output> {
    let mut child = Command::new("kcat")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("kcat cannot be started; tests/kafka.sh installs it")?;
    let mut stdin = child.stdin.take().context("its standard input")?;
    let input = input.to_vec();
    // Beside the reading, or both would wait once a pipe is full. An end before all is read shows in
    // the output.
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output()?;
    let _ = writer.join();
    Ok(output)
}

/// Every committed message of a topic to its end as it is now. `args` are further arguments, such
/// as `-X` with properties. Values and keys must be UTF-8, since kcat's JSON is text; an empty
/// header value reads as one.
pub fn consume_with_kcat(
    brokers: &str,
    topic: &str,
    args: &[&str],
) -> anyhow::Result<Vec<Message>> {
    let mut all = vec!["-q", "-C", "-e", "-J", "-o", "beginning", "-b", brokers, "-t", topic];
    all.extend(["-X", "isolation.level=read_committed"]);
    all.extend(args);
    let output = kcat(&all, b"")?;
    let messages = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "kcat: {messages}");
    output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| message(line).with_context(|| String::from_utf8_lossy(line).into_owned()))
        .collect()
}

fn message(line: &[u8]) -> anyhow::Result<Message> {
    let line: Value = serde_json::from_slice(line)?;
    let bytes = |value: &Value| value.as_str().map(|text| text.as_bytes().to_vec());
    // One list of names and values by turns.
    let headers = match line["headers"].as_array() {
        Some(list) => list
            .chunks(2)
            .map(|pair| Ok((pair[0].as_str().context("header")?.into(), bytes(&pair[1]))))
            .collect::<anyhow::Result<_>>()?,
        None => Vec::new(),
    };
    Ok(Message {
        partition: i32::try_from(line["partition"].as_i64().context("partition")?)?,
        offset: line["offset"].as_i64().context("offset")?,
        key: bytes(&line["key"]),
        value: bytes(&line["payload"]),
        headers,
        timestamp_ms: line["ts"].as_i64().context("ts")?,
    })
}
