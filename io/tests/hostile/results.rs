//! Results of other programs: regions of ImageJ, folders of phy and Suite2p.

use std::path::Path;

use somata_io::IoError;
use somata_io::imaging_output::imagej_roi::{ImagejRoi, RoiShape, read_roi_zip, write_roi_zip};
use somata_io::imaging_output::result_reader::read_imaging_result;
use somata_io::npy::write_npy;
use somata_io::sorting_output::phy_reader::{read_phy, read_phy_spikes};

use crate::harness::{Seed, Target};
use crate::seeds::{golden, whole_folder, written, written_file};

/// Regions.
pub fn imagej_regions() -> Target {
    fn parse(path: &Path, _: &Path) -> Result<(), IoError> {
        for roi in read_roi_zip(path)? {
            // A region may be larger than the image, or not lie in it.
            let pixels = roi.shape.pixels(512, 512);
            assert!(pixels.len() <= 512 * 512);
        }
        Ok(())
    }
    let square = |name: &str, at: f32| ImagejRoi {
        name: name.to_owned(),
        position: 0,
        shape: RoiShape::Lines(vec![vec![
            [at, at],
            [at + 6.0, at],
            [at + 6.0, at + 5.0],
            [at, at + 5.0],
        ]]),
    };
    let ring = ImagejRoi {
        name: "ring".to_owned(),
        position: 0,
        shape: RoiShape::Lines(vec![
            vec![[2.0, 2.0], [9.0, 2.0], [9.0, 9.0], [2.0, 9.0]],
            vec![[4.0, 4.0], [6.0, 4.0], [6.0, 6.0], [4.0, 6.0]],
        ]),
    };
    Target {
        name: "imagej_regions",
        seeds: vec![
            written_file("a.zip", |path| {
                write_roi_zip(path, &[square("a", 3.0), ring, square("b", 30.0)]).unwrap()
            }),
            Seed::file(
                "b.zip",
                std::fs::read(golden("hostile/regions.zip")).unwrap(),
            ),
        ],
        expansion: 3 * 1032,
        // Pixels of one region: two numbers of eight bytes, in a list that is doubled when it grows.
        allowance_bytes: 512 * 512 * 16 * 3 + (4 << 20),
        parse,
    }
}

/// A folder of phy.
pub fn phy_folder() -> Target {
    fn parse(path: &Path, _: &Path) -> Result<(), IoError> {
        let _ = read_phy_spikes(&path.join("phy"));
        let sorting = read_phy(path)?;
        assert_eq!(sorting.spike_samples.len(), sorting.spike_units.len());
        assert_eq!(sorting.n_spikes_of_units().len(), sorting.unit_ids.len());
        for &sample in sorting.spike_samples.iter().take(10) {
            let _ = (sorting.time_s(sample), sorting.clock_time_s(sample));
        }
        Ok(())
    }
    let seed = written(|folder| {
        let phy = folder.join("phy");
        std::fs::create_dir(&phy).unwrap();
        write_npy(&phy.join("spike_times.npy"), &[3, 1], &[30u64, 10, 20]).unwrap();
        write_npy(&phy.join("spike_templates.npy"), &[3, 1], &[7u32, 2, 7]).unwrap();
        write_npy(&phy.join("spike_clusters.npy"), &[3], &[7i32, 2, 7]).unwrap();
        write_npy(&phy.join("amplitudes.npy"), &[3], &[3.0f32, 1.0, 2.0]).unwrap();
        write_npy(
            &phy.join("spike_positions.npy"),
            &[3, 2],
            &[30.0f64, 31.0, 10.0, 11.0, 20.0, 21.0],
        )
        .unwrap();
        for (name, text) in [
            ("phy/params.py", "dat_path = 'a=b'\nsample_rate = 30000.\n"),
            (
                "phy/cluster_group.tsv",
                "cluster_id\tgroup\n7\tnoise\n2\tgood\n",
            ),
            ("metrics.csv", "unit_id,label,snr\n2,good,\n7,mua,4.5\n"),
            (
                "segments.csv",
                "segment,start_sample,n_samples,start_time_s\n0,0,15,100\n1,15,15,200.5\n",
            ),
        ] {
            std::fs::write(folder.join(name), text).unwrap();
        }
    });
    Target {
        name: "phy_folder",
        seeds: vec![seed],
        expansion: 256,
        allowance_bytes: 1 << 20,
        parse,
    }
}

/// A folder of Suite2p.
pub fn suite2p_folder() -> Target {
    fn parse(path: &Path, _: &Path) -> Result<(), IoError> {
        let result = read_imaging_result(path)?;
        let mut out = vec![0.0; result.traces.n_frames().min(50)];
        if result.n_cells() > 0 {
            for kind in result.traces.kinds() {
                result
                    .traces
                    .read_part(kind, result.n_cells() - 1, 0, &mut out)?;
            }
        }
        Ok(())
    }
    Target {
        name: "suite2p_folder",
        seeds: vec![whole_folder("suite2p_folder")],
        expansion: 256,
        allowance_bytes: 1 << 20,
        parse,
    }
}
