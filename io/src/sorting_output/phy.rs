//! A folder that phy, SpikeInterface's `read_phy` and DataJoint's reader open.
//!
//! The eleven files that DataJoint wants (`params.py` and ten `.npy`) are always written, plus: `templates_ind.npy` (which channels
//! the template's columns are: all), `templates_uv.npy` (templates in µV before whitening) and `templates_sd_uv.npy` (how much waveforms differ; neither is a file of
//! phy's, which ignores them),
//! `spike_positions.npy`, `channel_shanks.npy`, `whitening_mat.npy`, `whitening_mat_inv.npy` and one `cluster_NAME.tsv` a column.
//! Principal components come as a stream, since they are the only large table. Source: phy's documentation of its template format.

use std::io::Write;
use std::path::Path;

use super::phy_params::params_py;
use crate::error::IoError;
use crate::npy::{NpyStream, write_npy};
use crate::recording::RawLayout;

/// One table `cluster_NAME.tsv`.
#[derive(Clone, PartialEq, Debug)]
pub struct ClusterColumn {
    /// The column's name, as `group`, `KSLabel`, `Amplitude`.
    pub name: String,
    /// One value a cluster; the cluster's id is the position in this list.
    pub values: Vec<String>,
}

/// Everything but the principal components. Channels are the delivered ones; spikes are in order of time.
#[derive(Clone, Debug)]
pub struct PhyTables<'a> {
    /// Samples a second and channel.
    pub sampling_frequency_hz: f64,
    /// The flat raw file, if there is one.
    pub raw: Option<&'a RawLayout>,
    /// Column in the raw file of each channel; its length is the number of channels.
    pub channel_map: &'a [i32],
    /// x and y of each channel in µm.
    pub channel_positions: &'a [[f32; 2]],
    /// Shank of each channel.
    pub channel_shanks: &'a [i32],
    /// Number of templates.
    pub n_templates: usize,
    /// Length of a template in samples.
    pub n_template_samples: usize,
    /// `[templates, samples, channels]`, whitened.
    pub templates: &'a [f32],
    /// `[templates, samples, channels]` in µV, not whitened.
    pub templates_uv: &'a [f32],
    /// `[templates, samples, channels]` in µV: standard deviation of the waveforms; not a number where it was not measured.
    pub templates_sd_uv: &'a [f32],
    /// `[channels, channels]`.
    pub whitening_mat: &'a [f32],
    /// `[channels, channels]`, its inverse.
    pub whitening_mat_inv: &'a [f32],
    /// `[templates, templates]`.
    pub similar_templates: &'a [f32],
    /// `[templates, local channels]`: channels of each template's components.
    pub pc_feature_ind: &'a [u32],
    /// Components a channel.
    pub n_pcs: usize,
    /// Channels a template has components on.
    pub n_local: usize,
    /// Sample of each spike.
    pub spike_times: &'a [i64],
    /// Cluster of each spike.
    pub spike_clusters: &'a [i32],
    /// Template of each spike.
    pub spike_templates: &'a [i32],
    /// Amplitude of each spike, as a multiple of its template.
    pub amplitudes: &'a [f64],
    /// x and y of each spike in µm.
    pub spike_positions: &'a [[f32; 2]],
    /// Tables of the clusters. With only one of `group` and `KSLabel`, the other is written with the same values.
    pub cluster_columns: Vec<ClusterColumn>,
}

/// Writes the folder `folder`, which must exist or whose parent must.
///
/// `pc_features` yields the components of the spikes in order, `[spikes, components, local channels]`, one spike or a batch at a
/// time; all together they must be as many as there are spikes. Build the folder inside a [`crate::atomic::OutputFolder`] to have
/// it whole or not at all.
///
/// # Errors
/// When tables do not fit each other, `pc_features` fails, or a file cannot be written.
pub fn write_phy(
    folder: &Path,
    tables: &PhyTables,
    pc_features: &mut dyn Iterator<Item = Result<Vec<f32>, IoError>>,
) -> Result<(), IoError> {
    check(folder, tables)?;
    std::fs::create_dir_all(folder).map_err(|source| IoError::write(folder, source))?;
    let (n_channels, n_spikes) = (tables.channel_map.len(), tables.spike_times.len());
    let (n_templates, n_samples) = (tables.n_templates, tables.n_template_samples);
    let at = |name: &str| folder.join(name);
    let template_shape = [n_templates, n_samples, n_channels];
    write_npy(&at("templates.npy"), &template_shape, tables.templates)?;
    write_npy(
        &at("templates_uv.npy"),
        &template_shape,
        tables.templates_uv,
    )?;
    write_npy(
        &at("templates_sd_uv.npy"),
        &template_shape,
        tables.templates_sd_uv,
    )?;
    let all_channels: Vec<i32> = (0..n_templates)
        .flat_map(|_| 0..n_channels as i32)
        .collect();
    write_npy(
        &at("templates_ind.npy"),
        &[n_templates, n_channels],
        &all_channels,
    )?;
    write_npy(
        &at("similar_templates.npy"),
        &[n_templates, n_templates],
        tables.similar_templates,
    )?;
    write_npy(&at("channel_map.npy"), &[n_channels], tables.channel_map)?;
    write_npy(
        &at("channel_positions.npy"),
        &[n_channels, 2],
        tables.channel_positions.as_flattened(),
    )?;
    write_npy(
        &at("channel_shanks.npy"),
        &[n_channels],
        tables.channel_shanks,
    )?;
    write_npy(
        &at("whitening_mat.npy"),
        &[n_channels, n_channels],
        tables.whitening_mat,
    )?;
    write_npy(
        &at("whitening_mat_inv.npy"),
        &[n_channels, n_channels],
        tables.whitening_mat_inv,
    )?;
    write_npy(&at("spike_times.npy"), &[n_spikes], tables.spike_times)?;
    write_npy(
        &at("spike_clusters.npy"),
        &[n_spikes],
        tables.spike_clusters,
    )?;
    write_npy(
        &at("spike_templates.npy"),
        &[n_spikes],
        tables.spike_templates,
    )?;
    write_npy(&at("amplitudes.npy"), &[n_spikes], tables.amplitudes)?;
    write_npy(
        &at("spike_positions.npy"),
        &[n_spikes, 2],
        tables.spike_positions.as_flattened(),
    )?;
    write_npy(
        &at("pc_feature_ind.npy"),
        &[n_templates, tables.n_local],
        tables.pc_feature_ind,
    )?;
    let path = at("pc_features.npy");
    let mut stream = NpyStream::<f32>::create(&path, &[tables.n_pcs, tables.n_local])?;
    for batch in pc_features {
        stream.append(&batch?)?;
    }
    let n_rows = stream.finish()?;
    if n_rows != n_spikes as u64 {
        return Err(IoError::BadTables {
            path,
            what: format!("components of {n_rows} spikes for {n_spikes} spikes"),
        });
    }
    write_cluster_tables(folder, &tables.cluster_columns)?;
    let params = params_py(tables.raw, tables.sampling_frequency_hz, n_channels);
    write_text(&at("params.py"), &params)
}

/// Lengths that must agree, and indices that must exist.
fn check(folder: &Path, tables: &PhyTables) -> Result<(), IoError> {
    let bad = |what: String| {
        Err(IoError::BadTables {
            path: folder.to_owned(),
            what,
        })
    };
    let (n_channels, n_spikes, n_templates) = (
        tables.channel_map.len(),
        tables.spike_times.len(),
        tables.n_templates,
    );
    let n_values = n_templates * tables.n_template_samples * n_channels;
    for (name, found, expected) in [
        (
            "channel_positions",
            tables.channel_positions.len(),
            n_channels,
        ),
        ("channel_shanks", tables.channel_shanks.len(), n_channels),
        ("templates", tables.templates.len(), n_values),
        ("templates_uv", tables.templates_uv.len(), n_values),
        ("templates_sd_uv", tables.templates_sd_uv.len(), n_values),
        (
            "whitening_mat",
            tables.whitening_mat.len(),
            n_channels * n_channels,
        ),
        (
            "whitening_mat_inv",
            tables.whitening_mat_inv.len(),
            n_channels * n_channels,
        ),
        (
            "similar_templates",
            tables.similar_templates.len(),
            n_templates * n_templates,
        ),
        (
            "pc_feature_ind",
            tables.pc_feature_ind.len(),
            n_templates * tables.n_local,
        ),
        ("spike_clusters", tables.spike_clusters.len(), n_spikes),
        ("spike_templates", tables.spike_templates.len(), n_spikes),
        ("amplitudes", tables.amplitudes.len(), n_spikes),
        ("spike_positions", tables.spike_positions.len(), n_spikes),
    ] {
        if found != expected {
            return bad(format!(
                "`{name}` has {found} entries instead of {expected}"
            ));
        }
    }
    if !tables.spike_times.is_sorted() {
        return bad("`spike_times` is not in order".to_owned());
    }
    if let Some(template) = tables
        .spike_templates
        .iter()
        .find(|&&t| usize::try_from(t).map_or(true, |t| t >= n_templates))
    {
        return bad(format!(
            "`spike_templates` names template {template} of {n_templates}"
        ));
    }
    if let Some(column) = tables.cluster_columns.iter().find(|column| {
        let no_file_name = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-');
        column.name.is_empty() || column.name.contains(no_file_name)
    }) {
        return bad(format!("`{}` is no name of a cluster table", column.name));
    }
    Ok(())
}

/// `cluster_NAME.tsv` of each column.
fn write_cluster_tables(folder: &Path, columns: &[ClusterColumn]) -> Result<(), IoError> {
    let named = |name: &str| columns.iter().find(|column| column.name == name);
    let twin = match (named("group"), named("KSLabel")) {
        (Some(group), None) => Some(ClusterColumn {
            name: "KSLabel".to_owned(),
            values: group.values.clone(),
        }),
        (None, Some(label)) => Some(ClusterColumn {
            name: "group".to_owned(),
            values: label.values.clone(),
        }),
        _ => None,
    };
    for column in columns.iter().chain(&twin) {
        let mut text = format!("cluster_id\t{}\n", column.name);
        for (id, value) in column.values.iter().enumerate() {
            let value = value.replace(['\t', '\n', '\r'], " ");
            text.push_str(&format!("{id}\t{value}\n"));
        }
        write_text(&folder.join(format!("cluster_{}.tsv", column.name)), &text)?;
    }
    Ok(())
}

/// A text file, flushed to disk.
fn write_text(path: &Path, text: &str) -> Result<(), IoError> {
    let failed = |source| IoError::write(path, source);
    let mut file = std::fs::File::create(path).map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}
