//! Numbers of one or several systems as text, Markdown and LaTeX.

use std::fmt::Write;

use super::numbers::{Group, Line};
use super::pairs::{Pair, Tested};

/// A table of all numbers: a row for each, a column for each system.
pub(super) struct Table {
    pub systems: Vec<String>,
    /// What holds for all of it.
    pub notes: Vec<String>,
    groups: Vec<TableGroup>,
    pub pairs: Vec<Pair>,
}

/// Rows under a title.
pub(super) struct TableGroup {
    pub title: String,
    pub rows: Vec<Row>,
}

/// A number of every system.
pub(super) struct Row {
    pub label: String,
    pub lower_is_better: bool,
    /// `None` for a system that lacks it.
    pub cells: Vec<Option<Line>>,
}

impl Row {
    /// Whether a system has the best value, as printed, and another has not.
    fn is_best(&self, system: usize) -> bool {
        let value = |cell: &Option<Line>| {
            let value = cell.as_ref()?.value;
            let printed = (value * 1e4).round();
            (!value.is_nan()).then_some(if self.lower_is_better {
                -printed
            } else {
                printed
            })
        };
        let values: Vec<f64> = self.cells.iter().filter_map(value).collect();
        let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let differs = values.iter().any(|value| *value < best);
        differs && value(&self.cells[system]) == Some(best)
    }
}

impl Table {
    /// Lines up the numbers of systems; rows are matched by their keys.
    pub(super) fn new(
        systems: Vec<(String, Vec<Group>)>,
        notes: Vec<String>,
        pairs: Vec<Pair>,
    ) -> Self {
        let names = systems.iter().map(|(name, _)| name.clone()).collect();
        let count = systems.len();
        let mut groups: Vec<TableGroup> = Vec::new();
        let mut keys: Vec<Vec<String>> = Vec::new();
        for (system, (_, own)) in systems.into_iter().enumerate() {
            for group in own {
                let place = groups.iter().position(|known| known.title == group.title);
                let place = place.unwrap_or_else(|| {
                    groups.push(TableGroup {
                        title: group.title,
                        rows: Vec::new(),
                    });
                    keys.push(Vec::new());
                    groups.len() - 1
                });
                let (rows, keys) = (&mut groups[place].rows, &mut keys[place]);
                for line in group.lines {
                    let row = keys.iter().position(|key| *key == line.key);
                    let row = row.unwrap_or_else(|| {
                        keys.push(line.key.clone());
                        rows.push(Row {
                            label: line.label.clone(),
                            lower_is_better: line.lower_is_better,
                            cells: (0..count).map(|_| None).collect(),
                        });
                        rows.len() - 1
                    });
                    rows[row].cells[system] = Some(line);
                }
            }
        }
        Table {
            systems: names,
            notes,
            groups,
            pairs,
        }
    }

    pub(super) fn groups(&self) -> &[TableGroup] {
        &self.groups
    }

    /// Columns of values, without intervals where there are several systems.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let is_one = self.systems.len() == 1;
        let width = |name: &String| name.chars().count().max(8);
        if !is_one {
            let _ = write!(text, "{:36}", "");
            for name in &self.systems {
                let _ = write!(text, " {name:>width$}", width = width(name));
            }
            text.push('\n');
        }
        for group in &self.groups {
            let _ = writeln!(text, "{}", group.title);
            for row in &group.rows {
                let _ = write!(text, "  {:34}", row.label);
                for (cell, name) in row.cells.iter().zip(&self.systems) {
                    let width = if is_one { 8 } else { width(name) };
                    let _ = write!(text, " {:>width$}", value(cell.as_ref()));
                    if let (true, Some(interval)) =
                        (is_one, cell.as_ref().and_then(|cell| cell.interval))
                    {
                        let _ = write!(text, "  {:.4} to {:.4}", interval.low, interval.high);
                    }
                }
                text.push('\n');
            }
        }
        for pair in &self.pairs {
            let _ = write!(
                text,
                "\n{}",
                pair_text(&pair.this, &pair.other, &pair.metrics)
            );
        }
        text
    }

    pub(super) fn markdown(&self) -> String {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('|', "\\|");
        let mut text = String::from("|");
        let blanks = " |".repeat(self.systems.len());
        for name in std::iter::once("").chain(self.systems.iter().map(String::as_str)) {
            let _ = write!(text, " {} |", escaped(name));
        }
        let _ = writeln!(text, "\n|---|{}", "---:|".repeat(self.systems.len()));
        for group in &self.groups {
            let _ = writeln!(text, "| **{}** |{blanks}", escaped(&group.title));
            for row in &group.rows {
                let _ = write!(text, "| {} |", escaped(&row.label));
                for (system, cell) in row.cells.iter().enumerate() {
                    let number = match row.is_best(system) {
                        true => format!("**{}**", value(cell.as_ref())),
                        false => value(cell.as_ref()),
                    };
                    let interval = match cell.as_ref().and_then(|cell| cell.interval) {
                        Some(interval) => format!(" ({:.4} – {:.4})", interval.low, interval.high),
                        None => String::new(),
                    };
                    let _ = write!(text, " {number}{interval} |");
                }
                text.push('\n');
            }
        }
        for pair in &self.pairs {
            let (this, other) = (escaped(&pair.this), escaped(&pair.other));
            let _ = writeln!(
                text,
                "\n| {this} − {other} | {other} | {this} | difference | 95 % interval | p | p, Holm |"
            );
            let _ = writeln!(text, "|---|{}", "---:|".repeat(6));
            for metric in &pair.metrics {
                let _ = writeln!(
                    text,
                    "| {} | {:.4} | {:.4} | {:+.4} | {:+.4} – {:+.4} | {:.4} | {:.4} |",
                    escaped(&metric.metric),
                    metric.other,
                    metric.this,
                    metric.difference,
                    metric.interval.low,
                    metric.interval.high,
                    metric.p_value,
                    metric.holm_p_value
                );
            }
        }
        for note in &self.notes {
            let _ = writeln!(text, "\n{}", escaped(note));
        }
        text
    }

    /// One `tabular` for the numbers and one for each pair of systems; they need `booktabs`.
    pub(super) fn latex(&self) -> String {
        let mut text = String::from("% \\usepackage{booktabs}\n");
        for note in &self.notes {
            let _ = writeln!(text, "% {}", note.replace('\n', " "));
        }
        let columns = self.systems.len();
        let _ = writeln!(
            text,
            "\\begin{{tabular}}{{l{}}}\n\\toprule",
            "r".repeat(columns)
        );
        for name in &self.systems {
            let _ = write!(text, " & {}", latex(name));
        }
        text += " \\\\\n";
        for group in &self.groups {
            let _ = writeln!(
                text,
                "\\midrule\n\\multicolumn{{{}}}{{l}}{{\\emph{{{}}}}} \\\\",
                columns + 1,
                latex(&group.title)
            );
            for row in &group.rows {
                text += &latex(&row.label);
                for (system, cell) in row.cells.iter().enumerate() {
                    let number = latex(&value(cell.as_ref()));
                    let _ = match row.is_best(system) {
                        true => write!(text, " & \\textbf{{{number}}}"),
                        false => write!(text, " & {number}"),
                    };
                    if let Some(interval) = cell.as_ref().and_then(|cell| cell.interval) {
                        let _ = write!(
                            text,
                            " {{\\scriptsize [{:.4}, {:.4}]}}",
                            interval.low, interval.high
                        );
                    }
                }
                text += " \\\\\n";
            }
        }
        text += "\\bottomrule\n\\end{tabular}\n";
        for pair in &self.pairs {
            let (this, other) = (latex(&pair.this), latex(&pair.other));
            let _ = writeln!(
                text,
                "\n\\begin{{tabular}}{{lrrrrrr}}\n\\toprule\n{this} $-$ {other} & {other} & {this} & difference & \
                 95\\,\\% interval & $p$ & $p$, Holm \\\\\n\\midrule"
            );
            for metric in &pair.metrics {
                let _ = writeln!(
                    text,
                    "{} & {:.4} & {:.4} & ${:+.4}$ & [${:+.4}$, ${:+.4}$] & {:.4} & {:.4} \\\\",
                    latex(&metric.metric),
                    metric.other,
                    metric.this,
                    metric.difference,
                    metric.interval.low,
                    metric.interval.high,
                    metric.p_value,
                    metric.holm_p_value
                );
            }
            text += "\\bottomrule\n\\end{tabular}\n";
        }
        text
    }
}

/// Metrics of a pair, as text.
pub(super) fn pair_text(this: &str, other: &str, metrics: &[Tested]) -> String {
    let mut text = format!("{this} minus {other}\n");
    let _ = writeln!(
        text,
        "  {:26} {:>8} {:>8} {:>10} {:>8} {:>8}  95 % interval",
        "", "other", "this", "difference", "p", "p, Holm"
    );
    for metric in metrics {
        let _ = writeln!(
            text,
            "  {:26} {:>8.4} {:>8.4} {:>+10.4} {:>8.4} {:>8.4}  {:+.4} to {:+.4}",
            metric.metric,
            metric.other,
            metric.this,
            metric.difference,
            metric.p_value,
            metric.holm_p_value,
            metric.interval.low,
            metric.interval.high
        );
    }
    text
}

fn value(cell: Option<&Line>) -> String {
    match cell {
        Some(line) if !line.value.is_nan() => format!("{:.4}", line.value),
        _ => "-".to_owned(),
    }
}

/// A text in which no character has a meaning for LaTeX.
fn latex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use ithn::metrics::Interval;

    fn group(key: &str, value: f64) -> Group {
        let line = Line {
            key: key.to_owned(),
            label: format!("{key} % & more"),
            value,
            interval: Some(Interval {
                low: value - 0.1,
                high: value + 0.1,
            }),
            lower_is_better: key == "radcliq_v1",
        };
        Group {
            title: "a|b_c".to_owned(),
            lines: vec![line],
        }
    }

    fn table() -> Table {
        let systems = vec![
            ("a_1".to_owned(), vec![group("radcliq_v1", 0.5)]),
            (
                "b".to_owned(),
                vec![group("radcliq_v1", 0.75), group("green", 0.25)],
            ),
        ];
        Table::new(systems, vec!["10 draws".to_owned()], Vec::new())
    }

    #[test]
    fn rows_are_matched_by_key_and_the_best_is_bold() {
        let markdown = table().markdown();
        let lines: Vec<&str> = markdown.lines().collect();
        assert_eq!(lines[0], "|  | a_1 | b |");
        assert_eq!(lines[2], "| **a\\|b_c** | | |");
        assert_eq!(
            lines[3],
            "| radcliq_v1 % & more | **0.5000** (0.4000 – 0.6000) | 0.7500 (0.6500 – 0.8500) |"
        );
        assert_eq!(
            lines[4],
            "| green % & more | - | 0.2500 (0.1500 – 0.3500) |"
        );
        assert_eq!(lines.last(), Some(&"10 draws"));
    }

    #[test]
    fn latex_escapes_names() {
        let text = table().latex();
        assert!(text.contains(" & a\\_1 & b \\\\\n"));
        assert!(text.contains(
            "radcliq\\_v1 \\% \\& more & \\textbf{0.5000} {\\scriptsize [0.4000, 0.6000]}"
        ));
        assert!(text.contains("\\multicolumn{3}{l}{\\emph{a|b\\_c}}"));
        assert_eq!(text.matches("\\begin{tabular}").count(), 1);
    }

    #[test]
    fn text_of_several_systems_has_a_column_each() {
        let text = table().text();
        assert!(
            text.lines()
                .any(|line| line.contains("radcliq_v1") && line.contains("0.5000   0.7500")),
            "{text}"
        );
    }
}
