/// A curve of bounded length: once it is full, neighbours are averaged, so that a run of any length is
/// drawn from its first step on.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    points: Vec<(f64, f64)>,
    /// Values averaged into each new point.
    stride: usize,
    sum: f64,
    count: usize,
}

/// Most points of a curve: more than a terminal resolves at two points per column.
const CAPACITY: usize = 1024;

impl Default for Series {
    fn default() -> Self {
        Series {
            points: Vec::new(),
            stride: 1,
            sum: 0.0,
            count: 0,
        }
    }
}

impl Series {
    /// Adds a value at `x`, which must grow from call to call. Skips values that are not finite.
    pub(crate) fn push(&mut self, x: f64, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.sum += value;
        self.count += 1;
        if self.count < self.stride {
            return;
        }
        self.points.push((x, self.sum / self.count as f64));
        (self.sum, self.count) = (0.0, 0);
        if self.points.len() == CAPACITY {
            self.points = self
                .points
                .chunks(2)
                .map(|pair| (pair[1].0, (pair[0].1 + pair[1].1) / 2.0))
                .collect();
            self.stride *= 2;
        }
    }

    pub(crate) fn points(&self) -> &[(f64, f64)] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_run_is_averaged_and_keeps_its_ends() {
        let mut series = Series::default();
        let steps = 100_000;
        for step in 1..=steps {
            series.push(f64::from(step), f64::from(step));
        }
        let points = series.points();
        assert!((CAPACITY / 2..CAPACITY).contains(&points.len()));
        let stride = series.stride as f64;
        for (index, (x, value)) in points.iter().enumerate() {
            assert_eq!(*x, (index + 1) as f64 * stride);
            assert_eq!(*value, x - (stride - 1.0) / 2.0);
        }
        assert!(points[points.len() - 1].0 > f64::from(steps) - stride);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let mut series = Series::default();
        for value in [1.0, f64::NAN, f64::INFINITY, 2.0] {
            series.push(0.0, value);
        }
        assert_eq!(series.points(), [(0.0, 1.0), (0.0, 2.0)]);
    }
}
