//! What the audience takes home: addresses and a key to try things with, on screen and as a file for scripts.

use std::io::{self, Write};
use std::path::Path;

use crate::demo::DemoError;
use crate::demo::traffic::MAIN_ROUTE;
use crate::demo::world::Places;
use crate::load::plan::DEFAULT_API_VERSION;

/// The variables of the environment file with their values.
fn variables(places: &Places) -> [(&'static str, &str); 5] {
    [
        ("GATEWAY_URL", &places.gateway),
        ("GATEWAY_KEY", &places.key),
        ("GATEWAY_MODEL", MAIN_ROUTE),
        ("ADMIN_URL", &places.admin),
        ("SIMULATOR_URL", &places.control),
    ]
}

/// Writes the environment file: `NAME=value` lines that a shell can source and `docker --env-file` can read, since no value needs
/// quotes. Its directory must exist.
///
/// # Errors
/// When it cannot be written.
pub fn write_env(path: &Path, places: &Places) -> Result<(), DemoError> {
    let lines = variables(places).map(|(name, value)| format!("{name}={value}\n"));
    std::fs::write(path, lines.concat()).map_err(|source| DemoError::File {
        path: path.to_owned(),
        source,
    })
}

/// Tells how to use what stays up.
///
/// # Errors
/// When `out` cannot be written.
pub fn tell(out: &mut dyn Write, places: &Places, env_file: &Path) -> io::Result<()> {
    let Places {
        gateway, admin, key, ..
    } = places;
    let env_file = env_file.display();
    write!(
        out,
        "
It stays up until Ctrl-C. The same as variables: {env_file}

   gateway   {gateway}
   key       {key}
   model     {MAIN_ROUTE}
   status    {admin}/status
   metrics   {admin}/metrics

With curl:

curl -s {gateway}/openai/v1/chat/completions -H 'api-key: {key}' -H 'content-type: application/json' \\
  -d '{{\"model\": \"{MAIN_ROUTE}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Where is my order?\"}}]}}'

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
            usage: PathBuf::from("usage.db"),
            moved: Vec::new(),
            accounts: Vec::new(),
            routes: Vec::new(),
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
        write_env(&path, &testing::places()).expect("writes");
        let text = std::fs::read_to_string(path).expect("reads");
        insta::assert_snapshot!(text, @r"
        GATEWAY_URL=http://127.0.0.1:8080
        GATEWAY_KEY=demo-00ff
        GATEWAY_MODEL=support-bot
        ADMIN_URL=http://127.0.0.1:9090
        SIMULATOR_URL=http://127.0.0.1:9100
        ");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_=:/.-\n".contains(c);
        assert!(text.chars().all(is_plain), "no value needs quotes in a shell");
    }

    #[test]
    fn what_is_to_be_pasted_is_whole() {
        let mut out = Vec::new();
        tell(&mut out, &testing::places(), Path::new("target/demo.env")).expect("writes");
        let text = String::from_utf8(out).expect("text");
        assert!(
            text.contains(r#"-d '{"model": "support-bot", "messages": [{"role": "user", "#),
            "{text}"
        );
        assert_eq!(text.matches("demo-00ff").count(), 3, "shown, in curl, in Python");
    }
}
