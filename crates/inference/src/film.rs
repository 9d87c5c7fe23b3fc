use std::path::{Path, PathBuf};

use ithn_data::{DataError, DecodedImage, ImageTransform, decode_image, decode_image_bytes};

use crate::InferenceError;

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
    /// The square that a model reads, from [`FilmReader::prepare`].
    Prepared(PreparedFilm),
}

/// A film that is decoded and resized for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedFilm {
    /// Side of the square, in pixels.
    size: usize,
    /// `3 · size · size` values, channel by channel.
    pixels: Vec<u8>,
}

/// Decodes films and resizes them as a [`ReportWriter`](crate::ReportWriter)'s model reads them. It can be
/// used on any thread, so that decoding need not hold up the thread that writes reports.
#[derive(Debug, Clone, Copy)]
pub struct FilmReader {
    pub(crate) transform: ImageTransform,
}

impl FilmReader {
    /// Decodes and resizes a film. A prepared film of the model's size is returned as it is.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or was prepared for another size.
    pub fn prepare(&self, film: &Film) -> Result<PreparedFilm, InferenceError> {
        let size = self.transform.size();
        let decoded = match film {
            Film::File(path) => &decode_image(path)?,
            Film::Bytes(bytes) => &decode_image_bytes(bytes, film.name())?,
            Film::Decoded(image) => image,
            Film::Prepared(prepared) if prepared.size == size => return Ok(prepared.clone()),
            Film::Prepared(prepared) => {
                let reason = format!("it was prepared for {} pixels, not {size}", prepared.size);
                return Err(broken(film.name(), reason).into());
            }
        };
        self.square(decoded, film.name())
    }

    /// Decodes and resizes the content of an image file; `name` is what messages call it.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn prepare_bytes(&self, bytes: &[u8], name: &Path) -> Result<PreparedFilm, InferenceError> {
        self.square(&decode_image_bytes(bytes, name)?, name)
    }

    fn square(&self, image: &DecodedImage, name: &Path) -> Result<PreparedFilm, InferenceError> {
        let pixels = self.transform.apply(image, 0);
        Ok(PreparedFilm {
            size: self.transform.size(),
            pixels: pixels.map_err(|error| broken(name, error))?,
        })
    }
}

impl PreparedFilm {
    /// `3 · size · size` values, channel by channel.
    pub(crate) fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

impl Film {
    /// What messages call it.
    pub(crate) fn name(&self) -> &Path {
        match self {
            Film::File(path) => path,
            Film::Bytes(_) => Path::new("film given as bytes"),
            Film::Decoded(_) | Film::Prepared(_) => Path::new("film given as pixels"),
        }
    }
}

fn broken(name: &Path, reason: impl ToString) -> DataError {
    DataError::Image {
        path: name.to_owned(),
        reason: reason.to_string(),
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

impl From<PreparedFilm> for Film {
    fn from(film: PreparedFilm) -> Self {
        Film::Prepared(film)
    }
}

impl From<DecodedImage> for Film {
    fn from(image: DecodedImage) -> Self {
        Film::Decoded(image)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prepared_film_fits_one_size() {
        let reader = |size| FilmReader {
            transform: ImageTransform::evaluation(size),
        };
        let image = DecodedImage {
            width: 3,
            height: 2,
            channels: 1,
            pixels: (0..6).map(|value| value * 40).collect(),
        };
        let prepared = reader(4).prepare(&image.into()).expect("it is sound");
        let film = Film::from(prepared.clone());
        assert_eq!(reader(4).prepare(&film).expect("it fits"), prepared);
        let error = reader(5).prepare(&film).expect_err("another size");
        assert!(error.to_string().contains("4 pixels, not 5"), "{error}");
    }
}
