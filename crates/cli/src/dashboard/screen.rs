//! Draws [`Progress`] on a frame of any size: what does not fit is left out from below.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph, Row, Table};

use ithn::train::EpochRecord;

use super::progress::{Activity, Progress, uses_negatives};

/// Minimum width of a legible chart, in columns.
const CHART_WIDTH: u16 = 40;

/// Epochs in the table.
const EPOCHS: u16 = 5;

/// Charts there are: losses, similarities, validation.
pub(crate) const CHARTS: usize = 3;

/// Colours that are distinguishable with red-green colour blindness, on light and on dark
/// backgrounds.
const COLOURS: [Color; 4] = [Color::Blue, Color::Magenta, Color::Cyan, Color::Yellow];

/// Draws everything; `first` is the chart at the left where not all of them fit.
pub(crate) fn draw(frame: &mut Frame, progress: &Progress, first: usize) {
    let epochs = progress.epochs.len().clamp(1, EPOCHS.into()) as u16;
    let [header, gauge, step, charts, table, messages, footer] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(3),
        Constraint::Length(epochs + 3),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());

    frame.render_widget(
        Span::styled(
            format!(" {}", progress.title),
            Style::new().add_modifier(Modifier::BOLD),
        ),
        header,
    );
    draw_gauge(frame, progress, gauge);
    frame.render_widget(Span::raw(last_step(progress)), step);
    draw_charts(frame, progress, first, charts);
    draw_epochs(frame, progress, table);
    draw_messages(frame, progress, messages);
    frame.render_widget(footer_line(progress), footer);
}

fn draw_gauge(frame: &mut Frame, progress: &Progress, area: Rect) {
    let (done, total, label) = match &progress.activity {
        Activity::Preparing => (0, 0, "preparing".to_owned()),
        Activity::Training => {
            let (plan, done) = (progress.pace.plan(), progress.pace.batches_done());
            let left = progress.pace.time_left().map_or_else(String::new, |left| {
                format!(
                    ", {:.1} studies/s, {} left",
                    progress.pace.studies_per_second(),
                    clock(left)
                )
            });
            let label = format!(
                "epoch {}/{}, batch {done}/{}{left}",
                plan.epoch, plan.epochs, plan.batches
            );
            (done, plan.batches, label)
        }
        Activity::Working { work, done, total } => {
            (*done, *total, format!("{work}: {done}/{total}"))
        }
        Activity::Writing { split, done, total } => {
            let label = format!("writing {split} reports: {done}/{total}");
            (*done, *total, label)
        }
    };
    let ratio = (done as f64 / total.max(1) as f64).clamp(0.0, 1.0);
    let style = Style::new().fg(Color::Blue).bg(Color::Black);
    let bar = Gauge::default().gauge_style(style).ratio(ratio);
    frame.render_widget(bar.label(label), area);
}

/// Hours, minutes and seconds.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match hours {
        0 => format!("{minutes}:{:02}", seconds % 60),
        1..48 => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
        _ => format!("{} days {} h", hours / 24, hours % 24),
    }
}

fn last_step(progress: &Progress) -> String {
    let Some(step) = &progress.last_step else {
        return String::new();
    };
    let negatives = if uses_negatives(step) {
        format!(
            " L_cp {:.3} L_cs {:.3}  1-λ {:.2}",
            step.contrastive,
            step.separation,
            1.0 - step.lambda
        )
    } else {
        String::new()
    };
    let [backbone, rest] = step.learning_rates;
    format!(
        " step {}  loss {:.3}  LM {:.3}{negatives}  |g| {:.2}  rates {backbone:.1e}, {rest:.1e}",
        step.step, step.total, step.language, step.gradient_norm
    )
}

/// A curve: its name and its points.
type Curve<'a> = (&'static str, &'a [(f64, f64)]);

fn draw_charts(frame: &mut Frame, progress: &Progress, first: usize, area: Rect) {
    let shown = usize::from(area.width / CHART_WIDTH).clamp(1, CHARTS);
    let areas = Layout::horizontal(vec![Constraint::Fill(1); shown]).split(area);
    let curves = &progress.curves;
    let validation = |score: fn(&EpochRecord) -> f64| -> Vec<(f64, f64)> {
        let epochs = progress.epochs.iter();
        epochs
            .map(|record| (record.epoch as f64, score(record)))
            .collect()
    };
    let scores = [
        validation(|record| record.validation.bleu_4),
        validation(|record| record.validation.rouge_l),
        validation(|record| record.validation.findings.headline().unwrap_or(f64::NAN)),
    ];
    for (slot, area) in areas.iter().enumerate() {
        let (title, axis, curves): (_, _, Vec<Curve>) = match (first + slot) % CHARTS {
            0 => (
                "losses",
                "step",
                vec![
                    ("LM", curves.language.points()),
                    ("L_cp", curves.contrastive.points()),
                    ("L_cs", curves.separation.points()),
                ],
            ),
            1 => (
                "similarities and hardness",
                "step",
                vec![
                    ("z·u", curves.positive.points()),
                    ("z·u⁻", curves.negative.points()),
                    ("z·ũ", curves.hardened.points()),
                    ("1-λ", curves.hardness.points()),
                ],
            ),
            _ => (
                "validation",
                "epoch",
                vec![
                    ("BLEU-4", &scores[0]),
                    ("ROUGE-L", &scores[1]),
                    ("F1", &scores[2]),
                ],
            ),
        };
        draw_chart(frame, title, axis, &curves, *area);
    }
}

fn draw_chart(frame: &mut Frame, title: &str, axis: &str, curves: &[Curve], area: Rect) {
    let drawn = || curves.iter().filter(|(_, points)| !points.is_empty());
    let legend = drawn().zip(COLOURS).map(|((name, points), colour)| {
        let last = points[points.len() - 1].1;
        Span::styled(format!(" {name} {last:.3}"), Style::new().fg(colour))
    });
    let block = Block::bordered()
        .title(format!(" {title} "))
        .title_bottom(Line::from_iter(legend));
    if drawn().next().is_none() {
        frame.render_widget(Paragraph::new(" nothing yet").block(block), area);
        return;
    }
    let x = range(drawn().flat_map(|(_, points)| points.iter().map(|(x, _)| *x)));
    let y = range(drawn().flat_map(|(_, points)| points.iter().map(|(_, y)| *y)));
    let datasets = drawn().zip(COLOURS).map(|((_, points), colour)| {
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(colour))
            .data(points)
    });
    let x_labels = [format!("{:.0}", x[0]), format!("{axis} {:.0}", x[1])];
    let y_labels = [y[0], f64::midpoint(y[0], y[1]), y[1]].map(|y| format!("{y:.2}"));
    let chart = Chart::new(datasets.collect())
        .block(block)
        .x_axis(Axis::default().bounds(x).labels(x_labels))
        .y_axis(Axis::default().bounds(y).labels(y_labels));
    frame.render_widget(chart, area);
}

/// From the least value to the largest; not empty.
fn range(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    [low, if high > low { high } else { low + 1.0 }]
}

fn draw_epochs(frame: &mut Frame, progress: &Progress, area: Rect) {
    let block = Block::bordered().title(" epochs, the best with a star ");
    let header = [
        "epoch", "loss", "LM", "L_cp", "L_cs", "1-λ", "BLEU-4", "ROUGE-L", "CIDEr", "F1", "time",
    ];
    let earlier = progress.epochs.len().saturating_sub(EPOCHS.into());
    let rows = progress.epochs[earlier..].iter().map(|record| {
        let (losses, scores) = (&record.losses, &record.validation);
        let best = if record.is_best { "*" } else { "" };
        Row::new([
            format!("{}{best}", record.epoch),
            format!("{:.3}", losses.total),
            format!("{:.3}", losses.language),
            format!("{:.3}", losses.contrastive),
            format!("{:.3}", losses.separation),
            format!("{:.2}", 1.0 - record.lambda),
            format!("{:.4}", scores.bleu_4),
            format!("{:.4}", scores.rouge_l),
            format!("{:.3}", scores.cider),
            scores
                .findings
                .headline()
                .map_or_else(|| "-".to_owned(), |f1| format!("{f1:.3}")),
            clock(Duration::from_secs_f64(record.seconds.clamp(0.0, 1e9))),
        ])
    });
    let table = Table::new(rows, [Constraint::Fill(1); 11])
        .header(Row::new(header).style(Style::new().add_modifier(Modifier::BOLD)))
        .block(block);
    frame.render_widget(table, area);
}

fn draw_messages(frame: &mut Frame, progress: &Progress, area: Rect) {
    let rows = usize::from(area.height);
    let skipped = progress.messages.len().saturating_sub(rows);
    let lines: Vec<Line> = progress
        .messages
        .iter()
        .skip(skipped)
        .map(|message| {
            let style = if message.is_warning {
                Style::new().fg(Color::Yellow)
            } else {
                Style::new()
            };
            Line::styled(format!(" {}", message.text), style)
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn footer_line(progress: &Progress) -> Line<'static> {
    let text = if progress.is_stopping {
        " stopping after this step, with everything saved; q again: at once, without"
    } else {
        " q or Ctrl-C: stop after this step and save   Tab: next chart"
    };
    Line::styled(text, Style::new().add_modifier(Modifier::REVERSED))
}

#[cfg(test)]
mod tests;
