//! However a data set is written, and whatever its writer left out, its film is the same.

use std::io::Write;

use crate::film::{Encoding, Film, Pixels, decoded, eight_bits, sixteen_bits, twelve_bits, words};
use crate::film::{J2K, JPEG_2000};

const VALUES: [u16; 8] = [1000, 1100, 1200, 1300, 1000, 1100, 1200, 1300];
const LEVELS: [u8; 8] = [0, 85, 170, 255, 0, 85, 170, 255];
const IMPLICIT: &str = "1.2.840.10008.1.2";
const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

#[test]
fn the_encoding_is_the_one_that_is_written() {
    let bytes = words(&VALUES);
    for syntax in [crate::film::EXPLICIT, IMPLICIT, BIG_ENDIAN, ""] {
        for encoding in [Encoding::Explicit, Encoding::Implicit, Encoding::BigEndian] {
            let film = Film {
                syntax,
                encoding,
                ..sixteen_bits("MONOCHROME2", 0, &bytes)
            };
            assert_eq!(film.decoded().pixels, LEVELS, "{syntax}");
        }
    }
}

/// Two pixels of eight bits lie swapped in a big-endian word.
#[test]
fn big_endian_words_of_eight_bits_are_swapped_back() {
    let film = eight_bits(Film {
        syntax: BIG_ENDIAN,
        encoding: Encoding::BigEndian,
        ..sixteen_bits("MONOCHROME2", 0, &[10, 20, 30, 40, 10, 20, 30, 40])
    });
    assert_eq!(film.decoded().pixels, LEVELS);
}

#[test]
fn deflated_data_sets_are_inflated() {
    let bytes = words(&VALUES);
    let film = Film {
        syntax: DEFLATED,
        ..sixteen_bits("MONOCHROME2", 0, &bytes)
    };
    let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), Default::default());
    packed.write_all(&film.data_set()).expect("in memory");
    let packed = packed.finish().expect("in memory");
    let start = [&[0; 128], &b"DICM"[..], &film.meta()].concat();
    assert_eq!(decoded(&[&start[..], &packed].concat()).pixels, LEVELS);
}

#[test]
fn preamble_and_meta_group_may_be_absent() {
    let bytes = words(&VALUES);
    for encoding in [Encoding::Explicit, Encoding::Implicit, Encoding::BigEndian] {
        let film = Film {
            encoding,
            ..sixteen_bits("MONOCHROME2", 0, &bytes)
        };
        let (meta, set) = (film.meta(), film.data_set());
        for parts in [
            // Neither; no meta group; no preamble; `DICM` alone; a preamble without `DICM`.
            &[&set[..]][..],
            &[&[0; 128], b"DICM", &set],
            &[&meta, &set],
            &[b"DICM", &meta, &set],
            &[&[0; 128], &set],
        ] {
            assert_eq!(decoded(&parts.concat()).pixels, LEVELS);
        }
    }
    // What is compressed says so itself.
    let film = twelve_bits(JPEG_2000, &[J2K]);
    assert_eq!(decoded(&film.data_set()), film.decoded());
}

#[test]
fn the_meta_group_may_be_blank_or_wrong() {
    let bytes = words(&VALUES);
    let film = sixteen_bits("MONOCHROME2", 0, &bytes);
    let whole = film.bytes();
    // The length of the group: absent, blank, too small and too large.
    let rest = &whole[132 + 12..];
    for length in [
        &b""[..],
        b"\x02\0\0\0UL\0\0",
        b"\x02\0\0\0UL\x04\0\x02\0\0\0",
        b"\x02\0\0\0UL\x04\0\xFF\xFF\xFF\x7F",
    ] {
        assert_eq!(
            decoded(&[&whole[..132], length, rest].concat()).pixels,
            LEVELS
        );
    }
    // The version: blank or absent. It takes 14 bytes.
    let (version, rest) = rest.split_at(14);
    assert!(version.ends_with(&[0, 1]));
    for version in [&b""[..], b"\x02\0\x01\0OB\0\0\0\0\0\0"] {
        let file = [&whole[..144], version, rest].concat();
        assert_eq!(decoded(&file).pixels, LEVELS);
    }
}

#[test]
fn blank_numbers_are_as_pydicom_takes_them() {
    let bytes = words(&VALUES);
    let film = sixteen_bits("MONOCHROME2", 0, &bytes);
    for frames in ["", "0", "1", " 1 "] {
        let film = Film {
            frames,
            ..film.clone()
        };
        assert_eq!(film.decoded().pixels, LEVELS, "{frames:?}");
    }
    let unsigned = Film {
        signed: &[],
        ..film
    };
    assert_eq!(unsigned.decoded().pixels, LEVELS);
}

/// Sequences of defined and undefined length, nested, in an unknown representation, and with an icon
/// whose elements are called as the film's own.
#[test]
fn sequences_are_passed_over() {
    let bytes = words(&VALUES);
    let film = sixteen_bits("MONOCHROME2", 0, &bytes);
    let item = |content: &[u8]| {
        let start = b"\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF";
        [start, content, b"\xFE\xFF\x0D\xE0\0\0\0\0"].concat()
    };
    let sequence = |kind: &[u8; 2], content: &[u8]| {
        let start = [b"\x08\0\x40\x11", &kind[..], b"\0\0\xFF\xFF\xFF\xFF"].concat();
        [&start[..], content, b"\xFE\xFF\xDD\xE0\0\0\0\0"].concat()
    };
    let icon = Film {
        columns: Some(9),
        pixels: Pixels::Encapsulated(&[&[1, 2, 3, 4]]),
        ..film.clone()
    };
    let icon = icon.data_set();
    let implicit = Film {
        encoding: Encoding::Implicit,
        ..film.clone()
    };
    let implicit = implicit.data_set();
    for inside in [
        sequence(b"SQ", &[]),
        sequence(b"SQ", &item(&[])),
        sequence(b"SQ", &item(&icon)),
        sequence(
            b"SQ",
            &[item(&sequence(b"SQ", &item(&icon))), item(&icon)].concat(),
        ),
        sequence(b"UN", &item(&implicit)),
        // An item that its sequence ends.
        sequence(
            b"SQ",
            &[&b"\xFE\xFF\x00\xE0\xFF\xFF\xFF\xFF"[..], &icon].concat(),
        ),
    ] {
        let set = film.data_set();
        // Behind the first element, which has 34 bytes.
        let (first, rest) = set.split_at(34);
        let file = [&[0; 128], &b"DICM"[..], &film.meta(), first, &inside, rest].concat();
        assert_eq!(decoded(&file).pixels, LEVELS);
    }
}

#[test]
fn what_stands_behind_the_pixels_is_no_matter() {
    let bytes = words(&[&VALUES[..], &[7, 7]].concat());
    let film = sixteen_bits("MONOCHROME2", 0, &bytes);
    assert_eq!(film.decoded().pixels, LEVELS);
    for appended in [&[0; 5][..], &[0; 4000], b"\xFC\xFF\xFC\xFFOB", b"signature"] {
        assert_eq!(decoded(&[&film.bytes(), appended].concat()).pixels, LEVELS);
    }
}
