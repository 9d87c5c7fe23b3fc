//! [`Ithn`] as a Burn module whose parameter paths are those of every checkpoint.
//!
//! `#[derive(Module)]` would call the alignment's parameters `alignment.heads.…` and
//! `alignment.temperatures.…`. Checkpoints and the table of official names have them at the top:
//! `heads.…`, `temperatures.…`, next to `generator.…`.

use std::fmt;

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::nn::Linear;
use burn::tensor::Device;
use ithn_alignment::Alignment;

use crate::ithn::Ithn;

/// Container name of `generator` in Burn's module visitors.
const CONTAINER: &str = "Struct:Ithn";

/// Name of the head of findings there.
const HEAD: &str = "findings_head";

impl<G> Ithn<G> {
    /// Applies one function to the generator, one to the alignment and one to the head of findings; keeps the other fields.
    fn map_parts(
        self,
        generator: impl FnOnce(G) -> G,
        alignment: impl FnOnce(Alignment) -> Alignment,
        head: impl FnOnce(Linear) -> Linear,
    ) -> Self {
        Ithn {
            generator: generator(self.generator),
            alignment: alignment(self.alignment),
            findings_head: self.findings_head.map(head),
            ..self
        }
    }
}

impl<G: Module> Module for Ithn<G> {
    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        visitor.enter_module("generator", CONTAINER);
        self.generator.visit(visitor);
        visitor.exit_module("generator", CONTAINER);
        self.alignment.visit(visitor);
        if let Some(head) = &self.findings_head {
            visitor.enter_module(HEAD, CONTAINER);
            head.visit(visitor);
            visitor.exit_module(HEAD, CONTAINER);
        }
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        mapper.enter_module("generator", CONTAINER);
        let generator = self.generator.map(mapper);
        mapper.exit_module("generator", CONTAINER);
        let alignment = self.alignment.map(mapper);
        let findings_head = self.findings_head.map(|head| {
            mapper.enter_module(HEAD, CONTAINER);
            let head = head.map(mapper);
            mapper.exit_module(HEAD, CONTAINER);
            head
        });
        Ithn {
            generator,
            alignment,
            findings_head,
            ..self
        }
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        let devices = self.generator.collect_devices(devices);
        let devices = self.alignment.collect_devices(devices);
        self.findings_head.collect_devices(devices)
    }

    fn to_device(self, device: &Device) -> Self {
        self.map_parts(
            |part| part.to_device(device),
            |part| part.to_device(device),
            |part| part.to_device(device),
        )
    }

    fn fork(self, device: &Device) -> Self {
        self.map_parts(
            |part| part.fork(device),
            |part| part.fork(device),
            |part| part.fork(device),
        )
    }

    fn valid(&self) -> Self {
        Ithn {
            generator: self.generator.valid(),
            alignment: self.alignment.valid(),
            findings_head: self.findings_head.as_ref().map(Module::valid),
            ..*self
        }
    }

    fn train(self) -> Self {
        self.map_parts(Module::train, Module::train, Module::train)
    }

    fn materialize(self) -> Self {
        self.map_parts(
            Module::materialize,
            Module::materialize,
            Module::materialize,
        )
    }
}

impl<G: Module + ModuleDisplay> fmt::Display for Ithn<G> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.format(Default::default()))
    }
}

impl<G: Module + ModuleDisplay> ModuleDisplayDefault for Ithn<G> {
    fn content(&self, content: Content) -> Option<Content> {
        content
            .set_top_level_type("Ithn")
            .add("generator", &self.generator)
            .add("alignment", &self.alignment)
            .add("findings_head", &self.findings_head)
            .optional()
    }

    fn num_params(&self) -> usize {
        Module::num_params(self)
    }
}

impl<G: Module + ModuleDisplay> ModuleDisplay for Ithn<G> {}
