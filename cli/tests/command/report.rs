//! `report.html` of a sort: what is in it, and that nothing of the input can be more than text in it. How it looks and answers to clicks
//! is judged by `cli/tests/browser`.

use std::path::Path;

use serde_json::{Value, json as value};
use somata_io::npy::read_npy_as_i64;

use crate::{
    data::{RATE_HZ, change_json, tetrode},
    movies::{image, small},
    run::{json, manifest, nothing_left, run, somata, sort},
};

/// A report, taken apart.
pub struct Report {
    /// The page.
    pub html: String,
}

impl Report {
    #[track_caller]
    pub fn of(out: &Path) -> Self {
        let html = std::fs::read_to_string(out.join("report.html")).expect("a report");
        Self { html }
    }

    /// Text of a block.
    #[track_caller]
    pub fn text(&self, id: &str) -> &str {
        let start = format!(" id=\"data-{id}\">");
        let at = self
            .html
            .find(&start)
            .unwrap_or_else(|| panic!("no block {id}"))
            + start.len();
        let end = self.html[at..].find("</script>").expect("an end");
        &self.html[at..at + end]
    }

    #[track_caller]
    pub fn json(&self, id: &str) -> Value {
        json(self.text(id))
    }

    /// Values of a field of a row of packed numbers.
    #[track_caller]
    pub fn packed(&self, id: &str, row: usize, field: &str) -> Vec<f64> {
        let layout = self.json(&format!("{id}-layout"));
        let number = |value: &Value| value.as_u64().expect("a number") as usize;
        let chars = number(&layout["row_bytes"]) / 3 * 4;
        let bytes = decoded(&self.text(id)[row * chars..(row + 1) * chars]);
        let about = &layout["fields"][field];
        let (offset, count) = (number(&about[1]), number(&about[2]));
        let value = |size: usize, k: usize| {
            let bytes = &bytes[offset + k * size..][..size];
            bytes
                .iter()
                .rev()
                .fold(0u64, |value, &byte| value << 8 | u64::from(byte))
        };
        (0..count)
            .map(|k| match about[0].as_str().expect("a type") {
                "u8" => value(1, k) as f64,
                "u16" => value(2, k) as f64,
                "i16" => f64::from(value(2, k) as u16 as i16),
                "u32" => value(4, k) as f64,
                "f32" => f64::from(f32::from_bits(value(4, k) as u32)),
                other => panic!("what is {other}?"),
            })
            .collect()
    }

    /// What scripts have to carry so that they run.
    #[track_caller]
    fn nonce(&self) -> &str {
        let rest = self.html.split("'nonce-").nth(1).expect("a policy");
        &rest[..rest.find('\'').unwrap()]
    }

    /// A picture.
    #[track_caller]
    pub fn picture(&self, id: &Value) -> Vec<u8> {
        let base64 = self
            .text(id.as_str().expect("a block"))
            .trim_end_matches('=');
        decoded(&base64[..base64.len() / 4 * 4])
    }

    /// Asserts that the page is whole, and that each of its scripts is one that the program wrote.
    #[track_caller]
    pub fn is_whole_and_closed(&self) {
        assert!(
            self.html.starts_with("<!doctype html>") && self.html.trim_end().ends_with("</html>")
        );
        let opened = self.html.matches("<script ").count();
        assert_eq!(self.html.matches("<script").count(), opened);
        assert_eq!(self.html.matches("</script>").count(), opened);
        let data = self.html.matches(" id=\"data-").count();
        // Blocks behind the script each have a call that says that they are there.
        let later: Vec<&str> = (self
            .html
            .split("<script type=\"text/plain\" id=\"data-")
            .skip(1))
        .map(|rest| &rest[..rest.find('"').unwrap()])
        .collect();
        for id in &later {
            let call = format!(
                "</script>\n<script nonce=\"{}\">arrived('{id}');</script>",
                self.nonce()
            );
            assert_eq!(self.html.matches(&call).count(), 1, "{id}");
        }
        assert_eq!(
            opened,
            data + 1 + later.len(),
            "one script beside the blocks of data"
        );
        // What is needed at first comes first.
        let script = self.html.find("'use strict'").unwrap();
        assert!(self.html.rfind("application/json").unwrap() < script);
        assert!(self.html.find("text/plain").is_none_or(|at| at > script));
        assert!(self.html.contains("default-src 'none'"));
        for forbidden in ["http://", "https://", " src=\"", " href=\"", "@import"] {
            assert!(
                !self.html.contains(forbidden),
                "`{forbidden}` in the report"
            );
        }
    }
}

fn decoded(base64: &str) -> Vec<u8> {
    let digit = |c: u8| -> u32 {
        u32::from(match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            other => panic!("{other} is no digit"),
        })
    };
    base64
        .as_bytes()
        .chunks(4)
        .flat_map(|four| {
            let bits = four.iter().fold(0, |bits, &c| bits << 6 | digit(c));
            [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]
        })
        .collect()
}

#[test]
fn a_sort_has_a_report_with_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    let ran = run(sort(&recording, &out).arg("--truth").arg(&recording)).succeeds();
    let path = out.join("report.html");
    assert!(
        ran.stderr
            .lines()
            .last()
            .unwrap()
            .contains(path.to_str().unwrap()),
        "{}",
        ran.stderr
    );
    let report = Report::of(&out);
    report.is_whole_and_closed();
    let manifest = manifest(&out);
    assert_eq!(report.json("manifest"), manifest);
    assert_eq!(report.json("recording")["name"], "recording");
    assert_eq!(
        report.json("recording")["channels"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let units = report.json("units");
    let units = units.as_array().unwrap();
    assert_eq!(units.len() as u64, manifest["n_units"].as_u64().unwrap());
    assert!(!units.is_empty());
    let n_true = report.json("truth")["sorting"]["n_true"].as_u64();
    assert!(n_true > Some(0));

    // Intervals and autocorrelogram, counted from the files beside the report.
    let times = read_npy_as_i64(&out.join("phy/spike_times.npy"))
        .unwrap()
        .data;
    let clusters = read_npy_as_i64(&out.join("phy/spike_clusters.npy"))
        .unwrap()
        .data;
    for (id, unit) in units.iter().enumerate() {
        let train: Vec<i64> = (0..times.len())
            .filter(|&k| clusters[k] == id as i64)
            .map(|k| times[k])
            .collect();
        assert_eq!(unit["metrics"]["n_spikes"], train.len());
        let is_good = unit["template_norm"].as_f64() >= Some(6.0)
            && unit["metrics"]["isi_violations_ratio"].as_f64() < Some(0.2);
        assert_eq!(unit["label"] == "good", is_good, "the report says why");
        let intervals = report.packed("unit-rows", id, "intervals");
        assert_eq!(intervals.iter().sum::<f64>(), train.len() as f64 - 1.0);
        let auto = report.packed("unit-rows", id, "auto");
        let bin = RATE_HZ as i64 / 2000;
        let mut expected = vec![0.0; auto.len()];
        for (k, a) in train.iter().enumerate() {
            for b in &train[k + 1..] {
                if let Some(count) = expected.get_mut(((b - a) / bin) as usize) {
                    *count += 1.0;
                }
            }
        }
        assert_eq!(auto, expected, "unit {id}");
        assert_eq!(unit["auto_references"], train.len());
        let histogram = report.packed("unit-rows", id, "amplitude_histogram");
        assert_eq!(histogram.iter().sum::<f64>(), train.len() as f64);
        // The waveform's largest value is the largest that 16 bits hold.
        let waveform = report.packed("unit-rows", id, "waveform");
        assert_eq!(
            waveform.iter().fold(0.0, |most: f64, v| most.max(v.abs())),
            32767.0
        );
    }
    let pairs = report.json("pairs");
    for (k, pair) in pairs.as_array().unwrap().iter().enumerate() {
        assert!(pair["similarity"].as_f64() >= Some(0.5));
        assert_eq!(report.packed("pair-rows", k, "cross").len(), 101);
    }
    let drift = report.json("drift-about");
    assert_eq!(drift["n_spikes"], times.len());
    assert_eq!(
        report.packed("drift", 0, "time").len() as u64,
        drift["n_shown"].as_u64().unwrap()
    );
}

#[test]
fn a_sort_without_units_has_a_report_too() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    run(sort(&recording, &out).args(["--set", "curation.min_norm=100"])).succeeds();
    assert_eq!(manifest(&out)["n_units"], 0);
    let report = Report::of(&out);
    report.is_whole_and_closed();
    assert_eq!(report.json("units"), Value::Array(Vec::new()));
}

#[cfg(unix)]
#[test]
fn names_of_the_input_are_text_in_a_report_and_never_markup() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = "script><img src=x onerror=alert(1)>\u{2028}\"'&amp;`${1}";
    let inside = folder.path().join("x<");
    std::fs::create_dir(&inside).unwrap();
    // Together the path has `</script><img …>`.
    let recording = inside.join(hostile);
    std::fs::rename(tetrode(folder.path()), &recording).unwrap();
    let out = folder.path().join("out");
    run(&mut sort(&recording, &out)).succeeds();
    let report = Report::of(&out);
    report.is_whole_and_closed();
    assert!(!report.html.contains("<img"));
    assert!(!report.html.contains('\u{2028}') || !report.text("recording").contains('\u{2028}'));
    assert_eq!(report.json("recording")["name"], hostile);
    assert_eq!(
        report.json("recording")["path"],
        recording.to_str().unwrap()
    );
    let title = report.html.split("<title>").nth(1).unwrap();
    let title = title.split("</title>").next().unwrap();
    assert!(title.starts_with("script&gt;&lt;img src=x"), "{title}");
}

#[test]
fn a_truth_that_cannot_be_read_is_told_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    let missing = folder.path().join("nothing.npz");
    run(sort(&recording, &out).arg("--truth").arg(&missing)).fails(3, &["nothing.npz"], &[""]);
    nothing_left(&out);
    let movie = small(folder.path());
    run(image(&movie, &out).arg("--truth").arg(&missing)).fails(3, &["nothing.npz"], &[""]);
    nothing_left(&out);
}

#[test]
fn contacts_of_another_shape_are_drawn_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    // A probe whose contacts lie in one place along the shank.
    change_json(&recording.join("probe.json"), |probe| {
        for (k, position) in probe["probes"][0]["contact_positions"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .enumerate()
        {
            *position = value!([20.0 * k as f64, 0.0]);
        }
    });
    let out = folder.path().join("out");
    run(&mut sort(&recording, &out)).succeeds();
    let report = Report::of(&out);
    report.is_whole_and_closed();
    let range = report.json("drift-about")["depth_um"].clone();
    assert_eq!(range, value!([-60.0, 60.0]));
}

#[test]
fn two_sortings_have_a_page_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    run(&mut sort(&recording, &first)).succeeds();
    run(sort(&recording, &second).args(["--set", "matching.sweeps=1"])).succeeds();
    let page = folder.path().join("both.html");
    let compare = |more: &[&std::ffi::OsStr]| {
        run(somata().arg("compare").arg(&first).arg(&second).args(more))
            .succeeds()
            .stdout
    };
    let printed = compare(&["--report".as_ref(), page.as_os_str()]);
    assert_eq!(printed, compare(&[]), "what is printed is the same");
    let expected = json(&compare(&["--json".as_ref()]));
    let report = Report {
        html: std::fs::read_to_string(&page).unwrap(),
    };
    report.is_whole_and_closed();
    let pairs = report.json("pairs");
    let pairs = pairs.as_array().unwrap();
    let paired: Vec<&Value> = pairs.iter().filter(|pair| pair["paired"] == true).collect();
    assert_eq!(paired.len(), expected["pairs"].as_array().unwrap().len());
    assert!(!paired.is_empty());
    for (k, (pair, wanted)) in paired
        .iter()
        .zip(expected["pairs"].as_array().unwrap())
        .enumerate()
    {
        assert_eq!(pair["agreement"], wanted["agreement"]);
        assert_eq!(pair["n_matches"], wanted["n_matches"]);
        // Matching spikes are within 0.4 ms, so they are in the middle bin of 1 ms.
        let cross = report.packed("cross-rows", k, "cross");
        assert!(cross[50] >= wanted["n_matches"].as_f64().unwrap());
    }
    let only = |name: &str| pairs.iter().filter(|pair| pair["only"] == name).count();
    assert_eq!(
        only("first"),
        expected["only_first"].as_array().unwrap().len()
    );
    assert_eq!(
        only("second"),
        expected["only_second"].as_array().unwrap().len()
    );
    assert_eq!(
        report.json("first")["positions"].as_array().unwrap().len(),
        8
    );
}

#[test]
fn a_page_that_cannot_be_written_is_an_error_of_compare() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    run(&mut sort(&recording, &out)).succeeds();
    let page = folder.path().join("nowhere/both.html");
    run(somata()
        .arg("compare")
        .arg(&out)
        .arg(&out)
        .arg("--report")
        .arg(&page))
    .fails(4, &["both.html"], &[""]);
    assert!(!page.exists());
}
