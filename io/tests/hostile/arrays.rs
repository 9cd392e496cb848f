//! numpy's arrays, pickles, archives, weights and tables.

use std::path::Path;

use somata_io::IoError;
use somata_io::imaging_output::pickle_reader::{PyValue, read_object_npy};
use somata_io::imaging_output::zip_archive::{ZipWriter, read_zip, stored_members};
use somata_io::npy::{read_npy, read_npy_as_f64, read_npy_as_i64, write_npy};
use somata_io::npy_rows::NpyRows;
use somata_io::tables::csv::read_csv;
use somata_io::weights::Weights;

use crate::harness::{Seed, Target};
use crate::seeds::{golden, single_files, written_file};

/// Arrays of numbers.
pub fn npy() -> Target {
    fn parse(path: &Path, _: &Path) -> Result<(), IoError> {
        if let Ok(rows) = NpyRows::open(path) {
            let mut out = vec![0.0; rows.row_length.min(100)];
            if rows.n_rows > 0 {
                rows.read_part(rows.n_rows - 1, rows.row_length - out.len(), &mut out)?;
            }
        }
        let _ = read_npy::<f32>(path);
        let _ = read_npy_as_i64(path);
        let array = read_npy_as_f64(path)?;
        assert_eq!(array.shape.iter().product::<usize>(), array.data.len());
        Ok(())
    }
    let mut seeds = single_files("suite2p_folder/plane0", &["F.npy", "iscell.npy"], 1 << 20);
    seeds.extend(single_files(
        "spikeinterface/two_segments/properties",
        &["gain_to_uV.npy"],
        1 << 20,
    ));
    seeds.push(written_file("a.npy", |path| {
        write_npy(path, &[4, 3], &[7i64; 12]).unwrap()
    }));
    seeds.push(written_file("b.npy", |path| {
        write_npy(path, &[5], &[7u8; 5]).unwrap()
    }));
    Target {
        name: "npy",
        seeds,
        expansion: 64,
        allowance_bytes: 1 << 20,
        parse,
    }
}

/// Arrays of Python's objects.
pub fn object_npy() -> Target {
    fn visit(value: PyValue, depth: usize, n_left: &mut usize) {
        // Lists may hold themselves or each other many times over: readers look up what they know, and so does this.
        if depth > 6 || *n_left == 0 {
            return;
        }
        *n_left -= 1;
        let _ = (
            value.as_text(),
            value.as_bool(),
            value.as_int(),
            value.as_f64(),
            value.is_none(),
            value.is_opaque(),
        );
        let _ = value.numbers();
        for item in value.items().into_iter().flatten() {
            visit(item, depth + 1, n_left);
        }
        for (_, item) in value.entries().into_iter().flatten() {
            visit(item, depth + 1, n_left);
        }
    }
    fn parse(path: &Path, _: &Path) -> Result<(), IoError> {
        let pickled = read_object_npy(path)?;
        let mut n_left = 1000;
        for object in pickled.objects() {
            visit(object, 0, &mut n_left);
        }
        Ok(())
    }
    Target {
        name: "object_npy",
        seeds: single_files("suite2p_folder/plane0", &["ops.npy", "stat.npy"], 1 << 20),
        expansion: 128,
        allowance_bytes: 1 << 20,
        parse,
    }
}

/// Members of an archive that the tests write.
fn write_zip(path: &Path) {
    let mut zip = ZipWriter::create(path).unwrap();
    for (name, content) in [("a.npy", &b"abc"[..]), ("b.npy", b""), ("c/d", b"xyz1")] {
        zip.start_member(name, content.len() as u64).unwrap();
        zip.append(content).unwrap();
    }
    zip.finish().unwrap();
}

/// Archives.
pub fn zip() -> Target {
    fn parse(path: &Path, _: &Path) -> Result<(), IoError> {
        let _ = stored_members(path);
        read_zip(path, 1 << 20).map(drop)
    }
    Target {
        name: "zip",
        seeds: vec![
            written_file("a.zip", write_zip),
            Seed::file(
                "b.zip",
                std::fs::read(golden("hostile/deflated.npz")).unwrap(),
            ),
        ],
        // A deflated byte becomes 1032 at most, and a list of them is doubled when it grows.
        expansion: 3 * 1032,
        allowance_bytes: 1 << 20,
        parse,
    }
}

/// Arrays in an archive, by position.
pub fn npz() -> Target {
    fn parse(path: &Path, _: &Path) -> Result<(), IoError> {
        for rows in NpyRows::open_members(path, &["F", "dff"])?
            .into_iter()
            .flatten()
        {
            let mut out = vec![0.0; rows.row_length.min(100)];
            if rows.n_rows > 0 {
                rows.read_part(rows.n_rows - 1, rows.row_length - out.len(), &mut out)?;
            }
        }
        Ok(())
    }
    Target {
        name: "npz",
        seeds: vec![Seed::file(
            "a.npz",
            std::fs::read(golden("hostile/stored.npz")).unwrap(),
        )],
        expansion: 64,
        allowance_bytes: 1 << 20,
        parse,
    }
}

/// Weights of a network.
pub fn safetensors() -> Target {
    fn parse(path: &Path, _: &Path) -> Result<(), IoError> {
        let weights = Weights::read(path)?;
        for name in weights.names() {
            let _ = weights.tensor(name)?;
        }
        Ok(())
    }
    Target {
        name: "safetensors",
        seeds: vec![Seed::file(
            "a.safetensors",
            std::fs::read(golden("weights.safetensors")).unwrap(),
        )],
        expansion: 128,
        allowance_bytes: 1 << 20,
        parse,
    }
}

/// Tables of text.
pub fn csv() -> Target {
    let table = "unit_id,label,snr,\"a \"\"name\"\"\"\n2,good,,x\n7,mua,4.5,\"two\nlines, and a comma\"\n8,noise,1,é\n";
    Target {
        name: "csv",
        seeds: vec![Seed::file("a.csv", table.as_bytes().to_vec())],
        // A comma makes an empty text of 24 bytes, in a list that is doubled when it grows, and again by column.
        expansion: 256,
        allowance_bytes: 1 << 20,
        parse: |path, _| read_csv(path).map(drop),
    }
}
