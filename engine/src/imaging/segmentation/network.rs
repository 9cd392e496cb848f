//! The U-Net of Cellpose 2 and 3 ("CPnet"; Stringer et al. 2021, Pachitariu and Stringer 2022) on the device.
//!
//! Pre-activation residual blocks; features of the way down are added, not concatenated, on the way up; the mean of the
//! deepest features is a style that is added before most units of the way up. Widths, levels and input channels are what the weights file
//! has. The layers' names are Cellpose's, so a converted Cellpose file and somata's own are read alike.

use std::collections::BTreeMap;

use somata_shaders::layout::{
    ConvolveParams, MAX_STYLE_CHANNELS, PoolMaximaParams, StyleAffineParams,
};

use crate::{
    device::{BufferId, Commands, Executor, Resident},
    error::{EngineError, Result},
};

/// Added to a variance before its root (PyTorch's and Cellpose's value, part of what a weights file means).
const EPSILON: f32 = 1e-5;
/// Levels at most: more than any such network has, so that a damaged file cannot ask for all memory.
const MAX_LEVELS: usize = 8;

/// Named weights: files are read elsewhere.
#[derive(Clone, Debug, Default)]
pub struct NetworkWeights {
    /// Shape and values of every tensor, by name.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// What the file says about itself.
    pub metadata: BTreeMap<String, String>,
    /// Where it comes from, for messages.
    pub source: String,
}

impl NetworkWeights {
    fn tensor(&self, name: &str) -> Option<(&[usize], &[f32])> {
        self.tensors
            .get(name)
            .map(|(shape, values)| (shape.as_slice(), values.as_slice()))
    }
    fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }
}

/// What a network takes for its input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InputKind {
    /// Summary images of a movie; a still image is the first of them, the others are zero.
    Summary,
    /// Cellpose's two channels, scaled from the 1st to the 99th percentile.
    Cellpose,
}

/// One batch norm, activation and convolution.
struct Unit {
    weight: Resident,
    bias: Resident,
    in_channels: u32,
    out_channels: u32,
    kernel: u32,
    relu: bool,
    affine: Affine,
}

/// Where a unit's factors and terms are.
enum Affine {
    /// Shared by all images.
    Own(Resident),
    /// Rows of the style's table, from this one on.
    Style(u32),
}

struct Block {
    units: [Unit; 4],
    projection: Unit,
    width: u32,
}

/// A network whose weights are on the device.
pub struct Network {
    down: Vec<Block>,
    up: Vec<Block>,
    output: Unit,
    style_table: Resident,
    style_rows: u32,
    channels: usize,
    deepest: u32,
    /// What it takes.
    pub input: InputKind,
    /// Diameter of the cells that it was trained on, pixels.
    pub diameter_px: f64,
    /// Side of the square that it sees at once, pixels.
    pub tile_px: usize,
    /// Where its weights are from, for messages.
    pub source: String,
}

/// Reads tensors and says what is wrong with them.
struct Loader<'a> {
    weights: &'a NetworkWeights,
    executor: &'a dyn Executor,
    style: StyleTable,
}

/// Rows of the style's table, one a channel of every unit that takes it.
#[derive(Default)]
struct StyleTable {
    weight: Vec<f32>,
    bias: Vec<f32>,
    factor: Vec<f32>,
    term: Vec<f32>,
}

impl Loader<'_> {
    fn wrong(&self, what: String) -> EngineError {
        EngineError::Input {
            what: format!("the weights in `{}` do not fit: {what}", self.weights.source),
            hint: "give a CPnet as `training/convert.py` or `training/export.py` writes it, or leave `--weights` out".into(),
        }
    }

    /// A tensor whose shape is known.
    fn values(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        let (found, values) = self
            .weights
            .tensor(name)
            .ok_or_else(|| self.wrong(format!("there is no `{name}`")))?;
        if found != shape {
            return Err(self.wrong(format!(
                "`{name}` has the shape {found:?}, expected {shape:?}"
            )));
        }
        Ok(values)
    }

    /// Shape of a tensor that must have `rank` axes.
    fn shape(&self, name: &str, rank: usize) -> Result<Vec<usize>> {
        let (shape, _) = self
            .weights
            .tensor(name)
            .ok_or_else(|| self.wrong(format!("there is no `{name}`")))?;
        if shape.len() != rank || shape.contains(&0) {
            return Err(self.wrong(format!(
                "`{name}` has the shape {shape:?}, expected {rank} lengths above 0"
            )));
        }
        Ok(shape.to_vec())
    }

    /// A batch norm as a factor and a term for each channel.
    fn batch_norm(&self, name: &str, channels: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let part = |part: &str| self.values(&format!("{name}.{part}"), &[channels]);
        let (weight, bias) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let factor: Vec<f32> = weight
            .iter()
            .zip(variance)
            .map(|(w, v)| w / (v + EPSILON).sqrt())
            .collect();
        let term: Vec<f32> = bias
            .iter()
            .zip(mean)
            .zip(&factor)
            .map(|((b, m), f)| b - m * f)
            .collect();
        if factor.iter().chain(&term).any(|v| !v.is_finite()) {
            return Err(self.wrong(format!("`{name}.running_var` has a negative variance")));
        }
        Ok((factor, term))
    }

    /// A unit with the batch norm `norm` and the convolution `convolution`.
    fn unit(
        &mut self,
        norm: &str,
        convolution: &str,
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        relu: bool,
        style: Option<(&str, usize)>,
    ) -> Result<Unit> {
        let (factor, term) = self.batch_norm(norm, inputs)?;
        let affine = match style {
            None => Affine::Own(self.executor.resident("affine", &[factor, term].concat())?),
            Some((name, channels)) => {
                let weight = self
                    .values(&format!("{name}.weight"), &[inputs, channels])?
                    .to_vec();
                let bias = self.values(&format!("{name}.bias"), &[inputs])?.to_vec();
                let row = self.style.bias.len() as u32;
                self.style.weight.extend(weight);
                self.style.bias.extend(bias);
                self.style.factor.extend(factor);
                self.style.term.extend(term);
                Affine::Style(row)
            }
        };
        let weight = self.values(
            &format!("{convolution}.weight"),
            &[outputs, inputs, kernel, kernel],
        )?;
        let bias = self.values(&format!("{convolution}.bias"), &[outputs])?;
        Ok(Unit {
            weight: self.executor.resident("weight", weight)?,
            bias: self.executor.resident("bias", bias)?,
            in_channels: inputs as u32,
            out_channels: outputs as u32,
            kernel: kernel as u32,
            relu,
            affine,
        })
    }

    /// A block of the way down, or (with the channels of the style) of the way up.
    fn block(
        &mut self,
        name: &str,
        [inputs, outputs]: [usize; 2],
        style: Option<usize>,
    ) -> Result<Block> {
        let projection = self.unit(
            &format!("{name}.proj.0"),
            &format!("{name}.proj.1"),
            [inputs, outputs],
            1,
            false,
            None,
        )?;
        let mut units = Vec::new();
        for t in 0..4 {
            let unit = format!("{name}.conv.conv_{t}");
            let from = if t == 0 { inputs } else { outputs };
            // On the way up all units but the first take the style.
            let style = style.filter(|_| t > 0);
            let (norm, convolution) = match style {
                Some(_) => (format!("{unit}.conv.0"), format!("{unit}.conv.2")),
                None => (format!("{unit}.0"), format!("{unit}.2")),
            };
            let full = format!("{unit}.full");
            let style = style.map(|channels| (full.as_str(), channels));
            units.push(self.unit(&norm, &convolution, [from, outputs], 3, true, style)?);
        }
        let units = units
            .try_into()
            .unwrap_or_else(|_| unreachable!("four units"));
        Ok(Block {
            units,
            projection,
            width: outputs as u32,
        })
    }
}

impl Network {
    /// Puts a network on the device.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape than its place in the network needs, or the device has no room.
    pub fn new(executor: &dyn Executor, weights: &NetworkWeights) -> Result<Self> {
        let mut loader = Loader {
            weights,
            executor,
            style: StyleTable::default(),
        };
        let first = |n: usize| format!("downsample.down.res_down_{n}.conv.conv_0.2.weight");
        let mut widths = vec![loader.shape(&first(0), 4)?[1]];
        while let Some((shape, _)) = weights.tensor(&first(widths.len() - 1)) {
            if widths.len() > MAX_LEVELS {
                return Err(loader.wrong(format!("it has more than {MAX_LEVELS} levels")));
            }
            widths.push(shape.first().copied().unwrap_or(0));
        }
        let levels = widths.len() - 1;
        let deepest = widths[levels];
        if deepest > MAX_STYLE_CHANNELS as usize {
            return Err(loader.wrong(format!(
                "its deepest features have {deepest} channels, there is room for {MAX_STYLE_CHANNELS}"
            )));
        }
        let mut down = Vec::new();
        for n in 0..levels {
            let name = format!("downsample.down.res_down_{n}");
            down.push(loader.block(&name, [widths[n], widths[n + 1]], None)?);
        }
        let mut up = Vec::new();
        for n in 0..levels {
            let name = format!("upsample.up.res_up_{n}");
            let from = widths.get(n + 2).copied().unwrap_or(deepest);
            up.push(loader.block(&name, [from, widths[n + 1]], Some(deepest))?);
        }
        let output = loader.unit("output.0", "output.2", [widths[1], 3], 1, true, None)?;
        let style = std::mem::take(&mut loader.style);
        let style_rows = style.bias.len() as u32;
        let table = [style.weight, style.bias, style.factor, style.term].concat();
        let input = match weights.metadata("input") {
            Some("summary") => InputKind::Summary,
            Some("cellpose") => InputKind::Cellpose,
            other => {
                return Err(loader.wrong(format!(
                    "its `input` is {}, expected `summary` or `cellpose`",
                    other.map_or("missing".into(), |other| format!("`{other}`"))
                )));
            }
        };
        let number = |key: &str, low: f64, high: f64| -> Result<f64> {
            let text = weights.metadata(key).unwrap_or("missing");
            text.parse()
                .ok()
                .filter(|value| (low..=high).contains(value))
                .ok_or_else(|| {
                    loader.wrong(format!(
                        "its `{key}` is `{text}`, expected a number from {low} to {high}"
                    ))
                })
        };
        Ok(Self {
            diameter_px: number("diameter_px", 1.0, 1000.0)?,
            tile_px: number("tile", 32.0, 2048.0)? as usize,
            source: weights.source.clone(),
            style_table: executor.resident("style_table", &table)?,
            style_rows,
            down,
            up,
            output,
            channels: widths[0],
            deepest: deepest as u32,
            input,
        })
    }

    /// Channels of the input.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Height and width of the input are multiples of this.
    pub fn multiple_px(&self) -> usize {
        1 << (self.down.len() - 1)
    }

    /// Multiplications and additions for one pixel of the input, styles not counted.
    pub fn operations_per_pixel(&self) -> f64 {
        let unit = |unit: &Unit| {
            2.0 * f64::from(unit.in_channels * unit.out_channels * unit.kernel * unit.kernel)
        };
        let block =
            |block: &Block| block.units.iter().map(unit).sum::<f64>() + unit(&block.projection);
        let level = |n: usize| 4f64.powi(n as i32);
        let sum = |blocks: &[Block]| {
            blocks
                .iter()
                .enumerate()
                .map(|(n, b)| block(b) / level(n))
                .sum::<f64>()
        };
        sum(&self.down) + sum(&self.up) + unit(&self.output)
    }

    /// Bytes that all buffers of one image take on the processor, a pixel of the input: they are made before the first kernel runs.
    pub fn held_bytes_per_pixel(&self) -> f64 {
        let level = |n: usize| 4.0 / 4f64.powi(n as i32);
        let units = |blocks: &[Block]| -> f64 {
            let of = |(n, block): (usize, &Block)| 5.0 * f64::from(block.width) * level(n);
            blocks.iter().enumerate().map(of).sum()
        };
        let pooled: f64 = (1..self.down.len())
            .map(|n| f64::from(self.down[n - 1].width) * level(n))
            .sum();
        let outside = 4.0 * (self.channels as f64 + f64::from(self.output.out_channels));
        units(&self.down) + units(&self.up) + pooled + outside
    }

    /// Bytes of the largest buffer that a pixel of the input takes.
    pub fn bytes_per_pixel(&self) -> u64 {
        let widest = self.down.iter().chain(&self.up);
        widest
            .map(|block| 4 * u64::from(block.width))
            .max()
            .unwrap_or(4)
    }

    /// Appends the network on `n_images` images `[image, channel, y, x]`: `[image, 3, y, x]` (flow y, flow x, log odds).
    pub fn record(
        &self,
        commands: &mut Commands,
        images: BufferId,
        n_images: u32,
        [height, width]: [u32; 2],
    ) -> BufferId {
        let nothing = commands.zeros("nothing", 1);
        let mut recorder = Recorder {
            commands,
            n_images,
            nothing,
            style: nothing,
            style_rows: self.style_rows,
        };
        let size = |level: usize| [height >> level, width >> level];
        let mut features: Vec<BufferId> = Vec::new();
        for (level, block) in self.down.iter().enumerate() {
            let x = match features.last() {
                None => images,
                Some(&above) => recorder.pool(above, self.down[level - 1].width, size(level)),
            };
            features.push(recorder.block(block, x, size(level), false, None));
        }
        let deepest = *features.last().expect("at least one level");
        let [deep_height, deep_width] = size(self.down.len() - 1);
        let table = recorder.commands.resident(&self.style_table);
        let style = recorder
            .commands
            .buffer("style", (2 * n_images * self.style_rows) as usize);
        recorder.commands.dispatch(
            &StyleAffineParams {
                n_images,
                channels: self.deepest,
                n_pixels: deep_height * deep_width,
                n_rows: self.style_rows,
            },
            &[deepest, table, style],
        );
        recorder.style = style;
        let mut x = deepest;
        for (level, block) in self.up.iter().enumerate().rev() {
            let upsample = level + 1 < self.up.len();
            x = recorder.block(block, x, size(level), upsample, Some(features[level]));
        }
        recorder.unit(&self.output, x, size(0), false, None)
    }
}

/// Appends units to a list of commands.
struct Recorder<'a> {
    commands: &'a mut Commands,
    n_images: u32,
    nothing: BufferId,
    style: BufferId,
    style_rows: u32,
}

impl Recorder<'_> {
    fn unit(
        &mut self,
        unit: &Unit,
        x: BufferId,
        [height, width]: [u32; 2],
        upsample: bool,
        addend: Option<BufferId>,
    ) -> BufferId {
        let out = self.commands.buffer(
            "features",
            (self.n_images * unit.out_channels * height * width) as usize,
        );
        let (weight, bias) = (
            self.commands.resident(&unit.weight),
            self.commands.resident(&unit.bias),
        );
        let (affine, affine_offset, affine_gap, affine_stride) = match &unit.affine {
            Affine::Own(affine) => (self.commands.resident(affine), 0, unit.in_channels, 0),
            Affine::Style(row) => (self.style, *row, self.style_rows, 2 * self.style_rows),
        };
        self.commands.dispatch(
            &ConvolveParams {
                n_images: self.n_images,
                height,
                width,
                in_channels: unit.in_channels,
                out_channels: unit.out_channels,
                kernel: unit.kernel,
                upsample: u32::from(upsample),
                relu: u32::from(unit.relu),
                add: u32::from(addend.is_some()),
                affine_offset,
                affine_gap,
                affine_stride,
            },
            &[x, weight, bias, affine, addend.unwrap_or(self.nothing), out],
        );
        out
    }

    fn pool(&mut self, x: BufferId, channels: u32, [height, width]: [u32; 2]) -> BufferId {
        let n_images = self.n_images * channels;
        let out = self
            .commands
            .buffer("pooled", (n_images * height * width) as usize);
        self.commands.dispatch(
            &PoolMaximaParams {
                n_images,
                height,
                width,
            },
            &[x, out],
        );
        out
    }

    /// Four units with two residual additions; `skip` is added after the first.
    fn block(
        &mut self,
        block: &Block,
        x: BufferId,
        size: [u32; 2],
        upsample: bool,
        skip: Option<BufferId>,
    ) -> BufferId {
        let [first, second, third, fourth] = &block.units;
        let projected = self.unit(&block.projection, x, size, upsample, None);
        let inner = self.unit(first, x, size, upsample, skip);
        let middle = self.unit(second, inner, size, false, Some(projected));
        let inner = self.unit(third, middle, size, false, None);
        self.unit(fourth, inner, size, false, Some(middle))
    }
}
