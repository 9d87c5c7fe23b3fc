//! What cannot be read is named, without a panic.

use ithn_data::{decode_image, inspect_image};

use crate::film::{
    EXPLICIT, Film, J2K, JLS, JPEG_2000, JPEG_LS, Pixels, RLE, compressed, eight_bits, jpeg,
    sixteen_bits, twelve_bits, written,
};

#[test]
fn broken_files_are_named_and_do_not_panic() {
    let sound = sixteen_bits("MONOCHROME2", 0, &[1; 16]).bytes();
    let native = |pixels| Film {
        pixels,
        ..sixteen_bits("MONOCHROME2", 0, &[])
    };
    let jpeg = jpeg(32, 16);
    let mut runs = vec![0; 64];
    (runs[0], runs[4]) = (1, 64);
    runs.extend([129, 9]);
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
            "more bits stored than allocated",
            Film {
                stored: 16,
                ..eight_bits(sixteen_bits("MONOCHROME2", 0, &[1; 8]))
            }
            .bytes(),
            "BitsStored is 16",
        ),
        (
            "a high bit below the bits stored",
            Film {
                high_bit: 7,
                ..sixteen_bits("MONOCHROME2", 0, &[1; 16])
            }
            .bytes(),
            "HighBit 7",
        ),
        (
            "no photometric interpretation",
            sixteen_bits("", 0, &[1; 16]).bytes(),
            "MONOCHROME1",
        ),
        (
            "a report and no film",
            Film {
                rows: None,
                columns: None,
                pixels: Pixels::Absent,
                ..sixteen_bits("MONOCHROME2", 0, &[])
            }
            .bytes(),
            "no picture",
        ),
        (
            "a web page",
            b"<!DOCTYPE html>\n<title>Sign in</title>".to_vec(),
            "a web page",
        ),
        ("an empty file", Vec::new(), "empty"),
        ("a text", b"accession,finding\n".to_vec(), "a text"),
        (
            "a WebP image",
            b"RIFF\x10\0\0\0WEBPVP8 ".to_vec(),
            "a WebP image",
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
                ..twelve_bits(JPEG_2000, &[J2K])
            }
            .bytes(),
            "56×40",
        ),
        (
            "JPEG-LS of another size",
            Film {
                rows: Some(41),
                ..twelve_bits(JPEG_LS, &[JLS])
            }
            .bytes(),
            "56×40",
        ),
        (
            "JPEG 2000 without fragments",
            Film {
                pixels: Pixels::Native(J2K),
                ..twelve_bits(JPEG_2000, &[J2K])
            }
            .bytes(),
            "not in fragments",
        ),
        (
            "fragments without compression",
            twelve_bits(EXPLICIT, &[&[1; 64]]).bytes(),
            "in fragments",
        ),
        (
            "an unknown codec",
            twelve_bits(JPEG_2000, &[&[1; 64]]).bytes(),
            "no JPEG 2000 codestream",
        ),
        (
            "a transfer syntax without a decoder",
            twelve_bits("1.2.840.10008.1.2.4.201", &[J2K]).bytes(),
            "gdcmconv --raw",
        ),
        (
            "JPEG of another size",
            compressed(8, 8, &[&jpeg]).bytes(),
            "32×16",
        ),
        (
            "JPEG cut short",
            compressed(32, 16, &[&jpeg[..40]]).bytes(),
            "",
        ),
        (
            "no JPEG at all",
            compressed(32, 16, &[b"not a JPEG"]).bytes(),
            "",
        ),
        (
            "run lengths of rubbish",
            Film {
                syntax: RLE,
                ..compressed(32, 16, &[&[0xFF; 80]])
            }
            .bytes(),
            "not in 1 segments",
        ),
        (
            "run lengths past the frame",
            Film {
                syntax: RLE,
                ..compressed(2, 1, &[&runs])
            }
            .bytes(),
            "past the frame",
        ),
    ];
    for (name, bytes, says) in cases {
        let (_folder, path) = written(&bytes);
        let error = decode_image(&path).expect_err(name).to_string();
        assert!(
            error.contains("film.dcm") && error.contains(says),
            "{name}: {error}"
        );
        assert!(
            !error.contains('\n') && !error.contains("the decoder failed"),
            "{name}: {error}"
        );
    }
}

#[test]
fn every_cut_of_a_file_is_an_error_and_no_panic() {
    let jpeg = jpeg(32, 16);
    for whole in [
        sixteen_bits("MONOCHROME2", 0, &[7; 16]).bytes(),
        compressed(32, 16, &[&jpeg]).bytes(),
        twelve_bits(JPEG_2000, &[J2K]).bytes(),
        twelve_bits(JPEG_LS, &[JLS]).bytes(),
    ] {
        let (_folder, path) = written(&whole);
        for cut in (1..whole.len() - 20).step_by(13) {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert!(decode_image(&path).is_err(), "cut at {cut}");
        }
    }
}

/// Deeper than any film; a reader that recursed would overflow its stack.
#[test]
fn sequences_without_end_are_refused() {
    let film = sixteen_bits("MONOCHROME2", 0, &[7; 16]);
    let set = film.data_set();
    let (first, rest) = set.split_at(34);
    let open = b"\x08\0\x40\x11SQ\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF";
    let nested = open.repeat(100_000);
    let (_folder, path) = written(&[first, &nested, rest].concat());
    for error in [
        decode_image(&path).expect_err("too deep"),
        inspect_image(&path).expect_err("too deep"),
    ] {
        assert!(error.to_string().contains("deep"), "{error}");
    }
}
