//! `envbox system migrate`: layers change from one driver's form to another's.
//! Their digests stay; one layer after the other is converted, the lower ones
//! first, so whatever ends the command leaves a store that works.

use crate::digest::ChainId;
use crate::error::{Context, Error, Kind, Result};
use crate::image::{self, Counters, LayerLimits, LayerTarget, LoadOptions};
use crate::runtime::idmap::UserNamespace;
use crate::store::{Driver, LayerLocation, Store};

use super::verify::REMEDY;
use super::{Engine, driver, running, save};

impl Engine {
    /// Converts all layers to `to`, which new layers have from now on, too;
    /// `converted` is told of each. Returns how many there were to convert.
    ///
    /// # Errors
    /// `Unsupported` if `to` cannot be had here; `InUse` if a container runs on
    /// a layer, and `Mismatch` if one is damaged: those before it are converted.
    pub fn migrate(&self, to: Driver, mut converted: impl FnMut(ChainId)) -> Result<usize> {
        let user_namespace = self.host()?.user_namespace;
        let store = self.store()?;
        self.check_driver(store, to)?;
        store.set_driver(to)?;
        let mut count = 0;
        for chain in store.layers()? {
            let parent = store.layer_record(chain)?.and_then(|record| record.parent);
            let to = driver::upon(store, parent, to)?;
            let is_misread = to == Driver::Overlay && store.is_for_copies(chain)?;
            if store.layer(chain)?.form == to.form() && !is_misread {
                continue;
            }
            convert(self, (store, chain), to, user_namespace)
                .context(|| format!("cannot convert layer {chain}"))?;
            converted(chain);
            count += 1;
        }
        store.close_database();
        Ok(count)
    }

    /// Kept containers do not say which layers they run on: nobody may run.
    fn refuse_running(&self) -> Result<()> {
        let running = running::list_claimed(&self.settings.store.run)?;
        running.first().map_or(Ok(()), |running| {
            Err(Error::new(Kind::InUse, format!("container {} is running", running.name))
                .hint("stop what runs first: envbox ps"))
        })
    }
}

fn convert(
    engine: &Engine,
    (store, chain): (&Store, ChainId),
    to: Driver,
    user_namespace: UserNamespace,
) -> Result<()> {
    let Some(record) = store.layer_record(chain)? else { return Ok(()) };
    let pending = store.begin_layer(to)?;
    let LayerLocation { folder, form } = pending.location();
    let counters = Counters::default();
    let options = LoadOptions {
        below: &driver::Stack { store, chain: record.parent, user_namespace },
        marks: driver::marks(user_namespace),
        limits: LayerLimits::NONE,
        counters: &counters,
    };
    let from = save::layer(store, chain)?;
    let made = image::convert_layer(&from, &LayerTarget::within(&folder, form), &options)?;
    if made.diff_id != record.diff_id {
        return Err(Error::mismatch(format!(
            "it should be {}, but is {}",
            record.diff_id, made.diff_id
        ))
        .hint(REMEDY));
    }
    pending.replace(chain, || engine.refuse_running())
}
