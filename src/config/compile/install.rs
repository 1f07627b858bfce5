//! The half of the configuration that is fixed at start: listeners, admin, usage store, control plane, alerts, telemetry, log, shutdown.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use crate::config::checked::admin::AdminListener;
use crate::config::checked::{
    Install, Listener, LogFormat, LogSettings, Shutdown, TraceSettings, UsageSettings, WhenFull,
};
use crate::config::compile::clients::warn_if_weak;
use crate::config::compile::context::Context;
use crate::config::compile::tls;
use crate::config::compile::{admin, alerts, azure, telemetry};
use crate::config::errors::Pointer;
use crate::config::raw::admin::RawAdmin;
use crate::config::raw::{RawConfig, RawListener, RawLog, RawLogFormat, RawShutdown, RawTrace, RawUsage, RawWhenFull};

/// Compiles everything that needs a restart to change.
pub(super) fn compile(context: &mut Context<'_>, raw: &RawConfig) -> Install {
    let root = Pointer::root();
    let mut bound = Vec::new();
    let mut listeners = Vec::with_capacity(raw.listeners.len());
    for (position, raw) in raw.listeners.iter().enumerate() {
        let at = root.key("listeners").index(position);
        listeners.push(compile_listener(context, raw, &at, &mut bound));
    }
    Install {
        listeners,
        admin: compile_admin(context, &raw.admin, &root.key("admin"), &mut bound),
        usage: compile_usage(context, &raw.usage, &root.key("usage")),
        trace: raw
            .trace
            .as_ref()
            .map(|trace| compile_trace(context, trace, &root.key("trace"))),
        azure: raw
            .azure
            .as_ref()
            .and_then(|azure| azure::compile(context, azure, &root.key("azure"))),
        alerts: raw
            .alerts
            .as_ref()
            .and_then(|alerts| alerts::compile(context, alerts, raw.azure.is_some(), &root.key("alerts"))),
        otlp: raw
            .telemetry
            .as_ref()
            .and_then(|raw| telemetry::compile(context, raw, &root.key("telemetry"))),
        shutdown: compile_shutdown(context, &raw.shutdown, &root.key("shutdown")),
        log: compile_log(context, &raw.log, &root.key("log")),
    }
}

fn compile_listener(
    context: &mut Context<'_>,
    raw: &RawListener,
    at: &Pointer,
    bound: &mut Vec<(SocketAddr, String)>,
) -> Listener {
    let address = compile_address(context, &raw.address, &at.key("address"), bound);
    if raw.tls.is_none() && !raw.allow_plaintext && !address.ip().is_loopback() {
        context.error(
            &at.key("address"),
            format!("plain HTTP on `{address}` would let others read keys and prompts"),
            "add `tls`, listen on `127.0.0.1`, or set `allow_plaintext: true` if something in front ends TLS"
                .to_owned(),
        );
    }
    if raw.tls.is_some() && raw.h2c {
        context.warn(
            &at.key("h2c"),
            "`h2c` has no effect on a TLS listener",
            "leave it out".to_owned(),
        );
    }
    Listener {
        address,
        tls: raw
            .tls
            .as_ref()
            .map(|files| tls::compile(context, files, &at.key("tls"))),
        h2c: raw.h2c && raw.tls.is_none(),
    }
}

fn compile_admin(
    context: &mut Context<'_>,
    raw: &RawAdmin,
    at: &Pointer,
    bound: &mut Vec<(SocketAddr, String)>,
) -> AdminListener {
    let address = compile_address(context, &raw.address, &at.key("address"), bound);
    admin::compile(context, raw, address, at)
}

/// Parses an address and reports one that cannot be bound beside those bound already.
fn compile_address(
    context: &mut Context<'_>,
    written: &str,
    at: &Pointer,
    bound: &mut Vec<(SocketAddr, String)>,
) -> SocketAddr {
    let text = context.text(at, written);
    let Ok(address) = text.parse::<SocketAddr>() else {
        let hint = if text.starts_with("localhost") {
            "write the address: `127.0.0.1` or `[::1]`"
        } else {
            "an IP address and a port, such as `127.0.0.1:8080` or `[::]:8080`"
        };
        context.error(at, format!("`{written}` is not an address"), hint.to_owned());
        return SocketAddr::from(([127, 0, 0, 1], 0));
    };
    if let Some((_, other)) = bound.iter().find(|(other, _)| collide(*other, address)) {
        context.error(
            at,
            format!("`{address}` is taken by `{other}`"),
            "every listener needs an address or port of its own".to_owned(),
        );
    }
    bound.push((address, at.to_string()));
    address
}

/// Whether the operating system would refuse one of the two. Port 0 is a different port each time.
fn collide(left: SocketAddr, right: SocketAddr) -> bool {
    let overlap =
        |one: IpAddr, other: IpAddr| one == other || (one.is_unspecified() && one.is_ipv4() == other.is_ipv4());
    left.port() != 0
        && left.port() == right.port()
        && (overlap(left.ip(), right.ip()) || overlap(right.ip(), left.ip()))
}

/// Compiles where usage records go.
pub(super) fn compile_usage(context: &mut Context<'_>, raw: &RawUsage, at: &Pointer) -> UsageSettings {
    UsageSettings {
        path: PathBuf::from(context.text(&at.key("path"), &raw.path)),
        queue: raw.queue,
        when_full: match raw.when_full {
            RawWhenFull::Drop => WhenFull::Drop,
            RawWhenFull::Wait => WhenFull::Wait,
        },
        keep_days: raw.keep_days,
    }
}

/// Smallest file of a trace: some hundred lines of long prompts.
const TRACE_BYTES_MIN: usize = 1024 * 1024;

fn compile_trace(context: &mut Context<'_>, raw: &RawTrace, at: &Pointer) -> TraceSettings {
    if raw.rotate.bytes() < TRACE_BYTES_MIN {
        let message = format!("`{}` is too small", raw.rotate.text());
        context.error(&at.key("rotate"), message, "1MiB or more".to_owned());
    }
    let key = raw.key.as_ref().and_then(|written| {
        let at = at.key("key");
        let secret = context.secret(&at, &written.0)?;
        warn_if_weak(context, &at, &written.0, secret.expose());
        Some(secret)
    });
    TraceSettings {
        path: PathBuf::from(context.text(&at.key("path"), &raw.path)),
        share: raw.share,
        key,
        rotate_bytes: raw.rotate.bytes(),
        keep: raw.keep,
    }
}

fn compile_shutdown(context: &mut Context<'_>, raw: &RawShutdown, at: &Pointer) -> Shutdown {
    Shutdown {
        delay: context.duration(&at.key("delay"), &raw.delay),
        drain: context.duration(&at.key("drain"), &raw.drain),
    }
}

fn compile_log(context: &mut Context<'_>, raw: &RawLog, at: &Pointer) -> LogSettings {
    let at = at.key("filter");
    let filter = context.text(&at, &raw.filter);
    if EnvFilter::builder().parse(&filter).is_err() {
        context.error(
            &at,
            format!("`{}` is not a log filter", raw.filter),
            "such as `info` or `info,emberway=debug`".to_owned(),
        );
    }
    LogSettings {
        filter,
        format: match raw.format {
            RawLogFormat::Pretty => LogFormat::Pretty,
            RawLogFormat::Json => LogFormat::Json,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_collide_as_the_operating_system_sees_it() {
        let cases = [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::]:80", "127.0.0.1:80", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ];
        for (left, right, expected) in cases {
            let collides = collide(left.parse().expect(left), right.parse().expect(right));
            assert_eq!(collides, expected, "{left} and {right}");
        }
    }
}
