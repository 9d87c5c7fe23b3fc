//! The clinical metrics of other tools, as their code computes them: numbers to compare with published
//! ones, each under the name of the tool whose arithmetic it is.
//!
//! | what | where |
//! |---|---|
//! | F1 over the 14 CheXpert classes, by policy | [`policies`] |
//! | F1 of RadGraph's entities and relations | [`radgraph`] |
//! | RadCliQ and its BLEU-2 | [`radcliq`] |
//! | temporal keywords, repeated trigrams | [`temporal`] |
//! | what needs texts alone, study by study | [`texts`] |
//! | any column of scores, with intervals and tests | [`scores`] |
//! | golden numbers of all of these | [`parity`] |

pub mod parity;
pub mod policies;
pub mod radcliq;
pub mod radgraph;
pub mod scores;
pub mod temporal;
pub mod texts;
