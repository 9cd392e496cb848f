//! Spikes of traces that a file gives: how real cells are deconvolved whose spikes an electrode recorded as well.
//!
//! `benches/sets/calcium_sets.py` writes the traces, runs this, and scores what comes of it beside OASIS. Ignored: it needs recordings that are
//! not part of the repository.

use std::path::PathBuf;

use serde::Deserialize;
use somata_engine::{
    device::CpuExecutor,
    imaging::{
        deconvolution::{Derived, deconvolve, derived_place},
        trace_file::TraceFile,
    },
    parameters::imaging::Deconvolution,
    stream::Control,
};
use somata_io::npy::{read_npy, write_npy};

/// One file of traces.
#[derive(Deserialize)]
struct Given {
    /// NAME.npy, float32 `[cell, frame]`; spikes go to NAME.spikes.npy.
    name: String,
    frame_rate_hz: f64,
    /// Where the user knows it, s.
    decay_s: Option<f64>,
    /// In place of the program's own, noise deviations.
    sparsity: Option<f64>,
}

#[test]
#[ignore = "needs the traces that benches/sets/calcium_sets.py writes"]
fn given_traces_become_spikes() {
    let folder =
        PathBuf::from(std::env::var("SOMATA_TRACES").expect("SOMATA_TRACES names a folder"));
    let list = std::fs::read(folder.join("traces.json")).expect("a list");
    let given: Vec<Given> = serde_json::from_slice(&list).expect("name, frame_rate_hz, decay_s");
    assert!(!given.is_empty(), "no traces");
    let executor = CpuExecutor::new(2);
    for Given {
        name,
        frame_rate_hz,
        decay_s,
        sparsity,
    } in given
    {
        let traces = read_npy::<f32>(&folder.join(format!("{name}.npy"))).expect("float32 traces");
        let [n_cells, n_frames] = traces.shape[..] else {
            panic!("{name}: {:?} is not [cell, frame]", traces.shape)
        };
        // Demixed, raw and neuropil: there is but one trace of each cell, and its ring is dark.
        let rows = (0..3).flat_map(|kind| {
            traces
                .data
                .chunks_exact(n_frames)
                .map(move |row| (kind, row))
        });
        let rows = rows.map(|(kind, row)| {
            Ok(if kind < 2 {
                row.to_vec()
            } else {
                vec![0.0; n_frames]
            })
        });
        let work = tempfile::tempdir().expect("a temporary folder");
        let extracted =
            TraceFile::write_rows(&work.path().join("traces"), n_frames, rows).expect("written");
        let own = Deconvolution::default();
        let parameters = Deconvolution {
            sparsity: sparsity.unwrap_or(own.sparsity),
            ..own
        };
        let spikes = deconvolve(
            &extracted,
            n_cells,
            &vec![false; n_frames],
            frame_rate_hz,
            decay_s,
            0.0,
            &parameters,
            &work.path().join("spikes"),
            "spikes",
            &executor,
            &Control::default(),
        )
        .expect("spikes");
        println!("{name}: {:?}", spikes.response);
        let reader = spikes.traces.open().expect("readable");
        let mut found = Vec::with_capacity(n_cells * n_frames);
        for cell in 0..n_cells {
            let mut row = vec![0.0; n_frames];
            reader
                .read(derived_place(Derived::Spikes, cell), &mut row)
                .expect("spikes");
            assert!(
                row.iter().all(|v| v.is_finite() && *v >= 0.0),
                "{name}, cell {cell}"
            );
            found.extend(row);
        }
        write_npy(
            &folder.join(format!("{name}.spikes.npy")),
            &[n_cells, n_frames],
            &found,
        )
        .expect("written");
    }
}
