use super::PixelHeader;
use super::jpeg::JpegFrame;
use super::samples::with_sign;

/// Decodes JPEG-LS data (ITU-T T.87), lossless or near-lossless, to `height · width` values.
pub(super) fn decode(data: &[u8], header: &PixelHeader) -> Result<Vec<i32>, String> {
    let frame = JpegFrame::read(data, header)?;
    let (values, _, _) = jpegls::decode(data, header.width as u32, header.height as u32)
        .map_err(|error| format!("its JPEG-LS data is broken: {error}"))?;
    Ok(values
        .into_iter()
        .map(|value| with_sign(i32::from(value), frame.precision, header.is_signed))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::samples::film;

    fn decoded(data: &[u8], is_signed: bool) -> Vec<i32> {
        decode(data, &film::header(is_signed)).expect("decodable")
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
