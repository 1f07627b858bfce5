//! `emberway top`: the traffic of a running gateway, live, by what it tells at `/status` and `/metrics`.
//!
//! A task of its own asks the gateway, so that keys and resizes are heeded while no answer comes. Everything shown is computed from the
//! last answers by pure functions; here is only what reads and writes.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt as _;
use reqwest::Method;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::cli::interrupt::Interrupt;
use crate::cli::operator::{Operator, OperatorArgs};
use crate::cli::status::told::{self, Told};
use crate::cli::{output, styled};

mod frame;
mod rows;
mod terminal;
mod traffic;
mod view;
mod window;

use frame::{Picture, frame};
use terminal::Taken;
use traffic::Counts;
use view::{Pressed, Sort, View};
use window::Window;

/// Flags of `emberway top`.
#[derive(Debug, clap::Args)]
pub struct TopArgs {
    #[command(flatten)]
    operator: OperatorArgs,
    /// How often the gateway is asked: 200 ms to an hour.
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "1s")]
    interval: Duration,
    /// Figures are of the last so long: a second to an hour. Less than the interval means since the last look.
    #[arg(long, value_name = "DURATION", value_parser = window, default_value = "10s")]
    window: Duration,
    /// What rows are sorted by at first.
    #[arg(long, value_enum, default_value = "name")]
    sort: Sort,
    /// Print one frame as text, of one interval, and end: for pipes. So it is also without a terminal.
    #[arg(long)]
    once: bool,
}

/// More often would be load.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
const WINDOW_MIN: Duration = Duration::from_secs(1);
const TIME_MAX: Duration = Duration::from_hours(1);

/// The time since the last answer is drawn so often, also where no answer comes.
const REDRAWN_EVERY: Duration = Duration::from_secs(1);

fn interval(text: &str) -> Result<Duration, String> {
    within(text, INTERVAL_MIN)
}

fn window(text: &str) -> Result<Duration, String> {
    within(text, WINDOW_MIN)
}

fn within(text: &str, least: Duration) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (least..=TIME_MAX).contains(&time) {
        return Ok(time);
    }
    let shown = |time| humantime::format_duration(time);
    Err(format!("it must be {} to {}", shown(least), shown(TIME_MAX)))
}

/// Shows the traffic until told to end, or once.
///
/// # Errors
/// When the terminal cannot be used; with `--once` also when the gateway does not answer.
pub fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    let operator = Operator::new(&args.operator)?;
    let runtime = output::runtime()?;
    let has_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    if args.once || !has_terminal {
        runtime.block_on(once(args, &operator))?;
    } else {
        runtime.block_on(live(args, operator))?;
        // The task that asks may wait for an answer still; nobody wants it.
        runtime.shutdown_background();
    }
    Ok(ExitCode::SUCCESS)
}

/// What came of asking a gateway.
struct Look {
    at: Instant,
    answer: anyhow::Result<(Told, Counts)>,
}

impl Look {
    async fn take(operator: &Operator) -> Self {
        let answer = async {
            let metrics = async { Counts::read(&operator.ask(Method::GET, "/metrics", &[], Vec::new()).await?) };
            let (counts, (told, _)) = tokio::try_join!(metrics, told::ask(operator))?;
            Ok((told, counts))
        };
        let answer = answer.await;
        Self {
            at: Instant::now(),
            answer,
        }
    }
}

/// Two looks, one frame.
async fn once(args: &TopArgs, operator: &Operator) -> anyhow::Result<()> {
    let first = Look::take(operator).await;
    let mut window = Window::new(args.window);
    window.take(first.at, first.answer?.1);
    // A rate needs two looks, so far apart.
    tokio::time::sleep(args.interval).await;
    let second = Look::take(operator).await;
    let (told, counts) = second.answer?;
    let picture = Picture {
        url: operator.url(),
        told: Some(told),
        traffic: window.take(second.at, counts),
        lost: None,
    };
    let (is_terminal, width) = styled::stdout()?;
    let view = View {
        sort: args.sort,
        ..View::default()
    };
    let drawn = frame(&picture, &view, width, None);
    let text = styled::printed(&drawn.lines, styled::wants_styles(is_terminal));
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).context("cannot write to stdout")
}

/// Frame after frame, until a key or a signal ends it.
async fn live(args: &TopArgs, operator: Operator) -> anyhow::Result<()> {
    let mut interrupt = Interrupt::new()?;
    let mut watched = Watched::new(operator.url(), args.window);
    let mut view = View {
        sort: args.sort,
        ..View::default()
    };
    let (send, mut looks) = mpsc::channel(1);
    let interval = args.interval;
    tokio::spawn(async move { ask_on(&operator, interval, &send).await });
    let mut terminal = Taken::take()?;
    let mut events = EventStream::new();
    let mut redrawn = tokio::time::interval(REDRAWN_EVERY);
    loop {
        terminal.draw(&watched.picture(Instant::now()), &mut view)?;
        tokio::select! {
            look = looks.recv() => watched.take(look.context("what asks the gateway has ended")?),
            event = events.next() => match event.context("the terminal is gone")?.context("cannot read the terminal")? {
                Event::Key(key) if view.press(key) == Pressed::End => return Ok(()),
                // A resize, as any other, is answered by drawing.
                _ => {}
            },
            _ = redrawn.tick() => {}
            () = interrupt.come() => return Ok(()),
        }
    }
}

/// Asks again and again, until nobody listens.
async fn ask_on(operator: &Operator, interval: Duration, send: &mpsc::Sender<Look>) {
    let mut pause = tokio::time::interval(interval);
    pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        if send.send(Look::take(operator).await).await.is_err() {
            return;
        }
    }
}

/// What is known of a gateway that is asked again and again.
struct Watched {
    picture: Picture,
    window: Window,
    /// When the last answer came, or asking began.
    answered_at: Instant,
    /// Why none has come since.
    error: Option<String>,
}

impl Watched {
    fn new(url: String, window: Duration) -> Self {
        Self {
            picture: Picture {
                url,
                told: None,
                traffic: None,
                lost: None,
            },
            window: Window::new(window),
            answered_at: Instant::now(),
            error: None,
        }
    }

    fn take(&mut self, look: Look) {
        match look.answer {
            Ok((told, counts)) => {
                self.picture.told = Some(told);
                self.picture.traffic = self.window.take(look.at, counts);
                self.answered_at = look.at;
                self.error = None;
            }
            Err(error) => self.error = Some(output::chain(&error)),
        }
    }

    fn picture(&self, now: Instant) -> Picture {
        let since = now.saturating_duration_since(self.answered_at);
        Picture {
            lost: self.error.clone().map(|error| (since, error)),
            ..self.picture.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::examples;

    #[test]
    fn an_unreachable_gateway_is_told_with_the_time_since_and_comes_back() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut watched = Watched::new("http://gateway/".to_owned(), Duration::from_secs(10));
        watched.answered_at = begin;
        let answers = |seconds| Look {
            at: at(seconds),
            answer: Ok((examples::told(|_| {}), Counts::default())),
        };
        let fails = |seconds, why: &str| Look {
            at: at(seconds),
            answer: Err(anyhow::anyhow!("{why}").context("no answer")),
        };
        let lost = |watched: &Watched, seconds| watched.picture(at(seconds)).lost;

        assert_eq!(lost(&watched, 3), None, "asked, and not answered yet");
        watched.take(fails(1, "refused"));
        assert_eq!(
            lost(&watched, 4),
            Some((Duration::from_secs(4), "no answer: refused".to_owned()))
        );
        watched.take(answers(5));
        assert_eq!(lost(&watched, 6), None);
        watched.take(fails(6, "refused"));
        watched.take(fails(7, "too late"));
        assert_eq!(
            lost(&watched, 8),
            Some((Duration::from_secs(3), "no answer: too late".to_owned()))
        );
        assert!(watched.picture(at(8)).told.is_some(), "what was known stays");
        watched.take(answers(9));
        assert_eq!(lost(&watched, 9), None);
    }

    #[test]
    fn times_that_make_no_sense_are_refused() {
        assert_eq!(interval("200ms"), Ok(INTERVAL_MIN));
        assert_eq!(interval("100ms"), Err("it must be 200ms to 1h".to_owned()));
        assert_eq!(window("2h"), Err("it must be 1s to 1h".to_owned()));
        assert!(window("soon").is_err());
    }
}
