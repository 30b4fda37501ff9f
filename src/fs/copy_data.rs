//! The content of one open file, copied to another without passing through
//! this process where the kernel can: shared extents, then a copy inside the
//! kernel, then plain reads and writes. Holes stay holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, copy_file_range, ioctl_ficlone, seek};
use rustix::io::Errno;

/// What is read at once where the kernel does not copy, in bytes.
const BUFFER: usize = 256 * 1024;

/// Copies the content of `from` to `to`, which is empty and open for reading
/// and writing. A file that shrinks meanwhile is copied as far as it goes.
///
/// # Errors
/// Those of copy_file_range(2), pread(2), pwrite(2) and ftruncate(2), without
/// a path.
pub fn copy_data(from: &File, to: &File) -> io::Result<()> {
    // It takes the whole file at once, or says in many ways that it cannot.
    if ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let size = from.metadata()?.len();
    let mut position = 0;
    while position < size {
        let start = match seek(from, SeekFrom::Data(position)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            // A file system that does not know holes.
            Err(_) => position,
        };
        let end = match seek(from, SeekFrom::Hole(start)) {
            Ok(end) if end > start => end.min(size),
            _ => size,
        };
        copy_range(from, to, start..end)?;
        position = end;
    }
    to.set_len(size)
}

fn copy_range(from: &File, to: &File, range: std::ops::Range<u64>) -> io::Result<()> {
    let mut position = range.start;
    while position < range.end {
        let (mut source, mut target) = (position, position);
        let length = usize::try_from(range.end - position).unwrap_or(usize::MAX);
        match copy_file_range(from, Some(&mut source), to, Some(&mut target), length) {
            Ok(0) => return Ok(()),
            Ok(count) => position += count as u64,
            Err(Errno::INTR) => {}
            Err(Errno::NOSYS | Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP) => {
                return copy_by_hand(from, to, position..range.end);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_by_hand(from: &File, to: &File, range: std::ops::Range<u64>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut position = range.start;
    while position < range.end {
        let length = usize::try_from(range.end - position).unwrap_or(usize::MAX).min(BUFFER);
        match from.read_at(&mut buffer[..length], position) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all_at(&buffer[..count], position)?;
                position += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    type Copy = fn(&File, &File) -> io::Result<()>;

    #[test]
    fn content_and_holes_are_the_same_by_every_way() {
        let by_hand: Copy = |from, to| {
            copy_by_hand(from, to, 0..from.metadata()?.len())?;
            to.set_len(from.metadata()?.len())
        };
        for (name, copy) in [("best", copy_data as Copy), ("by hand", by_hand)] {
            let from = tempfile::tempfile().unwrap();
            let to = tempfile::tempfile().unwrap();
            from.write_all_at(&[7; 300_000], 0).unwrap();
            from.write_all_at(b"end", 8 << 20).unwrap();
            from.set_len(9 << 20).unwrap();
            copy(&from, &to).unwrap();
            let read = |file: &File| {
                let mut bytes = vec![0; 9 << 20];
                file.read_exact_at(&mut bytes, 0).unwrap();
                (bytes, file.metadata().unwrap().len())
            };
            assert!(read(&from) == read(&to), "{name}");
            if name == "best" {
                assert!(to.metadata().unwrap().blocks() < (4 << 20) / 512);
            }
        }
    }

    #[test]
    fn an_empty_file_and_one_hole_are_copied() {
        for size in [0, 5 << 20] {
            let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
            from.set_len(size).unwrap();
            copy_data(&from, &to).unwrap();
            assert_eq!(to.metadata().unwrap().len(), size);
        }
    }
}
