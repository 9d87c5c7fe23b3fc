use burn::tensor::Tensor;
use ithn_alignment::Embeddings;
use ithn_generator::{ReportGenerator, TokenBatch};

use crate::ithn::{ForwardPass, Ithn, LossTerms};

/// The batches of other processes that a batch is contrasted with. Together they are a group.
#[derive(Debug, Clone)]
pub struct Peers {
    /// Embeddings of the group's batches before this one, in order, without autograd history.
    pub before: Vec<Embeddings>,
    /// Embeddings of the group's batches after this one.
    pub after: Vec<Embeddings>,
    /// Reports of all batches of the group, in order, this one included.
    pub reports: TokenBatch,
    /// Reports of their negatives.
    pub negatives: TokenBatch,
}

/// Loss terms of a batch that is contrasted with [`Peers`].
#[derive(Debug, Clone)]
pub struct TermsAmong {
    /// The batch's own language loss, and the alignment of the whole group, the same in every batch.
    pub terms: LossTerms,
    /// What to differentiate instead of [`LossTerms::total`], `[1]`.
    pub objective: Tensor<1>,
}

impl<G: ReportGenerator> Ithn<G> {
    /// Losses of a batch whose studies are contrasted with those of its [`Peers`] as if all were one batch.
    ///
    /// Let the group have `M` batches, language losses `L_b` of each and an alignment loss `A` of all its
    /// studies together: `L_cp` and `L_cs` are means over the studies of the group. The group's mean loss is
    /// `(1/M) Σ_b L_b + A`. Gradients reach the batch's own embeddings only, so process `b` differentiates the
    /// [objective](TermsAmong::objective) `L_b + M·A` with all other embeddings constant. The sum of these
    /// gradients over the group is `M` times that of its mean loss, as if every batch had a loss of its own. The
    /// temperatures act on all scores alike, so only the first batch of a group has a gradient for them.
    ///
    /// # Panics
    ///
    /// If the batch has no negatives, the number of reports is not that of embeddings, or as
    /// [`losses`](Self::losses).
    pub fn losses_among(&self, pass: &ForwardPass, peers: Peers, lambda: f64) -> TermsAmong {
        let own = pass.embeddings().expect("the batch has negatives").clone();
        let batches = peers.before.len() + 1 + peers.after.len();
        let is_first = peers.before.is_empty();
        let all: Vec<Embeddings> = (peers.before.into_iter())
            .chain([own])
            .chain(peers.after)
            .collect();
        let equal = self.equal(&peers.reports, &peers.negatives);
        let alignment = match is_first {
            true => self.alignment.clone(),
            false => self.alignment.clone().with_constant_temperatures(),
        };
        let group = alignment.loss(&Embeddings::concat(&all), equal.as_ref(), lambda);
        let aligned = group.contrastive.clone() * self.weights.contrastive.get()
            + group.separation.clone() * self.weights.separation.get();
        let mut objective = pass.learnt.clone() + aligned * batches as f64;
        if let (Some(loss), Some(of)) = (self.likelihood_loss(pass, lambda), self.likelihood) {
            objective = objective + loss * of.weight.get();
        }
        TermsAmong {
            objective,
            terms: self.terms(pass, Some(group), lambda),
        }
    }
}
