//! What the upstream's catalog says of the columns that name subjects: which relations have them, views and partitions included, and which
//! relations read them at all.
//!
//! It must not know sessions. It is asked by object identifier, as the server itself names the origin of a result's column
//! (RowDescription), and by the name that a statement writes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::analysis::reads_only;
use super::upstream::{Upstream, UpstreamError};

/// A column that names subjects, or holds health information, by its names in the upstream's catalog.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ColumnName {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

/// A column of a relation: its object identifier and attribute number.
type Place = (u32, i16);

/// What is said of a column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Its values name subjects.
    Subject,
    /// It holds health information of this category.
    Category(Arc<str>),
}

/// What is known at one moment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Catalog {
    marks: HashMap<Place, BTreeSet<Mark>>,
    /// Relations that read a protected table, by their bare name: a statement that names one may show subjects.
    touching: HashSet<String>,
    /// All relations that were there.
    known: HashSet<u32>,
    /// Names of relations that are read without running anything but built-in functions that change nothing. None where built-in names may
    /// mean other functions, so that no text proves anything.
    quiet: Option<HashSet<String>>,
}

impl Catalog {
    /// What is said of a column.
    pub fn marks(&self, relation: u32, attribute: i16) -> impl Iterator<Item = &Mark> {
        self.marks.get(&(relation, attribute)).into_iter().flatten()
    }

    /// Does one of these names, written with or without a schema, belong to a relation that reads what is protected?
    pub fn touches_any(&self, tables: &[String]) -> bool {
        tables.iter().any(|table| table.rsplit('.').next().is_some_and(|name| self.touching.contains(name)))
    }

    /// How many of them do.
    pub fn count_touching(&self, tables: &[String]) -> usize {
        tables.iter().filter(|table| self.touches_any(std::slice::from_ref(table))).count()
    }

    /// Was the relation there? One that was made since may be a view of anything.
    pub fn knows(&self, relation: u32) -> bool {
        self.known.contains(&relation)
    }

    /// Are all of these, written with or without a schema, read without running code that might change something? What a statement's text
    /// proves holds for such relations alone.
    pub fn are_quiet(&self, tables: &[String]) -> bool {
        let Some(quiet) = &self.quiet else { return false };
        tables.iter().all(|table| table.rsplit('.').next().is_some_and(|name| quiet.contains(name)))
    }

    /// Is nothing protected?
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Reads the upstream's catalog. A configured column that is not there is an error: it would protect nothing.
    pub async fn load(upstream: &mut Upstream, configured: &[(ColumnName, Mark)]) -> Result<Self, CatalogError> {
        let columns = upstream.rows(COLUMNS).await?;
        let mut by_name = HashMap::new();
        let mut names: HashMap<u32, String> = HashMap::new();
        for row in &columns {
            let [Some(oid), Some(schema), Some(table), Some(attribute), Some(column)] = row.as_slice() else {
                return Err(CatalogError::Shape);
            };
            let oid: u32 = oid.parse().map_err(|_| CatalogError::Shape)?;
            let attribute: i16 = attribute.parse().map_err(|_| CatalogError::Shape)?;
            names.insert(oid, table.clone());
            by_name.insert(ColumnName { schema: schema.clone(), table: table.clone(), column: column.clone() }, (oid, attribute));
        }
        let mut marks: HashMap<Place, BTreeSet<Mark>> = HashMap::new();
        for (name, mark) in configured {
            let absent = || CatalogError::Absent(format!("{}.{}.{}", name.schema, name.table, name.column));
            marks.entry(*by_name.get(name).ok_or_else(absent)?).or_default().insert(mark.clone());
        }
        let mut flows = inherited(&pairs(&upstream.rows(CHILDREN).await?)?, &by_name);
        let views = upstream.rows(VIEWS).await?;
        flows.extend(viewed(&views)?);
        spread(&mut marks, &flows);
        let quiet = match upstream.rows(TRAPS).await?.is_empty() {
            true => {
                let mut avoided = loud(&views, &functions(&upstream.rows(FUNCTIONS).await?));
                avoided.extend(upstream.rows(GUARDED).await?.iter().filter_map(|row| row.first()?.as_deref()?.parse::<u32>().ok()));
                let avoided = touching(avoided, &pairs(&upstream.rows(READING).await?)?);
                Some(quiet(&names, &avoided))
            }
            false => None,
        };
        let reading = pairs(&upstream.rows(READING).await?)?;
        let marked = marks.keys().map(|(relation, _)| *relation).collect();
        let touching = touching(marked, &reading).into_iter().filter_map(|oid| names.get(&oid).cloned()).collect();
        Ok(Self { marks, touching, known: names.into_keys().collect(), quiet })
    }
}

/// Why the catalog could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The upstream could not be asked.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A configured column does not exist.
    #[error("the column {0} is configured and does not exist, or the upstream role may not see it: correct `subjects`")]
    Absent(String),
    /// The answer is no catalog.
    #[error("the upstream's catalog has an unexpected shape")]
    Shape,
}

const COLUMNS: &str = "SELECT c.oid, n.nspname, c.relname, a.attnum, a.attname FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')";
const CHILDREN: &str = "SELECT inhparent, inhrelid FROM pg_catalog.pg_inherits";
const VIEWS: &str = "SELECT r.ev_class, r.ev_action FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class \
    WHERE r.rulename = '_RETURN' AND c.relkind IN ('v', 'm') AND c.oid >= 16384";
const READING: &str = "SELECT DISTINCT d.refobjid, r.ev_class FROM pg_catalog.pg_depend d \
    JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid \
    WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass \
    AND d.refobjid <> r.ev_class UNION SELECT inhparent, inhrelid FROM pg_catalog.pg_inherits \
    UNION SELECT inhrelid, inhparent FROM pg_catalog.pg_inherits";

const FUNCTIONS: &str = "SELECT oid, proname FROM pg_catalog.pg_proc WHERE pronamespace = 'pg_catalog'::pg_catalog.regnamespace";
/// Relations whose reading runs a policy, or asks another server.
const GUARDED: &str = "SELECT oid FROM pg_catalog.pg_class WHERE relrowsecurity OR relkind = 'f'";
/// What makes a text mean something else than it says: functions that share a built-in one's name or can be called like a column,
/// operators, casts and domains with code of their own.
const TRAPS: &str = "(SELECT 1 FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_proc b ON b.proname = p.proname \
    WHERE p.oid >= 16384 AND b.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND b.oid < 16384 LIMIT 1) \
    UNION ALL (SELECT 1 FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0] \
    WHERE p.oid >= 16384 AND p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1 AND t.typtype IN ('c', 'p') LIMIT 1) \
    UNION ALL (SELECT 1 FROM pg_catalog.pg_operator WHERE oid >= 16384 LIMIT 1) \
    UNION ALL (SELECT 1 FROM pg_catalog.pg_cast WHERE oid >= 16384 AND castfunc <> 0 LIMIT 1) \
    UNION ALL (SELECT 1 FROM pg_catalog.pg_constraint WHERE oid >= 16384 AND contypid <> 0 LIMIT 1)";

/// Built-in functions that change nothing.
fn functions(rows: &[Vec<Option<String>>]) -> HashSet<&str> {
    let quiet = |row: &'_ Vec<Option<String>>| matches!(row.as_slice(), [_, Some(name)] if reads_only(name));
    rows.iter().filter(|row| quiet(row)).filter_map(|row| row.first()?.as_deref()).collect()
}

/// Views whose rule calls a function that is not among these.
fn loud(views: &[Vec<Option<String>>], functions: &HashSet<&str>) -> HashSet<u32> {
    let calls = |action: &str| {
        [" :funcid ", " :opfuncid ", " :aggfnoid ", " :winfnoid "]
            .iter()
            .any(|field| action.split(field).skip(1).any(|rest| !rest.split_whitespace().next().is_some_and(|oid| functions.contains(oid))))
    };
    let loud = views.iter().filter_map(|row| match row.as_slice() {
        [Some(view), Some(action)] if calls(action) => view.parse().ok(),
        _ => None,
    });
    loud.collect()
}

/// Names that none of the avoided relations bears.
fn quiet(names: &HashMap<u32, String>, avoided: &HashSet<u32>) -> HashSet<String> {
    let avoided: HashSet<&String> = avoided.iter().filter_map(|oid| names.get(oid)).collect();
    names.values().filter(|name| !avoided.contains(name)).cloned().collect()
}

fn pairs(rows: &[Vec<Option<String>>]) -> Result<Vec<(u32, u32)>, CatalogError> {
    let pair = |row: &Vec<Option<String>>| match row.as_slice() {
        [Some(from), Some(to)] => from.parse().ok().zip(to.parse().ok()),
        _ => None,
    };
    rows.iter().map(|row| pair(row).ok_or(CatalogError::Shape)).collect()
}

/// Partitions and children have their parent's columns under the same names, not the same numbers.
fn inherited(children: &[(u32, u32)], by_name: &HashMap<ColumnName, Place>) -> Vec<(Place, Place)> {
    let mut columns: HashMap<u32, HashMap<&str, Place>> = HashMap::new();
    for (name, place) in by_name {
        columns.entry(place.0).or_default().insert(&name.column, *place);
    }
    let same = |(parent, child): &(u32, u32)| {
        let (parent, child) = (columns.get(parent)?, columns.get(child)?);
        Some(parent.iter().filter_map(|(name, from)| Some((*from, *child.get(name)?))).collect::<Vec<_>>())
    };
    children.iter().filter_map(same).flatten().collect()
}

/// A view's column comes from where its rule says: each target of the rule names the relation and attribute it is taken from as it is.
fn viewed(views: &[Vec<Option<String>>]) -> Result<Vec<(Place, Place)>, CatalogError> {
    let mut flows = Vec::new();
    for row in views {
        let [Some(view), Some(action)] = row.as_slice() else { return Err(CatalogError::Shape) };
        let view: u32 = view.parse().map_err(|_| CatalogError::Shape)?;
        flows.extend(targets(action).into_iter().map(|(attribute, origin)| (origin, (view, attribute))));
    }
    Ok(flows)
}

/// What is said of a column is said of all that its values flow into; a view of a view is found once the inner one is.
fn spread(marks: &mut HashMap<Place, BTreeSet<Mark>>, flows: &[(Place, Place)]) {
    loop {
        let mut grown = false;
        for (from, to) in flows {
            let Some(said) = marks.get(from).cloned() else { continue };
            let held = marks.entry(*to).or_default();
            let before = held.len();
            held.extend(said);
            grown |= held.len() > before;
        }
        if !grown {
            return;
        }
    }
}

/// The origins of a rule's columns, out of the text of its parse tree (`outfuncs.c`): of the outermost query's targets alone.
fn targets(action: &str) -> Vec<(i16, (u32, i16))> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    let mut begun: Option<usize> = None;
    // Behind the last node within the target: its own fields.
    let mut fields = 0_usize;
    for (at, brace) in braces(action) {
        if brace == b'{' {
            depth = depth.saturating_add(1);
            // Depth 1 is the query itself.
            if depth == 2 {
                begun = action.get(at.saturating_add(1)..).unwrap_or_default().starts_with("TARGETENTRY").then_some(at);
                fields = at;
            }
        } else {
            match (depth, begun) {
                (3, _) => fields = at,
                (2, Some(_)) => found.extend(action.get(fields..at).and_then(target)),
                _ => {}
            }
            depth = depth.saturating_sub(1);
        }
    }
    found
}

/// The braces of the text and their places, but for those that belong to a name, which are escaped.
fn braces(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let mut escaped = false;
    text.bytes().enumerate().filter(move |(_, byte)| {
        let own = !escaped && matches!(byte, b'{' | b'}');
        escaped = !escaped && *byte == b'\\';
        own
    })
}

fn target(fields: &str) -> Option<(i16, (u32, i16))> {
    let number = |name: &str| fields.split_once(name)?.1.split_whitespace().next()?.parse::<i64>().ok();
    let origin = u32::try_from(number(" :resorigtbl ")?).ok()?;
    let attribute = i16::try_from(number(" :resorigcol ")?).ok()?;
    (origin != 0).then_some((i16::try_from(number(" :resno ")?).ok()?, (origin, attribute)))
}

/// All relations that have marked columns or read one that does.
fn touching(mut touching: HashSet<u32>, reading: &[(u32, u32)]) -> HashSet<u32> {
    loop {
        let before = touching.len();
        let added: Vec<u32> = reading.iter().filter(|(read, _)| touching.contains(read)).map(|(_, reader)| *reader).collect();
        touching.extend(added);
        if touching.len() == before {
            return touching;
        }
    }
}

#[cfg(test)]
impl Catalog {
    /// One that says just this.
    pub(super) fn of(subjects: &[(u32, i16)], touching: &[&str]) -> Self {
        Self {
            marks: subjects.iter().map(|place| (*place, BTreeSet::from([Mark::Subject]))).collect(),
            touching: touching.iter().map(|name| (*name).to_owned()).collect(),
            known: subjects.iter().map(|(relation, _)| *relation).collect(),
            quiet: Some(touching.iter().map(|name| (*name).to_owned()).collect()),
        }
    }
}

#[cfg(test)]
mod tests;
