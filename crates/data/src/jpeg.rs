mod reader;
mod scans;

use std::path::Path;

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use self::reader::{InMemory, Progress};
pub(crate) use self::scans::ScanData;
use crate::error::DataError;
use crate::pixels::{DecodedImage, check_dimensions, image_error};

/// Bytes behind the scan that the decoder may have read ahead: it holds up to 64 bits, and every byte of
/// ones has a stuffed one behind it.
const READ_AHEAD: usize = 2 * 8;

/// Decodes a whole JPEG file: one channel if it is gray, else RGB.
///
/// Calls zune-jpeg without `image`, whose reader copies four bytes at a time through a function call and
/// takes an eighth longer than [`InMemory`].
///
/// # Errors
///
/// If the file is cut short, with or without an end marker behind the cut, is damaged, cannot be decoded
/// or has more than 16,384 pixels a side.
pub(crate) fn decode_jpeg(bytes: &[u8], path: &Path) -> Result<DecodedImage, DataError> {
    let data = match ScanData::of(bytes) {
        Ok(data) => data,
        Err(missing) => {
            let progress = Progress::default();
            return Err(match open(bytes, bytes.len(), &progress, path) {
                Err(Failure::Refused(error)) => error,
                _ => image_error(path, format!("the JPEG file is cut short: {missing}")),
            });
        }
    };
    let progress = Progress::default();
    match decode(&data, &progress, path) {
        Err(Failure::Refused(error)) => Err(error),
        Err(Failure::Broken(error)) if progress.reached.get() < data.end_of_scans => {
            Err(image_error(path, error.to_string()))
        }
        Ok(image) if is_whole(&data, &progress) => Ok(image),
        Ok(_) if progress.reached.get() < data.end_of_scans => {
            let reason = "the JPEG file is damaged: its scan cannot be decoded to its end";
            Err(image_error(path, reason.to_owned()))
        }
        _ => {
            let reason = "the JPEG file is cut short: its scan ends before its image does";
            Err(image_error(path, reason.to_owned()))
        }
    }
}

/// Whether the scans coded the whole image.
///
/// When all rows are decoded, the decoder searches for the next marker, to the end of the ones behind the
/// scan. If it needed more data it read further into the ones before, stopped within them, or read past
/// their end.
fn is_whole(data: &ScanData, progress: &Progress) -> bool {
    let searched_from = progress.searched_from.get();
    progress.reached.get() == data.bytes.len()
        && searched_from.is_some_and(|from| from <= data.end_of_scans + READ_AHEAD)
}

enum Failure {
    /// Data that the decoder rejects.
    Broken(DecodeErrors),
    /// An image beyond the size limits.
    Refused(DataError),
}

/// A decoder that has read its headers, and the size of its image.
struct Opened<'a> {
    decoder: JpegDecoder<InMemory<'a>>,
    width: usize,
    height: usize,
    channels: usize,
}

fn open<'a>(
    bytes: &'a [u8],
    end_of_scans: usize,
    progress: &'a Progress,
    path: &Path,
) -> Result<Opened<'a>, Failure> {
    let options = DecoderOptions::default()
        .set_strict_mode(false)
        // `check_dimensions` says more.
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let reader = InMemory::new(bytes, end_of_scans, progress);
    let mut decoder = JpegDecoder::new_with_options(reader, options);
    decoder.decode_headers().map_err(Failure::Broken)?;
    let (channels, colours) = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => (1, ColorSpace::Luma),
        _ => (3, ColorSpace::RGB),
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let (width, height) = decoder.dimensions().unwrap_or_default();
    check_dimensions(path, width, height).map_err(Failure::Refused)?;
    Ok(Opened {
        decoder,
        width,
        height,
        channels,
    })
}

fn decode(data: &ScanData, progress: &Progress, path: &Path) -> Result<DecodedImage, Failure> {
    let Opened {
        mut decoder,
        width,
        height,
        channels,
    } = open(&data.bytes, data.end_of_scans, progress, path)?;
    let mut pixels = vec![0; width * height * channels];
    decoder.decode_into(&mut pixels).map_err(Failure::Broken)?;
    Ok(DecodedImage {
        width,
        height,
        channels,
        pixels,
    })
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

    const END: [u8; 2] = [0xff, 0xd9];

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u16 + 2).to_be_bytes();
        [&[0xff, marker], &length[..], content].concat()
    }

    /// Start of a gray image of 64 × 64 pixels: DC codes of four bits, AC codes of three for the end of a
    /// block, 1 and -1, and sixteen zeros.
    fn start(frame: u8, restart_interval: u8) -> Vec<u8> {
        let counts = |codes: [u8; 2], bits: usize| {
            let mut counts = vec![codes[0]];
            counts.extend((1..=16).map(|length| if length == bits { codes[1] } else { 0 }));
            counts
        };
        [
            vec![0xff, 0xd8],
            segment(0xdb, &[&[0][..], &[1; 64]].concat()),
            segment(frame, &[8, 0, 64, 0, 64, 1, 1, 0x11, 0]),
            segment(0xc4, &[counts([0x00, 12], 4), (0..12).collect()].concat()),
            segment(
                0xc4,
                &[counts([0x10, 4], 3), vec![0x00, 0x01, 0x11, 0xf0]].concat(),
            ),
            segment(0xdd, &[0, restart_interval]),
        ]
        .concat()
    }

    /// What a scan codes of a block.
    #[derive(Clone, Copy, PartialEq)]
    enum Part {
        Dc,
        Ac,
        Both,
        LastBitOfDc,
    }

    /// A scan of 64 blocks; its data end at a full byte with ones, a restart marker after every interval.
    fn scan(part: Part, header: [u8; 3], restart_interval: usize) -> Vec<u8> {
        let mut bytes = segment(0xda, &[&[1, 1, 0][..], &header].concat());
        let (mut bits, mut restarts) = (String::new(), 0);
        for block in 0..64_usize {
            if matches!(part, Part::Dc | Part::Both) {
                let category = 1 + block % 5;
                bits += &format!("{category:04b}{:0category$b}", block % (1 << category));
            }
            if part == Part::LastBitOfDc {
                bits += if block % 3 == 0 { "1" } else { "0" };
            }
            if matches!(part, Part::Ac | Part::Both) {
                bits += &"0011".repeat(block % 7);
                bits += "000";
            }
            let is_end = block == 63;
            if is_end || restart_interval > 0 && (block + 1) % restart_interval == 0 {
                bits += &"1".repeat(bits.len().next_multiple_of(8) - bits.len());
                for at in (0..bits.len()).step_by(8) {
                    let byte = u8::from_str_radix(&bits[at..at + 8], 2).expect("eight bits");
                    bytes.push(byte);
                    bytes.extend((byte == 0xff).then_some(0));
                }
                bits.clear();
                if !is_end {
                    bytes.extend([0xff, 0xd0 + restarts % 8]);
                    restarts += 1;
                }
            }
        }
        bytes
    }

    #[test]
    fn every_cut_before_an_end_marker_is_refused() {
        let path = Path::new("cut.jpg");
        let baseline = |interval: u8| {
            let scan = scan(Part::Both, [0, 63, 0], usize::from(interval));
            [start(0xc0, interval), scan].concat()
        };
        let progressive = |interval: u8| {
            let every = usize::from(interval);
            [
                start(0xc2, interval),
                scan(Part::Dc, [0, 0, 0x01], every),
                scan(Part::LastBitOfDc, [0, 0, 0x10], every),
                scan(Part::Ac, [1, 63, 0x00], every),
            ]
            .concat()
        };
        let colour = encoded(&noise(61, 35));
        // Three components, a scan for each.
        let by_component = {
            let gray = start(0xc0, 0);
            let frame = segment(0xc0, &[8, 0, 64, 0, 64, 1, 1, 0x11, 0]);
            let at = gray.windows(frame.len()).position(|it| it == frame);
            let at = at.expect("it has one");
            let content = [8, 0, 64, 0, 64, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
            let mut bytes = [
                &gray[..at],
                &segment(0xc0, &content),
                &gray[at + frame.len()..],
            ]
            .concat();
            for component in 1..=3 {
                let first = bytes.len();
                bytes.extend(scan(Part::Both, [0, 63, 0], 0));
                bytes[first + 5] = component;
            }
            bytes
        };
        let files = [
            by_component,
            include_bytes!("../tests/fixtures/jpeg/progressive.jpg").to_vec(),
            include_bytes!("../tests/fixtures/jpeg/progressive_restarts.jpg").to_vec(),
            include_bytes!("../tests/fixtures/jpeg/restarts.jpg").to_vec(),
            include_bytes!("../tests/fixtures/jpeg/cmyk.jpg").to_vec(),
            colour,
            baseline(0),
            baseline(8),
            baseline(5),
            progressive(0),
            progressive(8),
        ];
        for (number, scans) in files.iter().enumerate() {
            let scans = scans.strip_suffix(&END).unwrap_or(scans);
            let whole = [scans, &END].concat();
            let decoded = decode_jpeg(&whole, path);
            let decoded = decoded.unwrap_or_else(|error| panic!("{number}: {error}"));
            let theirs = image::load_from_memory(&whole).expect("decodable");
            assert_eq!(decoded.pixels, theirs.as_bytes(), "{number}");
            for behind in [&[0xff, 0xff][..], &[0xff, 0xfe, 0, 4, 1, 2]] {
                let whole = [scans, behind, &END, &[0; 5000]].concat();
                assert_eq!(
                    decode_jpeg(&whole, path).expect("whole"),
                    decoded,
                    "{number}"
                );
            }
            for kept in 20..scans.len() {
                let cut = [&scans[..kept], &END].concat();
                assert!(
                    decode_jpeg(&cut, path).is_err(),
                    "{number}: {kept} of {}",
                    scans.len()
                );
            }
        }
    }

    #[test]
    fn bits_that_are_no_code_are_refused_as_damage() {
        let mut bytes = [
            start(0xc0, 0),
            scan(Part::Both, [0, 63, 0], 0),
            END.to_vec(),
        ]
        .concat();
        let at = bytes.len() - 60;
        bytes.splice(at..at + 8, [0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0]);
        let error = decode_jpeg(&bytes, Path::new("film.jpg")).expect_err("damaged");
        assert!(error.to_string().contains("damaged"), "{error}");
    }
}
