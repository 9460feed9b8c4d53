//! What kind of request a frame holds, for logs: never anything that a client chose.

use crate::agent::private_wire::take_string;

/// Extensions that have a name here; any other is only said to be one.
const EXTENSIONS: [&str; 2] = ["query", "session-bind@openssh.com"];

/// The request's name as the protocol's drafts have it.
pub(super) fn name(frame: &[u8]) -> &'static str {
    match frame.first() {
        None => "empty",
        Some(9) => "remove all (protocol 1)",
        Some(11) => "list",
        Some(13) => "sign",
        Some(17) => "add",
        Some(18) => "remove",
        Some(19) => "remove all",
        Some(20) => "add token",
        Some(21) => "remove token",
        Some(22) => "lock",
        Some(23) => "unlock",
        Some(25) => "add constrained",
        Some(26) => "add token constrained",
        Some(27) => extension(&frame[1..]),
        Some(_) => "unknown",
    }
}

fn extension(mut contents: &[u8]) -> &'static str {
    let name = take_string(&mut contents).unwrap_or_default();
    EXTENSIONS.into_iter().find(|known| known.as_bytes() == name).unwrap_or("extension")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_names_kinds_and_nothing_that_a_client_wrote() {
        let extension = |name: &[u8]| [&[27, 0, 0, 0, name.len() as u8][..], name].concat();
        let frames = [
            (vec![], "empty"),
            (vec![11], "list"),
            (vec![22, 0, 0, 0, 6, b's', b'e', b'c', b'r', b'e', b't'], "lock"),
            (vec![200, b'x'], "unknown"),
            (extension(b"session-bind@openssh.com"), "session-bind@openssh.com"),
            (extension(b"\x1b[2Jsecret"), "extension"),
            (vec![27], "extension"),
        ];
        for (frame, expected) in frames {
            assert_eq!(name(&frame), expected);
        }
    }
}
