//! Still images: TIFF against tifffile's values, PNG and JPEG against the encoder's input.

use somata_io::still_image::{StillImage, read_image};

use crate::builder::{counting_pages, tiff, write};
use crate::suite::{check_values, expected, golden, says};

/// Values as doubles.
fn wide(image: &StillImage) -> Vec<f64> {
    image.pixels.iter().map(|&value| f64::from(value)).collect()
}

#[test]
fn every_image_has_the_values_that_tifffile_reads() {
    let expected = expected();
    let images = expected["images"].as_object().unwrap();
    assert!(images.len() >= 29, "{} images", images.len());
    let refused = [
        ("others/seq-1c-1b-fax3-71f6a21a.tiff", "CCITT"),
        ("others/seq-1c-8b-palette-89b39bc3.tiff", "palette"),
    ];
    for (name, noted) in images {
        if let Some((_, word)) = refused.iter().find(|(refused, _)| refused == name) {
            says(&read_image(&golden(name)).unwrap_err(), &["page 1", word]);
            continue;
        }
        let images = read_image(&golden(name)).unwrap_or_else(|error| panic!("{error}"));
        let noted = noted["images"].as_array().unwrap();
        assert_eq!(images.len(), noted.len(), "{name}");
        for (number, (image, noted)) in images.iter().zip(noted).enumerate() {
            let shape = serde_json::json!([image.n_channels, image.height, image.width]);
            assert_eq!(shape, noted["shape"], "{name}");
            assert_eq!(image.page, number as u64);
            check_values(name, &wide(image), noted);
        }
    }
}

#[test]
fn movies_are_images_page_by_page() {
    for name in [
        "imagej_contiguous.tif",
        "shaped_contiguous.tif",
        "sequence/run_9.tif",
        "float16.tif",
    ] {
        let images = read_image(&golden(name)).unwrap();
        let reader = crate::suite::open_plain(&golden(name));
        let description = reader.description();
        let n_pages = description.n_frames as usize * description.n_planes * description.n_channels;
        assert_eq!(images.len(), n_pages, "{name}");
        let last = images.last().unwrap();
        let movie = crate::suite::read_all(
            &*reader,
            description.n_planes - 1,
            description.n_channels - 1,
        );
        assert_eq!(
            wide(last),
            movie[movie.len() - last.pixels.len()..],
            "{name}"
        );
    }
}

#[test]
fn png_and_jpeg_are_decoded_and_alpha_is_left_out() {
    use image::{DynamicImage, ImageBuffer, Luma, Rgb, Rgba};
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let gray = ImageBuffer::from_fn(5, 3, |x, y| Luma([(1000 * x + 300 * y) as u16]));
    gray.save(path("gray16.png")).unwrap();
    let image = read_image(&path("gray16.png")).unwrap().remove(0);
    assert_eq!((image.height, image.width, image.n_channels), (3, 5, 1));
    assert_eq!(image.pixel_type_name, "uint16");
    let expected: Vec<f32> = gray
        .as_raw()
        .iter()
        .map(|&value| f32::from(value))
        .collect();
    assert_eq!(image.pixels, expected);

    let colour = ImageBuffer::from_fn(5, 3, |x, y| Rgba([x as u8, 10 * y as u8, 77, 128]));
    colour.save(path("rgba8.png")).unwrap();
    let image = read_image(&path("rgba8.png")).unwrap().remove(0);
    assert_eq!((image.n_channels, image.pixel_type_name), (3, "uint8"));
    // [channel, y, x]: pixel (y = 2, x = 4) of the second channel.
    assert_eq!(image.pixels[15 + 2 * 5 + 4], 20.0);
    assert_eq!(image.pixels.len(), 45);

    let flat = ImageBuffer::from_pixel(16, 16, Rgb([200u8, 100, 50]));
    DynamicImage::ImageRgb8(flat)
        .save(path("flat.jpg"))
        .unwrap();
    let image = read_image(&path("flat.jpg")).unwrap().remove(0);
    assert_eq!(image.n_channels, 3);
    // A flat picture survives JPEG but for the rounding of its colour transform: 2 of 255.
    for (channel, value) in [200.0f32, 100.0, 50.0].into_iter().enumerate() {
        let plane = &image.pixels[channel * 256..][..256];
        assert!(
            plane.iter().all(|pixel| (pixel - value).abs() <= 2.0),
            "{:?}",
            &plane[..4]
        );
    }
}

#[test]
fn bad_images_are_told() {
    let folder = tempfile::tempdir().unwrap();
    says(
        &read_image(&folder.path().join("none.png")).unwrap_err(),
        &["none.png", "does not exist"],
    );
    says(&read_image(folder.path()).unwrap_err(), &["folder"]);
    says(
        &read_image(&write(&folder, "a.png", b"")).unwrap_err(),
        &["empty"],
    );
    says(
        &read_image(&write(&folder, "a.png", b"GIF89a and more")).unwrap_err(),
        &["does not begin"],
    );
    let png = write(&folder, "b.png", b"\x89PNG\r\n\x1a\nnot a chunk at all");
    says(
        &read_image(&png).unwrap_err(),
        &["PNG", "cannot be decoded"],
    );
    let jpeg = write(&folder, "b.jpg", &[0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 1]);
    says(
        &read_image(&jpeg).unwrap_err(),
        &["JPEG", "cannot be decoded"],
    );
    let bytes = tiff(&counting_pages(3), 0);
    let cut = write(&folder, "cut.tif", &bytes[..bytes.len() - 1]);
    says(
        &read_image(&cut).unwrap_err(),
        &["page 3", "truncated", "the 2 pages before it"],
    );
}
