//! Ranges in host names: `web[01:20]`, `db-[a:f]`, `n[0:10:2]`. Pure.

/// More hosts than this in one inventory are refused.
pub(super) const MAX_HOSTS: usize = 10_000;
/// More ranges than this in one name are refused.
const MAX_RANGES: usize = 8;

/// All names that a host pattern stands for, in order; a name without a range stands for itself.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    if pattern.matches('[').count() > MAX_RANGES {
        return Err(format!("more than {MAX_RANGES} ranges in one name"));
    }
    let Some((head, rest)) = pattern.split_once('[') else {
        return Ok(vec![pattern.to_owned()]);
    };
    let (range, tail) = rest.split_once(']').ok_or_else(|| format!("{pattern:?} has a [ that is not closed"))?;
    let middles = items(range)?;
    let tails = expand(tail)?;
    if middles.len().saturating_mul(tails.len()) > MAX_HOSTS {
        return Err(format!("{pattern:?} stands for more than {MAX_HOSTS} hosts"));
    }
    let names = middles.iter().flat_map(|middle| tails.iter().map(move |tail| format!("{head}{middle}{tail}")));
    Ok(names.collect())
}

fn items(range: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("[{range}] is no range; write [01:20], [a:f] or [0:10:2]");
    let parts: Vec<&str> = range.split(':').collect();
    let (first, last, step) = match parts.as_slice() {
        [first, last] => (*first, *last, 1),
        [first, last, step] => (*first, *last, step.parse().map_err(|_| wrong())?),
        _ => return Err(wrong()),
    };
    if step == 0 {
        return Err(wrong());
    }
    letters(first, last, step).map_or_else(|| numbers(first, last, step).ok_or_else(wrong), Ok)
}

/// Letters from a to z, and from A to Z behind them.
fn letters(first: &str, last: &str, step: usize) -> Option<Vec<String>> {
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').collect();
    let place = |text: &str| letters.iter().position(|letter| text.chars().eq([*letter]));
    let (first, last) = (place(first)?, place(last)?);
    let chosen = letters.get(first..=last)?.iter().step_by(step);
    Some(chosen.map(char::to_string).collect())
}

/// Numbers; a leading zero fixes the width, which both ends must then have. An empty start is 0.
fn numbers(first: &str, last: &str, step: usize) -> Option<Vec<String>> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok())?;
    let first = if first.is_empty() { "0" } else { first };
    let padded = first.len() > 1 && first.starts_with('0');
    if padded && first.len() != last.len() {
        return None;
    }
    let width = if padded { first.len() } else { 0 };
    let (first, last) = (number(first)?, number(last)?);
    // One more than allowed is enough for the caller to refuse.
    (first <= last).then(|| (first..=last).step_by(step).take(MAX_HOSTS + 1).map(|n| format!("{n:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn ranges_are_inclusive_and_keep_their_width() {
        for (pattern, expected) in [
            ("web", "web"),
            ("web[1:3]", "web1 web2 web3"),
            ("web[08:10].x", "web08.x web09.x web10.x"),
            ("web[:2]", "web0 web1 web2"),
            ("db-[a:c]", "db-a db-b db-c"),
            ("db-[y:B]", "db-y db-z db-A db-B"),
            ("n[0:6:3]", "n0 n3 n6"),
            ("r[1:2]-[a:b]", "r1-a r1-b r2-a r2-b"),
        ] {
            assert_eq!(expand(pattern).unwrap().join(" "), expected, "{pattern}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for pattern in [
            "w[1",
            "w[]",
            "w[1]",
            "w[3:1]",
            "w[01:100]",
            "w[a:3]",
            "w[B:a]",
            "w[1:2][1:2][1:2][1:2][1:2][1:2][1:2][1:2][1:2]",
            "w[1:2:0]",
            "w[1:9:x]",
            "w[1:99999999]",
            "w[1:999]x[1:999]",
        ] {
            assert!(expand(pattern).is_err(), "{pattern}");
        }
    }
}
