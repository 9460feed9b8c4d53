//! `toolbox deploy`

use std::path::Path;

use crate::agent::KeySource;
use crate::compose::Project;
use crate::plan::{Plan, render};
use crate::ui::Ui;

use super::args::{Common, Deploy};
use super::begin::{Begun, begin};
use super::exit_status::ExitStatus;
use super::failure::{Failure, Failures};
use super::interrupt;
use super::plan_file::PlanFile;
use super::prepare::{Asked, Prepared, prepare};
use super::records::Record;
use super::rollout::{Finished, Rollout, end};

/// Shows what has to change, changes it, and says what became of every host.
pub(super) async fn run(
    common: &Common,
    arguments: &Deploy,
    key: Option<KeySource>,
    ui: Ui,
) -> Result<ExitStatus, Failures> {
    let bundle = arguments.bundle.open()?;
    let mut begun = begin(common, key, ui).await?;
    begun.bundle = bundle;
    let finished = deploy(&begun, arguments, ui).await;
    end(begun, finished, &ui).await
}

async fn deploy(begun: &Begun, arguments: &Deploy, ui: Ui) -> Result<Vec<Finished>, Failures> {
    let project = &begun.context.project;
    let file = plan_file(&arguments.what, project)?;
    let (services, remove_orphans) = match &file {
        Some(file) => (&file.services, file.remove_orphans),
        None => (&arguments.what, arguments.remove_orphans),
    };
    let asked = Asked { images: &arguments.images, services, remove_orphans };
    let prepared = interrupt::or_interrupted(&begun.interrupted, prepare(begun, &asked)).await?;
    let Prepared { works, supplies, images } = prepared;
    if let Some(file) = &file {
        let plans: Vec<Plan> = works.iter().map(|work| work.plan.clone()).collect();
        file.check(&PlanFile::new(project, &asked, &images, &plans))?;
    }
    works.iter().for_each(|work| ui.say(render(&work.plan).trim_end()));
    let rollout = Rollout::new(&arguments.rollout, &project.toolbox, works.len(), supplies, Record::default());
    let rollout = Rollout { exactly: file.is_some(), ..rollout };
    Ok(rollout.run(works, begun, ui).await)
}

/// One word that is no service and names a file is a plan.
fn plan_file(what: &[String], project: &Project) -> Result<Option<PlanFile>, Failures> {
    match what {
        [one] if !project.services.contains_key(one) && Path::new(one).is_file() => {
            let file = PlanFile::read(Path::new(one))?;
            file.check_project(&project.name)?;
            Ok(Some(file))
        }
        [one] if !project.services.contains_key(one) && one.ends_with(".json") => {
            let message = format!("{one}: there is no such plan file, and no such service");
            let hint = format!("make it first: toolbox plan --out {one}");
            Err(Failures::configuration(vec![Failure::text(message, Some(hint))]))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::testing::project;

    #[test]
    fn a_plan_file_that_is_not_there_is_no_unknown_service() {
        let project = project("services: {web: {image: a}, odd.json: {image: a}}");
        let file = |word: &str| plan_file(&[word.to_owned()], &project).map(|file| file.is_some());
        assert!(file("no/such.json").is_err());
        for service in ["web", "odd.json", "wbe"] {
            assert!(matches!(file(service), Ok(false)), "{service}");
        }
    }
}
