//! Three people at psql, through the gateway: what they print is compared with the same statements without it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use recall_bench::hospital::{DEPARTMENTS, Hospital, Relation, Role, Staff};
use recall_bench::process::{Recall, Server, succeeded};
use recall_bench::stopwatch::grouped;
use recall_bench::stuck::Stuck;

use crate::Tokens;
use crate::database::{Database, GATEWAY, ROLE};
use crate::proofs::quote;
use crate::tell::{Tell, counted};

/// What must be on no record.
pub const NEW_PASSWORD: &str = "hunter2-of-the-demo";

/// Somebody who may use the gateway.
pub struct Person<'a> {
    pub staff: &'a Staff,
    pub secret: String,
}

/// A person's session, with what psql printed in it.
pub struct Session<'a> {
    pub person: Person<'a>,
    /// The patients whose record numbers psql printed.
    pub seen: BTreeSet<String>,
}

/// All that the three did.
pub struct Evening<'a> {
    pub nurse: Session<'a>,
    pub physician: Session<'a>,
    pub analyst: Session<'a>,
    /// What the analyst tried in vain, in this order.
    pub denied: Vec<String>,
}

/// The place where it happens.
struct Desk<'a> {
    database: &'a Database,
    address: SocketAddr,
}

/// Makes the three users, and lets each work.
pub fn sessions<'a>(
    recall: &Recall,
    server: &Server,
    tokens: &Tokens,
    hospital: &'a Hospital,
    database: &Database,
    tell: &mut Tell,
) -> Result<Evening<'a>, Stuck> {
    let stories = hospital.stories();
    let vip = hospital.patient(stories.vip);
    let own = hospital.patient(stories.neighbour);
    let team = hospital.care_team(stories.neighbour);
    let is_physician = |number: &u32| hospital.staff().get(*number as usize).is_some_and(|staff| staff.role == Role::Physician);
    let physician = team.into_iter().find(is_physician).unwrap_or_default();
    let [nurse, physician, analyst] =
        [stories.snoop, physician, stories.exporter].map(|number| person(recall, server, tokens, hospital, number));
    let (nurse, physician, analyst) = (nurse?, physician?, analyst?);
    tell.line("  Three people of the staff may use it: recall user add NAME --gateway hospital --upstream-role app_role");
    let desk = Desk { database, address: server.gateway(GATEWAY)? };

    let ward = DEPARTMENTS.get(nurse.staff.department).unwrap_or(&"");
    let nurse = desk.session(
        nurse,
        &[
            format!("SELECT patient_id, time, note FROM encounters WHERE ward = '{ward}' ORDER BY time, patient_id"),
            "SELECT p.id, p.name, p.born, e.ward FROM patients p JOIN encounters e ON e.patient_id = p.id WHERE p.name LIKE '%Falkenrath'"
                .into(),
        ],
        tell,
    )?;
    let stranger = hospital.relation(stories.snoop, stories.vip) == Relation::None;
    tell.check(
        stranger && nurse.seen.contains(&vip.mrn),
        &format!("among them {} ({}), whom she has no reason to look up", vip.name, vip.mrn),
    );
    let physician = desk.session(physician, &[format!("SELECT id, name, ssn, born FROM patients WHERE id = '{}'", own.mrn)], tell)?;
    tell.check(physician.seen.iter().eq([&own.mrn]), &format!("that is {}, of this physician's own patients", own.name));
    let export = "SELECT p.id, p.name, p.ssn, p.born, e.ward, e.time, e.note FROM patients p JOIN encounters e ON e.patient_id = p.id \
                  ORDER BY p.id, e.time";
    let analyst = desk.session(analyst, &[export.into()], tell)?;
    let denied = desk.denials(&analyst.person, tell)?;
    Ok(Evening { nurse, physician, analyst, denied })
}

fn person<'a>(recall: &Recall, server: &Server, tokens: &Tokens, hospital: &'a Hospital, number: u32) -> Result<Person<'a>, Stuck> {
    let staff = hospital.staff().get(number as usize).ok_or_else(|| Stuck(format!("nobody has the number {number}")))?;
    let user = ["user", "add", &staff.id, "--role", staff.role.name(), "--gateway", GATEWAY, "--upstream-role", ROLE, "--expires", "24h"];
    let output = recall.run(&[&user[..], &["--url", server.url(), "--token", &tokens.administrator]].concat())?;
    Ok(Person { staff, secret: succeeded("recall user add", &output)?.trim().to_owned() })
}

impl Desk<'_> {
    /// One psql, with these statements one after the other; then the same without the gateway.
    fn session<'a>(&self, person: Person<'a>, statements: &[String], tell: &mut Tell) -> Result<Session<'a>, Stuck> {
        let department = DEPARTMENTS.get(person.staff.department).unwrap_or(&"");
        tell.line(&format!("  {}, {}, {department}, through psql:", person.staff.id, person.staff.role.name()));
        for statement in statements {
            tell.line(&format!("    > {statement}"));
        }
        let psql = |mut command: Command| {
            command.args(["--no-align", "--tuples-only"]).args(statements.iter().map(|statement| format!("--command={statement}")));
            command.stdin(Stdio::null()).output().map_err(|e| Stuck::io("starting psql", &e))
        };
        let through = psql(self.database.psql(self.address, &person.staff.id, &person.secret))?;
        let straight = psql(self.database.straight())?;
        let printed = String::from_utf8_lossy(&through.stdout);
        let rows = printed.lines().count() as u64;
        let seen: BTreeSet<String> = printed.lines().filter_map(|row| Some(row.split_once('|')?.0.to_owned())).collect();
        let last = printed.lines().last().unwrap_or_default();
        tell.line(&format!("    {} about {}; the last:", counted(rows, "row"), counted(seen.len() as u64, "patient")));
        quote(last.as_bytes(), 1, tell);
        tell.check(
            through == straight && through.status.success() && rows > 0,
            &format!("byte for byte what psql prints without the gateway ({} bytes)", grouped(through.stdout.len() as u64)),
        );
        Ok(Session { person, seen })
    }

    /// What would walk round the gateway. Gives the statements as they were typed.
    fn denials(&self, person: &Person<'_>, tell: &mut Tell) -> Result<Vec<String>, Stuck> {
        let statements = [
            "SET ROLE postgres".to_owned(),
            "COPY patients TO PROGRAM 'gzip > /tmp/patients.gz'".to_owned(),
            format!("ALTER ROLE {ROLE} PASSWORD '{NEW_PASSWORD}'"),
        ];
        tell.line(&format!("  {} again:", person.staff.id));
        for statement in &statements {
            tell.line(&format!("    > {statement}"));
        }
        let mut command = self.database.psql(self.address, &person.staff.id, &person.secret);
        command.args(["--no-align", "--tuples-only", "--set=VERBOSITY=verbose"]);
        command.args(statements.iter().map(|statement| format!("--command={statement}"))).arg("--command=SELECT 'still here'");
        let output = command.stdin(Stdio::null()).output().map_err(|e| Stuck::io("starting psql", &e))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        quote(&output.stderr, 2 * statements.len(), tell);
        tell.check(
            errors.matches("ERROR:  42501: ").count() == statements.len() && output.stdout == b"still here\n",
            "all three denied with SQLSTATE 42501, and the session goes on",
        );
        Ok(statements.into())
    }
}
