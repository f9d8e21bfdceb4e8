//! The guest harness itself, on a real guest: what goes in comes out, and a guest that hangs or dies
//! is reported as such.

#![allow(clippy::panic, reason = "a failing test panics")]

use std::time::Duration;

use anyhow::Result;
use shipper_tests::guest::{self, Guest, GuestError};
use shipper_tests::skip;

/// Far above the 5 to 10 s that a guest takes under software emulation, for a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

fn guest() -> Option<Guest> {
    guest::kernel("6.1").map(|kernel| Guest::new(&kernel)).map_err(|reason| skip(&reason)).ok()
}

#[test]
fn a_guest_returns_its_scripts_output_exit_code_and_files() -> Result<()> {
    let Some(guest) = guest() else {
        return Ok(());
    };
    let run = guest
        .text("#!/bin/sh\necho \"alice's script runs\"\n", "/opt/mine", 0o755)
        .script(
            r#"
            echo "release $(uname -r)"
            echo "lsm $(cat /sys/kernel/security/lsm)"
            [ -s /sys/kernel/btf/vmlinux ] && echo "btf is there"
            chown alice /opt/mine
            /opt/mine
            stat -c 'owner %U' /opt/mine
            echo "to standard error" >&2
            dd if=/dev/urandom of=/tmp/random bs=1024 count=100 2>/dev/null
            sha256sum </tmp/random
            emit_file random /tmp/random
            : >/tmp/empty
            emit_file empty /tmp/empty
            exit 3
            "#,
        )
        .run(LIMIT)?;

    assert_eq!(run.exit_code, 3);
    let line = |start: &str| {
        run.output
            .lines()
            .find_map(|line| line.strip_prefix(start))
            .unwrap_or_else(|| panic!("no line {start:?} in {}", run.output))
    };
    assert!(line("release ").starts_with("6.1."));
    assert!(line("lsm ").split(',').any(|lsm| lsm == "bpf"));
    line("btf is there");
    line("alice's script runs");
    assert_eq!(line("owner "), "alice");
    line("to standard error");

    assert_eq!(run.files["random"].len(), 100 * 1024);
    let digest = run
        .output
        .lines()
        .find_map(|line| line.strip_suffix("  -"))
        .expect("the guest printed the digest");
    assert_eq!(sha256_of(&run.files["random"])?, digest);
    assert_eq!(run.files["empty"], b"");
    Ok(())
}

#[test]
fn a_guest_that_hangs_is_killed_at_its_limit() {
    let Some(guest) = guest() else { return };
    let result = guest.script("sleep 1000000").run(Duration::from_secs(15));
    assert!(matches!(result, Err(GuestError::TimeLimit { .. })), "{result:?}");
}

#[test]
fn a_kernel_panic_is_reported_with_what_was_printed_before_it() {
    let Some(guest) = guest() else { return };
    let result = guest
        .script(
            "echo before the panic
             stty -F /dev/ttyS1 raw   # waits until that is out
             echo c >/proc/sysrq-trigger
             echo after the panic",
        )
        .run(LIMIT);
    let Err(GuestError::Panic { output, console }) = result else {
        panic!("no panic was reported: {result:?}");
    };
    assert_eq!(output, "before the panic\n");
    assert!(console.contains("sysrq triggered crash"), "{console}");
}

#[test]
fn the_kernels_command_line_can_be_added_to() -> Result<()> {
    let Some(guest) = guest() else {
        return Ok(());
    };
    let run = guest.append("lsm=yama").script("cat /sys/kernel/security/lsm").run(LIMIT)?;
    assert!(run.output.contains("yama"), "{}", run.output);
    assert!(!run.output.contains("bpf"), "{}", run.output);
    Ok(())
}

fn sha256_of(bytes: &[u8]) -> Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), bytes)?;
    let output = std::process::Command::new("sha256sum").arg(file.path()).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
