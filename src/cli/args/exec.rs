//! What can be typed after the verbs on a container that runs: `envbox exec`
//! and `envbox top`.

use clap::Args;

use super::container::Process;

/// The statuses of exec (docker exec).
const EXIT_STATUS: &str = "Exit status: the command's own; 128+N if signal N ended it; 1 if there \
    is no such\ncontainer that runs, 125 if the options are wrong, 126 if the command cannot be \
    executed,\n127 if it is not there.";

/// Run a command in a container that runs
///
/// Runs another command in CONTAINER, beside what runs there, and stays until it
/// ends. It has the container's environment, user, limits and rights.
#[derive(Args, Debug)]
#[command(
    override_usage = "envbox exec [OPTIONS] CONTAINER COMMAND [ARG]...",
    after_help = EXIT_STATUS
)]
pub(in crate::cli) struct Exec {
    /// The container's name or ID, then the command
    #[arg(
        value_names = ["CONTAINER", "COMMAND"],
        num_args = 2..,
        required = true,
        trailing_var_arg = true
    )]
    pub words: Vec<String>,
    /// Let the command read stdin
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Return once the command runs; it reads nothing, and its output is lost
    #[arg(short, long)]
    pub detach: bool,
    #[command(flatten)]
    pub process: Process,
    /// Give the command every capability
    #[arg(long)]
    pub privileged: bool,
}

/// List the processes of a container
///
/// Lists the processes of CONTAINER with the numbers and users that the host
/// has for them.
#[derive(Args, Debug)]
#[command(override_usage = "envbox top CONTAINER [PS OPTION]...")]
pub(in crate::cli) struct Top {
    /// The container's name or ID
    pub container: String,
    /// Options for the host's ps, which then makes the list
    #[arg(value_name = "PS OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    pub options: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::args::{Arguments, Verb};

    fn verb(line: &str) -> Result<Verb, clap::Error> {
        Arguments::try_parse_from(line.split(' ')).map(|arguments| arguments.verb)
    }

    #[test]
    fn what_follows_the_container_is_the_commands() {
        let Verb::Exec(exec) = verb("envbox exec -it -w /x box ls -l -t --detach").unwrap() else {
            panic!("another verb");
        };
        assert!(exec.interactive && exec.tty && !exec.detach);
        assert_eq!(exec.words, ["box", "ls", "-l", "-t", "--detach"]);
        assert!(verb("envbox exec box").is_err());
        assert!(verb("envbox exec --nonsense box ls").is_err());
    }

    #[test]
    fn options_of_ps_are_not_envboxs() {
        let Verb::Top(top) = verb("envbox top box -e -o pid,args --help").unwrap() else {
            panic!("another verb");
        };
        assert_eq!((top.container.as_str(), top.options.len()), ("box", 4));
    }
}
