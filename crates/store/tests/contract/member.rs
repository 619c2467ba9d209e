//! Members of etcd, each a process of its own in a temporary directory.
#![allow(clippy::disallowed_methods, reason = "tests start processes")]

use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How a member talks.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Arguments of etcd's.
    pub arguments: Vec<String>,
    /// Whether clients talk to it over https.
    pub is_https: bool,
}

/// Where a member is, whether it runs or not.
#[derive(Debug)]
pub struct Member {
    name: String,
    directory: PathBuf,
    pub client_port: u16,
    peer_port: u16,
    /// `NAME=URL,…` of all members.
    cluster: String,
    options: Options,
    process: Option<Child>,
    is_stopped: bool,
}

/// The program, or why there is none.
pub fn program() -> Result<PathBuf, String> {
    let named = env::var_os("STORE_TEST_ETCD").map(PathBuf::from);
    let program = named.unwrap_or_else(|| PathBuf::from("etcd"));
    match Command::new(&program).arg("--version").stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(program),
        Ok(status) => Err(format!("{} ended: {status}", program.display())),
        Err(why) => Err(format!("{}: {why}", program.display())),
    }
}

/// Says that a test was skipped, if it has to be.
pub fn is_there() -> bool {
    match program() {
        Ok(_) => true,
        Err(why) => {
            eprintln!("skipped, because etcd is not there ({why}): see STORE_TEST_ETCD");
            false
        }
    }
}

/// Members that know each other, and do not run yet.
pub fn cluster(count: usize, options: &Options) -> Vec<Member> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let parent = env::temp_dir().join(format!("store-test-{}-{number}", std::process::id()));
    // All are bound before one is let go, so that no two are the same.
    let bound: Vec<_> =
        (0..count * 2).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    let ports: Vec<u16> =
        bound.iter().map(|it| it.local_addr().expect("an address").port()).collect();
    let names: Vec<String> = (0..count).map(|nth| format!("m{nth}")).collect();
    let known = names.iter().zip(&ports);
    let known: Vec<_> =
        known.map(|(name, port)| format!("{name}=http://127.0.0.1:{port}")).collect();
    names
        .iter()
        .enumerate()
        .map(|(nth, name)| Member {
            name: name.clone(),
            directory: parent.join(name),
            client_port: ports[count + nth],
            peer_port: ports[nth],
            cluster: known.join(","),
            options: options.clone(),
            process: None,
            is_stopped: false,
        })
        .collect()
}

impl Member {
    pub fn endpoint(&self) -> String {
        let scheme = if self.options.is_https { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.client_port)
    }

    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Starts it. It is not ready then: see [`Starting`].
    pub fn start(&mut self) -> Starting {
        fs::create_dir_all(&self.directory).expect("a directory");
        let (client, peer) = (self.endpoint(), format!("http://127.0.0.1:{}", self.peer_port));
        let mut process = Command::new(program().expect("etcd is there"))
            .args(["--name", &self.name])
            .arg("--data-dir")
            .arg(self.data())
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &self.cluster])
            // Elections are short, and no shorter than a busy machine is late.
            .args(["--heartbeat-interval", "50", "--election-timeout", "600"])
            .args(["--logger", "zap"])
            .args(&self.options.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("etcd starts");
        let lines = BufReader::new(process.stderr.take().expect("it is piped"));
        self.process = Some(process);
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut log = Vec::new();
            for line in lines.lines().map_while(Result::ok) {
                if line.contains("serving client traffic") {
                    let _ = ready.send(Ok(()));
                    log.clear();
                }
                log.push(line);
            }
            let _ = ready.send(Err(log.join("\n")));
        });
        Starting(is_ready)
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            self.is_stopped = false;
            process.kill().expect("it is ours");
            process.wait().expect("it ends");
        }
    }

    /// It does nothing more, and whoever is connected to it stays so.
    pub fn stop(&mut self) {
        self.signal(Signal::STOP);
        self.is_stopped = true;
    }

    pub fn go_on(&mut self) {
        self.signal(Signal::CONT);
        self.is_stopped = false;
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        let id = Pid::from_raw(process.id().cast_signed()).expect("a process");
        kill_process(id, signal).expect("it is ours");
    }

    /// Whether it runs, and is not stopped.
    pub fn is_up(&self) -> bool {
        self.process.is_some() && !self.is_stopped
    }

    /// Whether it thinks that it leads.
    pub fn leads(&self) -> bool {
        let status = self.post("/v3/maintenance/status", "{}");
        let field = |name: &str| {
            let after = status.split_once(&format!("\"{name}\":\""))?.1;
            Some(after.split_once('"')?.0.to_owned())
        };
        field("leader").is_some() && field("leader") == field("member_id")
    }

    /// Asks it something, without what is tested.
    pub fn post(&self, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.client_port)).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time");
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: etcd\r\ncontent-length: {length}\r\n");
        write!(stream, "{head}connection: close\r\n\r\n{body}").expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path} {body}: {answer}");
        answer
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
        // Its parent goes with the last of them.
        let _ = fs::remove_dir(self.directory.parent().expect("it has one"));
    }
}

/// A member that is being started.
pub struct Starting(std::sync::mpsc::Receiver<Result<(), String>>);

impl Starting {
    /// Waits until it takes requests; of several members that is when most of them run.
    pub fn ready(self) {
        let ready = self.0.recv_timeout(Duration::from_secs(20));
        if let Err(log) = ready.expect("etcd is ready in time") {
            panic!("etcd has ended:\n{log}");
        }
    }
}

/// Starts members, and waits until all are ready.
pub fn start(members: &mut [Member]) {
    let starting: Vec<Starting> = members.iter_mut().map(Member::start).collect();
    starting.into_iter().for_each(Starting::ready);
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}
