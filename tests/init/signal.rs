//! What init does with signals.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;

use super::{Place, Running, eventually, everywhere, state};

/// A loop that stays interruptible for traps.
const FOREVER: &str = "while :; do sleep 0.02; done";

#[test]
fn forwards_every_signal_to_the_command() {
    let signals = [
        (Signal::SIGHUP, "HUP"),
        (Signal::SIGINT, "INT"),
        (Signal::SIGQUIT, "QUIT"),
        (Signal::SIGTERM, "TERM"),
        (Signal::SIGUSR1, "USR1"),
        (Signal::SIGUSR2, "USR2"),
        (Signal::SIGALRM, "ALRM"),
        (Signal::SIGPIPE, "PIPE"),
        (Signal::SIGWINCH, "WINCH"),
        (Signal::SIGCONT, "CONT"),
        (Signal::SIGTTOU, "TTOU"),
    ];
    let traps: String =
        signals.iter().map(|(_, name)| format!("trap 'echo {name}' {name};")).collect();
    everywhere(|place| {
        let mut running = Running::shell(place, &format!("{traps} echo ready; {FOREVER}"));
        assert_eq!(running.line(), "ready");
        for (signal, name) in signals {
            running.signal(signal);
            assert_eq!(running.line(), name, "{place:?}");
        }
    });
}

#[test]
fn ends_by_a_signal_that_the_command_does_not_handle() {
    everywhere(|place| {
        let mut running = Running::shell(place, "echo ready; exec sleep 300");
        running.line();
        running.signal(Signal::SIGTERM);
        assert_eq!(running.exit_code(), Some(128 + 15), "{place:?}");
    });
}

#[test]
fn a_terminal_s_signals_reach_the_group_and_others_the_command() {
    let script = format!(
        "trap 'echo outer USR1' USR1; trap 'echo outer TERM' TERM
         sh -c 'trap \"echo inner USR1\" USR1; trap \"echo inner TERM\" TERM; echo ready; {FOREVER}' &
         {FOREVER}"
    );
    everywhere(|place| {
        let mut running = Running::shell(place, &script);
        assert_eq!(running.line(), "ready");
        running.signal(Signal::SIGUSR1);
        assert_eq!(running.line(), "outer USR1", "{place:?}");
        running.signal(Signal::SIGTERM);
        // A shell runs its traps in the order of their numbers, so an "inner
        // USR1" would come before "inner TERM".
        let lines: BTreeSet<String> = [running.line(), running.line()].into();
        let expected = ["inner TERM", "outer TERM"].map(str::to_owned);
        assert_eq!(lines, expected.into(), "{place:?}");
    });
}

#[test]
fn takes_signals_from_inside_the_namespace() {
    let script = format!("trap 'echo TERM; exit 6' TERM; kill -KILL 1; kill -TERM 1; {FOREVER}");
    let mut running = Running::shell(Place::Namespace, &script);
    assert_eq!(running.line(), "TERM");
    assert_eq!(running.exit_code(), Some(6));
}

#[test]
fn starts_the_command_with_default_actions_and_nothing_blocked() {
    everywhere(|place| {
        // Not from a shell, which blocks signals as it pleases.
        let command = ["/bin/grep", "grep", "-E", "^Sig(Pnd|Blk|Ign)", "/proc/self/status"];
        let mut running = Running::start(place, "trap '' HUP INT QUIT PIPE USR1", &command);
        for name in ["SigPnd", "SigBlk", "SigIgn"] {
            assert_eq!(running.line(), format!("{name}:\t0000000000000000"), "{place:?}");
        }
    });
}

#[test]
fn survives_a_parent_that_ignores_sigchld() {
    everywhere(|place| {
        let command = ["/bin/sh", "sh", "-c", "exit 5"];
        let mut running = Running::start(place, "trap '' CHLD", &command);
        assert_eq!(running.exit_code(), Some(5), "{place:?}");
    });
}

#[test]
fn the_command_leads_a_group_of_its_own() {
    everywhere(|place| {
        let mut running = Running::shell(place, "echo $$; cut -d' ' -f5 /proc/$$/stat");
        assert_eq!(running.line(), running.line(), "{place:?}");
    });
}

#[test]
fn continues_a_command_that_suspends_itself() {
    everywhere(|place| {
        let mut running = Running::shell(place, "kill -TSTP $$; echo resumed; exit 6");
        assert_eq!(running.line(), "resumed", "{place:?}");
        assert_eq!(running.exit_code(), Some(6), "{place:?}");
    });
}

#[test]
fn a_stop_asked_of_init_lasts_until_it_is_told_to_continue() {
    everywhere(|place| {
        let mut running = Running::shell(place, "echo ready; read line; echo resumed; exit 7");
        running.line();
        running.signal(Signal::SIGTSTP);
        let command = running.command();
        eventually("stopped", || state(command) == 'T');
        // Another signal is not a reason to go on; it waits with the command.
        running.signal(Signal::SIGWINCH);
        drop(running.stdin.take());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(state(command), 'T', "{place:?}");
        running.signal(Signal::SIGCONT);
        assert_eq!(running.line(), "resumed", "{place:?}");
        assert_eq!(running.exit_code(), Some(7), "{place:?}");
    });
}
