use super::elements::{Encoding, Value};
use super::header::PixelHeader;

/// Decoded pixels as `height · width` words.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) words: Vec<u16>,
    /// Bits per word: those allocated, or the codec's precision.
    pub(super) precision: u32,
    /// Whether values may have errors, which may exceed the bits stored.
    pub(super) is_lossy: bool,
}

impl Samples {
    /// Reads uncompressed pixels.
    pub(super) fn native(
        pixels: &Value<'_>,
        header: &PixelHeader,
        encoding: Encoding,
    ) -> Result<Self, String> {
        let wanted = header.native_length();
        let Some(bytes) = pixels.bytes.get(..wanted) else {
            return Err(format!(
                "its pixels are {} bytes where {wanted} are needed: the file is cut short or its \
                 size is wrong",
                pixels.bytes.len()
            ));
        };
        // Big-endian words hold two 8-bit pixels each.
        let is_swapped = encoding.is_big && pixels.kind == Some(*b"OW");
        let words = match header.bits_allocated {
            8 if is_swapped => (0..wanted)
                .map(|at| u16::from(pixels.bytes.get(at ^ 1).copied().unwrap_or(bytes[at])))
                .collect(),
            8 => bytes.iter().copied().map(u16::from).collect(),
            _ => bytes
                .chunks_exact(2)
                .map(|pair| match encoding.is_big {
                    true => u16::from_be_bytes([pair[0], pair[1]]),
                    false => u16::from_le_bytes([pair[0], pair[1]]),
                })
                .collect(),
        };
        Ok(Samples {
            words,
            precision: header.bits_allocated,
            is_lossy: false,
        })
    }

    /// The value of a word (PS3.5, 8.1.1): the `BitsStored` bits up to `HighBit`, of which the highest is
    /// the sign. `None` if it is padding.
    pub(super) fn value(&self, word: u16, header: &PixelHeader) -> Option<i32> {
        let word = i32::from(word);
        let stored = header.bits_stored.min(self.precision);
        // A codec with fewer bits stores the value alone.
        let shift = match self.precision > header.high_bit {
            true => header.high_bit + 1 - stored,
            false => 0,
        };
        let greatest = (1 << stored) - 1;
        let bits = match self.is_lossy {
            true => (word >> shift).min(greatest),
            false => (word >> shift) & greatest,
        };
        let value = with_sign(bits, stored, header.is_signed);
        let is_padding = header.padding.is_some_and(|(least, greatest)| {
            // A padding value beyond the bits stored occurs in whole words only.
            let whole = with_sign(word, self.precision, header.is_signed);
            (least..=greatest).contains(&value) || (least..=greatest).contains(&whole)
        });
        (!is_padding).then_some(value)
    }
}

/// A value of `precision` bits, in two's complement if `is_signed`.
fn with_sign(value: i32, precision: u32, is_signed: bool) -> i32 {
    let unused = 32 - precision;
    match is_signed {
        true => (value << unused) >> unused,
        false => value,
    }
}

/// The film in `tests/fixtures/codestreams`, by the formula it was encoded from.
#[cfg(test)]
pub(super) mod film {
    use super::{PixelHeader, Samples};

    const WIDTH: i32 = 56;
    const HEIGHT: i32 = 40;

    pub(in crate::dicom) fn header(is_signed: bool) -> PixelHeader {
        PixelHeader {
            width: WIDTH as usize,
            height: HEIGHT as usize,
            bits_allocated: 16,
            bits_stored: 16,
            high_bit: 15,
            is_signed,
            is_inverted: false,
            padding: None,
        }
    }

    pub(in crate::dicom) fn of(samples: &Samples, is_signed: bool) -> Vec<i32> {
        let header = header(is_signed);
        let values = samples
            .words
            .iter()
            .map(|&word| samples.value(word, &header));
        values.map(|value| value.expect("no padding")).collect()
    }

    pub(in crate::dicom) fn values() -> Vec<i32> {
        let lung = |x: i32, y: i32| 3 * x * x + (y - 20) * (y - 20) < 300;
        (0..HEIGHT)
            .flat_map(|y| (0..WIDTH).map(move |x| (x, y)))
            .map(|(x, y)| match y {
                0..6 => 4095,
                _ => {
                    let air = i32::from(lung(x - 18, y) || lung(x - 40, y));
                    3000 + 8 * x + 5 * y - 1800 * air + (7919 * x + 104_729 * y) % 37
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(precision: u32, is_lossy: bool) -> Samples {
        Samples {
            words: Vec::new(),
            precision,
            is_lossy,
        }
    }

    fn twelve_bits(is_signed: bool) -> PixelHeader {
        PixelHeader {
            bits_stored: 12,
            high_bit: 11,
            ..film::header(is_signed)
        }
    }

    #[test]
    fn bits_outside_those_stored_are_none_of_a_value() {
        let native = samples(16, false);
        assert_eq!(native.value(0xA123, &twelve_bits(false)), Some(0x123));
        let aligned_high = PixelHeader {
            high_bit: 15,
            ..twelve_bits(false)
        };
        assert_eq!(native.value(0x123A, &aligned_high), Some(0x123));
        // A codec of twelve bits has nothing around them.
        assert_eq!(samples(12, false).value(0x123, &aligned_high), Some(0x123));
    }

    #[test]
    fn the_sign_is_the_highest_bit_stored() {
        for precision in [12, 16] {
            let samples = samples(precision, false);
            assert_eq!(samples.value(0x800, &twelve_bits(true)), Some(-2048));
            assert_eq!(samples.value(0x7FF, &twelve_bits(true)), Some(2047));
        }
        // Extended or not, it is the same.
        assert_eq!(
            samples(16, false).value(0xF800, &twelve_bits(true)),
            Some(-2048)
        );
        // A codec may have fewer bits than are stored.
        assert_eq!(
            samples(12, false).value(0x800, &film::header(true)),
            Some(-2048)
        );
    }

    #[test]
    fn what_a_lossy_codec_overshoots_is_not_wrapped() {
        let lossy = samples(16, true);
        assert_eq!(lossy.value(4099, &twelve_bits(false)), Some(4095));
    }

    #[test]
    fn padding_has_no_value() {
        let padded = |padding, is_signed| PixelHeader {
            padding: Some(padding),
            ..twelve_bits(is_signed)
        };
        let native = samples(16, false);
        let out_of_range = padded((65_535, 65_535), false);
        assert_eq!(native.value(0xFFFF, &out_of_range), None);
        assert_eq!(native.value(0x0FFF, &out_of_range), Some(4095));
        let range = padded((-2048, -2000), true);
        assert_eq!(native.value(0x0801, &range), None);
        assert_eq!(native.value(0xF830, &range), None);
        assert_eq!(native.value(0xF831, &range), Some(-1999));
    }
}
