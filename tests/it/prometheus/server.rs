//! A real Prometheus: started on a free port in a folder of its own, asked over its API.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::expressions::{Kind, Question};
use crate::harness::{client, eventually, within};

/// It ends with this.
pub(super) struct Prometheus {
    url: String,
    http: reqwest::Client,
    _process: Child,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes this address each second, and evaluates the shipped rules each second.
    pub(super) async fn start(program: &Path, scraped: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/prometheus");
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: ['{0}/recording.yaml', '{0}/alerts.yaml']\n\
             scrape_configs: [{{ job_name: emberway, static_configs: [{{ targets: ['{scraped}'] }}] }}]\n",
            rules.display()
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("written");
        let mut process = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let mut log = BufReader::new(process.stderr.take().expect("piped")).lines();
        let mut seen = Vec::new();
        let address = within("Prometheus' address", async {
            loop {
                let line = log.next_line().await.expect("a log");
                let line = line.unwrap_or_else(|| panic!("it ended:\n{}", seen.join("\n")));
                if let Some((_, address)) = line.split_once("\"Listening on\" address=") {
                    return address.trim().to_owned();
                }
                seen.push(line);
            }
        })
        .await;
        // Read on, so that it never waits for room in the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        let http = client(|builder| builder);
        let ready = format!("http://{address}/-/ready");
        eventually("Prometheus to be ready", || async {
            let answer = http.get(&ready).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        Self {
            url: format!("http://{address}/api/v1/"),
            http,
            _process: process,
            _folder: folder,
        }
    }

    /// How many series have a value for it; an expression that Prometheus refuses ends the test.
    pub(super) async fn ask(&self, question: &Question) -> usize {
        let asked = self.try_ask(question).await;
        asked.unwrap_or_else(|error| panic!("{question}: {error}"))
    }

    async fn try_ask(&self, question: &Question) -> Result<usize, String> {
        let expression = question.expression.as_str();
        let answer = match question.kind {
            Kind::Instant | Kind::Valid => self.get("query", &[("query", expression)]).await?,
            Kind::Range => {
                let now = jiff::Timestamp::now().as_second();
                let (start, end) = ((now - 30).to_string(), now.to_string());
                let window = [("query", expression), ("start", &start), ("end", &end), ("step", "1")];
                self.get("query_range", &window).await?
            }
            Kind::Labels => {
                let inside = expression
                    .strip_prefix("label_values(")
                    .and_then(|rest| rest.strip_suffix(')'));
                let (series, label) = inside
                    .and_then(|inside| inside.rsplit_once(", "))
                    .ok_or("no `label_values`")?;
                let values = self
                    .get(&format!("label/{label}/values"), &[("match[]", series)])
                    .await?;
                return Ok(values.as_array().map_or(0, Vec::len));
            }
        };
        let result = answer["result"]
            .as_array()
            .ok_or_else(|| format!("no result in {answer}"))?;
        if question.kind == Kind::Valid {
            return Ok(result.len().max(1));
        }
        Ok(result.iter().filter(|series| has_number(series)).count())
    }

    /// Rules that Prometheus could not evaluate, with what it says.
    pub(super) async fn unhealthy_rules(&self) -> Vec<String> {
        let rules = self.get("rules", &[]).await.expect("rules");
        let groups = rules["groups"].as_array().expect("groups").iter();
        let rules: Vec<&Value> = groups
            .flat_map(|group| group["rules"].as_array().expect("rules"))
            .collect();
        assert!(rules.len() > 60, "only {} rules are loaded", rules.len());
        let unhealthy = rules.into_iter().filter(|rule| rule["health"] != "ok");
        unhealthy
            .map(|rule| format!("{}: {}", rule["name"], rule["lastError"]))
            .collect()
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, String> {
        let mut url: url::Url = format!("{}{path}", self.url).parse().expect("a URL");
        url.query_pairs_mut().extend_pairs(query);
        let answer = self.http.get(url).send().await.expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        if answer["status"] == "success" {
            return Ok(answer["data"].clone());
        }
        Err(answer["error"].to_string())
    }
}

/// Whether a series of an answer has a value that is a number.
fn has_number(series: &Value) -> bool {
    let pairs = series["values"]
        .as_array()
        .map_or_else(|| vec![&series["value"]], |values| values.iter().collect());
    pairs
        .iter()
        .any(|pair| pair[1].as_str().is_some_and(|value| value != "NaN"))
}
