use burn::tensor::{Bool, Device, Tensor, TensorData};

/// Mask of the views of each study, true for present views. It is on the host because control flow
/// depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewMask {
    /// Row by row, `batch · views` values.
    present: Vec<bool>,
    views: usize,
}

impl ViewMask {
    /// A mask from one row of `views` values per study.
    ///
    /// # Panics
    ///
    /// If there is no study, no view, or a study without any view; if rows differ in length.
    pub fn new(rows: &[Vec<bool>]) -> Self {
        let views = rows.first().map_or(0, Vec::len);
        assert!(views > 0, "a mask of views needs a study and a view");
        for row in rows {
            assert_eq!(
                row.len(),
                views,
                "every row of a mask has one value per view"
            );
            assert!(row.contains(&true), "a study needs at least one view");
        }
        ViewMask {
            present: rows.concat(),
            views,
        }
    }

    /// Studies.
    pub fn batch(&self) -> usize {
        self.present.len() / self.views
    }

    /// Places for views per study.
    pub fn views(&self) -> usize {
        self.views
    }

    /// Whether a study has a view.
    ///
    /// # Panics
    ///
    /// If there is no such study or view.
    pub fn has(&self, study: usize, view: usize) -> bool {
        assert!(view < self.views, "there are {} views", self.views);
        self.present[study * self.views + view]
    }

    /// Whether any view is missing.
    pub fn is_incomplete(&self) -> bool {
        self.present.contains(&false)
    }

    /// Indices of the studies that have a view, ascending.
    pub fn rows_with(&self, view: usize) -> Vec<usize> {
        (0..self.batch())
            .filter(|&study| self.has(study, view))
            .collect()
    }

    /// Attention mask, `[batch, views · patches]`: true at the patches of missing views, for as many
    /// patches per view.
    pub fn missing_patches(&self, patches: usize, device: &Device) -> Tensor<2, Bool> {
        let missing: Vec<bool> = self
            .present
            .iter()
            .flat_map(|&present| std::iter::repeat_n(!present, patches))
            .collect();
        let dims = [self.batch(), self.views * patches];
        Tensor::from_data(TensorData::new(missing, dims), device)
    }
}
