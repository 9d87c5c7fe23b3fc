use burn::module::{Initializer, Module, Param};
use burn::tensor::module::embedding;
use burn::tensor::{Device, Int, Tensor};

/// Word embeddings scaled by `√d_model`, as the Transformer takes them.
#[derive(Module, Debug)]
pub struct TokenEmbedding {
    /// `[vocabulary, d_model]`, row 0 the boundary token.
    pub weight: Param<Tensor<2>>,
}

impl TokenEmbedding {
    /// Xavier-uniform rows.
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

    /// # Shapes
    ///
    /// - tokens: `[batch, length]`, below `vocabulary`
    /// - output: `[batch, length, d_model]`
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [_, d_model] = self.weight.dims();
        embedding(self.weight.val(), tokens) * (d_model as f64).sqrt()
    }
}
