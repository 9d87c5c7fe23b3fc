//! Values and gradients of a module under the official names, in the official layout.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};

/// Gradients of a module's parameters; those without a gradient (running statistics) or without a
/// name are left out.
pub fn collect_gradients<M: Module>(
    module: &M,
    gradients: &Gradients,
    name_of: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, TensorData> {
    collect(module, Some(gradients), name_of)
}

/// Values of a module's parameters and running statistics; those without a name are left out.
pub fn collect_values<M: Module>(
    module: &M,
    name_of: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, TensorData> {
    collect(module, None, name_of)
}

fn collect<M: Module>(
    module: &M,
    gradients: Option<&Gradients>,
    name_of: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, TensorData> {
    let mut collector = Collector {
        names: Vec::new(),
        containers: Vec::new(),
        gradients,
        name_of,
        collected: BTreeMap::new(),
    };
    module.visit(&mut collector);
    collector.collected
}

struct Collector<'a, F> {
    names: Vec<String>,
    containers: Vec<String>,
    /// Collected instead of the values, if there.
    gradients: Option<&'a Gradients>,
    name_of: F,
    collected: BTreeMap<String, TensorData>,
}

impl<F: Fn(&str) -> Option<String>> ModuleVisitor for Collector<'_, F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.names.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.names.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = (self.name_of)(&self.names.join("."));
        let tensor = match self.gradients {
            Some(gradients) => param.grad(gradients),
            None => Some(param.val()),
        };
        if let Some((name, tensor)) = name.zip(tensor) {
            let linear = self
                .containers
                .last()
                .is_some_and(|container| container == "Struct:Linear");
            let tensor = if linear && D == 2 {
                tensor.swap_dims(0, 1)
            } else {
                tensor
            };
            let values = tensor.into_data();
            // A GPU's values are else read when they are first looked at, after a step in place.
            let _ = values.as_bytes();
            self.collected.insert(name, values);
        }
    }
}
