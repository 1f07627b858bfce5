//! What the audience takes home: addresses and a key to try things with, on screen and as a file for scripts.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::core::topology::Price;
use crate::demo::acts::CACHE_PART;
use crate::demo::program::{self, Program};
use crate::demo::traffic::{self, MAIN_ROUTE, Part};
use crate::demo::world::Places;
use crate::demo::{DemoError, Options};
use crate::load::plan::DEFAULT_API_VERSION;

/// The variables of the environment file with their values.
fn variables(places: &Places) -> Vec<(&str, &str)> {
    let own = [
        ("GATEWAY_URL", places.gateway.as_str()),
        ("GATEWAY_KEY", &places.key),
        ("GATEWAY_MODEL", MAIN_ROUTE),
        ("ADMIN_URL", &places.admin),
        ("EMBERWAY_ADMIN_URL", &places.admin),
        ("SIMULATOR_URL", &places.control),
    ];
    let control_plane = places.control_plane.iter().map(|(name, value)| (*name, value.as_str()));
    let secrets = places
        .secrets
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    own.into_iter().chain(control_plane).chain(secrets).collect()
}

/// The environment file of a running demo.
#[derive(Debug)]
pub struct EnvFile<'a> {
    path: &'a Path,
    text: String,
}

impl<'a> EnvFile<'a> {
    /// Writes it: one `export NAME=value` a line, which every POSIX shell can source and hands on to the programs it starts; `PATH`
    /// leads to this program then. Its directory must exist.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(path: &'a Path, places: &Places, program: &Program) -> Result<Self, DemoError> {
        let lines = variables(places).into_iter();
        let mut lines: Vec<_> = lines.map(|(name, value)| format!("export {name}={value}\n")).collect();
        // These values may need quotes.
        let config = std::path::absolute(&places.config).unwrap_or_else(|_| places.config.clone());
        lines.push(format!("export EMBERWAY_CONFIG={}\n", program::quoted(&config)));
        let certificate = places.certificate.as_deref().map(program::quoted);
        lines.extend(certificate.map(|path| format!("export SIM_CA={path}\n")));
        let folder = program.folder.as_deref().map(program::quoted);
        let path_line = folder.map(|folder| format!("export PATH={folder}:\"$PATH\"\n"));
        let text = lines.concat() + &path_line.unwrap_or_default();
        match std::fs::write(path, &text) {
            Ok(()) => Ok(Self { path, text }),
            Err(source) => Err(DemoError::File {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Removes it when the demo ends, unless it holds something else by now: another demo's.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn remove(self) -> Result<(), DemoError> {
        if std::fs::read_to_string(self.path).is_ok_and(|text| text == self.text) {
            std::fs::remove_file(self.path).map_err(|source| DemoError::File {
                path: self.path.to_owned(),
                source,
            })?;
        }
        Ok(())
    }
}

/// The admin listener that an environment file names.
pub fn admin_url(env: &str) -> Option<&str> {
    env.lines().find_map(|line| line.strip_prefix("export ADMIN_URL="))
}

/// A name beside `path` for this process's environment file, where another running demo has taken `path`.
pub fn beside(path: &Path, process: u32) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let name = format!("{stem}-{process}.{extension}");
    path.with_file_name(name.trim_end_matches('.'))
}

/// The route whose requests are replayed: its deployments are all alike, as those of a replay are.
pub const REPLAYED_ROUTE: &str = "summary";
/// What one of its deployments costs in `config/demo.yaml`.
pub const PRICE: Price = Price {
    input: Some(0.4),
    cached_input: Some(0.1),
    output: Some(1.6),
    hour: Some(1.7),
};

/// What can be asked of the files that a demo leaves, also when it has ended.
pub fn afterwards(places: &Places, program: &Program) -> String {
    let program = &program.word;
    let (usage, trace) = (places.usage.display(), places.trace.display());
    let price = |price: Option<f64>| price.unwrap_or(0.0);
    let [input, cached, output, hour] = [PRICE.input, PRICE.cached_input, PRICE.output, PRICE.hour].map(price);
    format!(
        "
What of the prompts was found cached, and why was the rest not?

{program} usage --store {usage} --misses

What would another policy, or two more deployments, have cost? The trace is {trace}.

{program} replay {trace} --route {REPLAYED_ROUTE} \\
  --policy nested,least_busy --deployments actual,actual+2 \\
  --price-input {input} --price-cached {cached} --price-output {output} --price-hour {hour}
"
    )
}

/// Writes a body such as the load of act 2 sent, to ask about: a prompt that is long enough to be cached.
///
/// # Errors
/// When it cannot be written.
pub fn write_prompt(places: &Places, stamp_after: Option<u32>) -> Result<(), DemoError> {
    let part = Part {
        number: CACHE_PART,
        stream_share: 0.0,
        stamp_after,
    };
    let body = traffic::example(places, REPLAYED_ROUTE, part)?;
    std::fs::write(&places.prompt, body).map_err(|source| DemoError::File {
        path: places.prompt.clone(),
        source,
    })
}

/// Tells how to use what stays up.
///
/// # Errors
/// When `out` cannot be written.
pub fn tell(out: &mut dyn Write, places: &Places, options: &Options) -> io::Result<()> {
    let Places {
        gateway,
        admin,
        control,
        key,
        ..
    } = places;
    let Options { program, env_file, .. } = options;
    let afterwards = afterwards(places, program);
    let on_path = if program.folder.is_some() {
        ", with `emberway` on the PATH"
    } else {
        ""
    };
    let goes_on = if options.goes_on {
        ", with some four requests a second that go on (`--still`: none)"
    } else {
        ""
    };
    let (env_file, prompt, program) = (env_file.display(), places.prompt.display(), &program.word);
    write!(
        out,
        "
It stays up until Ctrl-C{goes_on}. The same as variables{on_path}, until then: `. {env_file}`

   gateway   {gateway}
   key       {key}
   model     {MAIN_ROUTE}
   page      {admin}/
   status    {admin}/status
   metrics   {admin}/metrics

The page opens with the errors of act 4 (streams that were cut) and the failovers and breakers of act 3 (the region that went down).
They were staged, on purpose; nothing is broken, and nothing is to be done about them.

A region of your own to lose: `stop` takes the simulated account down, `start` brings it back.

curl -X POST {control}/control/accounts/sim-swedencentral/stop

With curl:

curl -sS {gateway}/openai/v1/chat/completions -H 'api-key: {key}' -H 'content-type: application/json' \\
  -d '{{\"model\": \"{MAIN_ROUTE}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Where is my order?\"}}]}}'

Where would a prompt go, and why? In the file is one such as act 2 sent.

{program} explain --url {admin} {prompt}
{afterwards}
With the official Python package (pip install openai):

python3 - <<'END'
from openai import AzureOpenAI

client = AzureOpenAI(azure_endpoint=\"{gateway}\", api_key=\"{key}\", api_version=\"{DEFAULT_API_VERSION}\")
question = [{{\"role\": \"user\", \"content\": \"Where is my order?\"}}]
for chunk in client.chat.completions.create(model=\"{MAIN_ROUTE}\", messages=question, stream=True):
    if chunk.choices:
        print(chunk.choices[0].delta.content or \"\", end=\"\", flush=True)
print()
END
"
    )?;
    out.flush()
}

#[cfg(test)]
pub(super) mod testing {
    use std::path::PathBuf;

    use super::*;

    /// Made-up places.
    pub(in crate::demo) fn places() -> Places {
        Places {
            gateway: "http://127.0.0.1:8080".to_owned(),
            admin: "http://127.0.0.1:9090".to_owned(),
            control: "http://127.0.0.1:9100".to_owned(),
            key: "demo-00ff".to_owned(),
            config: PathBuf::from("/home/a b/config.yaml"),
            secrets: vec![("SIM_KEY_EASTUS2".to_owned(), "sim-01".to_owned())],
            usage: PathBuf::from("usage.db"),
            trace: PathBuf::from("trace.jsonl"),
            prompt: PathBuf::from("prompt.json"),
            moved: Vec::new(),
            accounts: Vec::new(),
            routes: Vec::new(),
            control_plane: vec![("SIM_ARM_URL", "http://127.0.0.1:9106".to_owned())],
            certificate: Some(PathBuf::from("/home/a b/arm.pem")),
        }
    }

    /// A program that no `PATH` leads to.
    pub(in crate::demo) fn program() -> Program {
        Program {
            word: "target/release/emberway".to_owned(),
            folder: Some(PathBuf::from("/home/a b/release")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_file() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("demo.env");
        EnvFile::write(&path, &testing::places(), &testing::program()).expect("writes");
        let text = std::fs::read_to_string(path).expect("reads");
        insta::assert_snapshot!(text, @r#"
        export GATEWAY_URL=http://127.0.0.1:8080
        export GATEWAY_KEY=demo-00ff
        export GATEWAY_MODEL=support-bot
        export ADMIN_URL=http://127.0.0.1:9090
        export EMBERWAY_ADMIN_URL=http://127.0.0.1:9090
        export SIMULATOR_URL=http://127.0.0.1:9100
        export SIM_ARM_URL=http://127.0.0.1:9106
        export SIM_KEY_EASTUS2=sim-01
        export EMBERWAY_CONFIG='/home/a b/config.yaml'
        export SIM_CA='/home/a b/arm.pem'
        export PATH='/home/a b/release':"$PATH"
        "#);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_=:/.- \n".contains(c);
        let quoted = ["export PATH=", "export SIM_CA=", "export EMBERWAY_CONFIG="];
        let values = text
            .lines()
            .filter(|line| !quoted.iter().any(|begin| line.starts_with(begin)));
        assert!(
            values.flat_map(str::chars).all(is_plain),
            "no other value needs quotes in a shell"
        );
        assert_eq!(admin_url(&text), Some("http://127.0.0.1:9090"));
        assert_eq!(admin_url("ADMIN=1\n"), None);
    }

    #[tokio::test]
    async fn what_a_shell_sources_reaches_the_programs_it_starts() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("demo.env");
        EnvFile::write(&path, &testing::places(), &testing::program()).expect("writes");
        let mut shell = tokio::process::Command::new("sh");
        let script = ". \"$0\" && env";
        let said = shell
            .args(["-euc", script])
            .arg(&path)
            .env_clear()
            .env("PATH", "/bin:/usr/bin")
            .output()
            .await;
        let said = String::from_utf8(said.expect("runs").stdout).expect("text");
        for (name, value) in variables(&testing::places()) {
            assert!(said.contains(&format!("{name}={value}\n")), "{said}");
        }
        assert!(said.contains("PATH=/home/a b/release:/bin:/usr/bin\n"), "{said}");
        assert!(said.contains("SIM_CA=/home/a b/arm.pem\n"), "{said}");
    }

    #[test]
    fn a_demo_removes_its_own_file_and_no_other() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("demo.env");
        EnvFile::write(&path, &testing::places(), &testing::program())
            .and_then(EnvFile::remove)
            .expect("removes");
        assert!(!path.exists());

        let own = EnvFile::write(&path, &testing::places(), &testing::program()).expect("writes");
        let other = Places {
            key: "demo-11ff".to_owned(),
            ..testing::places()
        };
        EnvFile::write(&path, &other, &testing::program()).expect("writes");
        own.remove().expect("leaves it");
        assert!(path.exists(), "another demo's");
        std::fs::remove_file(&path).expect("removes");
        let gone = EnvFile {
            path: &path,
            text: String::new(),
        };
        gone.remove().expect("nothing to remove");
    }

    #[test]
    fn a_name_beside_one_that_is_taken() {
        let check = |path: &str| beside(Path::new(path), 7).display().to_string();
        assert_eq!(check("target/demo.env"), "target/demo-7.env");
        assert_eq!(check("env"), "env-7");
        assert_eq!(check(".env"), ".env-7");
    }

    #[test]
    fn what_is_to_be_pasted_is_whole() {
        let mut out = Vec::new();
        let mut options = Options {
            once: false,
            env_file: PathBuf::from("target/demo.env"),
            env_file_taken: None,
            report: None,
            goes_on: true,
            load: std::time::Duration::from_secs(4),
            stamp_after: None,
            free_ports: false,
            program: testing::program(),
        };
        tell(&mut out, &testing::places(), &options).expect("writes");
        let text = String::from_utf8(out).expect("text");
        assert!(
            text.contains(r#"-d '{"model": "support-bot", "messages": [{"role": "user", "#),
            "{text}"
        );
        assert!(
            text.contains("errors of act 4 (streams that were cut)") && text.contains("on purpose"),
            "{text}"
        );
        assert_eq!(text.matches("demo-00ff").count(), 3, "shown, in curl, in Python");
        assert!(
            text.contains(&afterwards(&testing::places(), &options.program)),
            "{text}"
        );
        let explain = "\ntarget/release/emberway explain --url http://127.0.0.1:9090 prompt.json\n";
        assert!(text.contains(explain), "{text}");
        assert!(
            text.contains("with `emberway` on the PATH, until then: `. target/demo.env`"),
            "{text}"
        );
        assert!(!text.contains("\nemberway "), "a shell would not find it: {text}");

        options.program = Program {
            word: "emberway".to_owned(),
            folder: None,
        };
        let mut out = Vec::new();
        tell(&mut out, &testing::places(), &options).expect("writes");
        let text = String::from_utf8(out).expect("text");
        assert!(
            text.contains("\nemberway explain ") && text.contains("\nemberway usage "),
            "{text}"
        );
        assert!(text.contains("as variables, until then"), "{text}");
    }

    #[test]
    fn the_prompt_to_ask_about_is_one_that_the_load_sends() {
        let directory = tempfile::tempdir().expect("directory");
        let mut places = testing::places();
        places.prompt = directory.path().join("prompt.json");
        write_prompt(&places, Some(400)).expect("writes");
        let body = std::fs::read(&places.prompt).expect("reads");
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(body["model"], REPLAYED_ROUTE);
        let head = body["messages"][0]["content"].as_str().expect("a text");
        assert!(head.len() > 4 * 1_024, "long enough to be cached");
        assert!(head.contains("[it is 00:00:00.000000]"), "stamped as the load's are");
        // Of part 1 it is the fifth prompt: four go to the other route.
        let question = body["messages"][1]["content"].as_str().expect("a text");
        assert!(question.starts_with("Case 1004-"), "{question}");
    }
}
