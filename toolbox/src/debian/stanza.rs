//! Stanzas of control files (deb-control(5)): fields with values that may go on over several lines.

/// The stanzas of a text.
pub(super) fn stanzas(text: &str) -> impl Iterator<Item = Stanza<'_>> {
    text.split("\n\n").filter(|stanza| !stanza.trim().is_empty()).map(Stanza)
}

/// One stanza.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stanza<'a>(&'a str);

impl<'a> Stanza<'a> {
    /// A field's value with the lines that continue it, without white space around it.
    pub(super) fn field(&self, name: &str) -> Option<&'a str> {
        let mut start = 0;
        for line in self.0.split_inclusive('\n') {
            if let Some(value) = value(line, name) {
                let from = start + line.len() - value.len();
                return Some(self.0[from..self.end(start + line.len())].trim());
            }
            start += line.len();
        }
        None
    }

    /// Where the lines that begin with white space end.
    fn end(&self, from: usize) -> usize {
        let continued = self.0[from..].split_inclusive('\n').take_while(|line| line.starts_with([' ', '\t']));
        from + continued.map(str::len).sum::<usize>()
    }
}

fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    found.eq_ignore_ascii_case(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_with_the_lines_that_continue_them() {
        let text = "\nPackage: a\nDepends: b,\n c (>= 1)\nSize: 3\n\n\nPackage: d\n";
        let all: Vec<Stanza<'_>> = stanzas(text).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].field("package"), Some("a"));
        assert_eq!(all[0].field("Depends"), Some("b,\n c (>= 1)"));
        assert_eq!(all[0].field("Size"), Some("3"));
        assert_eq!(all[1].field("Depends"), None);
    }
}
