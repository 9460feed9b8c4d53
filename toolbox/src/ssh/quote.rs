//! Quoting for the shell on the other side.

/// One word for a POSIX shell: whatever `text` holds, `sh` reads it back as exactly that.
///
/// A word that needs no quotes keeps its looks, so that commands stay readable in logs. A NUL byte
/// cannot be passed to any program and is left in; the caller must not have one.
#[must_use]
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_keep_their_looks() {
        for word in ["docker", "/var/run/docker.sock", "a=b", "sha256:12ab", "-n"] {
            assert_eq!(quote(word), word);
        }
    }

    #[test]
    fn a_shell_reads_every_word_back_unchanged() {
        let words = [
            "", " ", "it's", "''", "$HOME", "`id`", "a\nb", "*", "~", "~root", "!x", "é", "\\", "\"", "#x", "a;b",
            "{a,b}", "[x]", "a&b", "\t", "--", "x>y",
        ];
        for word in words {
            let script = format!("printf %s {}", quote(word));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{script}");
        }
    }
}
