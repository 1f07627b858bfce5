//! Whether a signal arrives, and who is told when that changes: once when it begins to fail, once when it is back.

use std::sync::Arc;

use crate::otlp::collector::Failure;
use crate::telemetry::events::otlp::{SendingFails, SendingWorks, Sent, Signal};
use crate::telemetry::metrics::Metrics;

/// What is known of one signal.
pub struct Told {
    signal: Signal,
    host: String,
    metrics: Arc<Metrics>,
    is_failing: bool,
}

impl Told {
    /// Nothing yet.
    pub fn new(signal: Signal, host: String, metrics: Arc<Metrics>) -> Self {
        Self {
            signal,
            host,
            metrics,
            is_failing: false,
        }
    }

    /// Notes that something was taken.
    pub fn sent(&mut self) {
        self.count("sent");
        if std::mem::take(&mut self.is_failing) {
            SendingWorks {
                signal: self.signal,
                host: &self.host,
            }
            .emit();
        }
    }

    /// Notes that something was not taken.
    pub fn failed(&mut self, failure: &Failure) {
        self.count(if failure.may_pass { "failed" } else { "refused" });
        if !std::mem::replace(&mut self.is_failing, true) {
            SendingFails {
                signal: self.signal,
                host: &self.host,
                cause: &failure.cause,
                may_pass: failure.may_pass,
            }
            .emit();
        }
    }

    fn count(&self, result: &'static str) {
        Sent {
            signal: self.signal,
            result,
        }
        .emit(&self.metrics);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::telemetry::view::FleetView;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Written {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn an_outage_is_told_once_and_its_end_once() {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let mut told = Told::new(Signal::Traces, "otel:4318".to_owned(), Arc::clone(&metrics));
        let away = Failure {
            cause: "no answer from `otel:4318`: connection refused".to_owned(),
            may_pass: true,
            retry_after: None,
        };
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(written.clone())
            .with_ansi(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            told.sent();
            for _ in 0..3 {
                told.failed(&away);
            }
            for _ in 0..2 {
                told.sent();
            }
        });
        let text = String::from_utf8(written.0.lock().clone()).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        let [fails, works] = lines.as_slice() else {
            panic!("{text}")
        };
        assert!(
            fails.contains("WARN") && fails.contains("connection refused"),
            "{fails}"
        );
        assert!(works.contains("INFO") && works.contains("again"), "{works}");
        let counted = metrics.render(0, &FleetView::default()).expect("rendered");
        for expected in [
            "emberway_otlp_exports_total{result=\"failed\",signal=\"traces\"} 3",
            "emberway_otlp_exports_total{result=\"sent\",signal=\"traces\"} 3",
        ] {
            assert!(counted.contains(expected), "{expected}: {counted}");
        }
    }
}
