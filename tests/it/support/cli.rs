//! The built binary, run as an operator runs it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// More than any command needs; a refusal that does not come is a service that started.
const PATIENCE: Duration = Duration::from_secs(20);

/// A command to be run, in an empty folder unless told another, with no settings from outside.
#[derive(Debug)]
pub(crate) struct Flagstaff {
    command: Command,
    /// What it reads; nothing, unless told.
    input: Option<String>,
    _folder: TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Flagstaff {
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_flagstaff"));
        command.args(arguments).env_clear().current_dir(folder.path()).stdin(Stdio::null());
        Self { command, input: None, _folder: folder }
    }

    /// Gives it something to read.
    pub(crate) fn input(mut self, text: impl Into<String>) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some(text.into());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it to its end, whatever that is.
    pub(crate) fn outcome(mut self) -> Outcome {
        let piped = self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let stdout = read_on(child.stdout.take().unwrap());
        let stderr = read_on(child.stderr.take().unwrap());
        if let (Some(text), Some(mut pipe)) = (self.input.take(), child.stdin.take()) {
            // It need not read all of it.
            let _ = pipe.write_all(text.as_bytes());
        }
        let code = ended(&mut child).code();
        Outcome { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
    }

    /// Runs it to its good end.
    pub(crate) fn run(self) -> Outcome {
        let outcome = self.outcome();
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome
    }

    /// Starts it, to be stopped.
    pub(crate) fn start(mut self) -> Running {
        let mut child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = read_on(child.stdout.take().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        while !log.contains("serving") {
            assert_ne!(stderr.read_line(&mut log).unwrap(), 0, "it ended early: {log}");
        }
        let rest = read_on(stderr);
        Running { child, stdout: Some(stdout), rest: Some(rest), log, _folder: self._folder }
    }
}

/// Reads a pipe to its end in a thread, so that a full one never stops the writer.
fn read_on(pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || std::io::read_to_string(pipe).unwrap())
}

/// Waits for the end of a process, and kills one that does not come to it.
fn ended(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Outcome {
    pub(crate) fn last_line(&self) -> String {
        self.stdout.lines().last().unwrap_or_default().to_owned()
    }
}

/// A service in a process of its own, killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    rest: Option<JoinHandle<String>>,
    log: String,
    _folder: TempDir,
}

impl Running {
    /// An address from the line that says where it serves: `address` or `ops.address`.
    pub(crate) fn address(&self, name: &str) -> String {
        let line = self.log.lines().find(|line| line.contains("serving")).unwrap();
        let given = line.split_whitespace().find_map(|word| word.strip_prefix(&format!("{name}=")));
        given.unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGKILL, which gives it no time for anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        ended(&mut self.child);
    }

    /// Ends it as an orchestrator does, and gives its exit status and all of its output.
    pub(crate) fn terminate(mut self) -> (ExitStatus, String, String) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let status = ended(&mut self.child);
        let stdout = self.stdout.take().unwrap().join().unwrap();
        let stderr = self.log.clone() + &self.rest.take().unwrap().join().unwrap();
        (status, stdout, stderr)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone already after `terminate`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
