//! Reads TOML tables key by key and remembers where everything stood.
//!
//! Serde could fill structs, but it cannot say `config.toml:12: repositories.main.stroe: unknown key`. The one
//! invariant: every problem carries the line and the full key, and none ever carries a value that may be a secret which
//! was put in the wrong place: only elements of lists are repeated, to tell which one it is.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use toml::de::{DeArray, DeTable, DeValue};

use super::suggest::closest;

/// One thing that is wrong in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as it was named to the program.
    pub file: String,
    /// From 1; `None` if it is about the file as a whole.
    pub line: Option<usize>,
    /// `repositories.main.store`; empty if it is no key's fault.
    pub key: String,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.text)
    }
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) line: usize,
    /// The full key.
    pub(super) key: String,
}

/// One configuration file while it is being read.
#[derive(Debug)]
pub(super) struct Reader<'i> {
    file: String,
    text: &'i str,
    problems: RefCell<Vec<Problem>>,
    /// Every key that was asked for, with `NAME` for the name of a repository or profile.
    asked: RefCell<BTreeSet<String>>,
}

impl<'i> Reader<'i> {
    pub(super) fn new(file: &str, text: &'i str) -> Self {
        Self { file: file.to_owned(), text, problems: RefCell::default(), asked: RefCell::default() }
    }

    /// The top of the file; `None` if it is not TOML.
    pub(super) fn root(&self) -> Option<Section<'_, 'i>> {
        match DeTable::parse(self.text) {
            Ok(table) => Some(Section::new(self, String::new(), String::new(), 1, table.into_inner())),
            Err(error) => {
                let line = error.span().map(|span| self.line(span.start));
                let text = error.message().replace('\n', ", ");
                self.report(line, "", &text);
                None
            }
        }
    }

    pub(super) fn problem<T>(&self, at: &At<T>, text: impl AsRef<str>) {
        self.report(Some(at.line), &at.key, text.as_ref());
    }

    fn report(&self, line: Option<usize>, key: &str, text: &str) {
        let problem = Problem { file: self.file.clone(), line, key: key.to_owned(), text: text.to_owned() };
        self.problems.borrow_mut().push(problem);
    }

    /// What is wrong, in the order of the lines.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort_by(|a, b| (a.line, &a.key).cmp(&(b.line, &b.key)));
        problems
    }

    #[cfg(test)]
    pub(super) fn asked(&self) -> BTreeSet<String> {
        self.asked.borrow().clone()
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// One table of the file. What nobody asks for is an unknown key: call [`Section::finish`] at the end.
#[derive(Debug)]
pub(super) struct Section<'r, 'i> {
    reader: &'r Reader<'i>,
    path: String,
    /// `path` with `NAME` for names.
    pattern: String,
    line: usize,
    items: Vec<Item<'i>>,
    known: Vec<&'static str>,
}

#[derive(Debug)]
struct Item<'i> {
    key: String,
    key_line: usize,
    line: usize,
    value: DeValue<'i>,
}

impl<'r, 'i> Section<'r, 'i> {
    fn new(reader: &'r Reader<'i>, path: String, pattern: String, line: usize, table: DeTable<'i>) -> Self {
        let items = table
            .into_iter()
            .map(|(key, value)| Item {
                key_line: reader.line(key.span().start),
                line: reader.line(value.span().start),
                key: key.into_inner().into_owned(),
                value: value.into_inner(),
            })
            .collect();
        Self { reader, path, pattern, line, items, known: Vec::new() }
    }

    pub(super) fn here(&self) -> At<()> {
        At { value: (), line: self.line, key: self.path.clone() }
    }

    pub(super) fn string(&mut self, key: &'static str) -> Option<At<String>> {
        let (item, at) = self.take(key)?;
        match item.value {
            DeValue::String(text) => Some(at.with(text.into_owned())),
            other => self.wrong_type(&at, "a text in quotes", &other),
        }
    }

    /// A text that must be there; `advice` says what to write.
    pub(super) fn required(&mut self, key: &'static str, advice: &str) -> Option<At<String>> {
        if !self.items.iter().any(|item| item.key == key) {
            self.reader.problem(&self.here(), format!("{key:?} is missing: {advice}"));
        }
        self.string(key)
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<At<bool>> {
        let (item, at) = self.take(key)?;
        match item.value {
            DeValue::Boolean(value) => Some(at.with(value)),
            other => self.wrong_type(&at, "true or false", &other),
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer(&mut self, key: &'static str, least: u64, most: u64) -> Option<At<u64>> {
        let (item, at) = self.take(key)?;
        let DeValue::Integer(number) = &item.value else {
            return self.wrong_type(&at, "a whole number", &item.value);
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(value) if (least..=most).contains(&value) => Some(at.with(value)),
            _ => {
                self.reader.problem(&at, format!("must be a whole number from {least} to {most}"));
                None
            }
        }
    }

    /// A text that means something.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, key: &'static str) -> Option<At<T>> {
        let text = self.string(key)?;
        match text.value.parse() {
            Ok(value) => Some(At { value, line: text.line, key: text.key }),
            Err(error) => {
                self.reader.problem(&text, error.to_string());
                None
            }
        }
    }

    /// A list of texts and whole numbers (as texts). An empty one and duplicates are mistakes.
    pub(super) fn list(&mut self, key: &'static str) -> Option<Vec<At<String>>> {
        let (item, at) = self.take(key)?;
        let DeValue::Array(array) = item.value else {
            return self.wrong_type(&at, "a list", &item.value);
        };
        if array.is_empty() {
            self.reader.problem(&at, "the list is empty: put something in or leave the key out");
        }
        let mut texts: Vec<At<String>> = Vec::new();
        for text in self.elements(array, &at) {
            if texts.iter().any(|other| other.value == text.value) {
                self.reader.problem(&text, format!("{:?} is listed twice", text.value));
            } else {
                texts.push(text);
            }
        }
        Some(texts)
    }

    fn elements(&self, array: DeArray<'i>, list: &At<()>) -> Vec<At<String>> {
        let mut texts = Vec::new();
        for element in array {
            let at = At { value: (), line: self.reader.line(element.span().start), key: list.key.clone() };
            match element.into_inner() {
                DeValue::String(text) => texts.push(at.with(text.into_owned())),
                DeValue::Integer(number) => texts.push(at.with(number.to_string())),
                other => {
                    let _: Option<()> = self.wrong_type(&at, "a list of texts", &other);
                }
            }
        }
        texts
    }

    /// A table of its own.
    pub(super) fn section(&mut self, key: &'static str) -> Option<Section<'r, 'i>> {
        let (item, at) = self.take(key)?;
        let pattern = self.full_pattern(key);
        self.table(item, at, pattern)
    }

    /// A table of tables, each with a name of the user's choice.
    pub(super) fn named_sections(&mut self, key: &'static str) -> Vec<(At<String>, Section<'r, 'i>)> {
        let Some(outer) = self.section(key) else { return Vec::new() };
        let mut sections = Vec::new();
        for item in outer.items {
            let name = item.key.clone();
            let at = At { value: (), line: item.key_line, key: join(&outer.path, &name) };
            let pattern = join(&outer.pattern, "NAME");
            if let Some(section) = self.table(item, at.clone(), pattern) {
                sections.push((at.with(name), section));
            }
        }
        sections
    }

    fn table(&self, item: Item<'i>, at: At<()>, pattern: String) -> Option<Section<'r, 'i>> {
        match item.value {
            DeValue::Table(table) => Some(Section::new(self.reader, at.key, pattern, item.key_line, table)),
            other => self.wrong_type(&at, "a table", &other),
        }
    }

    /// Every key that is left is a mistake.
    pub(super) fn finish(self) {
        for item in &self.items {
            let hint = match closest(&item.key, &self.known) {
                Some(known) => format!("unknown key (did you mean {known:?}?)"),
                None => format!("unknown key (known here: {})", self.known.join(", ")),
            };
            self.reader.report(Some(item.key_line), &join(&self.path, &item.key), &hint);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<(Item<'i>, At<()>)> {
        self.known.push(key);
        self.reader.asked.borrow_mut().insert(self.full_pattern(key));
        let index = self.items.iter().position(|item| item.key == key)?;
        let item = self.items.swap_remove(index);
        let at = At { value: (), line: item.line, key: join(&self.path, key) };
        Some((item, at))
    }

    fn full_pattern(&self, key: &str) -> String {
        join(&self.pattern, key)
    }

    fn wrong_type<T>(&self, at: &At<()>, wanted: &str, found: &DeValue<'_>) -> Option<T> {
        self.reader.problem(at, format!("must be {wanted}, not {}", type_name(found)));
        None
    }
}

impl<T> At<T> {
    pub(super) fn place(&self) -> At<()> {
        At { value: (), line: self.line, key: self.key.clone() }
    }

    pub(super) fn with<U>(self, value: U) -> At<U> {
        At { value, line: self.line, key: self.key }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
