//! Work that several processes share out: rank 0 prints and writes, and an error of one is one of all.

use ithn::train::Ranks;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// How a rank fails, on its way to the others.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
enum Told {
    Closed,
    Said { host: String, text: String },
}

/// `work` at rank 0, nothing at the others.
pub(crate) fn if_first<T>(
    ranks: &Ranks,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    ranks.is_first().then(work).transpose()
}

/// This rank's own result if none has failed. Every rank calls it.
///
/// # Errors
///
/// The failure of the lowest rank that has one.
pub(crate) fn agree<T>(ranks: &Ranks, own: Result<T, Failure>) -> Result<T, Failure> {
    if ranks.is_alone() {
        return own;
    }
    let told = match &own {
        Ok(_) => None,
        Err(Failure::Closed) => Some(Told::Closed),
        Err(failure) => Some(Told::Said {
            host: ranks.host().to_owned(),
            text: failure.to_string(),
        }),
    };
    let all = ranks.gather_values(Ok(told))?;
    let failed = all
        .into_iter()
        .enumerate()
        .find_map(|(rank, told)| Some((rank, told?)));
    match (failed, own) {
        (None, own) => own,
        (Some((rank, _)), Err(failure)) if rank == ranks.rank() => Err(failure),
        (Some((_, Told::Closed)), _) => Err(Failure::Closed),
        (Some((rank, Told::Said { host, text })), _) => {
            Err(Failure::Said(format!("rank {rank} on {host}: {text}")))
        }
    }
}

/// Refuses ranks whose `what` differs from that of rank 0. Every rank calls it.
pub(crate) fn check_same(ranks: &Ranks, what: &str, own: String) -> Result<(), Failure> {
    let all = ranks.gather_values(Ok((ranks.host().to_owned(), own)))?;
    match all.iter().position(|(_, other)| *other != all[0].1) {
        Some(rank) => Err(Failure::Said(format!(
            "rank {rank} on {} has another {what} than rank 0",
            all[rank].0
        ))),
        None => Ok(()),
    }
}

/// Hands out batches, one to each rank a round. What `work` makes of them is given to `take` at rank 0, in
/// the order of batches. Every rank calls it.
///
/// # Errors
///
/// If `take` fails: nothing that comes after is taken.
pub(crate) fn in_rounds<B, T: Serialize + DeserializeOwned>(
    ranks: &Ranks,
    batches: &[B],
    mut work: impl FnMut(&B) -> T,
    mut take: impl FnMut(&B, T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for round in batches.chunks(ranks.size()) {
        let own = round.get(ranks.rank()).map(&mut work);
        let all = ranks.gather_values(Ok(own))?;
        let results = round.iter().zip(all.into_iter().flatten());
        let taken = if_first(ranks, || {
            for (batch, result) in results {
                take(batch, result)?;
            }
            Ok(())
        });
        agree(ranks, taken)?;
    }
    Ok(())
}

/// A failure that all ranks have and rank 0 tells.
pub(crate) fn of_all(failure: Failure, ranks: &Ranks) -> Failure {
    match ranks.is_alone() {
        true => failure,
        false => Failure::Together(Box::new(failure), ranks.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_takes_every_batch_in_order_until_it_fails() {
        let ranks = Ranks::default();
        let mut taken = Vec::new();
        let done = in_rounds(
            &ranks,
            &[1, 2, 3],
            |batch| batch * 10,
            |batch, result| match *batch {
                3 => Err(Failure::Said("third".to_owned())),
                _ => {
                    taken.push(result);
                    Ok(())
                }
            },
        );
        assert_eq!(taken, [10, 20]);
        assert_eq!(done.expect_err("the third fails").to_string(), "third");
        assert!(check_same(&ranks, "checkpoint", "a".to_owned()).is_ok());
        assert!(matches!(
            agree::<()>(&ranks, Err(Failure::Closed)),
            Err(Failure::Closed)
        ));
    }
}
