//! A file of lines that is put aside when it is full: `path` becomes `path.1`, that becomes `path.2`, and the oldest goes.
//!
//! It is appended to, so a restart goes on with it; one that its last line says cannot be gone on with is put aside before the
//! first line is written, unless none are kept aside: what is there is not thrown away for that. Where the last line was cut off
//! (the process was killed, the disk was full), the next one begins on a line of its own. After an error the file is opened anew
//! with the next line.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Lines are gathered into one write of this size, or what waits for a second.
const BUFFER_BYTES: usize = 64 * 1024;
/// How much of a file's end is looked at for its last line: several lines of the longest prompts.
const TAIL_BYTES: u64 = 16 * 1024;

/// The file that is written now.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    rotate_bytes: u64,
    keep: u32,
    /// Whether what is there is put aside before the first line is written.
    is_foreign: bool,
    /// None after an error.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: BufWriter<File>,
    bytes: u64,
}

impl Rotating {
    /// Opens the file for appending; makes it where it is missing. `continues` says of the last whole line whether others may follow it.
    pub(super) fn open(
        path: PathBuf,
        rotate_bytes: u64,
        keep: u32,
        continues: impl Fn(&[u8]) -> bool,
    ) -> io::Result<Self> {
        let is_foreign = keep > 0 && last_line(&path)?.is_some_and(|line| !continues(&line));
        let mut rotating = Self {
            path,
            rotate_bytes,
            keep,
            is_foreign,
            open: None,
        };
        rotating.opened()?;
        Ok(rotating)
    }

    /// Appends a line, in a new file if it would not fit or must not follow what is there.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let full = self.rotate_bytes.saturating_sub(line.len() as u64);
        let open = self.opened()?;
        if open.bytes > 0 && (open.bytes > full || self.is_foreign) {
            self.rotate()?;
        }
        self.is_foreign = false;
        let open = self.opened()?;
        let written = open.file.write_all(line);
        open.bytes += line.len() as u64;
        self.unless_failed(written)
    }

    /// Brings everything into the file.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let flushed = self.open.as_mut().map_or(Ok(()), |open| open.file.flush());
        self.unless_failed(flushed)
    }

    fn unless_failed(&mut self, result: io::Result<()>) -> io::Result<()> {
        if result.is_err()
            && let Some(open) = self.open.take()
        {
            // What is in its buffer is lost; writing it when it is dropped would only fail again, or tear a line.
            let _ = open.file.into_parts();
        }
        result
    }

    fn opened(&mut self) -> io::Result<&mut Open> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.open_file()?,
        };
        Ok(self.open.insert(open))
    }

    fn open_file(&self) -> io::Result<Open> {
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&self.path)?;
        let bytes = file.seek(SeekFrom::End(0))?;
        let mut file_and_end = BufWriter::with_capacity(BUFFER_BYTES, file.try_clone()?);
        if bytes > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file_and_end.write_all(b"\n")?;
            }
        }
        Ok(Open {
            file: file_and_end,
            bytes,
        })
    }

    /// Puts the full file aside.
    fn rotate(&mut self) -> io::Result<()> {
        self.flush()?;
        self.open = None;
        for number in (1..self.keep).rev() {
            rename(&self.aside(number), &self.aside(number + 1))?;
        }
        if self.keep == 0 {
            std::fs::remove_file(&self.path)
        } else {
            rename(&self.path, &self.aside(1))
        }
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }
}

/// The last whole line, without its end; none where there is none. Only its end where it is very long.
fn last_line(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let bytes = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(bytes.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    // What comes after the last line's end was cut off.
    let end = tail.iter().rposition(|&byte| byte == b'\n');
    Ok(end.map(|end| {
        let begin = tail[..end].iter().rposition(|&byte| byte == b'\n');
        tail[begin.map_or(0, |begin| begin + 1)..end].to_vec()
    }))
}

/// Replaces the second by the first, where there is a first.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: PathBuf, rotate_bytes: u64, keep: u32) -> Rotating {
        Rotating::open(path, rotate_bytes, keep, |_| true).expect("opened")
    }

    fn content(directory: &tempfile::TempDir, name: &str) -> Option<String> {
        std::fs::read_to_string(directory.path().join(name)).ok()
    }

    #[test]
    fn full_files_are_put_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut file = open(directory.path().join("t"), 8, 2);
        for line in [
            "aaa\n",
            "bbb\n",
            "ccc\n",
            "ddd\n",
            "eee\n",
            "longer than a file\n",
            "fff\n",
        ] {
            file.write(line.as_bytes()).expect("written");
        }
        file.flush().expect("flushed");
        let files = ["t", "t.1", "t.2", "t.3"].map(|name| content(&directory, name));
        let expected = [Some("fff\n"), Some("longer than a file\n"), Some("eee\n"), None];
        assert_eq!(files, expected.map(|text| text.map(str::to_owned)));
    }

    #[test]
    fn without_older_files_the_full_one_goes() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut file = open(directory.path().join("t"), 4, 0);
        file.write(b"aaa\n").expect("written");
        file.write(b"bbb\n").expect("written");
        file.flush().expect("flushed");
        assert_eq!(content(&directory, "t").as_deref(), Some("bbb\n"));
        assert_eq!(std::fs::read_dir(directory.path()).expect("read").count(), 1);
    }

    #[test]
    fn a_restart_goes_on_and_a_torn_line_stays_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("t");
        for line in ["one\n", "torn", "two\n"] {
            let mut file = open(path.clone(), 1_000, 1);
            file.write(line.as_bytes()).expect("written");
            file.flush().expect("flushed");
        }
        assert_eq!(content(&directory, "t").as_deref(), Some("one\ntorn\ntwo\n"));
    }

    #[test]
    fn what_cannot_be_gone_on_with_is_put_aside_by_the_first_line_and_never_thrown_away() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("t");
        let begin = |mark: &'static str, keep| {
            let continues = move |line: &[u8]| line.starts_with(mark.as_bytes());
            Rotating::open(path.clone(), 1_000, keep, continues).expect("opened")
        };
        let append = |file: &mut Rotating, line: &str| {
            file.write(line.as_bytes()).expect("written");
            file.flush().expect("flushed");
        };
        let mut first = begin("a", 2);
        append(&mut first, "a1\n");
        append(&mut begin("a", 2), "a2\n");
        let mut second = begin("b", 2);
        assert_eq!(
            content(&directory, "t").as_deref(),
            Some("a1\na2\n"),
            "nothing is written yet"
        );
        append(&mut second, "b1\n");
        append(&mut second, "b2\n");
        // The first still writes, as one does that is being replaced: to its own file, whatever that is called.
        append(&mut first, "a3\n");
        assert_eq!(content(&directory, "t").as_deref(), Some("b1\nb2\n"));
        assert_eq!(content(&directory, "t.1").as_deref(), Some("a1\na2\na3\n"));
        std::fs::write(&path, "b1\nb2\na torn one").expect("written");
        append(&mut begin("b", 2), "b3\n");
        assert_eq!(content(&directory, "t").as_deref(), Some("b1\nb2\na torn one\nb3\n"));
        append(&mut begin("c", 0), "c1\n");
        assert_eq!(
            content(&directory, "t").as_deref(),
            Some("b1\nb2\na torn one\nb3\nc1\n"),
            "none is kept aside, so that all would be lost"
        );
    }

    #[test]
    fn after_an_error_the_file_is_opened_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = directory.path().join("folder");
        std::fs::create_dir(&folder).expect("made");
        let mut file = open(folder.join("t"), 8, 1);
        file.write(b"aaaaaa\n").expect("written");
        std::fs::remove_dir_all(&folder).expect("removed");
        assert!(file.write(b"bbbbbb\n").is_err(), "its folder is gone");
        std::fs::create_dir(&folder).expect("made");
        file.write(b"cccccc\n").expect("written again");
        file.flush().expect("flushed");
        assert_eq!(content(&directory, "folder/t").as_deref(), Some("cccccc\n"));
    }
}
