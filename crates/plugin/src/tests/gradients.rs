//! What each option trains, and what it reads.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor};
use ithn_alignment::HardNegativePlacement;

use super::support::{NEGATIVES, REPORTS, batch, model, number};
use crate::{IthnConfig, LossWeights, TextPath};

/// Sum of absolute gradients of the contrastive loss in the generator's backbone and in its decoder.
fn contrastive_gradients(config: &IthnConfig, device: &Device) -> [f32; 2] {
    let model = model(config, device);
    let batch = batch(&REPORTS, &NEGATIVES, device);
    let alignment = model.losses(batch, 0.5).alignment.expect("negatives");
    let gradients = alignment.contrastive.backward();
    let mut backbone = AbsoluteGradients(&gradients, 0.0);
    model.generator.backbone.visit(&mut backbone);
    let mut decoder = AbsoluteGradients(&gradients, 0.0);
    model.generator.decoder.visit(&mut decoder);
    [backbone.1, decoder.1]
}

struct AbsoluteGradients<'a>(&'a Gradients, f32);

impl ModuleVisitor for AbsoluteGradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = param.val().grad(self.0) {
            self.1 += gradient.abs().sum().into_scalar::<f32>();
        }
    }
}

#[test]
fn held_report_states_leave_the_decoder_to_the_language_loss() {
    let device = Device::default().autodiff();
    for text_path in [
        TextPath::WithImage,
        TextPath::SameImage,
        TextPath::ReportAlone,
    ] {
        let gradients = |hold_report_states| {
            let config = IthnConfig {
                text_path,
                hold_report_states,
                ..IthnConfig::default()
            };
            contrastive_gradients(&config, &device)
        };
        let [backbone, decoder] = gradients(true);
        assert!(backbone > 0.0 && decoder == 0.0, "{backbone}, {decoder}");
        let [backbone, decoder] = gradients(false);
        assert!(backbone > 0.0 && decoder > 0.0, "{backbone}, {decoder}");
    }
}

#[test]
fn the_image_of_a_negative_is_read_only_where_a_loss_compares_it() {
    let device = Device::default().autodiff();
    let unread = |config: IthnConfig| {
        let mut batch = batch(&REPORTS, &NEGATIVES, &device);
        let negatives = batch.negatives.as_mut().expect("negatives");
        negatives.studies.images = negatives.studies.images.full_like(f32::NAN);
        number(&model(&config, &device).losses(batch, 0.5).total).is_finite()
    };
    assert!(unread(IthnConfig::default()));
    assert!(!unread(IthnConfig {
        weights: LossWeights::published(),
        ..IthnConfig::default()
    }));
    assert!(!unread(IthnConfig {
        placement: HardNegativePlacement::Absent,
        ..IthnConfig::default()
    }));
}
