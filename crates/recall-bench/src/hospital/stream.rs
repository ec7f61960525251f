//! The month, event after event in order of time.
//!
//! Ordinary days come from chance (ChaCha, seeded): a patient who lies in the house, somebody of the care team on shift, something
//! that person's role does. The stories' steps are merged in at their moments, and a login comes before a person's first act of a day.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::chance::{pick, word};
use super::people::{Role, Staff};
use super::places::{DATABASE, DRUGS, EHR, IDENTITY, LAB, NOTES, ROUTES, SOURCES, STATEMENTS, TESTS};
use super::render::{Change, Draft, Marks, Request, Targets, Who, render};
use super::stories::{Step, StoryKind};
use super::{Hospital, care, clock};

/// Who acted, for whoever checks what Recall answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A member of staff, by number.
    Staff(u32),
    /// A patient at the portal, by number.
    Patient(u32),
    /// A program.
    Service,
    /// A model on behalf of a member of staff.
    Agent(u32),
}

/// What the event just written was about.
#[derive(Clone, Debug)]
pub struct Facts {
    /// As in the event.
    pub action: &'static str,
    /// As in the event.
    pub source: &'static str,
    /// As in the event.
    pub seq: u64,
    /// Microseconds since 1970.
    pub time_us: i64,
    /// Who acted.
    pub actor: Actor,
    /// Numbers of the patients that the event names.
    pub patients: std::ops::Range<u32>,
    /// As in the event.
    pub break_glass: bool,
    pub(super) marks: Marks,
}

/// An act that waits for the login before it.
#[derive(Clone, Copy)]
struct Act {
    staff: u32,
    patient: u32,
}

/// Renders the month's events; made by [`Hospital::events`].
pub struct Stream<'h> {
    hospital: &'h Hospital,
    rng: ChaCha8Rng,
    number: u64,
    seq: [u64; SOURCES.len()],
    /// The last day, from 1, on which each member of staff logged in.
    present: Vec<u8>,
    waiting: Option<Act>,
    steps: std::slice::Iter<'h, Step>,
    next_step: Option<&'h Step>,
}

impl<'h> Stream<'h> {
    /// `first_seq` is the number before the first of each source.
    pub(super) fn new(hospital: &'h Hospital, first_seq: u64) -> Self {
        let mut steps = hospital.stories.steps.iter();
        let next_step = steps.next();
        Self {
            hospital,
            rng: ChaCha8Rng::seed_from_u64(hospital.size.seed ^ 0x7265_6361_6c6c),
            number: 0,
            seq: [first_seq; SOURCES.len()],
            present: vec![0; hospital.staff.len()],
            waiting: None,
            steps,
            next_step,
        }
    }

    /// Appends the next event to `out`, without a line end. `None`, with nothing appended, when the month is over.
    pub fn next_into(&mut self, out: &mut Vec<u8>) -> Option<Facts> {
        let moment = clock::moment(self.number, self.hospital.size.events);
        if self.number >= self.hospital.size.events {
            return None;
        }
        self.number += 1;
        while let Some(step) = self.next_step.filter(|step| step.moment <= moment) {
            self.next_step = self.steps.next();
            if step.kind != StoryKind::Lost {
                return Some(self.story(out, step));
            }
            self.seq[LAB] += u64::from(step.count);
        }
        let act = self.waiting.take();
        let first_of_day = act.is_none();
        let act = act.unwrap_or_else(|| self.ordinary(moment));
        let today = clock::day(moment) as u8 + 1;
        if let Some(day) = self.present.get_mut(act.staff as usize)
            && first_of_day
            && *day != today
        {
            *day = today;
            self.waiting = Some(act);
            return Some(self.login(out, moment, act.staff));
        }
        Some(self.act(out, moment, act))
    }

    /// Chooses a patient who lies in the house (one stay in eight is complex and sees three times the traffic), and somebody of the
    /// team who is on shift.
    fn ordinary(&mut self, moment: u64) -> Act {
        let r = self.rng.next_u64();
        let admitted = care::admitted(self.hospital.size.patients, moment);
        let mut patient = admitted.start + (r % u64::from(admitted.end - admitted.start)) as u32;
        if r >> 60 & 3 == 0 {
            patient = (patient & !7).max(admitted.start);
        }
        let team = self.hospital.care_team(patient);
        let hour = clock::hour(moment);
        let on_shift = |staff: &u32| self.hospital.staff.get(*staff as usize).is_some_and(|s| s.shift.covers(hour));
        let turn = (r >> 32) as usize % care::TEAM;
        let staff = team.iter().cycle().skip(turn).take(care::TEAM).copied().find(on_shift).unwrap_or(team[2]);
        Act { staff, patient }
    }

    fn staff(&self, number: u32) -> &'h Staff {
        pick(&self.hospital.staff, u64::from(number))
    }

    fn login(&mut self, out: &mut Vec<u8>, moment: u64, number: u32) -> Facts {
        let staff = self.staff(number);
        let mut draft = self.draft(IDENTITY, moment, "user.login", "A", Who::Staff(staff), Targets::Nothing);
        draft.app = "identity";
        draft.component = "sign-in";
        draft.purpose = "";
        draft.description = "signed in at the start of the shift";
        finish(out, &draft, Actor::Staff(number), 0..0)
    }

    /// A draft with the members that most events share.
    fn draft<'d>(
        &mut self,
        source: usize,
        moment: u64,
        action: &'static str,
        op: &'static str,
        actor: Who<'d>,
        targets: Targets<'d>,
    ) -> Draft<'d> {
        let seq = self.seq.get_mut(source).map_or(0, |seq| {
            *seq += 1;
            *seq
        });
        let chance = [self.rng.next_u64(), self.rng.next_u64(), self.rng.next_u64()];
        Draft {
            source,
            seq,
            moment,
            chance,
            action,
            op,
            status: "success",
            reason: "",
            actor,
            purpose: "TREAT",
            break_glass: false,
            app: "ehr",
            component: "chart",
            targets,
            request: None,
            changes: Vec::new(),
            description: "",
        }
    }

    fn act(&mut self, out: &mut Vec<u8>, moment: u64, act: Act) -> Facts {
        let roll = self.rng.next_u64();
        match roll >> 32 & 127 {
            0 | 1 => return self.portal(out, moment, act),
            2 | 3 => return self.agent(out, moment, act),
            4..=8 => return self.database(out, moment, act, roll),
            _ => {}
        }
        let staff = self.staff(act.staff);
        match staff.role {
            Role::Nurse => self.nurse(out, moment, act, staff, roll),
            Role::Physician => self.physician(out, moment, act, staff, roll),
            Role::Pharmacist => self.chart(out, moment, act, staff, ("medication.dispensed", "U", "fhir:MedicationDispense"), dose(roll)),
            Role::Technician => self.technician(out, moment, act, staff, roll),
            Role::Clerk | Role::Analyst | Role::PrivacyOfficer => self.clerk(out, moment, act, staff, roll),
        }
    }

    fn nurse(&mut self, out: &mut Vec<u8>, moment: u64, act: Act, staff: &Staff, roll: u64) -> Facts {
        match roll % 10 {
            0..=4 => self.view(out, moment, act, staff),
            5 | 6 => self.chart(out, moment, act, staff, ("medication.administered", "U", "fhir:MedicationAdministration"), dose(roll)),
            7 | 8 => self.chart(out, moment, act, staff, ("vitals.recorded", "C", "fhir:Observation"), vitals(roll)),
            _ => self.chart(out, moment, act, staff, ("note.written", "C", "fhir:DocumentReference"), note(roll)),
        }
    }

    fn physician(&mut self, out: &mut Vec<u8>, moment: u64, act: Act, staff: &Staff, roll: u64) -> Facts {
        match roll % 10 {
            0..=3 => self.view(out, moment, act, staff),
            4 | 5 => self.result(out, moment, act, staff, roll),
            6 | 7 => self.chart(out, moment, act, staff, ("medication.ordered", "C", "fhir:MedicationRequest"), dose(roll)),
            _ => self.chart(out, moment, act, staff, ("note.written", "U", "fhir:DocumentReference"), note(roll)),
        }
    }

    fn technician(&mut self, out: &mut Vec<u8>, moment: u64, act: Act, staff: &Staff, roll: u64) -> Facts {
        if roll.is_multiple_of(3) {
            return self.result(out, moment, act, staff, roll);
        }
        let patient = self.hospital.patient(act.patient);
        let mut draft =
            self.draft(LAB, moment, "lab.result.released", "C", Who::Staff(staff), Targets::Chart(&patient, "fhir:DiagnosticReport"));
        draft.app = "lab";
        draft.component = "analyser";
        draft.description = word(&TESTS, roll >> 8);
        draft.changes =
            vec![Change { path: "/result/value", before: String::new(), after: format!("{}.{}", roll >> 16 & 127, roll >> 24 & 7) }];
        finish(out, &draft, Actor::Staff(act.staff), act.patient..act.patient + 1)
    }

    fn clerk(&mut self, out: &mut Vec<u8>, moment: u64, act: Act, staff: &Staff, roll: u64) -> Facts {
        match roll % 8 {
            0..=3 => {
                let rows = 1 + (roll >> 8) % 12;
                let mut draft = self.draft(EHR, moment, "patient.searched", "E", Who::Staff(staff), Targets::Found(rows));
                draft.component = "search";
                draft.purpose = "HOPERAT";
                draft.request = Some(Request {
                    protocol: "http",
                    statement: format!("name=&birthdate=19{}", 30 + (roll >> 16) % 69),
                    parameters: Vec::new(),
                    rows,
                });
                finish(out, &draft, Actor::Staff(act.staff), 0..0)
            }
            4..=6 => self.chart(out, moment, act, staff, ("document.printed", "R", "fhir:DocumentReference"), Vec::new()),
            _ => {
                let moved = self.hospital.patient(act.patient ^ 1).address;
                let after = vec![Change { path: "/address", before: self.hospital.patient(act.patient).address, after: moved }];
                self.chart(out, moment, act, staff, ("demographics.updated", "U", "fhir:Patient"), after)
            }
        }
    }

    fn view(&mut self, out: &mut Vec<u8>, moment: u64, act: Act, staff: &Staff) -> Facts {
        self.chart(out, moment, act, staff, ("chart.viewed", "R", "fhir:Encounter"), Vec::new())
    }

    fn result(&mut self, out: &mut Vec<u8>, moment: u64, act: Act, staff: &Staff, roll: u64) -> Facts {
        let patient = self.hospital.patient(act.patient);
        let mut draft =
            self.draft(LAB, moment, "lab.result.read", "R", Who::Staff(staff), Targets::Chart(&patient, "fhir:DiagnosticReport"));
        draft.app = "lab";
        draft.component = "viewer";
        draft.description = word(&TESTS, roll >> 8);
        finish(out, &draft, Actor::Staff(act.staff), act.patient..act.patient + 1)
    }

    /// Something done in a chart: action, operation and the type of resource, with what it changed.
    fn chart(
        &mut self,
        out: &mut Vec<u8>,
        moment: u64,
        act: Act,
        staff: &Staff,
        what: (&'static str, &'static str, &'static str),
        changes: Vec<Change>,
    ) -> Facts {
        let patient = self.hospital.patient(act.patient);
        let (action, op, resource) = what;
        let mut draft = self.draft(EHR, moment, action, op, Who::Staff(staff), Targets::Chart(&patient, resource));
        draft.changes = changes;
        if draft.chance[0].is_multiple_of(251) {
            draft.status = "denied";
            draft.reason = "chart is locked by another session";
            draft.changes.clear();
        }
        finish(out, &draft, Actor::Staff(act.staff), act.patient..act.patient + 1)
    }

    fn portal(&mut self, out: &mut Vec<u8>, moment: u64, act: Act) -> Facts {
        let patient = self.hospital.patient(act.patient);
        let mut draft = self.draft(EHR, moment, "portal.viewed", "R", Who::Patient(&patient), Targets::Chart(&patient, "fhir:Appointment"));
        draft.app = "portal";
        draft.component = "overview";
        draft.purpose = "PATRQT";
        finish(out, &draft, Actor::Patient(act.patient), act.patient..act.patient + 1)
    }

    fn agent(&mut self, out: &mut Vec<u8>, moment: u64, act: Act) -> Facts {
        let patient = self.hospital.patient(act.patient);
        let who = Who::Agent("agent-summaries", self.staff(act.staff));
        let mut draft = self.draft(EHR, moment, "summary.generated", "E", who, Targets::Chart(&patient, "fhir:Composition"));
        draft.component = "assistant";
        draft.description = "summary of the stay for the morning round";
        finish(out, &draft, Actor::Agent(act.staff), act.patient..act.patient + 1)
    }

    fn database(&mut self, out: &mut Vec<u8>, moment: u64, act: Act, roll: u64) -> Facts {
        let patient = self.hospital.patient(act.patient);
        let rows = 1 + (roll >> 40) % 60;
        let mut draft =
            self.draft(DATABASE, moment, "db.query", "R", Who::Service("svc-bedside"), Targets::Table("encounters", rows, Some(&patient)));
        draft.app = "warehouse";
        draft.component = "postgres";
        let statement = word(&STATEMENTS, roll >> 8).to_owned();
        draft.request = Some(Request { protocol: "postgres", statement, parameters: vec![patient.mrn.clone()], rows });
        finish(out, &draft, Actor::Service, act.patient..act.patient + 1)
    }

    fn story(&mut self, out: &mut Vec<u8>, step: &Step) -> Facts {
        let staff = self.staff(step.staff);
        let act = Act { staff: step.staff, patient: step.patient };
        let all = step.patient..step.patient + step.count;
        let moment = step.moment;
        match step.kind {
            StoryKind::Snoop | StoryKind::Lost => self.view(out, moment, act, staff),
            StoryKind::BreakGlass => {
                let patient = self.hospital.patient(step.patient);
                let mut draft = self.draft(EHR, moment, "chart.viewed", "R", Who::Staff(staff), Targets::Chart(&patient, "fhir:Encounter"));
                draft.break_glass = true;
                draft.purpose = "ETREAT";
                draft.description = "unconscious after a fall, allergies unknown, no relative within reach";
                finish(out, &draft, Actor::Staff(step.staff), all)
            }
            StoryKind::ExportQuery => {
                let rows = u64::from(step.count);
                let mut draft = self.draft(DATABASE, moment, "db.query", "R", Who::Staff(staff), Targets::Table("patients", rows, None));
                warehouse(&mut draft);
                let statement = "SELECT mrn, name, birth_date, address, insurance_no FROM patients WHERE admitted_at >= $1".to_owned();
                draft.request = Some(Request { protocol: "postgres", statement, parameters: vec!["2026-10-14".to_owned()], rows });
                finish(out, &draft, Actor::Staff(step.staff), 0..0)
            }
            StoryKind::Export => {
                let listed = all.clone().map(|number| self.hospital.patient(number)).collect();
                let mut draft = self.draft(DATABASE, moment, "data.exported", "R", Who::Staff(staff), Targets::Listed(listed));
                warehouse(&mut draft);
                draft.description = "csv to removable medium";
                finish(out, &draft, Actor::Staff(step.staff), all)
            }
        }
    }
}

fn warehouse(draft: &mut Draft<'_>) {
    draft.app = "warehouse";
    draft.component = "notebook";
    draft.purpose = "HRESCH";
}

fn dose(roll: u64) -> Vec<Change> {
    let after = format!("{}, {}", word(&DRUGS, roll >> 8), word(&ROUTES, roll >> 16));
    vec![Change { path: "/dosage", before: String::new(), after }]
}

fn note(roll: u64) -> Vec<Change> {
    let after = format!("{} {}", word(&NOTES, roll >> 8), word(&NOTES, roll >> 16));
    vec![Change { path: "/note/text", before: word(&NOTES, roll >> 24).to_owned(), after }]
}

fn vitals(roll: u64) -> Vec<Change> {
    let value = |path, low: u64, bits: u64, span: u64| Change { path, before: String::new(), after: (low + bits % span).to_string() };
    vec![value("/pulse", 54, roll >> 8, 60), value("/systolic", 95, roll >> 16, 70), value("/spo2", 88, roll >> 24, 12)]
}

fn finish(out: &mut Vec<u8>, draft: &Draft<'_>, actor: Actor, patients: std::ops::Range<u32>) -> Facts {
    let marks = render(out, draft);
    Facts {
        marks,
        action: draft.action,
        source: word(&SOURCES, draft.source as u64),
        seq: draft.seq,
        time_us: clock::unix_us(draft.moment),
        actor,
        patients,
        break_glass: draft.break_glass,
    }
}
