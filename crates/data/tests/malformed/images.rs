use std::fs;

use ithn_data::ExclusionReason;

use crate::mimic::prepare_mimic_tree;
use crate::sound::{STUDY, film, sound_mimic, write};
use crate::{case, check};

/// A PNG that claims to be `side` × `side` pixels and holds none.
fn bomb(side: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(side.to_be_bytes());
    chunk.extend(side.to_be_bytes());
    chunk.extend([8, 0, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    bytes.extend(&chunk);
    bytes.extend(crc32fast::hash(&chunk).to_be_bytes());
    bytes.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    bytes
}

#[test]
fn broken_images() {
    use ExclusionReason::{BadImage, MissingImage};
    let cases = [
        case(
            "no image",
            |r| fs::remove_file(r.join(STUDY).join("d2.jpg")).expect("removed"),
            &["1 of 3 images", "d2.jpg"],
            MissingImage,
        ),
        case(
            "an empty image",
            |r| write(&r.join(STUDY).join("d2.jpg"), ""),
            &["d2.jpg", "empty"],
            BadImage,
        ),
        case(
            "a page for an image",
            |r| write(&r.join(STUDY).join("d2.jpg"), "<html>login</html>"),
            &["d2.jpg", "a web page", "PNG"],
            BadImage,
        ),
        case(
            "a bomb",
            |r| write(&r.join(STUDY).join("d2.jpg"), bomb(1_000_000)),
            &["d2.jpg", "1000000×1000000", "limits of 1 to 16384"],
            BadImage,
        ),
        case(
            "another format under the name of a JPEG",
            |r| write(&r.join(STUDY).join("d2.jpg"), b"II*\0\x08\0\0\0"),
            &["d2.jpg", "a TIFF image", "PNG"],
            BadImage,
        ),
        case(
            "an image without pixels",
            |r| write(&r.join(STUDY).join("d2.jpg"), bomb(64)),
            &["d2.jpg"],
            BadImage,
        ),
        case(
            "a JPEG cut in its header",
            |r| write(&r.join(STUDY).join("d2.jpg"), &film(24, 16)[..100]),
            &["d2.jpg"],
            BadImage,
        ),
        case(
            "a folder for an image",
            |r| {
                fs::remove_file(r.join(STUDY).join("d2.jpg")).expect("removed");
                fs::create_dir(r.join(STUDY).join("d2.jpg")).expect("created");
            },
            &["d2.jpg"],
            MissingImage,
        ),
    ];
    check(&cases, sound_mimic, prepare_mimic_tree, 3);
    for case in &cases[1..5] {
        let folder = tempfile::tempdir().expect("a folder");
        sound_mimic(folder.path());
        (case.damage)(folder.path());
        let path = folder.path().join(STUDY).join("d2.jpg");
        assert!(ithn_data::inspect_image(&path).is_err(), "{}", case.name);
        assert!(ithn_data::decode_image(&path).is_err(), "{}", case.name);
    }
}
