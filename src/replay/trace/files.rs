//! Files to traces: one file, or several that were written side by side or one after the other.
//!
//! A gateway that is killed leaves a line that ends too early; it is left out and told, not a reason to refuse the rest. What would make
//! figures wrong in silence is refused: several routes that nobody asked for, since their deployments may not be one pool, lines of
//! different shares, and hashes under different keys.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::lines::{Reading, Refused};
use super::{Raw, Trace, of};

/// Which requests of a trace are taken.
#[derive(Debug, Clone, Copy, Default)]
pub enum Pick<'a> {
    /// All, which must be of one route.
    #[default]
    OneRoute,
    /// All, of whatever routes: the caller looks whether they go together.
    All,
    /// Those of these routes.
    Routes(&'a [&'a str]),
}

impl Pick<'_> {
    /// Whether it takes a request of this route, or one that tells none.
    pub(super) fn takes(self, route: Option<&str>) -> bool {
        match self {
            Self::OneRoute | Self::All => true,
            Self::Routes(wanted) => route.is_some_and(|route| wanted.contains(&route)),
        }
    }
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file is not there or not readable.
    #[error("cannot read the trace `{path}`")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is of another kind.
    #[error(
        "`{path}` is not a trace: {what}; the formats are JSON lines with `timestamp`, `input_length`, `output_length` and `hash_ids`, which a \
         gateway writes where it has a `trace`, JSON lines of conversations, and CSV of `TIMESTAMP,ContextTokens,GeneratedTokens`; \
         docs/placement.md tells them"
    )]
    NotATrace {
        /// Which file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// A line is not of a known format.
    #[error("`{path}`, line {line}: not a request of a known format: {what}; docs/placement.md tells the formats")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The file holds no request.
    #[error("`{path}` holds no request")]
    Empty {
        /// Which.
        path: PathBuf,
    },
    /// The file holds no request of the routes that were asked for.
    #[error("`{path}` holds no request of the route {routes}; {known}")]
    Route {
        /// Which file.
        path: PathBuf,
        /// The routes.
        routes: String,
        /// Which routes it has.
        known: String,
    },
    /// The requests are of several routes, and none was asked for.
    #[error(
        "`{path}` holds requests of several routes, {routes}, which may not be of one pool; choose one with `--route`, or several that share \
         their deployments (`--route a,b`), or name the gateway's configuration with `--config`"
    )]
    Routes {
        /// Which file.
        path: PathBuf,
        /// The routes.
        routes: String,
    },
    /// The lines tell different shares.
    #[error(
        "`{path}` holds requests of different shares, {one} and {other}, so that nobody can say what they stand for; play them apart, for example \
         only the lines that `grep '\"share\":{other:?}}}'` finds"
    )]
    Shares {
        /// Which file.
        path: PathBuf,
        /// The first share.
        one: f64,
        /// Another.
        other: f64,
    },
    /// The lines were hashed with different keys.
    #[error(
        "`{path}` holds requests hashed with different keys, {one} and {other}, so that nobody can see what a prompt of one has in common with one \
         of the other: the gateway began anew without a `trace.key`, or with another; play them apart, for example only the lines that \
         `grep '\"key_id\":\"{other}\"'` finds"
    )]
    Keys {
        /// Which file.
        path: PathBuf,
        /// The first key's id.
        one: String,
        /// Another's.
        other: String,
    },
    /// Files that are joined have blocks of different sizes.
    #[error(
        "`{path}` has blocks of {other} tokens, those before it of {one}; traces can only be joined where they are alike"
    )]
    Blocks {
        /// Which file.
        path: PathBuf,
        /// Tokens of a block in the files before it.
        one: u32,
        /// In this one.
        other: u32,
    },
}

/// Reads a trace, or what is picked of it. `block_tokens` where the file does not say it and
/// it should not be guessed.
///
/// # Errors
/// When the file cannot be read, holds no request (of the routes) or more routes than are picked, its lines are of different shares
/// or keys, or a line is of no known format.
pub fn read(path: &Path, block_tokens: Option<u32>, pick: Pick<'_>) -> Result<Trace, TraceError> {
    join(&[path], block_tokens, pick)
}

/// Reads several files as one trace, by time: what gateways wrote side by side under one key, and files that were put aside.
///
/// # Errors
/// As [`read`]; also when files have blocks of different sizes.
pub fn join(paths: &[impl AsRef<Path>], block_tokens: Option<u32>, pick: Pick<'_>) -> Result<Trace, TraceError> {
    let mut all = Joined::default();
    for path in paths {
        all.take(path.as_ref(), pick)?;
    }
    let Joined {
        name,
        mut warnings,
        block_tokens: told,
        routes,
        requests,
        ..
    } = all;
    if requests.is_empty() {
        return Err(nothing(first_of(paths), pick, &routes));
    }
    let share = share(paths, &requests, &mut warnings)?;
    check_keys(paths, &requests, &mut warnings)?;
    warnings.extend(missing(pick, &routes));
    let (routes, left_out) = routes.into_iter().partition(|route| pick.takes(Some(route)));
    let block_tokens = block_tokens.or(told).unwrap_or_else(|| guessed(&requests));
    Ok(Trace {
        share,
        routes,
        left_out,
        warnings,
        ..of(name, block_tokens, requests)
    })
}

/// What was read of several files.
#[derive(Default)]
struct Joined {
    name: String,
    warnings: Vec<String>,
    block_tokens: Option<u32>,
    routes: BTreeSet<String>,
    requests: Vec<Raw>,
    ids: HashSet<u64>,
}

impl Joined {
    /// Reads one more.
    fn take(&mut self, path: &Path, pick: Pick<'_>) -> Result<(), TraceError> {
        let mut reading = Reading {
            pick,
            ..Reading::default()
        };
        read_lines(path, &mut reading, &mut self.warnings)?;
        let Reading {
            requests,
            routes,
            block_tokens,
            ..
        } = reading;
        self.routes.extend(routes);
        if matches!(pick, Pick::OneRoute) && self.routes.len() > 1 {
            return Err(TraceError::Routes {
                path: path.to_owned(),
                routes: quoted(self.routes.iter()),
            });
        }
        match (self.block_tokens, block_tokens) {
            (Some(one), Some(other)) if one != other => {
                let path = path.to_owned();
                return Err(TraceError::Blocks { path, one, other });
            }
            (one, other) => self.block_tokens = one.or(other),
        }
        self.take_ids(path, &requests);
        let name = name_of(path);
        if requests.is_empty() {
            return Ok(());
        } else if self.name.is_empty() {
            self.name = name;
        } else if !self.name.split('+').any(|known| known == name) {
            self.name = format!("{}+{name}", self.name);
        }
        self.requests.extend(requests);
        Ok(())
    }

    /// Files of one key have blocks in common; where they have none and do not tell their keys, the joined trace may be no better than each
    /// alone.
    fn take_ids(&mut self, path: &Path, requests: &[Raw]) {
        let ids = || requests.iter().flat_map(|request| &request.ids);
        let tells_key = requests.iter().any(|request| request.key_id.is_some());
        if !tells_key && !self.ids.is_empty() && !requests.is_empty() && !ids().any(|id| self.ids.contains(id)) {
            self.warnings.push(format!(
                "`{}` has no block in common with the traces before it; were they written with the same `key`?",
                path.display()
            ));
        }
        self.ids.extend(ids());
    }
}

/// The file's name without its endings.
fn name_of(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// Reads a file's lines. What ends too early is left out with a warning, unless nothing else is there.
fn read_lines(path: &Path, reading: &mut Reading<'_>, warnings: &mut Vec<String>) -> Result<(), TraceError> {
    let failed = |source| TraceError::Read {
        path: path.to_owned(),
        source,
    };
    let mut text = opened(path).map_err(failed)?;
    let (mut number, mut torn, mut first_torn) = (0, 0_usize, 0);
    let mut bytes = Vec::new();
    while text.read_until(b'\n', &mut bytes).map_err(failed)? > 0 {
        number += 1;
        if !line(path, number, &bytes, reading)? {
            torn += 1;
            first_torn = if torn == 1 { number } else { first_torn };
        }
        bytes.clear();
    }
    if torn > 0 && reading.understood == 0 {
        return Err(wrong_line(path, first_torn, Refused::Torn));
    }
    if torn > 0 {
        let lines = if torn == 1 {
            "a line that ends"
        } else {
            "lines that end"
        };
        warnings.push(format!(
            "`{}`: left out {torn} of {number}, {lines} too early (the first is line {first_torn})",
            path.display()
        ));
    }
    Ok(())
}

/// Reads a line. False where it ends too early: its JSON has no end, or it is the file's last one, has no end and cannot be read.
fn line(path: &Path, number: usize, bytes: &[u8], reading: &mut Reading<'_>) -> Result<bool, TraceError> {
    let is_cut = !bytes.ends_with(b"\n") && reading.understood > 0;
    let taken = match std::str::from_utf8(bytes) {
        Ok(line) => reading.line(line, number == 1),
        Err(_) if is_cut => Err(Refused::Torn),
        Err(_) => return Err(not_a_trace(path, binary(bytes))),
    };
    match taken {
        Ok(()) => Ok(true),
        Err(Refused::Torn) => Ok(false),
        Err(_) if is_cut => Ok(false),
        Err(Refused::Foreign) if reading.understood == 0 => {
            let what = format!("line {number} is neither a JSON object nor a time and two numbers");
            Err(not_a_trace(path, what))
        }
        Err(refused) => Err(wrong_line(path, number, refused)),
    }
}

fn opened(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = File::open(path)?;
    let is_packed = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    Ok(if is_packed {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(BufReader::new(file))
    })
}

fn not_a_trace(path: &Path, what: String) -> TraceError {
    TraceError::NotATrace {
        path: path.to_owned(),
        what,
    }
}

fn binary(bytes: &[u8]) -> String {
    let what = if bytes.starts_with(b"SQLite format 3") {
        "it is an SQLite database"
    } else {
        "it holds bytes that are no text"
    };
    what.to_owned()
}

fn wrong_line(path: &Path, line: usize, refused: Refused) -> TraceError {
    TraceError::Line {
        path: path.to_owned(),
        line,
        what: match refused {
            Refused::Wrong(what) => what,
            Refused::Torn => "it ends too early".to_owned(),
            Refused::Foreign => "neither a JSON object nor a time and two numbers".to_owned(),
        },
    }
}

/// Most names listed in a message.
const NAMES_LISTED_MAX: usize = 8;

fn quoted<T: AsRef<str>>(names: impl ExactSizeIterator<Item = T>) -> String {
    let more = if names.len() > NAMES_LISTED_MAX { ", …" } else { "" };
    let names: Vec<_> = names
        .take(NAMES_LISTED_MAX)
        .map(|name| format!("`{}`", name.as_ref()))
        .collect();
    names.join(", ") + more
}

fn first_of(paths: &[impl AsRef<Path>]) -> PathBuf {
    paths.first().map_or_else(PathBuf::new, |path| path.as_ref().to_owned())
}

fn nothing(path: PathBuf, pick: Pick<'_>, routes: &BTreeSet<String>) -> TraceError {
    let Pick::Routes(wanted) = pick else {
        return TraceError::Empty { path };
    };
    TraceError::Route {
        path,
        routes: quoted(wanted.iter()),
        known: known(routes),
    }
}

/// Those of the routes that were asked for of which there is nothing, while there is of others.
fn missing(pick: Pick<'_>, routes: &BTreeSet<String>) -> Option<String> {
    let Pick::Routes(wanted) = pick else { return None };
    let missing: Vec<_> = wanted.iter().filter(|wanted| !routes.contains(**wanted)).collect();
    (!missing.is_empty()).then(|| {
        let missing = quoted(missing.iter());
        format!("there is no request of the route {missing}; {}", known(routes))
    })
}

fn known(routes: &BTreeSet<String>) -> String {
    if routes.is_empty() {
        return "its requests tell no route".to_owned();
    }
    format!("it has {}", quoted(routes.iter()))
}

/// The share that the lines tell. Where older lines tell none, that of the others is taken, and said.
fn share(paths: &[impl AsRef<Path>], requests: &[Raw], warnings: &mut Vec<String>) -> Result<Option<f64>, TraceError> {
    let mut told = requests.iter().filter_map(|request| request.share);
    let Some(one) = told.next() else { return Ok(None) };
    if let Some(other) = told.find(|other| other.to_bits() != one.to_bits()) {
        return Err(TraceError::Shares {
            path: first_of(paths),
            one,
            other,
        });
    }
    let without = requests.iter().filter(|request| request.share.is_none()).count();
    if without > 0 {
        warnings.push(format!(
            "{without} of {} requests do not tell which share of all conversations is in the trace; {one} is taken, as for the others",
            requests.len()
        ));
    }
    Ok(Some(one))
}

/// Ids under different keys cannot be compared. Where older lines tell no key, that of the others is taken, and said.
fn check_keys(paths: &[impl AsRef<Path>], requests: &[Raw], warnings: &mut Vec<String>) -> Result<(), TraceError> {
    let mut told = requests.iter().filter_map(|request| request.key_id.as_deref());
    let Some(one) = told.next() else { return Ok(()) };
    if let Some(other) = told.find(|other| *other != one) {
        return Err(TraceError::Keys {
            path: first_of(paths),
            one: one.to_owned(),
            other: other.to_owned(),
        });
    }
    let without = requests.iter().filter(|request| request.key_id.is_none()).count();
    if without > 0 {
        warnings.push(format!(
            "{without} of {} requests do not tell with which key they were hashed; {one} is taken, as for the others",
            requests.len()
        ));
    }
    Ok(())
}

/// The smallest power of two that holds a block's share of the prompts, since all blocks but a prompt's last are full.
fn guessed(raw: &[Raw]) -> u32 {
    let (tokens, blocks) = raw.iter().fold((0_u64, 0_u64), |(tokens, blocks), request| {
        (tokens + u64::from(request.prompt), blocks + request.ids.len() as u64)
    });
    (tokens.div_ceil(blocks.max(1)).max(1) as u32).next_power_of_two()
}
