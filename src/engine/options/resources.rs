//! The flags that limit a container, one parser each, and the limits that
//! they make together. Which of them fit together and what the host can do is
//! for [`Resources::check`] and the runtime.

use crate::error::{Error, Result};
use crate::runtime::cgroup::{Cpus, Limit, Resources};

use super::size::parse_size;

/// docker's default size of `/dev/shm`.
pub const SHM_SIZE: u64 = 64 << 20;

/// Digits after the point of `--cpus`: billionths.
const CPUS_DIGITS: usize = 9;
/// The kernel's range of `cpu.shares`.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

/// Parses `--memory` and `--memory-reservation`: a size. 0 is docker's word for
/// what was not given.
///
/// # Errors
/// As [`parse_size`].
pub fn parse_memory(text: &str) -> Result<u64> {
    parse_size(text)
}

/// Parses `--memory-swap`: a size, or -1 for no limit. 0 is docker's word for
/// what was not given.
///
/// # Errors
/// As [`parse_size`], the hint naming -1.
pub fn parse_memory_swap(text: &str) -> Result<Limit> {
    if text == "-1" {
        return Ok(Limit::Unlimited);
    }
    let hint = "write memory and swap together, as in `1g`, or -1 for no limit";
    parse_size(text).map(Limit::At).map_err(|error| error.hint(hint))
}

/// Parses `--cpus`: a decimal number of processors with at most nine digits
/// after the point. 0 is docker's word for what was not given.
///
/// # Errors
/// `Invalid` for anything else.
pub fn parse_cpus(text: &str) -> Result<Cpus> {
    let invalid = |fault: &str| {
        Error::invalid(format!("invalid number of CPUs \"{text}\": {fault}"))
            .hint("write a number, as in `2` or `1.5`")
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(invalid("it is not a decimal number"));
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > CPUS_DIGITS {
        return Err(invalid("it is too precise"));
    }
    let nano = format!("{whole}{fraction:0<CPUS_DIGITS$}").parse();
    nano.map(Cpus).map_err(|_| invalid("it is too large"))
}

/// Parses `--cpu-shares`: a weight, 2 to 262144 as the kernel takes it. 0 is
/// docker's word for what was not given.
///
/// # Errors
/// `Invalid` for anything else.
pub fn parse_cpu_shares(text: &str) -> Result<u64> {
    let shares = natural(text).filter(|shares| *shares == 0 || SHARES.contains(shares));
    shares.ok_or_else(|| {
        Error::invalid(format!("invalid CPU shares \"{text}\": the range is from 2 to 262144"))
            .hint("write a weight; what has none weighs 1024")
    })
}

/// Parses `--pids-limit`: a number, or -1 for no limit. 0 is no limit too, as
/// docker has it.
///
/// # Errors
/// `Invalid` for anything else.
pub fn parse_pids_limit(text: &str) -> Result<Limit> {
    if text == "-1" {
        return Ok(Limit::Unlimited);
    }
    // The kernel takes what a signed number holds.
    let number = natural(text).filter(|number| i64::try_from(*number).is_ok());
    match number {
        Some(0) => Ok(Limit::Unlimited),
        Some(number) => Ok(Limit::At(number)),
        None => {
            Err(Error::invalid(format!("invalid limit of PIDs \"{text}\": it is not a number"))
                .hint("write a number, or -1 for no limit"))
        }
    }
}

/// Parses `--blkio-weight`: 10 to 1000. 0 is docker's word for what was not
/// given.
///
/// # Errors
/// `Invalid` for anything else.
pub fn parse_blkio_weight(text: &str) -> Result<u16> {
    let weight = natural(text).and_then(|weight| u16::try_from(weight).ok());
    weight.filter(|weight| *weight == 0 || (10..=1000).contains(weight)).ok_or_else(|| {
        Error::invalid(format!("invalid blkio weight \"{text}\": the range is from 10 to 1000"))
            .hint("write a weight; what has none weighs 500")
    })
}

/// Parses `--oom-score-adj`: -1000, never killed, to 1000, killed first.
///
/// # Errors
/// `Invalid` for anything else.
pub fn parse_oom_score_adj(text: &str) -> Result<i16> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let size =
        natural(digits).filter(|size| *size <= 1000).and_then(|size| i16::try_from(size).ok());
    size.map(|size| if negative { -size } else { size }).ok_or_else(|| {
        Error::invalid(format!("invalid OOM score \"{text}\": the range is from -1000 to 1000"))
            .hint("write a number; the higher, the sooner it is killed")
    })
}

/// Parses `--shm-size`: a size. 0 is docker's word for its default of 64 MiB.
///
/// # Errors
/// As [`parse_size`].
pub fn parse_shm_size(text: &str) -> Result<u64> {
    parse_size(text).map(|size| if size == 0 { SHM_SIZE } else { size })
}

/// `resources` without the zeros that docker takes for "not given": for
/// `update` they change nothing.
pub fn without_zeros(resources: Resources) -> Resources {
    Resources {
        memory: resources.memory.filter(|bytes| *bytes > 0),
        memory_swap: resources.memory_swap.filter(|limit| *limit != Limit::At(0)),
        memory_reservation: resources.memory_reservation.filter(|bytes| *bytes > 0),
        cpus: resources.cpus.filter(|cpus| cpus.0 > 0),
        cpu_shares: resources.cpu_shares.filter(|shares| *shares > 0),
        blkio_weight: resources.blkio_weight.filter(|weight| *weight > 0),
        ..resources
    }
}

/// A number of digits alone: `from_str` would take a plus sign.
fn natural(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_docker_takes() {
        assert_eq!(parse_memory("512m").unwrap(), 512 << 20);
        assert_eq!(parse_memory_swap("-1").unwrap(), Limit::Unlimited);
        assert_eq!(parse_memory_swap("1g").unwrap(), Limit::At(1 << 30));
        for (text, nano) in [
            ("1.5", 1_500_000_000),
            ("2", 2_000_000_000),
            (".5", 500_000_000),
            ("1.", 1_000_000_000),
            ("0.000000001", 1),
            ("0.5000000000000", 500_000_000),
            ("0", 0),
        ] {
            assert_eq!(parse_cpus(text).unwrap(), Cpus(nano), "{text}");
        }
        assert_eq!(parse_cpu_shares("1024").unwrap(), 1024);
        assert_eq!(parse_pids_limit("100").unwrap(), Limit::At(100));
        for text in ["-1", "0"] {
            assert_eq!(parse_pids_limit(text).unwrap(), Limit::Unlimited);
        }
        assert_eq!(["10", "1000"].map(|text| parse_blkio_weight(text).unwrap()), [10, 1000]);
        assert_eq!(
            ["-1000", "0", "1000"].map(|text| parse_oom_score_adj(text).unwrap()),
            [-1000, 0, 1000]
        );
        assert_eq!(parse_shm_size("1g").unwrap(), 1 << 30);
        assert_eq!(parse_shm_size("0").unwrap(), 64 << 20);
    }

    #[test]
    fn says_what_is_wrong() {
        let messages = [
            (parse_memory("abc").map(drop), "invalid size \"abc\": the unit is none of"),
            (parse_memory("-1").map(drop), "invalid size \"-1\": "),
            (parse_memory_swap("-2").map(drop), "invalid size \"-2\": "),
            (parse_cpus("abc").map(drop), "invalid number of CPUs \"abc\": it is not a decimal"),
            (parse_cpus(".").map(drop), "invalid number of CPUs \".\": it is not a decimal"),
            (parse_cpus("-1").map(drop), "invalid number of CPUs \"-1\": it is not a decimal"),
            (
                parse_cpus("0.0000000001").map(drop),
                "invalid number of CPUs \"0.0000000001\": it is",
            ),
            (parse_cpus("99999999999").map(drop), "invalid number of CPUs \"99999999999\": it is"),
            (parse_cpu_shares("1").map(drop), "invalid CPU shares \"1\": the range is from 2"),
            (parse_cpu_shares("262145").map(drop), "invalid CPU shares \"262145\": the range"),
            (parse_pids_limit("-2").map(drop), "invalid limit of PIDs \"-2\": it is not a number"),
            (parse_pids_limit("+2").map(drop), "invalid limit of PIDs \"+2\": it is not a number"),
            (parse_blkio_weight("9").map(drop), "invalid blkio weight \"9\": the range is from 10"),
            (parse_blkio_weight("70000").map(drop), "invalid blkio weight \"70000\": the range"),
            (parse_oom_score_adj("1001").map(drop), "invalid OOM score \"1001\": the range is"),
            (parse_oom_score_adj("--1").map(drop), "invalid OOM score \"--1\": the range is from"),
            (parse_shm_size("").map(drop), "invalid size \"\": it does not start with a number"),
        ];
        for (result, message) in messages {
            let error = result.unwrap_err();
            assert!(error.chain().starts_with(message), "{} / {message}", error.chain());
            assert!(error.hint_text().is_some(), "{message}");
        }
    }

    #[test]
    fn zeros_are_nothing() {
        let zeros = Resources {
            memory: Some(0),
            memory_swap: Some(Limit::At(0)),
            memory_reservation: Some(0),
            cpus: Some(Cpus(0)),
            cpu_shares: Some(0),
            blkio_weight: Some(0),
            ..Resources::default()
        };
        assert_eq!(without_zeros(zeros), Resources::default());
        let kept = Resources { memory: Some(1), oom_score_adj: Some(0), ..Resources::default() };
        assert_eq!(without_zeros(kept.clone()), kept);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[-+0-9.]{0,24}\\PC{0,2}") {
            let _ = parse_memory_swap(&text);
            let _ = parse_cpus(&text);
            let _ = parse_cpu_shares(&text);
            let _ = parse_pids_limit(&text);
            let _ = parse_blkio_weight(&text);
            let _ = parse_oom_score_adj(&text);
        }
    }
}
