//! Applies Dockerfile instructions to the execution parameters of an image
//! config: `import -c` and, later, `commit -c` and builds.

use crate::dockerfile::{self, CommandForm, ConfigChange, Healthcheck, Scope};
use crate::error::{Context, Result};
use crate::oci::{self, Empty, ExecParameters};

/// The shell of shell forms where an image names none.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Applies `changes` in order.
///
/// # Errors
/// `Invalid`, with the instruction.
pub(super) fn apply<'a>(
    config: &mut ExecParameters,
    changes: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let mut sets_command = false;
    for text in changes {
        let instruction = dockerfile::parse_change(text)?;
        let scope = Scope { env: &config.env, working_dir: &config.working_dir };
        let change =
            instruction.resolve(scope).context(|| format!("cannot apply the change {text:?}"))?;
        match change {
            ConfigChange::Cmd(form) => {
                config.cmd = Some(command(config, form));
                sets_command = true;
            }
            ConfigChange::Entrypoint(form) => {
                let entrypoint = command(config, form);
                config.entrypoint = (!entrypoint.is_empty()).then_some(entrypoint);
                // The old command was for the old entrypoint.
                if !sets_command {
                    config.cmd = None;
                }
            }
            other => apply_one(config, other),
        }
    }
    Ok(())
}

fn apply_one(config: &mut ExecParameters, change: ConfigChange) {
    match change {
        // Both need to know what came before.
        ConfigChange::Cmd(_) | ConfigChange::Entrypoint(_) => {}
        ConfigChange::Env(pairs) => {
            for (name, value) in pairs {
                set_variable(&mut config.env, &name, &value);
            }
        }
        ConfigChange::Expose(ports) => {
            let keys = ports.iter().flat_map(dockerfile::PortRange::keys);
            config.exposed_ports.extend(keys.map(|key| (key, Empty {})));
        }
        ConfigChange::Healthcheck(check) => config.healthcheck = Some(healthcheck(check)),
        ConfigChange::Label(pairs) => config.labels.extend(pairs),
        ConfigChange::OnBuild(trigger) => config.on_build.push(trigger),
        ConfigChange::StopSignal(signal) => config.stop_signal = signal.text,
        ConfigChange::User(user) => config.user = user,
        ConfigChange::Volume(paths) => {
            config.volumes.extend(paths.into_iter().map(|path| (path, Empty {})));
        }
        ConfigChange::Workdir(path) => config.working_dir = path,
    }
}

/// Sets `name` where it stands, or at the end.
fn set_variable(env: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    let is_same = |entry: &&mut String| entry.split('=').next() == Some(name);
    match env.iter_mut().find(is_same) {
        Some(entry) => *entry = pair,
        None => env.push(pair),
    }
}

fn command(config: &ExecParameters, form: CommandForm) -> Vec<String> {
    match form {
        CommandForm::Exec(words) => words,
        CommandForm::Shell(line) => {
            let shell = config.shell.clone();
            let mut words = shell.unwrap_or_else(|| SHELL.map(str::to_owned).to_vec());
            words.push(line);
            words
        }
    }
}

fn healthcheck(check: Healthcheck) -> oci::Healthcheck {
    match check {
        Healthcheck::None => {
            oci::Healthcheck { test: vec!["NONE".into()], ..oci::Healthcheck::default() }
        }
        Healthcheck::Probe(probe) => {
            let test = match probe.command {
                CommandForm::Shell(line) => vec!["CMD-SHELL".into(), line],
                CommandForm::Exec(words) => {
                    std::iter::once("CMD".to_owned()).chain(words).collect()
                }
            };
            oci::Healthcheck {
                test,
                interval: probe.interval,
                timeout: probe.timeout,
                start_period: probe.start_period,
                start_interval: probe.start_interval,
                retries: i64::from(probe.retries),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entrypoint_takes_the_old_command_with_it() {
        let mut config =
            ExecParameters { cmd: Some(vec!["old".into()]), ..ExecParameters::default() };
        apply(&mut config, ["ENTRYPOINT [\"/init\"]"]).unwrap();
        assert_eq!(config.cmd, None);
        apply(&mut config, ["CMD echo hi", "ENTRYPOINT [\"/init\"]"]).unwrap();
        let words = ["/bin/sh", "-c", "echo hi"].map(str::to_owned);
        assert_eq!(config.cmd.as_deref(), Some(&words[..]));
    }

    #[test]
    fn variables_are_replaced_where_they_stand() {
        let mut config = ExecParameters::default();
        apply(&mut config, ["ENV A=1 B=2", "ENV A=3", "LABEL x=y", "EXPOSE 80"]).unwrap();
        assert_eq!(config.env, ["A=3", "B=2"]);
        assert!(config.exposed_ports.contains_key("80/tcp"));
    }
}
