//! NWB: one file of a sorting, of a movie's result, or of both, with what the user says of the session.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use somata_io::{
    imaging_output::{
        nwb_ophys::{NwbMicroscope, write_nwb_ophys},
        result_reader::{ImagingResult, read_imaging_result},
    },
    nwb_file::{NwbSession, NwbSubject, NwbTime, NwbWriter},
    sorting_output::{
        nwb_units::{NwbProbe, write_nwb_units},
        phy_reader::{PhySorting, read_phy},
        phy_templates::{UnitWaveforms, read_phy_electrodes},
    },
};

use super::{Kind, Target, Written};
use crate::{
    exit::{ExitCode, Failure, Outcome},
    sorting_output::seconds_since_epoch,
};

/// The options that only NWB has.
#[derive(Args)]
#[command(next_help_heading = "Options of `--to nwb`")]
pub struct NwbArguments {
    /// A second result for the same file: of a movie beside a sorting, or the other way round
    #[arg(long, value_name = "RESULT")]
    pub with: Option<PathBuf>,
    /// TOML file with what the results do not say: session, subject, probe, microscope
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// When the session began, as 2026-01-31T09:30:00+01:00; goes before the file's `session_start`
    #[arg(long, value_name = "TIME")]
    session_start: Option<String>,
}

impl NwbArguments {
    /// The first option that is given, as it is typed.
    pub fn given(&self) -> Option<&'static str> {
        let options = [
            (self.with.is_some(), "--with"),
            (self.metadata.is_some(), "--metadata"),
            (self.session_start.is_some(), "--session-start"),
        ];
        options
            .into_iter()
            .find_map(|(given, name)| given.then_some(name))
    }
}

/// The file of `--metadata`.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Metadata {
    session_description: Option<String>,
    session_start: Option<toml::Value>,
    identifier: Option<String>,
    session_id: Option<String>,
    experimenter: Vec<String>,
    lab: Option<String>,
    institution: Option<String>,
    experiment_description: Option<String>,
    keywords: Vec<String>,
    notes: Option<String>,
    subject: Option<Subject>,
    probe: Probe,
    microscope: Microscope,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Subject {
    subject_id: Option<String>,
    species: Option<String>,
    sex: Option<String>,
    age: Option<String>,
    date_of_birth: Option<toml::Value>,
    description: Option<String>,
    genotype: Option<String>,
    strain: Option<String>,
    weight: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Probe {
    name: Option<String>,
    description: Option<String>,
    manufacturer: Option<String>,
    location: Option<String>,
    start_s: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Microscope {
    name: Option<String>,
    description: Option<String>,
    manufacturer: Option<String>,
    location: Option<String>,
    indicator: Option<String>,
    excitation_nm: Option<f32>,
    emission_nm: Option<f32>,
    start_s: Option<f64>,
}

/// What is written where nobody said it; the format asks for a text.
const UNKNOWN: &str = "unknown";

/// Writes one file.
pub fn convert(
    result: &Path,
    kind: Kind,
    target: &Target,
    arguments: &NwbArguments,
) -> Outcome<Written> {
    let metadata = read_metadata(arguments.metadata.as_deref())?;
    let mut results = vec![(result, kind)];
    if let Some(other) = &arguments.with {
        results.push((other, second_kind(other, kind)?));
    }
    let path_of = |kind: Kind| {
        let mut found = results.iter().filter(|(_, found)| *found == kind);
        found.next().map(|(path, _)| *path)
    };
    let (sorted, imaged) = (path_of(Kind::Sorting), path_of(Kind::Imaging));
    let sorting = sorted.map(read_phy).transpose()?;
    let imaging = imaged.map(read_imaging_result).transpose()?;
    let mut written = Written::default();
    let session = session(&metadata, arguments, result, &mut written)?;
    if results.len() == 2
        && metadata
            .probe
            .start_s
            .or(metadata.microscope.start_s)
            .is_none()
    {
        written.warnings.push(
            "recording and movie are written as if they had begun at the same moment; `start_s` of `[probe]` or \
             `[microscope]` in the file of `--metadata` says otherwise"
                .to_owned(),
        );
    }
    let content = content_hash(&results, sorting.as_ref(), imaging.as_ref());
    let mut nwb = NwbWriter::create(target.path, &session, &content)?;
    if let (Some(path), Some(sorting)) = (sorted, &sorting) {
        let electrodes = read_phy_electrodes(path)?;
        let waveforms = UnitWaveforms::open(path, sorting)?;
        let probe = probe(&metadata.probe, path, sorting);
        write_nwb_units(
            &mut nwb,
            sorting,
            electrodes.as_ref(),
            waveforms.as_ref(),
            &probe,
        )?;
        written.counts.extend([
            ("units", sorting.unit_ids.len()),
            ("spikes", sorting.spike_samples.len()),
        ]);
    }
    if let (Some(path), Some(imaging)) = (imaged, &imaging) {
        let microscope = microscope(&metadata.microscope, path);
        written
            .warnings
            .extend(write_nwb_ophys(&mut nwb, imaging, &microscope)?);
        written.counts.extend([
            ("cells", imaging.n_cells()),
            ("planes", imaging.planes.len()),
            ("frames", imaging.traces.n_frames()),
        ]);
    }
    nwb.finish()?;
    Ok(written)
}

/// What the second result is, which must be the other modality.
fn second_kind(other: &Path, first: Kind) -> Outcome<Kind> {
    let second = super::kind(other)?;
    if [
        (Kind::Sorting, Kind::Imaging),
        (Kind::Imaging, Kind::Sorting),
    ]
    .contains(&(first, second))
    {
        return Ok(second);
    }
    Err(Failure::new(
        ExitCode::Usage,
        format!(
            "`{}` is {}, which cannot go into one file with {}",
            other.display(),
            second.name(),
            first.name()
        ),
    )
    .hint("`--with` takes a movie's result beside a sorting, or a sorting beside a movie's result"))
}

fn read_metadata(path: Option<&Path>) -> Outcome<Metadata> {
    let Some(path) = path else {
        return Ok(Metadata::default());
    };
    let failed = |what: String| Failure::new(ExitCode::Usage, what);
    let text = std::fs::read_to_string(path).map_err(|error| {
        failed(format!("could not read `{}`: {error}", path.display()))
            .hint("give `--metadata` the path of a TOML file")
    })?;
    toml::from_str(&text).map_err(|error| {
        // The cause may go over several lines, of which the first says it.
        let cause = error.message().lines().next().unwrap_or_default();
        failed(format!("`{}`: {cause}", path.display()))
            .hint("docs/guides/hand-on-results.md has a file with every key")
    })
}

/// A moment as the user wrote it, in quotes or not.
fn moment(value: &toml::Value, name: &str) -> Outcome<NwbTime> {
    let text = match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    };
    NwbTime::parse(&text).ok_or_else(|| {
        Failure::new(
            ExitCode::Usage,
            format!("`{name}` is `{text}`, which is no date and time with a time zone"),
        )
        .hint("write it as 2026-01-31T09:30:00+01:00, or with `Z` at the end for UTC")
    })
}

fn session(
    metadata: &Metadata,
    arguments: &NwbArguments,
    result: &Path,
    written: &mut Written,
) -> Outcome<NwbSession> {
    let start_time = match (&arguments.session_start, &metadata.session_start) {
        (Some(text), _) => moment(&toml::Value::String(text.clone()), "--session-start")?,
        (None, Some(value)) => moment(value, "session_start")?,
        (None, None) => {
            let start = NwbTime::of_unix_s(0);
            written.warnings.push(format!(
                "the result does not say when the session began, and {start} is written; `--session-start` says it"
            ));
            start
        }
    };
    let subject = match &metadata.subject {
        None => None,
        Some(subject) => Some(NwbSubject {
            subject_id: subject.subject_id.clone(),
            species: subject.species.clone(),
            sex: subject.sex.clone(),
            age: subject.age.clone(),
            date_of_birth: subject
                .date_of_birth
                .as_ref()
                .map(|value| moment(value, "date_of_birth"))
                .transpose()?,
            description: subject.description.clone(),
            genotype: subject.genotype.clone(),
            strain: subject.strain.clone(),
            weight: subject.weight.clone(),
        }),
    };
    let made_by = manifest(result)["somata"]
        .as_str()
        .unwrap_or(env!("CARGO_PKG_VERSION"))
        .to_owned();
    Ok(NwbSession {
        description: or(&metadata.session_description, "processed with somata"),
        start_time,
        file_create_date: NwbTime::of_unix_s(seconds_since_epoch()),
        identifier: metadata.identifier.clone(),
        session_id: metadata.session_id.clone(),
        experimenter: metadata.experimenter.clone(),
        lab: metadata.lab.clone(),
        institution: metadata.institution.clone(),
        experiment_description: metadata.experiment_description.clone(),
        keywords: metadata.keywords.clone(),
        notes: metadata.notes.clone(),
        subject,
        generated_by: ["somata".to_owned(), made_by],
    })
}

fn or(text: &Option<String>, default: &str) -> String {
    text.clone().unwrap_or_else(|| default.to_owned())
}

/// What the manifest of a result says; null where there is none, as in the folders of other programs.
fn manifest(result: &Path) -> Value {
    let text = std::fs::read_to_string(result.join("manifest.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

fn probe(said: &Probe, result: &Path, sorting: &PhySorting) -> NwbProbe {
    let manifest = manifest(result);
    // Templates begin a whole number of samples before the trough.
    let rate = sorting.sampling_frequency_hz;
    let before_ms = manifest["parameters"]["templates"]["before_ms"].as_f64();
    NwbProbe {
        name: or(&said.name, "probe"),
        description: or(&said.description, "extracellular probe"),
        manufacturer: said.manufacturer.clone(),
        location: or(&said.location, UNKNOWN),
        start_s: said.start_s.unwrap_or(0.0),
        n_samples: manifest["recording"]["n_samples"].as_u64(),
        before_trough_ms: before_ms.map(|ms| (ms * rate / 1000.0).round() / rate * 1000.0),
    }
}

fn microscope(said: &Microscope, result: &Path) -> NwbMicroscope {
    let size = manifest(result)["movie"]["pixel_size_um"].clone();
    NwbMicroscope {
        name: or(&said.name, "microscope"),
        description: or(&said.description, "two-photon microscope"),
        manufacturer: said.manufacturer.clone(),
        location: or(&said.location, UNKNOWN),
        indicator: or(&said.indicator, UNKNOWN),
        excitation_nm: said.excitation_nm.unwrap_or(f32::NAN),
        emission_nm: said.emission_nm.unwrap_or(f32::NAN),
        start_s: said.start_s.unwrap_or(0.0),
        pixel_size_um: serde_json::from_value(size).unwrap_or(None),
    }
}

/// Stands for what the file holds: manifests, which name input and parameters, and spikes and cells, which may have been curated since.
fn content_hash(
    results: &[(&Path, Kind)],
    sorting: Option<&PhySorting>,
    imaging: Option<&ImagingResult>,
) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for (path, _) in results {
        hasher.update(&std::fs::read(path.join("manifest.json")).unwrap_or_default());
    }
    let mut add = |number: i64| {
        hasher.update(&number.to_le_bytes());
    };
    if let Some(sorting) = sorting {
        sorting.spike_samples.iter().copied().for_each(&mut add);
        let units = sorting.spike_units.iter();
        units.for_each(|&unit| add(sorting.unit_ids[unit]));
    }
    for plane in imaging.into_iter().flat_map(|imaging| &imaging.planes) {
        for cell in &plane.cells {
            add(cell.ypix.len() as i64);
            cell.ypix.iter().copied().for_each(&mut add);
            cell.xpix.iter().copied().for_each(&mut add);
        }
    }
    hasher.finalize()
}
