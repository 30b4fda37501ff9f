//! The variables of a container, put together from image, profile, files and
//! options. Later ones replace earlier ones in their place.

use std::path::PathBuf;

use crate::error::Result;
use crate::fs;

use super::Settings;
use super::options::environment::{EnvironmentOption, parse_env_file};
use super::profile::Variable;

/// Variables in the order in which they came; a name stands there once.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables(Vec<(String, String)>);

impl Variables {
    /// Gives `name` the value `value`.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some(entry) => value.clone_into(&mut entry.1),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The value of `name`.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Takes `name` out.
    pub(super) fn unset(&mut self, name: &str) {
        self.0.retain(|(key, _)| key != name);
    }

    /// Adds the `NAME=value` of an image config. One without `=` names no
    /// value, and is left out.
    pub(super) fn add_image(&mut self, env: &[String]) {
        for (name, value) in env.iter().filter_map(|entry| entry.split_once('=')) {
            self.set(name, value);
        }
    }

    /// Adds those of a profile or a project.
    pub(super) fn add_all<'a>(
        &mut self,
        variables: impl IntoIterator<Item = (&'a String, &'a Variable)>,
    ) {
        for (name, variable) in variables {
            match variable {
                Variable::Set(value) => self.set(name, value),
                Variable::Unset => self.unset(name),
            }
        }
    }

    /// Adds docker's `--env-file`, then `--env`. A variable that the caller
    /// is to give and does not have is taken out, as docker does.
    ///
    /// # Errors
    /// Those of reading the files; `Invalid` with file and line.
    pub(super) fn add_options(
        &mut self,
        (files, options): (&[PathBuf], &[EnvironmentOption]),
        settings: &Settings,
    ) -> Result<()> {
        for file in files {
            let text = fs::read_to_string(&settings.absolute(file))?;
            for option in parse_env_file(&file.display().to_string(), &text)? {
                self.add_option(&option, settings);
            }
        }
        for option in options {
            self.add_option(option, settings);
        }
        Ok(())
    }

    fn add_option(&mut self, option: &EnvironmentOption, settings: &Settings) {
        match option {
            EnvironmentOption::Set { name, value } => self.set(name, value),
            EnvironmentOption::FromCaller(name) => match settings.environment.get(name) {
                Some(value) => self.set(name, value),
                None => self.unset(name),
            },
        }
    }

    /// All of them.
    pub(super) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_replaces_an_earlier_one_in_its_place() {
        let mut variables = Variables::default();
        variables.add_image(&["A=1".into(), "B=2".into(), "C".into(), "A=3=4".into()]);
        let taken: [(String, Variable); 1] = [("B".into(), Variable::Unset)];
        variables.add_all(taken.iter().map(|(name, variable)| (name, variable)));
        assert_eq!(variables.into_pairs(), [("A".to_owned(), "3=4".to_owned())]);
    }
}
