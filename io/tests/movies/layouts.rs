//! Layouts that are allowed and rarely written: scattered strips, wrong byte counts, reversed bits, smaller copies, old LZW.

use crate::builder::{PageSpec, counting_pages, gray_page, tiff, tiff_with_description, write};
use crate::suite::{check_reader, open_plain, read_all};

/// What [`counting_pages`] holds.
fn counting_values(n_pages: usize) -> Vec<f64> {
    (0..n_pages)
        .flat_map(|page| (0..12).map(move |pixel| (100 * page + pixel) as f64))
        .collect()
}

/// Opens the pages as a file and compares.
fn check(pages: &[PageSpec], gap: usize, expected: &[f64]) {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "a.tif", &tiff(pages, gap));
    let reader = open_plain(&path);
    assert_eq!(read_all(&*reader, 0, 0), expected);
    check_reader(&*reader);
}

/// The same pages with a strip a row.
fn rows_as_strips(pages: &[PageSpec]) -> Vec<PageSpec> {
    pages
        .iter()
        .map(|page| PageSpec {
            strips: page.strips[0].chunks(8).map(<[u8]>::to_vec).collect(),
            ..page.clone().with(278, &[1])
        })
        .collect()
}

#[test]
fn strips_may_be_neighbours_or_scattered() {
    let pages = counting_pages(20);
    check(&pages, 0, &counting_values(20));
    check(&pages, 5, &counting_values(20));
    check(&rows_as_strips(&pages), 0, &counting_values(20));
    check(&rows_as_strips(&pages), 3, &counting_values(20));
}

#[test]
fn pages_of_every_kind_may_follow_each_other() {
    let mut pages = counting_pages(60);
    for (number, page) in pages.iter_mut().enumerate() {
        match number % 20 {
            // A strip a row, some bytes apart from each other because of the gap: packed.
            18 => *page = rows_as_strips(std::slice::from_ref(page)).remove(0),
            // A longer directory: a stride of its own.
            19 => *page = page.clone().with(305, &[7, 7, 7]),
            _ => {}
        }
    }
    check(&pages, 1, &counting_values(60));
}

#[test]
fn byte_counts_and_rows_of_uncompressed_pages_may_be_missing_or_wrong() {
    let values = counting_values(3);
    let pages = counting_pages(3);
    let each =
        |change: fn(PageSpec) -> PageSpec| pages.iter().cloned().map(change).collect::<Vec<_>>();
    check(&each(|page| page.without(278)), 0, &values);
    check(&each(|page| page.with(278, &[0])), 0, &values);
    check(&each(|page| page.with(278, &[u32::MAX])), 0, &values);
    check(&each(|page| page.with(279, &[1])), 0, &values);
    check(&each(|page| page.with(279, &[])), 0, &values);
}

#[test]
fn bits_of_bytes_may_be_reversed() {
    let mut pages = counting_pages(3);
    for page in &mut pages {
        *page = page.clone().with(266, &[2]);
        page.strips[0]
            .iter_mut()
            .for_each(|byte| *byte = byte.reverse_bits());
    }
    check(&pages, 0, &counting_values(3));
}

#[test]
fn lzw_from_before_tiff_6_is_unpacked() {
    let mut pages = counting_pages(3);
    for page in &mut pages {
        let packed = weezl::encode::Encoder::new(weezl::BitOrder::Lsb, 8)
            .encode(&page.strips[0])
            .unwrap();
        assert_eq!(
            (packed[0], packed[1] & 1),
            (0, 1),
            "the mark of the old form"
        );
        page.strips[0] = packed;
        *page = page.clone().with(259, &[5]);
    }
    check(&pages, 0, &counting_values(3));
}

#[test]
fn smaller_copies_are_left_out_with_a_warning() {
    let mut pages = counting_pages(3);
    let small = gray_page(1, 2, &[9, 9]).with(254, &[1]);
    pages.insert(1, small.clone());
    pages.push(small);
    let folder = tempfile::tempdir().unwrap();
    let reader = open_plain(&write(&folder, "a.tif", &tiff(&pages, 0)));
    assert_eq!(read_all(&*reader, 0, 0), counting_values(3));
    assert!(reader.description().warnings[0].contains("2 smaller copies"));
}

#[test]
fn pages_may_share_one_image() {
    let page = counting_pages(1).remove(0);
    let offset = 8 + 2 + 12 * 9 + 4;
    let again = PageSpec {
        strips: vec![],
        ..page.clone().with(273, &[offset]).with(279, &[24])
    };
    let values: Vec<f64> = (0..3).flat_map(|_| counting_values(1)).collect();
    check(&[page, again.clone(), again], 0, &values);
}

#[test]
fn thousands_of_files_are_one_movie() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..300u16 {
        write(
            &folder,
            &format!("f{number}.tif"),
            &tiff(&[gray_page(1, 2, &[number, 7])], 0),
        );
    }
    write(
        &folder,
        "._f3.tif",
        b"not a TIFF: what macOS leaves beside files",
    );
    let reader = open_plain(folder.path());
    let values: Vec<f64> = (0..300)
        .flat_map(|number| [f64::from(number), 7.0])
        .collect();
    assert_eq!(read_all(&*reader, 0, 0), values);
    check_reader(&*reader);
}

#[test]
fn a_stack_beyond_4_gb_lies_behind_one_directory() {
    use std::io::{Seek, SeekFrom, Write};
    let (height, width) = (1000u32, 1100u32);
    let n_images = 2000u64;
    let page_bytes = u64::from(height * width) * 2;
    assert!(n_images * page_bytes > u64::from(u32::MAX));
    let page = gray_page(height, width, &vec![0; (height * width) as usize]);
    let text = format!("ImageJ=1.54f\nimages={n_images}\nframes={n_images}\nfinterval=0.1\n");
    let bytes = tiff_with_description(&[page], &text);
    let data_start = bytes.len() as u64 - page_bytes;
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "a.tif", &bytes[..data_start as usize]);
    // The file has holes where nothing is written: it takes a few kilobytes of the disk.
    let mut file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(data_start + n_images * page_bytes).unwrap();
    for image in [0, 1998, 1999] {
        file.seek(SeekFrom::Start(data_start + image * page_bytes + 2 * 1100))
            .unwrap();
        file.write_all(&(image as u16 + 1).to_le_bytes()).unwrap();
    }
    drop(file);
    let reader = open_plain(&path);
    let description = reader.description();
    assert_eq!(
        (description.n_frames, description.frame_rate_hz),
        (n_images, Some(10.0))
    );
    for image in [0u64, 1, 1998, 1999] {
        let mut frame = vec![0u8; description.frame_bytes()];
        reader.read(0, 0, image, &mut frame).unwrap();
        let value = u16::from_ne_bytes([frame[2200], frame[2201]]);
        assert_eq!(u64::from(value), if image == 1 { 0 } else { image + 1 });
        assert_eq!(
            frame.iter().filter(|&&byte| byte != 0).count() > 0,
            image != 1
        );
    }
}
