use burn::tensor::activation::relu;
use burn::tensor::{Int, Tensor};
use ithn_kernels::linear;
use ithn_memory::MemoryKeyValues;

use super::R2GenCmn;
use crate::context::EmbedContext;

/// How an [`R2GenCmn`] embeds patches and words, with its memory projected.
pub(super) struct EmbedWith<'a> {
    pub(super) generator: &'a R2GenCmn,
    pub(super) memory: &'a MemoryKeyValues,
}

impl EmbedWith<'_> {
    /// Embeds the patches of `films` films, `[batch, films · patches, channels]`, each with positions of its own.
    pub(super) fn embed_patches(&self, patches: Tensor<3>, films: usize) -> Tensor<3> {
        let generator = self.generator;
        let x = relu(linear(&generator.visual_embedding, patches));
        let x = generator.visual_dropout.forward(x);
        let x = x.clone() + generator.memory.respond(x, self.memory);
        if films == 1 {
            return generator.visual_position.forward(x, 0);
        }
        let [batch, length, width] = x.dims();
        let x = x.reshape([batch * films, length / films, width]);
        let x = generator.visual_position.forward(x, 0);
        x.reshape([batch, length, width])
    }
}

impl EmbedContext for EmbedWith<'_> {
    fn embed_films(&self, features: Tensor<3>) -> Tensor<3> {
        self.embed_patches(features, 1)
    }

    fn embed_words(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.generator.embed_words(tokens, 0, self.memory)
    }
}
