//! What git says of the working tree, from its files alone (gitrepository-layout(5)).

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// References that name references that name references end here, as in git.
const MOST_HOPS: usize = 5;
/// Longer files of one line are none of git's.
const MOST_BYTES: u64 = 4096;

/// Digits of a revision that are shown.
const SHORT: usize = 10;

/// Where the working tree stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The commit's id: 40 or 64 hexadecimal digits.
    pub revision: String,
    /// The branch; absent where HEAD is detached.
    pub branch: Option<String>,
}

impl Git {
    /// What holds for this directory; `None` outside of a working tree, before the first commit, and for repositories
    /// that keep their references in another form than files.
    pub fn read(directory: &Path) -> Option<Self> {
        let own = directory.ancestors().find_map(git_directory)?;
        let common = first_line(&own.join("commondir")).map_or_else(|| own.clone(), |path| own.join(path));
        let mut name = first_line(&own.join("HEAD"))?;
        let branch = name.strip_prefix("ref: refs/heads/").map(str::to_owned);
        for _ in 0..MOST_HOPS {
            match name.strip_prefix("ref: ") {
                Some(reference) => name = resolve(reference.trim(), &own, &common)?,
                None => return is_revision(&name).then_some(Self { revision: name, branch }),
            }
        }
        None
    }

    /// The beginning of the revision, as people write it.
    pub fn short(&self) -> &str {
        self.revision.get(..SHORT).unwrap_or(&self.revision)
    }

    /// The revision is one.
    pub(super) fn has_revision(&self) -> bool {
        is_revision(&self.revision)
    }
}

/// `.git` is the repository, or a file that says where it is (a linked working tree, a submodule).
fn git_directory(directory: &Path) -> Option<PathBuf> {
    let path = directory.join(".git");
    if path.is_dir() {
        return Some(path);
    }
    let line = first_line(&path)?;
    Some(directory.join(line.strip_prefix("gitdir: ")?))
}

/// A reference's content: loose in this working tree, loose in the repository, packed.
fn resolve(reference: &str, own: &Path, common: &Path) -> Option<String> {
    if !reference.starts_with("refs/") || reference.split('/').any(|part| part == "..") {
        return None;
    }
    let loose = || first_line(&own.join(reference)).or_else(|| first_line(&common.join(reference)));
    loose().or_else(|| packed(reference, &common.join("packed-refs")))
}

fn packed(reference: &str, file: &Path) -> Option<String> {
    let lines = BufReader::new(fs::File::open(file).ok()?).lines().map_while(Result::ok);
    let mut pairs = lines.filter_map(|line| line.split_once(' ').map(|(id, name)| (id.to_owned(), name.to_owned())));
    pairs.find(|(_, name)| name == reference).map(|(id, _)| id)
}

fn first_line(file: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(file).ok()?.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    text.lines().next().map(|line| line.trim_end().to_owned())
}

fn is_revision(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(directory: &Path, arguments: &[&str]) -> String {
        let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"];
        let mut command = Command::new("git");
        command.arg("-C").arg(directory).args(identity).args(arguments);
        let output = command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A repository with one commit on the branch `main`.
    fn repository() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("work");
        fs::create_dir(&path).unwrap();
        git(&path, &["init", "-q"]);
        git(&path, &["commit", "-q", "--allow-empty", "-m", "one"]);
        (directory, path)
    }

    /// What git itself says of the directory.
    fn truth(directory: &Path) -> Option<Git> {
        let branch = git(directory, &["branch", "--show-current"]);
        Some(Git { revision: git(directory, &["rev-parse", "HEAD"]), branch: (!branch.is_empty()).then_some(branch) })
    }

    #[test]
    fn revision_and_branch_are_those_that_git_names() {
        let (_directory, path) = repository();
        assert_eq!(Git::read(&path), truth(&path));
        fs::create_dir_all(path.join("deep/down")).unwrap();
        assert_eq!(Git::read(&path.join("deep/down")), truth(&path), "in a directory of the working tree");
        git(&path, &["switch", "-q", "-c", "feature/x"]);
        git(&path, &["commit", "-q", "--allow-empty", "-m", "two"]);
        git(&path, &["pack-refs", "--all"]);
        assert_eq!(Git::read(&path), truth(&path), "packed");
        git(&path, &["switch", "-q", "--detach", "main"]);
        assert_eq!(Git::read(&path), truth(&path), "detached");
        assert_eq!(Git::read(&path).unwrap().branch, None);
    }

    #[test]
    fn a_linked_working_tree_has_its_own_head() {
        let (directory, path) = repository();
        let linked = directory.path().join("linked");
        git(&path, &["worktree", "add", "-q", "-b", "other", linked.to_str().unwrap()]);
        git(&linked, &["commit", "-q", "--allow-empty", "-m", "two"]);
        assert_eq!(Git::read(&linked), truth(&linked));
        git(&path, &["pack-refs", "--all"]);
        assert_eq!(Git::read(&linked), truth(&linked), "packed");
        assert_ne!(Git::read(&linked), Git::read(&path));
    }

    #[test]
    fn a_revision_is_shortened_whatever_it_holds() {
        for (revision, short) in [("0123456789abcdef", "0123456789"), ("0123", "0123"), ("012345678éf", "012345678éf")]
        {
            assert_eq!(Git { revision: revision.into(), branch: None }.short(), short);
        }
    }

    #[test]
    fn where_git_knows_no_commit_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Git::read(directory.path()), None);
        git(directory.path(), &["init", "-q"]);
        assert_eq!(Git::read(directory.path()), None, "before the first commit");
        fs::write(directory.path().join(".git/HEAD"), "ref: refs/../../secret").unwrap();
        assert_eq!(Git::read(directory.path()), None, "no way out of the repository");
        fs::write(directory.path().join(".git/HEAD"), "ref: refs/heads/a").unwrap();
        fs::create_dir_all(directory.path().join(".git/refs/heads")).unwrap();
        fs::write(directory.path().join(".git/refs/heads/a"), "ref: refs/heads/a").unwrap();
        assert_eq!(Git::read(directory.path()), None, "a reference to itself");
    }
}
