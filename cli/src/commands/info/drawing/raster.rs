//! Contacts on a grid of characters.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Lines and columns of a raster at most; finer ones are not tried.
const MAX_CELLS_ALONG: f64 = 100_000.0;
/// Contacts of two rows are on two lines, evenly, when none is further from the middle of its line than this part of a line.
const EVEN: f64 = 0.26;
/// Columns and lines of dots in one of Braille's characters.
const BRAILLE: (usize, usize) = (2, 4);

/// What is known of a contact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    /// It has a channel.
    Used,
    /// It has a channel that the file marks as not to be used.
    Unused,
    /// No delivered channel is wired to it.
    Unwired,
}

/// A contact.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    pub x_um: f64,
    pub y_um: f64,
    pub shank: usize,
    pub mark: Mark,
    /// Row of the recording, for a contact that has a channel.
    pub row: usize,
}

/// What stands for a contact.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// The number of its channel.
    Numbers,
    /// A sign.
    Signs,
    /// A dot of a Braille character, or one of a count.
    Dots,
}

/// Signs of contacts.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    pub used: char,
    pub unused: char,
    pub unwired: char,
}

/// Contacts that share a frame: their own left edge, and a head where there are several frames beside each other.
#[derive(Debug)]
pub struct Panel {
    /// Number of the shank, where each has its own panel.
    pub shank: Option<usize>,
    pub x_low_um: f64,
    pub x_high_um: f64,
    pub sites: Vec<Site>,
}

/// Panels with one y axis.
#[derive(Debug)]
pub struct Frame {
    pub panels: Vec<Panel>,
    pub y_low_um: f64,
    pub y_high_um: f64,
}

impl Frame {
    /// All contacts in one panel; `None` without contacts, or where distances are beyond what numbers can say.
    pub fn whole(sites: &[Site]) -> Option<Frame> {
        Frame::of(vec![Panel::new(None, sites.to_vec())])
    }

    /// A panel a shank; `None` where there is one shank.
    pub fn by_shank(sites: &[Site]) -> Option<Frame> {
        let mut shanks: BTreeMap<usize, Vec<Site>> = BTreeMap::new();
        for site in sites {
            shanks.entry(site.shank).or_default().push(*site);
        }
        if shanks.len() < 2 {
            return None;
        }
        let panel = |(shank, sites)| Panel::new(Some(shank), sites);
        let mut panels: Vec<Panel> = shanks.into_iter().map(panel).collect();
        panels.sort_by(|a, b| a.x_low_um.total_cmp(&b.x_low_um));
        Frame::of(panels)
    }

    fn of(panels: Vec<Panel>) -> Option<Frame> {
        let ys = || {
            panels
                .iter()
                .flat_map(|panel| panel.sites.iter().map(|site| site.y_um))
        };
        let frame = Frame {
            y_low_um: ys().fold(f64::INFINITY, f64::min),
            y_high_um: ys().fold(f64::NEG_INFINITY, f64::max),
            panels,
        };
        let is_finite = (frame.y_high_um - frame.y_low_um).is_finite()
            && frame
                .panels
                .iter()
                .all(|panel| (panel.x_high_um - panel.x_low_um).is_finite());
        is_finite.then_some(frame)
    }
}

impl Panel {
    fn new(shank: Option<usize>, sites: Vec<Site>) -> Panel {
        let xs = || sites.iter().map(|site| site.x_um);
        Panel {
            shank,
            x_low_um: xs().fold(f64::INFINITY, f64::min),
            x_high_um: xs().fold(f64::NEG_INFINITY, f64::max),
            sites,
        }
    }
}

/// Pitches to try, µm, largest first: parts and multiples of the smallest distances, and round numbers.
pub fn pitches_um(sites: &[Site]) -> Vec<f64> {
    let smallest_step = |pick: fn(&Site) -> f64| {
        let mut values: Vec<f64> = sites.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        let step = |pair: &[f64]| pair[1] - pair[0];
        // Places are computed, so equal ones may differ in the last digits.
        let steps = values.windows(2).map(step).filter(|&step| step > 1e-3);
        steps.fold(f64::INFINITY, f64::min)
    };
    let mut pitches = Vec::new();
    for step in [
        smallest_step(|site| site.y_um),
        smallest_step(|site| site.x_um),
    ] {
        if step.is_finite() {
            pitches.extend((1..=40).map(|n| step * f64::from(n)));
            pitches.extend((2..=8).map(|n| step / f64::from(n)));
        }
    }
    for power in -1..=5 {
        pitches.extend([1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    }
    // Nothing coarser than the whole; a contact alone takes what is usual.
    let extent = |pick: fn(&Site) -> f64| {
        let values = || sites.iter().map(pick);
        values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min)
    };
    let most = extent(|site| site.y_um).max(extent(|site| site.x_um));
    pitches.retain(|&pitch| pitch <= if most > 0.0 { most } else { 10.0 });
    pitches.sort_by(|a, b| b.total_cmp(a));
    pitches.dedup();
    pitches
}

/// Contacts as cells of a grid: where each falls at a pitch.
#[derive(Debug)]
pub struct Raster<'a> {
    pub frame: &'a Frame,
    pub way: Way,
    /// µm a line, or a line of dots.
    pub pitch_um: f64,
    is_unicode: bool,
}

impl<'a> Raster<'a> {
    /// `None` when the grid would be far too fine.
    pub fn new(frame: &'a Frame, way: Way, pitch_um: f64, is_unicode: bool) -> Option<Raster<'a>> {
        let raster = Raster {
            frame,
            way,
            pitch_um,
            is_unicode,
        };
        let mut along = frame
            .panels
            .iter()
            .map(|panel| (panel.x_high_um - panel.x_low_um) / raster.step_x_um());
        let is_small = (frame.y_high_um - frame.y_low_um) / pitch_um < MAX_CELLS_ALONG
            && along.all(|cells| cells < MAX_CELLS_ALONG);
        is_small.then_some(raster)
    }

    /// µm between two columns of cells: dots are square, characters twice as high as wide.
    fn step_x_um(&self) -> f64 {
        if self.way == Way::Dots {
            self.pitch_um
        } else {
            self.pitch_um / 2.0
        }
    }

    /// µm a line of text.
    pub fn line_um(&self) -> f64 {
        if self.way == Way::Dots {
            self.pitch_um * BRAILLE.1 as f64
        } else {
            self.pitch_um
        }
    }

    /// µm a column of text.
    pub fn column_um(&self) -> f64 {
        self.line_um() / 2.0
    }

    /// Whether shanks have columns of their own, so that their distance is not to scale.
    pub fn has_own_columns(&self) -> bool {
        self.frame.panels.len() > 1
    }

    pub fn signs(&self) -> Signs {
        if self.is_unicode {
            Signs {
                used: '●',
                unused: '×',
                unwired: '·',
            }
        } else {
            Signs {
                used: 'o',
                unused: 'x',
                unwired: '.',
            }
        }
    }

    /// Column and line of a contact in cells, from the left and from the bottom.
    fn cell(&self, panel: &Panel, site: &Site) -> (usize, usize) {
        let x = (site.x_um - panel.x_low_um) / self.step_x_um();
        let y = (site.y_um - self.frame.y_low_um) / self.pitch_um;
        (x.round() as usize, y.round() as usize)
    }

    /// The contacts that this way draws.
    fn drawn<'p>(&self, panel: &'p Panel) -> impl Iterator<Item = &'p Site> {
        let is_dots = self.way == Way::Dots;
        panel
            .sites
            .iter()
            .filter(move |site| !is_dots || site.mark != Mark::Unwired)
    }

    /// Whether each contact has a place of its own; numbers also need a blank between them.
    pub fn is_apart(&self) -> bool {
        let n_needed = if self.way == Way::Numbers {
            self.text_width() + 1
        } else {
            1
        };
        self.frame.panels.iter().all(|panel| {
            let mut cells: Vec<(usize, usize)> = self
                .drawn(panel)
                .map(|site| self.cell(panel, site))
                .map(|(column, line)| (line, column))
                .collect();
            cells.sort_unstable();
            cells.windows(2).all(|pair| {
                let [(line, column), (next_line, next_column)] = [pair[0], pair[1]];
                line != next_line || next_column - column >= n_needed
            })
        })
    }

    /// Whether contacts are near the middles of their lines, so that equal distances look equal.
    pub fn is_even(&self) -> bool {
        self.frame
            .panels
            .iter()
            .flat_map(|panel| self.drawn(panel))
            .all(|site| {
                let line = (site.y_um - self.frame.y_low_um) / self.pitch_um;
                (line - line.round()).abs() <= EVEN
            })
    }

    /// Lines of text.
    pub fn n_lines(&self) -> usize {
        let n = ((self.frame.y_high_um - self.frame.y_low_um) / self.pitch_um).round() as usize + 1;
        if self.way == Way::Dots {
            n.div_ceil(BRAILLE.1)
        } else {
            n
        }
    }

    /// Characters that stand for a contact.
    fn text_width(&self) -> usize {
        if self.way != Way::Numbers {
            return 1;
        }
        let wired = || {
            self.frame
                .panels
                .iter()
                .flat_map(|panel| &panel.sites)
                .filter(|site| site.mark != Mark::Unwired)
        };
        let digits = wired()
            .map(|site| site.row)
            .max()
            .unwrap_or(0)
            .to_string()
            .len();
        digits + usize::from(wired().any(|site| site.mark == Mark::Unused))
    }

    /// Columns of text of a panel.
    pub fn panel_width(&self, panel: &Panel) -> usize {
        let cells = ((panel.x_high_um - panel.x_low_um) / self.step_x_um()).round() as usize + 1;
        match self.way {
            // Beside the dots is room for a mark.
            Way::Dots => cells.div_ceil(BRAILLE.0) + 2 * usize::from(self.has_unused(panel)),
            _ => cells - 1 + self.text_width(),
        }
    }

    fn has_unused(&self, panel: &Panel) -> bool {
        panel.sites.iter().any(|site| site.mark == Mark::Unused)
    }

    /// Lines of text, from the bottom, on which something is drawn.
    pub fn drawn_lines(&self) -> BTreeSet<usize> {
        let per_line = if self.way == Way::Dots { BRAILLE.1 } else { 1 };
        self.frame
            .panels
            .iter()
            .flat_map(|panel| {
                self.drawn(panel)
                    .map(move |site| self.cell(panel, site).1 / per_line)
            })
            .collect()
    }

    /// The text of a panel: its lines from the bottom that are not empty.
    pub fn text(&self, panel: &Panel) -> HashMap<usize, Vec<char>> {
        let width = self.panel_width(panel);
        let mut lines: HashMap<usize, Vec<char>> = HashMap::new();
        match self.way {
            Way::Numbers => self.write_numbers(panel, width, &mut lines),
            Way::Signs => self.write_signs(panel, width, &mut lines),
            Way::Dots => self.write_dots(panel, width, &mut lines),
        }
        lines
    }

    fn write_numbers(&self, panel: &Panel, width: usize, lines: &mut HashMap<usize, Vec<char>>) {
        let (signs, text_width) = (self.signs(), self.text_width());
        let n_behind = usize::from(self.frame.panels.iter().any(|panel| self.has_unused(panel)));
        for site in self.drawn(panel) {
            let (column, line) = self.cell(panel, site);
            let line = lines.entry(line).or_insert_with(|| vec![' '; width]);
            // The last digit is the place.
            let end = column + text_width - n_behind;
            if site.mark == Mark::Unwired {
                line[end - 1] = signs.unwired;
                continue;
            }
            for (back, digit) in site.row.to_string().chars().rev().enumerate() {
                line[end - 1 - back] = digit;
            }
            if site.mark == Mark::Unused {
                line[end] = signs.unused;
            }
        }
    }

    fn write_signs(&self, panel: &Panel, width: usize, lines: &mut HashMap<usize, Vec<char>>) {
        let signs = self.signs();
        for site in self.drawn(panel) {
            let (column, line) = self.cell(panel, site);
            let line = lines.entry(line).or_insert_with(|| vec![' '; width]);
            line[column] = match site.mark {
                Mark::Used => signs.used,
                Mark::Unused => signs.unused,
                Mark::Unwired => signs.unwired,
            };
        }
    }

    fn write_dots(&self, panel: &Panel, width: usize, lines: &mut HashMap<usize, Vec<char>>) {
        // The bit of each dot, by its line from the bottom, left and right.
        const BITS: [[u32; 2]; 4] = [[0x40, 0x80], [0x04, 0x20], [0x02, 0x10], [0x01, 0x08]];
        let mut cells: HashMap<(usize, usize), (u32, usize)> = HashMap::new();
        for site in self.drawn(panel) {
            let (x, y) = self.cell(panel, site);
            let (column, line) = (x / BRAILLE.0, y / BRAILLE.1);
            let (bits, count) = cells.entry((line, column)).or_default();
            *bits |= BITS[y % BRAILLE.1][x % BRAILLE.0];
            *count += 1;
            if site.mark == Mark::Unused {
                let text = lines.entry(line).or_insert_with(|| vec![' '; width]);
                text[width - 1] = self.signs().unused;
            }
        }
        for ((line, column), (bits, count)) in cells {
            let text = lines.entry(line).or_insert_with(|| vec![' '; width]);
            text[column] = if self.is_unicode {
                char::from_u32(0x2800 + bits).unwrap_or(' ')
            } else {
                u32::try_from(count)
                    .ok()
                    .and_then(|count| char::from_digit(count, 10))
                    .unwrap_or('+')
            };
        }
    }
}
