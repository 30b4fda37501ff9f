//! Signals by name or number, as `STOPSIGNAL` and `--stop-signal` take them.

use crate::error::{Error, Result};

const SIGRTMIN: i32 = 34;
const SIGRTMAX: i32 = 64;

/// The numbers of signal(7), equal on x86-64 and arm64.
const SIGNALS: [(&str, i32); 34] = [
    ("ABRT", libc::SIGABRT),
    ("ALRM", libc::SIGALRM),
    ("BUS", libc::SIGBUS),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("FPE", libc::SIGFPE),
    ("HUP", libc::SIGHUP),
    ("ILL", libc::SIGILL),
    ("INT", libc::SIGINT),
    ("IO", libc::SIGIO),
    ("IOT", libc::SIGIOT),
    ("KILL", libc::SIGKILL),
    ("PIPE", libc::SIGPIPE),
    ("POLL", libc::SIGPOLL),
    ("PROF", libc::SIGPROF),
    ("PWR", libc::SIGPWR),
    ("QUIT", libc::SIGQUIT),
    ("SEGV", libc::SIGSEGV),
    ("STKFLT", libc::SIGSTKFLT),
    ("STOP", libc::SIGSTOP),
    ("SYS", libc::SIGSYS),
    ("TERM", libc::SIGTERM),
    ("TRAP", libc::SIGTRAP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("VTALRM", libc::SIGVTALRM),
    ("WINCH", libc::SIGWINCH),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
];

/// The signal that asks a container to stop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StopSignal {
    /// As the user wrote it, which is what the image config keeps.
    pub text: String,
    /// Its number, 1 to 64.
    pub number: i32,
}

impl StopSignal {
    /// Parses a number, or a name with or without `SIG`, in any case; real-time
    /// signals are `RTMIN`, `RTMIN+1` to `RTMIN+15`, `RTMAX-14` to `RTMAX`.
    ///
    /// # Errors
    ///
    /// `Invalid` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let name = text.to_ascii_uppercase();
        let name = name.strip_prefix("SIG").unwrap_or(&name);
        let number = match text.parse::<i32>() {
            Ok(number) => (1..=SIGRTMAX).contains(&number).then_some(number),
            Err(_) => named(name).or_else(|| real_time(name)),
        };
        match number {
            Some(number) => Ok(Self { text: text.to_owned(), number }),
            None => Err(Error::invalid(format!("{text:?} is not a signal"))
                .hint("write a name such as SIGTERM, or a number from 1 to 64")),
        }
    }
}

fn named(name: &str) -> Option<i32> {
    SIGNALS.iter().find(|(own, _)| *own == name).map(|&(_, number)| number)
}

fn real_time(name: &str) -> Option<i32> {
    let offset = |digits: &str, most: i32| {
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: i32 = digits.parse().ok().filter(|_| is_number)?;
        (1..=most).contains(&number).then_some(number)
    };
    match name {
        "RTMIN" => Some(SIGRTMIN),
        "RTMAX" => Some(SIGRTMAX),
        _ => match (name.strip_prefix("RTMIN+"), name.strip_prefix("RTMAX-")) {
            (Some(digits), _) => Some(SIGRTMIN + offset(digits, 15)?),
            (_, Some(digits)) => Some(SIGRTMAX - offset(digits, 14)?),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_numbers() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("term", 15),
            ("sigKill", 9),
            ("9", 9),
            ("64", 64),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-14", 50),
            ("RTMAX", 64),
        ] {
            let signal = StopSignal::parse(text).unwrap();
            assert_eq!((signal.text.as_str(), signal.number), (text, number));
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            "0",
            "65",
            "-9",
            "SIG",
            "SIGSIGTERM",
            "TERMINATE",
            "RTMIN+16",
            "RTMAX-15",
            "RTMIN+",
            "RTMIN++5",
        ] {
            assert!(StopSignal::parse(text).is_err(), "{text}");
        }
    }
}
