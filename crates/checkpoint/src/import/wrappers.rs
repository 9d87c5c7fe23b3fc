//! What trainers and PyTorch's wrappers put around a model's names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::densenet::is_densenet_weight;
use super::names::{is_official, is_torchvision_weight};

/// Entries under which trainers keep the model; the first one present is read. No module can have
/// these names, since `state_dict` is a method of every module.
const ENTRIES: [&str; 2] = ["state_dict.", "model_state_dict."];

/// An entry of the same use. It is also a common name of an attribute.
const MODEL: &str = "model.";

/// Bounds the passes over the names of a hostile file. Trainers nest two.
const MOST_ENTRIES: usize = 4;

/// Prefixes that only a wrapper writes: `DataParallel`'s and `torch.compile`'s.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// Bounds the prefixes of a name in a hostile file. Training setups combine up to four.
const MOST_WRAPPERS: usize = 8;

/// The tensors of the entry that holds the model, without the entry's name; all tensors if there is
/// none.
///
/// `has_model_entry` tells whether the file's root has a dictionary under `model`, as opposed to
/// weights whose names begin with `model.`.
pub(super) fn model_entry<T>(
    mut tensors: HashMap<String, T>,
    has_model_entry: impl Fn() -> bool,
) -> HashMap<String, T> {
    let is_present = |tensors: &HashMap<String, T>, entry: &str| {
        tensors.keys().any(|name| name.starts_with(entry))
    };
    for depth in 0..MOST_ENTRIES {
        let entry = ENTRIES
            .into_iter()
            .find(|entry| is_present(&tensors, entry))
            .or_else(|| {
                let is_entry = depth == 0 && is_present(&tensors, MODEL) && has_model_entry();
                is_entry.then_some(MODEL)
            });
        let Some(entry) = entry else { break };
        tensors = tensors
            .into_iter()
            .filter_map(|(name, tensor)| Some((name.strip_prefix(entry)?.to_owned(), tensor)))
            .collect();
    }
    tensors
}

/// The tensors without the prefix of their wrappers. Names that lack the prefix stay.
pub(super) fn unwrapped<T>(tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
    let wrapper = wrapper_of_known(&tensors)
        .or_else(|| wrapper_of_all(&tensors))
        .filter(|wrapper| !collides(&tensors, wrapper))
        .map(str::to_owned);
    let Some(wrapper) = wrapper else {
        return tensors;
    };
    tensors
        .into_iter()
        .map(|(name, tensor)| match name.strip_prefix(wrapper.as_str()) {
            Some(bare) => (bare.to_owned(), tensor),
            None => (name, tensor),
        })
        .collect()
}

/// The one prefix of every name that the importer would know without it. `None` if a known name has
/// no prefix or another one, or if most names under the prefix stay unknown.
fn wrapper_of_known<T>(tensors: &BTreeMap<String, T>) -> Option<&str> {
    let known: Vec<&str> = tensors
        .keys()
        .filter_map(|name| known_after(name))
        .collect();
    let prefixes: BTreeSet<&str> = known.iter().copied().collect();
    let wrapper = *prefixes.first().filter(|_| prefixes.len() == 1)?;
    let wrapped = tensors.keys().filter(|name| name.starts_with(wrapper));
    (!wrapper.is_empty() && 2 * known.len() > wrapped.count()).then_some(wrapper)
}

/// The prefixes after which `name` is one that the importer knows.
fn known_after(name: &str) -> Option<&str> {
    let mut bare = name;
    for _ in 0..=MOST_WRAPPERS {
        if is_official(bare) || is_torchvision_weight(bare) || is_densenet_weight(bare) {
            return name.strip_suffix(bare);
        }
        bare = without_wrapper(bare).or_else(|| bare.strip_prefix(MODEL))?;
    }
    None
}

/// The longest prefix of [`WRAPPERS`] that all names share. `model.` is no part of it, since without
/// a known name it may be the model's own.
fn wrapper_of_all<T>(tensors: &BTreeMap<String, T>) -> Option<&str> {
    let first = tensors.keys().next()?;
    let mut shared = None;
    let mut bare = first.as_str();
    for _ in 0..MOST_WRAPPERS {
        let Some(rest) = without_wrapper(bare) else {
            break;
        };
        let prefix = first.strip_suffix(rest)?;
        if !tensors.keys().all(|name| name.starts_with(prefix)) {
            break;
        }
        shared = Some(prefix);
        bare = rest;
    }
    shared
}

fn without_wrapper(name: &str) -> Option<&str> {
    WRAPPERS
        .into_iter()
        .find_map(|wrapper| name.strip_prefix(wrapper))
}

/// Whether two tensors would get one name.
fn collides<T>(tensors: &BTreeMap<String, T>, wrapper: &str) -> bool {
    tensors.keys().any(|name| {
        name.strip_prefix(wrapper)
            .is_some_and(|bare| tensors.contains_key(bare))
    })
}
