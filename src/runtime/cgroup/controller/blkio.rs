//! Block devices: `blkio` on v1, `io` on v2.

use super::super::plan::{Ground, Write};
use super::super::{BlockUse, Resources, Statistics, Version};
use super::{Controller, Files, Rules};
use crate::error::Result;

pub(super) struct Blkio;

impl Rules for Blkio {
    fn writes(resources: &Resources, ground: &Ground) -> Vec<Write> {
        let Some(weight) = resources.blkio_weight else { return Vec::new() };
        let write = |file| {
            let target = (file, weight.to_string());
            Write::given(Controller::Blkio, "--blkio-weight", target)
        };
        // BFQ has files of its own, and docker's scale. Its own scheduler
        // aside, v1 lost the weight with CFQ (Linux 5.0), and v2's is wider.
        vec![match ground.version {
            Version::V1 => write("blkio.bfq.weight").or("blkio.weight", weight.to_string()),
            Version::V2 => {
                let wide = format!("default {}", wide_weight(weight));
                write("io.bfq.weight").or("io.weight", wide)
            }
        }]
    }

    fn measure(files: &Files<'_>, statistics: &mut Statistics) -> Result<()> {
        statistics.block = match files.version {
            Version::V1 => {
                let text = files.text("blkio.throttle.io_service_bytes_recursive")?;
                text.as_deref().map(legacy_use)
            }
            Version::V2 => files.text("io.stat")?.as_deref().map(unified_use),
        };
        Ok(())
    }
}

/// docker's 10 to 1000 as v2's 1 to 10000: crun's and runc's line.
fn wide_weight(weight: u16) -> u32 {
    1 + (u32::from(weight).saturating_sub(10)) * 9999 / 990
}

/// Lines `MAJOR:MINOR Read BYTES`, `... Write BYTES` and others.
fn legacy_use(text: &str) -> BlockUse {
    let mut sum = BlockUse::default();
    for line in text.lines() {
        let mut words = line.split_whitespace().skip(1);
        let (Some(operation), Some(Ok(bytes))) =
            (words.next(), words.next().map(str::parse::<u64>))
        else {
            continue;
        };
        match operation {
            "Read" => sum.read += bytes,
            "Write" => sum.written += bytes,
            _ => {}
        }
    }
    sum
}

/// Lines `MAJOR:MINOR rbytes=BYTES wbytes=BYTES rios=...`.
fn unified_use(text: &str) -> BlockUse {
    let mut sum = BlockUse::default();
    for pair in text.split_whitespace() {
        match pair.split_once('=').map(|(key, bytes)| (key, bytes.parse::<u64>())) {
            Some(("rbytes", Ok(bytes))) => sum.read += bytes,
            Some(("wbytes", Ok(bytes))) => sum.written += bytes,
            _ => {}
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_their_ends() {
        assert_eq!([10, 500, 1000].map(wide_weight), [1, 4950, 10_000]);
    }

    #[test]
    fn bytes_of_all_devices_are_added() {
        let both = BlockUse { read: 11, written: 22 };
        let legacy = "8:0 Read 1\n8:0 Write 2\n8:0 Sync 9\n8:16 Read 10\n8:16 Write 20\nTotal 42\n";
        assert_eq!(legacy_use(legacy), both);
        let unified = "8:0 rbytes=1 wbytes=2 rios=5 wios=5\n8:16 rbytes=10 wbytes=20 dbytes=9\n";
        assert_eq!(unified_use(unified), both);
    }
}
