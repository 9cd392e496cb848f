//! `settings.xml`: where the electrodes of a Neuropixels probe are, as the Neuropix-PXI and OneBox plugins write it.
//!
//! Each `NP_PROBE` has one attribute a channel in `ELECTRODE_XPOS` and `ELECTRODE_YPOS` (µm), and in `CHANNELS` the bank and, with
//! several shanks, the shank (`bank:shank`, or `CH12_3` for channel 12 of shank 3 on a quad-base probe). Channels count from 0 here;
//! plugins before 0.7 name them from 1 in `structure.oebin`. Channels are found by name, so that a channel map or a subset of
//! channels does no harm. Which probe a stream belongs to is said by its name, else by its place among the streams. Sources: the
//! plugins' documentation, and 23 real files in probeinterface's tests; compared with probeinterface and, by the electrode's number that
//! `structure.oebin` has, with its catalogue of probes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::probe::{Contact, Probe, UnwiredContact};
use crate::recording::flat::read_small;
use crate::xml::{Tag, Tags};

/// What one more shank adds to y, in error, in files of versions before 0.6.
const SHANK_PITCH_UM: f64 = 250.0;

/// A stream, as far as a probe is to be found for it.
pub(super) struct Wanted<'a> {
    /// Its folder's name, `SOURCE-ID.NAME`.
    pub folder: &'a str,
    /// Names of its neural channels.
    pub channels: Vec<&'a str>,
    pub sampling_frequency_hz: f64,
}

/// What was found for a stream.
#[derive(Debug)]
pub(super) struct Placed {
    /// Contacts, wired to the rows of those channels that have one.
    pub probe: Probe,
    /// Rows of the wanted channels that have a contact.
    pub rows: Vec<usize>,
    /// When each of these is sampled, in sample periods.
    pub sample_delay: Option<Vec<f32>>,
}

/// The settings of the recording that `structure_path` describes: `settings.xml` of its record node, or `settings_2.xml` and so
/// on where the experiment has one.
pub(super) fn beside(structure_path: &Path) -> Option<PathBuf> {
    let experiment = structure_path.parent()?.parent()?;
    let node = experiment.parent()?;
    let name = experiment.file_name()?.to_str()?;
    let number = name.strip_prefix("experiment").filter(|n| *n != "1");
    let own = number.map(|number| node.join(format!("settings_{number}.xml")));
    own.into_iter()
        .chain([node.join("settings.xml")])
        .find(|path| path.is_file())
}

/// Places the channels of a stream; `None` when the settings have no Neuropixels probe.
///
/// # Errors
/// Why the stream's probe is not known, as the end of a sentence.
pub(super) fn read(path: &Path, wanted: &Wanted) -> Result<Option<Placed>, String> {
    let bytes = read_small(path).map_err(|error| error.to_string())?;
    place(&String::from_utf8_lossy(&bytes), wanted)
}

/// One probe of the settings.
#[derive(Debug, Default)]
struct NpProbe {
    part_number: String,
    serial_number: String,
    custom_name: String,
    is_enabled: bool,
    n_converters: Option<usize>,
    shank: Option<usize>,
    /// By channel from 0.
    channels: BTreeMap<usize, Electrode>,
}

/// Where a channel's electrode is.
#[derive(Clone, Copy, Debug, Default)]
struct Electrode {
    x_um: Option<f64>,
    y_um: Option<f64>,
    shank: usize,
}

/// A processor with probes.
#[derive(Debug, Default)]
struct Processor {
    id: String,
    version: (u32, u32),
    streams: Vec<String>,
    probes: Vec<NpProbe>,
}

/// Places the channels of a stream by the text of the settings.
fn place(text: &str, wanted: &Wanted) -> Result<Option<Placed>, String> {
    let mut processors = parse(text);
    processors.retain(|processor| processor.probes.iter().any(|probe| probe.is_enabled));
    let (source, stream) = wanted
        .folder
        .split_once('.')
        .unwrap_or((wanted.folder, wanted.folder));
    let id = source.rsplit_once('-').map_or(source, |(_, id)| id);
    let processor = match &processors[..] {
        [] => return Ok(None),
        [one] => one,
        several => several
            .iter()
            .find(|processor| processor.id == id)
            .ok_or_else(|| format!("no processor with probes has the number {id}"))?,
    };
    if processors.len() == 1 && processor.id != id && !processor.id.is_empty() && is_number(id) {
        // The stream of another processor, as a headstage beside the probes.
        return Ok(None);
    }
    let probe = probe_of_stream(processor, stream)?;
    let mut channels = probe.channels.clone();
    if version_of_program(text) < (0, 6) {
        for electrode in channels.values_mut() {
            let in_error_um = SHANK_PITCH_UM * electrode.shank as f64;
            electrode.y_um = electrode.y_um.map(|y_um| y_um - in_error_um);
        }
    }
    let numbers: Option<Vec<usize>> = wanted.channels.iter().map(|name| number_in(name)).collect();
    let numbers = numbers.ok_or("the names of the channels have no numbers")?;
    let first = first_number(&channels, &numbers, processor.version);
    let mut contacts = Vec::new();
    let mut rows = Vec::new();
    for (row, &number) in numbers.iter().enumerate() {
        let electrode = number
            .checked_sub(first)
            .and_then(|channel| channels.remove(&channel));
        let Some(Electrode {
            x_um: Some(x_um),
            y_um: Some(y_um),
            shank,
        }) = electrode
        else {
            continue;
        };
        contacts.push(Contact {
            id: wanted.channels[row].to_owned(),
            x_um,
            y_um,
            shank,
            channel: rows.len(),
        });
        rows.push(row);
    }
    if contacts.len() * 2 < numbers.len() {
        return Err(format!(
            "it has places for {} of {} channels",
            contacts.len(),
            numbers.len()
        ));
    }
    let unwired = channels.values().filter_map(|electrode| {
        Some(UnwiredContact {
            x_um: electrode.x_um?,
            y_um: electrode.y_um?,
            shank: electrode.shank,
        })
    });
    let sample_delay = sample_delay(probe, wanted).map(|delay_of| {
        let of_row = |&row: &usize| delay_of(numbers[row] - first);
        rows.iter().map(of_row).collect()
    });
    let name = probe.part_number.clone();
    Ok(Some(Placed {
        probe: Probe::new(contacts, name).with_unwired(unwired.collect()),
        rows,
        sample_delay,
    }))
}

/// The delay of a channel from 0, where the probe's rule is known: its converters serve 12 or 16 channels one after the other, in pairs;
/// those of 1.0 spend a thirteenth step on the LF band.
fn sample_delay(probe: &NpProbe, wanted: &Wanted) -> Option<impl Fn(usize) -> f32 + use<>> {
    let (n, n_steps) = match probe.n_converters? {
        32 => (12, 13.0),
        24 => (16, 16.0),
        _ => return None,
    };
    let is_slow = wanted.sampling_frequency_hz < 5000.0;
    let is_usual = probe.channels.keys().all(|&channel| channel < 384);
    (!is_slow && is_usual).then_some(move |channel: usize| ((channel / 2) % n) as f32 / n_steps)
}

/// The probe that a stream of a processor belongs to.
fn probe_of_stream<'a>(processor: &'a Processor, stream: &str) -> Result<&'a NpProbe, String> {
    let enabled: Vec<&NpProbe> = processor
        .probes
        .iter()
        .filter(|probe| probe.is_enabled)
        .collect();
    let base = base_name(stream);
    let is_named = |probe: &NpProbe| {
        let with_shank = probe
            .shank
            .map(|shank| format!("{}-{}", probe.custom_name, shank + 1));
        probe.custom_name == base
            || probe.serial_number == base
            || with_shank.as_deref() == Some(base)
    };
    let named: Vec<&&NpProbe> = enabled.iter().filter(|probe| is_named(probe)).collect();
    if let [one] = named[..] {
        return Ok(one);
    }
    let mut bases: Vec<&str> = Vec::new();
    for name in processor
        .streams
        .iter()
        .filter(|name| !name.contains("ADC"))
    {
        let base = base_name(name);
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    let index = if bases.is_empty() {
        // Before 0.6 streams had numbers: one for a 2.0 probe, two (AP, LFP) for a 1.0 probe.
        let streams = enabled.iter().enumerate().flat_map(|(index, probe)| {
            let is_two = ["NP20", "PRB2"]
                .iter()
                .any(|start| probe.part_number.starts_with(start));
            vec![index; if is_two { 1 } else { 2 }]
        });
        base.parse()
            .ok()
            .and_then(|number| streams.collect::<Vec<_>>().get::<usize>(number).copied())
    } else {
        bases
            .iter()
            .position(|known| *known == base)
            .filter(|_| bases.len() == enabled.len())
    };
    index.map(|index| enabled[index]).ok_or_else(|| {
        format!(
            "which of its {} probes the stream `{stream}` is of is not clear",
            enabled.len()
        )
    })
}

/// A stream's name without the band.
fn base_name(stream: &str) -> &str {
    stream
        .strip_suffix("-AP")
        .or(stream.strip_suffix("-LFP"))
        .unwrap_or(stream)
}

/// What the first channel is called in the names, 0 or 1: whichever finds more of them; where both do, what the plugin's version does.
fn first_number(
    channels: &BTreeMap<usize, Electrode>,
    numbers: &[usize],
    plugin: (u32, u32),
) -> usize {
    let n_found = |first: usize| {
        let found = |number: &&usize| {
            number
                .checked_sub(first)
                .is_some_and(|channel| channels.contains_key(&channel))
        };
        numbers.iter().filter(found).count()
    };
    match n_found(0).cmp(&n_found(1)) {
        std::cmp::Ordering::Greater => 0,
        std::cmp::Ordering::Less => 1,
        std::cmp::Ordering::Equal => usize::from(plugin < (0, 7)),
    }
}

/// All processors, with the probes of those that have some.
fn parse(text: &str) -> Vec<Processor> {
    let mut processors: Vec<Processor> = Vec::new();
    let mut is_before_settings = false;
    for tag in Tags(text) {
        if tag.name == "PROCESSOR" {
            is_before_settings = true;
            processors.push(Processor {
                id: tag
                    .get("nodeId")
                    .or(tag.get("NodeId"))
                    .unwrap_or_default()
                    .to_owned(),
                version: version(tag.get("libraryVersion").unwrap_or_default()),
                ..Processor::default()
            });
            continue;
        }
        let Some(processor) = processors.last_mut() else {
            continue;
        };
        match tag.name {
            // A processor's own streams come first; those of its settings are what it makes of them.
            "CUSTOM_PARAMETERS" | "EDITOR" => is_before_settings = false,
            "STREAM" if is_before_settings => {
                processor.streams.extend(tag.get("name").map(str::to_owned));
            }
            "NP_PROBE" => processor.probes.push(probe_of(&tag)),
            "CHANNELS" | "ELECTRODE_XPOS" | "ELECTRODE_YPOS" => {
                if let Some(probe) = processor.probes.last_mut() {
                    add_channels(probe, &tag);
                }
            }
            _ => {}
        }
    }
    processors
}

fn probe_of(tag: &Tag) -> NpProbe {
    let text = |names: [&str; 2]| {
        let value = names.iter().find_map(|name| tag.get(name));
        value.unwrap_or_default().to_owned()
    };
    NpProbe {
        part_number: text(["probe_part_number", "probePartNumber"]),
        serial_number: text(["probe_serial_number", "probeSerialNumber"]),
        custom_name: text(["custom_probe_name", "customProbeName"]),
        is_enabled: tag.get("isEnabled") != Some("0"),
        n_converters: tag.get("num_adcs").and_then(|n| n.parse().ok()),
        shank: tag
            .get("shank")
            .and_then(|shank| shank.parse().ok())
            .filter(|&shank: &usize| shank < 64),
        channels: BTreeMap::new(),
    }
}

/// Adds what a tag says of each channel.
fn add_channels(probe: &mut NpProbe, tag: &Tag) {
    for (name, value) in tag.attributes() {
        let Some(channel) = number_in(name) else {
            continue;
        };
        let electrode = probe.channels.entry(channel).or_default();
        let number = || {
            value
                .trim()
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
        };
        match tag.name {
            "ELECTRODE_XPOS" => electrode.x_um = number(),
            "ELECTRODE_YPOS" => electrode.y_um = number(),
            _ => {
                let after_bank = value.split_once(':').map(|(_, shank)| shank);
                let in_name = name.split_once('_').map(|(_, shank)| shank);
                let shank = after_bank
                    .or(in_name)
                    .and_then(|shank| shank.trim().parse().ok());
                electrode.shank = shank.or(probe.shank).unwrap_or(0).min(63);
            }
        }
    }
}

/// The first number in a name, as 12 in `CH12_3` or `AP12`.
fn number_in(name: &str) -> Option<usize> {
    let start = name.find(|c: char| c.is_ascii_digit())?;
    let digits = &name[start..];
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().ok()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Version of Open Ephys; 1.0 where the file does not say it.
fn version_of_program(text: &str) -> (u32, u32) {
    let after = text.split_once("<VERSION>").map(|(_, after)| after);
    let inside = after
        .and_then(|after| after.split_once('<'))
        .map(|(inside, _)| inside);
    inside.map_or((1, 0), version)
}

/// The first two numbers of a version; what is missing counts as 0.
fn version(text: &str) -> (u32, u32) {
    let mut numbers = text
        .trim()
        .split(['.', '-'])
        .map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
