use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use flate2::read::MultiGzDecoder;

use crate::error::DataError;

/// How pandas and spreadsheets write an empty cell.
const MISSING: [&str; 15] = [
    "nan", "NaN", "NAN", "-nan", "-NaN", "NaT", "<NA>", "NA", "N/A", "n/a", "#N/A", "#NA", "NULL",
    "null", "Null",
];

/// Separators, detected from the header.
const SEPARATORS: [u8; 4] = *b",;\t|";

/// Maximum length of the header in bytes.
const FIRST_LINE: u64 = 1 << 16;

/// Whether a cell means a missing value.
pub(crate) fn is_missing(cell: &str) -> bool {
    MISSING.contains(&cell.trim())
}

/// A CSV file, gzipped or not, read by column name. The separator (comma, semicolon, tab or bar) is
/// detected from the header.
pub(crate) struct Table {
    path: PathBuf,
    reader: csv::Reader<Box<dyn Read>>,
    header: StringRecord,
    /// Correction of the reader's line numbers, which are off by one after `\r\n`.
    line_offset: u64,
}

/// A row of a [`Table`].
pub(crate) struct Row {
    record: StringRecord,
}

impl Table {
    /// Opens `name` or `name.gz` in `folder`; `None` if neither exists.
    pub(crate) fn find(folder: &Path, name: &str) -> Result<Option<Self>, DataError> {
        for candidate in [folder.join(name), folder.join(format!("{name}.gz"))] {
            if candidate.is_file() {
                return Table::open(&candidate).map(Some);
            }
        }
        Ok(None)
    }

    /// Opens a file; decompresses it if its name ends in `.gz`.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io("cannot open", path))?;
        let file = BufReader::new(file);
        let mut source: Box<dyn BufRead> = match is_gzip(path) {
            true => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        let (separator, first_line, declared) =
            find_separator(&mut source).map_err(DataError::io("cannot read", path))?;
        let source: Box<dyn Read> = Box::new(Cursor::new(first_line).chain(source));
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .trim(csv::Trim::All)
            .from_reader(source);
        let header = reader
            .headers()
            .map_err(|error| csv_error(path, &error, declared))?;
        let header = header
            .iter()
            .map(|name| name.trim_start_matches('\u{feff}').trim_matches('"'))
            .collect();
        let line_offset = declared + u64::from(reader.position().line() == 1);
        Ok(Table {
            path: path.to_owned(),
            reader,
            header,
            line_offset,
        })
    }

    /// Index of a column.
    pub(crate) fn column(&self, name: &str) -> Result<usize, DataError> {
        self.optional_column(name).ok_or_else(|| DataError::Column {
            path: self.path.clone(),
            column: name.to_owned(),
            found: self.header.iter().collect::<Vec<_>>().join(", "),
        })
    }

    /// Index of an optional column.
    pub(crate) fn optional_column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// Calls `visit` for every row; its error is a message. `refused` decides whether an invalid row is
    /// skipped; it gets the row unless that could not be parsed. A read error always ends the table.
    pub(crate) fn for_each_or(
        mut self,
        mut visit: impl FnMut(&Row) -> Result<(), String>,
        mut refused: impl FnMut(Option<&Row>, DataError) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut record = StringRecord::new();
        loop {
            match self.reader.read_record(&mut record) {
                Ok(false) => return Ok(()),
                Ok(true) => {}
                Err(error) => {
                    let is_row = matches!(
                        error.kind(),
                        csv::ErrorKind::UnequalLengths { .. } | csv::ErrorKind::Utf8 { .. }
                    );
                    let error = csv_error(&self.path, &error, self.line_offset);
                    if !is_row {
                        return Err(error);
                    }
                    refused(None, error)?;
                    continue;
                }
            }
            let line = record.position().map_or(0, csv::Position::line) + self.line_offset;
            let row = Row { record };
            if let Err(reason) = visit(&row) {
                let error = DataError::Csv {
                    path: self.path.clone(),
                    line,
                    reason,
                };
                refused(Some(&row), error)?;
            }
            record = row.record;
        }
    }
}

impl Row {
    /// The value of a column; blank if missing. Rows with a wrong number of fields are rejected earlier.
    pub(crate) fn get(&self, column: usize) -> &str {
        let cell = self.record.get(column).unwrap_or_default();
        if is_missing(cell) { "" } else { cell }
    }

    /// Like [`get`](Self::get), for columns where `None` is a missing value and not text.
    pub(crate) fn get_some(&self, column: usize) -> &str {
        match self.get(column) {
            "None" | "none" => "",
            cell => cell,
        }
    }

    /// A numeric id without `.0`, which pandas appends if the column has missing values.
    pub(crate) fn id(&self, column: usize) -> &str {
        let cell = self.get(column);
        match cell.strip_suffix(".0") {
            Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => number,
            _ => cell,
        }
    }
}

fn is_gzip(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

/// Detects the separator from the first line. Returns the separator, the bytes to parse again, and the
/// number of lines consumed: spreadsheets may write `sep=;` first.
fn find_separator(source: &mut dyn BufRead) -> io::Result<(u8, Vec<u8>, u64)> {
    let mut line = Vec::new();
    source.take(FIRST_LINE).read_until(b'\n', &mut line)?;
    let text = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line);
    if let [b's', b'e', b'p', b'=', separator, rest @ ..] = text
        && SEPARATORS.contains(separator)
        && rest.iter().all(u8::is_ascii_whitespace)
    {
        return Ok((*separator, Vec::new(), 1));
    }
    let header = text.split(|&byte| byte == b'\r' || byte == b'\n').next();
    let header = header.unwrap_or_default();
    let separator = SEPARATORS.into_iter().find(|it| header.contains(it));
    Ok((separator.unwrap_or(b','), line, 0))
}

fn csv_error(path: &Path, error: &csv::Error, line_offset: u64) -> DataError {
    let reason = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("{len} fields where the header has {expected_len}"),
        csv::ErrorKind::Utf8 { err, .. } => format!("not UTF-8 ({err})"),
        _ => error.to_string(),
    };
    DataError::Csv {
        path: path.to_owned(),
        line: error.position().map_or(0, csv::Position::line) + line_offset,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(contents: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("t.csv"), contents).expect("written");
        let table = Table::find(folder.path(), "t.csv")
            .expect("readable")
            .expect("it is there");
        let column = table.column("b").expect("it is there");
        let visit = |row: &Row| match row.get(column) {
            "bad" => Err("bad".to_owned()),
            _ => Ok(()),
        };
        table
            .for_each_or(visit, |_, error| Err(error))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn lines_are_counted_alike_after_any_line_ending() {
        let text = "\u{feff}a,b\n1,2\n3,bad\n";
        for contents in [text.to_owned(), text.replace('\n', "\r\n")] {
            assert!(
                failure(&contents).ends_with("t.csv, line 3: bad"),
                "{contents:?}"
            );
        }
    }

    #[test]
    fn the_header_tells_the_separator() {
        for separator in [",", ";", "\t", "|"] {
            let rows = format!("a{separator}b\n1{separator}\"2, 3; 4\"\n3{separator}bad\n");
            assert!(failure(&rows).ends_with("t.csv, line 3: bad"), "{rows:?}");
        }
        let error = failure("sep=;\r\na;b\r\n1;2\r\n3;bad\r\n");
        assert!(error.ends_with("t.csv, line 4: bad"), "{error}");
    }

    #[test]
    fn empty_cells_of_pandas_are_blank() {
        let row = |cells: &[&str]| Row {
            record: StringRecord::from(cells.to_vec()),
        };
        for cell in MISSING {
            assert_eq!(row(&[cell]).get(0), "");
        }
        assert_eq!(row(&["None"]).get(0), "None");
        assert_eq!(row(&["None"]).get_some(0), "");
        assert_eq!(row(&["nano"]).get_some(0), "nano");
        assert_eq!(row(&["50414267.0"]).id(0), "50414267");
        assert_eq!(row(&["1.2.840.0"]).id(0), "1.2.840.0");
    }

    #[test]
    fn a_row_of_another_length_is_named() {
        let text = "a,b\n1,2\n3\n";
        for contents in [text.to_owned(), text.replace('\n', "\r\n")] {
            let error = failure(&contents);
            assert!(
                error.contains("line 3: 1 fields where the header has 2"),
                "{error}"
            );
        }
    }
}
