use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Mean and standard deviation of ImageNet's channels, for values in `[0, 1]`.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

/// Half the range of torchxrayvision's pixels.
const RADIOGRAPH: f64 = 1024.0;

/// The pixels that a network was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PixelScale {
    /// Three channels less ImageNet's mean, over its standard deviation.
    ImageNet,
    /// One channel in `[-1024, 1024]`, black to white: torchxrayvision's. Colours are averaged.
    Radiograph,
}

impl PixelScale {
    /// Channels of an image.
    pub fn channels(self) -> usize {
        match self {
            PixelScale::ImageNet => 3,
            PixelScale::Radiograph => 1,
        }
    }

    /// Converts pixels normalised by ImageNet's mean and deviation, `[batch, 3, height, width]`, to this scale.
    pub(crate) fn of_imagenet(self, images: Tensor<4>) -> Tensor<4> {
        match self {
            PixelScale::ImageNet => images,
            PixelScale::Radiograph => {
                let [mean, deviation] = IMAGENET.map(|values| {
                    let data = TensorData::new(values.to_vec(), [1, 3, 1, 1]);
                    Tensor::<4>::from_data(data, &images.device())
                });
                let share = (images * deviation + mean).mean_dim(1);
                (share * 2.0 - 1.0) * RADIOGRAPH
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    #[test]
    fn black_gray_and_white_are_torchxrayvisions() {
        let device = Device::default();
        let [mean, deviation] = IMAGENET;
        for (byte, expected) in [(0.0, -1024.0), (255.0, 1024.0), (51.0, -614.4)] {
            let normalised: Vec<f32> = mean
                .iter()
                .zip(deviation)
                .map(|(mean, deviation)| (byte / 255.0 - mean) / deviation)
                .collect();
            let image = Tensor::from_data(TensorData::new(normalised, [1, 3, 1, 1]), &device);
            PixelScale::Radiograph
                .of_imagenet(image)
                .into_data()
                .assert_approx_eq::<f32>(
                    &TensorData::new(vec![expected as f32], [1, 1, 1, 1]),
                    Tolerance::absolute(1e-3),
                );
        }
    }
}
