//! Movies that tifffile wrote, and real ones, equal to what tifffile reads.

use serde_json::json;
use somata_io::movie::{MovieOptions, open};

use crate::suite::{check_reader, check_values, expected, golden, open_plain, read_all};

#[test]
fn every_movie_has_the_values_that_tifffile_reads() {
    let expected = expected();
    let movies = expected["movies"].as_object().unwrap();
    assert!(movies.len() >= 44, "{} movies", movies.len());
    for (name, noted) in movies {
        let reader = open_plain(&golden(name));
        let description = reader.description();
        let shape = json!([
            description.n_planes,
            description.n_channels,
            description.n_frames,
            description.height,
            description.width
        ]);
        assert_eq!(shape, noted["shape"], "{name}: {description:?}");
        assert_eq!(description.format, noted["format"], "{name}");
        assert_eq!(
            description.pixel_type.numpy_name(),
            noted["pixel_type"],
            "{name}"
        );
        assert_eq!(
            description.frame_rate_hz,
            noted["frame_rate_hz"].as_f64(),
            "{name}"
        );
        let pixel_size_um = noted["pixel_size_um"]
            .as_array()
            .map(|sides| [sides[0].as_f64().unwrap(), sides[1].as_f64().unwrap()]);
        assert_eq!(description.pixel_size_um, pixel_size_um, "{name}");
        let n_warnings = description.warnings.len();
        assert_eq!(
            json!(n_warnings),
            noted["n_warnings"],
            "{name}: {:?}",
            description.warnings
        );
        let mut values = Vec::new();
        for plane in 0..description.n_planes {
            for channel in 0..description.n_channels {
                values.extend(read_all(&*reader, plane, channel));
            }
        }
        check_values(name, &values, noted);
        check_reader(&*reader);
    }
}

#[test]
fn the_user_is_believed_before_the_file() {
    let path = golden("imagej.tif");
    let options = MovieOptions {
        n_planes: Some(1),
        n_channels: Some(2),
        frame_rate_hz: Some(31.0),
        ..MovieOptions::default()
    };
    let reader = open(std::slice::from_ref(&path), &options).unwrap();
    let description = reader.description();
    assert_eq!(
        (
            description.n_planes,
            description.n_channels,
            description.n_frames
        ),
        (1, 2, 12)
    );
    assert_eq!(description.frame_rate_hz, Some(31.0));
    // Frame 1 of the second channel is page 3: plane 1 of the file's first volume.
    let file = open_plain(&path);
    let n_pixels = description.height * description.width;
    let as_told = read_all(&*reader, 0, 1);
    assert_eq!(
        as_told[n_pixels..2 * n_pixels],
        read_all(&*file, 1, 1)[..n_pixels]
    );
    check_reader(&*reader);
    // A rate that was for other planes is not kept.
    let options = MovieOptions {
        n_planes: Some(1),
        ..MovieOptions::default()
    };
    let reader = open(std::slice::from_ref(&path), &options).unwrap();
    assert_eq!(reader.description().frame_rate_hz, None);
    assert!(reader.description().warnings[0].contains("--frame-rate"));
    // With the flyback counted as a plane, ScanImage's pages interleave plainly.
    let options = MovieOptions {
        n_planes: Some(4),
        ..MovieOptions::default()
    };
    let path = golden("scanimage.tif");
    let reader = open(std::slice::from_ref(&path), &options).unwrap();
    assert_eq!(reader.description().n_planes, 4);
    assert_eq!(reader.description().n_frames, 4);
    assert_eq!(
        read_all(&*reader, 2, 1),
        read_all(&*open_plain(&path), 2, 1)
    );
}

#[test]
fn files_are_joined_in_the_order_given() {
    let folder = golden("sequence");
    let whole = read_all(&*open_plain(&folder), 0, 0);
    let names = ["run_2.tif", "run_9.tif", "run_10.tif"].map(|name| folder.join(name));
    let reader = open(&names, &MovieOptions::default()).unwrap();
    assert_eq!(reader.description().paths, names);
    assert_eq!(read_all(&*reader, 0, 0), whole);
    let identity = reader.description().identity.clone();
    let swapped = [names[1].clone(), names[0].clone(), names[2].clone()];
    let reader = open(&swapped, &MovieOptions::default()).unwrap();
    let values = read_all(&*reader, 0, 0);
    let four_frames = 4 * reader.description().height * reader.description().width;
    assert_eq!(values[..four_frames], whole[four_frames..2 * four_frames]);
    assert_ne!(reader.description().identity, identity);
}

#[test]
fn a_volume_may_run_over_the_end_of_a_file() {
    // Files of 4, 4 and 3 pages hold 5 whole volumes of 2 planes, one of which lies in two files.
    let options = MovieOptions {
        n_planes: Some(2),
        ..MovieOptions::default()
    };
    let reader = open(&[golden("sequence")], &options).unwrap();
    assert_eq!(reader.description().n_frames, 5);
    assert!(
        reader.description().warnings[0].contains("last 1"),
        "{:?}",
        reader.description().warnings
    );
    let plain = read_all(&*open_plain(&golden("sequence")), 0, 0);
    let n_pixels = reader.description().height * reader.description().width;
    let second = read_all(&*reader, 1, 0);
    for frame in 0..5 {
        let page = 2 * frame + 1;
        assert_eq!(
            second[frame * n_pixels..][..n_pixels],
            plain[page * n_pixels..][..n_pixels]
        );
    }
    check_reader(&*reader);
}

#[test]
fn a_real_header_of_scanimage_4_is_read_and_its_missing_pages_are_said() {
    let reader = open_plain(&golden("others/scanimage4_cut.tif"));
    let description = reader.description();
    assert_eq!(description.format, "ScanImage TIFF");
    assert_eq!((description.n_frames, description.n_planes), (2, 1));
    assert_eq!(description.frame_rate_hz, None);
    assert!(
        description.warnings[0].contains("4 slices"),
        "{:?}",
        description.warnings
    );
    check_values(
        "scanimage4_cut.tif",
        &read_all(&*reader, 0, 0)[..14400],
        &expected()["images"]["others/scanimage4_cut.tif"]["images"][0],
    );
    let options = MovieOptions {
        n_planes: Some(2),
        ..MovieOptions::default()
    };
    let reader = open(&[golden("others/scanimage4_cut.tif")], &options).unwrap();
    assert_eq!(reader.description().n_frames, 1);
}
