//! `envbox completion` and `envbox manual`: what is made of the definition of
//! the command line itself.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::args::Arguments;
use crate::cli::exit;
use crate::error::{Error, Result};
use crate::fs;

/// Prints the completions for `shell`.
pub(in crate::cli) fn completion(shell: Shell) -> Result<i32> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "envbox", &mut text);
    Ok(exit::data(&String::from_utf8_lossy(&text)))
}

/// Writes a manual page for every verb into `folder`, and prints their paths.
pub(in crate::cli) fn manual(folder: &Path) -> Result<i32> {
    fs::ensure_dir(folder, 0o755)?;
    let mut root = Arguments::command().disable_help_subcommand(true);
    // Gives each verb its full name, as in `envbox image ls`.
    root.build();
    let mut paths = String::new();
    let mut pending = vec![root];
    while let Some(command) = pending.pop() {
        pending.extend(command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned());
        let page = clap_mangen::Man::new(command);
        let path = folder.join(page.get_filename());
        let mut text = Vec::new();
        page.render(&mut text).map_err(|error| Error::io("make the page", &path, error))?;
        fs::write_plain(&path, &text)?;
        paths.push_str(&format!("{}\n", path.display()));
    }
    Ok(exit::data(&paths))
}
