//! Panels and their axis as lines of text.

use std::collections::HashMap;

use super::raster::Raster;

/// Blanks between two blocks of a folded probe.
const BLOCK_GAP: usize = 3;
/// Blanks between two panels.
const PANEL_GAP: usize = 2;
/// Empty lines in a row that may be cut out when there are more.
const MAX_EMPTY_LINES: usize = 3;

/// What a drawing may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub width: usize,
    /// Lines, without head and foot.
    pub max_lines: usize,
    pub is_unicode: bool,
}

/// A line of a block.
#[derive(Clone, Copy)]
enum Line {
    /// One of the raster, from the bottom.
    Of(usize),
    /// Some were cut out here.
    Cut,
}

/// The lines from the top, or `None` when they do not fit.
pub fn lay_out(raster: &Raster, limits: &Limits, may_cut: bool) -> Option<Vec<String>> {
    let lines = lines_from_top(
        raster,
        may_cut,
        limits.max_lines.saturating_mul(limits.width),
    )?;
    let n_blocks = lines.len().div_ceil(limits.max_lines).max(1);
    let per_block = lines.len().div_ceil(n_blocks);
    let labels = labels(raster, &lines);
    let label_width = labels.values().map(String::len).max().unwrap_or(0).max(2);
    let widths: Vec<usize> = raster
        .frame
        .panels
        .iter()
        .map(|panel| {
            let head = panel.shank.map_or(0, |shank| shank.to_string().len());
            raster.panel_width(panel).max(head)
        })
        .collect();
    // Label, blank, axis, blank, panels.
    let inner = widths.iter().sum::<usize>() + PANEL_GAP * (widths.len() - 1);
    let block_width = label_width + 3 + inner;
    let n_between = (n_blocks - 1).checked_mul(BLOCK_GAP)?;
    if n_blocks.checked_mul(block_width)?.checked_add(n_between)? > limits.width {
        return None;
    }
    let texts: Vec<HashMap<usize, Vec<char>>> = raster
        .frame
        .panels
        .iter()
        .map(|panel| raster.text(panel))
        .collect();
    let signs = if limits.is_unicode {
        ["µm", "┤", "│", "⋮"]
    } else {
        ["um", "+", "|", ":"]
    };
    let [unit, tick, axis, cut] = signs;
    let mut drawn = vec![String::new(); per_block];
    let mut head = String::new();
    for block in lines.chunks(per_block) {
        let before = if head.is_empty() { 0 } else { BLOCK_GAP };
        head.push_str(&" ".repeat(before));
        head.push_str(&head_of(raster, unit, label_width, &widths));
        for (index, text) in drawn.iter_mut().enumerate() {
            text.push_str(&" ".repeat(before));
            let Some(line) = block.get(index) else {
                text.push_str(&" ".repeat(block_width));
                continue;
            };
            let Line::Of(line) = line else {
                text.push_str(&format!("{:label_width$} {cut} {:inner$}", "", ""));
                continue;
            };
            let label = labels.get(line);
            let sign = if label.is_some() { tick } else { axis };
            text.push_str(&format!(
                "{:>label_width$} {sign} ",
                label.map_or("", |label| label)
            ));
            for (panel, (lines, &width)) in texts.iter().zip(&widths).enumerate() {
                if panel > 0 {
                    text.push_str(&" ".repeat(PANEL_GAP));
                }
                let found: String = lines.get(line).into_iter().flatten().collect();
                text.push_str(&format!("{found:width$}"));
            }
        }
    }
    let mut all = vec![head];
    all.extend(drawn);
    Some(all)
}

/// The unit above the axis, and the shank above each panel.
fn head_of(raster: &Raster, unit: &str, label_width: usize, widths: &[usize]) -> String {
    let mut head = format!("{unit:>label_width$}   ");
    for (index, (panel, &width)) in raster.frame.panels.iter().zip(widths).enumerate() {
        if index > 0 {
            head.push_str(&" ".repeat(PANEL_GAP));
        }
        let shank = panel.shank.map_or(String::new(), |shank| shank.to_string());
        head.push_str(&format!("{shank:^width$}"));
    }
    head
}

/// Lines from the top, with empty ones cut out where that is wanted; `None` when there are more than `most`.
fn lines_from_top(raster: &Raster, may_cut: bool, most: usize) -> Option<Vec<Line>> {
    if !may_cut {
        let n_lines = raster.n_lines();
        return (n_lines <= most).then(|| (0..n_lines).rev().map(Line::Of).collect());
    }
    let mut lines = Vec::new();
    let mut above: Option<usize> = None;
    for &line in raster.drawn_lines().iter().rev() {
        if let Some(above) = above {
            let n_empty = above - line - 1;
            if n_empty > MAX_EMPTY_LINES {
                lines.push(Line::Cut);
            } else {
                lines.extend((line + 1..above).rev().map(Line::Of));
            }
        }
        lines.push(Line::Of(line));
        above = Some(line);
        if lines.len() > most {
            return None;
        }
    }
    Some(lines)
}

/// Labels of the y axis by line: multiples of a round number, each on the line that it falls on.
fn labels(raster: &Raster, lines: &[Line]) -> HashMap<usize, String> {
    let (line_um, low_um) = (raster.line_um(), raster.frame.y_low_um);
    let n_apart = if lines.len() <= 12 { 2.0 } else { 4.0 };
    let step_um = round_up(n_apart * line_um);
    // A line of characters reaches half a line to both sides of its contacts; one of dots begins half a dot below its lowest.
    let half_um = raster.pitch_um / 2.0;
    let middle_um = |line: usize| low_um - half_um + (line as f64 + 0.5) * line_um;
    let mut labels = HashMap::new();
    for line in lines {
        let Line::Of(line) = line else { continue };
        let nearest = (middle_um(*line) / step_um).round();
        let away = nearest * step_um - middle_um(*line);
        if away > -line_um / 2.0 && away <= line_um / 2.0 {
            labels.insert(*line, super::number(nearest * step_um + 0.0));
        }
    }
    if labels.is_empty() {
        // A short probe between two round numbers: its own ends.
        for line in [lines.first(), lines.last()].into_iter().flatten() {
            if let Line::Of(line) = line {
                labels.insert(*line, super::number(middle_um(*line)));
            }
        }
    }
    labels
}

/// The next of 1, 2, 5, 10, 20 … that is not below `value`.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|digit| digit * power >= value * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * power
}
