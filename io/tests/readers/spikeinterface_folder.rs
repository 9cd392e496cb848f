//! Folders that SpikeInterface saved (`golden/make_spikeinterface.py`), against what it reads from them itself.

use crate::suite::{check_reader, golden, golden_json, open_plain, read_all};

#[test]
fn saved_folders_equal_what_spikeinterface_reads() {
    let expected = golden_json("spikeinterface/expected.json");
    for (name, expected) in expected.as_object().unwrap() {
        let reader = open_plain(&golden("spikeinterface").join(name));
        check_reader(&*reader);
        let description = reader.description();
        assert_eq!(
            description.sampling_frequency_hz,
            expected["rate"].as_f64().unwrap()
        );
        let ids: Vec<&str> = expected["ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap())
            .collect();
        assert_eq!(description.channel_ids, ids);
        for channel in 0..4 {
            let gain = expected["gains"][channel].as_f64().unwrap_or(1.0);
            let offset = expected["offsets"][channel].as_f64().unwrap_or(0.0);
            assert_eq!(description.gains_uv[channel], gain as f32);
            assert_eq!(description.offsets_uv[channel], offset as f32);
            let contact = &description.probe.as_ref().unwrap().contacts[channel];
            assert_eq!(
                contact.x_um,
                expected["locations"][channel][0].as_f64().unwrap()
            );
            assert_eq!(
                contact.y_um,
                expected["locations"][channel][1].as_f64().unwrap()
            );
        }
        let lengths: Vec<u64> = description
            .segments
            .iter()
            .map(|segment| segment.n_samples)
            .collect();
        let expected_lengths: Vec<u64> = expected["segments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|segment| segment[0].as_u64().unwrap())
            .collect();
        assert_eq!(lengths, expected_lengths);
        assert_eq!(
            description.segments[0].start_time_s,
            expected["segments"][0][1].as_f64().unwrap()
        );
        let samples = read_all(&*reader);
        for channel in 0..4 {
            for row in 0..3 {
                assert_eq!(
                    samples[row * 4 + channel] as f32,
                    expected["first"][row][channel].as_f64().unwrap() as f32
                );
            }
            let last = samples[samples.len() - 4 + channel] as f32;
            assert_eq!(last, expected["last"][channel].as_f64().unwrap() as f32);
        }
    }
    let two_segments = open_plain(&golden("spikeinterface/two_segments"));
    assert_eq!(
        two_segments.description().sample_delay,
        Some(vec![0.0, 0.1, 0.2, 0.3])
    );
    let two_probes = open_plain(&golden("spikeinterface/two_probes/binary.json"));
    assert_eq!(
        two_probes.description().probe.as_ref().unwrap().n_shanks(),
        2
    );
    assert!(
        two_probes
            .description()
            .warnings
            .iter()
            .any(|warning| warning.contains("no gains"))
    );
}
