//! What the expressions of a statement may cost: work and memory that no limit sees while one batch is computed.
//!
//! It knows plans before they are optimised, and not who asks.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{Cast, GroupingSet, TryCast};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

use super::sql::SqlError;

/// Bytes of a pattern, or of a format.
pub const MAX_PATTERN_BYTES: usize = 256;
/// Bytes that a regular expression may take when it is compiled: the time that it takes per character of a text grows with them.
const MAX_COMPILED_BYTES: usize = 256 << 10;
/// Patterns of a statement; each is compiled again for each batch.
pub const MAX_PATTERNS: usize = 16;
/// Bytes of the texts in a statement that may be repeated for each row, all together.
pub const MAX_SPREAD_BYTES: usize = 1_024;
/// Sets that rows are grouped by at once.
const MAX_GROUPING_SETS: usize = 32;

/// The costs of a statement so far.
#[derive(Default)]
pub struct Costs {
    patterns: usize,
    spread_bytes: usize,
}

impl Costs {
    /// Adds those of a node, without its inputs. An error where they are more than a statement may have.
    pub fn add(&mut self, node: &LogicalPlan) -> Result<(), SqlError> {
        let mut refused = None;
        // The closures never fail, and so neither do the walks.
        let _ = node.apply_expressions(|expr| {
            self.spread_bytes = self.spread_bytes.saturating_add(spread_bytes(expr));
            let _ = expr.apply(|inner| {
                refused = self.expr(inner).err();
                Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            });
            Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        });
        match refused {
            Some(error) => Err(error),
            None if self.patterns > MAX_PATTERNS => Err(SqlError::TooComplex),
            None if self.spread_bytes > MAX_SPREAD_BYTES => Err(SqlError::LongTexts),
            None => Ok(()),
        }
    }

    fn expr(&mut self, expr: &Expr) -> Result<(), SqlError> {
        match expr {
            Expr::BinaryExpr(BinaryExpr { op, right, .. }) if is_regex(*op) => self.pattern(right, true),
            Expr::BinaryExpr(BinaryExpr { op, right, .. }) if is_like(*op) => self.pattern(right, false),
            Expr::SimilarTo(like) => self.pattern(&like.pattern, true),
            Expr::Like(like) => self.pattern(&like.pattern, false),
            Expr::ScalarFunction(call) if call.func.name().starts_with("regexp_") => {
                let mut rest = call.args.iter().skip(1);
                rest.next().map_or(Ok(()), |pattern| self.pattern(pattern, true))?;
                rest.try_for_each(|option| text(option).map(drop))
            }
            // A format can be as long as the text that it makes.
            Expr::ScalarFunction(call) if call.func.name() == "to_char" => {
                call.args.iter().skip(1).try_for_each(|format| text(format).map(drop))
            }
            Expr::GroupingSet(set) if grouping_sets(set) > MAX_GROUPING_SETS => Err(SqlError::TooComplex),
            _ => Ok(()),
        }
    }

    fn pattern(&mut self, expr: &Expr, regex: bool) -> Result<(), SqlError> {
        self.patterns = self.patterns.saturating_add(1);
        let pattern = text(expr)?;
        let small = |pattern: &str| regex::RegexBuilder::new(pattern).size_limit(MAX_COMPILED_BYTES).build().is_ok();
        if regex && !pattern.is_none_or(small) { Err(SqlError::Pattern) } else { Ok(()) }
    }
}

fn is_regex(op: Operator) -> bool {
    matches!(op, Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch)
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

fn is_like(op: Operator) -> bool {
    matches!(op, Operator::LikeMatch | Operator::ILikeMatch | Operator::NotLikeMatch | Operator::NotILikeMatch)
}

/// The text of a literal that is short enough; `None` where it is none, but null or a number.
fn text(expr: &Expr) -> Result<Option<&str>, SqlError> {
    match expr {
        Expr::Cast(Cast { expr, .. }) | Expr::TryCast(TryCast { expr, .. }) => text(expr),
        Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text), _) => match text.as_deref() {
            Some(text) if text.len() > MAX_PATTERN_BYTES => Err(SqlError::Pattern),
            text => Ok(text),
        },
        Expr::Literal(..) => Ok(None),
        _ => Err(SqlError::Pattern),
    }
}

/// Bytes of the literals in an expression that may be repeated for each row. What is compared with, looked for or matched is not.
fn spread_bytes(expr: &Expr) -> usize {
    let compares = match expr {
        Expr::Literal(value, _) => return literal_bytes(value),
        Expr::BinaryExpr(binary) => is_comparison(binary.op) || is_regex(binary.op) || is_like(binary.op),
        Expr::Like(_) | Expr::SimilarTo(_) | Expr::InList(_) | Expr::Between(_) => true,
        _ => false,
    };
    let mut bytes: usize = 0;
    let _ = expr.apply_children(|child| {
        if !(compares && matches!(child, Expr::Literal(..))) {
            bytes = bytes.saturating_add(spread_bytes(child));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    bytes
}

fn literal_bytes(value: &ScalarValue) -> usize {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => text.len(),
        ScalarValue::Binary(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) | ScalarValue::BinaryView(Some(bytes)) => bytes.len(),
        _ => 0,
    }
}

fn grouping_sets(set: &GroupingSet) -> usize {
    match set {
        GroupingSet::Rollup(columns) => columns.len().saturating_add(1),
        GroupingSet::Cube(columns) => u32::try_from(columns.len()).ok().and_then(|count| 1_usize.checked_shl(count)).unwrap_or(usize::MAX),
        GroupingSet::GroupingSets(sets) => sets.len(),
    }
}
