//! What a client asks of the gateway itself, by headers: how long it waits for an answer, and how urgent that is.

use std::time::Duration;

use http::HeaderMap;
use http::header::HeaderName;
use strum::VariantArray as _;

use crate::core::admission::queue::Priority;
use crate::proxy::error::{self, ProxyError};

/// Seconds, with or without a fraction, within which an answer must begin.
pub const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-emberway-timeout");
/// `interactive` or `batch`.
pub const PRIORITY_HEADER: HeaderName = HeaderName::from_static("x-emberway-priority");
/// The read timeout of `OpenAI`'s Python library, in seconds, which it sends along: what comes later finds nobody.
const SDK_TIMEOUT: HeaderName = HeaderName::from_static("x-stainless-read-timeout");
/// An answer must begin so much sooner than the client gives up, so that it is the answer which the client sees.
const SDK_SHARE: f64 = 0.95;
/// Longest time that can be asked for, in seconds: a day.
const TIMEOUT_MAX: f64 = 86_400.0;

/// What a client asks of the gateway.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wishes {
    /// Within which time the answer must begin.
    pub patience: Option<Duration>,
    /// How urgent it is.
    pub priority: Priority,
}

impl Wishes {
    /// Reads the headers of a client whose requests have at most this priority.
    ///
    /// # Errors
    /// When one of the gateway's own headers says what it cannot mean. What libraries send is passed over instead.
    pub fn read(headers: &HeaderMap, most: Priority) -> Result<Self, ProxyError> {
        let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let own = text(&TIMEOUT_HEADER).map(|text| {
            seconds(text).ok_or_else(|| ProxyError::BadHeader {
                name: TIMEOUT_HEADER,
                value: error::echo(text),
                wanted: "seconds above 0, such as `2.5`".to_owned(),
            })
        });
        let sdk = text(&SDK_TIMEOUT).and_then(seconds).map(|time| time.mul_f64(SDK_SHARE));
        let own = own.transpose()?;
        let asked = text(&PRIORITY_HEADER).map(|text| {
            text.parse::<Priority>().map_err(|_| ProxyError::BadHeader {
                name: PRIORITY_HEADER,
                value: error::echo(text),
                wanted: Priority::VARIANTS
                    .iter()
                    .map(|priority| format!("`{}`", priority.as_ref()))
                    .collect::<Vec<_>>()
                    .join(" or "),
            })
        });
        Ok(Self {
            patience: own.into_iter().chain(sdk).min(),
            priority: asked.transpose()?.map_or(most, |asked| asked.max(most)),
        })
    }

    /// This time, or what the client waits if that is less.
    pub fn at_most(&self, time: Duration) -> Duration {
        self.patience.map_or(time, |own| own.min(time))
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    // Zero, negative and no number at all are none.
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(TIMEOUT_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &str)], most: Priority) -> Result<Wishes, ProxyError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a value"));
        }
        Wishes::read(&map, most)
    }

    fn patience(headers: &[(&'static str, &str)]) -> Option<f64> {
        let wishes = read(headers, Priority::Interactive).expect("understood");
        wishes.patience.map(|time| time.as_secs_f64())
    }

    #[test]
    fn the_shorter_of_both_times_counts() {
        assert_eq!(patience(&[]), None);
        assert_eq!(patience(&[("x-emberway-timeout", "2.5")]), Some(2.5));
        assert_eq!(patience(&[("x-stainless-read-timeout", "60")]), Some(57.0));
        assert_eq!(
            patience(&[("x-stainless-read-timeout", "600.0"), ("x-emberway-timeout", "9")]),
            Some(9.0)
        );
        assert_eq!(patience(&[("x-emberway-timeout", "1e300")]), Some(TIMEOUT_MAX));
    }

    #[test]
    fn what_a_library_sends_is_passed_over_and_what_is_meant_for_us_must_mean_something() {
        for odd in ["", "soon", "-1", "0", "NaN"] {
            assert_eq!(patience(&[("x-stainless-read-timeout", odd)]), None, "{odd}");
            let refused = read(&[("x-emberway-timeout", odd)], Priority::Interactive).expect_err(odd);
            assert!(refused.to_string().contains("x-emberway-timeout"), "{refused}");
        }
        let refused = read(&[("x-emberway-priority", "urgent")], Priority::Interactive).expect_err("unknown");
        assert!(refused.to_string().contains("`interactive` or `batch`"), "{refused}");
    }

    #[test]
    fn a_request_may_be_less_urgent_than_its_client_and_not_more() {
        let priority = |asked, most| {
            read(&[("x-emberway-priority", asked)], most)
                .expect("understood")
                .priority
        };
        assert_eq!(priority("batch", Priority::Interactive), Priority::Batch);
        assert_eq!(priority("interactive", Priority::Batch), Priority::Batch);
        assert_eq!(priority("interactive", Priority::Interactive), Priority::Interactive);
    }
}
