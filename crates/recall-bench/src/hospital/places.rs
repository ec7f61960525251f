//! Where things happen: departments, applications, workstations, and the words a chart is made of.
//!
//! Only lists. Everything here is plain text that needs no escaping in JSON.

/// Wards and services. The first eight have beds.
pub const DEPARTMENTS: [&str; 12] = [
    "cardiology",
    "oncology",
    "orthopaedics",
    "neurology",
    "paediatrics",
    "surgery",
    "obstetrics",
    "emergency",
    "laboratory",
    "pharmacy",
    "administration",
    "research",
];

/// How many of the departments have beds.
pub(super) const WARDS: usize = 8;
/// The number of a department, for the stories.
pub(super) const ORTHOPAEDICS: usize = 2;
pub(super) const EMERGENCY: usize = 7;
pub(super) const LABORATORY: usize = 8;
pub(super) const PHARMACY: usize = 9;
pub(super) const ADMINISTRATION: usize = 10;
pub(super) const RESEARCH: usize = 11;

/// Feeds, each with its own sequence of numbers.
pub const SOURCES: [&str; 4] = ["urn:ehr:main", "urn:lab:main", "urn:db:warehouse", "urn:idp:main"];
pub(super) const EHR: usize = 0;
pub(super) const LAB: usize = 1;
pub(super) const DATABASE: usize = 2;
pub(super) const IDENTITY: usize = 3;

pub(super) const AGENTS: [&str; 4] =
    ["Firefox/140.0 (Linux x86_64)", "Chrome/142.0 (Windows NT 10.0)", "WardTablet/4.2 (Android 16)", "Edg/142.0 (Windows NT 10.0)"];

pub(super) const DRUGS: [&str; 16] = [
    "metoprolol 47.5 mg",
    "enoxaparin 40 mg",
    "pantoprazole 40 mg",
    "ceftriaxone 2 g",
    "morphine 5 mg",
    "insulin glargine 12 IU",
    "furosemide 20 mg",
    "amoxicillin 875 mg",
    "ondansetron 4 mg",
    "levetiracetam 500 mg",
    "prednisolone 20 mg",
    "apixaban 5 mg",
    "salbutamol 2.5 mg",
    "ibuprofen 400 mg",
    "metamizole 1 g",
    "atorvastatin 40 mg",
];

pub(super) const ROUTES: [&str; 4] = ["by mouth, with food", "intravenous over 30 minutes", "subcutaneous, abdomen", "by mouth, at night"];

pub(super) const TESTS: [&str; 12] = [
    "potassium",
    "troponin T",
    "haemoglobin",
    "creatinine",
    "C-reactive protein",
    "TSH",
    "HbA1c",
    "lactate",
    "D-dimer",
    "blood culture",
    "urine culture",
    "INR",
];

pub(super) const NOTES: [&str; 10] = [
    "Pain under control, walks with aid to the bathroom.",
    "No fever since yesterday, cultures negative so far.",
    "Short of breath on stairs, oedema of both ankles less.",
    "Wound dry, stitches to be removed on Thursday.",
    "Family informed about the plan, agrees with rehabilitation.",
    "Slept badly, asks for something against nausea.",
    "Troponin falling, no new chest pain, telemetry quiet.",
    "Awake and oriented, mild weakness of the left arm remains.",
    "Feeding well, weight up by 140 g, mother confident.",
    "Discharge planned for tomorrow, letter dictated.",
];

pub(super) const STATEMENTS: [&str; 5] = [
    "SELECT e.id, e.admitted_at, e.ward FROM encounters e WHERE e.patient_id = $1 ORDER BY e.admitted_at DESC",
    "SELECT code, value, unit, taken_at FROM observations WHERE patient_id = $1 AND taken_at > now() - interval '30 days'",
    "SELECT drug, dose, ordered_by FROM medication_requests WHERE patient_id = $1 AND status = 'active'",
    "UPDATE appointments SET status = 'confirmed' WHERE patient_id = $1 AND day = $2",
    "SELECT p.mrn, p.name, p.birth_date FROM patients p JOIN encounters e ON e.patient_id = p.id WHERE e.id = $1",
];
