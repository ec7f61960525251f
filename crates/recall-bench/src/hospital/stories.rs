//! What is planted in the month: a nurse who snoops, an export by night, a glass broken in an emergency, and a feed that lost events.
//!
//! Each story is a handful of steps at fixed moments, merged into the stream by time. The names of its patients occur nowhere else.

use super::Size;
use super::care::{Pools, mid_stay};
use super::clock::{DAY, HOUR};
use super::people::{Patient, Role, Shift, Staff};
use super::places::{EMERGENCY, ORTHOPAEDICS};

/// What one planted step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoryKind {
    /// A chart opened without any tie to the patient.
    Snoop,
    /// The analyst's query over the table of patients.
    ExportQuery,
    /// One file of the export: `count` patients from the step's patient on.
    Export,
    /// A chart opened by breaking the glass.
    BreakGlass,
    /// The laboratory's feed loses events; nothing is sent.
    Lost,
}

/// One planted step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) moment: u64,
    pub(super) kind: StoryKind,
    pub(super) staff: u32,
    pub(super) patient: u32,
    pub(super) count: u32,
}

/// Everything planted, and whom it concerns.
#[derive(Clone, Debug)]
pub struct Stories {
    /// The nurse who opens charts of people she does not care for.
    pub snoop: u32,
    /// The well-known patient she looked at first.
    pub vip: u32,
    /// The nurse's neighbour, looked at after.
    pub neighbour: u32,
    /// All patients she looked at, each once; the two above among them.
    pub victims: Vec<u32>,
    /// How often she opened a chart in all.
    pub snoop_views: u64,
    /// The analyst who exports by night.
    pub exporter: u32,
    /// The exported patients.
    pub exported: std::ops::Range<u32>,
    /// Files of the export.
    pub export_files: u64,
    /// The physician who breaks the glass.
    pub rescuer: u32,
    /// The unconscious patient.
    pub rescued: u32,
    /// How often the glass was broken.
    pub break_glass_views: u64,
    /// How many events of the laboratory's feed never arrive.
    pub lost_events: u64,
    pub(super) steps: Vec<Step>,
}

/// Patients in one file of the export.
const FILE_PATIENTS: u32 = 200;

impl Stories {
    /// The patient of a story, if this number is one.
    pub(super) fn patient(&self, number: u32) -> Option<Patient> {
        let named = |name: &str, birth_date: &str, address: &str| {
            Some(Patient {
                number,
                mrn: super::people::mrn(number),
                name: name.into(),
                birth_date: birth_date.into(),
                address: address.into(),
            })
        };
        match number {
            n if n == self.vip => named("Leonore Falkenrath", "1968-04-17", "Schlossallee 1, Seeheim"),
            n if n == self.neighbour => named("Gerd Wiesenhuetter", "1979-09-02", "Talweg 14, Neudorf"),
            n if n == self.rescued => named("Mechthild Oberbarnscheidt", "1952-01-30", "Ringstrasse 77, Hochfeld"),
            _ => None,
        }
    }
}

/// Chooses the people of the stories and lays out their steps by time.
pub(super) fn plan(size: &Size, staff: &[Staff], teams: &Pools) -> Stories {
    let find = |test: &dyn Fn(&Staff) -> bool| (0_u32..).zip(staff).find(|(_, s)| test(s)).map_or(0, |(number, _)| number);
    let snoop = find(&|s| s.role == Role::Nurse && s.department == ORTHOPAEDICS && s.shift == Shift::Late);
    let exporter = teams.analysts.first().copied().unwrap_or(0);
    let rescuer = find(&|s| s.role == Role::Physician && s.department == EMERGENCY && s.shift == Shift::Night);
    let unrelated = |from: u32, staff: u32| (from..size.patients).find(|&p| !teams.team(size.seed, p).contains(&staff)).unwrap_or(from);
    let vip = unrelated(size.patients / 2, snoop);
    let neighbour = unrelated(vip + 7, snoop);
    let rescued = unrelated(size.patients / 3, rescuer);
    let mut victims = vec![vip, neighbour];
    let mut next = neighbour;
    while victims.len() < 20 {
        next = unrelated(next + 3, snoop);
        victims.push(next);
    }
    let exported = size.patients / 2 - 800..size.patients / 2 + 800;
    let mut stories = Stories {
        snoop,
        vip,
        neighbour,
        victims,
        snoop_views: 0,
        exporter,
        exported,
        export_files: 0,
        rescuer,
        rescued,
        break_glass_views: 0,
        lost_events: 37,
        steps: Vec::new(),
    };
    stories.lay_out(size.patients);
    stories
}

impl Stories {
    fn lay_out(&mut self, patients: u32) {
        let step = |moment, kind, staff, patient, count| Step { moment, kind, staff, patient, count };
        let mut steps = Vec::new();

        // Three evenings of the nurse's late shift, while the well-known patient lies in the house.
        let evening = mid_stay(patients, self.vip) / DAY * DAY + 19 * HOUR;
        let mut looks = vec![self.vip, self.vip, self.vip];
        looks.extend(&self.victims);
        for (n, &victim) in (0_u64..).zip(&looks) {
            steps.push(step(evening + n % 3 * DAY + n * 173_000_000, StoryKind::Snoop, self.snoop, victim, 1));
        }
        self.snoop_views = looks.len() as u64;

        // Two in the morning on the 22nd: one query over the table, then file after file.
        let night = 21 * DAY + 2 * HOUR + 840_000_000;
        let whole = self.exported.len() as u32;
        steps.push(step(night, StoryKind::ExportQuery, self.exporter, self.exported.start, whole));
        for (n, first) in (1_u64..).zip(self.exported.clone().step_by(FILE_PATIENTS as usize)) {
            let count = FILE_PATIENTS.min(self.exported.end - first);
            steps.push(step(night + n * 41_000_000, StoryKind::Export, self.exporter, first, count));
            self.export_files = n;
        }

        let ambulance = mid_stay(patients, self.rescued) / DAY * DAY + 23 * HOUR;
        for n in 0..5 {
            steps.push(step(ambulance + n * 95_000_000, StoryKind::BreakGlass, self.rescuer, self.rescued, 1));
            self.break_glass_views = n + 1;
        }

        steps.push(step(17 * DAY + 11 * HOUR, StoryKind::Lost, 0, 0, self.lost_events as u32));
        steps.sort_by_key(|step| step.moment);
        self.steps = steps;
    }
}
