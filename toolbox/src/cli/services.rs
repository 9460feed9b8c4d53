//! Services that a person names.

use std::collections::BTreeSet;

use crate::compose::Project;
use crate::yaml::nearest;

use super::failure::{Failure, Failures};

/// The services with these names, or all where there is none.
///
/// # Errors
/// Every name that the project does not have, with the nearest one.
pub(super) fn chosen(project: &Project, names: &[String]) -> Result<BTreeSet<String>, Failures> {
    if names.is_empty() {
        return Ok(project.services.keys().cloned().collect());
    }
    let unknown = names.iter().filter(|name| !project.services.contains_key(*name));
    let failures: Vec<Failure> = unknown.map(|name| unknown_service(project, name)).collect();
    if failures.is_empty() { Ok(names.iter().cloned().collect()) } else { Err(Failures::configuration(failures)) }
}

fn unknown_service(project: &Project, name: &str) -> Failure {
    let known: Vec<&str> = project.services.keys().map(String::as_str).collect();
    let meant = nearest(name, known.iter().copied()).map(|near| format!("did you mean {near}? ")).unwrap_or_default();
    let hint = format!("{meant}services of this project: {}; one under a profile needs --profile", known.join(", "));
    Failure::text(format!("there is no service {name}"), Some(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::testing::project;

    #[test]
    fn unknown_names_are_all_refused_and_none_is_all() {
        let project = project("services:\n  web:\n    image: a\n  db:\n    image: b\n");
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(&project, &[]).unwrap().len(), 2);
        assert_eq!(chosen(&project, &names(&["db"])).unwrap().into_iter().collect::<Vec<_>>(), ["db"]);
        let text = format!("{:?}", chosen(&project, &names(&["wbe", "db", "x"])).unwrap_err());
        assert!(text.contains("there is no service wbe") && text.contains("did you mean web?"), "{text}");
        assert!(text.contains("there is no service x") && text.contains("services of this project: db, web"), "{text}");
    }
}
