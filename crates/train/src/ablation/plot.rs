use std::fmt::Write;

use super::summary::{AblationReport, Metric};
use ithn_checkpoint::config::GeneratorKind;

/// Width and height of a panel's data, and the room around it, in pixels.
const PANEL: [f64; 2] = [300.0, 150.0];
const TOP: f64 = 30.0;
const RIGHT: f64 = 20.0;
const BOTTOM: f64 = 26.0;
const LEFT: f64 = 46.0;
const METRICS: [Metric; 3] = [
    Metric::FindingsF1,
    Metric::NearTwinLikelihood,
    Metric::NearTwinAlignment,
];

impl AblationReport {
    /// A drawing of findings F1 and near-twin accuracy, as SVG: a row per generator, a column per arm
    /// in each panel, a dot per seed and a line at their mean.
    pub fn to_svg(&self) -> String {
        let [width, height] = [PANEL[0] + LEFT + RIGHT, PANEL[1] + TOP + BOTTOM];
        let [columns, rows] = [METRICS.len() as f64, self.config.generators.len() as f64];
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" \
             font-size=\"11\" fill=\"#777\" stroke-width=\"1\">\n",
            width * columns,
            height * rows
        );
        for (row, &generator) in self.config.generators.iter().enumerate() {
            for (column, metric) in METRICS.into_iter().enumerate() {
                let corner = [width * column as f64 + LEFT, height * row as f64 + TOP];
                self.panel(generator, metric, corner, &mut svg);
            }
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn panel(&self, generator: GeneratorKind, metric: Metric, corner: [f64; 2], svg: &mut String) {
        let [x, y] = corner;
        let values: Vec<Vec<f64>> = self
            .config
            .arms
            .iter()
            .map(|&arm| self.values(generator, arm, metric))
            .collect();
        let all = || values.iter().flatten().copied();
        let (low, high) = (
            all().fold(f64::INFINITY, f64::min),
            all().fold(0.0, f64::max),
        );
        let title = format!("{}: {}", generator.name(), metric.name());
        text(svg, [x, y - 12.0], "start", &title);
        let place = |value: f64| y + PANEL[1] * (1.0 - (value - low) / (high - low).max(1e-9));
        let bottom = y + PANEL[1];
        line(svg, [x, bottom], [x + PANEL[0], bottom], "#777");
        for value in [low, high].into_iter().filter(|value| value.is_finite()) {
            let label = format!("{value:.2}");
            text(svg, [x - 6.0, place(value) + 4.0], "end", &label);
        }
        let step = PANEL[0] / self.config.arms.len() as f64;
        for (index, (arm, values)) in self.config.arms.iter().zip(&values).enumerate() {
            let centre = x + step * (index as f64 + 0.5);
            text(svg, [centre, bottom + 16.0], "middle", arm.name());
            let count = values.len();
            for (seed, &value) in values.iter().enumerate() {
                let aside = (seed as f64 - (count as f64 - 1.0) / 2.0) * step * 0.6 / count as f64;
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"#3b82c4\"/>",
                    centre + aside,
                    place(value)
                );
            }
            if count > 0 {
                let mean = place(values.iter().sum::<f64>() / count as f64);
                let half = step * 0.35;
                line(svg, [centre - half, mean], [centre + half, mean], "#d9822b");
            }
        }
    }
}

fn text(svg: &mut String, [x, y]: [f64; 2], anchor: &str, words: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
    );
}

fn line(svg: &mut String, from: [f64; 2], to: [f64; 2], colour: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
        from[0], from[1], to[0], to[1]
    );
}
