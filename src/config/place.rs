//! The files that a configuration is in or names, as the system has them: whether they may be written, and how they are.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;

use rustix::fs::{Access, access};

use crate::config::checked::TraceSettings;
use crate::config::checked::admin::Configure;
use crate::config::errors::Problem;

/// What Kubernetes calls the folder that it swaps under mounted files.
const SWAPPED: &str = "..data";

/// Why a gateway does not write its configuration's file, and what to do instead; none where it may.
pub fn why_read_only(path: &Path, configure: Configure) -> Option<String> {
    if configure == Configure::Never {
        return Some("`admin.configure` is `never`; change the file where it comes from".to_owned());
    }
    let file = match path.canonicalize() {
        Ok(file) => file,
        Err(error) => return Some(format!("cannot find `{}`: {error}", path.display())),
    };
    let folder = file.parent().unwrap_or(Path::new("/"));
    if is_swapped(path) {
        return Some(format!(
            "`{}` is mounted from a ConfigMap or Secret, which would put its own text back; change that instead",
            path.display()
        ));
    }
    if configure == Configure::Auto
        && let Some(tree) = folder.ancestors().find(|folder| folder.join(".git").exists())
    {
        return Some(format!(
            "`{}` is in the Git work tree `{}`; change it there, or set `admin.configure: always`",
            path.display(),
            tree.display()
        ));
    }
    let is_writable = |path: &Path, more| access(path, Access::WRITE_OK | more).is_ok();
    if !is_writable(&file, Access::empty()) {
        return Some(format!("`{}` is read-only for this process", file.display()));
    }
    if !is_writable(folder, Access::READ_OK | Access::EXEC_OK) {
        return Some(format!(
            "the folder `{}` is read-only for this process, which writes a new file there and renames it",
            folder.display()
        ));
    }
    None
}

/// Whether the file lies in a folder that Kubernetes swaps as a whole.
fn is_swapped(path: &Path) -> bool {
    let is_there = |folder: Option<&Path>| folder.is_some_and(|folder| folder.join(SWAPPED).symlink_metadata().is_ok());
    let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let target = std::fs::read_link(path).unwrap_or_default();
    is_there(path.parent())
        || is_there(file.parent().and_then(Path::parent))
        || target.components().any(|part| part.as_os_str() == SWAPPED)
}

/// What became of replacing a text.
#[derive(Debug)]
pub enum Replaced {
    /// It is replaced.
    Done,
    /// It is replaced; that a power cut does not bring the old one back could not be made sure of.
    Unsynced(io::Error),
    /// The file is not any more what it was thought to be, and stays.
    Changed,
}

/// Puts a text in a file's place at once and for good: whoever reads it sees the old text or the new one, also after a power cut. The
/// file's mode stays; where it is a symbolic link, what it leads to is replaced. `is_still` is asked last, when all is ready.
///
/// # Errors
/// When the folder cannot be written, or the file is mounted alone. The old text stays then.
pub fn replace(path: &Path, text: &str, is_still: &dyn Fn() -> bool) -> io::Result<Replaced> {
    let file = path.canonicalize()?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.{:016x}.new", rand::random::<u64>()));
    // Opened before anything is changed, so that what can fail fails first.
    let opened = File::open(folder)?;
    let written = write_new(&new, &file, text).and_then(|()| {
        if !is_still() {
            return Ok(false);
        }
        std::fs::rename(&new, &file).map(|()| true)
    });
    if !matches!(written, Ok(true)) {
        // It may not even have been made; the first error is the one to tell.
        let _ = std::fs::remove_file(&new);
    }
    Ok(match (written?, opened.sync_all()) {
        (false, _) => Replaced::Changed,
        (true, Ok(())) => Replaced::Done,
        (true, Err(error)) => Replaced::Unsynced(error),
    })
}

fn write_new(new: &Path, old: &Path, text: &str) -> io::Result<()> {
    let kept = old.metadata()?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?;
    file.set_permissions(Permissions::from_mode(kept.mode() & 0o7777))?;
    let made = file.metadata()?;
    if (made.uid(), made.gid()) != (kept.uid(), kept.gid()) {
        // Only root may give files away; otherwise the file is this user's from here on, with the mode that it had.
        let _ = fchown(&file, Some(kept.uid()), Some(kept.gid()));
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// What would keep a gateway from writing its trace. Asks the system and writes nothing.
pub fn trace_folder(trace: Option<&TraceSettings>) -> Option<Problem> {
    let path = &trace?.path;
    let folder = path
        .parent()
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."));
    let (what, wrong) = if !folder.is_dir() {
        (folder, "is no folder here")
    } else if access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        (folder, "is a folder that this user may not write to")
    } else if path.is_dir() || path.exists() && access(path, Access::WRITE_OK).is_err() {
        (path.as_path(), "is no file that this user may write to")
    } else {
        return None;
    };
    Some(Problem {
        field: "trace.path".to_owned(),
        line: 0,
        column: 0,
        message: format!("`{}` {wrong}", what.display()),
        hint: Some("make the folder, and check as the user that runs the gateway".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("emberway.yaml");
        std::fs::write(&path, "old").expect("written");
        (directory, path)
    }

    fn why(path: &Path, configure: Configure) -> String {
        why_read_only(path, configure).unwrap_or_default()
    }

    #[test]
    fn a_text_is_replaced_with_its_mode_and_nothing_is_left_behind() {
        let (directory, path) = file();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("a mode");
        replace(&path, "new", &|| true).expect("replaced");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "new");
        assert_eq!(path.metadata().expect("there").mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(directory.path()).expect("read").count(), 1);
    }

    #[test]
    fn what_a_link_leads_to_is_replaced_and_the_link_stays() {
        let (directory, path) = file();
        let link = directory.path().join("link.yaml");
        symlink(&path, &link).expect("a link");
        replace(&link, "new", &|| true).expect("replaced");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "new");
        assert!(link.symlink_metadata().expect("there").is_symlink());
        assert_eq!(why(&link, Configure::Auto), "");
    }

    #[test]
    fn a_failed_write_leaves_the_old_text_and_no_other_file() {
        let (directory, path) = file();
        // A name that the new file cannot have, as it would be too long.
        let long = directory.path().join(format!("{}.yaml", "a".repeat(240)));
        std::fs::rename(&path, &long).expect("renamed");
        assert!(replace(&long, "new", &|| true).is_err());
        assert_eq!(std::fs::read_to_string(&long).expect("read"), "old");
        assert_eq!(std::fs::read_dir(directory.path()).expect("read").count(), 1);
        assert!(replace(&directory.path().join("none"), "new", &|| true).is_err());
    }

    #[test]
    fn a_file_that_changed_meanwhile_stays() {
        let (directory, path) = file();
        let replaced = replace(&path, "new", &|| false).expect("not tried");
        assert!(matches!(replaced, Replaced::Changed), "{replaced:?}");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "old");
        assert_eq!(std::fs::read_dir(directory.path()).expect("read").count(), 1);
    }

    #[test]
    fn files_that_come_from_elsewhere_are_not_written() {
        let (directory, path) = file();
        assert_eq!(why(&path, Configure::Auto), "");
        assert!(why(&path, Configure::Never).contains("`never`"));
        assert!(why(&directory.path().join("none"), Configure::Always).contains("cannot find"));
        std::fs::create_dir(directory.path().join(".git")).expect("made");
        assert!(why(&path, Configure::Auto).contains("Git work tree"));
        assert_eq!(why(&path, Configure::Always), "");
    }

    #[test]
    fn a_config_map_is_known_by_its_links() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("..2026")).expect("made");
        std::fs::write(at("..2026/emberway.yaml"), "old").expect("written");
        symlink("..2026", at("..data")).expect("a link");
        symlink("..data/emberway.yaml", at("emberway.yaml")).expect("a link");
        assert!(why(&at("emberway.yaml"), Configure::Always).contains("ConfigMap"));
        std::fs::create_dir(at("elsewhere")).expect("made");
        symlink("../emberway.yaml", at("elsewhere/linked.yaml")).expect("a link");
        assert!(why(&at("elsewhere/linked.yaml"), Configure::Always).contains("ConfigMap"));
    }
}
