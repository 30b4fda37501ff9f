//! From a layer to an image: config and manifest as bytes. Pure, and a
//! function of its input alone: no clock, host, path or version enters, so the
//! same tree with the same parameters has the same image ID everywhere.

use crate::digest::{DiffId, Digest, ImageId};
use crate::error::{Error, Result};
use crate::fs::Timestamp;
use crate::oci::{
    Descriptor, ExecParameters, History, ImageConfig, Manifest, RootfsDiffs, media_type,
    to_canonical_json,
};
use crate::platform::Platform;

/// What an image of one layer is made of.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// What its programs run on.
    pub platform: Platform,
    /// What a container of it runs.
    pub parameters: ExecParameters,
    /// Of the layer's uncompressed tar.
    pub diff_id: DiffId,
    /// Of that tar, in bytes.
    pub tar_size: u64,
    /// SOURCE_DATE_EPOCH, or the newest time of the tree.
    pub created: Timestamp,
    /// Name and address of who made it.
    pub author: Option<String>,
    /// The message given with it.
    pub message: Option<String>,
}

/// An image's documents and their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssembledImage {
    /// The image config.
    pub config_bytes: Vec<u8>,
    /// The manifest, whose layer is the uncompressed tar.
    pub manifest_bytes: Vec<u8>,
    /// Of the config.
    pub id: ImageId,
    /// Of the manifest.
    pub manifest_digest: Digest,
}

/// Makes the documents of `image`.
///
/// # Errors
/// `Invalid` if the time lies outside the years that RFC 3339 can write.
pub fn assemble(image: NewImage) -> Result<AssembledImage> {
    let created = rfc3339(image.created)?;
    let config = ImageConfig {
        created: Some(created.clone()),
        author: image.author.clone(),
        architecture: image.platform.architecture,
        variant: image.platform.variant,
        os: image.platform.os,
        config: image.parameters,
        rootfs: RootfsDiffs { diff_ids: vec![image.diff_id], ..RootfsDiffs::default() },
        history: vec![History {
            created: Some(created),
            created_by: Some("envbox import".into()),
            author: image.author,
            comment: image.message,
            empty_layer: false,
        }],
    };
    let config_bytes = to_canonical_json(&config)?;
    let layer = Descriptor::new(media_type::LAYER_TAR, image.diff_id.0, image.tar_size);
    let manifest = Manifest::new(Descriptor::of(media_type::CONFIG, &config_bytes), vec![layer]);
    let manifest_bytes = to_canonical_json(&manifest)?;
    Ok(AssembledImage {
        id: ImageId(Digest::of(&config_bytes)),
        manifest_digest: Digest::of(&manifest_bytes),
        config_bytes,
        manifest_bytes,
    })
}

/// `time` in UTC by RFC 3339; a fraction only if there is one.
fn rfc3339(time: Timestamp) -> Result<String> {
    // At most 999,999,999, so the cast keeps it.
    let nanoseconds = time.nanoseconds.cast_signed();
    // RFC 3339 has the years 0 to 9999; jiff stops a day before their end.
    let is_written = time.seconds >= -62_167_219_200;
    // jiff wants both parts of one sign, so the fraction is added.
    let jiff = jiff::Timestamp::new(time.seconds, 0)
        .and_then(|whole| whole.checked_add(jiff::SignedDuration::new(0, nanoseconds)));
    match jiff {
        Ok(jiff) if is_written => Ok(jiff.to_string()),
        _ => Err(Error::invalid(format!("no date can be written for {} seconds", time.seconds))
            .hint("set SOURCE_DATE_EPOCH, or correct the times of the tree")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> NewImage {
        NewImage {
            platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
            parameters: ExecParameters { cmd: Some(vec!["sh".into()]), ..Default::default() },
            diff_id: DiffId(Digest::of(b"layer")),
            tar_size: 5,
            created: Timestamp { seconds: 1_700_000_000, nanoseconds: 500_000_000 },
            author: None,
            message: Some("first".into()),
        }
    }

    #[test]
    fn config_has_the_known_bytes() {
        let assembled = assemble(image()).unwrap();
        let layer = image().diff_id;
        let expected = format!(
            r#"{{"created":"2023-11-14T22:13:20.5Z","architecture":"amd64","os":"linux","config":{{"Cmd":["sh"]}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}},"history":[{{"created":"2023-11-14T22:13:20.5Z","created_by":"envbox import","comment":"first"}}]}}"#
        );
        assert_eq!(String::from_utf8(assembled.config_bytes.clone()).unwrap(), expected);
        assert_eq!(assembled.id.0, Digest::of(expected.as_bytes()));
        let manifest: Manifest = serde_json::from_slice(&assembled.manifest_bytes).unwrap();
        assert_eq!(manifest.config.digest, assembled.id.0);
        assert_eq!(manifest.layers[0].digest, layer.0);
        assert_eq!(manifest.layers[0].media_type, media_type::LAYER_TAR);
    }

    #[test]
    fn dates_are_utc_with_a_fraction_only_if_there_is_one() {
        let date = |seconds, nanoseconds| rfc3339(Timestamp { seconds, nanoseconds });
        assert_eq!(date(0, 0).unwrap(), "1970-01-01T00:00:00Z");
        assert_eq!(date(-1, 500_000_000).unwrap(), "1969-12-31T23:59:59.5Z");
        assert_eq!(date(253_402_207_199, 0).unwrap(), "9999-12-30T21:59:59Z");
        assert!(date(253_402_300_800, 0).is_err());
        assert!(date(i64::MIN, 0).is_err());
    }
}
