//! Changes of bytes, the same for the same number: bits, runs, numbers that are edges somewhere, cuts, splices, texts.

/// A small generator of random numbers (SplitMix64: Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of one input of one parser.
    pub fn new(name: &str, number: u64) -> Random {
        // FNV-1a tells the names apart.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Random(hash ^ number.wrapping_mul(0xd129_0d3b_3b5f_3a2d))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 where there is none.
    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n.max(1) as u64) as usize
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// A place in `n` bytes: often near the start, where headers are, sometimes near the end, where archives have theirs.
    fn place(&mut self, n: usize) -> usize {
        match self.below(4) {
            0 => self.below(n),
            1 => self.below(n.min(64)),
            2 => self.below(n.min(512)),
            _ => n.saturating_sub(1 + self.below(n.min(128))),
        }
    }
}

/// Numbers at which sizes, counts and signs go wrong.
const EDGES: [u64; 26] = [
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    127,
    128,
    255,
    256,
    1000,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0xf_ffff,
    0x00ff_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x00ff_ffff_ffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// Numbers and words that texts are changed into.
const WORDS: [&str; 44] = [
    "0",
    "-1",
    "-0",
    "1",
    "2",
    "3",
    "255",
    "65536",
    "1048577",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "1e308",
    "-1e308",
    "1e309",
    "1e-320",
    "0.5",
    "nan",
    "NaN",
    "inf",
    "-Infinity",
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "[[]]",
    "\u{1f9e0}",
    "\u{0}",
    "\u{1b}[31m",
    "%s%n",
    "()",
    "(0:0)",
    "..",
    "'",
];

/// Changes `bytes` in one to six ways. `other` is another file of the kind, and `paths` are texts that lead out of the folder.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], paths: &[String], random: &mut Random) {
    let n_changes = 1 + random.below(6).min(random.below(6));
    for _ in 0..n_changes {
        change(bytes, other, paths, random);
    }
    // No change may let an input grow without end.
    bytes.truncate(1 << 20);
}

/// One change.
fn change(bytes: &mut Vec<u8>, other: &[u8], paths: &[String], random: &mut Random) {
    let n = bytes.len();
    if n == 0 {
        let length = random.below(64);
        bytes.extend((0..length).map(|_| random.bits() as u8));
        return;
    }
    match random.below(22) {
        0 | 1 => {
            let at = random.place(n);
            bytes[at] ^= 1 << random.below(8);
        }
        2 | 3 => {
            let at = random.place(n);
            bytes[at] = random.bits() as u8;
        }
        // A number at an edge, in either order of bytes.
        4..=7 => {
            let value = random.pick(&EDGES).wrapping_sub(random.below(3) as u64 % 2);
            put_number(bytes, value, random);
        }
        8 => {
            let value = random.bits();
            put_number(bytes, value, random);
        }
        // A number that is near the one that is there.
        9 => {
            let at = random.place(n);
            let step = 1 + random.below(16) as u8;
            bytes[at] = if random.once_in(2) {
                bytes[at].wrapping_add(step)
            } else {
                bytes[at].wrapping_sub(step)
            };
        }
        10 => bytes.truncate(random.below(n)),
        11 => {
            let at = random.place(n);
            bytes.truncate(at);
        }
        // A run of one byte, or of noise, over what is there.
        12 => {
            let (at, length) = (random.place(n), 1 + random.below(40));
            let end = (at + length).min(n);
            let fill = *random.pick(&[0u8, 0xff, 0x20, b'9', b'[', b'\n', b'\t', b',']);
            let is_noise = random.once_in(2);
            for byte in &mut bytes[at..end] {
                *byte = if is_noise { random.bits() as u8 } else { fill };
            }
        }
        // A run put in.
        13 => {
            let at = random.place(n);
            let longest = if random.once_in(8) { 20_000 } else { 40 };
            let length = 1 + random.below(longest);
            let fill = *random.pick(&[
                0u8, 0xff, b' ', b'9', b'[', b'{', b'(', b'\n', b'\t', b',', b'"',
            ]);
            bytes.splice(at..at, std::iter::repeat_n(fill, length));
        }
        // A run taken out.
        14 => {
            let (at, length) = (random.place(n), 1 + random.below(40));
            bytes.drain(at..(at + length).min(n));
        }
        // A piece moved over another, from this file or from one of its kind.
        15 | 16 => {
            let source = if random.once_in(2) {
                bytes.clone()
            } else {
                other.to_vec()
            };
            if source.is_empty() {
                return;
            }
            let from = random.place(source.len());
            let piece = &source[from..(from + 1 + random.below(200)).min(source.len())];
            let at = random.place(n);
            let end = if random.once_in(2) {
                at
            } else {
                (at + piece.len()).min(n)
            };
            bytes.splice(at..end, piece.iter().copied());
        }
        17..=19 => change_word(bytes, paths, random),
        // A line taken out or doubled.
        20 => {
            let at = random.below(n);
            let start = bytes[..at]
                .iter()
                .rposition(|&byte| byte == b'\n')
                .map_or(0, |place| place + 1);
            let end = bytes[at..]
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(n, |place| at + place + 1);
            if random.once_in(2) {
                bytes.drain(start..end);
            } else {
                let line = bytes[start..end].to_vec();
                bytes.splice(start..start, line);
            }
        }
        _ => {
            if random.once_in(4) {
                let length = random.below(400);
                let keep = random.below(n.min(16));
                bytes.truncate(keep);
                bytes.extend((0..length).map(|_| random.bits() as u8));
            } else {
                let at = random.place(n);
                bytes[at] = !bytes[at];
            }
        }
    }
}

/// Puts a number of 1, 2, 4 or 8 bytes somewhere.
fn put_number(bytes: &mut [u8], value: u64, random: &mut Random) {
    let width = *random.pick(&[1usize, 2, 4, 4, 8]);
    let little = value.to_le_bytes();
    let mut number = little[..width].to_vec();
    if random.once_in(2) {
        number.reverse();
    }
    let mut at = random.place(bytes.len());
    // Fields mostly lie at even places.
    if random.once_in(2) {
        at &= !(width - 1);
    }
    for (byte, new) in bytes[at..].iter_mut().zip(number) {
        *byte = new;
    }
}

/// Replaces a word of letters and digits (or what stands between quotes) by another one.
fn change_word(bytes: &mut Vec<u8>, paths: &[String], random: &mut Random) {
    let is_word = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'+' | b'/')
    };
    let at = random.below(bytes.len());
    let Some(first) = bytes[at..].iter().position(is_word).map(|place| at + place) else {
        return;
    };
    let start = bytes[..first]
        .iter()
        .rposition(|byte| !is_word(byte))
        .map_or(0, |place| place + 1);
    let end = bytes[first..]
        .iter()
        .position(|byte| !is_word(byte))
        .map_or(bytes.len(), |place| first + place);
    let is_quoted = start > 0 && bytes.get(start - 1) == Some(&b'"');
    let word = if !paths.is_empty() && random.once_in(if is_quoted { 2 } else { 8 }) {
        random.pick(paths).clone()
    } else if random.once_in(10) {
        // Another word of the same file.
        let from = random.below(bytes.len());
        String::from_utf8_lossy(&bytes[from..(from + 12).min(bytes.len())]).into_owned()
    } else if random.once_in(30) {
        random
            .pick(&["[", "{\"a\":", "9", "(", "é"])
            .repeat(1 + random.below(3000))
    } else {
        (*random.pick(&WORDS)).to_owned()
    };
    bytes.splice(start..end, word.into_bytes());
}

#[test]
fn the_same_number_gives_the_same_input_and_most_differ() {
    let seed: Vec<u8> = (0..200u8).collect();
    let make = |number| {
        let mut bytes = seed.clone();
        mutate(&mut bytes, &seed, &[], &mut Random::new("a", number));
        bytes
    };
    let n_same = (0..1000).filter(|&number| make(number) == seed).count();
    assert!(n_same < 20, "{n_same} of 1000 inputs are unchanged");
    assert!((0..1000).all(|number| make(number) == make(number)));
}
