//! One file or directory, copied from a tree into another one that is in use,
//! or written as a tar, or read from one. The walk and the extractor are those
//! of layers; what their file system does not take is lost here, and told.

use std::io::{BufReader, Read, Write};

use crate::error::Result;
use crate::fs::{Dir, Owner};

use super::apply::{ApplyOptions, Upon, apply};
use super::compress::open_compressed;
use super::overrides::Overrides;
use super::pipeline::{self, WriterSink};
use super::read::TarReader;
use super::report::Report;
use super::unmapped::UnmappedOwners;
use super::walk::{Part, TreeSource, WalkOptions, write_tree};

/// Of what a foreign archive is read by, in bytes.
const BUFFER: usize = 256 * 1024;

/// What was copied.
#[derive(Clone, Debug, Default)]
pub struct Transferred {
    /// Of all regular files, holes included, hard links once, in bytes.
    pub content_size: u64,
    /// What was noticed.
    pub report: Report,
}

/// Copies `part` of `source` into the directory `target`. All that is made
/// belongs to `owner`, or else to its own.
///
/// # Errors
/// `AlreadyExists` for a directory in the way of what is none, and the reverse;
/// else those of reading and writing. What was copied before one stays.
pub fn transfer(
    (source, part): (&Dir, Part<'_>),
    target: &Dir,
    owner: Option<Owner>,
) -> Result<Transferred> {
    // Whose it was is of no matter where it gets another owner.
    let unmapped = owner.is_none().then(UnmappedOwners::of_process).transpose()?;
    let walk = WalkOptions { unmapped, part: Some(part), ..WalkOptions::default() };
    let options = ApplyOptions { upon: Some(Upon { owner }), ..ApplyOptions::default() };
    let produce = |sink: &mut pipeline::ChunkSink| {
        write_tree(TreeSource { dir: source, overrides: Overrides::default() }, &walk, sink)
    };
    let (walked, applied) = pipeline::transfer(produce, target, &options)?;
    let mut report = walked.report;
    report.merge(applied.report);
    Ok(Transferred { content_size: walked.content_size, report })
}

/// Writes `part` of `source` as a tar to `output`.
///
/// # Errors
/// Those of reading and of `output`.
pub fn write_part((source, part): (&Dir, Part<'_>), output: &mut dyn Write) -> Result<Transferred> {
    let unmapped = Some(UnmappedOwners::of_process()?);
    let walk = WalkOptions { unmapped, part: Some(part), ..WalkOptions::default() };
    let mut sink = WriterSink::new(output);
    let source = TreeSource { dir: source, overrides: Overrides::default() };
    let walked = write_tree(source, &walk, &mut sink)?;
    sink.flush()?;
    Ok(Transferred { content_size: walked.content_size, report: walked.report })
}

/// Applies the archive that `reader` gives, compressed or not, upon the
/// directory `target`; owners as for [`transfer`].
///
/// # Errors
/// As [`transfer`]; `Invalid` for members that leave the target.
pub fn apply_upon(
    reader: Box<dyn Read + Send>,
    target: &Dir,
    owner: Option<Owner>,
) -> Result<Transferred> {
    let reader = BufReader::with_capacity(BUFFER, open_compressed(reader)?);
    let options = ApplyOptions { upon: Some(Upon { owner }), ..ApplyOptions::default() };
    let applied = apply(TarReader::new(reader), target, &options)?;
    Ok(Transferred { content_size: applied.content_size, report: applied.report })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    use super::*;
    use crate::image::Topic;

    #[test]
    fn a_target_stays_as_it_is_and_gives_no_group_of_its_own() {
        let room = tempfile::tempdir().unwrap();
        for path in ["from/empty", "to"] {
            std::fs::create_dir_all(room.path().join(path)).unwrap();
        }
        std::fs::write(room.path().join("from/file"), "x").unwrap();
        let to = room.path().join("to");
        // An ordinary user has no second group to give.
        let _ = chown(&to, None, Some(1234));
        std::fs::set_permissions(&to, PermissionsExt::from_mode(0o2777)).unwrap();
        let before = std::fs::metadata(&to).unwrap();
        let part = Part { name: OsStr::new("from"), renamed: b"" };
        let source = Dir::open(room.path()).unwrap();
        let copied = transfer((&source, part), &Dir::open(&to).unwrap(), None).unwrap();
        assert_eq!((copied.content_size, copied.report.count(Topic::Lost)), (1, 0));
        let after = std::fs::metadata(&to).unwrap();
        assert_eq!((after.mode(), after.gid()), (before.mode(), before.gid()));
        let own = std::fs::metadata(room.path().join("from/file")).unwrap().gid();
        for made in ["file", "empty"] {
            let made = std::fs::metadata(to.join(made)).unwrap();
            assert_eq!((made.gid(), made.mode() & 0o2000), (own, 0));
        }
    }
}
