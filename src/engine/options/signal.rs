//! Signals by name or number, as `kill --signal` and `--stop-signal` take
//! them: `TERM`, `SIGTERM`, `sigterm`, `15`, `RTMIN+3`.

use std::fmt;
use std::str::FromStr;

use super::suggest;
use crate::error::{Error, Result};

/// Linux's numbers on x86-64 and arm64 (signal(7)). The first name of a number
/// is the one that is printed.
const NAMES: &[(&str, u8)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];
/// The first real-time signal that a program may use: the C library keeps 32
/// and 33 for itself (signal(7)).
const RTMIN: u8 = 34;
/// The last real-time signal.
const RTMAX: u8 = 64;

/// A signal's number, 1 to 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal(u8);

impl Signal {
    /// SIGKILL.
    pub const KILL: Self = Self(9);
    /// SIGINT.
    pub const INT: Self = Self(2);
    /// SIGQUIT.
    pub const QUIT: Self = Self(3);
    /// SIGTERM.
    pub const TERM: Self = Self(15);

    /// The number that kill(2) takes.
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }
}

impl FromStr for Signal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| (1..=RTMAX).contains(number));
            return number.map(Self).ok_or_else(|| {
                Error::invalid(format!("invalid signal \"{text}\": the numbers are 1 to 64"))
                    .hint("write a number or a name, as in `TERM` or `15`")
            });
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        known.or_else(|| real_time(name)).map(Self).ok_or_else(|| {
            let near = suggest::nearest(name, NAMES.iter().map(|(known, _)| *known));
            let near = near.unwrap_or("TERM");
            Error::invalid(format!("invalid signal \"{text}\": there is no signal of this name"))
                .hint(format!("write a number or a name, as in `{near}`"))
        })
    }
}

impl fmt::Display for Signal {
    /// Prints `SIGTERM`, or `SIGRTMIN+N` for a real-time signal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = NAMES.iter().find(|(_, number)| *number == self.0) {
            return write!(f, "SIG{name}");
        }
        match self.0.checked_sub(RTMIN) {
            Some(0) => f.write_str("SIGRTMIN"),
            Some(offset) => write!(f, "SIGRTMIN+{offset}"),
            None => write!(f, "{}", self.0),
        }
    }
}

/// `RTMIN`, `RTMIN+N`, `RTMAX` and `RTMAX-N`.
fn real_time(name: &str) -> Option<u8> {
    let offset = |digits: &str, sign: char| -> Option<u8> {
        if digits.is_empty() {
            return Some(0);
        }
        let digits = digits.strip_prefix(sign)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let number = match name.strip_prefix("RTMIN") {
        Some(rest) => RTMIN.checked_add(offset(rest, '+')?)?,
        None => RTMAX.checked_sub(offset(name.strip_prefix("RTMAX")?, '-')?)?,
    };
    (RTMIN..=RTMAX).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_names_and_numbers() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGTERM", 15),
            ("sigkill", 9),
            ("9", 9),
            ("64", 64),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX", 64),
            ("rtmax-14", 50),
            ("CLD", 17),
        ] {
            assert_eq!(text.parse::<Signal>().unwrap().number(), number, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_signal_and_names_the_nearest() {
        for text in ["", "0", "65", "999", "SIG", "RTMIN+31", "RTMAX-", "RTMIN+-1", "TERM "] {
            assert!(text.parse::<Signal>().is_err(), "{text}");
        }
        let error = "SIGTREM".parse::<Signal>().unwrap_err();
        assert_eq!(error.chain(), "invalid signal \"SIGTREM\": there is no signal of this name");
        assert_eq!(error.hint_text(), Some("write a number or a name, as in `TERM`"));
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same(number in 1_u8..=64) {
            let signal = Signal(number);
            prop_assert_eq!(signal.to_string().parse::<Signal>().unwrap(), signal);
        }

        #[test]
        fn never_panics(text in "(SIG)?(RTM(IN|AX))?[+-]?\\PC{0,6}") {
            let _ = text.parse::<Signal>();
        }
    }
}
