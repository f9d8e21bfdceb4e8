//! From time since boot to wall time. The kernel stamps records with time since boot, which nothing
//! moves; the offset to the wall clock moves with NTP and is measured anew while the daemon runs.

use rustix::time::{ClockId, clock_gettime};

use crate::event::WallTime;

/// Clock ticks in a second, as /proc shows start times (`USER_HZ`).
const NS_PER_TICK: u64 = 10_000_000;

/// Nanoseconds since boot, suspend included.
#[must_use]
pub fn boot_now_ns() -> u64 {
    nanoseconds(ClockId::Boottime)
}

/// The wall clock now.
#[must_use]
pub fn wall_now() -> WallTime {
    WallTime(nanoseconds(ClockId::Realtime))
}

/// Start time in clock ticks, as the kernel computes it for /proc (`nsec_to_clock_t`).
#[must_use]
pub fn ticks(boot_ns: u64) -> u64 {
    boot_ns / NS_PER_TICK
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A time that a file has; `None` for 0, which stands for none, and for what is before 1970.
#[must_use]
pub fn time(seconds: i64, nanoseconds: u64) -> Option<WallTime> {
    let ns = u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(nanoseconds)?;
    (ns != 0).then_some(WallTime(ns))
}

/// The offset between the two clocks, as last measured.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset_ns: u64,
}

impl Clock {
    /// Measures the offset.
    #[must_use]
    pub fn now() -> Self {
        // The wall clock is read between two readings of the boot clock; their mean is its moment.
        let before = boot_now_ns();
        let wall = wall_now().0;
        let after = boot_now_ns();
        Clock { offset_ns: wall.saturating_sub(before + (after - before) / 2) }
    }

    /// Wall time of a moment since boot.
    #[must_use]
    pub fn wall(&self, boot_ns: u64) -> WallTime {
        WallTime(self.offset_ns.saturating_add(boot_ns))
    }

    /// Wall time of a moment given in clock ticks since boot: to 10 ms.
    #[must_use]
    pub fn wall_of_ticks(&self, ticks: u64) -> WallTime {
        self.wall(ticks.saturating_mul(NS_PER_TICK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_since_boot_is_now_on_the_wall() {
        let clock = Clock::now();
        let (before, boot, after) = (wall_now(), boot_now_ns(), wall_now());
        let wall = clock.wall(boot);
        let slack = 50_000_000; // The wall clock may be slewed or preempted between the readings.
        assert!(
            wall.0 + slack >= before.0 && wall.0 <= after.0 + slack,
            "{wall:?} not near {before:?}"
        );
    }

    #[test]
    fn ticks_round_down_as_the_kernel_does() {
        assert_eq!((ticks(9_999_999), ticks(10_000_000), ticks(29_999_999)), (0, 1, 2));
    }
}
