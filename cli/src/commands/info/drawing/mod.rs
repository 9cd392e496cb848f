//! A probe drawn with characters.
//!
//! Everything is to scale: a character is twice as high as it is wide, so a line is twice as many µm as a column. Three ways are
//! tried, from the one that says most: numbers of the channels, a sign a contact, and dots (in Braille's characters, which have 2 × 4,
//! square to each other) or, in ASCII, counts. A way is taken when no two contacts fall together and the drawing is as wide as the
//! terminal and [`MAX_LINES`] high at most. A long probe is folded: it goes on in the next block to the right. Shanks stand in one frame
//! with their true distance, or, where that is too wide, each in its own column. Stretches without a contact may be cut out, with a mark on the
//! axis. What still does not fit is drawn coarser, and the legend says that dots may then be several contacts.

mod canvas;
mod raster;

use std::collections::BTreeSet;

use somata_io::probe::Probe;

use raster::{Frame, Mark, Raster, Site, Way, pitches_um};

/// Lines of a block at most, without its head and foot: a drawing should not scroll out of sight.
const MAX_LINES: usize = 24;
/// Names of marked channels in the legend at most.
const MAX_NAMES: usize = 12;

/// How and for what terminal to draw.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether characters beyond ASCII may be used.
    pub is_unicode: bool,
}

impl Style {
    /// That of this process's standard output: as wide as the terminal or as `COLUMNS` says, else 80; plain ASCII where the locale is not
    /// UTF-8 or `NO_COLOR` asks for plain text.
    pub fn of_stdout() -> Style {
        let told = std::env::var("COLUMNS")
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|&columns: &usize| columns > 0);
        let width = told.or_else(|| {
            let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
            Some(usize::from(width.0)).filter(|&width| width > 0)
        });
        Style {
            width: width.unwrap_or(80),
            is_unicode: std::env::var_os("NO_COLOR").is_none() && is_utf8_locale(),
        }
    }
}

/// Whether text beyond ASCII can be shown: always on Windows, elsewhere as the locale says.
fn is_utf8_locale() -> bool {
    if cfg!(windows) {
        return true;
    }
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    let locale = locale.unwrap_or_default().to_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// The probe as lines, with a legend. `rows` are the recording's rows of the delivered channels; `None` when there is nothing
/// that can be drawn.
pub fn draw(probe: &Probe, rows: &[usize], style: Style) -> Option<String> {
    let sites = sites(probe, rows);
    let whole = Frame::whole(&sites)?;
    let frames = match Frame::by_shank(&sites) {
        Some(by_shank) => vec![whole, by_shank],
        None => vec![whole],
    };
    let pitches = pitches_um(&sites);
    let limits = canvas::Limits {
        width: style.width,
        max_lines: MAX_LINES,
        is_unicode: style.is_unicode,
    };
    for way in [Way::Numbers, Way::Signs, Way::Dots] {
        for frame in &frames {
            let Some(raster) = coarsest_apart(frame, way, &pitches, &limits) else {
                continue;
            };
            for may_cut in [false, true] {
                if let Some(lines) = canvas::lay_out(&raster, &limits, may_cut) {
                    return Some(with_legend(lines, &raster, probe, rows, style));
                }
            }
        }
    }
    // Finest first, then ever coarser: at last everything is one dot.
    let frame = &frames[0];
    let coarser =
        (0..64).map(|power| pitches.last().copied().unwrap_or(1.0) * f64::from(power).exp2());
    for pitch_um in pitches.iter().rev().copied().chain(coarser) {
        let raster = Raster::new(frame, Way::Dots, pitch_um, style.is_unicode);
        let lines = raster
            .as_ref()
            .and_then(|raster| canvas::lay_out(raster, &limits, true));
        if let (Some(raster), Some(lines)) = (raster, lines) {
            return Some(with_legend(lines, &raster, probe, rows, style));
        }
    }
    None
}

/// The contacts and what is known of each.
fn sites(probe: &Probe, rows: &[usize]) -> Vec<Site> {
    let unused: BTreeSet<usize> = probe.unused_channels.iter().copied().collect();
    let wired = probe.contacts.iter().map(|contact| Site {
        x_um: contact.x_um,
        y_um: contact.y_um,
        shank: contact.shank,
        mark: if unused.contains(&contact.channel) {
            Mark::Unused
        } else {
            Mark::Used
        },
        row: rows
            .get(contact.channel)
            .copied()
            .unwrap_or(contact.channel),
    });
    let unwired = probe.unwired.iter().map(|contact| Site {
        x_um: contact.x_um,
        y_um: contact.y_um,
        shank: contact.shank,
        mark: Mark::Unwired,
        row: 0,
    });
    wired.chain(unwired).collect()
}

/// The raster of the largest pitch that keeps all contacts apart, in even distances where there is one; finer when that gives a few lines only.
fn coarsest_apart<'a>(
    frame: &'a Frame,
    way: Way,
    pitches: &[f64],
    limits: &canvas::Limits,
) -> Option<Raster<'a>> {
    let of_pitch = |pitch_um| Raster::new(frame, way, pitch_um, limits.is_unicode);
    let rasters = || pitches.iter().filter_map(|&pitch_um| of_pitch(pitch_um));
    let found = rasters()
        .find(|raster| raster.is_apart() && raster.is_even())
        .or_else(|| rasters().find(Raster::is_apart))?;
    if found.n_lines() <= 3 && way != Way::Dots {
        let finer = of_pitch(found.pitch_um / 2.0)
            .filter(|finer| finer.is_apart() && canvas::lay_out(finer, limits, false).is_some());
        return Some(finer.unwrap_or(found));
    }
    Some(found)
}

/// The drawing, indented, and below it what scale and signs mean.
fn with_legend(
    lines: Vec<String>,
    raster: &Raster,
    probe: &Probe,
    rows: &[usize],
    style: Style,
) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let (um, times) = if style.is_unicode {
        ("µm", "×")
    } else {
        ("um", "x")
    };
    let signs = raster.signs();
    let column_um = number(raster.column_um());
    let line_um = number(raster.line_um());
    let mut told = vec![format!(
        "a character is {column_um} {times} {line_um} {um}{}",
        if raster.has_own_columns() {
            ", shanks stand below their numbers and closer than they are"
        } else {
            ""
        }
    )];
    told.push(match raster.way {
        Way::Numbers => "a number is a channel's row, its last digit is the place".to_owned(),
        Way::Signs => format!("{} is a contact", signs.used),
        Way::Dots if style.is_unicode && raster.is_apart() => "a dot is a contact".to_owned(),
        Way::Dots if style.is_unicode => format!(
            "a dot is one or more contacts within {0} {times} {0} {um}",
            number(raster.pitch_um)
        ),
        Way::Dots => "a digit counts contacts, + is more than 9".to_owned(),
    });
    if !probe.unused_channels.is_empty() {
        let names: Vec<String> = probe
            .unused_channels
            .iter()
            .take(MAX_NAMES)
            .map(|&channel| rows.get(channel).copied().unwrap_or(channel).to_string())
            .collect();
        let more = probe.unused_channels.len() - names.len();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        let how = match raster.way {
            Way::Numbers => "after the number",
            Way::Signs => "in its place",
            Way::Dots => "beside its line",
        };
        told.push(format!(
            "{} {how} is marked unused: {}{more}",
            signs.unused,
            names.join(", ")
        ));
    }
    match (probe.unwired.len(), raster.way) {
        (0, _) => {}
        (n, Way::Dots) => told.push(format!("not drawn are {n} contacts without a channel")),
        (_, _) => told.push(format!("{} has no channel here", signs.unwired)),
    }
    for part in told {
        text.push_str(&wrapped(&part, style.width));
    }
    text
}

/// A line of the legend, broken between words where it is too long.
fn wrapped(text: &str, width: usize) -> String {
    const INDENT: &str = "           ";
    let indent = if width < 40 { "" } else { INDENT };
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let is_full = indent.len() + line.chars().count() + 1 + word.chars().count() > width;
        if !line.is_empty() && is_full {
            lines.push_str(&format!("{indent}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push_str(&format!("{indent}{line}\n"));
    lines
}

/// A length in µm without digits that mean nothing.
fn number(um: f64) -> String {
    let rounded = (um * 100.0).round() / 100.0;
    if um.abs() >= 1e7 || (rounded == 0.0 && um != 0.0) {
        format!("{um:.1e}")
    } else {
        format!("{rounded}")
    }
}
