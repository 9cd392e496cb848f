//! What a file says of the session: when it began, who did it, and on whom.

use std::fmt;

use super::{Neurodata, NwbWriter};
use crate::error::IoError;
use crate::hdf5_writer::Link;

/// A moment with its time zone, as the format writes it: `2026-01-31T09:30:00+01:00`.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct NwbTime(String);

impl NwbTime {
    /// Reads a moment of ISO 8601: date, `T` or a space, time to the minute or finer, and `Z` or the offset from UTC. `None` when it is
    /// none, or has no zone: what was midday somewhere is not a moment.
    pub fn parse(text: &str) -> Option<NwbTime> {
        let text = text.trim();
        if !text.is_ascii() || text.len() < 17 {
            return None;
        }
        let (date, rest) = text.split_at(10);
        let (time, zone) = match rest[1..].find(['Z', 'z', '+', '-']) {
            Some(at) if rest.starts_with(['T', 't', ' ']) => rest[1..].split_at(at),
            _ => return None,
        };
        let numbers = |text: &str, divider: char, lengths: &[usize]| {
            let parts: Vec<&str> = text.split(divider).collect();
            let fits = parts.len() == lengths.len()
                && parts.iter().zip(lengths).all(|(part, &length)| {
                    part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
                });
            fits.then(|| {
                let numbers = parts.iter().map(|part| part.parse::<u32>().unwrap_or(0));
                numbers.collect::<Vec<u32>>()
            })
        };
        let date_numbers = numbers(date, '-', &[4, 2, 2])?;
        let [year, month, day] = date_numbers[..] else {
            return None;
        };
        if !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
            return None;
        }
        let (whole, fraction) = match time.split_once('.') {
            Some((whole, fraction)) => (whole.to_owned(), fraction),
            // The format asks for seconds.
            None if time.len() == 5 => (format!("{time}:00"), ""),
            None => (time.to_owned(), ""),
        };
        let time_numbers = numbers(&whole, ':', &[2, 2, 2])?;
        let is_time = time_numbers
            .iter()
            .zip([24, 60, 60])
            .all(|(&n, end)| n < end);
        let is_fraction = fraction.len() <= 6 && fraction.bytes().all(|byte| byte.is_ascii_digit());
        if !is_time || !is_fraction || time.ends_with('.') {
            return None;
        }
        let zone = match zone {
            "Z" | "z" => "+00:00".to_owned(),
            zone => {
                let zone_numbers = numbers(&zone[1..], ':', &[2, 2])?;
                if zone_numbers[0] > 14 || zone_numbers[1] > 59 {
                    return None;
                }
                zone.to_owned()
            }
        };
        let fraction = match fraction {
            "" => String::new(),
            fraction => format!(".{fraction}"),
        };
        Some(NwbTime(format!("{date}T{whole}{fraction}{zone}")))
    }

    /// The moment that is so many seconds after 1970, in UTC.
    pub fn of_unix_s(seconds: u64) -> NwbTime {
        let (days, in_day) = (seconds / 86_400, seconds % 86_400);
        let (mut year, mut left) = (1970u32, days);
        let days_of_year = |year| {
            if days_of_month(year, 2) == 29 {
                366
            } else {
                365
            }
        };
        while left >= days_of_year(year) {
            left -= days_of_year(year);
            year += 1;
        }
        let mut month = 1;
        while left >= u64::from(days_of_month(year, month)) {
            left -= u64::from(days_of_month(year, month));
            month += 1;
        }
        NwbTime(format!(
            "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}+00:00",
            left + 1,
            in_day / 3600,
            in_day / 60 % 60,
            in_day % 60
        ))
    }
}

impl fmt::Display for NwbTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Days of a month, by the Gregorian calendar.
fn days_of_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The animal or person.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct NwbSubject {
    /// Its name in the laboratory.
    pub subject_id: Option<String>,
    /// Latin name of the species, as `Mus musculus`.
    pub species: Option<String>,
    /// `M`, `F`, `O` (other) or `U` (unknown).
    pub sex: Option<String>,
    /// Age as a duration of ISO 8601, as `P90D`.
    pub age: Option<String>,
    /// Date of birth.
    pub date_of_birth: Option<NwbTime>,
    /// Anything else.
    pub description: Option<String>,
    /// Genotype.
    pub genotype: Option<String>,
    /// Strain.
    pub strain: Option<String>,
    /// Weight with its unit, as `0.02 kg`.
    pub weight: Option<String>,
}

/// The session. All times in the file count from its start.
#[derive(Clone, PartialEq, Debug)]
pub struct NwbSession {
    /// What was done, in a sentence.
    pub description: String,
    /// When it began.
    pub start_time: NwbTime,
    /// When the file is made.
    pub file_create_date: NwbTime,
    /// What tells the file from all others; made from its content where it is not given.
    pub identifier: Option<String>,
    /// The laboratory's name of the session.
    pub session_id: Option<String>,
    /// Who did it, as `Last, First`.
    pub experimenter: Vec<String>,
    /// Laboratory.
    pub lab: Option<String>,
    /// Institution.
    pub institution: Option<String>,
    /// What the experiment was about.
    pub experiment_description: Option<String>,
    /// Terms to search for.
    pub keywords: Vec<String>,
    /// Anything else.
    pub notes: Option<String>,
    /// The animal or person.
    pub subject: Option<NwbSubject>,
    /// Program and version that made the content.
    pub generated_by: [String; 2],
}

impl NwbSession {
    /// Writes what the session has in the root, in `general` and as subject.
    pub(super) fn write(&self, nwb: &mut NwbWriter) -> Result<(), IoError> {
        let start = self.start_time.to_string();
        let identifier = nwb.identifier.clone();
        nwb.text("identifier", &identifier)?;
        nwb.text("session_description", &self.description)?;
        nwb.text("session_start_time", &start)?;
        nwb.text("timestamps_reference_time", &start)?;
        nwb.texts("file_create_date", &[self.file_create_date.to_string()])?;
        for (name, text) in [
            ("session_id", &self.session_id),
            ("lab", &self.lab),
            ("institution", &self.institution),
            ("experiment_description", &self.experiment_description),
            ("notes", &self.notes),
        ] {
            if let Some(text) = text {
                nwb.text(&format!("general/{name}"), text)?;
            }
        }
        for (name, texts) in [
            ("experimenter", &self.experimenter),
            ("keywords", &self.keywords),
        ] {
            if !texts.is_empty() {
                nwb.texts(&format!("general/{name}"), texts)?;
            }
        }
        let at = nwb.hdf5.texts(&[1, 2], &self.generated_by, &[])?;
        nwb.place("general/was_generated_by", Link::Hard(at));
        match &self.subject {
            Some(subject) => subject.write(nwb),
            None => Ok(()),
        }
    }
}

impl NwbSubject {
    fn write(&self, nwb: &mut NwbWriter) -> Result<(), IoError> {
        let date_of_birth = self.date_of_birth.as_ref().map(NwbTime::to_string);
        for (name, text) in [
            ("subject_id", &self.subject_id),
            ("species", &self.species),
            ("sex", &self.sex),
            ("age", &self.age),
            ("date_of_birth", &date_of_birth),
            ("description", &self.description),
            ("genotype", &self.genotype),
            ("strain", &self.strain),
            ("weight", &self.weight),
        ] {
            if let Some(text) = text {
                nwb.text(&format!("general/subject/{name}"), text)?;
            }
        }
        nwb.close_typed("general/subject", Neurodata::core("Subject"), &[])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_with_a_zone_are_read_and_others_are_not() {
        let read = |text: &str| NwbTime::parse(text).map(|time| time.to_string());
        for (text, expected) in [
            ("2026-01-31T09:30:00+01:00", "2026-01-31T09:30:00+01:00"),
            ("2026-01-31 09:30Z", "2026-01-31T09:30:00+00:00"),
            (
                "2024-02-29T23:59:59.250-08:00",
                "2024-02-29T23:59:59.250-08:00",
            ),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected));
        }
        for text in [
            "",
            "2026-01-31",
            "2026-01-31T09:30:00",
            "2026-02-29T09:30:00Z",
            "2026-13-01T09:30:00Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T09:30:00.Z",
            "2026-01-31T09:30:00+1:00",
            "2026-01-31T09:30:00+25:00",
            "2026-01-31X09:30:00Z",
            "31/01/2026 09:30:00 Z",
            "2026-01-31T09:30:00µZ",
            "yesterday at about nine",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn seconds_become_a_date() {
        let date = |seconds| NwbTime::of_unix_s(seconds).to_string();
        assert_eq!(date(0), "1970-01-01T00:00:00+00:00");
        // By GNU date.
        assert_eq!(date(951_827_696), "2000-02-29T12:34:56+00:00");
        assert_eq!(date(1_798_761_599), "2026-12-31T23:59:59+00:00");
    }
}
