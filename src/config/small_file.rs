//! Files that a configuration names, read whole and within bounds.
//!
//! A path may be typed by somebody: what it leads to may be a device that never ends or a pipe that nobody writes to, and neither may
//! cost memory or a thread.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Largest file of certificates and keys. A system's whole bundle of authorities has a quarter of it.
pub const SMALL_BYTES_MAX: u64 = 1024 * 1024;

/// The bytes of a regular file that has at most so many. Blocks on the disk only.
///
/// # Errors
/// When it cannot be read, is no regular file ([`io::ErrorKind::InvalidInput`]) or is larger ([`io::ErrorKind::FileTooLarge`]).
pub fn read_small(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if read as u64 > bytes_max {
        let message = format!("it is larger than {} KiB", bytes_max / 1024);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_small_file_is_read_and_a_larger_one_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.pem");
        std::fs::write(&path, vec![b'x'; 2048]).expect("written");
        assert_eq!(read_small(&path, 2048).expect("read").len(), 2048);
        let refused = read_small(&path, 2047).expect_err("too large");
        assert_eq!(refused.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn devices_pipes_and_folders_are_no_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().expect("runs");
        assert!(made.success());
        for path in [
            Path::new("/dev/zero"),
            Path::new("/dev/urandom"),
            &pipe,
            directory.path(),
        ] {
            let refused = read_small(path, 1024).expect_err("no file");
            assert_eq!(refused.kind(), io::ErrorKind::InvalidInput, "{}", path.display());
        }
    }
}
