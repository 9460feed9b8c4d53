//! Logging in to a real sshd with a FIDO key on a device in software, held by the embedded agent.

use std::fs;
use std::path::Path;

use toolbox::agent::{AddOptions, Agent, parse};
use toolbox::ssh::{AgentDialer, Connection};

use crate::sshd::{KeyPair, Sshd, run};

/// Of Debian's package openssh-tests.
const DUMMY: &str = "/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so";

#[tokio::test]
async fn fido_keys_let_in() {
    if !Path::new(DUMMY).exists() {
        eprintln!("skipped: {DUMMY} is not installed");
        return;
    }
    for kind in ["ed25519-sk", "ecdsa-sk"] {
        let directory = tempfile::tempdir().unwrap();
        let private = directory.path().join("id");
        run("ssh-keygen", &["-q", "-t", kind, "-w", DUMMY, "-N", "", "-f", private.to_str().unwrap()]);
        let public = fs::read_to_string(private.with_extension("pub")).unwrap().trim().to_owned();
        let sshd = Sshd::start(&KeyPair { private: private.clone(), public }, &[]);

        let agent = Agent::new();
        let options = AddOptions { provider: Some(DUMMY.into()), ..AddOptions::default() };
        agent.add_with(parse(&fs::read(private).unwrap(), None).unwrap(), options).await.unwrap();
        let dialer = AgentDialer::new(move || {
            let agent = agent.clone();
            async move { Ok(agent.connect()) }
        });
        let connection = Connection::open(&sshd.target(), &dialer).await.unwrap();
        assert!(connection.exec("true", b"").await.unwrap().success(), "{kind}");
    }
}
