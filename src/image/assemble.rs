//! A config and a manifest around layers that exist: pure, without a clock, so
//! that the same layers with the same words are the same image.
//!
//! It knows nothing of where layers lie or what is in them.

use jiff::SignedDuration;

use crate::digest::{DiffId, Digest, ImageId};
use crate::error::{Error, Result};
use crate::fs::Timestamp;
use crate::oci::{
    Descriptor, ExecParameters, History, ImageConfig, Manifest, RootfsDiffs, media_type,
    to_canonical_json,
};
use crate::platform::Platform;

/// What an image is made of.
pub struct NewImage<'a> {
    /// The layers, lowest first.
    pub layers: &'a [LayerBlob],
    /// What its programs run on.
    pub platform: &'a Platform,
    /// What its containers run.
    pub config: ExecParameters,
    /// When it was made, for the config and its history.
    pub created: Timestamp,
    /// Who made it.
    pub author: Option<&'a str>,
    /// The message given at import or commit.
    pub comment: Option<&'a str>,
    /// The command that made it.
    pub created_by: &'a str,
}

/// A layer's uncompressed canonical tar, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerBlob {
    /// Its digest.
    pub diff_id: DiffId,
    /// In bytes.
    pub size: u64,
}

impl LayerBlob {
    /// As a manifest names it.
    pub(super) fn descriptor(&self) -> Descriptor {
        Descriptor::new(media_type::LAYER_TAR, self.diff_id.0, self.size)
    }
}

/// An image, as the bytes that its digests are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssembledImage {
    /// The image config (image spec, config.md).
    pub config: Vec<u8>,
    /// The manifest (image spec, manifest.md).
    pub manifest: Vec<u8>,
    /// The digest of `config`.
    pub id: ImageId,
    /// The digest of `manifest`.
    pub manifest_digest: Digest,
}

/// Makes the config and the manifest of an image. Its history is one entry,
/// whatever the number of layers.
///
/// # Errors
/// `Invalid` if `created` is not within the years 0 to 9999, which is all that
/// RFC 3339 can say.
pub fn assemble(image: NewImage<'_>) -> Result<AssembledImage> {
    let created = rfc3339(image.created)?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let history = History {
        created: Some(created.clone()),
        created_by: Some(image.created_by.to_owned()),
        author: owned(image.author),
        comment: owned(image.comment),
        empty_layer: false,
    };
    let Platform { os, architecture, variant } = image.platform.clone();
    let config = to_canonical_json(&ImageConfig {
        created: Some(created),
        author: owned(image.author),
        architecture,
        variant,
        os,
        config: image.config,
        rootfs: RootfsDiffs {
            diff_ids: image.layers.iter().map(|layer| layer.diff_id).collect(),
            ..RootfsDiffs::default()
        },
        history: vec![history],
    })?;
    seal(config, image.layers.iter().map(LayerBlob::descriptor).collect())
}

/// The image of the config `config` and `layers`, lowest first.
///
/// # Errors
/// Those of JSON, never.
pub(super) fn seal(config: Vec<u8>, layers: Vec<Descriptor>) -> Result<AssembledImage> {
    let manifest =
        to_canonical_json(&Manifest::new(Descriptor::of(media_type::CONFIG, &config), layers))?;
    Ok(AssembledImage {
        id: ImageId(Digest::of(&config)),
        manifest_digest: Digest::of(&manifest),
        config,
        manifest,
    })
}

/// `time` in RFC 3339, UTC: `2024-01-02T03:04:05Z`, with a fraction only if
/// there is one.
pub(super) fn rfc3339(time: Timestamp) -> Result<String> {
    let bad = || {
        Error::invalid(format!("the time {} is outside the years 0 to 9999", time.seconds))
            .hint("give a time in seconds since 1970")
    };
    // Added one after the other: the fraction counts forward also before 1970.
    let moment = jiff::Timestamp::from_second(time.seconds)
        .and_then(|whole| whole.checked_add(SignedDuration::from_nanos(time.nanoseconds.into())))
        .map_err(|_| bad())?;
    let text = moment.to_string();
    // jiff also has years before 0, which it prints with a sign.
    if text.starts_with('-') { Err(bad()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn at(seconds: i64, nanoseconds: u32) -> Result<String> {
        rfc3339(Timestamp { seconds, nanoseconds })
    }

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(at(1_704_164_645, 0).unwrap(), "2024-01-02T03:04:05Z");
        assert_eq!(at(1_704_164_645, 120_000_000).unwrap(), "2024-01-02T03:04:05.12Z");
        assert_eq!(at(1_704_164_645, 1).unwrap(), "2024-01-02T03:04:05.000000001Z");
        assert_eq!(at(-1, 500_000_000).unwrap(), "1969-12-31T23:59:59.5Z");
        assert_eq!(at(0, 0).unwrap(), "1970-01-01T00:00:00Z");
        for seconds in [i64::MAX, i64::MIN, -70_000_000_000, 253_402_300_800] {
            assert_eq!(at(seconds, 0).unwrap_err().kind(), Kind::Invalid, "{seconds}");
        }
    }

    fn example(platform: &Platform) -> NewImage<'_> {
        const LAYERS: &[LayerBlob] = &[];
        NewImage {
            layers: LAYERS,
            platform,
            config: ExecParameters::default(),
            created: Timestamp::from_seconds(1_704_164_645),
            author: None,
            comment: None,
            created_by: "envbox import",
        }
    }

    #[test]
    fn the_bytes_are_these_for_ever() {
        let platform = Platform::linux("amd64");
        let layers = [LayerBlob { diff_id: DiffId(Digest::of(b"one")), size: 3 }];
        let config = ExecParameters { cmd: Some(vec!["sh".into()]), ..ExecParameters::default() };
        let image = NewImage {
            layers: &layers,
            config,
            author: Some("a"),
            comment: Some("c"),
            ..example(&platform)
        };
        let image = assemble(image).unwrap();
        let one = Digest::of(b"one");
        let config = format!(
            concat!(
                r#"{{"created":"2024-01-02T03:04:05Z","author":"a","architecture":"amd64","#,
                r#""os":"linux","config":{{"Cmd":["sh"]}},"#,
                r#""rootfs":{{"type":"layers","diff_ids":["{one}"]}},"#,
                r#""history":[{{"created":"2024-01-02T03:04:05Z","created_by":"envbox import","#,
                r#""author":"a","comment":"c"}}]}}"#
            ),
            one = one
        );
        assert_eq!(String::from_utf8(image.config).unwrap(), config);
        assert_eq!(image.id.0, Digest::of(config.as_bytes()));
        let manifest = format!(
            concat!(
                r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
                r#""config":{{"mediaType":"application/vnd.oci.image.config.v1+json","#,
                r#""digest":"{id}","size":{size}}},"#,
                r#""layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","#,
                r#""digest":"{one}","size":3}}]}}"#
            ),
            id = image.id,
            size = config.len(),
            one = one
        );
        assert_eq!(image.manifest_digest, Digest::of(manifest.as_bytes()));
        assert_eq!(String::from_utf8(image.manifest).unwrap(), manifest);
    }

    #[test]
    fn every_word_makes_another_image() {
        let platform = Platform::linux("amd64");
        let other = Platform::linux("arm64");
        let id = |image| assemble(image).unwrap().id;
        let ids = std::collections::BTreeSet::from([
            id(example(&platform)),
            id(example(&other)),
            id(NewImage { author: Some("a"), ..example(&platform) }),
            id(NewImage { comment: Some("a"), ..example(&platform) }),
            id(NewImage { created_by: "x", ..example(&platform) }),
            id(NewImage { created: Timestamp::from_seconds(0), ..example(&platform) }),
        ]);
        assert_eq!(ids.len(), 6);
        assert_eq!(id(example(&platform)), id(example(&platform)));
    }
}
