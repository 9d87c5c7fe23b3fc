/// The token with the highest score, the first of equals; `None` if all are −∞.
pub(crate) fn most_probable(scores: &[f32]) -> Option<u32> {
    let mut best = (f32::NEG_INFINITY, None);
    for (token, &score) in (0..).zip(scores) {
        if score > best.0 {
            best = (score, Some(token));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_tokens_are_never_chosen() {
        let blocked = f32::NEG_INFINITY;
        assert_eq!(most_probable(&[-3.0, -1.0, blocked, -1.0]), Some(1));
        assert_eq!(most_probable(&[blocked, blocked]), None);
    }
}
