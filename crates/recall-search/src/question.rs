//! One question in the form in which rows can be read for it: which columns, which filters at which stage, and what need not be read.
//!
//! Three stages decide a row: spans and postings, then the test of cheap columns that a scan makes before it decodes anything else,
//! then the rest. Every filter is decided here, so that the engine above has none left.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{cast, concat, filter};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::physical_expr::utils::reassign_expr_columns;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use recall_store::columns::Column;
use recall_store::snapshot::{Predicate, ReadError};

use crate::access::{Access, certain_part, cheap_part, decided, names, without_merging};
use crate::columns::{self, Derived, Origin, is_cheap};
use crate::derive::derive;

/// Rows of one step of a filter that may take long for each. Nothing but the steps' ends notices that nobody waits any more.
const HEAVY_ROWS: usize = 512;
/// Bytes of events of such a step.
const HEAVY_BYTES: usize = 1 << 20;

/// One question over the table.
#[derive(Debug)]
pub struct Question {
    /// What must be read at least.
    pub access: Access,
    /// The columns of the answer.
    pub schema: SchemaRef,
    /// Whether every row within reach is an answer.
    pub unfiltered: bool,
    cheap: Option<Stage>,
    rest: Option<Stage>,
    shortcut: Option<Shortcut>,
    stored: Vec<Column>,
    phi: bool,
    /// The same question where postings can't be read: every filter is tested.
    without_postings: Option<Arc<Question>>,
}

/// A way past the last stage: a test of cheap columns that makes rows certain, where the answer needs no more than cheap columns either.
#[derive(Debug)]
struct Shortcut {
    certain: Stage,
    stored: Vec<Column>,
}

/// Tells whether nobody wants an answer any more.
pub type Closed = Arc<dyn Fn() -> bool + Send + Sync>;

/// Why a filter failed inside a scan.
#[derive(Clone, Default)]
pub struct Failure {
    error: Arc<Mutex<Option<DataFusionError>>>,
    closed: Option<Closed>,
}

impl Failure {
    /// None yet. Filters give up once `closed` says so.
    pub fn unless(closed: Closed) -> Self {
        Self { closed: Some(closed), ..Self::default() }
    }

    fn is_closed(&self) -> bool {
        self.closed.as_ref().is_some_and(|closed| closed())
    }

    fn set(&self, error: DataFusionError) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// The failure, or else what the scan says.
    pub fn or(&self, error: ReadError) -> DataFusionError {
        let failure = self.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.unwrap_or_else(|| DataFusionError::External(Box::new(error)))
    }
}

/// A filter over some columns.
#[derive(Clone, Debug)]
struct Stage {
    test: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    /// The most rows to compute without asking whether anybody waits.
    most_rows: usize,
}

impl Stage {
    fn new(filters: Vec<Expr>, props: &ExecutionProps) -> Result<Option<Self>> {
        let Some(all) = conjunction(filters) else {
            return Ok(None);
        };
        let asked = names(&all);
        let everything = columns::all();
        let fields: Vec<_> = everything.fields().iter().filter(|field| asked.contains(field.name().as_str())).cloned().collect();
        let most_rows = if is_light(&all)? { usize::MAX } else { HEAVY_ROWS };
        let whole = DFSchema::try_from(everything)?;
        let planning = PhysicalPlanningContext::default();
        let test = create_physical_expr(&unqualified(all)?, &whole, props, &planning)?;
        let schema = Arc::new(Schema::new(fields));
        Ok(Some(Self { test: reassign_expr_columns(test, &schema)?, schema, most_rows }))
    }

    fn mask(&self, rows: &Rows) -> Result<BooleanArray> {
        let batch = rows.batch(&self.schema)?;
        let answer = self.test.evaluate(&batch)?.into_array(batch.num_rows())?;
        let mask = answer.as_boolean_opt().ok_or_else(|| DataFusionError::Internal("a filter is not boolean".to_owned()))?;
        Ok(mask.clone())
    }
}

/// Whether an expression only compares: the time it takes for a row is next to nothing.
fn is_light(expr: &Expr) -> Result<bool> {
    use datafusion::common::tree_node::TreeNode;
    use datafusion::logical_expr::Operator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    let heavy = |node: &Expr| match node {
        Expr::BinaryExpr(binary) => !matches!(binary.op, And | Or | Eq | NotEq | Lt | LtEq | Gt | GtEq),
        Expr::Column(_) | Expr::Literal(..) | Expr::Cast(_) | Expr::Alias(_) | Expr::InList(_) | Expr::Between(_) | Expr::Not(_) => false,
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::IsTrue(_) | Expr::IsNotTrue(_) => false,
        _ => true,
    };
    expr.exists(|node| Ok(heavy(node))).map(|heavy| !heavy)
}

/// Columns that planning named `events.action` are `action` here.
fn unqualified(expr: Expr) -> Result<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    let renamed = expr.transform(|node| match node {
        Expr::Column(column) if column.relation.is_some() => {
            Ok(Transformed::yes(Expr::Column(datafusion::common::Column::new_unqualified(column.name))))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(renamed.data)
}

impl Question {
    /// A question for the columns of `schema`, all of them the table's, in rows that pass all `filters`.
    ///
    /// # Errors
    /// Where a filter is not one over the table.
    pub fn new(schema: SchemaRef, filters: &[Expr], phi: bool, props: &ExecutionProps) -> Result<Self> {
        let filters: Vec<Expr> = filters.iter().cloned().map(without_merging).flat_map(split_conjunction_owned).collect();
        let access = Access::of(&filters, phi);
        let whole = Self::over(Arc::clone(&schema), &filters, access.clone(), phi, props)?;
        let (decided, mut left): (Vec<_>, Vec<_>) =
            filters.into_iter().map(|filter| (decided(&filter), filter)).partition(|(by, _)| phi && by.is_some());
        if decided.is_empty() {
            return Ok(whole);
        }
        // Where the bytes of events are read, they say what the postings leave open: whether another value has the same token. For what is
        // only counted, 64 bits of a keyed hash are enough.
        let asked = left.iter().flat_map(|(_, filter)| names(filter)).chain(schema.fields().iter().map(|field| field.name().as_str()));
        if stored(asked, phi).iter().any(|column| column.is_content()) {
            left.extend(decided.into_iter().filter_map(|(by, _)| Some((None, by?))));
        }
        let left: Vec<Expr> = left.into_iter().map(|(_, filter)| filter).collect();
        Ok(Self { without_postings: Some(Arc::new(whole)), unfiltered: false, ..Self::over(schema, &left, access, phi, props)? })
    }

    /// A question whose filters are all tested.
    fn over(schema: SchemaRef, filters: &[Expr], access: Access, phi: bool, props: &ExecutionProps) -> Result<Self> {
        // A scan's test needs a column to look at; one that has none is left to the last stage.
        let scanned = |filter: &Expr| names(filter).iter().all(|name| is_cheap(name)) && !stored(names(filter).into_iter(), phi).is_empty();
        let cheap = Stage::new(filters.iter().filter_map(cheap_part).filter(scanned).collect(), props)?;
        let rest = Stage::new(filters.iter().filter(|filter| !scanned(filter)).cloned().collect(), props)?;
        let unfiltered = filters.is_empty();
        let asked = rest.iter().flat_map(|stage| stage.schema.fields()).chain(schema.fields());
        let stored = stored(asked.map(|field| field.name().as_str()), phi);
        let certain = filters.iter().map(certain_part).collect::<Option<Vec<_>>>().filter(|_| rest.is_some());
        let shortcut = match certain.map(|filters| Stage::new(filters, props)).transpose()?.flatten() {
            Some(certain) => {
                let asked = certain.schema.fields().iter().chain(schema.fields());
                let stored = self::stored(asked.map(|field| field.name().as_str()), phi);
                Some(Shortcut { certain, stored }).filter(|shortcut| !shortcut.stored.iter().any(|column| column.is_content()))
            }
            None => None,
        };
        Ok(Self { access, schema, unfiltered, cheap, rest, shortcut, stored, phi, without_postings: None })
    }

    /// The stored columns to ask a part for first, if rows may be certain by them.
    #[must_use]
    pub fn shortcut(&self) -> Option<Vec<Column>> {
        self.shortcut.as_ref().map(|shortcut| shortcut.stored.clone())
    }

    /// The answer's rows from a batch of [`Question::shortcut`] columns, if all of them are certain.
    ///
    /// # Errors
    /// Where a filter can't be computed.
    pub fn certain_answer(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let Some(Shortcut { certain, stored }) = &self.shortcut else {
            return Ok(None);
        };
        let rows = Rows::read(stored, batch, self.phi)?;
        let mask = certain.mask(&rows)?;
        if mask.iter().all(|passes| passes == Some(true)) { rows.batch(&self.schema).map(Some) } else { Ok(None) }
    }

    /// The question to ask of rows that no posting chose.
    #[must_use]
    pub fn without_postings(&self) -> &Self {
        self.without_postings.as_deref().unwrap_or(self)
    }

    /// Whether the bytes of events are read.
    #[must_use]
    pub fn reads_content(&self) -> bool {
        self.stored.iter().any(|column| column.is_content())
    }

    /// The stored columns to ask a part for.
    #[must_use]
    pub fn stored(&self) -> Vec<Column> {
        self.stored.clone()
    }

    /// The test that a part makes before it decodes what else is asked for. Why it fails goes to `failure` and not to the part, which
    /// would take it for damage and repeat its text, values and all.
    #[must_use]
    pub fn predicate(&self, failure: &Failure) -> Option<Predicate> {
        let stage = self.cheap.clone()?;
        let failure = failure.clone();
        let (wanted, phi) = (stored(stage.schema.fields().iter().map(|field| field.name().as_str()), self.phi), self.phi);
        let asked = wanted.clone();
        let test = move |batch: &RecordBatch| {
            let step = |rows: RecordBatch| match failure.is_closed() {
                true => Err(DataFusionError::Execution("nobody waits for the answer".to_owned())),
                false => Rows::read(&asked, &rows, phi).and_then(|rows| stage.mask(&rows)),
            };
            let masks: Result<Vec<BooleanArray>> = slices(batch, stage.most_rows).map(step).collect();
            let mask = masks.and_then(|masks| match masks.as_slice() {
                [only] => Ok(only.clone()),
                several => {
                    let several: Vec<&dyn Array> = several.iter().map(|mask| mask as &dyn Array).collect();
                    Ok(concat(&several)?.as_boolean().clone())
                }
            });
            mask.map_err(|error| {
                failure.set(error);
                ArrowError::ComputeError("a filter failed".to_owned())
            })
        };
        Some(Predicate { columns: wanted, test: Box::new(test) })
    }

    /// The same rows in steps: nobody can end the work before the end of one. `size_bytes` is what the batch takes.
    pub fn steps(&self, batch: &RecordBatch, size_bytes: usize) -> impl Iterator<Item = RecordBatch> {
        let rows = match &self.rest {
            None => usize::MAX,
            Some(_) => {
                let row_bytes = size_bytes.div_ceil(batch.num_rows().max(1));
                HEAVY_ROWS.min(HEAVY_BYTES.div_ceil(row_bytes.max(1)))
            }
        };
        slices(batch, rows)
    }

    /// The answer's rows from a batch of [`Question::stored`] columns.
    ///
    /// # Errors
    /// Where bytes are damaged or a filter can't be computed.
    pub fn answer(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let mut rows = Rows::read(&self.stored, batch, self.phi)?;
        if let Some(rest) = &self.rest {
            rows.derive_for(&rest.schema)?;
            let mask = rest.mask(&rows)?;
            rows.keep(&mask)?;
        }
        rows.derive_for(&self.schema)?;
        rows.batch(&self.schema)
    }
}

/// The rows of a batch, at most so many at a time; at least one batch.
fn slices(batch: &RecordBatch, rows: usize) -> impl Iterator<Item = RecordBatch> {
    let (batch, count, rows) = (batch.clone(), batch.num_rows(), rows.max(1));
    (0..count.div_ceil(rows).max(1)).map(move |at| {
        let start = at.saturating_mul(rows);
        batch.slice(start, rows.min(count - start))
    })
}

/// What a part must be asked for so that columns of these names can be had.
fn stored<'a>(names: impl Iterator<Item = &'a str>, phi: bool) -> Vec<Column> {
    let mut wanted = Vec::new();
    for name in names {
        match columns::origin(name) {
            Some(Origin::Stored(column)) => wanted.push(column),
            Some(Origin::Derived(_)) => wanted.extend([Column::Public, Column::Phi]),
            None => {}
        }
    }
    wanted.retain(|column| phi || !column.is_phi());
    wanted.sort();
    wanted.dedup();
    wanted
}

/// Rows on their way from stored columns to the answer's.
struct Rows {
    count: usize,
    stored: Vec<(Column, ArrayRef)>,
    derived: Vec<(Derived, ArrayRef)>,
    phi: bool,
}

impl Rows {
    fn read(columns: &[Column], batch: &RecordBatch, phi: bool) -> Result<Self> {
        let mut stored = Vec::with_capacity(columns.len());
        for (column, array) in columns.iter().zip(batch.columns()) {
            let array = match column {
                Column::Time | Column::ReceivedAt => cast(array, &columns::time_type())?,
                _ => Arc::clone(array),
            };
            stored.push((*column, array));
        }
        Ok(Self { count: batch.num_rows(), stored, derived: Vec::new(), phi })
    }

    fn column(&self, column: Column) -> Option<&ArrayRef> {
        self.stored.iter().find(|(known, _)| *known == column).map(|(_, array)| array)
    }

    /// Computes the derived columns of `schema` that are not there yet.
    fn derive_for(&mut self, schema: &Schema) -> Result<()> {
        let missing = |name: &str| match columns::origin(name) {
            Some(Origin::Derived(derived)) if !self.derived.iter().any(|(known, _)| *known == derived) => Some(derived),
            _ => None,
        };
        let wanted: Vec<Derived> = schema.fields().iter().filter_map(|field| missing(field.name())).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let public = self.column(Column::Public).and_then(|array| array.as_binary_opt::<i64>());
        let public = public.ok_or_else(|| DataFusionError::Internal("the bytes of events are missing".to_owned()))?;
        let phi = if self.phi { self.column(Column::Phi).and_then(|array| array.as_binary_opt::<i64>()) } else { None };
        let arrays = derive(&wanted, public, phi).map_err(|error| DataFusionError::External(Box::new(error)))?;
        self.derived.extend(wanted.into_iter().zip(arrays));
        Ok(())
    }

    fn keep(&mut self, mask: &BooleanArray) -> Result<()> {
        for array in self.stored.iter_mut().map(|(_, array)| array).chain(self.derived.iter_mut().map(|(_, array)| array)) {
            *array = filter(array, mask)?;
        }
        self.count = mask.iter().filter(|passes| *passes == Some(true)).count();
        Ok(())
    }

    /// The columns of `schema`; what the reader may not see is null.
    fn batch(&self, schema: &SchemaRef) -> Result<RecordBatch> {
        let mut arrays = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let known = match columns::origin(field.name()) {
                Some(Origin::Stored(column)) => self.column(column),
                Some(Origin::Derived(derived)) => self.derived.iter().find(|(known, _)| *known == derived).map(|(_, array)| array),
                None => None,
            };
            arrays.push(known.map_or_else(|| new_null_array(field.data_type(), self.count), Arc::clone));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
    }
}
