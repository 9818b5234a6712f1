//! Durations on the command line: `500ms`, `30s`, `2m`, or `off`.

use std::time::Duration;

/// A duration, or none for `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrOff(pub(crate) Option<Duration>);

/// Parses a duration that something may take.
pub(crate) fn or_off(value: &str) -> Result<OrOff, String> {
    if value == "off" {
        return Ok(OrOff(None));
    }
    let number = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let millis = match &value[number.len()..] {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        _ => None,
    };
    let duration = number.parse::<u64>().ok().zip(millis);
    duration
        .and_then(|(number, millis)| number.checked_mul(millis))
        .filter(|millis| *millis > 0)
        .map(|millis| OrOff(Some(Duration::from_millis(millis))))
        .ok_or_else(|| {
            "a duration is a whole number of ms, s or m above 0, such as 500ms, 30s or 2m; or off"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (value, millis) in [("1ms", 1), ("500ms", 500), ("30s", 30_000), ("2m", 120_000)] {
            let duration = Duration::from_millis(millis);
            assert_eq!(or_off(value), Ok(OrOff(Some(duration))));
        }
        assert_eq!(or_off("off"), Ok(OrOff(None)));
    }

    #[test]
    fn anything_else_is_refused() {
        for value in [
            "",
            "0s",
            "0ms",
            "30",
            "s",
            "-1s",
            "1.5s",
            "30 s",
            "2h",
            "OFF",
            "99999999999999999999m",
            "999999999999999999m",
        ] {
            assert!(or_off(value).is_err(), "{value:?}");
        }
    }
}
