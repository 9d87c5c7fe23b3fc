//! Chooses the device of tensors: `cpu`, `cuda:N`, `wgpu` or `ndarray`, by name, at run time.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
pub use ithn_kernels::{join_workers, keep_freed_memory};
use thiserror::Error;

/// Prepares the process for training or inference on the CPU: [`join_workers`] and
/// [`keep_freed_memory`]. Call it once, at the beginning of `main`. It affects speed, not results.
pub fn prepare_process() {
    // Either may not apply to a system or a build, which then works as it would have.
    let _ = (join_workers(), keep_freed_memory());
}

/// A device by name. The cargo features of a binary decide which devices it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceName {
    /// The processor, through Burn's `flex` backend (feature `flex`).
    Cpu,
    /// An NVIDIA GPU by index (feature `cuda`, or `cuda-nvrtc` where no LLVM can be downloaded).
    Cuda(usize),
    /// The NVIDIA GPU of this process: the first, or one of its own [among several](Self::of_process).
    OwnCuda,
    /// The default GPU through WebGPU (feature `wgpu`).
    Wgpu,
    /// The processor through the `ndarray` backend (feature `ndarray`); slower than `cpu`.
    NdArray,
}

/// Why a device name cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceError {
    /// The name is unknown.
    #[error("unknown device '{0}': use cpu, cuda:N (N the GPU's index), wgpu or ndarray")]
    Unknown(String),
    /// The binary was built without the device's backend.
    #[error("device '{device}' is not in this build: enable the cargo feature `{feature}` of ithn")]
    NotBuilt {
        /// The device asked for.
        device: &'static str,
        /// The cargo feature that enables it.
        feature: &'static str,
    },
}

impl FromStr for DeviceName {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        let unknown = || DeviceError::Unknown(name.to_owned());
        match name {
            "cpu" => Ok(DeviceName::Cpu),
            "wgpu" => Ok(DeviceName::Wgpu),
            "ndarray" => Ok(DeviceName::NdArray),
            "cuda" => Ok(DeviceName::OwnCuda),
            _ => {
                let index = name.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(DeviceName::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl fmt::Display for DeviceName {
    /// As it is parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceName::Cpu => f.write_str("cpu"),
            DeviceName::Cuda(index) => write!(f, "cuda:{index}"),
            DeviceName::OwnCuda => f.write_str("cuda"),
            DeviceName::Wgpu => f.write_str("wgpu"),
            DeviceName::NdArray => f.write_str("ndarray"),
        }
    }
}

impl DeviceName {
    /// The device of a process that is number `local_rank` of those that train together on this machine: for
    /// [`OwnCuda`](Self::OwnCuda) the GPU of that index, counted among those that `CUDA_VISIBLE_DEVICES` shows
    /// this process (which may be its own one alone). Any other name is the same device for all.
    #[must_use]
    pub fn of_process(self, local_rank: usize) -> Self {
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        match self {
            DeviceName::OwnCuda => DeviceName::Cuda(own_gpu(local_rank, visible.as_deref())),
            named => named,
        }
    }

    /// The device itself, without autodiff; `.autodiff()` on it gives the one to train on.
    ///
    /// # Errors
    ///
    /// [`DeviceError::NotBuilt`] if the binary lacks its feature.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            DeviceName::Cpu => cpu(),
            DeviceName::Cuda(index) => cuda(index),
            DeviceName::OwnCuda => cuda(0),
            DeviceName::Wgpu => wgpu(),
            DeviceName::NdArray => ndarray(),
        }
    }
}

/// Index of a process's GPU among the visible ones.
fn own_gpu(local_rank: usize, visible: Option<&str>) -> usize {
    let listed = visible.map(|list| list.split(',').filter(|one| !one.trim().is_empty()));
    match listed.map(Iterator::count) {
        None | Some(0) => local_rank,
        Some(count) => local_rank % count,
    }
}

#[cfg(feature = "flex")]
fn cpu() -> Result<Device, DeviceError> {
    Ok(Device::flex())
}

#[cfg(not(feature = "flex"))]
fn cpu() -> Result<Device, DeviceError> {
    not_built("cpu", "flex")
}

/// Has CubeCL keep what it compiles in the user's cache folder, unless a `cubecl.toml` names another place.
#[cfg(all(feature = "kernel-cache", any(feature = "cuda", feature = "wgpu")))]
fn keep_kernels() {
    use burn::cubecl::config::cache::CacheConfig;
    use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.compilation.cache = true;
    if matches!(config.environment.path, CacheConfig::Target) {
        config.environment.path = CacheConfig::Global;
    }
    // False where the program, or a device opened before, has made its choice: then that holds.
    let _ = CubeClRuntimeConfig::try_set(config);
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device, DeviceError> {
    #[cfg(feature = "kernel-cache")]
    keep_kernels();
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: usize) -> Result<Device, DeviceError> {
    not_built("cuda", "cuda")
}

#[cfg(feature = "wgpu")]
fn wgpu() -> Result<Device, DeviceError> {
    #[cfg(feature = "kernel-cache")]
    keep_kernels();
    Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> Result<Device, DeviceError> {
    not_built("wgpu", "wgpu")
}

#[cfg(feature = "ndarray")]
#[allow(deprecated)] // Burn will drop it in favour of flex; until then it is a second opinion
fn ndarray() -> Result<Device, DeviceError> {
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Result<Device, DeviceError> {
    not_built("ndarray", "ndarray")
}

#[cfg(not(all(
    feature = "flex",
    feature = "cuda",
    feature = "wgpu",
    feature = "ndarray"
)))]
fn not_built(device: &'static str, feature: &'static str) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt { device, feature })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_and_typos_are_named() {
        assert_eq!("cpu".parse(), Ok(DeviceName::Cpu));
        assert_eq!("cuda:3".parse(), Ok(DeviceName::Cuda(3)));
        assert_eq!("cuda".parse(), Ok(DeviceName::OwnCuda));
        let error = "gpu".parse::<DeviceName>().unwrap_err();
        assert!(error.to_string().contains("'gpu'"));
        assert!("cuda:x".parse::<DeviceName>().is_err());
        for name in ["cpu", "cuda", "cuda:3", "wgpu", "ndarray"] {
            let parsed: DeviceName = name.parse().expect("known");
            assert_eq!(parsed.to_string(), name);
        }
    }

    #[test]
    fn a_process_takes_a_gpu_that_it_sees() {
        assert_eq!(own_gpu(3, None), 3);
        assert_eq!(own_gpu(3, Some("")), 3);
        assert_eq!(own_gpu(3, Some("0,1,2,3,4,5,6,7")), 3);
        // SLURM's --gpus-per-task shows each process its own.
        assert_eq!(own_gpu(3, Some("5")), 0);
        assert_eq!(DeviceName::Cuda(1).of_process(3), DeviceName::Cuda(1));
        assert_eq!(DeviceName::Cpu.of_process(3), DeviceName::Cpu);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_missing_backend_names_its_feature() {
        let error = DeviceName::Cuda(0).open().unwrap_err();
        assert!(error.to_string().contains("`cuda`"));
    }
}
