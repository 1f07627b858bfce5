//! How is this program called from the audience's shell? By its name where `PATH` leads to it, else as it was called itself.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The name that documents call it by.
const NAME: &str = "emberway";

/// What to type to run this program again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// A word for a shell, quoted if it must be.
    pub word: String,
    /// The folder to put on `PATH` so that the name alone is enough in any shell; none where the program is not called so.
    pub folder: Option<PathBuf>,
}

impl Program {
    /// Of the program at `file`, which was called as `called`; `path` is the value of `PATH`. Looks at the folders of `PATH`.
    pub fn find(file: &Path, called: Option<&Path>, path: Option<&OsStr>) -> Self {
        let first = path.and_then(|path| std::env::split_paths(path).find(|folder| folder.join(NAME).is_file()));
        // One of another build would not know the same commands.
        if let Some(folder) = first.filter(|folder| is_same(&folder.join(NAME), file)) {
            return Self {
                word: NAME.to_owned(),
                // Another shell may be elsewhere, and have another `PATH`.
                folder: folder.canonicalize().ok(),
            };
        }
        // Without a slash a shell would look for it on `PATH`, where it is not.
        let called = called.filter(|called| called.components().count() > 1 && is_same(called, file));
        let is_named = file.file_name().is_some_and(|name| name == NAME);
        Self {
            word: quoted(called.unwrap_or(file)),
            folder: file.parent().filter(|_| is_named).map(Path::to_owned),
        }
    }
}

/// Whether two paths lead to one file; not where one leads nowhere.
fn is_same(one: &Path, other: &Path) -> bool {
    let [one, other] = [one, other].map(|path| path.canonicalize().ok());
    one.is_some() && one == other
}

/// A path as one word of a POSIX shell.
pub fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_alone_is_enough_only_where_the_path_leads_to_this_program() {
        let directory = tempfile::tempdir().expect("directory");
        let [own, others] = ["own", "others"].map(|name| directory.path().join(name));
        for folder in [&own, &others] {
            std::fs::create_dir(folder).expect("makes it");
            std::fs::write(folder.join(NAME), "a program").expect("writes");
        }
        let file = own.join(NAME);
        let check = |path: &[&Path], word: &str, folder: Option<&Path>| {
            let path = std::env::join_paths(path).expect("a path");
            let found = Program::find(&file, Some(&file), Some(&path));
            assert_eq!(
                (found.word.as_str(), found.folder.as_deref()),
                (word, folder),
                "{path:?}"
            );
        };
        let whole = quoted(&file);
        // Written for the next shell, which may have another `PATH`.
        let whole_own = own.canonicalize().expect("a folder");
        check(&[&own], NAME, Some(&whole_own));
        check(&[directory.path(), &own, &others], NAME, Some(&whole_own));
        check(&[&others, &own], &whole, Some(&own));
        check(&[], &whole, Some(&own));
    }

    #[test]
    fn else_it_is_called_as_it_was() {
        let directory = tempfile::tempdir().expect("directory");
        let check = |name: &str, called: &str, word: &str, has_folder: bool| {
            let file = directory.path().join(name);
            std::fs::write(&file, "a program").expect("writes");
            let word = word.replace("DIRECTORY", &directory.path().to_string_lossy());
            let called = directory
                .path()
                .join("..")
                .join(directory.path().file_name().expect("a name"))
                .join(called);
            let called = if called.exists() {
                called
            } else {
                PathBuf::from("nowhere/emberway")
            };
            let found = Program::find(&file, Some(&called), None);
            let called_word = quoted(&called);
            assert_eq!(found.word, word.replace("CALLED", &called_word));
            assert_eq!(found.folder.is_some(), has_folder);
        };
        check(NAME, NAME, "CALLED", true);
        check(NAME, "gone", "DIRECTORY/emberway", true);
        check("another", "another", "CALLED", false);
        let alone = Program::find(&directory.path().join(NAME), Some(Path::new(NAME)), None);
        assert_eq!(
            alone.word,
            quoted(&directory.path().join(NAME)),
            "a shell would not find it"
        );
    }

    #[test]
    fn a_path_is_one_word() {
        let check = |path: &str, word: &str| assert_eq!(quoted(Path::new(path)), word);
        check("target/release/emberway", "target/release/emberway");
        check("/home/a b/emberway", "'/home/a b/emberway'");
        check("/it's/emberway", r"'/it'\''s/emberway'");
        check("/$HOME/x", "'/$HOME/x'");
    }
}
