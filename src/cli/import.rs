//! `emberway import`: writes a configuration from another gateway's, and says what became of each line.
//!
//! Files are read and written here; the conversion itself is `config::import`. An existing file is left alone unless told otherwise, and
//! theirs always.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::config;
use crate::config::errors::Problem;
use crate::config::import::report::Report;
use crate::config::import::{self, ImportError, Options};

/// Exit code where a person has something left to do.
const EXIT_INCOMPLETE: u8 = 2;

/// Flags of `emberway import`.
#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// The gateway that the file is for.
    #[arg(long)]
    from: From,
    /// Its configuration file. Files that it includes are read too.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write the configuration [default: stdout].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long, requires = "output")]
    force: bool,
    /// Form of the report, which goes to stderr.
    #[arg(long, default_value = "text")]
    report: ReportForm,
    /// Deployment type that all deployments get as their `sku`, since the other gateway's file does not say it: it decides limits,
    /// prices and where prompts are processed. One of `Standard`, `GlobalStandard`, `DataZoneStandard`, `DeveloperTier`,
    /// `ProvisionedManaged`, `GlobalProvisionedManaged`, `DataZoneProvisionedManaged`. Without it each deployment has a line to fill in,
    /// and the report says so.
    #[arg(long, value_name = "SKU", value_parser = options)]
    sku: Option<Options>,
}

/// Gateways whose configuration is understood.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum From {
    /// LiteLLM's proxy.
    Litellm,
}

/// How the report is printed.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ReportForm {
    /// Lines as compilers print them.
    Text,
    /// One JSON object.
    Json,
}

fn options(sku: &str) -> Result<Options, String> {
    let none =
        || "no deployment type; docs/config.md lists them at `sku`, such as `Standard` and `GlobalStandard`".to_owned();
    Options::default().with_sku(sku).ok_or_else(none)
}

/// Converts the file: the configuration goes to stdout or a file, the report to stderr.
///
/// # Errors
/// When a file cannot be read, written or understood, and when there is nothing to write.
pub fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let From::Litellm = args.from;
    let written = args.output.clone().unwrap_or_else(|| config::DEFAULT_FILE.into());
    let read = |path: &Path| {
        // Its advice is about another flag.
        config::load::read(path).map_err(|problem| Problem { hint: None, ..problem })
    };
    let imported = import::litellm(&args.file, &written, args.sku.unwrap_or_default(), &read);
    let import = match imported {
        Ok(import) => import,
        Err(ImportError::Source(errors)) => return Err(errors.into()),
        Err(ImportError::Nothing(report)) => {
            print(&report, &written, args.report)?;
            let file = args.file.display();
            bail!("`{file}` has no model of Azure OpenAI that can be carried over, so there is nothing to write");
        }
        Err(error) => return Err(error.into()),
    };
    match &args.output {
        Some(path) => write(path, &import.text, args)?,
        None => io::stdout()
            .write_all(import.text.as_bytes())
            .context("cannot write to stdout")?,
    }
    print(&import.report, &written, args.report)?;
    Ok(if import.report.is_complete() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(EXIT_INCOMPLETE)
    })
}

fn write(path: &Path, text: &str, args: &ImportArgs) -> anyhow::Result<()> {
    let same = |one: &Path, other: &Path| {
        let real = |path: &Path| path.canonicalize().ok();
        real(one).is_some() && real(one) == real(other)
    };
    let shown = path.display();
    if same(path, &args.file) {
        bail!("`{shown}` is the file that is read; name another by `--output`");
    }
    let mut open = OpenOptions::new();
    open.write(true);
    if args.force {
        open.create(true).truncate(true);
    } else {
        open.create_new(true);
    }
    let mut file = match open.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("`{shown}` is there already; name another file, or write over it by `--force`")
        }
        opened => opened.with_context(|| format!("cannot write `{shown}`"))?,
    };
    file.write_all(text.as_bytes())
        .with_context(|| format!("cannot write `{shown}`"))
}

fn print(report: &Report, written: &Path, form: ReportForm) -> anyhow::Result<()> {
    let text = match form {
        ReportForm::Text => report.text(written)?,
        ReportForm::Json => {
            let text = serde_json::to_string_pretty(report).context("cannot write the report as JSON")?;
            text + "\n"
        }
    };
    io::stderr()
        .write_all(text.as_bytes())
        .context("cannot write to stderr")
}
