//! What `ithn --version` says.

use std::sync::LazyLock;

/// Version, and what the program was built with.
pub(crate) fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        let features = [
            (cfg!(feature = "flex"), "flex (cpu)"),
            (cfg!(feature = "cuda"), "cuda"),
            (cfg!(feature = "cuda-nvrtc"), "cuda-nvrtc"),
            (cfg!(feature = "wgpu"), "wgpu"),
            (cfg!(feature = "ndarray"), "ndarray"),
        ];
        let backends: Vec<&str> = features
            .into_iter()
            .filter_map(|(is_there, name)| is_there.then_some(name))
            .collect();
        let backends = match backends.is_empty() {
            true => "none: build with the feature flex, cuda or wgpu".to_owned(),
            false => backends.join(", "),
        };
        let films = match cfg!(feature = "dicom") {
            true => "PNG, JPEG, DICOM",
            false => "PNG, JPEG (DICOM with the feature dicom)",
        };
        format!(
            "{}\nbackends: {backends}\nfilms: {films}",
            env!("CARGO_PKG_VERSION")
        )
    });
    &LONG
}
