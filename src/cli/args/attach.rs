//! What can be typed after `envbox attach`, and the options of every verb that
//! stays with a container.

use clap::{ArgAction, Args};

use crate::monitor::{ClientInput, ClientOptions, ClientSignals, DetachKeys};

/// Show what a container prints from now on, and type into it
///
/// Attaches to a container that runs, beside others who may be. It is left by
/// the detach keys at a terminal, and goes on then.
#[derive(Args, Debug)]
#[command(after_help = super::EXIT_STATUS)]
pub(in crate::cli) struct Attach {
    /// A name, an ID or its beginning
    pub container: String,
    /// Only watch
    #[arg(long)]
    pub no_stdin: bool,
    #[command(flatten)]
    pub client: ClientFlags,
}

impl Attach {
    /// The engine's form.
    pub fn options(&self) -> ClientOptions {
        let input = if self.no_stdin { ClientInput::None } else { ClientInput::Typed };
        ClientOptions { input, ..self.client.options() }
    }
}

/// How a client behaves.
#[derive(Args, Debug)]
pub(in crate::cli) struct ClientFlags {
    /// The keys that leave the container running: ctrl-p,ctrl-q without it
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<DetachKeys>,
    /// Pass signals on to the command; =false keeps them to envbox
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", action = ArgAction::Set)]
    pub sig_proxy: bool,
}

impl ClientFlags {
    /// The engine's form.
    pub fn options(&self) -> ClientOptions {
        ClientOptions {
            input: ClientInput::default(),
            detach_keys: self.detach_keys.clone().unwrap_or_default(),
            signals: if self.sig_proxy { ClientSignals::Forwarded } else { ClientSignals::Own },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Arguments, Verb};

    fn attach(words: &[&str]) -> ClientOptions {
        let words = ["envbox", "attach", "web"].iter().chain(words);
        match Arguments::try_parse_from(words).unwrap().verb {
            Verb::Attach(attach) => attach.options(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_are_docker_s() {
        assert_eq!(attach(&[]), ClientOptions::default());
        assert_eq!(attach(&["--sig-proxy"]), ClientOptions::default());
        assert_eq!(attach(&["--no-stdin"]).input, ClientInput::None);
        assert_eq!(attach(&["--sig-proxy=false"]).signals, ClientSignals::Own);
        assert_eq!(attach(&["--detach-keys", "ctrl-x,y"]).detach_keys.to_string(), "ctrl-x,y");
        let bad = ["envbox", "attach", "--detach-keys", "what", "web"];
        assert!(Arguments::try_parse_from(bad).is_err());
    }
}
