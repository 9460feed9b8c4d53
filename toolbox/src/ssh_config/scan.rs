//! Goes through the lines for one host: `Host`, `Match`, and what stands under them.

use super::expand::{MOST, Person, Tokens};
use super::pattern::{any_matches, glob};
use super::settings::Settings;
use super::source::Node;
use super::words::{Line, delimited};
use crate::yaml::Problem;

/// Runs the command of `Match exec`; whether it ended with status 0.
pub type Exec<'a> = &'a dyn Fn(&str) -> std::io::Result<bool>;

/// What lines are compared with.
pub(super) struct Scan<'a> {
    pub(super) person: &'a Person,
    /// The host as it was typed.
    pub(super) typed: &'a str,
    /// The login user where nothing names one.
    pub(super) default_user: &'a str,
    pub(super) exec: Option<Exec<'a>>,
    /// The host's name as the first round found it; the second round is the one that `Match final` is about.
    pub(super) final_host: Option<&'a str>,
    pub(super) settings: Settings,
    pub(super) problems: Vec<Problem>,
    /// Whether a `Match final` asks for a second round.
    pub(super) wants_final: bool,
}

impl Scan<'_> {
    pub(super) fn walk(&mut self, nodes: &[Node], never: bool) {
        let mut active = !never;
        for node in nodes {
            match node {
                Node::Included(nodes) => self.walk(nodes, never || !active),
                Node::Line(line) => match line.keyword.as_str() {
                    "host" => active = self.host(line) && !never,
                    "match" => active = self.criteria(line, never) && !never,
                    _ => {
                        let taken = self.settings.take(line, active);
                        self.problems.extend(taken.err());
                    }
                },
            }
        }
    }

    fn host(&mut self, line: &Line) -> bool {
        if line.words.is_empty() || line.words.iter().any(String::is_empty) {
            self.problems.push(line.problem("has an empty pattern"));
        }
        let mut matched = false;
        for pattern in &line.words {
            match pattern.strip_prefix('!') {
                Some(negated) if glob(negated, self.typed) => return false,
                Some(_) => {}
                None => matched |= glob(pattern, self.typed),
            }
        }
        matched
    }

    fn criteria(&mut self, line: &Line, never: bool) -> bool {
        self.judge(line, never).unwrap_or_else(|problem| {
            self.problems.push(problem);
            false
        })
    }

    fn judge(&mut self, line: &Line, never: bool) -> Result<bool, Problem> {
        let (mut rest, mut result, mut count) = (line.rest.as_str(), !never, 0);
        while let Some(word) = delimited(&mut rest).filter(|word| !word.is_empty() && !word.starts_with('#')) {
            let (negated, name) = word.strip_prefix('!').map_or((false, word.as_str()), |name| (true, name));
            let name = name.to_ascii_lowercase();
            if name == "all" {
                let more = delimited(&mut rest).is_some_and(|word| !word.is_empty() && !word.starts_with('#'));
                return match count > 1 || more {
                    true => Err(line.problem("all cannot stand beside other conditions")),
                    false => Ok(result && !negated),
                };
            }
            count += 1;
            if name == "final" || name == "canonical" {
                self.wants_final |= name == "final" && !never;
                result &= self.final_host.is_some() != negated;
                continue;
            }
            let argument = delimited(&mut rest).filter(|word| !word.is_empty() && !word.starts_with('#'));
            let argument = argument.ok_or_else(|| line.problem(format!("{name} has no argument")))?;
            result &= self.meets(line, &name, &argument, result)? != negated;
        }
        match count {
            0 => Err(line.problem("has no condition")),
            _ => Ok(result),
        }
    }

    fn meets(&self, line: &Line, name: &str, argument: &str, so_far: bool) -> Result<bool, Problem> {
        let any = |text: &str| any_matches(argument.split(','), text);
        let host_list = |text: &str| any_matches(argument.to_ascii_lowercase().split(','), &text.to_ascii_lowercase());
        Ok(match name {
            "host" => host_list(&self.host_name(line)?),
            "originalhost" => host_list(self.typed),
            "user" => any(self.settings.user.as_deref().unwrap_or(self.default_user)),
            "localuser" => any(&self.person.user),
            "tagged" => any(self.settings.tag.as_deref().unwrap_or_default()),
            "exec" => so_far && self.run(line, argument)?,
            _ => {
                return Err(line.problem(format!("the condition {name} is not supported")).with_hint(
                    "supported are host, originalhost, user, localuser, tagged, exec, final, canonical, all",
                ));
            }
        })
    }

    fn run(&self, line: &Line, command: &str) -> Result<bool, Problem> {
        let Some(exec) = self.exec else {
            let hint = "allow it: --ssh-match-exec; or write the condition without a command";
            return Err(line.problem("exec would run a command, which is not allowed").with_hint(hint));
        };
        let jump = super::resolved::written_jump(&self.settings);
        let tokens = Tokens {
            host_name: self.host_name(line)?,
            typed: self.typed.to_owned(),
            port: self.settings.port.unwrap_or(22),
            user: self.settings.user.as_deref().unwrap_or(self.default_user).to_owned(),
            key_alias: self.settings.host_key_alias.as_deref().unwrap_or(self.typed).to_owned(),
            jump: jump.unwrap_or_default(),
        };
        let command = tokens.expand(command, MOST, self.person).map_err(|reason| line.problem(reason))?;
        exec(&command).map_err(|error| line.problem(format!("exec: {error}")))
    }

    /// The name so far: that of the first round, else `HostName`, else what was typed.
    fn host_name(&self, line: &Line) -> Result<String, Problem> {
        match (self.final_host, &self.settings.host_name) {
            (Some(name), _) => Ok(name.to_owned()),
            (None, Some(name)) => {
                let tokens = Tokens { host_name: self.typed.to_owned(), ..Tokens::default() };
                tokens.expand(&name.value, "h", self.person).map_err(|reason| line.problem(reason))
            }
            (None, None) => Ok(self.typed.to_owned()),
        }
    }
}
