//! `memory.safetensors`: the cross-modal memory alone.

use std::collections::HashSet;
use std::path::Path;

use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Int, Tensor, TensorData};
use ithn_memory::{CrossModalMemory, CrossModalMemoryConfig, MemoryLookup};

use super::check::{Check, Tolerance};
use super::fixture::{Fixture, FixtureError};
use super::gradients::GradientChecks;
use super::named::collect_gradients;

const FAMILY: &str = "memory";
const VALUES: Tolerance = Tolerance::Absolute(1e-5);
const GRADIENTS: Tolerance = Tolerance::Absolute(1e-4);
/// Scores nearer than this are one to single precision.
const SCORE_TIE: f64 = 1e-5;

pub fn run(dir: &Path) -> Result<Vec<Check>, FixtureError> {
    let fixture = Fixture::read(dir, "memory.safetensors")?;
    let mut checks = values(&fixture)?;
    checks.extend(gradients(&fixture)?);
    Ok(checks)
}

fn values(fixture: &Fixture) -> Result<Vec<Check>, FixtureError> {
    let device = Device::default();
    let top_k = fixture.metadata("topk")?;
    let [rows, _] = fixture.dims("memory_matrix")?;
    let memory = load(fixture, top_k, &device)?;
    let query = fixture.tensor::<3>("query", &device)?;
    let lookup = memory.lookup(query.clone(), &memory.key_values());

    // Keeping every row shows all scores; they come sorted and go back to their places.
    let whole = load(fixture, rows, &device)?;
    let scores = scores_in_place(whole.lookup(query, &whole.key_values()));

    let tensor = |name: &str, actual: Tensor<4>| {
        let golden = fixture.data(name)?;
        Ok::<_, FixtureError>(Check::tensor(FAMILY, name, actual, golden, VALUES))
    };
    let output = fixture.data("output")?;
    Ok(vec![
        Check::tensor(FAMILY, "output", lookup.response, output, VALUES),
        Check::data(FAMILY, "scores", &scores, fixture.data("scores")?, VALUES),
        kept_rows(fixture, lookup.rows)?,
        tensor("topk_scores", lookup.scores)?,
        tensor("attention", lookup.weights)?,
    ])
}

/// The kept rows, one by one. Where two rows' golden scores differ by less than scores may be off,
/// either is right. On a device with tf32 products, the kept rows must be as good: their golden scores are compared.
fn kept_rows(fixture: &Fixture, rows: Tensor<4, Int>) -> Result<Check, FixtureError> {
    let rows: Vec<u32> = rows.into_data().iter().collect();
    let golden: Vec<u32> = fixture.data("topk_indices")?.iter().collect();
    let scores = fixture.values("scores")?;
    let [_, _, _, all] = fixture.dims("scores")?;
    let [_, _, _, kept] = fixture.dims("topk_indices")?;
    let out_of_range = rows.iter().any(|row| *row as usize >= all);
    if out_of_range || rows.len() != golden.len() {
        return Ok(Check::failed(
            FAMILY,
            "topk_indices: rows that are not there",
        ));
    }
    let score = |place: usize, row: u32| scores[place / kept * all + row as usize];
    let settled: Vec<u32> = rows
        .iter()
        .zip(&golden)
        .enumerate()
        .map(|(place, (&row, &golden))| {
            let tied = (score(place, row) - score(place, golden)).abs() < SCORE_TIE;
            if tied { golden } else { row }
        })
        .collect();
    let check = Check::equal(FAMILY, "topk_indices", &settled, &golden);
    let scores_of = |rows: &[u32]| -> Vec<f64> {
        let rows = rows.iter().enumerate();
        rows.map(|(place, &row)| score(place, row)).collect()
    };
    // A row that is kept twice is as good as its score, but wrong.
    let distinct = rows
        .chunks(kept)
        .all(|rows| rows.iter().collect::<HashSet<_>>().len() == rows.len());
    Ok(match distinct {
        true => check.with_tf32_numbers(&scores_of(&rows), &scores_of(&golden)),
        false => check,
    })
}

fn gradients(fixture: &Fixture) -> Result<Vec<Check>, FixtureError> {
    let device = Device::default().autodiff();
    let memory = load(fixture, fixture.metadata("topk")?, &device)?;
    let query = fixture.tensor::<3>("query", &device)?.require_grad();
    let weights = fixture.tensor::<3>("R", &device)?;
    let response = memory.respond(query.clone(), &memory.key_values());
    let gradients = (response * weights).sum().backward();

    let mut actual = collect_gradients(&memory, &gradients, official_name);
    if let Some(gradient) = query.grad(&gradients) {
        actual.insert("query".to_owned(), gradient.into_data());
    }
    GradientChecks {
        family: FAMILY,
        fixture,
        prefix: "grad.",
        tolerance: GRADIENTS,
        zero_tolerance: 1e-4,
    }
    .run(&actual)
}

fn load(
    fixture: &Fixture,
    top_k: usize,
    device: &Device,
) -> Result<CrossModalMemory, FixtureError> {
    let [rows, d_model] = fixture.dims("memory_matrix")?;
    let mut memory = CrossModalMemoryConfig::new(rows, d_model, fixture.metadata("heads")?, top_k)
        .with_dropout(0.0)
        .init(device);
    memory.matrix = Param::from_tensor(fixture.tensor("memory_matrix", device)?);
    memory.query = linear(fixture, 0, device)?;
    memory.key = linear(fixture, 1, device)?;
    memory.value = linear(fixture, 2, device)?;
    memory.output = linear(fixture, 3, device)?;
    Ok(memory)
}

fn linear(fixture: &Fixture, index: usize, device: &Device) -> Result<Linear, FixtureError> {
    let weight = fixture.tensor::<2>(&format!("weight.linears.{index}.weight"), device)?;
    let bias = fixture.tensor::<1>(&format!("weight.linears.{index}.bias"), device)?;
    Ok(Linear {
        weight: Param::from_tensor(weight.swap_dims(0, 1)),
        bias: Some(Param::from_tensor(bias)),
    })
}

fn official_name(path: &str) -> Option<String> {
    let (part, weight) = match path.split_once('.') {
        None => return (path == "matrix").then(|| "memory_matrix".to_owned()),
        Some(parts) => parts,
    };
    let index = ["query", "key", "value", "output"]
        .iter()
        .position(|name| *name == part)?;
    Some(format!("weight.linears.{index}.{weight}"))
}

/// Scores of all rows, in the rows' own order.
fn scores_in_place(lookup: MemoryLookup) -> TensorData {
    let shape = lookup.scores.dims();
    let places = Tensor::<4, Int>::argsort(lookup.rows, 3);
    let scores = lookup.scores.gather(3, places);
    assert_eq!(scores.dims(), shape);
    scores.into_data()
}
