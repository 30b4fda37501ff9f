//! The names of all Dockerfile instructions, and where each may stand. Knows
//! nothing of their arguments.

use std::fmt;

use crate::error::Error;

/// A Dockerfile instruction's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keyword {
    /// `ADD`: files, archives and downloads into the image.
    Add,
    /// `ARG`: a variable of the build.
    Arg,
    /// `CMD`: the container's command, or its arguments.
    Cmd,
    /// `COPY`: files into the image.
    Copy,
    /// `ENTRYPOINT`: the program that a container always runs.
    Entrypoint,
    /// `ENV`: environment variables.
    Env,
    /// `EXPOSE`: ports that the image serves.
    Expose,
    /// `FROM`: begins a stage.
    From,
    /// `HEALTHCHECK`: how a container's health is told.
    Healthcheck,
    /// `LABEL`: metadata.
    Label,
    /// `MAINTAINER`: the author; deprecated.
    Maintainer,
    /// `ONBUILD`: an instruction for a build on top of this image.
    Onbuild,
    /// `RUN`: a command in the build.
    Run,
    /// `SHELL`: what runs commands in shell form.
    Shell,
    /// `STOPSIGNAL`: the signal that stops a container.
    Stopsignal,
    /// `USER`: who runs commands.
    User,
    /// `VOLUME`: directories kept outside the image.
    Volume,
    /// `WORKDIR`: the working directory.
    Workdir,
}

/// Every keyword with its name, in alphabetical order.
const KEYWORDS: [(Keyword, &str); 18] = [
    (Keyword::Add, "ADD"),
    (Keyword::Arg, "ARG"),
    (Keyword::Cmd, "CMD"),
    (Keyword::Copy, "COPY"),
    (Keyword::Entrypoint, "ENTRYPOINT"),
    (Keyword::Env, "ENV"),
    (Keyword::Expose, "EXPOSE"),
    (Keyword::From, "FROM"),
    (Keyword::Healthcheck, "HEALTHCHECK"),
    (Keyword::Label, "LABEL"),
    (Keyword::Maintainer, "MAINTAINER"),
    (Keyword::Onbuild, "ONBUILD"),
    (Keyword::Run, "RUN"),
    (Keyword::Shell, "SHELL"),
    (Keyword::Stopsignal, "STOPSIGNAL"),
    (Keyword::User, "USER"),
    (Keyword::Volume, "VOLUME"),
    (Keyword::Workdir, "WORKDIR"),
];

impl Keyword {
    /// The keyword called `name`, in whatever case.
    pub fn parse(name: &str) -> Option<Self> {
        let found = KEYWORDS.iter().find(|(_, own)| own.eq_ignore_ascii_case(name));
        found.map(|&(keyword, _)| keyword)
    }

    /// The name in upper case.
    pub fn name(self) -> &'static str {
        KEYWORDS.iter().find(|&&(keyword, _)| keyword == self).map_or("", |&(_, name)| name)
    }

    /// Whether the instruction changes the image config and nothing else: what
    /// `docker commit --change` allows (moby, `validCommitCommands`).
    pub fn changes_config_only(self) -> bool {
        use Keyword::*;
        matches!(
            self,
            Cmd | Entrypoint
                | Env
                | Expose
                | Healthcheck
                | Label
                | Onbuild
                | Stopsignal
                | User
                | Volume
                | Workdir
        )
    }

    /// Whether the instruction may be the trigger of an `ONBUILD`.
    pub fn may_be_trigger(self) -> bool {
        !matches!(self, Keyword::From | Keyword::Maintainer | Keyword::Onbuild)
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The names of the keywords that are `allowed`, with commas between.
pub(super) fn listed(allowed: fn(Keyword) -> bool) -> String {
    names(allowed).collect::<Vec<_>>().join(", ")
}

/// The error for a name that is no keyword; its hint names the nearest of those
/// `allowed`, and all of them.
pub(super) fn unknown(name: &str, allowed: fn(Keyword) -> bool) -> Error {
    let list = listed(allowed);
    let upper = name.to_uppercase();
    let nearest = names(allowed).map(|own| (distance(own, &upper), own)).min();
    let hint = match nearest {
        Some((edits, own)) if edits <= 2 && edits < own.len() - 1 => {
            format!("write {own}; allowed are {list}")
        }
        _ => format!("use one of {list}"),
    };
    Error::invalid(format!("unknown instruction {name:?}")).hint(hint)
}

fn names(allowed: fn(Keyword) -> bool) -> impl Iterator<Item = &'static str> {
    KEYWORDS.iter().filter(move |&&(keyword, _)| allowed(keyword)).map(|&(_, name)| name)
}

/// The number of insertions, deletions, replacements and swaps of neighbours
/// that lead from one word to the other; words far longer than any keyword are
/// cut.
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().take(20).collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = rows[i][j] + usize::from(a != b);
            let mut best = replaced.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from[i - 1] == *b && to[j - 1] == *a {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}
