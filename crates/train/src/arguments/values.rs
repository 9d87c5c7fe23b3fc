//! Values of options that are written differently on a command line than in `config.json`.

use ithn_checkpoint::config::{LearningRateSchedule, Precision};
use ithn_generator::config::{Fraction, ParseNumberError};

pub(super) fn precision(name: &str) -> Result<Precision, String> {
    match name {
        "single" => Ok(Precision::Single),
        "bfloat16" => Ok(Precision::Bfloat16),
        _ => Err("use single or bfloat16".to_owned()),
    }
}

pub(super) fn schedule(name: &str) -> Result<LearningRateSchedule, String> {
    match name.split_once(':') {
        None if name == "constant" => Ok(LearningRateSchedule::Constant),
        None if name == "cosine" => Ok(LearningRateSchedule::Cosine {
            floor: Fraction::literal(0.0),
        }),
        Some(("cosine", floor)) => floor
            .parse()
            .map(|floor| LearningRateSchedule::Cosine { floor })
            .map_err(|error: ParseNumberError| format!("'{floor}': {error}")),
        _ => Err("use constant, cosine or cosine:FLOOR".to_owned()),
    }
}

pub(super) fn at_least_one(number: &str) -> Result<usize, String> {
    match number.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}
