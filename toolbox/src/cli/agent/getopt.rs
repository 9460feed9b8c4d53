//! `ssh-agent`'s command line, with getopt's habits: letters glued to their values or apart, bundled, in any order, up
//! to `--` or the first word, which begins the command.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use super::options::{OptionError, Typed};

#[cfg(test)]
mod tests;

/// Reads arguments, the program's own name not among them.
///
/// # Errors
/// [`OptionError`]: unknown letters, missing values, and conflicts as early as getopt's caller sees them.
pub(super) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Typed, OptionError> {
    // ssh-agent knows no agent before it.
    let mut typed = Typed { no_upstream: true, ..Typed::default() };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_bytes() {
            b"--" => break,
            [b'-', letters @ ..] if !letters.is_empty() => {
                word(&mut typed, letters, &mut arguments)?;
            }
            _ => {
                typed.command.push(argument);
                break;
            }
        }
    }
    typed.command.extend(arguments);
    Ok(typed)
}

/// One word of letters; a letter with a value takes the rest of the word, or the next one.
fn word(typed: &mut Typed, letters: &[u8], arguments: &mut impl Iterator<Item = OsString>) -> Result<(), OptionError> {
    for (at, letter) in letters.iter().enumerate() {
        if flag(typed, *letter)? {
            continue;
        }
        let letter = char::from(*letter);
        if !"aEOPt".contains(letter) {
            return Err(OptionError::Unknown(letter.to_string()));
        }
        let glued = OsStr::from_bytes(&letters[at + 1..]);
        let value = if glued.is_empty() { arguments.next() } else { Some(glued.to_owned()) };
        store(typed, letter, value.ok_or(OptionError::NoValue(letter))?);
        break;
    }
    Ok(())
}

/// Whether the letter is a flag; it is set then.
fn flag(typed: &mut Typed, letter: u8) -> Result<bool, OptionError> {
    let place = match letter {
        b'c' => &mut typed.csh,
        b's' => &mut typed.sh,
        b'k' => &mut typed.kill,
        b'd' | b'D' if typed.debug || typed.foreground => {
            return Err(OptionError::Conflict("-d and -D exclude each other"));
        }
        b'd' => &mut typed.debug,
        b'D' => &mut typed.foreground,
        _ => return Ok(false),
    };
    *place = true;
    Ok(true)
}

fn store(typed: &mut Typed, letter: char, value: OsString) {
    // What is not UTF-8 is a path, or wrong in any case.
    let text = || value.to_string_lossy().into_owned();
    match letter {
        'a' => typed.address = Some(value.into()),
        'E' => typed.hash = Some(text()),
        'O' => typed.option.push(text()),
        'P' => typed.providers.push(text()),
        _ => typed.life = Some(text()),
    }
}
