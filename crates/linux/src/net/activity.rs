//! What a tenant's tree does by itself over the network, and who knocks at a tenant that sleeps: the
//! kernel's lists of sockets, through `sock_diag` or, where that is not available, in `/proc/net`.

use crate::net::listeners::{processes, sockets_of};
use crate::net::proc_net;
use crate::net::sock_diag::{
    self, Connection, DUMP, Message, Protocol, Question, TCP_ESTABLISHED, TCP_LISTEN,
    UDP_UNCONNECTED, UnixConnection,
};
use crate::process::accounting::Root;
use rustix::net::{AddressFamily, SocketFlags};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// What a tree does by itself over the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Established connections that it has made to processes outside it; by unix sockets also those
    /// that were made to it.
    pub outgoing: usize,
    /// Anybody may send datagrams to it. A socket that is connected, as for a question to a name
    /// server, does not count.
    pub listens_on_udp: bool,
    /// The ports at which it listens; none of a tree in another network namespace.
    pub ports: Vec<u16>,
    /// Those of its ports at which it has taken connections in from outside it.
    pub visited: Vec<u16>,
}

/// The sockets of one network namespace.
struct Sockets {
    established: Vec<Connection>,
    /// The ports by the inodes of the sockets that listen on them.
    listening: HashMap<u64, u16>,
    udp: HashSet<u64>,
    /// None where `/proc` is read, which does not tell both ends.
    unix: Vec<UnixConnection>,
}

/// What each tree does; `None` for one with a process that may not be looked into. The time grows
/// with the number of connections and of processes: not for a thread that must not block.
pub fn of_trees(roots: &[Root]) -> io::Result<Vec<Option<Activity>>> {
    let ours = Sockets::of_ours()?;
    let namespace = namespace_of("self");
    let of_tree = |root: &Root| {
        let pids: Vec<u32> = processes(*root, usize::MAX).collect();
        let mut own = HashSet::new();
        for pid in &pids {
            own.extend(sockets_of(*pid).ok()?);
        }
        let first = pids.first().map(u32::to_string);
        let is_elsewhere = |pid: &&String| {
            let theirs = namespace_of(pid);
            theirs.is_some() && theirs != namespace
        };
        match first.as_ref().filter(is_elsewhere) {
            Some(pid) => {
                let theirs = Sockets::read(pid).ok()?.activity(&own);
                Some(Activity { ports: Vec::new(), ..theirs })
            }
            None => Some(ours.activity(&own)),
        }
    };
    Ok(roots.iter().map(of_tree).collect())
}

/// Looks again and again who waits to be accepted. As long as nobody has opened a connection, that is
/// known without a look at all listening sockets.
#[derive(Default)]
pub struct Backlogs {
    /// How many connections had been opened before the last look.
    opened: Option<u64>,
    /// None of those waits.
    is_quiet: bool,
}

impl Backlogs {
    /// The ports at which connections wait, and how many.
    pub fn look(&mut self) -> io::Result<Vec<(u16, u32)>> {
        let opened = proc_net::connections_opened();
        let is_as_before = opened.is_some() && opened == self.opened;
        if is_as_before && self.is_quiet {
            return Ok(Vec::new());
        }
        (self.opened, self.is_quiet) = (opened, false);
        let waiting = backlogs()?;
        // One that was just counted may not wait yet: so there is a second look.
        self.is_quiet = is_as_before && waiting.is_empty();
        Ok(waiting)
    }
}

/// The time grows with the number of listening sockets.
fn backlogs() -> io::Result<Vec<(u16, u32)>> {
    let all = asked_backlogs().or_else(|error| {
        tracing::debug!(%error, "sock_diag gave no listeners; reading /proc/net instead");
        proc_net::waiting()
    })?;
    Ok(all.into_iter().filter(|(_, waiting)| *waiting > 0).collect())
}

fn asked_backlogs() -> io::Result<Vec<(u16, u32)>> {
    let mut found = Vec::new();
    let socket = sock_diag::open(SocketFlags::empty())?;
    dump(&socket, Protocol::Tcp, 1 << TCP_LISTEN, |message| {
        // Nobody waits at nearly all of them.
        if let Some(waiting) = message.waiting().filter(|waiting| *waiting > 0) {
            found.extend(message.socket().map(|socket| (socket.local_port, waiting)));
        }
    })?;
    Ok(found)
}

impl Sockets {
    fn of_ours() -> io::Result<Sockets> {
        Sockets::asked().or_else(|error| {
            tracing::debug!(%error, "sock_diag gave no sockets; reading /proc/net instead");
            Sockets::read("self")
        })
    }

    fn asked() -> io::Result<Sockets> {
        let (mut established, mut listening) = (Vec::new(), HashMap::new());
        let socket = sock_diag::open(SocketFlags::empty())?;
        let states = 1 << TCP_ESTABLISHED | 1 << TCP_LISTEN;
        dump(&socket, Protocol::Tcp, states, |message| match message.socket() {
            Some(socket) if socket.state == TCP_LISTEN => {
                listening.insert(socket.inode, socket.local_port);
            }
            Some(_) => established.extend(message.connection()),
            None => {}
        })?;
        // The kernel has a module of its own for them.
        let udp = asked_udp(&socket).or_else(|_| proc_net::open_to_datagrams("self"))?;
        let unix = asked_unix(&socket).unwrap_or_default();
        Ok(Sockets { established, listening, udp: udp.into_iter().collect(), unix })
    }

    /// Those in the network namespace of a process.
    fn read(pid: &str) -> io::Result<Sockets> {
        let tcp = proc_net::tcp_sockets(pid)?.into_iter();
        let listening = tcp.filter(|socket| socket.state == TCP_LISTEN);
        Ok(Sockets {
            established: proc_net::connections_of(pid)?,
            listening: listening.map(|socket| (socket.inode, socket.local_port)).collect(),
            udp: proc_net::open_to_datagrams(pid)?.into_iter().collect(),
            unix: Vec::new(),
        })
    }

    /// What the tree with these sockets does.
    fn activity(&self, own: &HashSet<u64>) -> Activity {
        let ports: HashSet<u16> =
            own.iter().filter_map(|inode| self.listening.get(inode)).copied().collect();
        let ends: Vec<&Connection> =
            self.established.iter().filter(|end| own.contains(&end.inode)).collect();
        let pairs: HashSet<(SocketAddr, SocketAddr)> =
            ends.iter().map(|end| (end.local, end.remote)).collect();
        let to_outside = ends.iter().filter(|end| !pairs.contains(&(end.remote, end.local)));
        // A connection that was taken in has the port of its listener.
        let (taken_in, made): (Vec<u16>, Vec<u16>) =
            to_outside.map(|end| end.local.port()).partition(|port| ports.contains(port));
        let visited: HashSet<u16> = taken_in.into_iter().collect();
        let leads_out =
            |end: &&UnixConnection| own.contains(&end.inode) && !own.contains(&end.peer);
        let unix = self.unix.iter().filter(leads_out).count();
        Activity {
            outgoing: made.len() + unix,
            listens_on_udp: own.iter().any(|inode| self.udp.contains(inode)),
            ports: ports.into_iter().collect(),
            visited: visited.into_iter().collect(),
        }
    }
}

fn asked_udp(socket: &OwnedFd) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    dump(socket, Protocol::Udp, 1 << UDP_UNCONNECTED, |message| {
        found.extend(message.socket().map(|socket| socket.inode));
    })?;
    Ok(found)
}

fn asked_unix(socket: &OwnedFd) -> io::Result<Vec<UnixConnection>> {
    let mut found = Vec::new();
    sock_diag::ask_for_unix(socket)?;
    sock_diag::receive_dump(socket, |message| found.extend(message.unix_connection()))?;
    Ok(found)
}

/// Asks for all sockets in these states. A server on all addresses has IPv4 connections on an IPv6
/// socket.
fn dump(
    socket: &OwnedFd,
    protocol: Protocol,
    states: u32,
    mut take: impl FnMut(Message<'_>),
) -> io::Result<()> {
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let question = Question { protocol, family, flags: DUMP, states, bound_to: None };
        sock_diag::ask(socket, &question)?;
        sock_diag::receive_dump(socket, &mut take)?;
    }
    Ok(())
}

fn namespace_of(pid: &str) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests start processes")]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixListener;
    use std::process::{Child, Command, Stdio};

    const PYTHON: &str = "/usr/bin/python3";

    /// A process with sockets, and the lines that it reads and writes. Dropping it kills it.
    struct Tree(Child, Option<BufReader<std::process::ChildStdout>>);

    impl Tree {
        fn run(script: &str) -> Option<Tree> {
            let mut command = Command::new(PYTHON);
            command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            // That of the tests may be a unix socket, which leads out of the tree.
            command.stderr(Stdio::null());
            match command.spawn() {
                Ok(mut child) => {
                    let out = child.stdout.take().map(BufReader::new);
                    Some(Tree(child, out))
                }
                Err(error) => {
                    eprintln!("skipped: {PYTHON}: {error}");
                    None
                }
            }
        }

        fn line(&mut self) -> String {
            let mut line = String::new();
            self.1.as_mut().unwrap().read_line(&mut line).unwrap();
            line.trim().to_owned()
        }

        fn go_on(&mut self) {
            writeln!(self.0.stdin.as_mut().unwrap()).unwrap();
        }

        fn activity(&self) -> Activity {
            let root = Root::Process(self.0.id());
            let seen = of_trees(&[root]).unwrap()[0].clone().unwrap();
            let own = processes(root, usize::MAX).flat_map(|pid| sockets_of(pid).unwrap());
            let own: HashSet<u64> = own.collect();
            let in_proc = Sockets::read(&self.0.id().to_string()).unwrap().activity(&own);
            assert_eq!(seen, in_proc, "both lists say the same");
            seen
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = self.0.kill().and_then(|()| self.0.wait());
        }
    }

    #[test]
    fn what_a_tree_has_connected_to_outside_counts_and_what_came_to_it_does_not() {
        let outside = TcpListener::bind("[::]:0").unwrap();
        let script = format!(
            "
import socket, sys
server = socket.socket(socket.AF_INET6)
server.bind(('::', 0)); server.listen(8)
print(server.getsockname()[1], flush=True)
visitor, _ = server.accept()
worker = socket.create_connection(('127.0.0.1', server.getsockname()[1])); inner, _ = server.accept()
print('visited', flush=True); sys.stdin.readline()
made = [socket.create_connection(('127.0.0.1', {port})), socket.create_connection(('::1', {port}))]
print('made', flush=True); sys.stdin.readline()
made.pop().close(); print('one', flush=True); sys.stdin.readline()
visitor.close(); print('left', flush=True); sys.stdin.readline()
",
            port = outside.local_addr().unwrap().port()
        );
        let Some(mut tree) = Tree::run(&script) else { return };
        let port: u16 = tree.line().parse().unwrap();
        let _visitor = TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert_eq!(tree.line(), "visited");
        let visited = Activity { ports: vec![port], visited: vec![port], ..Activity::default() };
        assert_eq!(tree.activity(), visited);
        for (said, outgoing) in [("made", 2), ("one", 1)] {
            tree.go_on();
            assert_eq!(tree.line(), said);
            assert_eq!(tree.activity(), Activity { outgoing, ..visited.clone() });
        }
        tree.go_on();
        assert_eq!(tree.line(), "left");
        assert_eq!(tree.activity(), Activity { outgoing: 1, visited: vec![], ..visited });
    }

    #[test]
    fn a_unix_socket_that_leads_out_counts_and_a_pair_within_the_tree_does_not() {
        let path = std::env::temp_dir().join(format!("activity-{}.sock", std::process::id()));
        let _ = fs::remove_file(&path);
        let outside = UnixListener::bind(&path).unwrap();
        let script = format!(
            "
import os, socket, sys
ours, childs = socket.socketpair()
if os.fork() == 0:
    ours.close(); childs.recv(1); os._exit(0)
childs.close()
datagrams = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
print('pairs', flush=True); sys.stdin.readline()
database = socket.socket(socket.AF_UNIX); database.connect({:?})
print('connected', flush=True); sys.stdin.readline()
database.close(); print('closed', flush=True); sys.stdin.readline()
",
            path.to_str().unwrap()
        );
        let Some(mut tree) = Tree::run(&script) else { return };
        let root = Root::Process(tree.0.id());
        for (said, outgoing) in [("pairs", 0), ("connected", 1), ("closed", 0)] {
            assert_eq!(tree.line(), said);
            assert_eq!(
                of_trees(&[root]).unwrap()[0].as_ref().unwrap().outgoing,
                outgoing,
                "{said}"
            );
            tree.go_on();
        }
        drop(outside);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn an_open_udp_socket_counts_and_a_connected_one_does_not() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let script = format!(
            "
import socket, sys
asks = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); asks.connect(('127.0.0.1', {port}))
print('asks', flush=True); sys.stdin.readline()
listens = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); listens.bind(('::1', 0))
print('listens', flush=True); sys.stdin.readline()
",
            port = server.local_addr().unwrap().port()
        );
        let Some(mut tree) = Tree::run(&script) else { return };
        assert_eq!(tree.line(), "asks");
        assert!(!tree.activity().listens_on_udp);
        tree.go_on();
        assert_eq!(tree.line(), "listens");
        assert!(tree.activity().listens_on_udp);
    }

    #[test]
    fn a_tree_in_a_network_of_its_own_is_seen() {
        let script = "
import ctypes, os, socket, sys
if ctypes.CDLL(None).unshare(0x40000000) != 0:
    print('refused', flush=True)
else:
    listens = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); listens.bind(('0.0.0.0', 0))
    print('apart', flush=True)
sys.stdin.readline()
";
        let Some(mut tree) = Tree::run(script) else { return };
        if tree.line() == "refused" {
            return eprintln!("skipped: no network namespace can be made");
        }
        assert!(tree.activity().listens_on_udp);
    }

    type Look = fn() -> io::Result<Vec<(u16, u32)>>;

    #[test]
    fn who_waits_to_be_accepted_is_seen_until_he_is() {
        for address in ["127.0.0.1:0", "[::]:0"] {
            let server = TcpListener::bind(address).unwrap();
            let port = server.local_addr().unwrap().port();
            let waiting = |look: Look| {
                look().unwrap().into_iter().find(|(at, _)| *at == port).map_or(0, |(_, many)| many)
            };
            let looks: [Look; 3] = [backlogs, asked_backlogs, proc_net::waiting];
            assert_eq!(looks.map(waiting), [0; 3]);
            assert!(!backlogs().unwrap().iter().any(|(at, _)| *at == port));
            let visitors = [(); 2].map(|()| TcpStream::connect(("127.0.0.1", port)).unwrap());
            // The kernel puts them there a moment after the clients are told.
            while waiting(backlogs) < 2 {}
            assert_eq!(looks.map(waiting), [2; 3], "{address}");
            let accepted = [server.accept().unwrap(), server.accept().unwrap()];
            assert_eq!(looks.map(waiting), [0; 3], "{address}");
            drop((visitors, accepted));
        }
    }

    #[test]
    fn who_waits_is_told_at_each_look() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let mut backlogs = Backlogs::default();
        let mut waiting = || {
            let all = backlogs.look().unwrap();
            all.into_iter().find(|(at, _)| *at == port).map_or(0, |(_, many)| many)
        };
        for _ in 0..3 {
            let visitor = TcpStream::connect(("127.0.0.1", port)).unwrap();
            // The kernel puts it there a moment after the client is told.
            while waiting() == 0 {}
            assert_eq!([waiting(), waiting(), waiting(), waiting()], [1; 4]);
            drop((server.accept().unwrap(), visitor));
            assert_eq!([waiting(), waiting(), waiting(), waiting()], [0; 4]);
        }
    }

    /// Other tests open connections meanwhile, so this one is its own measure.
    #[test]
    fn without_new_connections_there_is_nothing_to_look_at() {
        let mut backlogs = Backlogs::default();
        let is_quiet = (0..10_000).any(|_| {
            backlogs.look().unwrap();
            backlogs.is_quiet
        });
        assert!(is_quiet);
    }

    #[test]
    #[ignore = "a measurement"]
    fn what_a_look_at_backlogs_costs() {
        let _servers: Vec<_> =
            (0..2_000).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let mut quiet = Backlogs::default();
        let looks: [(&str, &mut dyn FnMut()); 2] = [
            ("with new connections", &mut || drop(backlogs().unwrap())),
            ("without", &mut || drop(quiet.look().unwrap())),
        ];
        for (what, look) in looks {
            let begin = crate::threads::clock::start();
            (0..100).for_each(|_| look());
            println!("{:?} for 2,000 listeners, {what}", begin.elapsed() / 100);
        }
    }
}
