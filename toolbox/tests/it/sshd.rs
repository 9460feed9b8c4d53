//! Real OpenSSH for tests: an sshd with its own configuration and keys, an ssh-agent, key pairs.
//!
//! Each sshd listens on a free loopback port, lets only the current user in, keeps everything in a
//! temporary directory and is ended, by its process id, when it is dropped. Needs openssh-server and
//! openssh-client.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use toolbox::ssh::{AgentDialer, Target};

/// A key pair in files, as ssh-keygen makes it.
pub(crate) struct KeyPair {
    pub(crate) private: PathBuf,
    /// The public key line.
    pub(crate) public: String,
}

impl KeyPair {
    /// Makes a key pair of `kind` (`rsa`, `ed25519`, `ecdsa`) in `directory`.
    pub(crate) fn generate(directory: &Path, name: &str, kind: &str) -> Self {
        let private = directory.join(name);
        let path = private.to_str().unwrap();
        let bits: &[&str] = if kind == "rsa" { &["-b", "2048"] } else { &[] };
        run("ssh-keygen", &[&["-q", "-t", kind, "-N", "", "-C", name, "-f", path], bits].concat());
        let public = fs::read_to_string(private.with_extension("pub")).unwrap().trim().to_owned();
        Self { private, public }
    }

    /// Type and base64, without the comment.
    pub(crate) fn public_without_comment(&self) -> String {
        self.public.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// `SHA256:…`, as ssh-keygen prints it.
    pub(crate) fn fingerprint(&self) -> String {
        let listed = run("ssh-keygen", &["-lf", self.private.to_str().unwrap()]);
        listed.split(' ').nth(1).unwrap().to_owned()
    }

    /// Signs the public key with `authority`; the certificate lies beside it as `-cert.pub`.
    pub(crate) fn certify(&self, authority: &KeyPair, extra: &[&str]) -> PathBuf {
        let public = self.private.with_extension("pub");
        let authority = authority.private.to_str().unwrap();
        run("ssh-keygen", &[&["-q", "-s", authority, "-I", "test"], extra, &[public.to_str().unwrap()]].concat());
        PathBuf::from(format!("{}-cert.pub", self.private.display()))
    }
}

/// A running sshd.
pub(crate) struct Sshd {
    pub(crate) directory: TempDir,
    pub(crate) port: u16,
    /// The host keys: ed25519 and rsa.
    pub(crate) host_keys: [KeyPair; 2],
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Sshd {
    /// Starts an sshd that accepts `key`, with `settings` (lines of sshd_config) before the
    /// defaults, so that they win.
    pub(crate) fn start(key: &KeyPair, settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let host_keys =
            ["ed25519", "rsa"].map(|kind| KeyPair::generate(directory.path(), &format!("host_{kind}"), kind));
        fs::write(directory.path().join("authorized_keys"), format!("{}\n", key.public)).unwrap();
        // sshd started by root insists on this directory for its unprivileged part.
        let _ = fs::create_dir_all("/run/sshd");
        let (port, child, log) =
            (0..5).find_map(|_| listen(directory.path(), settings)).expect("sshd found no free port");
        Self { directory, port, host_keys, child, log }
    }

    /// An sshd whose host key is certified for its address, and the authority's key.
    pub(crate) fn certified(directory: &Path, key: &KeyPair) -> (Self, KeyPair) {
        let authority = KeyPair::generate(directory, "authority", "ed25519");
        let host = KeyPair::generate(directory, "host", "ed25519");
        let certificate = host.certify(&authority, &["-h", "-n", "127.0.0.1"]);
        let settings =
            [format!("HostKey {}", host.private.display()), format!("HostCertificate {}", certificate.display())];
        (Self::start(key, &settings.each_ref().map(String::as_str)), authority)
    }

    /// The directory that holds configuration and keys.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A target whose known_hosts has both host keys.
    pub(crate) fn target(&self) -> Target {
        let lines = self.host_keys.iter().map(|key| format!("[127.0.0.1]:{} {}\n", self.port, key.public));
        self.target_with(&lines.collect::<String>())
    }

    /// A target with `known_hosts` as the text of its known_hosts.
    pub(crate) fn target_with(&self, known_hosts: &str) -> Target {
        let file = self.path("known_hosts");
        fs::write(&file, known_hosts).unwrap();
        Target { name: "vm".to_owned(), known_hosts: vec![file], ..Target::new("127.0.0.1", self.port, &user()) }
    }

    /// Lets these keys in instead of the one that it was started with.
    pub(crate) fn authorize(&self, keys: &[&KeyPair]) {
        let lines: String = keys.iter().map(|key| format!("{}\n", key.public)).collect();
        fs::write(self.path("authorized_keys"), lines).unwrap();
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.log().matches("Connection from").count()
    }

    /// What sshd has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- log of sshd ---\n{}", self.log());
        }
    }
}

/// Starts an sshd on a free port and waits until it says that it listens; `None` when somebody else
/// took the port in between.
fn listen(directory: &Path, settings: &[&str]) -> Option<(u16, Child, Arc<Mutex<String>>)> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = directory.join("sshd_config");
    fs::write(&config, sshd_config(directory, port, settings)).unwrap();
    let mut child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f", config.to_str().unwrap()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssh-server is needed");
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut log = String::new();
    while !log.contains("Server listening on") {
        if stderr.read_line(&mut log).unwrap() == 0 {
            let _ = child.wait();
            assert!(log.contains("in use"), "sshd did not start: {log}");
            return None;
        }
    }
    let log = Arc::new(Mutex::new(log));
    collect(stderr, log.clone());
    Some((port, child, log))
}

/// Keeps reading, so that sshd never waits for a reader of its log.
fn collect(mut stderr: BufReader<ChildStderr>, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stderr.read(&mut chunk) {
            log.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
    });
}

/// bash reads ~/.bashrc for a command by SSH as well, unless it takes itself for an inner shell; what stands in the
/// tester's own is nothing that a test should depend on.
const NO_LOGIN_SCRIPTS: &str = "SetEnv SHLVL=2";

fn sshd_config(directory: &Path, port: u16, settings: &[&str]) -> String {
    let directory = directory.display();
    // Of MaxStartups the last counts.
    format!(
        "MaxStartups 100\n\
         {}\n\
         ListenAddress 127.0.0.1:{port}\n\
         HostKey {directory}/host_ed25519\n\
         HostKey {directory}/host_rsa\n\
         AuthorizedKeysFile {directory}/authorized_keys\n\
         PidFile none\n\
         StrictModes no\n\
         UsePAM no\n\
         PermitRootLogin prohibit-password\n\
         PasswordAuthentication no\n\
         KbdInteractiveAuthentication no\n\
         LogLevel VERBOSE\n\
         {NO_LOGIN_SCRIPTS}\n",
        settings.join("\n"),
    )
}

/// A running ssh-agent.
pub(crate) struct SshAgent {
    /// Kept for as long as the agent runs.
    #[allow(dead_code, reason = "it is there to be dropped")]
    directory: Option<TempDir>,
    socket: PathBuf,
    child: Child,
}

impl SshAgent {
    /// Starts an agent that holds `keys` in this order.
    pub(crate) fn with(keys: &[&KeyPair]) -> Self {
        let agent = Self::start(&[], &[]);
        for key in keys {
            agent.add(key);
        }
        agent
    }

    /// Starts an agent with these words before the command and these variables.
    pub(crate) fn start(before: &[&str], variables: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("agent");
        let mut agent = Self::at(&socket, before, variables);
        agent.directory = Some(directory);
        agent
    }

    /// Starts an agent that listens here.
    pub(crate) fn at(socket: &Path, before: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut words = before.iter().copied().chain(["ssh-agent"]);
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .args(["-D", "-a", socket.to_str().unwrap()])
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("openssh-client is needed");
        // It prints the path once the socket listens.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("SSH_AUTH_SOCK"), "ssh-agent said {line:?}");
        Self { directory: None, socket: socket.to_owned(), child }
    }

    /// Adds a key, and its certificate if there is one beside it.
    pub(crate) fn add(&self, key: &KeyPair) {
        self.add_with(key, &[]);
    }

    /// Adds a key with further arguments of ssh-add, such as constraints.
    pub(crate) fn add_with(&self, key: &KeyPair, arguments: &[&str]) {
        let added = Command::new("ssh-add")
            .arg("-q")
            .args(arguments)
            .arg(&key.private)
            .env("SSH_AUTH_SOCK", self.socket())
            .status();
        assert!(added.unwrap().success());
    }

    pub(crate) fn dialer(&self) -> AgentDialer {
        AgentDialer::unix_socket(self.socket())
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone()
    }
}

impl Drop for SshAgent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The user who runs the tests.
pub(crate) fn user() -> String {
    run("id", &["-un"]).trim().to_owned()
}

/// Runs a program that must succeed, and returns its stdout.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
