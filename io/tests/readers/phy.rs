//! The phy folder. The one that is left in the target folder is opened by phylib and SpikeInterface in `golden/open_phy.py`.

use std::path::Path;

use somata_io::IoError;
use somata_io::npy::read_npy;
use somata_io::probe::{Contact, Probe, probeinterface_json};
use somata_io::recording::RawLayout;
use somata_io::sorting_output::phy::{ClusterColumn, PhyTables, write_phy};

const N_CHANNELS: usize = 6;
const N_TEMPLATES: usize = 3;
const N_SAMPLES: usize = 20;
const N_SPIKES: usize = 50;
const N_LOCAL: usize = 4;

/// Arrays of a small sorting.
struct Arrays {
    channel_map: Vec<i32>,
    positions: Vec<[f32; 2]>,
    shanks: Vec<i32>,
    templates: Vec<f32>,
    identity: Vec<f32>,
    similar: Vec<f32>,
    pc_feature_ind: Vec<u32>,
    spike_times: Vec<i64>,
    spike_templates: Vec<i32>,
    amplitudes: Vec<f64>,
    spike_positions: Vec<[f32; 2]>,
}

impl Arrays {
    fn new() -> Arrays {
        let identity = |n: usize| {
            (0..n * n)
                .map(|index| if index % (n + 1) == 0 { 1.0 } else { 0.0 })
                .collect()
        };
        Arrays {
            channel_map: (0..N_CHANNELS as i32).collect(),
            positions: (0..N_CHANNELS)
                .map(|channel| [16.0 * (channel % 2) as f32, 20.0 * (channel / 2) as f32])
                .collect(),
            shanks: vec![0; N_CHANNELS],
            templates: (0..N_TEMPLATES * N_SAMPLES * N_CHANNELS)
                .map(|index| ((index * 31) % 17) as f32 - 8.0)
                .collect(),
            identity: identity(N_CHANNELS),
            similar: identity(N_TEMPLATES),
            pc_feature_ind: (0..N_TEMPLATES).flat_map(|_| 0..N_LOCAL as u32).collect(),
            spike_times: (0..N_SPIKES as i64).map(|spike| 30 + spike).collect(),
            spike_templates: (0..N_SPIKES as i32).map(|spike| spike % 3).collect(),
            amplitudes: vec![1.0; N_SPIKES],
            spike_positions: vec![[8.0, 20.0]; N_SPIKES],
        }
    }

    fn tables<'a>(&'a self, raw: Option<&'a RawLayout>) -> PhyTables<'a> {
        let column = |name: &str, values: [&str; 3]| ClusterColumn {
            name: name.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        };
        PhyTables {
            sampling_frequency_hz: 30000.0,
            raw,
            channel_map: &self.channel_map,
            channel_positions: &self.positions,
            channel_shanks: &self.shanks,
            n_templates: N_TEMPLATES,
            n_template_samples: N_SAMPLES,
            templates: &self.templates,
            templates_uv: &self.templates,
            templates_sd_uv: &self.templates,
            whitening_mat: &self.identity,
            whitening_mat_inv: &self.identity,
            similar_templates: &self.similar,
            pc_feature_ind: &self.pc_feature_ind,
            n_pcs: 3,
            n_local: N_LOCAL,
            spike_times: &self.spike_times,
            spike_clusters: &self.spike_templates,
            spike_templates: &self.spike_templates,
            amplitudes: &self.amplitudes,
            spike_positions: &self.spike_positions,
            cluster_columns: vec![
                column("group", ["good", "mua", "noise"]),
                column("Amplitude", ["50.1", "40", "3"]),
            ],
        }
    }
}

/// Components in batches of 20 spikes.
fn components(n_spikes: usize) -> impl Iterator<Item = Result<Vec<f32>, IoError>> {
    (0..n_spikes).step_by(20).map(move |first| {
        let n_here = 20.min(n_spikes - first);
        Ok((0..n_here * 3 * N_LOCAL)
            .map(|index| (first * 3 * N_LOCAL + index) as f32)
            .collect())
    })
}

/// A raw file of 6 channels and its layout.
fn raw_file(folder: &Path) -> RawLayout {
    let path = folder.join("raw=1.bin");
    std::fs::write(&path, vec![0u8; 2 * N_CHANNELS * 1000]).unwrap();
    RawLayout {
        path,
        offset_bytes: 0,
        n_channels: N_CHANNELS,
        dtype: "int16".to_owned(),
        columns: (0..N_CHANNELS).collect(),
    }
}

#[test]
fn a_phy_folder_has_every_file_with_its_shape() {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("phy_example");
    std::fs::create_dir_all(&base).unwrap();
    let raw = raw_file(&base);
    let arrays = Arrays::new();
    for (name, raw) in [("with_raw", Some(&raw)), ("without_raw", None)] {
        let folder = base.join(name);
        write_phy(&folder, &arrays.tables(raw), &mut components(N_SPIKES)).unwrap();
        // What DataJoint's reader refuses to do without.
        for file in [
            "params.py",
            "amplitudes.npy",
            "channel_map.npy",
            "channel_positions.npy",
            "pc_features.npy",
            "pc_feature_ind.npy",
            "similar_templates.npy",
            "spike_templates.npy",
            "spike_times.npy",
            "templates.npy",
            "spike_clusters.npy",
        ] {
            assert!(folder.join(file).is_file(), "{file}");
        }
        let features = read_npy::<f32>(&folder.join("pc_features.npy")).unwrap();
        assert_eq!(features.shape, [N_SPIKES, 3, N_LOCAL]);
        assert_eq!(
            features.data.last(),
            Some(&((N_SPIKES * 3 * N_LOCAL - 1) as f32))
        );
        assert_eq!(
            read_npy::<f32>(&folder.join("templates.npy"))
                .unwrap()
                .shape,
            [N_TEMPLATES, N_SAMPLES, N_CHANNELS]
        );
        assert_eq!(
            read_npy::<i64>(&folder.join("spike_times.npy"))
                .unwrap()
                .shape,
            [N_SPIKES]
        );
        let labels = std::fs::read_to_string(folder.join("cluster_KSLabel.tsv")).unwrap();
        assert_eq!(labels, "cluster_id\tKSLabel\n0\tgood\n1\tmua\n2\tnoise\n");
        let params = std::fs::read_to_string(folder.join("params.py")).unwrap();
        assert_eq!(params.lines().count(), 6);
    }
}

#[test]
fn a_written_probe_opens_in_probeinterface() {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("phy_example");
    std::fs::create_dir_all(&base).unwrap();
    let contact = |channel: usize| Contact {
        id: format!("e{channel}"),
        x_um: 1.5,
        y_um: channel as f64,
        shank: channel / 2,
        channel,
    };
    let probe = Probe::new((0..4).map(contact).collect(), "four contacts".to_owned());
    probeinterface_json::write(&base.join("probe.json"), &probe).unwrap();
    assert_eq!(
        somata_io::probe::read(&base.join("probe.json"))
            .unwrap()
            .contacts,
        probe.contacts
    );
}

#[test]
fn a_sorting_without_spikes_or_units_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let arrays = Arrays::new();
    let mut tables = arrays.tables(None);
    tables.n_templates = 0;
    (
        tables.templates,
        tables.templates_uv,
        tables.templates_sd_uv,
        tables.similar_templates,
        tables.pc_feature_ind,
    ) = (&[], &[], &[], &[], &[]);
    (
        tables.spike_times,
        tables.spike_clusters,
        tables.spike_templates,
    ) = (&[], &[], &[]);
    (tables.amplitudes, tables.spike_positions) = (&[], &[]);
    tables
        .cluster_columns
        .iter_mut()
        .for_each(|column| column.values.clear());
    write_phy(folder.path(), &tables, &mut components(0)).unwrap();
    assert_eq!(
        read_npy::<f32>(&folder.path().join("pc_features.npy"))
            .unwrap()
            .shape,
        [0, 3, N_LOCAL]
    );
    assert_eq!(
        read_npy::<f32>(&folder.path().join("templates.npy"))
            .unwrap()
            .shape,
        [0, N_SAMPLES, N_CHANNELS]
    );
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let arrays = Arrays::new();
    let refused = |tables: &PhyTables, n_features: usize, part: &str| {
        let error = write_phy(folder.path(), tables, &mut components(n_features)).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    };
    refused(&arrays.tables(None), N_SPIKES - 1, "49 spikes for 50");
    let mut tables = arrays.tables(None);
    tables.amplitudes = &tables.amplitudes[1..];
    refused(&tables, N_SPIKES, "`amplitudes` has 49");
    let unsorted: Vec<i64> = arrays.spike_times.iter().rev().copied().collect();
    let mut tables = arrays.tables(None);
    tables.spike_times = &unsorted;
    refused(&tables, N_SPIKES, "not in order");
    let beyond = vec![3; N_SPIKES];
    let mut tables = arrays.tables(None);
    tables.spike_templates = &beyond;
    refused(&tables, N_SPIKES, "template 3 of 3");
    let mut tables = arrays.tables(None);
    tables.cluster_columns[0].name = "../evil".to_owned();
    refused(&tables, N_SPIKES, "../evil");
}
