//! Who works in the hospital and who lies in it.
//!
//! Staff are drawn once from a seeded stream; patients are functions of their number.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::chance::{mix, pick, word};
use super::places::{ADMINISTRATION, EMERGENCY, LABORATORY, PHARMACY, RESEARCH, WARDS};

/// What somebody is employed as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Cares on a ward, in shifts.
    Nurse,
    /// Treats on a ward.
    Physician,
    /// Checks and dispenses drugs.
    Pharmacist,
    /// Works in the laboratory.
    Technician,
    /// Admits, prints, corrects addresses.
    Clerk,
    /// Queries the warehouse.
    Analyst,
    /// Reviews accesses.
    PrivacyOfficer,
}

impl Role {
    /// The name events carry.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nurse => "nurse",
            Self::Physician => "physician",
            Self::Pharmacist => "pharmacist",
            Self::Technician => "lab-technician",
            Self::Clerk => "clerk",
            Self::Analyst => "analyst",
            Self::PrivacyOfficer => "privacy-officer",
        }
    }
}

/// When somebody works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// 6 to 14 o'clock.
    Early,
    /// 14 to 22 o'clock.
    Late,
    /// 22 to 6 o'clock.
    Night,
    /// 7 to 18 o'clock: office hours, and doctors.
    Day,
}

impl Shift {
    /// Is this hour of the day, 0 to 23, within the shift?
    #[must_use]
    pub fn covers(self, hour: u64) -> bool {
        match self {
            Self::Early => (6..14).contains(&hour),
            Self::Late => (14..22).contains(&hour),
            Self::Night => !(6..22).contains(&hour),
            Self::Day => (7..18).contains(&hour),
        }
    }
}

/// Somebody who works here.
#[derive(Clone, Debug)]
pub struct Staff {
    /// The account, as `actor.id` carries it.
    pub id: String,
    /// First and last name.
    pub name: String,
    /// What the person does.
    pub role: Role,
    /// Index into [`super::DEPARTMENTS`].
    pub department: usize,
    /// When the person works.
    pub shift: Shift,
}

/// Somebody who is treated here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patient {
    /// Order of admission, from 0.
    pub number: u32,
    /// Medical record number, as `patient_id` carries it.
    pub mrn: String,
    /// First and last name.
    pub name: String,
    /// `YYYY-MM-DD`.
    pub birth_date: String,
    /// Street, number and town.
    pub address: String,
}

const FIRST: [&str; 48] = [
    "Anna", "Ben", "Clara", "David", "Elif", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Katrin", "Leo", "Maria", "Noah", "Olga", "Paul",
    "Rosa", "Samuel", "Tanja", "Umut", "Vera", "Walter", "Yara", "Zoran", "Amina", "Boris", "Celia", "Dmitri", "Esther", "Farid", "Gisela",
    "Hannes", "Irina", "Jakob", "Karla", "Lars", "Mira", "Nils", "Oskar", "Petra", "Rafael", "Sofia", "Theo", "Ursula", "Viktor", "Wanda",
    "Xenia", "Yusuf",
];

const LAST: [&str; 64] = [
    "Abel", "Bauer", "Conrad", "Dietrich", "Ebert", "Fischer", "Graf", "Hartmann", "Imhof", "Jansen", "Keller", "Lorenz", "Maurer",
    "Neumann", "Ott", "Pfeiffer", "Quandt", "Richter", "Schubert", "Thiel", "Ulrich", "Vogel", "Wagner", "Yilmaz", "Zimmer", "Arnold",
    "Brandt", "Czerny", "Dorn", "Engel", "Frey", "Gerber", "Huber", "Iversen", "Jung", "Kaiser", "Lang", "Moser", "Nowak", "Oster", "Pohl",
    "Rau", "Sommer", "Tamm", "Unger", "Voss", "Winter", "Zander", "Albrecht", "Busch", "Claussen", "Demir", "Ernst", "Fuchs", "Gross",
    "Haas", "Ivanov", "Jaeger", "Kovac", "Lindner", "Meier", "Novak", "Petrov", "Seidel",
];

const STREETS: [&str; 16] = [
    "Lindenweg",
    "Am Markt",
    "Hafenstrasse",
    "Bergstrasse",
    "Schulgasse",
    "Rosenweg",
    "Bahnhofstrasse",
    "Kirchplatz",
    "Muehlenweg",
    "Gartenstrasse",
    "Ringstrasse",
    "Talweg",
    "Wiesenweg",
    "Uferstrasse",
    "Parkallee",
    "Brunnengasse",
];

const TOWNS: [&str; 6] = ["Altstadt", "Neudorf", "Seeheim", "Hochfeld", "Birkenau", "Waldbach"];

/// The patient with this number. Nobody here shares a last name with the people of the stories.
pub(super) fn patient(seed: u64, number: u32) -> Patient {
    let r = mix(seed, 1, u64::from(number));
    let year = 1931 + (r >> 40) % 92;
    Patient {
        number,
        mrn: mrn(number),
        name: format!("{} {}", word(&FIRST, r), word(&LAST, r >> 8)),
        birth_date: format!("{year}-{:02}-{:02}", 1 + (r >> 48) % 12, 1 + (r >> 52) % 28),
        address: format!("{} {}, {}", word(&STREETS, r >> 16), 1 + (r >> 24) % 120, word(&TOWNS, r >> 32)),
    }
}

/// An eight-digit number that is unique below 2^26 patients: multiplication by an odd number permutes the remainders.
pub(super) fn mrn(number: u32) -> String {
    let scattered = u64::from(number).wrapping_mul(48_271) % (1 << 26);
    format!("MRN{}", 10_000_000 + scattered)
}

/// Everybody employed. Of twenty, nine are nurses, five physicians, and the other roles one or two each; the last is the privacy officer.
pub(super) fn staff(seed: u64, count: u32) -> Vec<Staff> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|number| member(&mut rng, number, number + 1 == count)).collect()
}

fn member(rng: &mut ChaCha8Rng, number: u32, last: bool) -> Staff {
    let role = match number % 20 {
        _ if last => Role::PrivacyOfficer,
        0..=8 => Role::Nurse,
        9..=13 => Role::Physician,
        14 => Role::Pharmacist,
        15 | 16 => Role::Technician,
        17 | 18 => Role::Clerk,
        _ => Role::Analyst,
    };
    let department = match role {
        Role::Nurse | Role::Physician => (number / 20) as usize % WARDS,
        Role::Pharmacist => PHARMACY,
        Role::Technician => LABORATORY,
        Role::Clerk | Role::PrivacyOfficer => ADMINISTRATION,
        Role::Analyst => RESEARCH,
    };
    let shift = match role {
        Role::Nurse => *pick(&[Shift::Early, Shift::Late, Shift::Night], u64::from(number % 20)),
        Role::Physician if department == EMERGENCY => *pick(&[Shift::Day, Shift::Late, Shift::Night], u64::from(number % 20)),
        Role::Physician if number % 20 == 13 => Shift::Night,
        _ => Shift::Day,
    };
    let (first, surname) = (word(&FIRST, rng.random()), word(&LAST, rng.random()));
    let initial = first.get(..1).unwrap_or_default().to_ascii_lowercase();
    Staff { id: format!("{initial}{}{number}", surname.to_ascii_lowercase()), name: format!("{first} {surname}"), role, department, shift }
}
