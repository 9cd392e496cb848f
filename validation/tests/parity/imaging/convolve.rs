//! Parity of `convolve`.

use somata_shaders::layout::ConvolveParams;

use crate::{
    both::{Both, ROUNDING, assert_close, both, largest},
    random::Random,
};

/// How a case differs from a plain 3 by 3 unit.
#[derive(Clone, Copy, Default)]
struct Unit {
    images: usize,
    /// Rows and columns of the output.
    size: [usize; 2],
    /// Input and output channels.
    channels: [usize; 2],
    kernel: usize,
    upsample: bool,
    relu: bool,
    add: bool,
    /// Every image has factors and terms of its own.
    own_affine: bool,
}

fn check(both: &Both, unit: Unit) -> Vec<f32> {
    let Unit {
        images,
        size: [height, width],
        channels: [inputs, outputs],
        kernel,
        ..
    } = unit;
    let mut random = Random(301);
    let shrink = if unit.upsample { 2 } else { 1 };
    let x = random.normals(images * inputs * (height / shrink) * (width / shrink));
    let weight = random.normals(outputs * inputs * kernel * kernel);
    let bias = random.normals(outputs);
    let addend = random.normals(if unit.add {
        images * outputs * height * width
    } else {
        1
    });
    // A table with other units' rows before and after this one's, factors first, as the style writes it.
    let (offset, gap) = if unit.own_affine {
        (3, inputs + 5)
    } else {
        (0, inputs)
    };
    let stride = if unit.own_affine { 2 * gap } else { 0 };
    let affine = random.normals(if unit.own_affine {
        images.max(1) * stride
    } else {
        2 * inputs
    });
    let params = ConvolveParams {
        n_images: images as u32,
        height: height as u32,
        width: width as u32,
        in_channels: inputs as u32,
        out_channels: outputs as u32,
        kernel: kernel as u32,
        upsample: u32::from(unit.upsample),
        relu: u32::from(unit.relu),
        add: u32::from(unit.add),
        affine_offset: offset as u32,
        affine_gap: gap as u32,
        affine_stride: stride as u32,
    };
    let (cpu, gpu) = both.play(
        |commands| {
            let x = commands.upload("x", &x);
            let weight = commands.upload("weight", &weight);
            let bias = commands.upload("bias", &bias);
            let affine = commands.upload("affine", &affine);
            let addend = commands.upload("addend", &addend);
            let out = commands.buffer("out", images * outputs * height * width);
            commands.dispatch(&params, &[x, weight, bias, affine, addend, out]);
            commands.download(out)
        },
        |downloads, out| downloads.take::<f32>(out),
    );
    let case = format!(
        "{images} images of {height} x {width}, {inputs} to {outputs} channels, kernel {kernel}, upsample {}, relu {}, add {}, own affine {}",
        unit.upsample, unit.relu, unit.add, unit.own_affine
    );
    // Random terms and random errors: of a sum over channels and taps the square root counts, times four deviations; a
    // term is a product of a weight and an input that was scaled and moved.
    let terms = (inputs * kernel * kernel) as f32;
    let term = largest(&weight) * (largest(&x) + 1.0) * largest(&affine) + 2.0;
    assert_close(&case, &cpu, &gpu, 4.0 * terms.sqrt() * ROUNDING * term);
    cpu
}

#[test]
fn units_at_awkward_sizes() {
    let Some(both) = both() else { return };
    let plain = Unit {
        images: 1,
        kernel: 3,
        relu: true,
        ..Unit::default()
    };
    for (images, size, channels) in [
        (0, [8, 8], [2, 2]),
        (1, [1, 1], [1, 1]),
        (1, [1, 40], [3, 3]),
        (1, [18, 1], [4, 12]),
        (2, [16, 32], [5, 13]),
        (3, [17, 33], [2, 7]),
        (1, [7, 70], [9, 25]),
        (1, [50, 20], [12, 24]),
    ] {
        for kernel in [1, 3] {
            let unit = Unit {
                images,
                size,
                channels,
                kernel,
                ..plain
            };
            check(both, unit);
            check(
                both,
                Unit {
                    add: true,
                    own_affine: true,
                    ..unit
                },
            );
            check(
                both,
                Unit {
                    relu: false,
                    own_affine: true,
                    ..unit
                },
            );
        }
    }
}

#[test]
fn inputs_of_half_the_size() {
    let Some(both) = both() else { return };
    for (images, size, channels) in [
        (1, [2, 2], [1, 1]),
        (2, [18, 34], [5, 6]),
        (1, [28, 56], [8, 13]),
    ] {
        for kernel in [1, 3] {
            for add in [false, true] {
                check(
                    both,
                    Unit {
                        images,
                        size,
                        channels,
                        kernel,
                        upsample: true,
                        relu: kernel == 3,
                        add,
                        own_affine: add,
                    },
                );
            }
        }
    }
}

#[test]
fn beyond_the_edge_there_are_zeros_after_the_batch_norm() {
    let Some(both) = both() else { return };
    // All inputs become the term, 2: a tap beyond the edge must add nothing, not two.
    let params = ConvolveParams {
        n_images: 1,
        height: 3,
        width: 3,
        in_channels: 1,
        out_channels: 1,
        kernel: 3,
        relu: 1,
        affine_gap: 1,
        ..ConvolveParams::default()
    };
    let (cpu, gpu) = both.play(
        |commands| {
            let x = commands.upload("x", &[5.0f32; 9]);
            let weight = commands.upload("weight", &[1.0f32; 9]);
            let bias = commands.upload("bias", &[0.0f32]);
            let affine = commands.upload("affine", &[0.0f32, 2.0]);
            let nothing = commands.zeros("nothing", 1);
            let out = commands.buffer("out", 9);
            commands.dispatch(&params, &[x, weight, bias, affine, nothing, out]);
            commands.download(out)
        },
        |downloads, out| downloads.take::<f32>(out),
    );
    let expected = [8.0, 12.0, 8.0, 12.0, 18.0, 12.0, 8.0, 12.0, 8.0];
    // Exact: sums of small integers.
    assert_eq!((&cpu[..], &gpu[..]), (&expected[..], &expected[..]));
}
