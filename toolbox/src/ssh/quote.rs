//! Quoting for the shell on the other side.

/// One word for the login's shell: whatever `text` holds, `sh` reads it back as exactly that, and so do bash, zsh and fish;
/// csh as well, unless there is a line end in it.
///
/// A word that needs no quotes keeps its looks, so that commands stay readable in logs. A NUL byte
/// cannot be passed to any program and is left in; the caller must not have one.
#[must_use]
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    // zsh takes a word after an equals sign for a command's name.
    if !text.is_empty() && !text.starts_with('=') && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            // Between quotes a backslash is special to fish, and an exclamation mark to csh.
            '\'' | '\\' | '!' => quoted.extend(['\'', '\\', c, '\'']),
            _ => quoted.push(c),
        }
    }
    quoted + "'"
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
    fn every_shell_reads_every_word_back_unchanged() {
        let words = [
            "", " ", "it's", "''", "$HOME", "`id`", "a\nb", "*", "~", "~root", "!x", "é", "\\", "\"", "#x", "a;b",
            "{a,b}", "[x]", "a&b", "\t", "--", "x>y", "=ls", "a\\", "\\n", "\\'!", "%self", "a!!b", "^a^b",
        ];
        for shell in ["sh", "dash", "bash", "zsh", "fish", "tcsh"] {
            let is_csh = shell == "tcsh";
            for word in words.into_iter().filter(|word| !(is_csh && word.contains('\n'))) {
                let script = format!("printf %s {}", quote(word));
                // Not every machine has every shell.
                let Ok(output) = std::process::Command::new(shell).args(["-c", &script]).output() else { break };
                assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{shell}: {script}");
            }
        }
    }
}
