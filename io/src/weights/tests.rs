//! Files of the format's own library, and bad ones.

use super::*;

/// A file with that header and data.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(data);
    bytes
}

/// The message for a file that must not open.
fn message(bytes: &[u8]) -> String {
    let error = Weights::from_bytes("net", bytes).unwrap_err();
    assert!(
        error.hint().is_some(),
        "an error without a hint is of no use"
    );
    error.to_string()
}

#[test]
fn every_half_precision_number_has_its_value() {
    for bits in 0..=u16::MAX {
        let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
        let exponent = i32::from(bits >> 10 & 31);
        let fraction = f64::from(bits & 1023) / 1024.0;
        let value = f32_from_f16(bits);
        match exponent {
            31 if bits & 1023 == 0 => assert_eq!(f64::from(value), sign * f64::INFINITY),
            31 => assert!(value.is_nan()),
            0 => assert_eq!(f64::from(value), sign * fraction * 2f64.powi(-14)),
            _ => assert_eq!(
                f64::from(value),
                sign * (1.0 + fraction) * 2f64.powi(exponent - 15)
            ),
        }
        if !value.is_nan() {
            assert_eq!(value.is_sign_negative(), sign < 0.0, "bits {bits:#x}");
        }
    }
}

#[test]
fn the_four_types_arrive_as_float32() {
    let header = r#"{"__metadata__":{"made by":"training"},
        "d":{"dtype":"F64","shape":[],"data_offsets":[10,18]},
        "b":{"dtype":"BF16","shape":[1],"data_offsets":[4,6]},
        "a":{"dtype":"F16","shape":[2,1],"data_offsets":[0,4]},
        "c":{"dtype":"F32","shape":[1,1,1],"data_offsets":[6,10]},
        "e":{"dtype":"F32","shape":[0,3],"data_offsets":[18,18]}}   "#;
    let mut data = vec![0x00, 0x3c, 0x00, 0xc2, 0x20, 0x40];
    data.extend_from_slice(&0.1f32.to_le_bytes());
    data.extend_from_slice(&(-1.0f64 / 3.0).to_le_bytes());
    let weights = Weights::from_bytes("net", &file(header, &data)).unwrap();
    assert_eq!(
        weights.names().collect::<Vec<_>>(),
        ["a", "b", "c", "d", "e"]
    );
    assert_eq!(weights.values("a", &[2, 1]).unwrap(), [1.0, -3.0]);
    assert_eq!(weights.values("b", &[1]).unwrap(), [2.5]);
    assert_eq!(weights.values("c", &[1, 1, 1]).unwrap(), [0.1]);
    assert_eq!(weights.values("d", &[]).unwrap(), [-1.0 / 3.0]);
    assert!(weights.values("e", &[0, 3]).unwrap().is_empty());
    assert_eq!(weights.n_values(), 5);
    assert_eq!(weights.metadata()["made by"], "training");
    assert_eq!(weights.source(), Path::new("net"));
}

#[test]
fn a_file_equals_its_bytes() {
    let header = r#"{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}"#;
    let data: Vec<u8> = [1f32, 2.0, -3.5]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    std::fs::write(&path, file(header, &data)).unwrap();
    let read = Weights::read(&path).unwrap();
    assert_eq!(read.tensor("w").unwrap().values, [1.0, 2.0, -3.5]);
    let missing = Weights::read(&folder.path().join("none")).unwrap_err();
    assert!(matches!(missing, IoError::Missing { .. }));
    assert!(Weights::read(folder.path()).is_err());
}

/// Written by the safetensors library: `io/tests/golden/make_weights.py`.
#[test]
fn a_file_of_the_formats_own_library_is_read() {
    let weights = Weights::from_bytes(
        "golden",
        include_bytes!("../../tests/golden/weights.safetensors"),
    )
    .unwrap();
    let exact = [1.0, -0.5, 3.140625, 65504.0, 6.103_515_6e-5, -0.0f32];
    let thirds = exact.map(|value| value / 3.0);
    assert_eq!(weights.values("half", &[2, 3]).unwrap(), exact);
    assert_eq!(weights.values("down.0.weight", &[2, 3]).unwrap(), thirds);
    assert_eq!(
        weights.values("double", &[2, 3]).unwrap(),
        exact.map(|value| (f64::from(value) / 3.0) as f32)
    );
    // bfloat16 has eight bits of precision: half a step is 2⁻⁹ of the value.
    let brain = weights.values("brain", &[2, 3]).unwrap();
    for (rounded, value) in brain.iter().zip(exact) {
        assert!((rounded - value).abs() <= value.abs() / 512.0);
    }
    assert_eq!(weights.values("number", &[]).unwrap(), [7.25]);
    assert!(weights.values("empty", &[0, 3]).unwrap().is_empty());
    assert_eq!(weights.metadata()["channels"], "2 8 16");
}

#[test]
fn a_tensor_that_is_absent_or_of_another_shape_is_named() {
    let header = r#"{"w":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#;
    let weights = Weights::from_bytes("net", &file(header, &[0; 8])).unwrap();
    assert_eq!(
        weights.values("w", &[2]).unwrap_err().to_string(),
        "`net` does not hold the weights that are needed: tensor `w` has shape [1, 2] instead of [2]"
    );
    let error = weights.tensor("bias").unwrap_err();
    assert!(
        error.to_string().contains("there is no tensor `bias`"),
        "{error}"
    );
}

#[test]
fn a_file_cut_at_any_byte_is_an_error() {
    let header = r#"{"w":{"dtype":"F16","shape":[3],"data_offsets":[0,6]}}"#;
    let bytes = file(header, &[0; 6]);
    assert!(Weights::from_bytes("net", &bytes).is_ok());
    for length in 0..bytes.len() {
        message(&bytes[..length]);
    }
    assert!(message(&bytes[..bytes.len() - 1]).contains("truncated"));
}

#[test]
fn a_wrong_tensor_is_named_with_its_fault() {
    for (entry, data, fault) in [
        (
            r#"{"dtype":"I64","shape":[1],"data_offsets":[0,8]}"#,
            8,
            "type I64",
        ),
        (r#"{"shape":[1],"data_offsets":[0,8]}"#, 8, "no `dtype`"),
        (
            r#"{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}"#,
            4,
            "`shape`",
        ),
        (
            r#"{"dtype":"F32","shape":[1],"data_offsets":[0]}"#,
            4,
            "1 `data_offsets`",
        ),
        (
            r#"{"dtype":"F32","shape":[3],"data_offsets":[0,8]}"#,
            8,
            "needs 12 bytes",
        ),
        (
            r#"{"dtype":"F32","shape":[2],"data_offsets":[8,0]}"#,
            8,
            "needs 8 bytes",
        ),
        (
            r#"{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,4]}"#,
            4,
            "impossible",
        ),
        (
            r#"{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}"#,
            4,
            "truncated",
        ),
        (
            r#"{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#,
            8,
            "starts at byte 4",
        ),
    ] {
        let text = message(&file(&format!(r#"{{"conv.0":{entry}}}"#), &vec![0; data]));
        assert!(
            text.contains("`conv.0`") && text.contains(fault),
            "{entry}: {text}"
        );
    }
}

#[test]
fn overlap_and_bytes_without_a_tensor_are_errors() {
    let two = r#"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[2],"data_offsets":[2,6]}}"#;
    assert!(message(&file(two, &[0; 6])).contains("tensor `b` starts at byte 2"));
    let one = r#"{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}}"#;
    assert!(message(&file(one, &[0; 6])).contains("2 bytes from byte"));
}

#[test]
fn a_value_that_is_not_finite_is_named() {
    let header = r#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let mut data = 1f32.to_le_bytes().to_vec();
    data.extend_from_slice(&f32::NAN.to_le_bytes());
    assert!(message(&file(header, &data)).contains("`w` holds NaN"));
    let header = r#"{"w":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#;
    assert!(message(&file(header, &1e300f64.to_le_bytes())).contains("element 0"));
}

#[test]
fn other_files_are_recognised_as_such() {
    assert!(message(b"PK\x03\x04 and more bytes").contains("PyTorch"));
    assert!(message(b"\x93NUMPY\x01\x00 and more").contains("not a safetensors file"));
    assert!(message(&file("[1]", &[])).contains("not a JSON object"));
    assert!(message(&file("{", &[])).contains("not JSON"));
    assert!(message(&file(r#"{"__metadata__":{"a":1}}"#, &[])).contains("map of text"));
    assert_eq!(
        Weights::from_bytes("net", &file("{}", &[]))
            .unwrap()
            .n_values(),
        0
    );
}
