//! What may be a negative of what, for a model that mines negatives itself.

use ithn_data::TokenizedStudy;

/// Which studies can be negatives of one another.
#[derive(Debug, Clone)]
pub(crate) struct Admissible {
    /// Number of each training study's patient.
    pub(crate) patients: Vec<i64>,
    /// Number of the set of findings that each states, if a negative must state others.
    pub(crate) stated: Option<Vec<i64>>,
}

impl Admissible {
    /// Whether study `other` can be a negative of `study`.
    pub(crate) fn allows(&self, studies: &[TokenizedStudy], study: usize, other: usize) -> bool {
        let states_others = (self.stated.as_ref()).is_none_or(|sets| sets[study] != sets[other]);
        states_others
            && self.patients[study] != self.patients[other]
            && studies[study].tokens != studies[other].tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_is_of_another_patient_and_states_something_else() {
        let study = |tokens: &[u32]| TokenizedStudy {
            id: String::new(),
            images: Vec::new(),
            tokens: tokens.to_vec(),
            context: Default::default(),
        };
        let studies = [
            study(&[0, 1]),
            study(&[0, 1]),
            study(&[0, 2]),
            study(&[0, 3]),
        ];
        let mut admissible = Admissible {
            patients: vec![0, 1, 0, 2],
            stated: None,
        };
        let of_first =
            |admissible: &Admissible| [1, 2, 3].map(|other| admissible.allows(&studies, 0, other));
        // The same words, the same patient, neither.
        assert_eq!(of_first(&admissible), [false, false, true]);
        admissible.stated = Some(vec![7, 8, 8, 7]);
        assert_eq!(of_first(&admissible), [false; 3]);
    }
}
