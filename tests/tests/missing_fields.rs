//! A kernel that lacks fields we read: capture goes on without what comes from them. No kernel at
//! hand lacks them all, so the loader is told to act as if this one did.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use common::decode::{ExecRecord, Record, decode};
use common::limits::ENV_BYTES_MAX;
use common::offsets::{FIELDS, Need};
use common::wire::EXEC_ENV_FAULT;
use shipper::capture::{Capture, CaptureError, Options};
use shipper_tests::{daemon, skip};

/// Far more than the milliseconds an exec takes to arrive.
const LIMIT: Duration = Duration::from_secs(60);

fn options(hidden: impl Iterator<Item = String>) -> Options {
    Options { hidden_fields: hidden.collect(), canary: daemon::program(), ..Options::default() }
}

/// Starts capture, executes `/bin/true MARK`, and looks at its record.
fn with_record(options: &Options, mark: &str, look: impl FnOnce(&ExecRecord<'_>)) -> Result<()> {
    let mut capture = match Capture::start(options) {
        Err(CaptureError::NotPermitted(reason)) => {
            skip(&reason);
            return Ok(());
        }
        started => started?,
    };
    let hidden = &options.hidden_fields;
    assert!(hidden.iter().all(|name| capture.missing_fields().contains(name)), "all are named");
    Command::new("/bin/true").arg(mark).status().context("/bin/true")?;
    let deadline = Instant::now() + LIMIT;
    let mut look = Some(look);
    while look.is_some() {
        let found = capture.next(|bytes, _| {
            let Ok(Record::Exec(record)) = decode(bytes) else { return };
            let mut args = record.bytes(record.exec.argv).split(|&byte| byte == 0);
            if args.any(|arg| arg == mark.as_bytes())
                && let Some(look) = look.take()
            {
                look(&record);
            }
        });
        if Instant::now() >= deadline {
            bail!("the exec was not reported");
        }
        if !found {
            capture.wait(Duration::from_millis(100))?;
        }
    }
    Ok(())
}

#[test]
fn without_any_optional_field_an_exec_is_reported_with_the_rest() -> Result<()> {
    daemon::build()?;
    let optional = FIELDS.iter().filter(|field| field.need == Need::Optional);
    let names = optional.map(|field| format!("{}.{}", field.structure, field.members[0]));
    let mark = format!("bare-{}", std::process::id());
    let options = Options { env_bytes_max: ENV_BYTES_MAX, ..options(names) };
    with_record(&options, &mark, |record| {
        let exec = &record.exec;
        assert_eq!((exec.loginuid, exec.sessionid), (u32::MAX, u32::MAX), "unset, not root");
        assert_eq!((exec.vpid, exec.pgid, exec.sid), (0, 0, 0));
        assert_eq!((exec.namespaces.mnt, exec.namespaces.user, exec.cgroup_id), (0, 0, 0));
        assert_ne!((exec.process.tgid, exec.process.start_ns), (0, 0));
        assert_eq!((exec.argc, exec.binary.uid), (2, 0));
        assert_eq!((exec.env.bytes, exec.env_bytes), (0, 0), "nothing, not anything");
        assert_ne!((exec.binary.inode, exec.binary.mode), (0, 0));
        let binary = record.path(exec.binary_path).and_then(|path| path.names().last());
        assert!(binary.is_some(), "the walk of the path needs none of them");
        assert_eq!(record.ancestors()[0].process.tgid, std::process::id());
    })
}

#[test]
fn with_every_field_the_same_exec_says_more() -> Result<()> {
    daemon::build()?;
    let mark = format!("full-{}", std::process::id());
    // Not by rustix, which takes 0 for what the kernel never says: a child of init has it where init
    // made no session.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').context("a line of /proc/self/stat")?.1;
    let number = |field: usize| -> Result<u32> {
        Ok(fields.split_ascii_whitespace().nth(field).context("a field of it")?.parse()?)
    };
    let (group, session) = (number(2)?, number(3)?);
    with_record(&options(std::iter::empty()), &mark, |record| {
        let exec = &record.exec;
        assert!(exec.vpid != 0 && exec.namespaces.mnt != 0);
        assert_eq!((exec.pgid, exec.sid), (group, session), "0 where init made none");
        assert_ne!(exec.credentials.cap_effective, 0, "the tests run as root");
        assert_eq!((exec.env.bytes, exec.env_bytes), (0, 0), "it was not asked for");
    })
}

#[test]
fn the_environment_is_in_a_record_only_where_it_is_asked_for_and_then_all_of_it() -> Result<()> {
    daemon::build()?;
    let mark = format!("environment-{}", std::process::id());
    let options = Options { env_bytes_max: ENV_BYTES_MAX, ..options(std::iter::empty()) };
    let bytes: usize = std::env::vars_os().map(|(name, value)| name.len() + value.len() + 2).sum();
    with_record(&options, &mark, |record| {
        let exec = &record.exec;
        assert_eq!(exec.env_bytes, bytes as u64);
        assert_eq!(exec.env.bytes as usize, bytes.min(ENV_BYTES_MAX as usize));
        assert_eq!(exec.flags & EXEC_ENV_FAULT, 0);
        let env = record.bytes(exec.env);
        let path = std::env::var("PATH").map(|path| format!("PATH={path}")).expect("a PATH");
        assert!(env.split(|&byte| byte == 0).any(|variable| variable == path.as_bytes()));
    })
}

#[test]
fn a_required_field_that_is_missing_is_named() -> Result<()> {
    let hidden = ["task_struct.real_parent", "inode.i_uid"].map(str::to_owned);
    match Capture::start(&options(hidden.into_iter())) {
        Err(CaptureError::NotPermitted(reason)) => skip(&reason),
        Err(error) => {
            let said = error.to_string();
            assert!(
                said.contains("task_struct.real_parent") && said.contains("inode.i_uid"),
                "{said}"
            );
        }
        Ok(_) => bail!("capture began without them"),
    }
    Ok(())
}
