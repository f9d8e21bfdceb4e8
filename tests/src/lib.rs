//! The harness of the tests that cross a process or machine boundary. The tests themselves are
//! under `tests/tests/`.

pub mod behaviours;
pub mod bench;
pub mod cgroup;
pub mod bpftrace;
pub mod collector;
pub mod daemon;
pub mod ecs;
pub mod golden;
pub mod guest;
pub mod http_proxy;
pub mod kafka;
pub mod mounted;
pub mod ocsf;
pub mod opensearch;
pub mod outcome;
pub mod pki;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod site;
pub mod spooled;
pub mod tiny;
pub mod tracefs;

/// cargo, as whoever called the tests would call it. What it tells a test of its package would make
/// build scripts that read the same names run again, and build all that follows from them anew: there
/// and back with each test.
#[must_use]
pub fn cargo() -> std::process::Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    let is_ours = |name: &str| {
        name == "OUT_DIR" || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_ours) {
            command.env_remove(name);
        }
    }
    command
}

/// Says that the calling test is skipped on this machine, and why; the test returns afterwards.
///
/// # Panics
///
/// When `CI` is set: a CI machine is set up to run everything, so a skip there is a failure.
pub fn skip(reason: &str) {
    // Past the capture of the test runner, so that it is seen when the test passes as well.
    let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("SKIPPED: {reason}\n"));
    let in_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
    assert!(!in_ci, "skipped in CI, where every test must run: {reason}");
}
