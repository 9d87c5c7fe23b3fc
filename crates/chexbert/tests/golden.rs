//! CheXbert's own code against this crate, on invented reports and random weights: `tests/fixtures`,
//! whose `chexbert.pth` lacks the values of the optimizer state so that the repository stays small.

use std::path::Path;

use burn::tensor::Device;
use ithn_chexbert::parity::parity;

#[test]
fn every_number_is_within_its_tolerance() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let checks = parity(&folder, &Device::default()).unwrap();
    assert_eq!(checks.len(), 16);
    for check in &checks {
        println!(
            "{:30} {:9.2e} of {:7.1e}",
            check.name, check.difference, check.tolerance
        );
    }
    let failed: Vec<_> = checks.iter().filter(|check| !check.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
