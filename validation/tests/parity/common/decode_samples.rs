//! Parity of `decode_samples`.

use somata_shaders::layout::DecodeSamplesParams;

use crate::{
    both::{Both, ROUNDING, assert_close, both, largest},
    random::Random,
};

fn check(
    both: &Both,
    sample_type: u32,
    blocks: usize,
    samples: usize,
    select: &[u32],
    file_channels: usize,
) {
    let mut random = Random(11 + u64::from(sample_type));
    let channels = select.len();
    let values = samples * file_channels;
    let block_words = if sample_type <= 1 {
        values.div_ceil(2)
    } else {
        values
    };
    let mut raw: Vec<u32> = (0..blocks * block_words)
        .map(|_| random.bits() as u32)
        .collect();
    if sample_type == 3 {
        // Ordinary values, with some that are not finite between them.
        for (i, word) in raw.iter_mut().enumerate() {
            *word = match i % 41 {
                7 => f32::NAN.to_bits(),
                23 => f32::INFINITY.to_bits(),
                31 => f32::NEG_INFINITY.to_bits(),
                _ => (random.normal() * 100.0).to_bits(),
            };
        }
    }
    let gain: Vec<f32> = (0..channels).map(|_| random.between(0.1, 5.0)).collect();
    let offset: Vec<f32> = (0..channels)
        .map(|_| random.between(-500.0, 500.0))
        .collect();
    let params = DecodeSamplesParams {
        n_blocks: blocks as u32,
        n_samples: samples as u32,
        n_file_channels: file_channels as u32,
        n_channels: channels as u32,
        sample_type,
        block_words: block_words as u32,
    };
    let ((cpu, cpu_bad), (gpu, gpu_bad)) = both.play(
        |commands| {
            let raw = commands.upload_words("raw", raw.clone());
            let select = commands.upload("select", select);
            let gain = commands.upload("gain_uv", &gain);
            let offset = commands.upload("offset_uv", &offset);
            let out = commands.buffer("samples", blocks * samples * channels);
            let bad = commands.zeros("not_finite", 1);
            commands.dispatch(&params, &[raw, select, gain, offset, out, bad]);
            (commands.download(out), commands.download(bad))
        },
        |downloads, (out, bad)| (downloads.take::<f32>(out), downloads.take::<u32>(bad)),
    );
    let case = format!(
        "type {sample_type}, {blocks} blocks, {samples} samples, {channels} of {file_channels} channels"
    );
    if samples > 0 {
        assert_eq!(cpu_bad, gpu_bad, "{case}: values that are not finite");
        // Two rounded operations, or one where the adapter fuses them, and the conversion of large integers.
        assert_close(&case, &cpu, &gpu, 3.0 * ROUNDING * (largest(&cpu) + 500.0));
    }
}

#[test]
fn every_sample_type_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for sample_type in 0..4 {
        check(both, sample_type, 1, 0, &[0], 1);
        check(both, sample_type, 1, 1, &[0], 1);
        check(both, sample_type, 1, 7, &[0, 1, 2], 3);
        check(both, sample_type, 3, 257, &[4, 0, 3], 5);
        check(both, sample_type, 2, 101, &(0..33).collect::<Vec<_>>(), 33);
    }
}

#[test]
fn more_values_than_all_workgroups_of_a_dimension_hold() {
    let Some(both) = both() else { return };
    check(both, 0, 1, 65_535 * 256 + 3, &[0], 1);
}
