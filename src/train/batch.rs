use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use ithn_data::{IMAGENET_MEAN, IMAGENET_STD, ImageBlock, LoadedBatch, TokenBlock};

use crate::plugin::{NegativeBatch, TrainingBatch};

/// Moves a batch to `device` and normalises it there; bytes cross over where the device has bytes (WebGPU
/// has none).
pub fn training_batch(loaded: LoadedBatch, device: &Device) -> TrainingBatch {
    TrainingBatch {
        images: image_tensor(loaded.images, device),
        token_mask: mask_tensor(&loaded.tokens, device),
        tokens: token_tensor(loaded.tokens, device),
        negatives: loaded.negatives.map(|(images, tokens)| NegativeBatch {
            images: image_tensor(images, device),
            tokens: token_tensor(tokens, device),
        }),
    }
}

/// Images `[batch, views, 3, height, width]` with ImageNet's mean and deviation taken out.
pub fn image_tensor(block: ImageBlock, device: &Device) -> Tensor<5> {
    let ImageBlock { dims, pixels } = block;
    let pixels = match device.supports_dtype(DType::U8) {
        true => {
            let bytes = TensorData::new(pixels, dims);
            Tensor::<5, Int>::from_data(bytes, (device, DType::U8)).float()
        }
        false => {
            let floats: Vec<f32> = pixels.into_iter().map(f32::from).collect();
            Tensor::from_data(TensorData::new(floats, dims), device)
        }
    };
    let channel = |values: [f32; 3]| {
        Tensor::<1>::from_floats(values.map(|value| value * 255.0), device).reshape([1, 1, 3, 1, 1])
    };
    (pixels - channel(IMAGENET_MEAN)) / channel(IMAGENET_STD)
}

/// Tokens, `[batch, length]`.
pub fn token_tensor(block: TokenBlock, device: &Device) -> Tensor<2, Int> {
    Tensor::from_data(TensorData::new(block.ids, block.dims), device)
}

/// 1 for every token of a report, its closing 0 included, and 0 for padding: `[batch, length]`.
pub fn mask_tensor(block: &TokenBlock, device: &Device) -> Tensor<2> {
    let [_, longest] = block.dims;
    let mask: Vec<f32> = block
        .lengths
        .iter()
        .flat_map(|&length| (0..longest).map(move |position| f32::from(position < length)))
        .collect();
    Tensor::from_data(TensorData::new(mask, block.dims), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn pixels_are_normalised_per_channel() {
        let device = Device::default();
        let block = ImageBlock {
            dims: [1, 1, 3, 1, 1],
            pixels: vec![0, 255, 128],
        };
        let expected: Vec<f32> = [0.0, 1.0, 128.0 / 255.0]
            .iter()
            .zip(IMAGENET_MEAN.iter().zip(IMAGENET_STD))
            .map(|(value, (mean, deviation))| (value - mean) / deviation)
            .collect();
        image_tensor(block, &device)
            .reshape([3])
            .into_data()
            .assert_approx_eq::<f32>(&TensorData::new(expected, [3]), Tolerance::absolute(1e-5));
    }

    #[test]
    fn the_mask_counts_the_closing_zero_but_not_padding() {
        let device = Device::default();
        let block = TokenBlock {
            dims: [2, 4],
            ids: vec![0, 5, 6, 0, 0, 5, 0, 0],
            lengths: vec![4, 3],
        };
        mask_tensor(&block, &device).into_data().assert_eq(
            &[[1.0f32, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]].into(),
            true,
        );
    }
}
