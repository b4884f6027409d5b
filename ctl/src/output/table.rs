//! Tables in plain text: columns as wide as their widest cell, two spaces between, no lines.

use std::fmt;

use crate::output::escape;

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table; cells are made safe as they come in.
pub(crate) struct Table<const N: usize> {
    columns: [(&'static str, Align); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with a heading for each column.
    pub(crate) const fn new(columns: [(&'static str, Align); N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| escape::text(&cell).into_owned()));
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = self.columns.map(|(heading, _)| heading.to_owned());
        let lines = || std::iter::once(&headings).chain(&self.rows);
        // Characters, not columns of the terminal: wide ones shift the rest of their own line a little.
        let width_of = |index: usize| lines().map(|line| line[index].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width_of);
        for line in lines() {
            let mut text = String::new();
            for ((cell, (_, align)), width) in line.iter().zip(self.columns).zip(widths) {
                text += &match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                };
                text += "  ";
            }
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let mut table = Table::new([("SEQ", Align::Right), ("PATH", Align::Left), ("TAGS", Align::Left)]);
        table.row(["12".to_owned(), "/srv/däta".to_owned(), String::new()]);
        table.row(["3".to_owned(), "/a".to_owned(), "x, y".to_owned()]);
        assert_eq!(
            table.to_string(),
            "\
SEQ  PATH       TAGS
 12  /srv/däta
  3  /a         x, y
"
        );
    }

    #[test]
    fn a_cell_cannot_break_its_line() {
        let mut table = Table::new([("PATH", Align::Left)]);
        table.row(["a\nb\x1b[2J".to_owned()]);
        assert_eq!(table.to_string(), "PATH\na\\nb\\x1b[2J\n");
    }
}
