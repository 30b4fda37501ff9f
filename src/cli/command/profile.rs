//! `envbox profile`.

use crate::cli::args::shell::ProfileVerb;
use crate::cli::exit;
use crate::cli::output::Table;
use crate::engine::Engine;
use crate::error::{Error, Result};

/// Lists, prints or checks profiles.
pub(in crate::cli) fn run(engine: &Engine, verb: ProfileVerb) -> Result<i32> {
    match verb {
        ProfileVerb::Ls => {
            let mut table = Table::new(["NAME", "SOURCE", "DESCRIPTION"]);
            for profile in engine.profiles()? {
                table.row([profile.name, profile.source, profile.description]);
            }
            Ok(exit::data(&table.render()))
        }
        ProfileVerb::Show { name, format } => {
            let profile = engine.profile(&name)?;
            let text = if format == "json" {
                let json = serde_json::to_string_pretty(&profile)
                    .map_err(|error| Error::internal("cannot print the profile").because(error))?;
                json + "\n"
            } else {
                profile.to_toml()?
            };
            Ok(exit::data(&text))
        }
        ProfileVerb::Validate { file } => {
            let profile = engine.validate_profile(&file)?;
            Ok(exit::data(&format!("{}: profile {} is valid\n", file.display(), profile.name)))
        }
    }
}
