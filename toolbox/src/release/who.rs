//! Who deploys, as others shall read it.

/// The most characters that are kept of a name.
const MOST: usize = 100;

/// `TOOLBOX_USER` where it is set, else `user@machine`; the user is `USER`, else the uid.
pub fn who() -> String {
    let variable = |name: &str| std::env::var(name).ok();
    let uid = rustix::process::getuid().as_raw();
    let system = rustix::system::uname();
    name(variable("TOOLBOX_USER"), variable("USER"), uid, &system.nodename().to_string_lossy())
}

fn name(given: Option<String>, user: Option<String>, uid: u32, machine: &str) -> String {
    let given = given.map(|text| plain(&text)).filter(|text| !text.is_empty());
    given.unwrap_or_else(|| {
        let user = user.map(|text| plain(&text)).filter(|text| !text.is_empty());
        plain(&format!("{}@{machine}", user.unwrap_or_else(|| format!("uid {uid}"))))
    })
}

/// It is shown on other people's terminals.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MOST).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_given_name_stands_before_the_user_and_the_user_before_the_uid() {
        assert_eq!(name(text("ci #41"), text("ann"), 7, "box"), "ci #41");
        assert_eq!(name(None, text("ann"), 7, "box"), "ann@box");
        assert_eq!(name(text(" "), text(""), 7, "box"), "uid 7@box");
    }

    #[test]
    fn nothing_that_moves_a_cursor_is_kept() {
        assert_eq!(name(text("a\x1b[2J\nb"), None, 7, "box"), "a[2Jb");
        assert_eq!(name(text(&"x".repeat(1000)), None, 7, "box").len(), MOST);
    }
}
