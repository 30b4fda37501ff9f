//! `envbox init`.

use crate::cli::args::shell::Init;
use crate::cli::{exit, prompt};
use crate::engine::Engine;
use crate::engine::options::network::NetworkMode;
use crate::engine::project::Project;
use crate::error::{Error, Result};
use crate::reference::ImageRef;

/// Writes the file, and prints its path.
pub(in crate::cli) fn run(engine: &Engine, init: Init) -> Result<i32> {
    engine.check_no_project(init.force)?;
    let asks = init.image.is_none() && prompt::can_ask();
    let image = match (init.image, asks) {
        (Some(image), _) => image,
        (None, true) => ask_image(engine)?,
        (None, false) => {
            return Err(Error::invalid("no image is named, and there is no terminal to ask at")
                .hint("name it: envbox init IMAGE"));
        }
    };
    let network = match (init.network, asks) {
        (None, true) => {
            let answer: NetworkMode =
                prompt::ask("Network (none, or host)", Some(NetworkMode::None.to_string()))?;
            // What a profile says anyway need not stand in the file.
            (answer != NetworkMode::None).then_some(answer)
        }
        (network, _) => network,
    };
    let known = engine.pinned(&image);
    let pin = match (&known, init.pin, asks) {
        (Err(_), true, _) | (Ok(_), true, _) => true,
        (Ok(_), false, true) => prompt::confirm("Name it by its digest, for good?", false)?,
        _ => false,
    };
    let image = match (known, pin) {
        (Ok(pinned), true) => pinned,
        (Err(error), true) => return Err(error),
        (Err(error), false) => {
            exit::note(&error.chain(), Some("import it before the first `envbox shell`"));
            image
        }
        (Ok(_), false) => image,
    };
    if let Some(profile) = &init.profile {
        engine.profile(profile)?;
    }
    let project =
        Project { image, profile: init.profile, network, mounts: init.mount, ..Project::default() };
    let path = engine.write_project(&project, init.force)?;
    Ok(exit::data(&format!("{}\n", path.display())))
}

/// Shows what there is, and asks for one; the newest is the default.
fn ask_image(engine: &Engine) -> Result<String> {
    let images = engine.images(&[])?;
    let names: Vec<String> =
        images.iter().flat_map(|image| &image.names).map(ToString::to_string).collect();
    if !names.is_empty() {
        exit::say(&format!("Images: {}", names.join(", ")));
    }
    prompt::ask::<ImageRef>("Image", names.first().cloned()).map(|image| image.to_string())
}
