use super::header::PixelHeader;
use super::jpeg::{JpegFrame, near_of};
use super::samples::Samples;

/// Decodes JPEG-LS data (ITU-T T.87), lossless or near-lossless, to `height · width` words.
pub(super) fn decode(data: &[u8], header: &PixelHeader) -> Result<Samples, String> {
    let frame = JpegFrame::read(data, header)?;
    let (words, _, _) = jpegls::decode(data, header.width as u32, header.height as u32)
        .map_err(|error| format!("its JPEG-LS data is broken: {error}"))?;
    if words.len() != header.width * header.height {
        return Err("its JPEG-LS data decodes to another size than it claims".to_owned());
    }
    Ok(Samples {
        words,
        precision: u32::from(frame.precision),
        is_lossy: near_of(data) > 0,
    })
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
    fn what_charls_wrote_without_loss_is_read_exactly() {
        let film = film::values();
        let twelve = include_bytes!("../../tests/fixtures/codestreams/12_bits.jls");
        assert!(decoded(twelve, false) == film, "twelve bits");
        let eight = include_bytes!("../../tests/fixtures/codestreams/8_bits.jls");
        let high: Vec<i32> = film.iter().map(|value| value >> 4).collect();
        assert!(decoded(eight, false) == high, "eight bits");
    }

    #[test]
    fn signed_values_are_read_exactly() {
        let signed = include_bytes!("../../tests/fixtures/codestreams/12_bits_signed.jls");
        let wanted: Vec<i32> = film::values().iter().map(|value| value - 2048).collect();
        assert!(decoded(signed, true) == wanted);
    }

    #[test]
    fn near_lossless_values_are_as_near_as_promised() {
        let near = include_bytes!("../../tests/fixtures/codestreams/12_bits_near_3.jls");
        let off = decoded(near, false)
            .iter()
            .zip(film::values())
            .map(|(value, wanted)| (value - wanted).abs())
            .max();
        assert_eq!(off, Some(3));
        assert_eq!(near_of(near), 3);
    }

    #[test]
    fn data_cut_anywhere_is_an_error() {
        let whole = include_bytes!("../../tests/fixtures/codestreams/12_bits.jls");
        for end in 0..whole.len() - 2 {
            assert!(
                decode(&whole[..end], &film::header(false)).is_err(),
                "{end}"
            );
        }
    }
}
