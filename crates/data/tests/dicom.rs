//! DICOM files, made here: MIMIC-CXR-JPG's conversion, and what broken files come to.
#![cfg(feature = "dicom")]

use std::path::{Path, PathBuf};

use ithn_data::phantom::{PhantomConfig, write_phantom_dataset};
use ithn_data::prepare::prepare_mimic;
use ithn_data::{
    DecodedImage, ImageCheck, MimicOptions, decode_image, inspect_image, read_annotation,
    read_mimic,
};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const JPEG_BASELINE: &str = "1.2.840.10008.1.2.4.50";
const RLE: &str = "1.2.840.10008.1.2.5";
const JPEG_LS: &str = "1.2.840.10008.1.2.4.80";
const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";

/// A secondary capture of one frame; what is `None` is left out.
struct Film<'a> {
    syntax: &'a str,
    photometric: &'a str,
    columns: Option<u16>,
    rows: Option<u16>,
    bits: u16,
    signed: u16,
    frames: &'a str,
    pixels: Pixels<'a>,
}

enum Pixels<'a> {
    Native(&'a [u8]),
    Encapsulated(&'a [u8]),
    Claimed(u32),
    Absent,
}

impl Film<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut meta = element(0x0002, 0x0001, b"OB", &[0, 1]);
        meta.extend(element(
            0x0002,
            0x0002,
            b"UI",
            b"1.2.840.10008.5.1.4.1.1.7\0",
        ));
        meta.extend(element(0x0002, 0x0003, b"UI", b"1.2.3.4\0"));
        meta.extend(element(0x0002, 0x0010, b"UI", &padded(self.syntax, 0)));
        meta.extend(element(0x0002, 0x0012, b"UI", b"1.2.3.5\0"));
        let mut bytes = vec![0; 128];
        bytes.extend(b"DICM");
        bytes.extend(element(
            0x0002,
            0x0000,
            b"UL",
            &(meta.len() as u32).to_le_bytes(),
        ));
        bytes.extend(meta);
        let number = |value: u16| value.to_le_bytes();
        bytes.extend(element(0x0028, 0x0002, b"US", &number(1)));
        bytes.extend(element(
            0x0028,
            0x0004,
            b"CS",
            &padded(self.photometric, b' '),
        ));
        bytes.extend(element(0x0028, 0x0008, b"IS", &padded(self.frames, b' ')));
        for (tag, value) in [(0x0010, self.rows), (0x0011, self.columns)] {
            bytes.extend(
                value
                    .map(|it| element(0x0028, tag, b"US", &number(it)))
                    .unwrap_or_default(),
            );
        }
        bytes.extend(element(0x0028, 0x0100, b"US", &number(self.bits)));
        bytes.extend(element(0x0028, 0x0101, b"US", &number(self.bits)));
        bytes.extend(element(
            0x0028,
            0x0102,
            b"US",
            &number(self.bits.saturating_sub(1)),
        ));
        bytes.extend(element(0x0028, 0x0103, b"US", &number(self.signed)));
        match self.pixels {
            Pixels::Absent => {}
            Pixels::Native(pixels) => bytes.extend(element(0x7FE0, 0x0010, b"OW", pixels)),
            Pixels::Claimed(length) => {
                bytes.extend(b"\xE0\x7F\x10\x00OW\0\0");
                bytes.extend(length.to_le_bytes());
                bytes.extend(b"few");
            }
            Pixels::Encapsulated(fragment) => {
                bytes.extend(b"\xE0\x7F\x10\x00OB\0\0\xFF\xFF\xFF\xFF");
                bytes.extend(b"\xFE\xFF\x00\xE0\0\0\0\0");
                bytes.extend(b"\xFE\xFF\x00\xE0");
                bytes.extend(((fragment.len() + fragment.len() % 2) as u32).to_le_bytes());
                bytes.extend(fragment);
                bytes.extend(vec![0; fragment.len() % 2]);
                bytes.extend(b"\xFE\xFF\xDD\xE0\0\0\0\0");
            }
        }
        bytes
    }

    fn written(&self) -> (tempfile::TempDir, PathBuf) {
        written(&self.bytes())
    }

    fn decoded(&self) -> DecodedImage {
        let (_folder, path) = self.written();
        let dimensions = (
            usize::from(self.columns.expect("it has")),
            usize::from(self.rows.expect("it has")),
        );
        assert_eq!(inspect_image(&path).expect("readable"), dimensions);
        decode_image(&path).expect("decodable")
    }
}

fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("film.dcm");
    std::fs::write(&path, bytes).expect("written");
    (folder, path)
}

fn element(group: u16, tag: u16, kind: &[u8; 2], value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(group.to_le_bytes());
    bytes.extend(tag.to_le_bytes());
    bytes.extend(kind);
    if matches!(kind, b"OB" | b"OW") {
        bytes.extend([0, 0]);
        bytes.extend((value.len() as u32).to_le_bytes());
    } else {
        bytes.extend((value.len() as u16).to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

fn padded(text: &str, with: u8) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(2), with);
    bytes
}

fn sixteen_bits<'a>(photometric: &'a str, signed: u16, pixels: &'a [u8]) -> Film<'a> {
    Film {
        syntax: EXPLICIT,
        photometric,
        columns: Some(4),
        rows: Some(2),
        bits: 16,
        signed,
        frames: "1",
        pixels: Pixels::Native(pixels),
    }
}

/// Values 1000 to 1300 are 0, 85, 170 and 255 once scaled, each twice: all but the lowest two are to
/// spread over 255, so a third of the way each.
#[test]
fn sixteen_bits_are_scaled_inverted_and_equalised() {
    let values = [1000u16, 1100, 1200, 1300, 1000, 1100, 1200, 1300];
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let plain = sixteen_bits("MONOCHROME2", 0, &bytes).decoded();
    assert_eq!((plain.width, plain.height, plain.channels), (4, 2, 1));
    assert_eq!(plain.pixels, [0, 85, 170, 255, 0, 85, 170, 255]);
    let inverted = sixteen_bits("MONOCHROME1", 0, &bytes).decoded();
    assert_eq!(inverted.pixels, [255, 170, 85, 0, 255, 170, 85, 0]);
}

#[test]
fn signed_values_keep_their_order() {
    let values = [-150i16, -50, 50, 150, -150, -50, 50, 150];
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let film = sixteen_bits("MONOCHROME2", 1, &bytes).decoded();
    assert_eq!(film.pixels, [0, 85, 170, 255, 0, 85, 170, 255]);
}

#[test]
fn run_lengths_decode_to_what_they_stand_for() {
    // One segment behind a header of 64 bytes: four literal bytes, then the same again.
    let mut fragment = vec![0; 64];
    fragment[0] = 1;
    fragment[4] = 64;
    fragment.extend([3, 10, 20, 30, 40, 3, 10, 20, 30, 40]);
    let film = Film {
        syntax: RLE,
        bits: 8,
        pixels: Pixels::Encapsulated(&fragment),
        ..sixteen_bits("MONOCHROME2", 0, &[])
    };
    assert_eq!(film.decoded().pixels, [0, 85, 170, 255, 0, 85, 170, 255]);
}

fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let film = image::GrayImage::from_fn(width, height, |x, _| image::Luma([(x * 8) as u8]));
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95)
        .encode_image(&film)
        .expect("encodable");
    bytes.into_inner()
}

fn compressed<'a>(columns: u16, rows: u16, fragment: &'a [u8]) -> Film<'a> {
    Film {
        syntax: JPEG_BASELINE,
        columns: Some(columns),
        rows: Some(rows),
        bits: 8,
        pixels: Pixels::Encapsulated(fragment),
        ..sixteen_bits("MONOCHROME2", 0, &[])
    }
}

#[test]
fn jpeg_inside_is_decoded() {
    let film = compressed(32, 16, &jpeg(32, 16)).decoded();
    assert_eq!((film.width, film.height, film.pixels.len()), (32, 16, 512));
    let row = &film.pixels[..32];
    assert!(row.windows(2).all(|pair| pair[0] <= pair[1]), "{row:?}");
    assert_eq!((row[0], row[31]), (0, 255));
}

fn twelve_bits<'a>(syntax: &'a str, fragment: &'a [u8]) -> Film<'a> {
    Film {
        syntax,
        columns: Some(56),
        rows: Some(40),
        pixels: Pixels::Encapsulated(fragment),
        ..sixteen_bits("MONOCHROME1", 0, &[])
    }
}

const J2K: &[u8] = include_bytes!("fixtures/codestreams/12_bits.j2k");
const JLS: &[u8] = include_bytes!("fixtures/codestreams/12_bits.jls");

#[test]
fn jpeg_2000_and_jpeg_ls_give_the_same_film() {
    let film = twelve_bits(JPEG_2000, J2K).decoded();
    assert_eq!(film, twelve_bits(JPEG_LS, JLS).decoded());
    // The shutter holds the greatest values: in MONOCHROME1 they are black.
    assert!(film.pixels[..56 * 6].iter().all(|&value| value == 0));
    assert!(film.pixels.contains(&255));
}

/// MIMIC-CXR's films in place of MIMIC-CXR-JPG's images, read as they lie and prepared.
#[test]
fn a_folder_of_films_reads_as_one_of_jpegs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, out) = (folder.path().join("data"), folder.path().join("out"));
    let phantoms = PhantomConfig {
        train: 3,
        validation: 1,
        test: 1,
        near_twin_share: 0.0,
        image_size: 24,
        seed: 5,
    };
    write_phantom_dataset(&data, &phantoms).expect("written");
    let options = MimicOptions {
        image_check: ImageCheck::Decode,
        ..MimicOptions::default()
    };
    let jpegs = read_mimic(&data, &options).expect("sound").studies;
    for image in jpegs.iter().flat_map(|study| &study.images) {
        let decoded = decode_image(image).expect("decodable");
        let film = Film {
            columns: Some(24),
            rows: Some(24),
            bits: 8,
            ..sixteen_bits("MONOCHROME2", 0, &decoded.pixels)
        };
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

#[test]
fn broken_files_are_named_and_do_not_panic() {
    let sound = sixteen_bits("MONOCHROME2", 0, &[1; 16]).bytes();
    let native = |pixels| Film {
        pixels,
        ..sixteen_bits("MONOCHROME2", 0, &[])
    };
    let jpeg = jpeg(32, 16);
    let mut headless = vec![0; 128];
    headless.extend(b"DICM");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing behind the magic", headless, ""),
        ("cut in its meta group", sound[..150].to_vec(), ""),
        ("cut in its pixels", sound[..sound.len() - 6].to_vec(), ""),
        ("no pixels", native(Pixels::Absent).bytes(), "no PixelData"),
        ("few pixels", native(Pixels::Native(&[1; 8])).bytes(), ""),
        (
            "pixels claimed by the gigabyte",
            native(Pixels::Claimed(0xFFFF_FFFE)).bytes(),
            "claims 4294967294 bytes",
        ),
        (
            "no rows",
            Film {
                rows: None,
                ..sixteen_bits("MONOCHROME2", 0, &[1; 16])
            }
            .bytes(),
            "no Rows",
        ),
        (
            "zero columns",
            Film {
                columns: Some(0),
                ..sixteen_bits("MONOCHROME2", 0, &[1; 16])
            }
            .bytes(),
            "0×2",
        ),
        (
            "a side beyond bounds",
            Film {
                columns: Some(65_535),
                rows: Some(65_535),
                ..sixteen_bits("MONOCHROME2", 0, &[1; 16])
            }
            .bytes(),
            "outside the limits",
        ),
        (
            "many frames",
            Film {
                frames: "500000000",
                ..sixteen_bits("MONOCHROME2", 0, &[1; 16])
            }
            .bytes(),
            "frames",
        ),
        (
            "twelve bits allocated",
            Film {
                bits: 12,
                ..sixteen_bits("MONOCHROME2", 0, &[1; 16])
            }
            .bytes(),
            "12 bits",
        ),
        (
            "colour",
            sixteen_bits("RGB", 0, &[1; 16]).bytes(),
            "photometric",
        ),
        (
            "an unknown transfer syntax",
            Film {
                syntax: "1.2.3.4.5.6",
                ..sixteen_bits("MONOCHROME2", 0, &[1; 16])
            }
            .bytes(),
            "",
        ),
        (
            "JPEG 2000 of another size",
            Film {
                rows: Some(41),
                ..twelve_bits(JPEG_2000, J2K)
            }
            .bytes(),
            "56×40",
        ),
        (
            "JPEG-LS of another size",
            Film {
                rows: Some(41),
                ..twelve_bits(JPEG_LS, JLS)
            }
            .bytes(),
            "56×40",
        ),
        (
            "JPEG 2000 called JPEG-LS",
            twelve_bits(JPEG_LS, J2K).bytes(),
            "no frame header",
        ),
        (
            "JPEG-LS called JPEG 2000",
            twelve_bits(JPEG_2000, JLS).bytes(),
            "no JPEG 2000 codestream",
        ),
        (
            "JPEG 2000 without fragments",
            Film {
                pixels: Pixels::Native(J2K),
                ..twelve_bits(JPEG_2000, J2K)
            }
            .bytes(),
            "",
        ),
        (
            "a transfer syntax without a decoder",
            twelve_bits("1.2.840.10008.1.2.4.201", J2K).bytes(),
            "gdcmconv --raw",
        ),
        (
            "JPEG of another size",
            compressed(8, 8, &jpeg).bytes(),
            "32×16",
        ),
        (
            "JPEG cut short",
            compressed(32, 16, &jpeg[..40]).bytes(),
            "",
        ),
        (
            "no JPEG at all",
            compressed(32, 16, b"not a JPEG").bytes(),
            "",
        ),
        (
            "run lengths of rubbish",
            Film {
                syntax: RLE,
                ..compressed(32, 16, &[0xFF; 80])
            }
            .bytes(),
            "not in 1 segments",
        ),
    ];
    for (name, bytes, says) in cases {
        let (_folder, path) = written(&bytes);
        let error = decode_image(&path).expect_err(name).to_string();
        assert!(
            error.contains("film.dcm") && error.contains(says),
            "{name}: {error}"
        );
    }
}

#[test]
fn every_cut_of_a_file_is_an_error_and_no_panic() {
    let jpeg = jpeg(32, 16);
    for whole in [
        sixteen_bits("MONOCHROME2", 0, &[7; 16]).bytes(),
        compressed(32, 16, &jpeg).bytes(),
        twelve_bits(JPEG_2000, J2K).bytes(),
        twelve_bits(JPEG_LS, JLS).bytes(),
    ] {
        let (_folder, path) = written(&whole);
        for cut in (1..whole.len() - 20).step_by(13) {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert!(decode_image(&path).is_err(), "cut at {cut}");
        }
    }
}
