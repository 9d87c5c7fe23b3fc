use burn::module::{Initializer, Module, Param};
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor};

/// Token embeddings scaled by `√d_model` (Vaswani et al., 2017).
#[derive(Module, Debug)]
pub struct TokenEmbedding {
    /// `[vocabulary, d_model]`; row 0 is the boundary token (BOS, EOS and PAD in one).
    pub weight: Param<Tensor<2>>,
}

impl TokenEmbedding {
    /// Creates Xavier-uniform embeddings of `vocabulary` tokens.
    pub fn init(vocabulary: usize, d_model: usize, device: &Device) -> Self {
        TokenEmbedding {
            weight: Initializer::XavierUniform { gain: 1.0 }.init_with(
                [vocabulary, d_model],
                Some(d_model),
                Some(vocabulary),
                device,
            ),
        }
    }

    /// Embeds token ids.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, length]`, below `vocabulary`
    /// - output: `[batch, length, d_model]`
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [_, d_model] = self.weight.dims();
        embedding(self.weight.val(), tokens) * (d_model as f64).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_scaled_by_the_root_of_their_width() {
        let device = Device::default();
        let mut embedding = TokenEmbedding::init(3, 4, &device);
        let rows = [[0.0; 4], [1.0, 2.0, 3.0, 4.0], [-1.0, 0.5, 0.0, 8.0]];
        embedding.weight = Param::from_tensor(Tensor::from_data(rows, &device));
        let embedded = embedding.forward(Tensor::from_data([[2, 0], [1, 1]], &device));
        let twice = rows.map(|row: [f32; 4]| row.map(|value| 2.0 * value));
        let expected = [[twice[2], twice[0]], [twice[1], twice[1]]];
        embedded.into_data().assert_eq(&expected.into(), false);
    }
}
