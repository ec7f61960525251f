//! Why an event is refused: where, what is wrong, what to do. Never what was sent.

use crate::json::JsonError;

/// An event is refused. A value that was sent is never repeated; an unknown name is, if it looks like a field's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}; {remedy}")]
pub struct EventError {
    /// The field, such as `targets[0].patient_id`; `event` for the whole.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// Stands for the value itself until the name of its field is put in front.
const HERE: &str = "event";

impl EventError {
    /// About the value that is being read.
    pub(super) fn here(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::at(HERE, problem, remedy)
    }

    /// About a field.
    pub(crate) fn at(path: impl Into<String>, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into(), remedy: remedy.into() }
    }

    /// The same error, seen from the object that holds the value as its member `name`.
    pub(super) fn within(mut self, name: &str) -> Self {
        self.path = match self.path.as_str() {
            HERE => name.to_owned(),
            path if path.starts_with('[') => format!("{name}{path}"),
            path => format!("{name}.{path}"),
        };
        self
    }

    /// The same error, seen from the array that holds the value as its element `index`.
    pub(super) fn within_element(self, index: usize) -> Self {
        self.within(&format!("[{index}]"))
    }

    /// A member whose name is not among `names`.
    pub(super) fn unknown(name: &str, names: &[&str]) -> Self {
        if !looks_like_a_field(name) {
            return Self::here("has a field that does not exist", format!("use only {}", names.join(", ")));
        }
        let remedy = match names.iter().map(|known| (distance(name, known), known)).min() {
            Some((0..=2, known)) => format!("did you mean \"{known}\"?"),
            _ => format!("use only {}", names.join(", ")),
        };
        Self::at(name, "no such field", remedy)
    }
}

impl From<JsonError> for Box<EventError> {
    #[cold]
    fn from(error: JsonError) -> Self {
        Self::new(EventError::here(error.to_string(), error.kind.remedy()))
    }
}

/// Whether a name is a short identifier, which may be repeated in an error.
fn looks_like_a_field(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// How many characters must be put in, taken out or replaced to make one name of the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (place, from) in left.bytes().enumerate() {
        let mut diagonal = place;
        let mut beside = place + 1;
        if let Some(first) = row.first_mut() {
            *first = beside;
        }
        for (above, to) in row.iter_mut().skip(1).zip(right.bytes()) {
            beside = (diagonal + usize::from(from != to)).min(*above + 1).min(beside + 1);
            diagonal = std::mem::replace(above, beside);
        }
    }
    row.last().copied().unwrap_or_default()
}
