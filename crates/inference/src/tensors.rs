use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use ithn_data::{
    ContextBlock, FeatureBlock, FilmBlock, IMAGENET_MEAN, IMAGENET_STD, ImageBlock, TokenBlock,
};
use ithn_generator::{
    ContextBatch, PriorFilms, PriorStudy, Projection, StudyBatch, TokenBatch, ViewMask,
};

/// Loaded images on `device`, normalised there, or their features, with a mask if a view is missing, and
/// with what the studies carry beside them.
/// Pixels are transferred as bytes if the device supports them (WebGPU does not).
///
/// # Panics
///
/// If the block has no study, or one without any view; [`ImageLoader`](ithn_data::ImageLoader) loads
/// no such block for a batch with a study.
pub fn study_batch(mut block: ImageBlock, device: &Device) -> StudyBatch {
    let [batch, views, ..] = block.dims;
    let context = block.context.take();
    let is_complete = block.present.iter().all(|&present| present);
    let mask = (!is_complete).then(|| {
        let rows: Vec<Vec<bool>> = block.present.chunks(views).map(<[bool]>::to_vec).collect();
        ViewMask::new(&rows)
    });
    let studies = match block.features.take() {
        Some(FeatureBlock { dims, values }) => {
            let data = TensorData::new(values, [batch, views, dims[0], dims[1]]);
            StudyBatch::of_features(Tensor::from_data(data, device))
        }
        None => StudyBatch::new(image_tensor(block.dims, block.pixels, device)),
    };
    let studies = match mask {
        Some(mask) => studies.with_views(mask),
        None => studies,
    };
    match context {
        Some(context) => studies.with_context(context_batch(context, device)),
        None => studies,
    }
}

/// What loaded studies carry beside their images, on `device`.
fn context_batch(block: ContextBlock, device: &Device) -> ContextBatch {
    let mut films = 0;
    let mut batch = ContextBatch::empty(block.studies.len());
    for (place, study) in block.studies.into_iter().enumerate() {
        batch.projections[place] = study.projections.into_iter().map(projection).collect();
        batch.indications[place] = study.indication;
        batch.priors[place] = study.prior.map(|prior| {
            let first = films;
            films += prior.images.len();
            PriorStudy {
                films: first..films,
                projections: prior.projections.into_iter().map(projection).collect(),
                report: prior.report,
                interval_days: prior.interval_days,
            }
        });
    }
    batch.prior_films = (films > 0).then(|| prior_films(block.films, device));
    batch
}

fn prior_films(block: FilmBlock, device: &Device) -> PriorFilms {
    let [films, channels, height, width] = block.dims;
    match block.features {
        Some(FeatureBlock { dims, values }) => {
            let data = TensorData::new(values, [films, dims[0], dims[1]]);
            PriorFilms::Features(Tensor::from_data(data, device))
        }
        None => {
            let dims = [films, 1, channels, height, width];
            PriorFilms::Images(image_tensor(dims, block.pixels, device).squeeze_dim(1))
        }
    }
}

fn projection(projection: ithn_data::Projection) -> Option<Projection> {
    match projection {
        ithn_data::Projection::PosteroAnterior => Some(Projection::PosteroAnterior),
        ithn_data::Projection::AnteroPosterior => Some(Projection::AnteroPosterior),
        ithn_data::Projection::Frontal => Some(Projection::Frontal),
        ithn_data::Projection::Lateral => Some(Projection::Lateral),
        _ => None,
    }
}

/// Loaded reports on `device`.
pub fn token_batch(block: TokenBlock, device: &Device) -> TokenBatch {
    let mask = mask_tensor(&block, device);
    let longest = block.longest();
    let tokens = Tensor::from_data(TensorData::new(block.ids, block.dims), device);
    TokenBatch::new(tokens, mask).with_longest(longest - 1)
}

/// Images `[batch, views, 3, height, width]` with ImageNet's mean and deviation taken out.
fn image_tensor(dims: [usize; 5], pixels: Vec<u8>, device: &Device) -> Tensor<5> {
    let pixels = pixel_tensor(dims, pixels, device, device.supports_dtype(DType::U8));
    let channel = |values: [f32; 3]| {
        Tensor::<1>::from_floats(values.map(|value| value * 255.0), device).reshape([1, 1, 3, 1, 1])
    };
    (pixels - channel(IMAGENET_MEAN)) / channel(IMAGENET_STD)
}

/// Values 0 to 255 as floats on the device, transferred as bytes or as floats.
fn pixel_tensor(dims: [usize; 5], pixels: Vec<u8>, device: &Device, bytes: bool) -> Tensor<5> {
    if bytes {
        let data = TensorData::new(pixels, dims);
        return Tensor::<5, Int>::from_data(data, (device, DType::U8)).float();
    }
    let floats: Vec<f32> = pixels.into_iter().map(f32::from).collect();
    Tensor::from_data(TensorData::new(floats, dims), device)
}

/// 1 for every token of a report, its closing 0 included, and 0 for padding: `[batch, length]`.
fn mask_tensor(block: &TokenBlock, device: &Device) -> Tensor<2> {
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
            features: None,
            present: vec![true],
            context: None,
        };
        let expected: Vec<f32> = [0.0, 1.0, 128.0 / 255.0]
            .iter()
            .zip(IMAGENET_MEAN.iter().zip(IMAGENET_STD))
            .map(|(value, (mean, deviation))| (value - mean) / deviation)
            .collect();
        image_tensor(block.dims, block.pixels, &device)
            .reshape([3])
            .into_data()
            .assert_approx_eq::<f32>(&TensorData::new(expected, [3]), Tolerance::absolute(1e-5));
    }

    #[test]
    fn pixels_transferred_as_bytes_and_as_floats_are_equal() {
        let device = Device::default();
        let block = ImageBlock {
            dims: [1, 2, 3, 1, 2],
            pixels: (0..12).map(|value| value * 23).collect(),
            features: None,
            present: vec![true; 2],
            context: None,
        };
        let expected: Vec<f32> = block.pixels.iter().copied().map(f32::from).collect();
        for bytes in [true, false] {
            if !bytes || device.supports_dtype(DType::U8) {
                let pixels =
                    pixel_tensor(block.dims, block.pixels.clone(), &device, bytes).into_data();
                pixels.assert_eq(&TensorData::new(expected.clone(), block.dims), true);
            }
        }
    }

    #[test]
    fn only_a_block_with_a_missing_view_gets_a_mask() {
        let device = Device::default();
        let block = |present: [bool; 4]| ImageBlock {
            dims: [2, 2, 3, 1, 1],
            pixels: vec![0; 12],
            features: None,
            present: present.to_vec(),
            context: None,
        };
        let mask = |present| study_batch(block(present), &device).present;
        assert_eq!(mask([true; 4]), None);
        let missing = ViewMask::new(&[vec![true, true], vec![true, false]]);
        assert_eq!(mask([true, true, true, false]), Some(missing));
    }

    #[test]
    fn features_take_the_place_of_pixels() {
        let device = Device::default();
        let block = ImageBlock {
            dims: [1, 2, 3, 0, 0],
            pixels: Vec::new(),
            features: Some(FeatureBlock {
                dims: [1, 2],
                values: vec![1.0, 2.0, 0.0, 0.0],
            }),
            present: vec![true, false],
            context: None,
        };
        let studies = study_batch(block, &device);
        assert_eq!((studies.len(), studies.views()), (1, 2));
        let features = studies.features.expect("the block has some").into_data();
        features.assert_eq(
            &TensorData::new(vec![1.0f32, 2.0, 0.0, 0.0], [1, 2, 1, 2]),
            true,
        );
        assert!(studies.present.is_some());
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
