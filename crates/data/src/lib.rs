//! Radiology studies: reads the files of public datasets and yields batches in host memory.
//!
//! | step | items |
//! |---|---|
//! | files → studies | [`read_annotation`] for R2Gen's `annotation.json`, [`read_mimic`] for MIMIC-CXR-JPG; both yield [`Study`] |
//! | files → one annotation | [`prepare`]: MIMIC-CXR-JPG, Open-i's XML or Kaggle's tables → `annotation.json` |
//! | report → sections | [`ReportSections`]: MIMIC-CXR's headings, as MIT-LCP's parser has them |
//! | broken studies | [`OnBadStudy`]: stop at the first, or skip and list them as [`Exclusions`] |
//! | report → token ids | [`Cleaning`], then [`Tokenizer`]: R2Gen's word tokens |
//! | image → square | [`decode_image`], then [`ImageTransform`]: resizing as in Pillow, to within one level |
//! | image cache | [`ImageCache`]: resized images in shards, bit-identical to decoding |
//! | studies → batches | [`shuffled_order`], [`ImageLoader`], [`BatchLoader`]: worker threads; the result does not depend on their number |
//! | phantom studies | [`phantom`]: procedural radiographs with known findings |
//!
//! An invalid file gives a [`DataError`] that names the file and the row, entry or study. The crate does
//! not depend on Burn.
//!
//! # Quick start
//!
//! ```
//! use std::sync::Arc;
//!
//! use ithn_data::{
//!     BatchLoader, BatchMember, Cleaning, TokenizedStudy, ImageLoader, ImageTransform, Tokenizer,
//!     read_annotation, shuffled_order,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (file, images) = (folder.path().join("annotation.json"), folder.path().to_owned());
//! # image::GrayImage::new(40, 30).save(images.join("0.png"))?;
//! # let entry = |id: u32| format!(
//! #     r#"{{"id":"{id}","report":"No effusion.","image_path":["0.png"],"split":"train"}}"#);
//! # std::fs::write(&file, format!(r#"{{"train":[{},{},{}],"val":[],"test":[]}}"#,
//! #     entry(1), entry(2), entry(3)))?;
//! let studies = read_annotation(&file, &images)?;
//! let reports = studies.iter().map(|study| study.report.as_str());
//! let tokenizer = Tokenizer::fit(reports, Cleaning::IuXray, 3)?;
//! let encoded = studies
//!     .iter()
//!     .map(|study| {
//!         Ok(TokenizedStudy {
//!             id: study.id.clone(),
//!             images: study.images.clone(),
//!             context: Default::default(),
//!             tokens: tokenizer.encode_study(&study.id, &study.report, 60)?,
//!         })
//!     })
//!     .collect::<Result<Vec<_>, ithn_data::DataError>>()?;
//!
//! let (seed, epoch) = (7580, 1);
//! let order = shuffled_order(encoded.len(), seed, epoch);
//! let batches = order
//!     .chunks(2)
//!     .map(|chunk| chunk.iter().map(|&study| BatchMember { study, negative: None }).collect())
//!     .collect();
//! let images = ImageLoader::new(ImageTransform::training(224), 1, seed, 1 << 30);
//! let loader = BatchLoader::start(Arc::new(encoded), Arc::new(images), batches, epoch, 4);
//! let sizes = loader
//!     .map(|batch| Ok(batch?.images.dims))
//!     .collect::<Result<Vec<_>, ithn_data::DataError>>()?;
//! assert_eq!(sizes, [[2, 1, 3, 224, 224], [1, 1, 3, 224, 224]]);
//! # Ok(())
//! # }
//! ```

mod annotation;
mod atomic;
mod cache;
mod cleaning;
mod context;
#[cfg(feature = "dicom")]
mod dicom;
mod dicom_start;
mod error;
mod exclusion;
mod feature_cache;
mod image;
mod image_block;
mod image_loader;
mod jitter;
mod jpeg;
mod label_table;
mod labels;
mod loader;
mod mimic;
mod open_i;
mod order;
pub mod phantom;
mod pixels;
pub mod prepare;
mod replace;
mod reports;
mod screening;
mod sections;
mod study;
mod table;
mod tokenizer;
mod transform;

pub use annotation::{
    Annotation, AnnotationEntry, PriorEntry, RexrankContext, RexrankStudy, Views, read_annotation,
};
pub use atomic::{write_all_names, write_atomically};
pub use cache::{CacheReport, CacheRequest, ImageCache};
pub use cleaning::Cleaning;
pub use context::{PriorStudy, Projection, StudyContext};
pub use error::DataError;
pub use exclusion::{Exclusion, ExclusionReason, Exclusions, OnBadStudy};
pub use feature_cache::{FeatureBlock, FeatureCache};
pub use image::{
    DecodedImage, FileKind, decode_image, decode_image_bytes, inspect_image, inspect_image_bytes,
};
pub use image_block::{ContextBlock, FilmBlock, ImageBlock};
pub use image_loader::ImageLoader;
pub use jitter::Jitter;
pub use label_table::{LabelTable, read_label_table};
pub use labels::{CHEXPERT_LABELS, Label, Labels};
pub use loader::{BatchLoader, BatchMember, LoadedBatch, TokenBlock, pad_tokens};
pub use mimic::{
    LeftOutPriors, MimicOptions, MimicStudies, read_mimic, read_mimic_first, read_mimic_watched,
};
pub use order::shuffled_order;
pub use screening::{ImageCheck, screen_first_images, screen_images};
pub use sections::{ReportSection, ReportSections};
pub use study::{NegativeStudy, Split, Study, TokenizedContext, TokenizedPrior, TokenizedStudy};
pub use tokenizer::{Tokenizer, UNKNOWN_WORD};
pub use transform::{IMAGENET_MEAN, IMAGENET_STD, ImageTransform, TransformError, normalise};

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
