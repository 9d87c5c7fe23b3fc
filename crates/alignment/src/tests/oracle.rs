//! The loss in plain loops, and the same inputs as tensors.

use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use ithn_negatives::{HardeningRange, Projection};

use crate::{Alignment, AlignmentConfig, Embeddings, EqualReports, HardNegativePlacement};
use ithn_oracle::{Rows, dot, moved, numbers, rows, tensor};

pub const PLACEMENTS: [HardNegativePlacement; 5] = [
    HardNegativePlacement::DiagonalPenalty,
    HardNegativePlacement::Candidate,
    HardNegativePlacement::Pair,
    HardNegativePlacement::Absent,
    HardNegativePlacement::InBatch,
];

pub const WIDTH: usize = 5;

/// Everything that a loss depends on, on the host: `z`, `u`, `z⁻`, `u⁻`, and one row `[τ1, τ3]`.
#[derive(Clone)]
pub struct Case(pub [Rows; 5]);

impl Case {
    /// Seeded unit rows.
    pub fn new(batch: usize, temperatures: [f64; 2]) -> Self {
        let sphere = |seed| -> Rows {
            let rows = rows(seed, batch, WIDTH);
            rows.iter().map(|row| unit(row)).collect()
        };
        let temperatures = vec![temperatures.to_vec()];
        Case([sphere(11), sphere(12), sphere(13), sphere(14), temperatures])
    }

    pub fn batch(&self) -> usize {
        self.0[0].len()
    }

    /// `e^{τ1}` and `e^{τ3}`.
    pub fn scales(&self) -> [f64; 2] {
        [self.0[4][0][0].exp(), self.0[4][0][1].exp()]
    }

    /// `d_i = u_i − u⁻_i`.
    pub fn towards_report(&self, i: usize) -> Vec<f64> {
        moved(&self.0[1][i], &self.0[3][i], -1.0)
    }

    /// Hard negatives of the closed form.
    pub fn closed_form(&self, projection: Projection, lambda: f64) -> Rows {
        let [z, _, _, un, _] = &self.0;
        let step = |i: usize| {
            let v = moved(&z[i], &un[i], -1.0);
            let mut step = vec![0.0; v.len()];
            match projection {
                Projection::PerSample => {
                    let d = self.towards_report(i);
                    step = moved(&step, &d, dot(&v, &d) / dot(&d, &d));
                }
                Projection::BatchMixed => {
                    for j in 0..self.batch() {
                        let d = self.towards_report(j);
                        step = moved(&step, &d, dot(&v, &d) / dot(&d, &d).sqrt());
                    }
                }
                other => panic!("no oracle for {other:?}"),
            }
            step
        };
        (0..self.batch())
            .map(|i| moved(&un[i], &step(i), 1.0 - lambda))
            .collect()
    }

    /// Hard negatives of five half steps of ascent on a line, for a loss that grows with `z·ũ`.
    pub fn line(&self, range: HardeningRange, lambda: f64) -> Rows {
        let end = |i: usize| {
            let d = self.towards_report(i);
            let along = 2.5 * dot(&self.0[0][i], &d).signum();
            let along = match range {
                HardeningRange::Line => along,
                HardeningRange::Segment => along.clamp(0.0, 1.0),
                other => panic!("no oracle for {other:?}"),
            };
            moved(&self.0[3][i], &d, (1.0 - lambda) * along)
        };
        (0..self.batch()).map(end).collect()
    }

    /// Hard negatives of ascent in a ball of reach 1, for a loss that grows with `z·ũ`.
    pub fn ball(&self, lambda: f64) -> Rows {
        let rim = |i: usize| {
            let d = self.towards_report(i);
            let image = &self.0[0][i];
            let radius = (1.0 - lambda) * dot(&d, &d).sqrt();
            moved(&self.0[3][i], image, radius / dot(image, image).sqrt())
        };
        (0..self.batch()).map(rim).collect()
    }

    /// The contrastive loss, term by term.
    pub fn loss(
        &self,
        hardened: &Rows,
        placement: HardNegativePlacement,
        same: Option<&Same>,
    ) -> f64 {
        let [z, u, zn, un, _] = &self.0;
        let [a, b] = self.scales();
        let batch = self.batch();
        let is_own = |i: usize| same.is_some_and(|same| same.own_negative[i]);
        if placement == HardNegativePlacement::Pair {
            let terms = (0..batch).map(|i| {
                let advantage = b * (dot(&z[i], &hardened[i]) - dot(&z[i], &u[i]));
                if is_own(i) {
                    0.0
                } else {
                    advantage.exp().ln_1p()
                }
            });
            return terms.sum::<f64>() / batch as f64;
        }
        // e^{S_ij}, 0 where masked.
        let weight = |i: usize, j: usize| {
            let own = a * dot(&z[i], &u[j]);
            let negative = a * dot(&zn[i], &un[j]);
            let equal = same.is_some_and(|same| same.studies[i][j]);
            let negatives_equal = same.is_some_and(|same| same.negatives[i][j]);
            let (score, masked) = match placement {
                HardNegativePlacement::DiagonalPenalty => {
                    let mut sum = own + negative;
                    if i == j && !is_own(i) {
                        sum -= b * dot(&z[i], &hardened[i]);
                    }
                    (sum / 3.0, equal || negatives_equal)
                }
                HardNegativePlacement::Absent => ((own + negative) / 2.0, equal || negatives_equal),
                HardNegativePlacement::Candidate
                | HardNegativePlacement::Candidates
                | HardNegativePlacement::Pair
                | HardNegativePlacement::InBatch => (own, equal),
            };
            if i != j && masked { 0.0 } else { score.exp() }
        };
        let mut loss = 0.0;
        for i in 0..batch {
            let mut row: f64 = (0..batch).map(|j| weight(i, j)).sum();
            if placement == HardNegativePlacement::Candidate && !is_own(i) {
                row += (b * dot(&z[i], &hardened[i])).exp();
            }
            let column: f64 = (0..batch).map(|j| weight(j, i)).sum();
            loss -= (weight(i, i) / row).ln() + (weight(i, i) / column).ln();
        }
        loss / (2 * batch) as f64
    }

    /// The same inputs as tensors, tracked if the device has autodiff.
    pub fn tensors(&self, config: &AlignmentConfig, device: &Device) -> Inputs {
        let input = |index: usize| {
            let rows = tensor(&self.0[index], device);
            if device.is_autodiff() {
                rows.require_grad()
            } else {
                rows
            }
        };
        let mut alignment = config.init(1, 1, device);
        let temperature = |index: usize| {
            let value = TensorData::new(vec![self.0[4][0][index]], [1]);
            Param::from_tensor(Tensor::from_data(value, (device, DType::F64)))
        };
        alignment.temperatures.pairs = temperature(0);
        alignment.temperatures.hardened = temperature(1);
        Inputs {
            alignment,
            embeddings: Embeddings {
                images: input(0),
                reports: input(1),
                negative_images: Some(input(2)),
                negative_reports: input(3),
                more_negative_reports: Vec::new(),
            },
        }
    }
}

/// A case on a device.
pub struct Inputs {
    pub alignment: Alignment,
    pub embeddings: Embeddings,
}

impl Inputs {
    /// Gradients of `loss` in the order of [`Case`]; 0 where the loss does not depend on an input.
    pub fn gradients(&self, loss: Tensor<1>) -> [Vec<f64>; 5] {
        let gradients = loss.backward();
        let of = |input: &Tensor<2>| {
            let gradient = input.grad(&gradients);
            numbers(gradient.unwrap_or_else(|| input.clone().inner().zeros_like()))
        };
        let Embeddings {
            images,
            reports,
            negative_images,
            negative_reports,
            ..
        } = &self.embeddings;
        let temperatures = &self.alignment.temperatures;
        let scales = [&temperatures.pairs, &temperatures.hardened].map(|temperature| {
            let gradient = temperature.val().grad(&gradients);
            gradient.map_or(0.0, |gradient| numbers(gradient)[0])
        });
        let negative_images = negative_images.as_ref().expect("every case has them");
        [
            of(images),
            of(reports),
            of(negative_images),
            of(negative_reports),
            scales.to_vec(),
        ]
    }
}

/// Which reports are equal, on the host.
pub struct Same {
    pub studies: Vec<Vec<bool>>,
    pub negatives: Vec<Vec<bool>>,
    pub own_negative: Vec<bool>,
}

impl Same {
    /// Compares the words that stand for each report.
    pub fn of(studies: &[u32], negatives: &[u32]) -> Self {
        let all = |words: &[u32]| -> Vec<Vec<bool>> {
            let row = |word: &u32| words.iter().map(|other| word == other).collect();
            words.iter().map(row).collect()
        };
        Same {
            studies: all(studies),
            negatives: all(negatives),
            own_negative: studies.iter().zip(negatives).map(|(a, b)| a == b).collect(),
        }
    }

    pub fn tensors(&self, device: &Device) -> EqualReports {
        let square = |rows: &Vec<Vec<bool>>| {
            Tensor::from_data(
                TensorData::new(rows.concat(), [rows.len(), rows.len()]),
                device,
            )
        };
        let own = TensorData::new(self.own_negative.clone(), [self.own_negative.len(), 1]);
        EqualReports {
            studies: square(&self.studies),
            negatives: square(&self.negatives),
            own_negative: Tensor::from_data(own, device),
        }
    }
}

/// The row at norm 1.
pub fn unit(row: &[f64]) -> Vec<f64> {
    let norm = dot(row, row).sqrt();
    row.iter().map(|element| element / norm).collect()
}
