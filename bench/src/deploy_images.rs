//! The images that are deployed: a runtime that both services share, and above it the service and its version.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::agent::Problem;
use crate::deploy_host::output;
use crate::deploy_tools::IMAGES;

const DOCKERFILE: &str = "FROM scratch\nCOPY runtime /\nCOPY service version /\nSTOPSIGNAL SIGKILL\n\
                          ENTRYPOINT [\"/service\"]\nCMD [\"serve\"]\n";
const SERVICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../toolbox/tests/it/fixture/service.rs");

/// Images of this machine's engine; they are removed when this is dropped.
pub(crate) struct Images {
    directory: TempDir,
}

impl Images {
    /// Compiles the service. `runtime` is a program that the services do not use: it stands for what real images hold.
    pub(crate) fn new(runtime: &Path) -> Result<Self, Problem> {
        let directory = tempfile::tempdir()?;
        let path = directory.path();
        fs::copy(runtime, path.join("runtime"))?;
        fs::write(path.join("Dockerfile"), DOCKERFILE)?;
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition", "2024", "-C", "opt-level=s", "-C", "strip=symbols", "-C", "panic=abort"]);
        output(rustc.args(["-C", "target-feature=+crt-static", "-o"]).arg(path.join("service")).arg(SERVICE))?;
        Ok(Self { directory })
    }

    /// Builds one of them anew, with another upper layer than ever before.
    pub(crate) fn build(&self, image: &str) -> Result<(), Problem> {
        let now = std::time::SystemTime::now();
        fs::write(self.directory.path().join("version"), format!("{image} {now:?}"))?;
        let mut build = Command::new("docker");
        // The builder that every engine has without a plug-in.
        build.args(["build", "--quiet", "--tag", image, "."]).env("DOCKER_BUILDKIT", "0");
        output(build.current_dir(self.directory.path())).map(drop)
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        // Whatever stays is named to nobody else's harm.
        let _ = output(Command::new("docker").args(["image", "rm", "--force"]).args(IMAGES));
    }
}
