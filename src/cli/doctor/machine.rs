//! Would a gateway find what it needs on this machine: a place for its records, descriptors, its ports?
//!
//! Nothing is written. Ports are bound for a moment, which nobody notices; one that a gateway holds is as it should be. Who holds one is
//! asked for something that no gateway serves.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use crate::cli::doctor::report::{Finding, Group};
use crate::cli::doctor::{Patient, gateway};

/// Free space below which the store will not last: its history takes 1.6 GB at most, and some ten million records a gigabyte.
const FREE_WARN_BYTES: u64 = 3 * 1024 * 1024 * 1024;
/// Free space below which it may fail at any moment.
const FREE_FAIL_BYTES: u64 = 64 * 1024 * 1024;

/// Looks at files, descriptors and ports.
pub(super) async fn check(patient: &Patient) -> Vec<Finding> {
    let install = &patient.checked.install;
    let known = |setting: &str, path: &Path| {
        let skipped = patient.unset.skipped(&[setting], Group::Machine, setting);
        skipped.map_or_else(|| file(setting, path), |skipped| vec![skipped])
    };
    let mut findings = known("usage.path", &install.usage.path);
    if let Some(trace) = &install.trace {
        findings.extend(known("trace.path", &trace.path));
    }
    findings.push(descriptors(patient));
    let is_running = gateway::is_running(patient).await;
    for listener in &install.listeners {
        let bound = TcpListener::bind(listener.address).map(drop);
        let held = bound
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
        let holder = if held && gateway::answers_at(listener, patient.timeout).await {
            Holder::Gateway
        } else if is_running {
            Holder::Unknown
        } else {
            Holder::Other
        };
        findings.push(port(listener.address, bound, holder));
    }
    let holder = if is_running { Holder::Gateway } else { Holder::Other };
    let address = install.admin.address;
    findings.push(port(address, TcpListener::bind(address).map(drop), holder));
    findings
}

/// Who holds a port that is not free.
#[derive(Debug, Clone, Copy)]
enum Holder {
    /// It answers as a gateway does.
    Gateway,
    /// It does not, and a gateway runs here: one with another file, or one that is too busy to answer.
    Unknown,
    /// It does not, and no gateway runs here.
    Other,
}

/// A file that will be written: its folder, itself, and the space around it.
fn file(setting: &str, path: &Path) -> Vec<Finding> {
    let folder = path
        .parent()
        .filter(|folder| *folder != Path::new(""))
        .unwrap_or(Path::new("."));
    let fail = |what: String, mend: &str| vec![Finding::fail(Group::Machine, setting, what, mend)];
    if !folder.is_dir() {
        return fail(
            format!("`{}` is no folder here", folder.display()),
            "make the folder, for the user that runs the gateway",
        );
    }
    let may = May {
        folder: access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok(),
        file: path.exists().then(|| access(path, Access::WRITE_OK).is_ok()),
    };
    if let Some(lacking) = may.lacking() {
        let lacking = match lacking {
            Lacking::Folder => folder,
            Lacking::File => path,
        };
        let what = format!("`{}` may not be written by this user", lacking.display());
        return fail(what, "give it to the user that runs the gateway, and ask as that user");
    }
    let written = Finding::ok(Group::Machine, setting, format!("`{}` can be written", path.display()));
    let free = statvfs(folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    match free {
        Ok(bytes) => vec![written, space(setting, bytes)],
        Err(error) => vec![
            written,
            Finding::skipped(Group::Machine, setting, format!("free space is not known: {error}")),
        ],
    }
}

/// What this user may write.
#[derive(Debug, Clone, Copy)]
struct May {
    folder: bool,
    /// None where the file is not there yet.
    file: Option<bool>,
}

/// What must be writable and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lacking {
    Folder,
    File,
}

impl May {
    /// The folder must be writable where the file is there too: SQLite's log and its index are made beside it, and a trace's older parts.
    fn lacking(self) -> Option<Lacking> {
        match self {
            Self { folder: false, .. } => Some(Lacking::Folder),
            Self { file: Some(false), .. } => Some(Lacking::File),
            Self { .. } => None,
        }
    }
}

fn space(setting: &str, free: u64) -> Finding {
    let shown = bytesize::ByteSize(free);
    let what = format!("{shown} are free on its disk");
    let mend = "make room, or lower `usage.keep_days`, `trace.keep` and `trace.share`";
    if free < FREE_FAIL_BYTES {
        Finding::fail(Group::Machine, setting, what, mend)
    } else if free < FREE_WARN_BYTES {
        Finding::warn(Group::Machine, setting, what, mend)
    } else {
        Finding::ok(Group::Machine, setting, what)
    }
}

fn descriptors(patient: &Patient) -> Finding {
    let limits = &patient.checked.runtime.limits;
    let wanted = limits.connections.saturating_add(limits.running_requests);
    match std::fs::read_to_string("/proc/self/limits") {
        Ok(text) => of_descriptors(open_files(&text), wanted),
        Err(_) => Finding::skipped(Group::Machine, "descriptors", "their limit is not known here"),
    }
}

/// The soft limit in Linux' table; none where it is unlimited or not there.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn of_descriptors(limit: Option<usize>, wanted: usize) -> Finding {
    match limit {
        Some(limit) if limit < wanted => Finding::warn(
            Group::Machine,
            "descriptors",
            format!("{limit} may be open as this user, but {wanted} connections and requests are allowed"),
            "raise `LimitNOFILE` of the service (here `ulimit -n`), or lower `limits.connections`",
        ),
        Some(limit) => Finding::ok(Group::Machine, "descriptors", format!("{limit} may be open")),
        None => Finding::ok(Group::Machine, "descriptors", "as many as wanted may be open"),
    }
}

fn port(address: SocketAddr, bound: io::Result<()>, holder: Holder) -> Finding {
    let place = address.to_string();
    let mend = "see who holds it (`ss -ltnp`), or write another `address`";
    match bound {
        Ok(()) => Finding::ok(Group::Machine, place, "is free"),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match holder {
            Holder::Gateway => Finding::ok(Group::Machine, place, "is held, and a gateway runs here"),
            Holder::Unknown => Finding::warn(
                Group::Machine,
                place,
                "is held, and who holds it does not answer as a gateway, though one runs here",
                mend,
            ),
            Holder::Other => Finding::fail(Group::Machine, place, "is held by another program", mend),
        },
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Finding::fail(
            Group::Machine,
            place,
            "may not be bound by this user",
            "use a port from 1024 on, or give the service CAP_NET_BIND_SERVICE",
        ),
        Err(error) => Finding::fail(
            Group::Machine,
            place,
            format!("cannot be bound: {error}"),
            "write an address of this machine",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::report::State;

    #[test]
    fn ports_are_free_or_held_by_a_gateway() {
        let check = |bound: io::Result<()>, holder: Holder, state: State| {
            let found = port("127.0.0.1:8080".parse().expect("an address"), bound, holder);
            assert_eq!(found.state, state, "{found:?}");
        };
        let held = || Err(io::ErrorKind::AddrInUse.into());
        check(Ok(()), Holder::Other, State::Ok);
        check(held(), Holder::Gateway, State::Ok);
        check(held(), Holder::Unknown, State::Warn);
        check(held(), Holder::Other, State::Fail);
        check(
            Err(io::ErrorKind::PermissionDenied.into()),
            Holder::Gateway,
            State::Fail,
        );
        check(
            Err(io::ErrorKind::AddrNotAvailable.into()),
            Holder::Gateway,
            State::Fail,
        );
    }

    #[test]
    fn descriptors_are_for_all_that_is_allowed() {
        let table = "Limit  Soft  Hard  Units\nMax open files            1024                 1048576              files     \n";
        assert_eq!(open_files(table), Some(1024));
        assert_eq!(open_files("Max open files  unlimited  unlimited  files"), None);
        assert_eq!(of_descriptors(Some(1024), 20_000).state, State::Warn);
        assert_eq!(of_descriptors(Some(20_000), 20_000).state, State::Ok);
        assert_eq!(of_descriptors(None, 20_000).state, State::Ok);
    }

    #[test]
    fn space_is_judged_by_how_long_it_lasts() {
        let check = |free, state| assert_eq!(space("usage.path", free).state, state, "{free}");
        check(FREE_FAIL_BYTES - 1, State::Fail);
        check(FREE_WARN_BYTES - 1, State::Warn);
        check(FREE_WARN_BYTES, State::Ok);
    }

    #[test]
    fn a_file_needs_a_folder_that_can_be_written_whether_it_is_there_or_not() {
        let check = |folder: bool, file: Option<bool>, expected: Option<Lacking>| {
            assert_eq!(May { folder, file }.lacking(), expected, "{folder} {file:?}");
        };
        check(true, None, None);
        check(true, Some(true), None);
        check(true, Some(false), Some(Lacking::File));
        check(false, None, Some(Lacking::Folder));
        check(false, Some(true), Some(Lacking::Folder));
    }

    #[test]
    fn a_file_needs_its_folder() {
        let found = file("usage.path", Path::new("/no/such/folder/usage.db"));
        assert_eq!((found.len(), found[0].state), (1, State::Fail));
        let folder = tempfile::tempdir().expect("a folder");
        let found = file("usage.path", &folder.path().join("usage.db"));
        assert_eq!((found.len(), found[0].state), (2, State::Ok));
    }
}
