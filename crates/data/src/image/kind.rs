use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::dicom_start::elements_start;
use crate::error::DataError;

/// Bytes read to recognise a file.
const START: usize = 1 << 12;

/// Format of a file, recognised by its first bytes and not by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// Portable Network Graphics.
    Png,
    /// JPEG.
    Jpeg,
    /// DICOM, with or without preamble; decoded with the cargo feature `dicom`.
    Dicom,
    /// Any other format, described in words such as `a WebP image`.
    Other(&'static str),
}

/// Signatures at the first byte.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"II+\0", "a BigTIFF image"),
    (b"MM\0+", "a BigTIFF image"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 codestream"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL codestream"),
    (b"8BPS", "a Photoshop document"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (
        b"\0\x05\x16\x07",
        "a macOS side file (AppleDouble) that holds no pixels",
    ),
    (
        b"\0\x05\x16\0",
        "a macOS side file (AppleSingle) that holds no pixels",
    ),
    (b"\0\0\0\x01Bud1", "a macOS folder description"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x5c\x01\0\0", "a NIfTI volume"),
    (b"NRRD000", "an NRRD volume"),
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the file itself; run `git lfs pull`",
    ),
    (
        b"/annex/objects/",
        "a git-annex pointer, not the file itself; run `git annex get`",
    ),
];

impl FileKind {
    /// Reads the first bytes of a file and recognises its format.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or read.
    pub fn of(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io("cannot open image", path))?;
        let mut start = Vec::with_capacity(START);
        file.take(START as u64)
            .read_to_end(&mut start)
            .map_err(DataError::io("cannot read image", path))?;
        Ok(Self::of_start(&start))
    }

    /// Recognises the format of a file's content.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of_start(&bytes[..bytes.len().min(START)])
    }

    /// Recognises a format from `start`, the first 4 KiB of a file or all of a shorter one.
    fn of_start(start: &[u8]) -> Self {
        if start.starts_with(b"\x89PNG\r\n\x1a\n") {
            return FileKind::Png;
        }
        if start.starts_with(&[0xff, 0xd8, 0xff]) {
            return FileKind::Jpeg;
        }
        if elements_start(start).is_some() {
            return FileKind::Dicom;
        }
        let known = SIGNATURES
            .iter()
            .find(|(signature, _)| start.starts_with(signature));
        FileKind::Other(match known {
            Some((_, name)) => name,
            None => in_a_container(start).unwrap_or_else(|| text_or_nothing(start)),
        })
    }

    /// Whether this build decodes the format.
    pub fn is_read(self) -> bool {
        match self {
            FileKind::Png | FileKind::Jpeg => true,
            FileKind::Dicom => cfg!(feature = "dicom"),
            FileKind::Other(_) => false,
        }
    }

    /// Why the format is not decoded and what to do; `None` if it is decoded.
    pub fn refusal(self) -> Option<String> {
        let read = match cfg!(feature = "dicom") {
            true => "PNG, JPEG and DICOM are read",
            false => "PNG and JPEG are read, and DICOM with the cargo feature `dicom`",
        };
        match self {
            _ if self.is_read() => None,
            FileKind::Other(name) => Some(format!("it is {name}; {read}")),
            _ => Some(
                "it is DICOM, which is read if built with the cargo feature `dicom`".to_owned(),
            ),
        }
    }
}

/// Formats whose signature is not at the first byte.
fn in_a_container(start: &[u8]) -> Option<&'static str> {
    let at = |from: usize, bytes: &[u8]| start.get(from..from + bytes.len()) == Some(bytes);
    if at(0, b"RIFF") {
        return Some(match at(8, b"WEBP") {
            true => "a WebP image",
            false => "a RIFF file",
        });
    }
    if at(0, b"BM") && at(6, &[0; 4]) {
        return Some("a BMP image");
    }
    if at(257, b"ustar") {
        return Some("a tar archive");
    }
    if at(4, b"ftyp") {
        return Some(match start.get(8..12) {
            Some(b"avif" | b"avis") => "an AVIF image",
            Some(b"heic" | b"heix" | b"hevc" | b"hevx" | b"heim" | b"heis" | b"mif1" | b"msf1") => {
                "a HEIC image"
            }
            _ => "a video or another file of the MP4 family",
        });
    }
    let is_netpbm = matches!(start, [b'P', b'1'..=b'7', space, ..] if space.is_ascii_whitespace());
    is_netpbm.then_some("a Netpbm image")
}

/// Empty files, texts and unknown formats.
fn text_or_nothing(start: &[u8]) -> &'static str {
    if start.is_empty() {
        return "an empty file";
    }
    if start.iter().all(|&byte| byte == 0) {
        return "a file of zeros, as an interrupted download leaves";
    }
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let text = text.trim_ascii_start().to_ascii_lowercase();
    let has = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
    if text.starts_with(b"<") {
        let is_page = has(b"<html") || has(b"<!doctype html") || has(b"<head") || has(b"<body");
        return if has(b"<svg") {
            "an SVG image"
        } else if is_page {
            "a web page, such as a login form that was saved in place of the film"
        } else {
            "an XML file"
        };
    }
    let is_control = |byte: u8| byte < b' ' && !byte.is_ascii_whitespace();
    match text.iter().any(|&byte| is_control(byte)) {
        false if matches!(text.first(), Some(b'{' | b'[')) => "a JSON text",
        false => "a text",
        true => "of an unknown format",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_content() {
        let webp = b"RIFF\x10\0\0\0WEBPVP8 ";
        for (start, words) in [
            (&webp[..], "WebP"),
            (b"GIF89a\x01\0", "GIF"),
            (b"II*\0\x08\0\0\0", "TIFF"),
            (b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0", "BMP"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
            (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
            (b"\n <!DOCTYPE html><title>Sign in", "web page"),
            (b"<?xml version='1.0'?><html>", "web page"),
            (b"<?xml version='1.0'?><svg/>", "SVG"),
            (b"P5 2 2 255\n", "Netpbm"),
            (b"{\"error\":404}", "JSON"),
            (b"id,path\n1,a.png\n", "a text"),
            (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "macOS"),
            (
                b"version https://git-lfs.github.com/spec/v1",
                "git lfs pull",
            ),
            (&[0; 600], "zeros"),
            (b"", "empty"),
            (&[1, 2, 3, 4, 250], "unknown"),
        ] {
            let kind = FileKind::of_start(start);
            let refusal = kind.refusal().expect("it is not read");
            assert!(refusal.contains(words), "{words}: {refusal}");
            assert!(refusal.contains("PNG"), "{refusal}");
        }
        assert_eq!(FileKind::of_start(b"\xff\xd8\xff\xe0"), FileKind::Jpeg);
        assert_eq!(FileKind::of_start(b"\x89PNG\r\n\x1a\n"), FileKind::Png);
        assert_eq!(FileKind::Jpeg.refusal(), None);
    }
}
