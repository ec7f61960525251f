//! The parser: one pass over the characters, one character of lookahead.

use recall_log::time::Timestamp;

use super::field::{self, Field, Kind, Place};
use super::moment::{self, Moment};
use super::{Filter, Glyph, MAX_DEPTH, MAX_QUERY_BYTES, MAX_TERMS, Pattern, Problem, QueryError, Span};

/// A query being read.
pub struct Parser {
    text: Vec<char>,
    at: usize,
    terms: usize,
    now: Timestamp,
}

/// A value as typed: its characters, wildcards told apart from characters, and whether quotation marks stood around it.
struct Value {
    at: usize,
    glyphs: Vec<Glyph>,
    quoted: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Operator {
    Is,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

type Parsed<T> = Result<T, QueryError>;

impl Parser {
    pub fn new(text: &str, now: Timestamp) -> Parsed<Self> {
        if text.len() > MAX_QUERY_BYTES {
            return Err(QueryError { at: 1, problem: Problem::TooLong });
        }
        Ok(Self { text: text.chars().collect(), at: 0, terms: 0, now })
    }

    pub fn query(mut self) -> Parsed<Filter> {
        self.spaces();
        if self.peek().is_none() {
            return Ok(Filter::All(Vec::new()));
        }
        let filter = self.any(0)?;
        match self.peek() {
            None => Ok(filter),
            Some(_) => self.fail(Problem::StrayParenthesis),
        }
    }

    fn any(&mut self, depth: usize) -> Parsed<Filter> {
        let mut found = vec![self.all(depth)?];
        while self.keyword("OR") {
            found.push(self.all(depth)?);
        }
        Ok(one_or(found, Filter::Any))
    }

    fn all(&mut self, depth: usize) -> Parsed<Filter> {
        let mut found = vec![self.not(depth)?];
        loop {
            let and = self.keyword("AND");
            if !and && (self.peek().is_none_or(|c| c == ')') || self.at_keyword("OR")) {
                return Ok(one_or(found, Filter::All));
            }
            found.push(self.not(depth)?);
        }
    }

    fn not(&mut self, depth: usize) -> Parsed<Filter> {
        if depth > MAX_DEPTH {
            return self.fail(Problem::TooDeep);
        }
        self.spaces();
        if self.keyword("NOT") {
            return Ok(Filter::Not(Box::new(self.not(depth + 1)?)));
        }
        match self.peek() {
            Some('-') => {
                self.at += 1;
                if self.peek().is_none_or(char::is_whitespace) {
                    return self.fail(Problem::TermMissing);
                }
                Ok(Filter::Not(Box::new(self.not(depth + 1)?)))
            }
            Some('(') => self.group(depth),
            None | Some(')') => self.fail(Problem::TermMissing),
            Some(_) if self.at_keyword("OR") || self.at_keyword("AND") => self.fail(Problem::TermMissing),
            Some(_) => self.term(),
        }
    }

    fn group(&mut self, depth: usize) -> Parsed<Filter> {
        let open = self.at;
        self.at += 1;
        self.spaces();
        let filter = self.any(depth + 1)?;
        if self.peek() != Some(')') {
            return Err(QueryError { at: open + 1, problem: Problem::OpenParenthesis });
        }
        self.at += 1;
        self.spaces();
        Ok(filter)
    }

    fn term(&mut self) -> Parsed<Filter> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return self.fail(Problem::TooManyTerms);
        }
        let start = self.at;
        let filter = match self.field()? {
            Some((field, operator)) => self.comparison(field, operator)?,
            None => {
                self.at = start;
                let value = self.value()?;
                self.free_text(&value)?
            }
        };
        self.spaces();
        Ok(filter)
    }

    /// A field's name and the operator after it, where the next word has one outside quotation marks.
    fn field(&mut self) -> Parsed<Option<(Field, Operator)>> {
        let start = self.at;
        while self.peek().is_some_and(|c| !c.is_whitespace() && !"()\"\\:<>".contains(c)) {
            self.at += 1;
        }
        let name: String = self.text.get(start..self.at).unwrap_or_default().iter().collect();
        let operator = match (self.peek(), self.text.get(self.at + 1)) {
            (Some(':'), _) => Operator::Is,
            (Some('>'), Some('=')) => Operator::GreaterOrEqual,
            (Some('>'), _) => Operator::Greater,
            (Some('<'), Some('=')) => Operator::LessOrEqual,
            (Some('<'), _) => Operator::Less,
            _ => return Ok(None),
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b)) {
            return self.fail(Problem::NotAField);
        }
        let Some(field) = Field::named(&name) else {
            return Err(QueryError { at: start + 1, problem: Problem::UnknownField(field::near(&name)) });
        };
        self.at += if matches!(operator, Operator::GreaterOrEqual | Operator::LessOrEqual) { 2 } else { 1 };
        Ok(Some((field, operator)))
    }

    fn comparison(&mut self, field: Field, operator: Operator) -> Parsed<Filter> {
        let value = self.value()?;
        match field.kind {
            Kind::Text if operator != Operator::Is => Err(value.wrong(Problem::NoOrder)),
            Kind::Text if field.place == Place::Anywhere => self.free_text(&value),
            Kind::Text => Ok(Filter::Is(field, value.pattern())),
            Kind::Flag if operator != Operator::Is => Err(value.wrong(Problem::NoOrder)),
            Kind::Flag => match value.plain()?.as_str() {
                "true" => Ok(Filter::Flag(field, true)),
                "false" => Ok(Filter::Flag(field, false)),
                _ => Err(value.wrong(Problem::NotAFlag)),
            },
            Kind::Number | Kind::Time => {
                let span = self.span(field.kind, operator, &value)?;
                Ok(Filter::Within(field, span))
            }
        }
    }

    fn span(&self, kind: Kind, operator: Operator, value: &Value) -> Parsed<Span> {
        let text = value.plain()?;
        if let (Operator::Is, false, Some((low, high))) = (operator, value.quoted, text.split_once("..")) {
            if low.is_empty() && high.is_empty() {
                return Err(value.wrong(Problem::ValueMissing));
            }
            let end = |text: &str| if text.is_empty() { Ok(None) } else { self.moment(kind, text, value).map(Some) };
            return Ok(Span { low: end(low)?.map(|m| m.first), high: end(high)?.map(|m| m.last) });
        }
        let Moment { first, last } = self.moment(kind, &text, value)?;
        Ok(match operator {
            Operator::Is => Span { low: Some(first), high: Some(last) },
            Operator::Greater => Span { low: Some(last.saturating_add(1)), high: None },
            Operator::GreaterOrEqual => Span { low: Some(first), high: None },
            Operator::Less => Span { low: None, high: Some(first.saturating_sub(1)) },
            Operator::LessOrEqual => Span { low: None, high: Some(last) },
        })
    }

    fn moment(&self, kind: Kind, text: &str, value: &Value) -> Parsed<Moment> {
        if kind == Kind::Time {
            return moment::read(text, self.now).ok_or_else(|| value.wrong(Problem::NotATime));
        }
        let number = text.parse::<i64>().map_err(|_| value.wrong(Problem::NotANumber))?;
        Ok(Moment { first: number, last: number })
    }

    /// Free text is a part of a value anyway, so that wildcards at its ends say nothing new.
    fn free_text(&self, value: &Value) -> Parsed<Filter> {
        let mut glyphs = value.glyphs.as_slice();
        while let Some((Glyph::Many, rest)) = glyphs.split_first() {
            glyphs = rest;
        }
        while let Some((Glyph::Many, rest)) = glyphs.split_last() {
            glyphs = rest;
        }
        let text = plain(glyphs).ok_or_else(|| value.wrong(Problem::NoWildcard))?;
        if text.is_empty() {
            return Err(value.wrong(Problem::ValueMissing));
        }
        Ok(Filter::Text(text))
    }

    fn value(&mut self) -> Parsed<Value> {
        let start = self.at;
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let mut glyphs = Vec::new();
        while let Some(c) = self.peek() {
            match c {
                '(' | ')' | '"' => break,
                c if c.is_whitespace() => break,
                '*' => glyphs.push(Glyph::Many),
                '?' => glyphs.push(Glyph::One),
                '\\' => glyphs.push(Glyph::Char(self.escaped()?)),
                c => glyphs.push(Glyph::Char(c)),
            }
            self.at += 1;
        }
        if glyphs.is_empty() {
            return self.fail(Problem::ValueMissing);
        }
        Ok(Value { at: start, glyphs, quoted: false })
    }

    fn quoted(&mut self) -> Parsed<Value> {
        let start = self.at;
        self.at += 1;
        let mut glyphs = Vec::new();
        loop {
            match self.peek() {
                None => return Err(QueryError { at: start + 1, problem: Problem::OpenQuote }),
                Some('"') => break,
                Some('\\') => glyphs.push(Glyph::Char(self.escaped()?)),
                Some(c) => glyphs.push(Glyph::Char(c)),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(Value { at: start, glyphs, quoted: true })
    }

    fn escaped(&mut self) -> Parsed<char> {
        self.at += 1;
        match self.peek() {
            Some(c) => Ok(c),
            None => Err(QueryError { at: self.at, problem: Problem::StrayBackslash }),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn spaces(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    /// Whether this operator, and not a word that starts like it, is next.
    fn at_keyword(&self, word: &str) -> bool {
        let end = self.at + word.len();
        let next = self.text.get(self.at..end).is_some_and(|next| next.iter().copied().eq(word.chars()));
        next && self.text.get(end).is_none_or(|c| c.is_whitespace() || matches!(c, '(' | ')'))
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = self.at_keyword(word);
        if found {
            self.at += word.len();
            self.spaces();
        }
        found
    }

    fn fail<T>(&self, problem: Problem) -> Parsed<T> {
        Err(QueryError { at: self.at + 1, problem })
    }
}

impl Value {
    fn wrong(&self, problem: Problem) -> QueryError {
        QueryError { at: self.at + 1, problem }
    }

    fn plain(&self) -> Parsed<String> {
        plain(&self.glyphs).ok_or_else(|| self.wrong(Problem::NoWildcard))
    }

    fn pattern(self) -> Pattern {
        match plain(&self.glyphs) {
            Some(text) => Pattern::Exact(text),
            None => Pattern::Glob(self.glyphs),
        }
    }
}

fn plain(glyphs: &[Glyph]) -> Option<String> {
    glyphs.iter().map(|glyph| if let Glyph::Char(c) = glyph { Some(*c) } else { None }).collect()
}

fn one_or(mut found: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match (found.len(), found.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            found.extend(last);
            join(found)
        }
    }
}
