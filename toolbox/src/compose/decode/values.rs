//! Texts with a meaning of their own: durations, sizes, CPUs, shell words. Pure.

use std::time::Duration;

/// A duration such as `1m30s` or `1.5s`; units h, m, s, ms, us, ns.
///
/// # Errors
/// A text that says what is understood.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write 90s, 1m30s or 500ms");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1_000,
            "ns" => 1,
            _ => return Err(wrong()),
        };
        nanos = scaled(number, scale).and_then(|n| nanos.checked_add(n)).ok_or_else(wrong)?;
        rest = tail;
    }
    // The engine counts nanoseconds in an i64.
    match i64::try_from(nanos) {
        Ok(nanos) if !text.is_empty() => Ok(Duration::from_nanos(nanos.unsigned_abs())),
        _ => Err(wrong()),
    }
}

/// A size in bytes such as `64m`, `1.5gb` or `1024`; units are binary.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size; write bytes, or a number with b, k, m or g, such as 64m");
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let power = match unit.trim_start() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(wrong()),
    };
    // The engine counts bytes in an i64.
    scaled(number, 1024_u128.pow(power)).and_then(|n| i64::try_from(n).ok()).map(i64::unsigned_abs).ok_or_else(wrong)
}

/// Microseconds: a bare number, or a duration such as `50ms`.
pub(super) fn microseconds(text: &str) -> Result<i64, String> {
    let number: Option<i64> = text.parse().ok().filter(|number| *number >= 0);
    let micros =
        number.map_or_else(|| duration(text).map(|time| time.as_micros()).ok(), |n| Some(n.unsigned_abs().into()));
    let micros = micros.and_then(|micros| i64::try_from(micros).ok());
    micros.ok_or_else(|| format!("{text:?} is no time; write microseconds, or 50ms"))
}

/// CPUs such as `0.5`, in billionths.
pub(super) fn nano_cpus(text: &str) -> Result<i64, String> {
    scaled(text.trim(), 1_000_000_000)
        .and_then(|n| i64::try_from(n).ok())
        .filter(|n| *n > 0)
        .ok_or_else(|| format!("{text:?} is no number of CPUs; write 0.5 or 2"))
}

/// `number` × `scale` for a decimal number without sign or exponent, rounded down; exact, since no float is used.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = whole.len() + fraction.len();
    let clean = format!("{whole}{fraction}").bytes().all(|b| b.is_ascii_digit());
    if digits == 0 || digits > 20 || !clean {
        return None;
    }
    let value: u128 = format!("{whole}{fraction}").parse().ok()?;
    let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    Some(value.checked_mul(scale)? / divisor)
}

/// Splits a command as a shell would, without expanding anything.
///
/// # Errors
/// A quote that is not closed, or a backslash at the end.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' => single_quoted(&mut chars, word.get_or_insert_default())?,
            '"' => double_quoted(&mut chars, word.get_or_insert_default())?,
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("the command ends in a backslash".into()),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn single_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    for c in chars.by_ref() {
        if c == '\'' {
            return Ok(());
        }
        word.push(c);
    }
    Err("the command has a quote ' that is not closed".into())
}

fn double_quoted(chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok(()),
            '\\' => match chars.next() {
                Some('\n') => {}
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(other) => word.extend(['\\', other]),
                None => break,
            },
            c => word.push(c),
        }
    }
    Err("the command has a quote \" that is not closed".into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{bytes, duration, microseconds, nano_cpus, words};

    #[test]
    fn durations_have_units() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1.5s", 1_500),
            ("250ms", 250),
            ("0", 0),
            ("0s", 0),
            (".5s", 500),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("3us2ns"), Ok(Duration::from_nanos(3_002)));
        for text in ["", "10", "s", "1x", "-1s", "1.2.3s", "1 s", "99999999999h", "1sm"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_binary_and_exact() {
        for (text, expected) in [
            ("0", 0),
            ("1024", 1024),
            ("1b", 1),
            ("64k", 65_536),
            ("64KB", 65_536),
            ("1.5g", 1_610_612_736),
            ("2 mb", 2_097_152),
            ("1GiB", 1_073_741_824),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "m", "1x", "-1", "1e3", "1..5m", "99999999999t", "9223372036854775808"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn kernel_times_are_microseconds() {
        for (text, expected) in [("50000", 50_000), ("50ms", 50_000), ("1s", 1_000_000), ("0", 0)] {
            assert_eq!(microseconds(text), Ok(expected), "{text}");
        }
        for text in ["-1", "x", "", "5 ms"] {
            assert!(microseconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cpus_are_billionths() {
        for (text, expected) in [("0.5", 500_000_000), ("2", 2_000_000_000), ("0.001", 1_000_000)] {
            assert_eq!(nano_cpus(text), Ok(expected), "{text}");
        }
        for text in ["0", "-1", "x", "", "1e9"] {
            assert!(nano_cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn commands_are_split_like_a_shell_does() {
        for (text, expected) in [
            ("", vec![]),
            ("  a  b ", vec!["a", "b"]),
            ("echo \"a b\" 'c $d' e\\ f", vec!["echo", "a b", "c $d", "e f"]),
            ("sh -c \"x \\\"y\\\" \\n\"", vec!["sh", "-c", "x \"y\" \\n"]),
            ("a''b \"\"", vec!["ab", ""]),
            ("a #b", vec!["a", "#b"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        for text in ["'a", "\"a", "a\\", "\"a\\"] {
            assert!(words(text).is_err(), "{text}");
        }
    }
}
