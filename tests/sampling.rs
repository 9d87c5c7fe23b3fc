//! Sampled reports of a split: the same for every batch size and order, in predictions and on the
//! run page.

use std::sync::Arc;

use burn::tensor::Device;
use ithn::backbone::ResNetConfig;
use ithn::data::{Cleaning, ImageLoader, ImageTransform, TokenizedStudy, Tokenizer};
use ithn::decoder::TransformerConfig;
use ithn::inference::SheetMaker;
use ithn::memory::CrossModalMemoryConfig;
use ithn::models::{R2GenCmn, R2GenCmnConfig};
use ithn::search::{Sampling, SearchConfig};
use ithn::train::{EvaluationSplit, Writing, write_reports};

const VOCABULARY: usize = 12;

/// Studies of one noisy image each.
fn studies(folder: &std::path::Path) -> Vec<TokenizedStudy> {
    (0..7_u32)
        .map(|study| {
            let path = folder.join(format!("{study}.png"));
            let level = |x: u32, y: u32| (x * 37 + y * 59 + x * y * (study + 3) * 11) as u8;
            image::GrayImage::from_fn(32, 32, |x, y| image::Luma([level(x, y)]))
                .save(&path)
                .expect("writable");
            TokenizedStudy {
                id: format!("study-{study}"),
                images: vec![path],
                tokens: Vec::new(),
                context: Default::default(),
            }
        })
        .collect()
}

fn generator(device: &Device) -> R2GenCmn {
    R2GenCmnConfig::new(
        ResNetConfig::narrow(4, vec![1, 1]),
        CrossModalMemoryConfig::new(12, 8, 2, 3),
        TransformerConfig::new(8, 12, 2, 2),
    )
    .init(VOCABULARY, 1, device)
}

#[test]
fn sampled_reports_depend_on_the_study_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let device = Device::default();
    device.seed(7);
    let generator = generator(&device);
    let tokenizer = Tokenizer::numbered(VOCABULARY, Cleaning::IuXray);
    let search = SearchConfig::new(10, Sampling::new(1.0, 3));
    let images = ImageLoader::new(ImageTransform::Resize { size: 32 }, 1, 0, 0);
    let images = Arc::new(images);
    let write = |studies: Vec<TokenizedStudy>, batch_size: usize| {
        let ids: Vec<String> = studies.iter().map(|study| study.id.clone()).collect();
        let split = EvaluationSplit {
            priors: None,
            name: "test",
            references: vec![String::new(); studies.len()],
            full_references: vec![String::new(); studies.len()],
            studies: Arc::new(studies),
        };
        let writing = Writing {
            search: &search,
            tokenizer: &tokenizer,
            images: Arc::clone(&images),
            batch_size,
            threads: 1,
            device: &device,
        };
        let reports = write_reports(&generator, &split, &writing, |_| {}).expect("readable");
        let mut reports: Vec<(String, String)> = ids.into_iter().zip(reports).collect();
        reports.sort();
        reports
    };

    let studies = studies(folder.path());
    let expected = write(studies.clone(), 7);
    assert!(expected.iter().any(|(_, report)| *report != expected[0].1));
    for batch_size in [1, 2, 5] {
        assert_eq!(write(studies.clone(), batch_size), expected);
        let mut reversed = studies.clone();
        reversed.reverse();
        assert_eq!(write(reversed, batch_size), expected);
    }

    let maker = SheetMaker {
        generator: &generator,
        tokenizer: &tokenizer,
        search: &search,
        device: &device,
    };
    for (study, (id, report)) in studies.iter().zip(&expected) {
        assert_eq!(study.id, *id);
        let films = images.load(&[study], 0).expect("readable");
        let sheet = maker.sheet(&study.id, films, None).expect("it writes");
        assert_eq!(sheet.words.join(" "), *report);
    }
}
