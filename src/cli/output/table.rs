//! Docker's plain tables: no borders, columns at least ten wide and three
//! spaces apart, measured in the cells of a terminal. The layout is that of
//! elastic tab stops (Go's `text/tabwriter` with docker's minwidth 10 and
//! padding 3), so it serves a user's own `table TEMPLATE` too.

use dialoguer::console::measure_text_width;

const MIN_WIDTH: usize = 10;
const PADDING: usize = 3;

/// A table: a header row, then rows.
#[derive(Clone, Debug)]
pub struct Table {
    text: String,
}

impl Table {
    /// A table with its header row.
    pub fn new<S: AsRef<str>>(header: impl IntoIterator<Item = S>) -> Self {
        let mut table = Self { text: String::new() };
        table.row(header);
        table
    }

    /// Adds a row. A control character in a cell becomes a space: it would
    /// begin a cell or a row, or command the terminal.
    pub fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        for (index, cell) in cells.into_iter().enumerate() {
            if index > 0 {
                self.text.push('\t');
            }
            let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
            self.text.extend(cell.as_ref().chars().map(plain));
        }
        self.text.push('\n');
    }

    /// The text of the table, a newline after every row. The last cell of a
    /// row is not padded.
    pub fn render(&self) -> String {
        align(&self.text)
    }
}

/// Aligns the columns of lines whose cells are ended by tabs. A column is a run
/// of consecutive lines that have a tab-ended cell in that place; what follows
/// the last tab of a line belongs to no column and is not padded.
pub fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> =
        text.split_terminator('\n').map(|line| line.split('\t').collect()).collect();
    let widths = column_widths(&lines);
    let mut out = String::with_capacity(text.len() * 2);
    for (cells, widths) in lines.iter().zip(&widths) {
        for (index, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(index) {
                let missing = width.saturating_sub(measure_text_width(cell));
                out.extend(std::iter::repeat_n(' ', missing));
            }
        }
        out.push('\n');
    }
    out
}

/// The width of every tab-ended cell, line by line: that of its run.
fn column_widths(lines: &[Vec<&str>]) -> Vec<Vec<usize>> {
    let mut widths: Vec<Vec<usize>> = lines
        .iter()
        .map(|cells| {
            let ended = cells[..cells.len().saturating_sub(1)].iter();
            ended.map(|cell| MIN_WIDTH.max(measure_text_width(cell) + PADDING)).collect()
        })
        .collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        for run in
            widths.chunk_by_mut(|above, below| (above.len() > column) == (below.len() > column))
        {
            let widest = run.iter().filter_map(|line| line.get(column)).max().copied();
            for cell in run.iter_mut().filter_map(|line| line.get_mut(column)) {
                *cell = widest.unwrap_or(*cell);
            }
        }
    }
    widths
}

/// The text cut to `width` cells of a terminal, the last of them `…` where
/// something was cut; docker shows commands so, at 20.
pub fn ellipsis(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += measure_text_width(letter.encode_utf8(&mut [0; 4]));
        if used > width {
            break;
        }
        cut.push(letter);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_ten_wide_and_three_apart() {
        let mut table = Table::new(["NAME", "DRIVER", "SCOPE"]);
        table.row(["bridge", "a-much-longer-driver", "local"]);
        let expected = "\
NAME      DRIVER                 SCOPE
bridge    a-much-longer-driver   local
";
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn empty_cells_keep_their_column_and_trailing_spaces_stay() {
        let mut table = Table::new(["PORTS", "NAMES"]);
        table.row(["", "a"]);
        table.row(["80/tcp", ""]);
        assert_eq!(table.render(), "PORTS     NAMES\n          a\n80/tcp    \n");
    }

    #[test]
    fn wide_characters_take_two_cells() {
        let mut table = Table::new(["NAME", "TAG"]);
        table.row(["构建环境镜像", "x"]);
        table.row(["résumé", "y"]);
        assert_eq!(table.render(), "NAME           TAG\n构建环境镜像   x\nrésumé         y\n");
    }

    #[test]
    fn control_characters_do_not_leave_their_cell() {
        let mut table = Table::new(["A", "B"]);
        table.row(["x\ty\nz\u{1b}[2J", "b"]);
        assert_eq!(table.render(), "A           B\nx y z [2J   b\n");
    }

    #[test]
    fn a_column_ends_where_a_line_lacks_it() {
        // As docker 28.2.2 lays out `docker context ls --format 'table ...'`.
        let text = "NAME\tDESCRIPTION\tX\nNAME\tq\ndefault\tCurrent\tX\ndefault\tq\n\
                    wide\t构建环境镜像x\tX\nwide\tq\n";
        let expected = "\
NAME      DESCRIPTION   X
NAME      q
default   Current   X
default   q
wide      构建环境镜像x   X
wide      q
";
        assert_eq!(align(text), expected);
        assert_eq!(
            align("aaaaaaaaaaaa\tb\nplain\nc\td\n"),
            "aaaaaaaaaaaa   b\nplain\nc         d\n"
        );
        assert_eq!(align("a\tb\t\t\n"), "a         b                   \n");
        assert_eq!(align(""), "");
    }

    #[test]
    fn ellipsis_counts_cells() {
        for (text, width, cut) in [
            ("\"/bin/sh -c 'make all'\"", 20, "\"/bin/sh -c 'make a…"),
            ("short", 20, "short"),
            ("12345", 5, "12345"),
            ("123456", 5, "1234…"),
            ("构建环境", 5, "构建…"),
            ("构建环境", 4, "构…"),
            ("ab", 1, "…"),
            ("ab", 0, ""),
        ] {
            assert_eq!(ellipsis(text, width), cut);
        }
    }
}
