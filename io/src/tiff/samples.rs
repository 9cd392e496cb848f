//! Sample types of TIFF pages, and rows of packed bytes turned into native samples.
//!
//! A sample is delivered in the smallest of 1, 2, 4 and 8 bytes that holds its bits, its *container*: 12-bit integers come as
//! 16-bit ones with the same values.

/// What the bits of a sample mean.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum SampleKind {
    Unsigned,
    Signed,
    Float,
}

/// A sample type as stored.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Sample {
    pub kind: SampleKind,
    pub bits: u32,
}

impl Sample {
    /// Bytes of the delivered sample: 1, 2, 4 or 8.
    pub fn container_bytes(self) -> usize {
        (self.bits.div_ceil(8) as usize).next_power_of_two()
    }

    /// Whether stored bytes are the delivered ones, byte order aside.
    pub fn is_whole(self) -> bool {
        matches!(self.bits, 8 | 16 | 32 | 64)
    }

    /// numpy's name of the delivered type.
    pub fn numpy_name(self) -> &'static str {
        match (self.kind, self.container_bytes()) {
            (SampleKind::Unsigned, 1) => "uint8",
            (SampleKind::Unsigned, 2) => "uint16",
            (SampleKind::Unsigned, 4) => "uint32",
            (SampleKind::Unsigned, _) => "uint64",
            (SampleKind::Signed, 1) => "int8",
            (SampleKind::Signed, 2) => "int16",
            (SampleKind::Signed, 4) => "int32",
            (SampleKind::Signed, _) => "int64",
            (SampleKind::Float, 2) => "float16",
            (SampleKind::Float, 4) => "float32",
            (SampleKind::Float, _) => "float64",
        }
    }

    /// Native-endian samples of this type as single-precision floats.
    pub fn to_f32(self, native: &[u8]) -> Vec<f32> {
        /// Applies `convert` to each chunk of `N` bytes.
        fn each<const N: usize>(native: &[u8], convert: fn([u8; N]) -> f32) -> Vec<f32> {
            let (chunks, _) = native.as_chunks::<N>();
            chunks.iter().map(|&bytes| convert(bytes)).collect()
        }
        use SampleKind::{Float, Signed, Unsigned};
        match (self.kind, self.container_bytes()) {
            (Unsigned, 1) => each(native, |b: [u8; 1]| f32::from(b[0])),
            (Unsigned, 2) => each(native, |b| f32::from(u16::from_ne_bytes(b))),
            (Unsigned, 4) => each(native, |b| u32::from_ne_bytes(b) as f32),
            (Unsigned, _) => each(native, |b| u64::from_ne_bytes(b) as f32),
            (Signed, 1) => each(native, |b: [u8; 1]| f32::from(b[0] as i8)),
            (Signed, 2) => each(native, |b| f32::from(i16::from_ne_bytes(b))),
            (Signed, 4) => each(native, |b| i32::from_ne_bytes(b) as f32),
            (Signed, _) => each(native, |b| i64::from_ne_bytes(b) as f32),
            (Float, 2) => each(native, |b| f16_to_f32(u16::from_ne_bytes(b))),
            (Float, 4) => each(native, f32::from_ne_bytes),
            (Float, _) => each(native, |b| f64::from_ne_bytes(b) as f32),
        }
    }
}

/// A half-precision float (IEEE 754 binary16) as a single one; exact.
pub(crate) fn f16_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f32::from(bits & 0x3ff);
    match exponent {
        // 2^-24 is the smallest subnormal.
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

/// Swaps the bytes of samples in place.
pub(crate) fn swap_bytes(samples: &mut [u8], sample_bytes: usize) {
    /// Reverses each chunk of `N` bytes; the fixed size lets the compiler use byte shuffles.
    fn reverse<const N: usize>(samples: &mut [u8]) {
        let (chunks, _) = samples.as_chunks_mut::<N>();
        for chunk in chunks {
            chunk.reverse();
        }
    }
    match sample_bytes {
        2 => reverse::<2>(samples),
        4 => reverse::<4>(samples),
        8 => reverse::<8>(samples),
        _ => {}
    }
}

/// What was done to rows before they were packed (TIFF's Predictor).
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Predictor {
    None,
    /// Each sample minus the one to its left.
    Horizontal,
    /// Bytes of floats sorted by significance, then differences of bytes (Technical Note 3).
    FloatingPoint,
}

/// How rows of one chunk are stored.
#[derive(Copy, Clone, Debug)]
pub(crate) struct RowFormat {
    pub sample: Sample,
    pub big_endian: bool,
    pub predictor: Predictor,
    /// Samples of a pixel that lie side by side.
    pub samples_per_pixel: usize,
}

impl RowFormat {
    /// Stored bytes of a row of `n_samples`.
    pub fn stored_bytes(&self, n_samples: u64) -> u64 {
        (n_samples * u64::from(self.sample.bits)).div_ceil(8)
    }

    /// Turns one stored row into native samples; `stored` may be overwritten. `out` holds the row's containers exactly.
    pub fn unpack(&self, stored: &mut [u8], out: &mut [u8]) {
        let container = self.sample.container_bytes();
        if self.predictor == Predictor::FloatingPoint {
            self.unpack_floats(stored, out);
            return;
        }
        if self.sample.is_whole() {
            let n_bytes = out.len();
            out.copy_from_slice(&stored[..n_bytes]);
            if self.big_endian != cfg!(target_endian = "big") {
                swap_bytes(out, container);
            }
        } else {
            self.unpack_bits(stored, out);
        }
        if self.predictor == Predictor::Horizontal {
            accumulate(out, container, self.samples_per_pixel);
        }
        if !self.sample.is_whole() {
            self.trim(out);
        }
    }

    /// Integers whose bits do not fill their container. Bits run from the most significant one on, whatever the byte order.
    fn unpack_bits(&self, stored: &[u8], out: &mut [u8]) {
        let bits = self.sample.bits as usize;
        let container = self.sample.container_bytes();
        for (index, out) in out.chunks_exact_mut(container).enumerate() {
            let mut value = 0u64;
            let mut at = index * bits;
            let mut missing = bits;
            while missing > 0 {
                let free = 8 - at % 8;
                let n_here = free.min(missing);
                let byte = u64::from(stored[at / 8]);
                value = value << n_here | (byte >> (free - n_here)) & ((1 << n_here) - 1);
                at += n_here;
                missing -= n_here;
            }
            put(out, value);
        }
    }

    /// After the predictor's sums: only the sample's own bits count, and signed ones are extended.
    fn trim(&self, out: &mut [u8]) {
        let container = self.sample.container_bytes();
        let unused = 64 - self.sample.bits;
        for out in out.chunks_exact_mut(container) {
            let value = take(out) << unused;
            put(
                out,
                match self.sample.kind {
                    SampleKind::Signed => ((value as i64) >> unused) as u64,
                    _ => value >> unused,
                },
            );
        }
    }

    /// Undoes the floating-point predictor.
    fn unpack_floats(&self, stored: &mut [u8], out: &mut [u8]) {
        let container = self.sample.container_bytes();
        let stored = &mut stored[..out.len()];
        for at in self.samples_per_pixel..stored.len() {
            stored[at] = stored[at].wrapping_add(stored[at - self.samples_per_pixel]);
        }
        let n_samples = out.len() / container;
        for (index, out) in out.chunks_exact_mut(container).enumerate() {
            for significance in 0..container {
                let at = if cfg!(target_endian = "big") {
                    significance
                } else {
                    container - 1 - significance
                };
                out[at] = stored[significance * n_samples + index];
            }
        }
    }
}

/// A native-endian unsigned number of 1, 2, 4 or 8 bytes.
fn take(bytes: &[u8]) -> u64 {
    let mut wide = [0u8; 8];
    if cfg!(target_endian = "big") {
        wide[8 - bytes.len()..].copy_from_slice(bytes);
    } else {
        wide[..bytes.len()].copy_from_slice(bytes);
    }
    u64::from_ne_bytes(wide)
}

/// Stores the low bytes of a number, native-endian.
fn put(bytes: &mut [u8], value: u64) {
    let wide = value.to_ne_bytes();
    let n_bytes = bytes.len();
    if cfg!(target_endian = "big") {
        bytes.copy_from_slice(&wide[8 - n_bytes..]);
    } else {
        bytes.copy_from_slice(&wide[..n_bytes]);
    }
}

/// Undoes the horizontal predictor: each sample plus the one `stride` samples before it, modulo the container.
fn accumulate(row: &mut [u8], sample_bytes: usize, stride: usize) {
    macro_rules! sums {
        ($number:ty) => {{
            const N: usize = size_of::<$number>();
            let (row, _) = row.as_chunks_mut::<N>();
            for at in stride..row.len() {
                let sum = <$number>::from_ne_bytes(row[at])
                    .wrapping_add(<$number>::from_ne_bytes(row[at - stride]));
                row[at] = sum.to_ne_bytes();
            }
        }};
    }
    match sample_bytes {
        1 => sums!(u8),
        2 => sums!(u16),
        4 => sums!(u32),
        _ => sums!(u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bits: u32, kind: SampleKind, predictor: Predictor, big_endian: bool) -> RowFormat {
        RowFormat {
            sample: Sample { kind, bits },
            big_endian,
            predictor,
            samples_per_pixel: 1,
        }
    }

    fn u16s(bytes: &[u8]) -> Vec<u16> {
        bytes
            .chunks_exact(2)
            .map(|b| u16::from_ne_bytes(b.try_into().unwrap()))
            .collect()
    }

    #[test]
    fn twelve_bits_are_unpacked_from_the_most_significant_one_on() {
        let mut out = [0u8; 6];
        let format = row(12, SampleKind::Unsigned, Predictor::None, false);
        assert_eq!(format.stored_bytes(3), 5);
        format.unpack(&mut [0xab, 0xcd, 0xef, 0x12, 0x30], &mut out);
        assert_eq!(u16s(&out), [0xabc, 0xdef, 0x123]);
        let format = row(12, SampleKind::Signed, Predictor::None, false);
        format.unpack(&mut [0xff, 0xf0, 0x01, 0x80, 0x00], &mut out);
        assert_eq!(u16s(&out).map_signed(), [-1, 1, -2048]);
        let mut wide = [0u8; 4];
        row(24, SampleKind::Unsigned, Predictor::None, false).unpack(&mut [1, 2, 3], &mut wide);
        assert_eq!(u32::from_ne_bytes(wide), 0x010203);
        // 4095 + 2 wraps at 12 bits, not at 16.
        let format = row(12, SampleKind::Unsigned, Predictor::Horizontal, false);
        format.unpack(&mut [0xff, 0xf0, 0x02, 0x00, 0x00], &mut out);
        assert_eq!(u16s(&out), [4095, 1, 1]);
    }

    trait MapSigned {
        fn map_signed(&self) -> Vec<i16>;
    }
    impl MapSigned for Vec<u16> {
        fn map_signed(&self) -> Vec<i16> {
            self.iter().map(|&value| value as i16).collect()
        }
    }

    #[test]
    fn half_floats_of_every_class_are_exact() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x8000, -0.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x0400, 6.103_515_6e-5),
            (0x3c00, 1.0),
            (0xc500, -5.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(
                f16_to_f32(bits).to_bits(),
                f32::to_bits(value),
                "{bits:#06x}"
            );
        }
        assert!(f16_to_f32(0x7e00).is_nan());
    }
}
