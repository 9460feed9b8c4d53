//! What a variable's value is: as text, and as JSON with the types that YAML 1.1 gives to plain scalars.
//!
//! Ansible reads YAML 1.1: `yes` is true, `0755` is octal, `22:30` is a number to the base of 60. Toolbox reads the
//! variables that it needs from their text; the types are for what is shown. Absent on purpose: floats to the base of
//! 60, times of day (both stay text), infinities (JSON has none).

use serde_json::{Number, Value as Json, json};

use crate::yaml::{Node, Value};

/// A variable as text: scalars as written, lists and mappings as JSON.
pub(super) fn text_of(node: &Node) -> String {
    match &node.value {
        Value::Null => String::new(),
        Value::Scalar { text, .. } => text.clone(),
        Value::Seq(_) | Value::Map(_) => json_of(node).to_string(),
    }
}

/// A variable as `ansible-inventory --list` shows it.
pub(super) fn json_of(node: &Node) -> Json {
    let value = match &node.value {
        Value::Null => Json::Null,
        Value::Scalar { text, plain: false } => json!(text),
        Value::Scalar { text, plain: true } => resolve(text),
        Value::Seq(items) => items.iter().map(json_of).collect(),
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.to_string(), json_of(&entry.value))).collect(),
    };
    match node.tag.as_deref() {
        Some("!vault" | "!vault-encrypted") => json!({ "__ansible_vault": text_of(node) }),
        Some("!unsafe") => json!({ "__ansible_unsafe": text_of(node) }),
        _ => value,
    }
}

fn resolve(text: &str) -> Json {
    match text {
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => json!(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => json!(false),
        _ => whole(text).or_else(|| float(text).map(Json::Number)).unwrap_or_else(|| json!(text)),
    }
}

fn whole(text: &str) -> Option<Json> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let clean = digits.replace('_', "");
    let number = if let Some(binary) = clean.strip_prefix("0b") {
        i128::from_str_radix(binary, 2).ok()?
    } else if let Some(hex) = clean.strip_prefix("0x") {
        i128::from_str_radix(hex, 16).ok()?
    } else if clean.contains(':') {
        sixty(&clean)?
    } else if clean.len() > 1 && clean.starts_with('0') {
        i128::from_str_radix(&clean, 8).ok()?
    } else {
        clean.parse().ok()?
    };
    let number = if negative { -number } else { number };
    Some(u64::try_from(number).map(Json::from).or_else(|_| i64::try_from(number).map(Json::from)).unwrap_or_else(
        // Further than 64 bits JSON numbers are floats here.
        |_| Number::from_f64(number as f64).map_or_else(|| json!(text), Json::Number),
    ))
}

/// `190:20:30`: the first part is from 1, the others have at most two digits below 60.
fn sixty(text: &str) -> Option<i128> {
    let mut parts = text.split(':');
    let first = parts.next().filter(|part| !part.starts_with('0'))?;
    let mut number: i128 = first.parse().ok()?;
    for part in parts {
        let digit: i128 = part.parse().ok().filter(|digit| (0..60).contains(digit) && part.len() <= 2)?;
        number = number.checked_mul(60)?.checked_add(digit)?;
    }
    Some(number)
}

/// A float of YAML 1.1: it has a point, and its exponent has a sign.
pub(super) fn float(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let is_number = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let begins = |part: &str| part.starts_with(|c: char| c.is_ascii_digit());
    let signed = |part: &str| {
        part.strip_prefix(['-', '+']).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let fits = is_number(whole)
        && is_number(fraction)
        && if whole.is_empty() { begins(fraction) } else { begins(whole) }
        && exponent.is_none_or(signed);
    fits.then(|| text.replace('_', "").parse().ok().and_then(Number::from_f64))?
}

#[cfg(test)]
mod tests {
    use super::*;

    // The expected values are PyYAML's.
    #[test]
    fn plain_scalars_have_yaml_1_1s_types() {
        for (text, expected) in [
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("y", json!("y")),
            ("22", json!(22)),
            ("-7", json!(-7)),
            ("+7", json!(7)),
            ("1_000", json!(1000)),
            ("0755", json!(493)),
            ("089", json!("089")),
            ("0x1F", json!(31)),
            ("0b11", json!(3)),
            ("0o17", json!("0o17")),
            ("22:30", json!(1350)),
            ("22:61", json!("22:61")),
            ("52:54:00:c0", json!("52:54:00:c0")),
            ("1.10", json!(1.1)),
            (".5", json!(0.5)),
            ("1.", json!(1.0)),
            ("1e5", json!("1e5")),
            ("1.0e+5", json!(100_000.0)),
            ("1.0e5", json!("1.0e5")),
            ("1.2.3", json!("1.2.3")),
            (".", json!(".")),
            ("-", json!("-")),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }
}
