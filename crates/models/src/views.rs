use burn::tensor::{Tensor, assert_shape};
use ithn_backbone::{Backbone, ImageEncoder, ImageFeatures};
use ithn_decoder::PatchFeatures;
use ithn_generator::{StudyBatch, ViewMask, row_indices};

/// Backbone features of a batch of studies, the views of each joined.
#[derive(Debug, Clone)]
pub struct StudyFeatures {
    /// `[batch, views · patches, channels]`, view by view; a missing view's patches are masked zeros.
    pub patches: PatchFeatures,
    /// Mean over the patches of each view, `[batch, views · channels]`. A missing view's channels are
    /// zero, so a linear projection leaves it out.
    pub pooled: Tensor<2>,
}

/// Features of some batches of studies from one pass of the backbone, which normalises each view of
/// each batch by its own statistics. It gets only the views that are there, and no batch that brings
/// its features along.
///
/// # Shapes
///
/// - studies: images `[batch, views, 3, height, width]`
///
/// # Panics
///
/// If a batch has another number of views.
pub(super) fn join_views<const BATCHES: usize>(
    backbone: &Backbone,
    studies: [StudyBatch; BATCHES],
    views: usize,
) -> [StudyFeatures; BATCHES] {
    let mut images = Vec::with_capacity(BATCHES * views);
    for batch in &studies {
        assert_shape!(batch.images, [_, views, 3, _, _]);
        if batch.features.is_some() {
            continue;
        }
        let all = batch.images.clone().split(1, 1).into_iter();
        let all = all.map(|view| view.squeeze_dim::<4>(1));
        match &batch.present {
            None => images.extend(all),
            Some(mask) => images.extend(all.enumerate().filter_map(|(view, images)| {
                let rows = mask.rows_with(view);
                (!rows.is_empty()).then(|| select_rows(images, &rows))
            })),
        }
    }
    let mut features = backbone.forward_each(images).into_iter();
    studies.map(|batch| match (batch.features, &batch.present) {
        (Some(known), mask) => {
            let views = known.split(1, 1).into_iter();
            let views = views.map(|view| ImageFeatures::of_patches(view.squeeze_dim(1)));
            join(views, mask.as_ref())
        }
        (None, None) => join(features.by_ref().take(views), None),
        (None, Some(mask)) => join_present(&mut features, mask),
    })
}

/// The rows of the ascending indices `rows`.
fn select_rows(images: Tensor<4>, rows: &[usize]) -> Tensor<4> {
    if rows.len() == images.dims()[0] {
        return images;
    }
    let indices = row_indices(rows, &images.device());
    images.select(0, indices)
}

fn join(views: impl Iterator<Item = ImageFeatures>, mask: Option<&ViewMask>) -> StudyFeatures {
    let (patches, pooled): (Vec<Tensor<3>>, Vec<Tensor<2>>) =
        views.map(|view| (view.patches, view.pooled)).unzip();
    let [_, per_view, _] = patches[0].dims();
    let mask = mask.map(|mask| mask.missing_patches(per_view, &patches[0].device()));
    StudyFeatures {
        patches: PatchFeatures {
            values: Tensor::cat(patches, 1),
            mask,
        },
        pooled: Tensor::cat(pooled, 1),
    }
}

/// Takes one batch of features per view that a study of `mask` has, and fills in zeros.
fn join_present(
    features: &mut impl Iterator<Item = ImageFeatures>,
    mask: &ViewMask,
) -> StudyFeatures {
    let views: Vec<Option<ImageFeatures>> = (0..mask.views())
        .map(|view| {
            let rows = mask.rows_with(view);
            let present = (!rows.is_empty()).then(|| features.next())?;
            let present = present.expect("the backbone returns a batch for each it got");
            Some(fill_rows(present, &rows, mask.batch()))
        })
        .collect();
    let some = views.iter().flatten().next();
    let some = some.expect("every study has a view");
    let missing = ImageFeatures {
        patches: some.patches.zeros_like(),
        pooled: some.pooled.zeros_like(),
    };
    let filled = views.into_iter();
    join(
        filled.map(|view| view.unwrap_or_else(|| missing.clone())),
        Some(mask),
    )
}

/// Features of `batch` studies, of which those in `rows` have this view; zeros for the others.
fn fill_rows(present: ImageFeatures, rows: &[usize], batch: usize) -> ImageFeatures {
    if rows.len() == batch {
        return present;
    }
    // One row of zeros follows the present ones; every missing study selects it.
    let sources: Vec<usize> = (0..batch)
        .map(|study| rows.binary_search(&study).unwrap_or(rows.len()))
        .collect();
    let ImageFeatures { patches, pooled } = present;
    let indices = row_indices(&sources, &patches.device());
    let [_, count, channels] = patches.dims();
    let patch_zeros = Tensor::zeros([1, count, channels], &patches.device());
    let pooled_zeros = Tensor::zeros([1, channels], &patches.device());
    ImageFeatures {
        patches: Tensor::cat(vec![patches, patch_zeros], 0).select(0, indices.clone()),
        pooled: Tensor::cat(vec![pooled, pooled_zeros], 0).select(0, indices),
    }
}
