//! The functions that SQL gains over the table, and the hidden one that filters of the query bar use.
//!
//! `has_patient(patients, id)`, `mentions(event, text)`, `event_value(event, path)`. They know values, not where rows come from.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, col, lit};

use recall_log::entry::Facets;
use recall_store::token::TokenKind;

use crate::columns::{PHI, PUBLIC};
use crate::query::Glyph;
use crate::values::{self, Probe};

/// `has_patient(patients, id)`: whether an event concerns a patient.
pub static HAS_PATIENT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf(HasPatient(signature())));
/// `mentions(event, text)`: whether a value of the event contains a text, whatever the case.
pub static MENTIONS: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf(Mentions(signature())));
/// `event_value(event, path)`: the first value at a path, as text.
pub static EVENT_VALUE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| udf(EventValue(signature())));

/// An event concerns this patient.
#[must_use]
pub fn has_patient(id: &str) -> Expr {
    HAS_PATIENT.call(vec![col("patients"), lit(id)])
}

/// A patient whom the event concerns has an id of this shape.
#[must_use]
pub fn patient_like(glyphs: &[Glyph]) -> Expr {
    let function = PatientLike { glyphs: glyphs.to_vec(), signature: Signature::any(1, Volatility::Immutable) };
    ScalarUDF::new_from_impl(function).call(vec![col("patients")])
}

/// The bytes of either part pass the probe.
#[must_use]
pub fn probe(probe: Probe) -> Expr {
    ScalarUDF::new_from_impl(Parts { probe, signature: signature() }).call(vec![hidden(PUBLIC), hidden(PHI)])
}

/// The bytes of both parts hold this identifier, in the places that postings are made of.
#[must_use]
pub fn holds(kind: TokenKind, value: &str) -> Expr {
    let function = Holds { kind, value: value.to_owned(), signature: signature() };
    ScalarUDF::new_from_impl(function).call(vec![hidden(PUBLIC), hidden(PHI)])
}

/// The probe of an expression that [`probe`] made.
#[must_use]
pub fn as_probe(function: &ScalarUDF) -> Option<&Probe> {
    let inner: &dyn std::any::Any = function.inner().as_ref();
    inner.downcast_ref::<Parts>().map(|parts| &parts.probe)
}

fn hidden(name: &str) -> Expr {
    Expr::Column(datafusion::common::Column::new_unqualified(name))
}

fn udf(function: impl ScalarUDFImpl + 'static) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(function))
}

fn signature() -> Signature {
    Signature::any(2, Volatility::Immutable)
}

/// Both arguments, of which the second is text.
fn arguments(args: &ScalarFunctionArgs) -> Result<(ArrayRef, ArrayRef)> {
    let [first, second] = args.args.as_slice() else {
        return exec_err!("two arguments are expected");
    };
    let second = cast(second.to_array(args.number_rows)?.as_ref(), &DataType::Utf8)?;
    Ok((first.to_array(args.number_rows)?, second))
}

/// The second argument where it is the same for all rows.
fn constant(args: &ScalarFunctionArgs) -> Option<&str> {
    match args.args.get(1)? {
        ColumnarValue::Scalar(ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text)) => text.as_deref(),
        _ => None,
    }
}

fn damaged(error: values::NotJson) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct HasPatient(Signature);

impl ScalarUDFImpl for HasPatient {
    fn name(&self) -> &'static str {
        "has_patient"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (lists, wanted) = arguments(&args)?;
        let wanted = wanted.as_string::<i32>();
        any_patient(&lists, |row| (!wanted.is_null(row)).then(|| wanted.value(row)), |id, wanted| id == wanted)
    }
}

/// Whether one of the ids in each row's list fits what is asked in that row.
fn any_patient<T: Copy>(lists: &ArrayRef, asked: impl Fn(usize) -> Option<T>, fits: impl Fn(&str, T) -> bool) -> Result<ColumnarValue> {
    let Some(lists) = lists.as_list_opt::<i32>() else {
        return exec_err!("the first argument must be the column `patients`");
    };
    let Some(ids) = lists.values().as_string_opt::<i32>() else {
        return exec_err!("the first argument must be the column `patients`");
    };
    let mut found = BooleanBuilder::with_capacity(lists.len());
    for (row, range) in lists.offsets().windows(2).enumerate() {
        let (Some(asked), [start, end], false) = (asked(row), range, lists.is_null(row)) else {
            found.append_null();
            continue;
        };
        found.append_value((*start..*end).any(|at| usize::try_from(at).is_ok_and(|at| fits(ids.value(at), asked))));
    }
    Ok(ColumnarValue::Array(Arc::new(found.finish())))
}

/// `$patient_like(patients)`: the pattern is part of the function.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PatientLike {
    glyphs: Vec<Glyph>,
    signature: Signature,
}

impl ScalarUDFImpl for PatientLike {
    fn name(&self) -> &'static str {
        "$patient_like"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [patients] = args.args.as_slice() else {
            return exec_err!("one argument is expected");
        };
        any_patient(&patients.to_array(args.number_rows)?, |_| Some(()), |id, ()| values::fits(&self.glyphs, id))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mentions(Signature);

impl ScalarUDFImpl for Mentions {
    fn name(&self) -> &'static str {
        "mentions"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let fixed = constant(&args).map(Probe::anywhere);
        let (events, texts) = arguments(&args)?;
        let events = cast(events.as_ref(), &DataType::Utf8View)?;
        let mut found = BooleanBuilder::with_capacity(events.len());
        for (event, text) in events.as_string_view().iter().zip(texts.as_string::<i32>()) {
            let (Some(event), Some(text)) = (event, text) else {
                found.append_null();
                continue;
            };
            let made = if fixed.is_none() { Some(Probe::anywhere(text)) } else { None };
            let probe = fixed.as_ref().or(made.as_ref());
            let passes = probe.map_or(Ok(false), |probe| probe.test(event.as_bytes())).map_err(damaged)?;
            found.append_value(passes);
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EventValue(Signature);

impl ScalarUDFImpl for EventValue {
    fn name(&self) -> &'static str {
        "event_value"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (events, paths) = arguments(&args)?;
        let events = cast(events.as_ref(), &DataType::Utf8View)?;
        let mut values = StringBuilder::new();
        for (event, path) in events.as_string_view().iter().zip(paths.as_string::<i32>()) {
            match (event, path) {
                (Some(event), Some(path)) => values.append_option(values::first_value(event.as_bytes(), path).map_err(damaged)?),
                _ => values.append_null(),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(values.finish())))
    }
}

/// A probe of the bytes of both parts.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Parts {
    probe: Probe,
    signature: Signature,
}

impl ScalarUDFImpl for Parts {
    fn name(&self) -> &'static str {
        "$probe"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [public, phi] = args.args.as_slice() else {
            return exec_err!("two arguments are expected");
        };
        let (public, phi) = (public.to_array(args.number_rows)?, phi.to_array(args.number_rows)?);
        let mut found = BooleanBuilder::with_capacity(public.len());
        for parts in public.as_binary::<i64>().iter().zip(phi.as_binary::<i64>()) {
            let mut passes = false;
            for part in [parts.0, parts.1].into_iter().flatten() {
                passes = passes || self.probe.test(part).map_err(damaged)?;
            }
            found.append_value(passes);
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}

/// Tells two values apart that share a token, by the event itself.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Holds {
    kind: TokenKind,
    value: String,
    signature: Signature,
}

impl ScalarUDFImpl for Holds {
    fn name(&self) -> &'static str {
        "$holds"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [public, phi] = args.args.as_slice() else {
            return exec_err!("two arguments are expected");
        };
        let (public, phi) = (public.to_array(args.number_rows)?, phi.to_array(args.number_rows)?);
        let (Some(public), Some(phi)) = (public.as_binary_opt::<i64>(), phi.as_binary_opt::<i64>()) else {
            return exec_err!("the bytes of both parts are expected");
        };
        let mut found = BooleanBuilder::with_capacity(public.len());
        for (public, phi) in public.iter().zip(phi) {
            let facets = Facets::read(public.unwrap_or_default(), phi).map_err(|_| damaged(values::NotJson))?;
            let wanted = Some(self.value.as_str());
            found.append_value(match self.kind {
                TokenKind::Patient => facets.patients.iter().any(|id| Some(&**id) == wanted),
                TokenKind::Actor | TokenKind::HiddenActor => facets.actor_token.as_deref() == wanted,
                TokenKind::Session | TokenKind::HiddenSession => facets.session.as_deref() == wanted,
            });
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}
