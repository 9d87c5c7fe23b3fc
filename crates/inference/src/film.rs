use std::path::{Path, PathBuf};

use ithn_data::{DataError, DecodedImage, decode_image, decode_image_bytes};

/// A film as a caller has it: a file, the bytes of one, or pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Film {
    /// A PNG, JPEG or (feature `dicom`) DICOM file.
    File(PathBuf),
    /// The content of such a file.
    Bytes(Vec<u8>),
    /// A decoded image.
    Decoded(DecodedImage),
}

impl Film {
    /// What messages call it.
    pub(crate) fn name(&self) -> &Path {
        match self {
            Film::File(path) => path,
            Film::Bytes(_) => Path::new("film given as bytes"),
            Film::Decoded(_) => Path::new("film given as pixels"),
        }
    }

    /// Its pixels.
    pub(crate) fn decode(&self) -> Result<DecodedImage, DataError> {
        match self {
            Film::File(path) => decode_image(path),
            Film::Bytes(bytes) => decode_image_bytes(bytes, self.name()),
            Film::Decoded(image) => Ok(image.clone()),
        }
    }

    /// An error about this film.
    pub(crate) fn error(&self, reason: impl ToString) -> DataError {
        DataError::Image {
            path: self.name().to_owned(),
            reason: reason.to_string(),
        }
    }
}

impl From<&str> for Film {
    fn from(path: &str) -> Self {
        Film::File(PathBuf::from(path))
    }
}

impl From<String> for Film {
    fn from(path: String) -> Self {
        Film::File(PathBuf::from(path))
    }
}

impl From<&Path> for Film {
    fn from(path: &Path) -> Self {
        Film::File(path.to_owned())
    }
}

impl From<PathBuf> for Film {
    fn from(path: PathBuf) -> Self {
        Film::File(path)
    }
}

impl From<&PathBuf> for Film {
    fn from(path: &PathBuf) -> Self {
        Film::File(path.clone())
    }
}

impl From<Vec<u8>> for Film {
    fn from(bytes: Vec<u8>) -> Self {
        Film::Bytes(bytes)
    }
}

impl From<&[u8]> for Film {
    fn from(bytes: &[u8]) -> Self {
        Film::Bytes(bytes.to_vec())
    }
}

impl From<DecodedImage> for Film {
    fn from(image: DecodedImage) -> Self {
        Film::Decoded(image)
    }
}
