//! Times as OpenSSH writes them: `90`, `30m`, `1h30m`, `2d`.
//!
//! Contract: numbers with a unit each (s, m, h, d, w, either case; none is seconds), added up, as sshd_config(5) says
//! under TIME FORMATS. At most 2^31 - 1 seconds, as there.

/// The seconds that a text means; `None` for what is none.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let mut total: u32 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u32 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next();
        total = total.checked_add(number.checked_mul(unit_seconds(unit)?)?)?;
        rest = &rest[digits + usize::from(unit.is_some())..];
    }
    (!text.is_empty() && i32::try_from(total).is_ok()).then_some(total)
}

fn unit_seconds(unit: Option<char>) -> Option<u32> {
    match unit.map(|c| c.to_ascii_lowercase()) {
        None | Some('s') => Some(1),
        Some('m') => Some(60),
        Some('h') => Some(60 * 60),
        Some('d') => Some(24 * 60 * 60),
        Some('w') => Some(7 * 24 * 60 * 60),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_read_as_openssh_reads_them() {
        let table = [
            ("0", Some(0)),
            ("90", Some(90)),
            ("1h30m", Some(5400)),
            ("2D", Some(172_800)),
            ("1w1s5", Some(604_806)),
            ("2147483647", Some(2_147_483_647)),
            ("2147483648", None),
            ("99999999w", None),
            ("", None),
            ("m", None),
            ("1x", None),
            ("-1", None),
            ("1 m", None),
            ("1é", None),
        ];
        for (text, expected) in table {
            assert_eq!(seconds(text), expected, "{text:?}");
        }
    }
}
