//! Instructions with their arguments parsed, not yet expanded. Knows nothing of
//! the image that they are for.

use crate::error::{Context, Error, Result};

use super::duration::parse_duration;
use super::expand::Word;
use super::keyword::{self, Keyword};
use super::lexer::{self, Flag};

/// The shortest time that a health check may be given, in nanoseconds (moby,
/// `container.MinimumDuration`).
const MIN_DURATION: i64 = 1_000_000;

/// The flags of `HEALTHCHECK`.
const HEALTH_FLAGS: &str = "--interval, --timeout, --start-period, --start-interval, --retries";

/// An instruction that changes an image config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `CMD`: what a container runs, or the arguments of its entrypoint.
    Cmd(CommandForm),
    /// `ENTRYPOINT`: what a container always runs; an empty exec form takes the
    /// entrypoint away.
    Entrypoint(CommandForm),
    /// `ENV`: names and values, in order; never empty.
    Env(Vec<(Word, Word)>),
    /// `EXPOSE`: ports, each `FIRST[-LAST][/PROTOCOL]`; never empty.
    Expose(Vec<Word>),
    /// `HEALTHCHECK`.
    Healthcheck(Healthcheck),
    /// `LABEL`: names and values, in order; never empty.
    Label(Vec<(Word, Word)>),
    /// `ONBUILD`: the text of an instruction for a later build, checked as far
    /// as is possible without that build.
    OnBuild(String),
    /// `STOPSIGNAL`: a signal's name or number.
    StopSignal(Word),
    /// `USER`: `USER[:GROUP]`, each a name or a number.
    User(Word),
    /// `VOLUME`: absolute paths; never empty.
    Volume(Vec<Word>),
    /// `WORKDIR`: a path, relative to the one before.
    Workdir(Word),
}

/// A command as `CMD` and its like take it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CommandForm {
    /// A line for the image's shell, as written.
    Shell(String),
    /// A program and its arguments, run without a shell.
    Exec(Vec<String>),
}

/// What `HEALTHCHECK` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// No health check, not even an inherited one.
    None,
    /// A command that tells a container's health.
    Probe(HealthProbe),
}

/// A health check's command and its times, in nanoseconds; 0 means docker's
/// default, as in the image config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthProbe {
    /// What is run; never an empty exec form.
    pub command: CommandForm,
    /// From one run to the next.
    pub interval: i64,
    /// After which a run counts as failed.
    pub timeout: i64,
    /// In which failures do not count.
    pub start_period: i64,
    /// From one run to the next while the start period lasts.
    pub start_interval: i64,
    /// Failures in a row that make a container unhealthy.
    pub retries: u32,
}

impl Instruction {
    /// Parses the arguments of an instruction that changes an image config.
    ///
    /// # Errors
    ///
    /// `Invalid` for malformed arguments, `Unsupported` for an instruction that
    /// needs a builder.
    pub(super) fn parse(keyword: Keyword, arguments: &str) -> Result<Self> {
        if keyword == Keyword::Onbuild {
            return parse_trigger(arguments).map(Self::OnBuild);
        }
        let in_keyword = || format!("invalid {keyword} instruction");
        let (flags, arguments) = lexer::split_flags(arguments);
        let arguments = arguments.trim_end();
        match flags.first() {
            Some(flag) if keyword != Keyword::Healthcheck => {
                Err(Error::invalid(format!("unknown flag --{}", flag.name)))
            }
            _ if arguments.is_empty() => Err(Error::invalid("no argument")),
            _ => Self::parse_arguments(keyword, flags, arguments),
        }
        .context(in_keyword)
    }

    fn parse_arguments(keyword: Keyword, flags: Vec<Flag>, arguments: &str) -> Result<Self> {
        Ok(match keyword {
            Keyword::Cmd => Self::Cmd(CommandForm::parse(arguments)?),
            Keyword::Entrypoint => Self::Entrypoint(CommandForm::parse(arguments)?),
            Keyword::Env => Self::Env(parse_pairs(arguments)?),
            Keyword::Expose => Self::Expose(split_plainly(arguments)),
            Keyword::Healthcheck => Self::Healthcheck(Healthcheck::parse(flags, arguments)?),
            Keyword::Label => Self::Label(parse_pairs(arguments)?),
            Keyword::Stopsignal => Self::StopSignal(Word::new(arguments)),
            Keyword::User => Self::User(Word::new(arguments)),
            Keyword::Volume => Self::Volume(parse_list(arguments)?),
            Keyword::Workdir => Self::Workdir(Word::new(arguments)),
            _ => return Err(Error::unsupported("it needs a builder")),
        })
    }
}

impl CommandForm {
    /// Parses a JSON array as the exec form, all else as the shell form; like
    /// docker, it takes an array that is no valid JSON for a shell command.
    fn parse(text: &str) -> Result<Self> {
        Ok(match lexer::json_array(text)? {
            Some(arguments) => Self::Exec(arguments),
            None => Self::Shell(text.to_owned()),
        })
    }
}

impl Healthcheck {
    fn parse(flags: Vec<Flag>, arguments: &str) -> Result<Self> {
        let (kind, rest) = lexer::split_word(arguments);
        match kind.to_ascii_uppercase().as_str() {
            "NONE" if flags.is_empty() && rest.is_empty() => Ok(Self::None),
            "NONE" => Err(Error::invalid("NONE takes neither flags nor arguments")),
            "CMD" => HealthProbe::parse(flags, rest).map(Self::Probe),
            _ => Err(Error::invalid(format!("unknown type {kind:?}"))
                .hint("write HEALTHCHECK CMD command, or HEALTHCHECK NONE")),
        }
    }
}

impl HealthProbe {
    fn parse(flags: Vec<Flag>, command: &str) -> Result<Self> {
        let command = CommandForm::parse(command)?;
        match &command {
            CommandForm::Shell(line) if line.is_empty() => return Err(no_command()),
            CommandForm::Exec(arguments) if arguments.is_empty() => return Err(no_command()),
            _ => {}
        }
        let mut probe = Self {
            command,
            interval: 0,
            timeout: 0,
            start_period: 0,
            start_interval: 0,
            retries: 0,
        };
        for (at, flag) in flags.iter().enumerate() {
            if flags[..at].iter().any(|earlier| earlier.name == flag.name) {
                return Err(Error::invalid(format!("flag --{} is given twice", flag.name)));
            }
            probe.apply(flag)?;
        }
        Ok(probe)
    }

    fn apply(&mut self, flag: &Flag) -> Result<()> {
        let name = &flag.name;
        let time = match name.as_str() {
            "interval" => &mut self.interval,
            "timeout" => &mut self.timeout,
            "start-period" => &mut self.start_period,
            "start-interval" => &mut self.start_interval,
            "retries" => {
                self.retries = parse_retries(&flag.value)?;
                return Ok(());
            }
            _ => {
                return Err(Error::invalid(format!("unknown flag --{name}"))
                    .hint(format!("use one of {HEALTH_FLAGS}")));
            }
        };
        *time = parse_duration(&flag.value).context(|| format!("invalid --{name}"))?;
        if (1..MIN_DURATION).contains(time) {
            return Err(Error::invalid(format!("--{name} is shorter than 1ms")));
        }
        Ok(())
    }
}

fn no_command() -> Error {
    Error::invalid("no command after CMD").hint("write HEALTHCHECK CMD command")
}

fn parse_retries(text: &str) -> Result<u32> {
    // docker keeps the number in a signed field of 32 bits.
    let number = text.parse::<i32>().ok().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| Error::invalid(format!("--retries {text} is not a count")))
}

/// Parses `name=value ...`, or the older `name value` whose value is the rest
/// of the line.
fn parse_pairs(arguments: &str) -> Result<Vec<(Word, Word)>> {
    let words = lexer::words(arguments);
    if words.first().is_some_and(|first| !first.as_written().contains('=')) {
        return match lexer::split_word(arguments) {
            (name, "") => Err(Error::invalid(format!("{name} has no value"))
                .hint(format!("write {name}=value, or {name}= for an empty one"))),
            (name, value) => Ok(vec![(Word::new(name), Word::new(value))]),
        };
    }
    let pairs = words.iter().map(|word| match word.as_written().split_once('=') {
        Some(("", _)) => Err(Error::invalid(format!("{} has no name", word.as_written()))),
        Some((name, value)) => Ok((Word::new(name), Word::new(value))),
        None => Err(Error::invalid(format!("{} is not name=value", word.as_written()))
            .hint("put quotes around a value that has spaces")),
    });
    pairs.collect()
}

/// Parses a JSON array, or words between white space.
fn parse_list(arguments: &str) -> Result<Vec<Word>> {
    match lexer::json_array(arguments)? {
        Some(elements) if elements.is_empty() => Err(Error::invalid("no argument")),
        Some(elements) => Ok(elements.into_iter().map(Word::new).collect()),
        None => Ok(split_plainly(arguments)),
    }
}

/// Splits at white space, quoted or not: docker does so for ports and volumes.
fn split_plainly(arguments: &str) -> Vec<Word> {
    arguments.split_whitespace().map(Word::new).collect()
}

fn parse_trigger(text: &str) -> Result<String> {
    let (name, arguments) = lexer::split_keyword(text);
    let keyword = match Keyword::parse(name) {
        _ if name.is_empty() => Err(Error::invalid("no trigger instruction")),
        Some(keyword) if keyword.may_be_trigger() => Ok(keyword),
        Some(keyword) => Err(Error::invalid(format!("{keyword} is not allowed as a trigger"))),
        None => Err(keyword::unknown(name, Keyword::may_be_trigger)),
    }
    .context(|| "invalid ONBUILD instruction")?;
    if keyword.changes_config_only() {
        Instruction::parse(keyword, arguments).context(|| "invalid ONBUILD instruction")?;
    } else if arguments.is_empty() {
        return Err(Error::invalid(format!("invalid ONBUILD instruction: {keyword} is empty")));
    }
    Ok(text.trim().to_owned())
}
