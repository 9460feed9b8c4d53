//! Services that a person names.

use std::collections::BTreeSet;

use crate::yaml::nearest;

use super::Project;

/// The project has no service with this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the project {project} has no service {name}")]
pub struct UnknownService {
    /// The project.
    pub project: String,
    /// What was asked for.
    pub name: String,
    /// The services that there are, sorted.
    pub known: Vec<String>,
}

impl UnknownService {
    /// The nearest name, and all that there are.
    pub fn hint(&self) -> String {
        let known = self.known.iter().map(String::as_str);
        let meant = nearest(&self.name, known).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        format!("{meant}services of this project: {}; one under a profile needs --profile", self.known.join(", "))
    }
}

impl Project {
    /// The services with these names.
    ///
    /// # Errors
    /// Every name that the project does not have.
    pub fn choose<'n>(
        &self,
        names: impl IntoIterator<Item = &'n String>,
    ) -> Result<BTreeSet<String>, Vec<UnknownService>> {
        let (known, unknown): (Vec<&String>, Vec<&String>) =
            names.into_iter().partition(|name| self.services.contains_key(*name));
        let all = || self.services.keys().cloned().collect();
        let refused = |name: &String| UnknownService { project: self.name.clone(), name: name.clone(), known: all() };
        match unknown.is_empty() {
            true => Ok(known.into_iter().cloned().collect()),
            false => Err(unknown.into_iter().map(refused).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::project;

    #[test]
    fn unknown_names_are_all_refused_with_the_nearest_and_those_that_there_are() {
        let project = project("{name: shop, services: {web: {image: a}, db: {image: b}}}");
        let choose = |names: &[&str]| project.choose(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(choose(&["db"]).unwrap().into_iter().collect::<Vec<_>>(), ["db"]);
        let unknown = choose(&["wbe", "db", "x"]).unwrap_err();
        let texts: Vec<String> = unknown.iter().map(|u| format!("{u}: {}", u.hint())).collect();
        let rest = "services of this project: db, web; one under a profile needs --profile";
        assert_eq!(
            texts,
            [
                format!("the project shop has no service wbe: did you mean web? {rest}"),
                format!("the project shop has no service x: {rest}"),
            ]
        );
    }
}
