//! The hospital's own database: patients and encounters, as rows for PostgreSQL's COPY.
//!
//! Encounters lie in the ward of the stay, so that whoever cares for a patient finds them there.

use std::fmt::Write as _;

use super::care::{mid_stay, ward};
use super::chance::{mix, word};
use super::clock::{self, DAY, DAYS, HOUR};
use super::places::{DEPARTMENTS, NOTES};
use super::{Hospital, Patient};

/// Rows in COPY's text format. Nothing in them needs escaping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Record number, name, social security number, date of birth.
    pub patients: String,
    /// Record number, ward, time, note.
    pub encounters: String,
}

impl Hospital {
    /// Both tables, with every patient of the hospital; each has one to three encounters.
    #[must_use]
    pub fn tables(&self) -> Tables {
        let mut tables = Tables::default();
        for number in 0..self.size.patients {
            let patient = self.patient(number);
            let r = mix(self.size.seed, 4, u64::from(number));
            // Writing to a String cannot fail.
            let _ = writeln!(tables.patients, "{}\t{}\t{}\t{}", patient.mrn, patient.name, ssn(r), patient.birth_date);
            for nth in 0..1 + r % 3 {
                self.encounter(&mut tables.encounters, &patient, nth, r);
            }
        }
        tables
    }

    fn encounter(&self, out: &mut String, patient: &Patient, nth: u64, r: u64) {
        let ward = word(&DEPARTMENTS, ward(self.size.seed, patient.number) as u64);
        let moment = mid_stay(self.size.patients, patient.number) + nth * 19 * HOUR + (r >> 32) % HOUR;
        let mut time = Vec::new();
        clock::write(&mut time, moment.min(DAYS * DAY - 1));
        let note = word(&NOTES, (r >> 8) + nth);
        let _ = writeln!(out, "{}\t{ward}\t{}\t{note}", patient.mrn, String::from_utf8_lossy(&time));
    }
}

/// A number of the form that is never given to anybody: those that begin with 9.
fn ssn(r: u64) -> String {
    format!("9{:02}-{:02}-{:04}", (r >> 4) % 100, 1 + (r >> 16) % 49, 1 + (r >> 24) % 9_999)
}
