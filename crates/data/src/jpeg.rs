use std::path::Path;

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::{ZByteIoError, ZByteReaderTrait, ZSeekFrom};
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::error::DataError;
use crate::image::{DecodedImage, MAX_SIDE, check_dimensions, image_error};

/// Last bytes of a file among which its end of image is looked for: some writers pad.
const TAIL: usize = 1 << 12;

/// Whether these are the first bytes of a JPEG file.
pub(crate) fn is_jpeg(start: &[u8]) -> bool {
    start.starts_with(&[0xff, 0xd8, 0xff])
}

/// Decodes a whole JPEG file: one channel if it is gray, else RGB.
///
/// The decoder that `image` calls, called by itself: `image` hands it a reader that copies bytes four at
/// a time by a call of a function, which takes an eighth of the time ([`InMemory`] does not).
///
/// # Errors
///
/// If the file is cut short, cannot be decoded or has more than 16,384 pixels a side.
pub(crate) fn decode_jpeg(bytes: &[u8], path: &Path) -> Result<DecodedImage, DataError> {
    let broken = |error: DecodeErrors| image_error(path, error.to_string());
    check_end(bytes, path)?;
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize);
    let mut decoder = JpegDecoder::new_with_options(InMemory::new(bytes), options);
    decoder.decode_headers().map_err(broken)?;
    let (channels, colours) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (1, ColorSpace::Luma),
        _ => (3, ColorSpace::RGB),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_dimensions(path, width, height)?;
    let mut pixels = vec![0; width * height * channels];
    decoder.decode_into(&mut pixels).map_err(broken)?;
    Ok(DecodedImage {
        width,
        height,
        channels,
        pixels,
    })
}

/// Refuses a file without an end of image, as a download that broke off leaves: the decoder would
/// fill in gray what is missing.
fn check_end(bytes: &[u8], path: &Path) -> Result<(), DataError> {
    let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
    if tail.windows(2).any(|pair| pair == [0xff, 0xd9]) {
        return Ok(());
    }
    let reason = "the JPEG file is cut short: it has no end of image".to_owned();
    Err(image_error(path, reason))
}

/// Bytes in memory, of which the decoder asks four at a time: inlined, each is one load.
struct InMemory<'a> {
    bytes: &'a [u8],
    /// May lie past the end.
    position: usize,
}

impl<'a> InMemory<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        InMemory { bytes, position: 0 }
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
        let mut reader = InMemory::new(&[1, 2, 3, 4, 5]);
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
    }
}
