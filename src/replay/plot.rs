//! Pictures of runs, as SVG: the hit ratio against replicas, and each deployment's load over the trace's time.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use plotters::prelude::*;

use super::matrix::Finished;

/// Size of a picture, in pixels.
const SIZE: (u32, u32) = (900, 480);

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
    for (name, curves) in hit_curves(runs) {
        let path = folder.join(format!("hit-{}.svg", paths.len() + 1));
        let picture = Picture {
            title: &name,
            x: "replicas",
            y: "share of the bound, %",
            curves,
            y_from: None,
        };
        write(&path, &picture)?;
        paths.push(path);
    }
    for (number, run) in runs.iter().enumerate() {
        let path = folder.join(format!("load-{}.svg", number + 1));
        let row = &run.row;
        let name = format!(
            "{}, {}, {} replicas, {}",
            row.trace,
            row.policy,
            row.replicas,
            row.setting()
        );
        let picture = Picture {
            title: &name,
            x: "minute",
            y: "prompt tokens a minute, thousands",
            curves: load_curves(run),
            y_from: Some(0.0),
        };
        write(&path, &picture)?;
        paths.push(path);
    }
    Ok(paths)
}

type Curves = BTreeMap<String, Vec<(f64, f64)>>;

/// For each trace and setting one picture, in it one curve a policy.
fn hit_curves(runs: &[Finished]) -> BTreeMap<String, Curves> {
    let mut pictures: BTreeMap<String, Curves> = BTreeMap::new();
    for Finished { row, .. } in runs {
        let picture = pictures.entry(format!("{}, {}", row.trace, row.setting())).or_default();
        let curve = picture.entry(row.policy.to_owned()).or_default();
        curve.push((row.replicas as f64, row.hit_of_bound * 100.0));
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    pictures
}

fn load_curves(run: &Finished) -> Curves {
    let mut curves = Curves::new();
    for (minute, tokens) in &run.minutes {
        for (deployment, tokens) in tokens.iter().enumerate() {
            let curve = curves.entry(format!("deployment {}", deployment + 1)).or_default();
            curve.push((*minute as f64, *tokens as f64 / 1e3));
        }
    }
    curves
}

struct Picture<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    curves: Curves,
    /// Where the y axis begins; none to begin a little below the lowest value.
    y_from: Option<f64>,
}

fn write(path: &Path, picture: &Picture<'_>) -> Result<(), PlotError> {
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

fn paint(text: &mut String, picture: &Picture<'_>) -> Result<(), Box<dyn std::error::Error>> {
    let points = || picture.curves.values().flatten();
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
        .caption(picture.title, ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(
            x.0..x.1.max(x.0 + 1.0),
            picture.y_from.unwrap_or(y.0 - margin)..y.1 + margin,
        )?;
    chart
        .configure_mesh()
        .x_desc(picture.x)
        .y_desc(picture.y)
        .light_line_style(WHITE)
        .draw()?;
    for (number, (name, curve)) in picture.curves.iter().enumerate() {
        let colour = Palette99::pick(number).to_rgba();
        chart
            .draw_series(LineSeries::new(curve.iter().copied(), colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}
