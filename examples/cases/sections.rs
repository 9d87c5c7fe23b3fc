use ithn::data::ReportSection;

use crate::outcome::expect_reports;
use crate::{Cases, read_folder};

impl Cases {
    /// Reports of MIMIC-CXR compared as text.
    pub fn sections(&mut self) {
        let mut check = |name: &str, section, reports: &'static [(&'static str, &'static str)]| {
            self.check(&format!("mimic-sections/{name}"), |folder, _| {
                let read = read_folder(&folder.join("mimic"), section, None)?;
                expect_reports(&read, reports)
            });
        };
        use ReportSection::{Findings, Impression, Whole};
        check(
            "01-mimic-view-title-heading",
            Findings,
            &[
                (
                    "s50000001",
                    "The heart is of normal size. There is a patchy opacity in the right lower lobe. No effusion.",
                ),
                ("s50000002", "Both lungs are well expanded and clear."),
                (
                    "s50000003",
                    "The tip of the endotracheal tube lies 4 cm above the carina. The lungs are clear.",
                ),
            ],
        );
        check(
            "02-mimic-empty-second-findings: findings",
            Findings,
            &[
                (
                    "s50000001",
                    "Moderate left effusion. Heart size cannot be judged. CHEST CT FINDINGS ARE REPORTED SEPARATELY.",
                ),
                ("s50000002", "Mild interstitial edema."),
                (
                    "s50000003",
                    "Second film, two hours later: small right apical pneumothorax.",
                ),
            ],
        );
        check(
            "02-mimic-empty-second-findings: impression",
            Impression,
            &[
                ("s50000001", "Moderate left effusion."),
                ("s50000002", "Mild edema."),
                ("s50000003", "New pneumothorax."),
            ],
        );
        // The other three are named as excluded.
        check(
            "03-mimic-no-headings: findings",
            Findings,
            &[(
                "s50000003",
                "1. Left lower lobe collapse. 2. ET tube 3.5 cm above the carina.",
            )],
        );
        check(
            "03-mimic-no-headings: whole",
            Whole,
            &[
                (
                    "s50000001",
                    "PA and lateral views of the chest compared to ___. Heart size is normal. The lungs are clear.",
                ),
                (
                    "s50000002",
                    "COMPARISON: Radiograph of ___ at 7:05. Heart size is normal. There is no effusion and no \
                 pneumothorax. Lungs are clear.",
                ),
                (
                    "s50000003",
                    "FINDINGS AND IMPRESSION: 1. Left lower lobe collapse. 2. ET tube 3.5 cm above the carina.",
                ),
                (
                    "s50000004",
                    "IMPRESSION: PA and lateral chest compared to ___: Lungs are clear. Heart is normal.",
                ),
            ],
        );
        check(
            "04-mimic-organ-subheadings",
            Findings,
            &[
                (
                    "s50000001",
                    "LINES AND TUBES: Right PICC ends in the lower SVC. LUNGS: Left basilar atelectasis. PLEURA: No \
                 effusion or pneumothorax. HEART AND MEDIASTINUM: Normal. BONES: No acute fracture.",
                ),
                (
                    "s50000002",
                    "Lungs: Clear. Pleura: No effusion. Heart: Enlarged.",
                ),
                (
                    "s50000003",
                    "Compared with the film of CT: there is less air. The lungs are otherwise clear.",
                ),
            ],
        );
    }
}
