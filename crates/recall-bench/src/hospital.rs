//! A hospital that never was: staff, patients, stays, care teams, and a month of accesses as `recall.event/1`.
//!
//! Owns the world and who has a reason to be in whose chart. Everything follows from a seed, so the same size and seed give the
//! same bytes on every machine. Patients are computed from their number and never stored, so a million of them cost nothing.
//! It must not know Recall's crates, files or HTTP: it is a sender.

mod care;
mod chance;
mod clock;
mod json;
mod people;
mod places;
mod pool;
mod render;
mod stories;
mod stream;
mod tables;

#[cfg(test)]
mod tests;

pub use people::{Patient, Role, Shift, Staff};
pub use places::DEPARTMENTS;
pub use pool::Pool;
pub use stories::{Stories, StoryKind};
pub use stream::{Actor, Facts, Stream};
pub use tables::Tables;

/// How large the hospital is and how much happens there in its month.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Chooses the world. Equal sizes with equal seeds are equal hospitals.
    pub seed: u64,
    /// Patients admitted in the month, numbered from 0 in order of admission; at least 2,000.
    pub patients: u32,
    /// People employed; at least 200.
    pub staff: u32,
    /// Events in the month, spread over it by hour of day.
    pub events: u64,
}

impl Size {
    /// The demo's hospital with this many events.
    #[must_use]
    pub fn demo(events: u64) -> Self {
        Self { seed: 20_261_001, patients: 5_000, staff: 400, events }
    }

    /// The benchmarks' hospital: a million patients, 5,000 staff.
    #[must_use]
    pub fn bench(events: u64) -> Self {
        Self { seed: 20_261_001, patients: 1_000_000, staff: 5_000, events }
    }
}

/// Why somebody may have been in a chart, as far as the hospital knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Member of the team that cares for the patient during the stay.
    CareTeam,
    /// No tie on record.
    None,
}

/// The whole world, ready to be asked.
pub struct Hospital {
    size: Size,
    staff: Vec<Staff>,
    teams: care::Pools,
    stories: Stories,
}

impl Hospital {
    /// Builds staff and stories; patients come when asked for. Sizes below the stated minimum are raised to it.
    #[must_use]
    pub fn new(size: Size) -> Self {
        let size = Size { patients: size.patients.max(2_000), staff: size.staff.max(200), ..size };
        let staff = people::staff(size.seed, size.staff);
        let teams = care::Pools::of(&staff);
        let stories = stories::plan(&size, &staff, &teams);
        Self { size, staff, teams, stories }
    }

    /// The size it was built with.
    #[must_use]
    pub fn size(&self) -> &Size {
        &self.size
    }

    /// Everybody employed, by number.
    #[must_use]
    pub fn staff(&self) -> &[Staff] {
        &self.staff
    }

    /// The patient with this number; numbers wrap around the number of patients.
    #[must_use]
    pub fn patient(&self, number: u32) -> Patient {
        let number = number % self.size.patients;
        self.stories.patient(number).unwrap_or_else(|| people::patient(self.size.seed, number))
    }

    /// Numbers of the staff that care for a patient.
    #[must_use]
    pub fn care_team(&self, patient: u32) -> [u32; care::TEAM] {
        self.teams.team(self.size.seed, patient)
    }

    /// What ties a member of staff to a patient.
    #[must_use]
    pub fn relation(&self, staff: u32, patient: u32) -> Relation {
        if self.care_team(patient).contains(&staff) { Relation::CareTeam } else { Relation::None }
    }

    /// What was planted, and whom it concerns.
    #[must_use]
    pub fn stories(&self) -> &Stories {
        &self.stories
    }

    /// The month's events in order of time, rendered one after the other.
    #[must_use]
    pub fn events(&self) -> Stream<'_> {
        Stream::new(self, 0)
    }
}
