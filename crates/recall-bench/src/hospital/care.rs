//! Who cares for whom: a stay lies in a ward, and a team of that ward and of the house's services belongs to it.
//!
//! A team is a function of the patient's number, so that anybody can ask at any time whether an access is explained.

use super::chance::{mix, pick};
use super::clock::{DAY, DAYS};
use super::people::{Role, Staff};
use super::places::WARDS;

/// Members of a care team: three nurses (one of each shift), two physicians, pharmacist, technician, clerk.
pub const TEAM: usize = 8;

/// Days that a stay lasts.
const STAY_DAYS: u64 = 5;

/// Numbers of staff by what they can be chosen for. No pool is empty in a hospital of the least size.
pub(super) struct Pools {
    nurses: [[Vec<u32>; 3]; WARDS],
    physicians: [Vec<u32>; WARDS],
    pharmacists: Vec<u32>,
    technicians: Vec<u32>,
    clerks: Vec<u32>,
    pub(super) analysts: Vec<u32>,
}

impl Pools {
    pub(super) fn of(staff: &[Staff]) -> Self {
        let chosen = |test: &dyn Fn(&Staff) -> bool| (0_u32..).zip(staff).filter(|(_, s)| test(s)).map(|(n, _)| n).collect::<Vec<_>>();
        let role = |role: Role| chosen(&|s| s.role == role);
        Self {
            nurses: std::array::from_fn(|ward| {
                let hours = [8, 16, 23];
                hours.map(|hour| chosen(&|s| s.role == Role::Nurse && s.department == ward && s.shift.covers(hour)))
            }),
            physicians: std::array::from_fn(|ward| chosen(&|s| s.role == Role::Physician && s.department == ward)),
            pharmacists: role(Role::Pharmacist),
            technicians: role(Role::Technician),
            clerks: role(Role::Clerk),
            analysts: role(Role::Analyst),
        }
    }

    /// The team of a patient's stay.
    pub(super) fn team(&self, seed: u64, patient: u32) -> [u32; TEAM] {
        let r = mix(seed, 2, u64::from(patient));
        let ward = ward(seed, patient) as u64;
        let [early, late, night] = pick(&self.nurses, ward);
        let physicians = pick(&self.physicians, ward);
        [
            *pick(early, r),
            *pick(late, r >> 8),
            *pick(night, r >> 16),
            *pick(physicians, r >> 24),
            *pick(physicians, (r >> 24) + 1),
            *pick(&self.pharmacists, r >> 32),
            *pick(&self.technicians, r >> 40),
            *pick(&self.clerks, r >> 48),
        ]
    }
}

/// The ward of a patient's stay, an index into the departments.
pub(super) fn ward(seed: u64, patient: u32) -> usize {
    (mix(seed, 3, u64::from(patient)) % WARDS as u64) as usize
}

/// The patients who lie in the hospital at a moment: admissions are spread evenly over the month and the days before it.
pub(super) fn admitted(patients: u32, moment: u64) -> std::ops::Range<u32> {
    let span = u128::from((DAYS + STAY_DAYS) * DAY);
    let up_to = |time: u64| (u128::from(patients) * u128::from(time) / span) as u32;
    let last = up_to(moment + STAY_DAYS * DAY).clamp(1, patients);
    up_to(moment).min(last - 1)..last
}

/// The moment in the middle of a patient's stay, within the month.
pub(super) fn mid_stay(patients: u32, patient: u32) -> u64 {
    let span = (DAYS + STAY_DAYS) * DAY;
    let admission = (u128::from(patient) * u128::from(span) / u128::from(patients)) as u64;
    admission.saturating_sub(STAY_DAYS * DAY / 2).min(DAYS * DAY - 1)
}
