//! Pictures of runs, as SVG: the hit ratio against replicas, and each deployment's load over the trace's time.
//!
//! Lines are named at their ends, in their colours, so that nothing is covered and no legend must be looked up. The colours are told apart
//! by colour-blind readers too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use plotters::prelude::*;

use super::matrix::Finished;

/// Size of a picture, in pixels.
const SIZE: (u32, u32) = (900, 480);
/// Seconds in which loads are told.
const MINUTE: u64 = 60;
/// Room for names at the right, and between two of them.
const NAMES_WIDTH: u32 = 150;
const NAMES_APART: i32 = 15;

const OURS: RGBColor = RGBColor(0, 114, 178);
const OTHERS: [RGBColor; 8] = [
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
    RGBColor(86, 180, 233),
    RGBColor(140, 86, 75),
    RGBColor(150, 150, 0),
];
const FAINT: RGBColor = RGBColor(205, 205, 205);

/// Why a picture could not be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// The folder or a file cannot be written.
    #[error("cannot write `{path}`")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The picture could not be drawn.
    #[error("cannot draw `{path}`: {what}")]
    Draw {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        what: String,
    },
}

/// Draws all runs into a folder, which is made, and returns the pictures' paths.
///
/// # Errors
/// When the folder or a file in it cannot be written.
pub fn draw(runs: &[Finished], folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    fs::create_dir_all(folder).map_err(|source| PlotError::Write {
        path: folder.to_owned(),
        source,
    })?;
    let mut paths = Vec::new();
    for picture in hits(runs) {
        let path = folder.join(format!("hit-{}.svg", paths.len() + 1));
        write(&path, &picture)?;
        paths.push(path);
    }
    for (number, run) in runs.iter().enumerate() {
        let path = folder.join(format!("load-{}.svg", number + 1));
        write(&path, &load(run))?;
        paths.push(path);
    }
    Ok(paths)
}

struct Picture {
    title: String,
    x: &'static str,
    y: &'static str,
    /// Names of the whole numbers of x; numbers are their own names where there are none.
    x_names: Vec<String>,
    /// Where the y axis begins; none to begin a little below the lowest value.
    y_from: Option<f64>,
    /// In order of drawing: later ones cover earlier ones.
    curves: Vec<Curve>,
}

struct Curve {
    /// Written at its end; empty for nothing.
    name: String,
    colour: RGBColor,
    width: u32,
    points: Vec<(f64, f64)>,
}

/// For each trace and setting one picture, in it one curve a policy, ours on top; with and without keys it is two.
fn hits(runs: &[Finished]) -> Vec<Picture> {
    type Policies = Vec<(String, BTreeMap<usize, f64>)>;
    let mut pictures: BTreeMap<String, Policies> = BTreeMap::new();
    for Finished { row, .. } in runs {
        let name = row.named_policy();
        let policies = pictures.entry(format!("{}, {}", row.trace, row.setting())).or_default();
        let at = policies
            .iter()
            .position(|(policy, _)| *policy == name)
            .unwrap_or_else(|| {
                policies.push((name.clone(), BTreeMap::new()));
                policies.len() - 1
            });
        policies[at].1.insert(row.replicas, row.hit_of_bound * 100.0);
    }
    let picture = |(title, mut policies): (String, Policies)| {
        let replicas: BTreeSet<usize> = policies.iter().flat_map(|(_, hits)| hits.keys().copied()).collect();
        policies.sort_by_key(|(policy, _)| policy.starts_with("nested"));
        let last = policies.len() - 1;
        let curves = policies.into_iter().enumerate().map(|(number, (policy, hits))| {
            let is_ours = number == last && policy.starts_with("nested");
            let place = |count| replicas.range(..count).count() as f64;
            Curve {
                name: policy,
                colour: if is_ours { OURS } else { OTHERS[number % OTHERS.len()] },
                width: if is_ours { 3 } else { 2 },
                points: hits.into_iter().map(|(count, hit)| (place(count), hit)).collect(),
            }
        });
        Picture {
            title,
            x: "gateways that share nothing",
            y: "cached tokens, % of the bound",
            curves: curves.collect(),
            x_names: replicas.iter().map(usize::to_string).collect(),
            y_from: None,
        }
    };
    pictures.into_iter().map(picture).collect()
}

/// Every deployment's load, and of each step the busiest, the mean and the least busy. The trace's last step is not whole, so it is left
/// out unless it is the only one.
fn load(run: &Finished) -> Picture {
    let row = &run.row;
    let step_seconds = run.load.step_seconds.max(1);
    let is_short = step_seconds < MINUTE;
    let nothing = vec![0; row.deployments];
    let all: Vec<(u64, &Vec<u64>)> = if is_short {
        // Of these there are few, so those without a request can be shown as what they are.
        let last = run.load.steps.keys().last().copied().unwrap_or(0);
        (0..=last)
            .map(|step| (step, run.load.steps.get(&step).unwrap_or(&nothing)))
            .collect()
    } else {
        run.load.steps.iter().map(|(&step, tokens)| (step, tokens)).collect()
    };
    let steps = match all.as_slice() {
        [whole @ .., _] if !whole.is_empty() => whole,
        all => all,
    };
    let at = |step: u64| if is_short { step * step_seconds } else { step } as f64;
    let per_minute = row.scale() * MINUTE as f64 / step_seconds as f64;
    let curve = |name: &str, colour, width, of: &dyn Fn(&[u64]) -> f64| Curve {
        name: name.to_owned(),
        colour,
        width,
        points: steps
            .iter()
            .map(|&(step, tokens)| (at(step), of(tokens) * per_minute / 1e3))
            .collect(),
    };
    let mut curves: Vec<_> = (0..row.deployments)
        .map(|at| curve("", FAINT, 1, &|tokens| tokens[at] as f64))
        .collect();
    let most = |tokens: &[u64]| tokens.iter().max().copied().unwrap_or(0) as f64;
    let least = |tokens: &[u64]| tokens.iter().min().copied().unwrap_or(0) as f64;
    let mean = |tokens: &[u64]| tokens.iter().sum::<u64>() as f64 / tokens.len().max(1) as f64;
    curves.push(curve("least busy", OTHERS[1], 2, &least));
    curves.push(curve("busiest", OTHERS[0], 2, &most));
    curves.push(curve("mean", OURS, 3, &mean));
    let gateways = if row.replicas == 1 { "gateway" } else { "gateways" };
    Picture {
        title: format!(
            "{}, {}, {} {gateways}, {}",
            row.trace,
            row.named_policy(),
            row.replicas,
            row.setting()
        ),
        x: if is_short {
            "second of the trace"
        } else {
            "minute of the trace"
        },
        y: "prompt tokens a minute and deployment, thousands",
        x_names: Vec::new(),
        y_from: Some(0.0),
        curves,
    }
}

fn write(path: &Path, picture: &Picture) -> Result<(), PlotError> {
    let mut text = String::new();
    paint(&mut text, picture).map_err(|error| PlotError::Draw {
        path: path.to_owned(),
        what: error.to_string(),
    })?;
    fs::write(path, text).map_err(|source| PlotError::Write {
        path: path.to_owned(),
        source,
    })
}

fn paint(text: &mut String, picture: &Picture) -> Result<(), Box<dyn std::error::Error>> {
    let points = || picture.curves.iter().flat_map(|curve| &curve.points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        points().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
            (low.min(of(point)), high.max(of(point)))
        })
    };
    let (x, y) = (range(|point| point.0), range(|point| point.1));
    if x.0 > x.1 {
        return Ok(());
    }
    let margin = ((y.1 - y.0) * 0.05).max(0.5);
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(&picture.title, ("sans-serif", 16))
        .margin(10)
        .margin_right(NAMES_WIDTH)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(
            x.0 - 0.1..x.1.max(x.0 + 1.0),
            picture.y_from.unwrap_or(y.0 - margin)..y.1 + margin,
        )?;
    let digits = usize::from(y.1 - y.0 < 10.0);
    let x_name = |at: &f64| {
        let is_whole = (at - at.round()).abs() < 1e-6;
        let name = picture.x_names.get(at.round() as usize);
        match name {
            Some(name) if is_whole => name.clone(),
            None if is_whole && picture.x_names.is_empty() => format!("{at:.0}"),
            _ => String::new(),
        }
    };
    chart
        .configure_mesh()
        .x_desc(picture.x)
        .y_desc(picture.y)
        .x_labels(if picture.x_names.is_empty() {
            10
        } else {
            picture.x_names.len()
        })
        .x_label_formatter(&x_name)
        .y_label_formatter(&|value| format!("{value:.digits$}"))
        .disable_x_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(230, 230, 230))
        .label_style(("sans-serif", 13))
        .draw()?;
    let mut ends = Vec::new();
    for curve in &picture.curves {
        let style = curve.colour.stroke_width(curve.width);
        chart.draw_series(LineSeries::new(curve.points.iter().copied(), style))?;
        if !picture.x_names.is_empty() || curve.points.len() == 1 {
            let dots = curve
                .points
                .iter()
                .map(|&point| Circle::new(point, 3, curve.colour.filled()));
            chart.draw_series(dots)?;
        }
        if let Some(last) = curve.points.last().filter(|_| !curve.name.is_empty()) {
            ends.push((chart.backend_coord(last), curve));
        }
    }
    name_ends(&root, ends)?;
    root.present()?;
    Ok(())
}

/// Writes the curves' names beside their ends, apart from each other and inside the picture.
fn name_ends(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    mut ends: Vec<((i32, i32), &Curve)>,
) -> Result<(), Box<dyn std::error::Error>> {
    ends.sort_by_key(|((_, y), _)| *y);
    let mut lowest_free = 0;
    for ((_, y), _) in &mut ends {
        *y = (*y).max(lowest_free);
        lowest_free = *y + NAMES_APART;
    }
    let mut highest_free = SIZE.1 as i32 - 2 * NAMES_APART;
    for ((_, y), _) in ends.iter_mut().rev() {
        *y = (*y).min(highest_free);
        highest_free = *y - NAMES_APART;
    }
    for ((x, y), curve) in ends {
        let style = ("sans-serif", 13).into_font().color(&curve.colour);
        root.draw(&Text::new(curve.name.clone(), (x + 8, y - 7), style))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::replay::matrix::{Matrix, Run};
    use crate::replay::policy::PolicyName;
    use crate::replay::trace::{Request, Trace};
    use crate::replay::world::Setting;

    /// The load picture of a trace with a request of 1,000 tokens at each of these seconds.
    fn picture(seconds: &[u32]) -> Picture {
        picture_of(seconds, None)
    }

    /// The same of a trace with this share of all conversations.
    fn picture_of(seconds: &[u32], share: Option<f64>) -> Picture {
        let request = |at: &u32| Request {
            at: f64::from(*at),
            prompt: 1_000,
            ..Request::default()
        };
        let trace = Trace {
            block_tokens: 128,
            requests: seconds.iter().map(request).collect(),
            share,
            ..Trace::default()
        };
        let run = Run {
            trace: Arc::new(trace),
            policy: PolicyName::RoundRobin,
            setting: Setting {
                deployments: 1,
                limit_factor: None,
                ..Setting::default()
            },
            in_use: None,
        };
        let matrix = Matrix {
            runs: vec![run],
            prices: None,
        };
        load(&matrix.play(1, || {})[0])
    }

    #[test]
    fn a_trace_of_less_than_two_minutes_has_a_load_too() {
        let seconds: Vec<u32> = (0..=60).filter(|second| *second != 7).collect();
        let short = picture(&seconds);
        let mean = short.curves.last().expect("the mean");
        // Steps of five seconds, and of each what a minute of the same would be; the last one is not whole.
        assert_eq!((short.x, mean.points.len()), ("second of the trace", 12));
        assert_eq!(mean.points[..3], [(0.0, 60.0), (5.0, 48.0), (10.0, 60.0)]);
        let sample = picture_of(&seconds, Some(0.1));
        let mean = sample.curves.last().expect("the mean");
        assert_eq!(mean.points[..2], [(0.0, 600.0), (5.0, 480.0)], "a tenth stands for all");
        let gap = picture(&[0, 1, 11, 12]);
        let points = &gap.curves.last().expect("the mean").points;
        assert_eq!(points[..3], [(0.0, 60.0), (1.0, 60.0), (2.0, 0.0)]);
        let long = picture(&(0..=900).collect::<Vec<_>>());
        assert_eq!((long.x, long.curves[0].points.len()), ("minute of the trace", 15));
        let mut drawn = String::new();
        paint(&mut drawn, &picture(&[0])).expect("drawn");
        assert!(drawn.contains("<circle"), "a single step is a dot");
    }
}
