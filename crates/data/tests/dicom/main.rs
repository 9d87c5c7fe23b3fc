//! DICOM files, made here: MIMIC-CXR-JPG's conversion, the ways in which files are written, and what is
//! said of broken ones.
#![cfg(feature = "dicom")]

mod broken;
mod encodings;
mod film;

use std::path::Path;

use film::{
    Film, J2K, JLS, JPEG_2000, JPEG_LS, Pixels, RLE, compressed, eight_bits, jpeg, sixteen_bits,
    twelve_bits, words,
};
use ithn_data::phantom::{PhantomConfig, write_phantom_dataset};
use ithn_data::prepare::prepare_mimic;
use ithn_data::{ImageCheck, MimicOptions, decode_image, read_annotation, read_mimic};

/// Four levels, each twice, from the least to the greatest.
const LEVELS: [u8; 8] = [0, 85, 170, 255, 0, 85, 170, 255];

/// Values 1000 to 1300 are 0, 85, 170 and 255 once scaled, each twice: all but the lowest two are to
/// spread over 255, so a third of the way each.
#[test]
fn sixteen_bits_are_scaled_inverted_and_equalised() {
    let bytes = words(&[1000, 1100, 1200, 1300, 1000, 1100, 1200, 1300]);
    let plain = sixteen_bits("MONOCHROME2", 0, &bytes).decoded();
    assert_eq!((plain.width, plain.height, plain.channels), (4, 2, 1));
    assert_eq!(plain.pixels, LEVELS);
    let inverted = sixteen_bits("MONOCHROME1", 0, &bytes).decoded();
    assert_eq!(inverted.pixels, LEVELS.map(|level| 255 - level));
}

#[test]
fn signed_values_keep_their_order() {
    let values = [-150i16, -50, 50, 150, -150, -50, 50, 150].map(|value| value as u16);
    let bytes = words(&values);
    assert_eq!(
        sixteen_bits("MONOCHROME2", 1, &bytes).decoded().pixels,
        LEVELS
    );
    // The same in twelve bits, the sign in bit 11, and garbage above or below.
    for (high_bit, values) in [
        (11, values.map(|value| value & 0xFFF)),
        (11, values.map(|value| value & 0xFFF | 0x5000)),
        (15, values.map(|value| value << 4 | 0x9)),
    ] {
        let bytes = words(&values);
        let film = Film {
            stored: 12,
            high_bit,
            ..sixteen_bits("MONOCHROME2", 1, &bytes)
        };
        assert_eq!(film.decoded().pixels, LEVELS);
    }
}

#[test]
fn bits_that_are_not_stored_change_nothing() {
    let garbage = [
        0x0064, 0x10C8, 0xF12C, 0x8190, 0x7064, 0x00C8, 0xA12C, 0x6190,
    ];
    let bytes = words(&garbage);
    let film = Film {
        stored: 12,
        high_bit: 11,
        ..sixteen_bits("MONOCHROME2", 0, &bytes)
    };
    assert_eq!(film.decoded().pixels, LEVELS);
    // An overlay in the highest of eight bits.
    let bytes = [10, 20 | 0x80, 30, 40, 10 | 0x80, 20, 30 | 0x80, 40];
    let film = Film {
        stored: 7,
        high_bit: 6,
        ..eight_bits(sixteen_bits("MONOCHROME2", 0, &bytes))
    };
    assert_eq!(film.decoded().pixels, LEVELS);
}

/// The fixture is coded in 16 signed bits, of which its values need 12.
#[test]
fn codecs_of_more_bits_than_are_stored_are_masked_too() {
    let signed: &[u8] = include_bytes!("../fixtures/codestreams/16_bits_signed.j2k");
    let fragments = [signed];
    let film = |stored, high_bit| Film {
        stored,
        high_bit,
        signed: &[1, 0],
        ..twelve_bits(JPEG_2000, &fragments)
    };
    let whole = film(16, 15).decoded();
    assert_eq!(film(12, 11).decoded(), whole);
    assert_ne!(film(8, 7).decoded(), whole);
    let fragments = [JLS];
    let film = twelve_bits(JPEG_LS, &fragments);
    let masked = Film {
        stored: 8,
        high_bit: 7,
        ..film.clone()
    };
    assert_ne!(masked.decoded(), film.decoded());
}

#[test]
fn padding_is_black_and_left_out_of_the_scale() {
    let bytes = words(&[65_535, 1000, 1100, 1200, 1300, 65_535, 65_535, 65_535]);
    let padding: &[u8] = &[0xFF, 0xFF];
    let film = |photometric, more| Film {
        more,
        ..sixteen_bits(photometric, 0, &bytes)
    };
    let more: &[(u16, &[u8; 2], &[u8])] = &[(0x0120, b"US", padding)];
    // Of four values the lowest is none of those that are spread.
    let dark = film("MONOCHROME2", more).decoded();
    assert_eq!(dark.pixels, [0, 0, 85, 170, 255, 0, 0, 0]);
    let inverted = film("MONOCHROME1", more).decoded();
    assert_eq!(inverted.pixels, [0, 255, 170, 85, 0, 0, 0, 0]);
    // A blank element says nothing.
    let blank = film("MONOCHROME2", &[(0x0120, b"US", &[])]).decoded();
    assert_eq!(blank.pixels[0], 255);
    // Whatever lies between two limits, in either order.
    let range: &[(u16, &[u8; 2], &[u8])] =
        &[(0x0120, b"US", padding), (0x0121, b"US", &[0x14, 0x05])];
    let narrower = film("MONOCHROME2", range).decoded();
    assert_eq!(narrower.pixels, [0, 0, 128, 255, 0, 0, 0, 0]);
}

#[test]
fn signed_padding_is_known_in_as_many_bits_as_are_stored() {
    let bytes = words(&[0xF830, 0x0830, 100, 200, 300, 400, 0xF830, 0x0830]);
    let film = Film {
        stored: 12,
        high_bit: 11,
        more: &[(0x0120, b"SS", &[0x30, 0xF8])],
        ..sixteen_bits("MONOCHROME2", 1, &bytes)
    };
    assert_eq!(film.decoded().pixels, [0, 0, 0, 85, 170, 255, 0, 0]);
}

/// One segment: four literal bytes, then the same again.
fn run_lengths() -> Vec<u8> {
    let mut frame = vec![0; 64];
    frame[0] = 1;
    frame[4] = 64;
    frame.extend([3, 10, 20, 30, 40, 3, 10, 20, 30, 40]);
    frame
}

#[test]
fn run_lengths_decode_to_what_they_stand_for() {
    let frame = run_lengths();
    for fragments in [
        &[&frame[..]][..],
        &[&frame[..2], &frame[2..66], &frame[66..]],
    ] {
        let film = eight_bits(Film {
            syntax: RLE,
            pixels: Pixels::Encapsulated(fragments),
            ..sixteen_bits("MONOCHROME2", 0, &[])
        });
        assert_eq!(film.decoded().pixels, LEVELS);
    }
}

#[test]
fn jpeg_inside_is_decoded_in_however_many_fragments() {
    let jpeg = jpeg(32, 16);
    let film = compressed(32, 16, &[&jpeg]).decoded();
    assert_eq!((film.width, film.height, film.pixels.len()), (32, 16, 512));
    let row = &film.pixels[..32];
    assert!(row.windows(2).all(|pair| pair[0] <= pair[1]), "{row:?}");
    assert_eq!((row[0], row[31]), (0, 255));
    for first in [2, 4, 6] {
        let fragments = [&jpeg[..first], &jpeg[first..100], &jpeg[100..]];
        assert_eq!(compressed(32, 16, &fragments).decoded(), film, "{first}");
    }
}

#[test]
fn jpeg_2000_and_jpeg_ls_give_the_same_film() {
    let film = twelve_bits(JPEG_2000, &[J2K]).decoded();
    assert_eq!(film, twelve_bits(JPEG_LS, &[JLS]).decoded());
    // Each called by the other's name.
    assert_eq!(film, twelve_bits(JPEG_2000, &[JLS]).decoded());
    assert_eq!(film, twelve_bits(JPEG_LS, &[J2K]).decoded());
    // The shutter holds the greatest values: in MONOCHROME1 they are black.
    assert!(film.pixels[..56 * 6].iter().all(|&value| value == 0));
    assert!(film.pixels.contains(&255));
}

/// MIMIC-CXR's films in place of MIMIC-CXR-JPG's images, read as they lie and prepared.
#[test]
fn a_folder_of_films_reads_as_one_of_jpegs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    let phantoms = PhantomConfig::new(3, 1, 1)
        .with_near_twin_share(0.0)
        .with_image_size(24)
        .with_seed(5);
    write_phantom_dataset(&data, &phantoms).expect("written");
    let mut options = MimicOptions::default();
    options.image_check = ImageCheck::Decode;
    let jpegs = read_mimic(&data, &options).expect("sound").studies;
    for image in jpegs.iter().flat_map(|study| &study.images) {
        let decoded = decode_image(image).expect("decodable");
        let film = eight_bits(Film {
            columns: Some(24),
            rows: Some(24),
            ..sixteen_bits("MONOCHROME2", 0, &decoded.pixels)
        });
        std::fs::write(image.with_extension("dcm"), film.bytes()).expect("written");
        std::fs::remove_file(image).expect("removed");
    }
    let mut films = read_mimic(&data, &options).expect("sound").studies;
    prepare_mimic(&data, &out, &options, |_, _| {}).expect("sound");
    let prepared = read_annotation(&out.join("annotation.json"), &data.join("files"));
    for study in prepared.expect("sound") {
        let film = films.iter().find(|film| film.id == study.id);
        assert_eq!(film.map(|film| &film.images), Some(&study.images));
    }
    for image in films.iter_mut().flat_map(|study| &mut study.images) {
        assert!(image.set_extension("jpg"));
    }
    assert_eq!(films, jpegs);
}

/// However pydicom wrote a film, it is the same one; see `fixtures/dicom`.
#[test]
fn films_of_pydicom_are_the_same_in_every_encoding() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dicom");
    let decoded = |name: &str| decode_image(&fixtures.join(name)).expect(name);
    let plain = decoded("explicit.dcm");
    assert_eq!((plain.width, plain.height, plain.channels), (28, 20, 1));
    for name in ["implicit.dcm", "rle.dcm", "jpeg_2000.dcm", "jpeg_ls.dcm"] {
        assert!(decoded(name) == plain, "{name}");
    }
    let inverted = decoded("jpeg_inverted.dcm");
    assert!(inverted.pixels[0] < 10 && plain.pixels[0] == 255);
}
