//! The kernels. A map is `[batches, positions, columns]` of vectors of channels; a cube that adds up has vectors
//! of channels across and positions down, and one share of the positions of one batch.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::THREADS;

/// Adds two vectors per thread up over the rows of a cube; the first row has the result.
#[cube]
fn over_rows<F: Float, N: Size>(
    one: Vector<F, N>,
    other: Vector<F, N>,
) -> (Vector<F, N>, Vector<F, N>) {
    let mut ones = Shared::new_slice(THREADS);
    let mut others = Shared::new_slice(THREADS);
    let place = UNIT_POS as usize;
    ones[place] = one;
    others[place] = other;
    sync_cube();
    let mut total = one;
    let mut other_total = other;
    if UNIT_POS_Y == 0 {
        let mut at = place + CUBE_DIM_X as usize;
        while at < THREADS {
            total += ones[at];
            other_total += others[at];
            at += CUBE_DIM_X as usize;
        }
    }
    (total, other_total)
}

/// `Σ (x − k)` and `Σ (x − k)²` of every share, `k` being the batch's first value of the channel: so the
/// squares do not drown the variance.
#[cube(launch)]
pub(super) fn moment_shares<F: Float, N: Size>(
    input: &[Vector<F, N>],
    sums: &mut [Vector<F, N>],
    squares: &mut [Vector<F, N>],
    columns: usize,
    positions: usize,
    share: usize,
    #[define(F)] _type: ElemType,
) {
    let column = CUBE_POS_X as usize * CUBE_DIM_X as usize + UNIT_POS_X as usize;
    let batch = CUBE_POS_Z as usize;
    let start = batch * positions * columns;
    let mut sum = Vector::new(F::new(0.0));
    let mut square = Vector::new(F::new(0.0));
    if column < columns {
        let first = input[start + column];
        let mut position = CUBE_POS_Y as usize * share + UNIT_POS_Y as usize;
        let end = min((CUBE_POS_Y as usize + 1) * share, positions);
        while position < end {
            let value = input[start + position * columns + column] - first;
            sum += value;
            square += value * value;
            position += CUBE_DIM_Y as usize;
        }
    }
    let (sum, square) = over_rows::<F, N>(sum, square);
    if UNIT_POS_Y == 0 && column < columns {
        let place = (batch * CUBE_COUNT_Y as usize + CUBE_POS_Y as usize) * columns + column;
        sums[place] = sum;
        squares[place] = square;
    }
}

/// Mean, variance and `1 / √(variance + ε)` from the shares.
#[cube(launch)]
pub(super) fn moments<F: Float, N: Size>(
    input: &[Vector<F, N>],
    sums: &[Vector<F, N>],
    squares: &[Vector<F, N>],
    mean: &mut [Vector<F, N>],
    variance: &mut [Vector<F, N>],
    inverse: &mut [Vector<F, N>],
    columns: usize,
    positions: usize,
    shares: usize,
    epsilon: InputScalar,
    weight: InputScalar,
    #[define(F)] _type: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at >= mean.len() {
        terminate!();
    }
    let batch = at / columns;
    let column = at % columns;
    let mut sum = Vector::new(F::new(0.0));
    let mut square = Vector::new(F::new(0.0));
    for share in 0..shares {
        let place = (batch * shares + share) * columns + column;
        sum += sums[place];
        square += squares[place];
    }
    let weight = Vector::new(weight.get::<F>());
    let offset = sum * weight;
    let spread = square * weight - offset * offset;
    let zero = Vector::new(F::new(0.0));
    let spread = select_many(spread.less_than(&zero), zero, spread);
    mean[at] = input[batch * positions * columns + column] + offset;
    variance[at] = spread;
    inverse[at] = Vector::new(F::new(1.0)) / Vector::sqrt(spread + Vector::new(epsilon.get::<F>()));
}

/// `y = f(γ (x − mean) / √(variance + ε) + β + shortcut)`. A value that is no number stays none.
#[cube(launch)]
pub(super) fn normalise<F: Float, N: Size>(
    input: &[Vector<F, N>],
    mean: &[Vector<F, N>],
    inverse: &[Vector<F, N>],
    gamma: &[Vector<F, N>],
    beta: &[Vector<F, N>],
    shortcut: &[Vector<F, N>],
    output: &mut [Vector<F, N>],
    columns: usize,
    positions: usize,
    #[comptime] joins: bool,
    #[comptime] activates: bool,
    #[define(F)] _type: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at >= output.len() {
        terminate!();
    }
    let position = at / columns;
    let column = at - position * columns;
    let of_batch = position / positions * columns + column;
    let scale = inverse[of_batch] * gamma[column];
    let mut value = (input[at] - mean[of_batch]) * scale + beta[column];
    if comptime!(joins) {
        value += shortcut[at];
    }
    if comptime!(activates) {
        let zero = Vector::new(F::new(0.0));
        value = select_many(value.less_than(&zero), zero, value);
    }
    output[at] = value;
}

/// What the activation lets through of a gradient.
#[cube]
fn let_through<F: Float, N: Size>(
    gradient: Vector<F, N>,
    output: Vector<F, N>,
    #[comptime] activates: bool,
) -> Vector<F, N> {
    let mut found = gradient;
    if comptime!(activates) {
        let zero = Vector::new(F::new(0.0));
        found = select_many(output.less_equal(&zero), zero, gradient);
    }
    found
}

/// `Σ g x̂` and `Σ g` of every share.
#[cube(launch)]
pub(super) fn gradient_shares<F: Float, N: Size>(
    input: &[Vector<F, N>],
    output: &[Vector<F, N>],
    gradient: &[Vector<F, N>],
    mean: &[Vector<F, N>],
    inverse: &[Vector<F, N>],
    gamma_shares: &mut [Vector<F, N>],
    beta_shares: &mut [Vector<F, N>],
    columns: usize,
    positions: usize,
    share: usize,
    #[comptime] activates: bool,
    #[define(F)] _type: ElemType,
) {
    let column = CUBE_POS_X as usize * CUBE_DIM_X as usize + UNIT_POS_X as usize;
    let batch = CUBE_POS_Z as usize;
    let start = batch * positions * columns;
    let mut of_gamma = Vector::new(F::new(0.0));
    let mut of_beta = Vector::new(F::new(0.0));
    if column < columns {
        let centre = mean[batch * columns + column];
        let mut position = CUBE_POS_Y as usize * share + UNIT_POS_Y as usize;
        let end = min((CUBE_POS_Y as usize + 1) * share, positions);
        while position < end {
            let at = start + position * columns + column;
            let slope = let_through::<F, N>(gradient[at], output[at], activates);
            of_gamma += slope * (input[at] - centre);
            of_beta += slope;
            position += CUBE_DIM_Y as usize;
        }
        of_gamma *= inverse[batch * columns + column];
    }
    let (of_gamma, of_beta) = over_rows::<F, N>(of_gamma, of_beta);
    if UNIT_POS_Y == 0 && column < columns {
        let place = (batch * CUBE_COUNT_Y as usize + CUBE_POS_Y as usize) * columns + column;
        gamma_shares[place] = of_gamma;
        beta_shares[place] = of_beta;
    }
}

/// Sums of the shares.
#[cube(launch)]
pub(super) fn totals<F: Float, N: Size>(
    gamma_shares: &[Vector<F, N>],
    beta_shares: &[Vector<F, N>],
    of_gamma: &mut [Vector<F, N>],
    of_beta: &mut [Vector<F, N>],
    columns: usize,
    shares: usize,
    #[define(F)] _type: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at >= of_gamma.len() {
        terminate!();
    }
    let batch = at / columns;
    let column = at % columns;
    let mut gamma = Vector::new(F::new(0.0));
    let mut beta = Vector::new(F::new(0.0));
    for share in 0..shares {
        let place = (batch * shares + share) * columns + column;
        gamma += gamma_shares[place];
        beta += beta_shares[place];
    }
    of_gamma[at] = gamma;
    of_beta[at] = beta;
}

/// `∂x`, and `g` for a shortcut.
#[cube(launch)]
pub(super) fn input_gradient<F: Float, N: Size>(
    input: &[Vector<F, N>],
    output: &[Vector<F, N>],
    gradient: &[Vector<F, N>],
    mean: &[Vector<F, N>],
    inverse: &[Vector<F, N>],
    gamma: &[Vector<F, N>],
    of_gamma: &[Vector<F, N>],
    of_beta: &[Vector<F, N>],
    of_input: &mut [Vector<F, N>],
    of_shortcut: &mut [Vector<F, N>],
    columns: usize,
    positions: usize,
    weight: InputScalar,
    #[comptime] joins: bool,
    #[comptime] activates: bool,
    #[define(F)] _type: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at >= of_input.len() {
        terminate!();
    }
    let position = at / columns;
    let column = at - position * columns;
    let of_batch = position / positions * columns + column;
    let slope = let_through::<F, N>(gradient[at], output[at], activates);
    let scale = inverse[of_batch];
    let normed = (input[at] - mean[of_batch]) * scale;
    let along = of_beta[of_batch] + normed * of_gamma[of_batch];
    let rest = slope - along * Vector::new(weight.get::<F>());
    of_input[at] = rest * scale * gamma[column];
    if comptime!(joins) {
        of_shortcut[at] = slope;
    }
}
