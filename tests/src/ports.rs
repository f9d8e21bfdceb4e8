//! Ports for brokers and proxies, which are given up and taken again while a test runs.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that the kernel gives to outgoing connections (32768 and up): from those, a
/// client that connects to a broker that is down may be given the very port it connects to, and be
/// connected to itself; or another connection takes the port before the broker is back.
const FIRST: u16 = 10_000;
const COUNT: u16 = 20_000;
/// How far processes that run at the same time begin from each other.
const STRIDE: u16 = 64;

/// A port on 127.0.0.1 that nobody listens at and that this process was not given before.
pub fn free() -> anyhow::Result<u16> {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % u32::from(COUNT / STRIDE)) as u16 * STRIDE;
    for _ in 0..COUNT {
        let offset = (start + GIVEN.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
        let port = FIRST + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port from {FIRST} on is free")
}
