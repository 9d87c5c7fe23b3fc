//! Time to add the gradients of a full-size model over all ranks: one line of JSON at rank 0.
//!
//! ```text
//! cargo build --profile bench -p ithn-benches --features mpi --bench exchange --message-format=json   # names the program
//! mpirun -n 2 PROGRAM [WEIGHTS, 60000000]
//! ```

use std::process::ExitCode;
use std::time::Instant;

use ithn::train::Ranks;

/// Sums that are timed, after one that is not.
const TIMES: usize = 5;

fn main() -> ExitCode {
    let ranks = match Ranks::start() {
        Ok(ranks) => ranks,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    let asked = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let weights = match asked.map_or(Ok(60_000_000), |weights| weights.parse::<usize>()) {
        Ok(weights) => weights,
        Err(error) => {
            eprintln!("error: a number of weights: {error}");
            return ExitCode::from(2);
        }
    };
    let mut gradients = vec![ranks.rank() as f32; weights];
    let mut seconds: Vec<f64> = (0..=TIMES)
        .map(|_| {
            let began = Instant::now();
            gradients = ranks.sum(std::mem::take(&mut gradients));
            began.elapsed().as_secs_f64()
        })
        .skip(1)
        .collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[TIMES / 2];
    let size = ranks.size() as f64;
    let bytes = 8.0 * weights as f64 * (size - 1.0) / size;
    if ranks.is_first() {
        println!(
            "{}",
            serde_json::json!({
                "ranks": ranks.size(), "weights": weights, "seconds": median,
                "gigabytes_per_second": bytes / median / 1e9,
            })
        );
    }
    ExitCode::SUCCESS
}
