use std::error::Error;
use std::path::Path;

use ithn::data::{DecodedImage, ExclusionReason, MimicStudies, decode_image};

/// What happened, in words; an error if it is not the right outcome.
pub type Outcome = Result<String, Box<dyn Error>>;

pub fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Outcome {
    match found == expected {
        true => Ok(format!("{what}: {found:?}")),
        false => Err(format!("{what}: {found:?}, expected {expected:?}").into()),
    }
}

/// Whether an error was given, in one line that has all of `words` in it.
pub fn refused<T, E: Error>(result: Result<T, E>, words: &[&str]) -> Outcome {
    let Err(error) = result else {
        return Err("accepted".into());
    };
    let error = error.to_string();
    match words.iter().find(|word| !error.contains(**word)) {
        Some(word) => Err(format!("'{word}' is not in: {error}").into()),
        None if error.contains('\n') => Err(format!("more than one line: {error}").into()),
        None => Ok(format!("refused: {error}")),
    }
}

/// First channel of a picture.
fn gray(image: DecodedImage) -> Vec<u8> {
    image.pixels.into_iter().step_by(image.channels).collect()
}

/// Whether two files hold pictures whose levels differ by at most `tolerance`.
pub fn same_picture(film: &Path, expected: &Path, tolerance: u8) -> Outcome {
    let (film, expected) = (decode_image(film)?, decode_image(expected)?);
    if (film.width, film.height) != (expected.width, expected.height) {
        return Err("the pictures differ in size".into());
    }
    let (film, expected) = (gray(film), gray(expected));
    let pairs = film.iter().zip(&expected);
    let greatest = pairs.map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    match greatest <= tolerance {
        true if greatest == 0 => Ok("equal".to_owned()),
        true => Ok(format!("equal to {greatest} levels of 255")),
        false => Err(format!("levels differ by up to {greatest}").into()),
    }
}

/// A film with a padded margin. Its histogram lacks what the padding hides, so that equalisation gives other
/// levels than those of the film without padding. Their order must be the same.
pub fn padded_film(film: &Path, _: &Path) -> Outcome {
    let whole = gray(decode_image(
        &film.with_file_name("expected-without-padding.png"),
    )?);
    let padded = gray(decode_image(film)?);
    if whole.len() != padded.len() {
        return Err("the pictures differ in size".into());
    }
    let black = padded.iter().filter(|level| **level == 0).count();
    // Range of the film's levels where the picture without padding has each level.
    let mut ranges = [(u8::MAX, 0_u8); 256];
    let mut greatest = 0;
    for (&whole, &padded) in whole.iter().zip(&padded).filter(|(_, padded)| **padded > 0) {
        let range = &mut ranges[usize::from(whole)];
        *range = (range.0.min(padded), range.1.max(padded));
        greatest = greatest.max(whole.abs_diff(padded));
    }
    let seen: Vec<(u8, u8)> = ranges
        .into_iter()
        .filter(|(least, most)| least <= most)
        .collect();
    let in_order = seen.windows(3).all(|levels| levels[0].1 <= levels[2].0);
    match in_order && 4 * black > padded.len() && seen.last().is_some_and(|it| it.1 == 255) {
        true => Ok(format!(
            "padding black, the film's levels in their order (up to {greatest} from the film without padding, \
             whose histogram has more pixels)"
        )),
        false => Err(format!("{black} black pixels, levels in order: {in_order}").into()),
    }
}

/// Whether exactly these studies were read, with these reports; the others must be excluded for lack of the
/// section.
pub fn expect_reports(read: &MimicStudies, reports: &[(&str, &str)]) -> Outcome {
    let found: Vec<(&str, &str)> = read
        .studies
        .iter()
        .map(|study| (study.id.as_str(), study.report.as_str()))
        .collect();
    expect("reports", &found[..], reports)?;
    let excluded = read.exclusions.list();
    match excluded
        .iter()
        .find(|it| it.reason != ExclusionReason::NoSection)
    {
        Some(other) => Err(format!("{} left out: {}", other.study, other.reason).into()),
        None => Ok(format!(
            "{} reports, {} without the section",
            found.len(),
            excluded.len()
        )),
    }
}
