use std::cell::Cell;
use std::path::Path;

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::{ZByteIoError, ZByteReaderTrait, ZSeekFrom};
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::error::DataError;
use crate::pixels::{DecodedImage, check_dimensions, image_error};

const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// Decodes a whole JPEG file: one channel if it is gray, else RGB.
///
/// Calls zune-jpeg without `image`, whose reader copies four bytes at a time through a function call and
/// takes an eighth longer than [`InMemory`].
///
/// # Errors
///
/// If the file is truncated, cannot be decoded or has more than 16,384 pixels a side.
pub(crate) fn decode_jpeg(bytes: &[u8], path: &Path) -> Result<DecodedImage, DataError> {
    let reached = Cell::new(0);
    let decoded = decode(bytes, &reached, path);
    // The decoder stops after the EOI marker, or at the end of the file if there is none, and fills
    // missing rows with gray. An earlier EOI marker belongs to a thumbnail.
    let rest = bytes.get(reached.get().saturating_sub(END_OF_IMAGE.len())..);
    let is_whole = rest.is_some_and(|rest| rest.windows(2).any(|pair| pair == END_OF_IMAGE));
    match decoded {
        Err(Failure::Refused(error)) => Err(error),
        _ if !is_whole => {
            let reason = "the JPEG file is cut short: its scan has no end-of-image marker";
            Err(image_error(path, reason.to_owned()))
        }
        Ok(image) => Ok(image),
        Err(Failure::Broken(error)) => Err(image_error(path, error.to_string())),
    }
}

enum Failure {
    /// Data that the decoder rejects.
    Broken(DecodeErrors),
    /// An image beyond the size limits.
    Refused(DataError),
}

/// Decodes what the file holds; sets `reached` to the position at which the decoder stopped reading.
fn decode(bytes: &[u8], reached: &Cell<usize>, path: &Path) -> Result<DecodedImage, Failure> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        // `check_dimensions` says more.
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(InMemory::new(bytes, reached), options);
    decoder.decode_headers().map_err(Failure::Broken)?;
    let (channels, colours) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (1, ColorSpace::Luma),
        _ => (3, ColorSpace::RGB),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_dimensions(path, width, height).map_err(Failure::Refused)?;
    let mut pixels = vec![0; width * height * channels];
    decoder.decode_into(&mut pixels).map_err(Failure::Broken)?;
    Ok(DecodedImage {
        width,
        height,
        channels,
        pixels,
    })
}

/// Bytes in memory. The decoder reads four at a time; inlined, each read is one load.
struct InMemory<'a> {
    bytes: &'a [u8],
    /// May be past the end.
    position: usize,
    /// Set to `position` on drop: the decoder owns its reader and gives no access to it.
    reached: &'a Cell<usize>,
}

impl Drop for InMemory<'_> {
    fn drop(&mut self) {
        self.reached.set(self.position);
    }
}

impl<'a> InMemory<'a> {
    fn new(bytes: &'a [u8], reached: &'a Cell<usize>) -> Self {
        InMemory {
            bytes,
            position: 0,
            reached,
        }
    }

    #[inline(always)]
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }
}

impl ZByteReaderTrait for InMemory<'_> {
    #[inline(always)]
    fn read_byte_no_error(&mut self) -> u8 {
        let byte = self.rest().first().copied().unwrap_or(0);
        self.position += 1;
        byte
    }

    #[inline(always)]
    fn read_exact_bytes(&mut self, buffer: &mut [u8]) -> Result<(), ZByteIoError> {
        self.peek_exact_bytes(buffer)?;
        self.position += buffer.len();
        Ok(())
    }

    fn read_bytes(&mut self, buffer: &mut [u8]) -> Result<usize, ZByteIoError> {
        let count = self.peek_bytes(buffer)?;
        self.position += count;
        Ok(count)
    }

    fn peek_bytes(&mut self, buffer: &mut [u8]) -> Result<usize, ZByteIoError> {
        let count = self.rest().len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest()[..count]);
        Ok(count)
    }

    #[inline(always)]
    fn peek_exact_bytes(&mut self, buffer: &mut [u8]) -> Result<(), ZByteIoError> {
        match self.rest().get(..buffer.len()) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(ZByteIoError::NotEnoughBytes(
                self.rest().len(),
                buffer.len(),
            )),
        }
    }

    #[inline(always)]
    fn z_seek(&mut self, from: ZSeekFrom) -> Result<u64, ZByteIoError> {
        let target = match from {
            ZSeekFrom::Start(position) => usize::try_from(position).ok(),
            ZSeekFrom::End(offset) => self.bytes.len().checked_add_signed(offset as isize),
            ZSeekFrom::Current(offset) => self.position.checked_add_signed(offset as isize),
        };
        self.position = target.ok_or(ZByteIoError::SeekError("a seek to before the start"))?;
        Ok(self.position as u64)
    }

    #[inline(always)]
    fn is_eof(&mut self) -> Result<bool, ZByteIoError> {
        Ok(self.position >= self.bytes.len())
    }

    fn z_position(&mut self) -> Result<u64, ZByteIoError> {
        Ok(self.position as u64)
    }

    fn read_remaining(&mut self, sink: &mut Vec<u8>) -> Result<usize, ZByteIoError> {
        let rest = self.rest();
        sink.extend_from_slice(rest);
        self.position += rest.len();
        Ok(rest.len())
    }
}

#[cfg(test)]
mod tests {
    use image::DynamicImage;
    use image::codecs::jpeg::JpegEncoder;

    use super::*;

    /// Noise, so that every value of a byte stands in the file: 0xff is escaped there.
    fn noise(width: u32, height: u32) -> DynamicImage {
        let mut state = 7_u32;
        DynamicImage::ImageRgb8(image::RgbImage::from_fn(width, height, |_, _| {
            image::Rgb([0; 3].map(|_: u8| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            }))
        }))
    }

    fn encoded(image: &DynamicImage) -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
        image.write_with_encoder(encoder).expect("encodable");
        bytes
    }

    #[test]
    fn pixels_are_those_of_the_decoder_that_image_calls() {
        let colour = noise(61, 35);
        for image in [DynamicImage::ImageLuma8(colour.to_luma8()), colour] {
            let bytes = encoded(&image);
            let ours = decode_jpeg(&bytes, Path::new("noise.jpg")).expect("decodable");
            let theirs = image::load_from_memory(&bytes).expect("decodable");
            assert_eq!(ours.channels, usize::from(image.color().channel_count()));
            assert_eq!((ours.width, ours.height), (61, 35));
            assert_eq!(ours.pixels, theirs.as_bytes());
        }
    }

    #[test]
    fn a_reader_tells_where_it_is_and_when_it_has_ended() {
        let reached = Cell::new(0);
        let mut reader = InMemory::new(&[1, 2, 3, 4, 5], &reached);
        let mut four = [0; 4];
        reader.read_exact_bytes(&mut four).expect("four bytes");
        assert_eq!(four, [1, 2, 3, 4]);
        assert!(reader.read_exact_bytes(&mut four).is_err());
        assert_eq!(reader.z_position().expect("known"), 4);
        assert_eq!(reader.peek_bytes(&mut four).expect("one byte"), 1);
        assert!(!reader.is_eof().expect("known"));
        assert_eq!(reader.read_byte_no_error(), 5);
        assert!(reader.is_eof().expect("known"));
        assert_eq!(reader.read_byte_no_error(), 0);
        assert!(reader.z_seek(ZSeekFrom::Current(-7)).is_err());
        assert_eq!(reader.z_seek(ZSeekFrom::End(-2)).expect("inside"), 3);
        let mut rest = Vec::new();
        assert_eq!(reader.read_remaining(&mut rest).expect("known"), 2);
        assert_eq!(rest, [4, 5]);
        drop(reader);
        assert_eq!(reached.get(), 5);
    }

    /// An application segment that holds another JPEG, as cameras write thumbnails.
    fn with_thumbnail(whole: &[u8]) -> Vec<u8> {
        let mut thumbnail = Vec::new();
        let small = DynamicImage::ImageLuma8(image::GrayImage::new(8, 8));
        small
            .write_with_encoder(JpegEncoder::new(&mut thumbnail))
            .expect("encodable");
        let mut bytes = whole[..2].to_vec();
        bytes.extend([0xff, 0xe5]);
        bytes.extend((thumbnail.len() as u16 + 2).to_be_bytes());
        bytes.extend(thumbnail);
        bytes.extend(&whole[2..]);
        bytes
    }

    #[test]
    fn every_cut_is_refused_with_or_without_a_thumbnail() {
        let colour = noise(61, 35);
        for image in [DynamicImage::ImageLuma8(colour.to_luma8()), colour] {
            let bytes = encoded(&image);
            let path = Path::new("noise.jpg");
            for whole in [with_thumbnail(&bytes), bytes] {
                let plain = decode_jpeg(&whole, path).expect("whole");
                for cut in (3..whole.len()).step_by(5).chain([whole.len() - 1]) {
                    let error = decode_jpeg(&whole[..cut], path).expect_err("cut");
                    assert!(error.to_string().contains("cut short"), "{cut}: {error}");
                    let in_zeros = [&whole[..cut], &[0; 4000]].concat();
                    assert!(decode_jpeg(&in_zeros, path).is_err(), "{cut}, then zeros");
                }
                // Padding and what makers append.
                for appended in [&[0; 9000][..], b"SEFT and more", &[0xff; 5000], &whole] {
                    let longer = [&whole[..], appended].concat();
                    assert_eq!(decode_jpeg(&longer, path).expect("whole"), plain);
                }
            }
        }
    }
}
