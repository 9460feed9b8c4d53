//! The images that are pushed: three layers (a base, what the program needs, the program) filled with what this machine
//! has in /usr, so that they shrink as real ones do, and with a tenth that does not shrink.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::agent::Problem;
use crate::deploy_host::output;

/// The image that is pushed; what it is tagged for changes from push to push.
pub(crate) const IMAGE: &str = "toolbox-bench/push:current";

/// Smaller files are not taken, so that time goes into bytes.
const SMALLEST: u64 = 16 << 10;

/// Larger ones are cut.
const LARGEST: u64 = 4 << 20;

/// What was done to an image since the last push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing of it is on the host.
    First,
    Nothing,
    /// A line more in the program: some bytes are inserted, and in each MiB a few are others.
    Edit,
    /// Another program.
    Top,
    /// Another twentieth of the base's files.
    Base,
}

impl Change {
    pub(crate) const ALL: [Self; 5] = [Self::First, Self::Nothing, Self::Edit, Self::Top, Self::Base];

    /// As tables call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first push",
            Self::Nothing => "nothing changed",
            Self::Edit => "top layer edited",
            Self::Top => "top layer replaced",
            Self::Base => "base changed",
        }
    }

    fn tag(self) -> &'static str {
        match self {
            Self::First | Self::Nothing => "first",
            Self::Edit => "edit",
            Self::Top => "top",
            Self::Base => "base",
        }
    }
}

/// An image of one size in all its states, in this machine's engine; removed when this is dropped.
pub(crate) struct Images {
    name: String,
}

impl Images {
    /// Builds an image of about this many bytes: six tenths base, three tenths in the middle, one tenth program.
    pub(crate) fn build(bytes: u64) -> Result<Self, Problem> {
        let images = Self { name: format!("toolbox-bench/push-{}", bytes / 1_000_000) };
        let directory = tempfile::tempdir()?;
        let mut supply = Supply::new()?;
        for (layer, share) in [("base", 6), ("middle", 3)] {
            supply.fill(&directory.path().join(layer), bytes * share / 10)?;
        }
        let program = supply.take(bytes / 10)?;
        images.state("first", &directory, &program)?;
        images.program("edit", &directory, &edited(&program))?;
        images.program("top", &directory, &supply.take(bytes / 10)?)?;
        let base = directory.path().join("base");
        supply.fill(&base, bytes * 6 / 10 / 20)?;
        images.state("base", &directory, &program)?;
        Ok(images)
    }

    /// Makes [`IMAGE`] what it is after this change.
    pub(crate) fn make_current(&self, change: Change) -> Result<(), Problem> {
        output(Command::new("docker").args(["tag", &format!("{}:{}", self.name, change.tag()), IMAGE])).map(drop)
    }

    /// All three layers from the directory.
    fn state(&self, state: &str, directory: &TempDir, program: &[u8]) -> Result<(), Problem> {
        self.layer(&directory.path().join("base"), "scratch", "base")?;
        self.layer(&directory.path().join("middle"), &format!("{}:base-layer", self.name), "middle")?;
        self.program(state, directory, program)
    }

    fn program(&self, state: &str, directory: &TempDir, program: &[u8]) -> Result<(), Problem> {
        let top = directory.path().join("top");
        fs::create_dir_all(&top)?;
        fs::write(top.join("program"), program)?;
        dockerfile(&top, &format!("{}:middle-layer", self.name))?;
        build(&top, &format!("{}:{state}", self.name))
    }

    fn layer(&self, content: &Path, from: &str, layer: &str) -> Result<(), Problem> {
        dockerfile(content, from)?;
        build(content, &format!("{}:{layer}-layer", self.name))
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        // Whatever stays is named to nobody else's harm.
        let tags = ["base-layer", "middle-layer", "first", "edit", "top", "base"];
        let tags = tags.map(|tag| format!("{}:{tag}", self.name));
        let _ = output(Command::new("docker").args(["image", "rm", "--force", IMAGE]).args(tags));
    }
}

fn dockerfile(directory: &Path, from: &str) -> Result<(), Problem> {
    let name = directory.file_name().unwrap_or_default().display();
    Ok(fs::write(directory.join("Dockerfile"), format!("FROM {from}\nCOPY . /{name}\nCMD [\"/top/program\"]\n"))?)
}

fn build(directory: &Path, image: &str) -> Result<(), Problem> {
    let mut build = Command::new("docker");
    // The builder that every engine has without a plug-in.
    build.args(["build", "--quiet", "--tag", image, "."]).env("DOCKER_BUILDKIT", "0");
    output(build.current_dir(directory)).map(drop)
}

fn edited(program: &[u8]) -> Vec<u8> {
    let mut edited = program.to_vec();
    edited.chunks_mut(1 << 20).for_each(|part| part.iter_mut().take(8).for_each(|byte| *byte = 0x5a));
    let third = edited.len() / 3;
    edited.splice(third..third, *b"one line more, which moves everything behind it by a few bytes\n");
    edited
}

/// Bytes as images hold them, never the same twice.
struct Supply {
    files: Vec<PathBuf>,
    next: usize,
    random: File,
}

impl Supply {
    fn new() -> Result<Self, Problem> {
        let mut files = Vec::new();
        for directory in ["/usr/lib", "/usr/bin", "/usr/share"] {
            walk(Path::new(directory), &mut files);
        }
        files.sort();
        if files.is_empty() {
            return Err("there is nothing in /usr to fill images with".into());
        }
        Ok(Self { files, next: 0, random: File::open("/dev/urandom")? })
    }

    /// One file's worth, at most `limit` bytes. Every tenth is random.
    fn file(&mut self, limit: u64) -> Result<Vec<u8>, Problem> {
        let (pass, at) = (self.next / self.files.len(), self.next % self.files.len());
        let mut bytes = Vec::new();
        File::open(&self.files[at])?.take(LARGEST.min(limit)).read_to_end(&mut bytes)?;
        if self.next % 10 == 9 {
            self.random.read_exact(&mut bytes)?;
        }
        // When all have been used they come again as others.
        let mask = u8::try_from(pass % 256)?;
        bytes.iter_mut().for_each(|byte| *byte ^= mask);
        self.next += 1;
        Ok(bytes)
    }

    /// Writes files into a directory, over those that it has.
    fn fill(&mut self, directory: &Path, bytes: u64) -> Result<(), Problem> {
        fs::create_dir_all(directory)?;
        let (mut left, mut number) = (bytes, 0);
        while left > 0 {
            let content = self.file(left)?;
            left -= content.len() as u64;
            fs::write(directory.join(number.to_string()), content)?;
            number += 1;
        }
        Ok(())
    }

    fn take(&mut self, bytes: u64) -> Result<Vec<u8>, Problem> {
        let mut taken = Vec::new();
        while (taken.len() as u64) < bytes {
            let content = self.file(bytes - taken.len() as u64)?;
            taken.write_all(&content)?;
        }
        Ok(taken)
    }
}

/// Readable files that are large enough; what cannot be looked into is left out.
fn walk(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type());
        match kind {
            Ok(kind) if kind.is_dir() => walk(&path, files),
            Ok(kind) if kind.is_file() && entry.metadata().is_ok_and(|data| data.len() >= SMALLEST) => files.push(path),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_moves_what_is_behind_it_and_leaves_nearly_all_as_it_was() {
        let program: Vec<u8> = (0..3 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
        let edited = edited(&program);
        assert_eq!(edited.len(), program.len() + 63);
        assert_eq!(edited[8..1 << 20], program[8..1 << 20]);
        assert_eq!(edited[edited.len() - 1000..], program[program.len() - 1000..]);
    }

    #[test]
    fn supplies_are_as_large_as_wanted_and_never_the_same() {
        let mut supply = Supply::new().unwrap();
        let (first, second) = (supply.take(1 << 20).unwrap(), supply.take(1 << 20).unwrap());
        assert_eq!((first.len(), second.len()), (1 << 20, 1 << 20));
        assert_ne!(first, second);
    }
}
