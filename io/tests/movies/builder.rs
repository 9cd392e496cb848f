//! TIFF files made byte by byte, for layouts that no library writes and for errors at a known place.

/// One entry of a directory: tag, and its values as SHORT where they fit, else LONG.
pub type Entry = (u16, Vec<u32>);

/// A page: entries besides those of the data, and the data of its strips.
#[derive(Clone)]
pub struct PageSpec {
    pub entries: Vec<Entry>,
    pub strips: Vec<Vec<u8>>,
}

/// A gray page of 16-bit pixels, one strip.
pub fn gray_page(height: u32, width: u32, pixels: &[u16]) -> PageSpec {
    assert_eq!(pixels.len() as u32, height * width);
    PageSpec {
        entries: vec![
            (256, vec![width]),
            (257, vec![height]),
            (258, vec![16]),
            (259, vec![1]),
            (262, vec![1]),
            (277, vec![1]),
            (278, vec![height]),
        ],
        strips: vec![
            pixels
                .iter()
                .flat_map(|pixel| pixel.to_le_bytes())
                .collect(),
        ],
    }
}

impl PageSpec {
    /// Replaces or adds an entry.
    pub fn with(mut self, tag: u16, values: &[u32]) -> PageSpec {
        self.entries.retain(|(known, _)| *known != tag);
        self.entries.push((tag, values.to_vec()));
        self
    }

    /// Removes an entry.
    pub fn without(mut self, tag: u16) -> PageSpec {
        self.entries.retain(|(known, _)| *known != tag);
        self
    }
}

/// A little-endian classic TIFF: for each page its directory, then its strips, with `gap` bytes before each strip.
pub fn tiff(pages: &[PageSpec], gap: usize) -> Vec<u8> {
    let mut bytes = b"II*\0".to_vec();
    bytes.extend(8u32.to_le_bytes());
    for (number, page) in pages.iter().enumerate() {
        let mut entries = page.entries.clone();
        let has = |entries: &[Entry], tag: u16| entries.iter().any(|(known, _)| *known == tag);
        // With tiles the caller gives tile sizes; the offsets go where they belong.
        let (offsets_tag, sizes_tag) = if has(&entries, 322) {
            (324, 325)
        } else {
            (273, 279)
        };
        if !has(&entries, sizes_tag) {
            entries.push((
                sizes_tag,
                page.strips.iter().map(|strip| strip.len() as u32).collect(),
            ));
        }
        let own_offsets = has(&entries, offsets_tag);
        if !own_offsets {
            entries.push((offsets_tag, vec![0; page.strips.len()]));
        }
        entries.retain(|(_, values)| !values.is_empty());
        entries.sort();
        let extra_bytes: usize = entries
            .iter()
            .map(|(_, values)| {
                if values.len() > 1 {
                    4 * values.len()
                } else {
                    0
                }
            })
            .sum();
        let directory_end = bytes.len() + 2 + 12 * entries.len() + 4;
        let mut at = directory_end + extra_bytes;
        if !own_offsets {
            let offsets = page.strips.iter().map(|strip| {
                at += gap;
                let offset = at as u32;
                at += strip.len();
                offset
            });
            let offsets: Vec<u32> = offsets.collect();
            entries
                .iter_mut()
                .find(|(tag, _)| *tag == offsets_tag)
                .unwrap()
                .1 = offsets;
        } else {
            at += page
                .strips
                .iter()
                .map(|strip| gap + strip.len())
                .sum::<usize>();
        }
        bytes.extend((entries.len() as u16).to_le_bytes());
        let mut extra: Vec<u8> = Vec::new();
        for (tag, values) in &entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(4u16.to_le_bytes());
            bytes.extend((values.len() as u32).to_le_bytes());
            if let [value] = values[..] {
                bytes.extend(value.to_le_bytes());
            } else {
                bytes.extend(((directory_end + extra.len()) as u32).to_le_bytes());
                extra.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
        let next = if number + 1 == pages.len() {
            0
        } else {
            at as u32
        };
        bytes.extend(next.to_le_bytes());
        bytes.extend(extra);
        for strip in &page.strips {
            bytes.extend(vec![0xee; gap]);
            bytes.extend(strip);
        }
        assert_eq!(bytes.len(), at);
    }
    bytes
}

/// The same with a text as the first page's ImageDescription.
pub fn tiff_with_description(pages: &[PageSpec], text: &str) -> Vec<u8> {
    // LONG values of four characters each become a text once their type is changed to ASCII.
    let words: Vec<u32> = text
        .as_bytes()
        .chunks(4)
        .map(|chunk| {
            let mut word = [0u8; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            u32::from_le_bytes(word)
        })
        .chain([0, 0])
        .collect();
    let mut pages = pages.to_vec();
    pages[0] = pages[0].clone().with(270, &words);
    let mut bytes = tiff(&pages, 0);
    let entry = bytes
        .windows(4)
        .position(|window| window == [14, 1, 4, 0])
        .unwrap();
    bytes[entry + 2] = 2;
    let n_bytes = 4 * words.len() as u32;
    bytes[entry + 4..entry + 8].copy_from_slice(&n_bytes.to_le_bytes());
    bytes
}

/// Writes bytes to a file of a folder that the test holds.
pub fn write(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A movie of `n_pages` pages of 3 × 4 pixels whose values count up.
pub fn counting_pages(n_pages: u16) -> Vec<PageSpec> {
    (0..n_pages)
        .map(|page| {
            gray_page(
                3,
                4,
                &(0..12)
                    .map(|pixel| 100 * page + pixel)
                    .collect::<Vec<u16>>(),
            )
        })
        .collect()
}
