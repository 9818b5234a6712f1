//! Makes bytes that fail as short and as plain as they still fail.

/// More tries bring little, and a try may take a millisecond.
const MOST_TRIES: usize = 20_000;

/// Leaves bytes out, then makes bytes smaller, as long as `fails` says that what is left still fails.
pub(crate) fn minimise(mut bytes: Vec<u8>, mut fails: impl FnMut(&[u8]) -> bool) -> Vec<u8> {
    let mut tries = MOST_TRIES;
    let mut attempt = |candidate: &[u8]| {
        tries = tries.saturating_sub(1);
        tries > 0 && fails(candidate)
    };
    loop {
        let before = bytes.clone();
        leave_out(&mut bytes, &mut attempt);
        lower(&mut bytes, &mut attempt);
        if bytes == before {
            return bytes;
        }
    }
}

/// Leaves out halves, quarters and so on, from the back to the front, down to single bytes.
fn leave_out(bytes: &mut Vec<u8>, fails: &mut impl FnMut(&[u8]) -> bool) {
    let mut size = bytes.len();
    while size > 0 {
        let mut end = bytes.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let candidate = [&bytes[..start], &bytes[end..]].concat();
            if fails(&candidate) {
                *bytes = candidate;
            }
            end = start;
        }
        size /= 2;
    }
}

/// Makes each byte zero, or half of what it is, or one less.
fn lower(bytes: &mut [u8], fails: &mut impl FnMut(&[u8]) -> bool) {
    for at in 0..bytes.len() {
        let byte = bytes[at];
        for lower in [0, byte / 2, byte.saturating_sub(1)] {
            bytes[at] = lower;
            if lower < byte && fails(bytes) {
                break;
            }
            bytes[at] = byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_failure_needs_is_left() {
        let bytes: Vec<u8> = (1..=255).cycle().take(2000).collect();
        let fails = |bytes: &[u8]| {
            let seven = bytes.iter().position(|&byte| byte == 7);
            seven.is_some_and(|at| bytes[at..].contains(&200) && bytes.len() > at + 3)
        };
        let minimised = minimise(bytes, fails);
        assert_eq!(minimised.len(), 4);
        assert!(minimised.starts_with(&[7]) && minimised.contains(&200));
        assert_eq!(minimised.iter().filter(|&&byte| byte == 0).count(), 2);
    }

    #[test]
    fn what_fails_always_becomes_nothing() {
        assert_eq!(minimise(vec![1, 2, 3], |_| true), []);
    }
}
