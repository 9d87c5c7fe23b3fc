use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};

use super::JP2_SIGNATURE;
use super::codestream::Codestream;
use super::header::PixelHeader;
use super::samples::Samples;

/// Decodes JPEG 2000 data (ITU-T T.800), reversible or not, to `height · width` words of the codestream's
/// precision.
pub(super) fn decode(data: &[u8], header: &PixelHeader) -> Result<Samples, String> {
    let data = unboxed(data)?;
    let codestream = Codestream::check(data, header.width, header.height)?;
    let failed = |error| format!("its JPEG 2000 data is broken: {error}");
    // Without `strict`, truncated data decodes to invented values.
    let settings = DecodeSettings {
        strict: true,
        ..DecodeSettings::default()
    };
    let mut context = DecoderContext::default();
    let image = Image::new(data, &settings).map_err(failed)?;
    let decoded = image.decode(&mut context).map_err(failed)?;
    let samples = match decoded.components() {
        [only] if only.samples().len() == header.width * header.height => only.samples(),
        _ => return Err("its JPEG 2000 data decodes to another size than it claims".to_owned()),
    };
    // The decoder adds half the range to signed values, too. Quantised values may overshoot.
    let greatest = (1_i64 << codestream.precision) - 1;
    let half = 1_u16 << (codestream.precision - 1);
    let words = samples
        .iter()
        .map(|sample| (sample.round() as i64).clamp(0, greatest) as u16)
        // Back to two's complement: subtracting half the range flips the sign bit.
        .map(|word| match codestream.is_signed {
            true => word ^ half,
            false => word,
        })
        .collect();
    Ok(Samples {
        words,
        precision: u32::from(codestream.precision),
        is_lossy: !codestream.is_reversible,
    })
}

/// Finds the codestream inside a JP2 file (T.800, annex I), which some writers embed.
fn unboxed(data: &[u8]) -> Result<&[u8], String> {
    if !data.starts_with(JP2_SIGNATURE) {
        return Ok(data);
    }
    let mut rest = data;
    while let Some((head, _)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let length = match length {
            0 => rest.len(),
            length => length.clamp(8, rest.len()),
        };
        if head[4..] == *b"jp2c" {
            return Ok(&rest[8..length]);
        }
        rest = &rest[length..];
    }
    Err("its JPEG 2000 data has no codestream".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::samples::film;

    fn decoded(data: &[u8], is_signed: bool) -> Vec<i32> {
        let samples = decode(data, &film::header(is_signed)).expect("decodable");
        film::of(&samples, is_signed)
    }

    #[test]
    fn what_openjpeg_wrote_without_loss_is_read_exactly() {
        let film = film::values();
        let twelve = include_bytes!("../../tests/fixtures/codestreams/12_bits.j2k");
        assert!(decoded(twelve, false) == film, "one tile");
        let tiles = include_bytes!("../../tests/fixtures/codestreams/8_bits_in_tiles.j2k");
        let high: Vec<i32> = film.iter().map(|value| value >> 4).collect();
        assert!(decoded(tiles, false) == high, "tiles");
    }

    #[test]
    fn signed_values_are_read_exactly() {
        let signed = include_bytes!("../../tests/fixtures/codestreams/16_bits_signed.j2k");
        let wanted: Vec<i32> = film::values().iter().map(|value| value - 2048).collect();
        assert!(decoded(signed, true) == wanted);
    }

    /// OpenJPEG itself is off by at most 18 of 4,095.
    #[test]
    fn lossy_values_are_as_near_as_openjpeg_reads_them() {
        let lossy = include_bytes!("../../tests/fixtures/codestreams/12_bits_lossy.j2k");
        let off = decoded(lossy, false)
            .iter()
            .zip(film::values())
            .map(|(value, wanted)| (value - wanted).abs())
            .max();
        assert!(off <= Some(19), "{off:?}");
    }

    #[test]
    fn boxes_around_a_codestream_change_nothing() {
        let codestream = include_bytes!("../../tests/fixtures/codestreams/12_bits.j2k");
        let mut boxed = JP2_SIGNATURE.to_vec();
        boxed.extend(b"\0\0\0\x0cftypjp2 \0\0\0\0jp2c");
        boxed.extend(codestream);
        assert!(decoded(&boxed, false) == film::values());
        assert!(decode(&boxed[..24], &film::header(false)).is_err());
    }

    #[test]
    fn data_cut_anywhere_is_an_error() {
        let whole = include_bytes!("../../tests/fixtures/codestreams/12_bits.j2k");
        for end in 0..whole.len() - 2 {
            assert!(
                decode(&whole[..end], &film::header(false)).is_err(),
                "cut at {end} of {}",
                whole.len()
            );
        }
    }
}
