//! The table of results, and how its figures are written.

use std::fmt;

/// A table in Markdown: a column for each peer, its first column says what a row is.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    pub(super) fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut head = vec![String::new()];
        head.extend(columns.into_iter().map(str::to_owned));
        Self {
            rows: vec![head],
            notes: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, title: String, cells: impl IntoIterator<Item = Option<String>>) {
        let mut row = vec![title];
        row.extend(cells.into_iter().map(|cell| cell.unwrap_or("–".to_owned())));
        self.rows.push(row);
    }

    /// A line below the table.
    pub(super) fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, row) in self.rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let width = self.width(column);
                match column {
                    0 => write!(f, "| {cell:<width$} |")?,
                    _ => write!(f, " {cell:>width$} |")?,
                }
            }
            writeln!(f)?;
            if index == 0 {
                f.write_str("| --- |")?;
                writeln!(f, "{}", " ---: |".repeat(row.len() - 1))?;
            }
        }
        for note in &self.notes {
            write!(f, "\n{note}\n")?;
        }
        Ok(())
    }
}

/// The one in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// `16 KiB`.
pub(super) fn bytes(count: usize) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{} KiB", count / 1024),
        _ => format!("{} MiB", count / 1_048_576),
    }
}

/// `1 234 567`.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(' ');
        }
        text.push(digit);
    }
    if value <= -0.5 {
        text.insert(0, '-');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new(["raw", "axum"]);
        table.row("x".to_owned(), [Some("12345".to_owned()), None]);
        table.note("Why.");
        let expected =
            "|   |   raw | axum |\n| --- | ---: | ---: |\n| x | 12345 |    – |\n\nWhy.\n";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn long_numbers_are_grouped() {
        for (value, text) in [(0.4, "0"), (999.5, "1 000"), (1_234_567.0, "1 234 567")] {
            assert_eq!(grouped(value), text);
        }
        assert_eq!(grouped(-1000.0), "-1 000");
    }
}
