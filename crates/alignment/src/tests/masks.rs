use burn::tensor::Device;

use super::oracle::{Case, PLACEMENTS, Same};
use crate::{AlignmentConfig, HardNegativePlacement};
use ithn_oracle::{assert_close, numbers};

fn config(placement: HardNegativePlacement) -> AlignmentConfig {
    AlignmentConfig {
        projection_width: 1,
        placement,
        ..AlignmentConfig::default()
    }
}

#[test]
fn masked_losses_are_their_equations() {
    let device = Device::default();
    let case = Case::new(5, [1.3, 0.9]);
    for same in [
        Same::of(&[1, 2, 1, 3, 4], &[5, 6, 7, 8, 9]),
        Same::of(&[1, 2, 3, 4, 5], &[6, 7, 7, 7, 8]),
        Same::of(&[1, 2, 3, 4, 5], &[1, 6, 7, 4, 8]),
        Same::of(&[1, 1, 1, 2, 2], &[1, 2, 2, 2, 3]),
    ] {
        for placement in PLACEMENTS {
            let inputs = case.tensors(&config(placement), &device);
            let equal = same.tensors(&device);
            let terms = inputs.alignment.loss(&inputs.embeddings, Some(&equal), 0.4);
            let hardened = case.closed_form(Default::default(), 0.4);
            let expected = case.loss(&hardened, placement, Some(&same));
            assert_close(&numbers(terms.contrastive), &[expected], 1e-9);
            let unmasked = case.loss(&hardened, placement, None);
            if same.studies[0][1] {
                assert!((expected - unmasked).abs() > 1e-3, "{placement:?}");
            }
        }
    }
}

#[test]
fn a_mask_without_equal_reports_changes_no_bit() {
    let device = Device::default().autodiff();
    let case = Case::new(4, [1.3, 0.9]);
    let equal = Same::of(&[1, 2, 3, 4], &[5, 6, 7, 8]).tensors(&device);
    for placement in PLACEMENTS {
        let inputs = case.tensors(&config(placement), &device);
        let loss = |equal| {
            let terms = inputs.alignment.loss(&inputs.embeddings, equal, 0.4);
            terms.contrastive
        };
        let (masked, plain) = (loss(Some(&equal)), loss(None));
        assert_eq!(numbers(masked.clone()), numbers(plain.clone()));
        assert_eq!(inputs.gradients(masked), inputs.gradients(plain));
    }
}

#[test]
fn a_batch_of_one_report_has_nothing_to_learn() {
    let device = Device::default().autodiff();
    let case = Case::new(4, [1.3, 0.9]);
    let equal = Same::of(&[1; 4], &[1; 4]).tensors(&device);
    for placement in PLACEMENTS {
        let inputs = case.tensors(&config(placement), &device);
        let terms = inputs.alignment.loss(&inputs.embeddings, Some(&equal), 0.4);
        assert_eq!(numbers(terms.contrastive.clone()), [0.0]);
        let gradients = inputs.gradients(terms.contrastive);
        assert!(gradients.concat().iter().all(|&slope| slope == 0.0));
    }
}

#[test]
fn an_equal_report_adds_nothing_to_the_rows_of_its_twin() {
    let device = Device::default().autodiff();
    let case = Case::new(3, [1.3, 0.9]);
    let equal = Same::of(&[1, 2, 1], &[3, 4, 5]).tensors(&device);
    let inputs = case.tensors(&config(HardNegativePlacement::Candidate), &device);
    let hardened = inputs.embeddings.negative_reports.clone();
    let scores = inputs
        .alignment
        .scores(&inputs.embeddings, &hardened, Some(&equal));
    let scores = numbers(scores);
    for i in 0..3 {
        for j in 0..3 {
            let twins = i != j && i != 1 && j != 1;
            assert_eq!(scores[3 * i + j] == f64::NEG_INFINITY, twins);
        }
    }
}
