use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use ithn_backbone::Backbone;

use super::densenet::{SKIPPED_DENSENET, densenet_name, densenet_tensors};
use super::names::{
    SHARED_MEMORY, SKIPPED_OFFICIAL, SKIPPED_TORCHVISION, official_name, torchvision_name,
};
use super::tensors::{ImportError, NamedTensors};

/// Container under which a weight is stored transposed, as the framework's linear layers do.
const LINEAR: &str = "Struct:Linear";

/// Loads an official state (`visual_extractor.…`, `encoder_decoder.…`, projections, temperatures)
/// into `Ithn<R2GenCmn>`.
///
/// # Errors
///
/// [`ImportError::Mismatch`] if a weight is missing, has the wrong shape, or is in the file but not
/// in the model (except [`SKIPPED_OFFICIAL`]), [`ImportError::TornTwin`] if the two names of a
/// shared weight hold different values; the model is then not returned.
pub fn load_official_state<M: Module>(model: M, tensors: &NamedTensors) -> Result<M, ImportError> {
    twins_agree(tensors)?;
    load(model, tensors, official_name, &SKIPPED_OFFICIAL)
}

/// Loads torchvision's ResNet weights into a backbone.
///
/// # Errors
///
/// [`ImportError::Mismatch`] as for [`load_official_state`], with [`SKIPPED_TORCHVISION`].
pub fn load_torchvision<M: Module>(backbone: M, tensors: &NamedTensors) -> Result<M, ImportError> {
    load(backbone, tensors, torchvision_name, &SKIPPED_TORCHVISION)
}

/// The present state of a model under the official names: what [`load_official_state`] reads.
pub fn collect_official_state<M: Module>(model: &M) -> BTreeMap<String, TensorData> {
    collect(model, official_name)
}

/// Loads the weights of torchvision's or torchxrayvision's network into a backbone of the same kind.
///
/// # Errors
///
/// [`ImportError::Mismatch`] as for [`load_official_state`], with [`SKIPPED_TORCHVISION`] or
/// [`SKIPPED_DENSENET`].
pub fn load_backbone(backbone: Backbone, tensors: &NamedTensors) -> Result<Backbone, ImportError> {
    match backbone {
        Backbone::ResNet(network) => load_torchvision(network, tensors).map(Backbone::ResNet),
        Backbone::DenseNet(network) => {
            let tensors = densenet_tensors(tensors);
            load(network, &tensors, densenet_name, &SKIPPED_DENSENET).map(Backbone::DenseNet)
        }
    }
}

/// The present state of a backbone under torchvision's names: what [`load_backbone`] reads.
pub fn collect_backbone_state(backbone: &Backbone) -> BTreeMap<String, TensorData> {
    match backbone {
        Backbone::ResNet(network) => collect(network, torchvision_name),
        Backbone::DenseNet(network) => collect(network, densenet_name),
    }
}

fn collect<M: Module>(
    model: &M,
    name_of: fn(&str) -> Option<String>,
) -> BTreeMap<String, TensorData> {
    let mut collector = Collector {
        path: ModulePath::default(),
        name_of,
        tensors: BTreeMap::new(),
    };
    model.visit(&mut collector);
    collector.tensors
}

fn load<M: Module>(
    model: M,
    tensors: &NamedTensors,
    name_of: fn(&str) -> Option<String>,
    skipped: &[&str],
) -> Result<M, ImportError> {
    let mut loader = Loader {
        path: ModulePath::default(),
        tensors: &tensors.tensors,
        name_of,
        used: BTreeSet::new(),
        missing: Vec::new(),
        misshapen: Vec::new(),
    };
    let model = model.map(&mut loader);
    let unlisted: Vec<String> = tensors
        .tensors
        .keys()
        .filter(|name| !loader.used.contains(*name))
        .filter(|name| !is_skipped(name, skipped))
        .cloned()
        .collect();
    if loader.missing.is_empty() && loader.misshapen.is_empty() && unlisted.is_empty() {
        Ok(model)
    } else {
        Err(ImportError::Mismatch {
            path: tensors.path.clone(),
            missing: loader.missing,
            misshapen: loader.misshapen,
            unlisted,
        })
    }
}

/// The memory's projections have two names in the official state; skipping the second is right only
/// as long as they are one weight.
fn twins_agree(tensors: &NamedTensors) -> Result<(), ImportError> {
    for (second, data) in &tensors.tensors {
        let Some(weight) = second.strip_prefix(SHARED_MEMORY) else {
            continue;
        };
        let first = format!("encoder_decoder.cmn.{weight}");
        if let Some(twin) = tensors.tensors.get(&first)
            && (twin.shape() != data.shape() || twin.as_bytes() != data.as_bytes())
        {
            return Err(ImportError::TornTwin {
                path: tensors.path.clone(),
                first,
                second: second.clone(),
            });
        }
    }
    Ok(())
}

/// A pattern with a leading dot is an ending, one with a trailing dot a beginning.
fn is_skipped(name: &str, patterns: &[&str]) -> bool {
    patterns.iter().any(|pattern| {
        if pattern.starts_with('.') {
            name.ends_with(pattern)
        } else {
            name.starts_with(pattern)
        }
    })
}

/// Where a traversal stands: field names, and the container of the innermost.
#[derive(Default)]
struct ModulePath {
    names: Vec<String>,
    containers: Vec<String>,
}

impl ModulePath {
    fn enter(&mut self, name: &str, container: &str) {
        self.names.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn exit(&mut self) {
        self.names.pop();
        self.containers.pop();
    }

    fn joined(&self) -> String {
        self.names.join(".")
    }

    /// Whether the weight here is the matrix of a linear layer.
    fn is_transposed(&self, rank: usize) -> bool {
        rank == 2
            && self
                .containers
                .last()
                .is_some_and(|container| container == LINEAR)
    }
}

struct Loader<'a> {
    path: ModulePath,
    tensors: &'a BTreeMap<String, TensorData>,
    name_of: fn(&str) -> Option<String>,
    used: BTreeSet<String>,
    missing: Vec<String>,
    misshapen: Vec<String>,
}

impl Loader<'_> {
    /// The weight at the present path, if the file has it in the shape `wanted`.
    fn find<const D: usize>(&mut self, wanted: &[usize], device: &Device) -> Option<Tensor<D>> {
        let path = self.path.joined();
        let Some(name) = (self.name_of)(&path) else {
            self.missing.push(format!("{path} (no name in the table)"));
            return None;
        };
        let Some(data) = self.tensors.get(&name) else {
            self.missing.push(name);
            return None;
        };
        let transposed = self.path.is_transposed(D);
        let mut expected = wanted.to_vec();
        if transposed {
            expected.reverse();
        }
        // A 0-dim value counts as one element: the learned temperatures are saved so.
        let found = data.shape().to_vec();
        let fits = found == expected || (found.is_empty() && expected == [1]);
        let dtype = data.dtype();
        if !fits || !dtype.is_float() {
            let kind = if dtype.is_float() { "" } else { " integers" };
            self.misshapen.push(format!(
                "{name}: {found:?}{kind} in the file, {expected:?} in the model"
            ));
            self.used.insert(name);
            return None;
        }
        let (bytes, _, dtype) = data.clone().into_parts();
        let data = TensorData::from_bytes(bytes, expected, dtype);
        self.used.insert(name);
        let tensor = Tensor::<D>::from_data(data, device);
        Some(if transposed {
            tensor.swap_dims(0, 1)
        } else {
            tensor
        })
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // Shape and device alone: a weight that the file replaces is never drawn, and sizes that
        // the file makes up never take memory.
        let shape = param.lazy_shape().to_vec();
        match self.find(&shape, &param.lazy_device()) {
            Some(tensor) => {
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            None => param,
        }
    }
}

struct Collector {
    path: ModulePath,
    name_of: fn(&str) -> Option<String>,
    tensors: BTreeMap<String, TensorData>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(name) = (self.name_of)(&self.path.joined()) {
            let tensor = param.val();
            let tensor = if self.path.is_transposed(D) {
                tensor.swap_dims(0, 1)
            } else {
                tensor
            };
            let values = tensor.into_data();
            // Force the copy now: a GPU read is lazy and could see weights that a later in-place
            // step has changed.
            let _ = values.as_bytes();
            self.tensors.insert(name, values);
        }
    }
}
