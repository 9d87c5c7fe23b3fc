/// Sizes of a convolution of channels-last images by square filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub(crate) batch: usize,
    /// Height and width of the input.
    pub(crate) input: [usize; 2],
    pub(crate) channels: usize,
    /// Height and width of the output.
    pub(crate) output: [usize; 2],
    pub(crate) filters: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Geometry {
    /// Sizes for an input `[batch, height, width, channels]` and weights
    /// `[filters, channels, kernel, kernel]`.
    ///
    /// # Panics
    ///
    /// If channels differ, the filters are not square or larger than the padded input.
    pub(crate) fn new(
        [batch, height, width, channels]: [usize; 4],
        [filters, weight_channels, kernel, kernel_width]: [usize; 4],
        stride: usize,
        padding: usize,
    ) -> Self {
        assert_eq!(channels, weight_channels, "channels of input and weights");
        assert_eq!(kernel, kernel_width, "filters must be square");
        let positions = |side: usize| {
            let padded = side + 2 * padding;
            assert!(padded >= kernel, "a filter must fit into the padded input");
            (padded - kernel) / stride + 1
        };
        Geometry {
            batch,
            input: [height, width],
            channels,
            output: [positions(height), positions(width)],
            filters,
            kernel,
            stride,
            padding,
        }
    }

    /// Values of one input image.
    pub(crate) fn input_len(&self) -> usize {
        self.input[0] * self.input[1] * self.channels
    }

    /// Positions of one output image.
    pub(crate) fn positions(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Values that one filter multiplies.
    pub(crate) fn window_len(&self) -> usize {
        self.kernel * self.kernel * self.channels
    }

    /// Whether the receptive field of every output position is the one input position at the same
    /// index.
    pub(crate) fn is_pointwise(&self) -> bool {
        (self.kernel, self.stride, self.padding) == (1, 1, 0)
    }

    /// Input position along one axis that `tap` of the window at `output` reads; `None` in the
    /// padding.
    #[inline(always)]
    pub(crate) fn source(&self, output: usize, tap: usize, side: usize) -> Option<usize> {
        (output * self.stride + tap)
            .checked_sub(self.padding)
            .filter(|&source| source < side)
    }
}
