//! Groups reports into batches.

/// Most token ids of a batch, padding included. Enough for large products; what a batch needs besides
/// the weights is about 60 kB for each at BERT-base's size.
const MOST_IDS: usize = 2048;

/// Positions of reports, batch by batch: shortest first, so that reports of a batch hardly differ in
/// length and little is spent on padding.
pub(crate) fn batches(lengths: &[usize]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&at| lengths[at]);
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for at in order {
        match batches.last_mut() {
            // The last report is the longest so far.
            Some(batch) if (batch.len() + 1) * lengths[at] <= MOST_IDS => batch.push(at),
            _ => batches.push(vec![at]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_is_in_one_batch_of_bounded_size() {
        let lengths: Vec<usize> = (0..500).map(|at| 2 + (at * 37) % 511).collect();
        let batches = batches(&lengths);
        for batch in &batches {
            let longest = batch.iter().map(|&at| lengths[at]).max().unwrap();
            assert!(batch.len() * longest <= MOST_IDS);
        }
        let mut all = batches.concat();
        all.sort_unstable();
        assert_eq!(all, (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn no_reports_need_no_batch() {
        assert!(batches(&[]).is_empty());
    }
}
