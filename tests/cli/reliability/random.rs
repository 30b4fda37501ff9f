//! Random numbers that can be had again: a test that fails prints what to set
//! `ENVBOX_TEST_SEED` to.

use std::io::Write;
use std::time::{Duration, SystemTime};

/// Numbers of a seed (splitmix64: Steele, Lea and Flood, 2014).
pub struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    pub fn new() -> Self {
        let given = std::env::var("ENVBOX_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let seed = given.unwrap_or(now.as_nanos() as u64);
        Self { seed, state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { Some(&all[self.below(all.len())]) }
    }

    /// From 16 microseconds to 64 milliseconds, each power of two as often as
    /// any other.
    pub fn moment(&mut self) -> Duration {
        let power = 1 << (4 + self.below(12));
        Duration::from_micros((power + self.below(power)) as u64)
    }
}

impl Drop for Random {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Nobody is left to tell if this fails.
            let _ = writeln!(std::io::stderr(), "again: ENVBOX_TEST_SEED={}", self.seed);
        }
    }
}
