//! What it costs that a request is passed on to another host: processor time and the time of one
//! request, against one whose tenant is at the first gateway's host. All parts are one process, so
//! that what the ways have in common, client and tenant, falls out of the difference.
//!
//! `cargo run --release -p gateway --example passing -- [REQUESTS] [local|passed|both]`
#![allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use gateway::peer::{Entry, Peer};
use gateway::refusal::{Refusal, Why};
use gateway::route::Route;
use gateway::settings::{Limits, Listen, Routing, Settings, Wake};
use gateway::{Gateway, InUse, NoHooks, Tenants};
use http::HeaderValue;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const TOKEN: &str = "5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f5e1f";
const PATIENCE: Duration = Duration::from_secs(5);
const CLIENTS: usize = 8;
const ROUNDS: usize = 5;
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";

/// A host all of whose keys are at one place.
#[derive(Clone)]
struct Host(SocketAddr, Option<Arc<Peer>>);

impl Tenants for Host {
    type InUse = Host;

    fn acquire(&self, _: &str) -> Option<Host> {
        Some(self.clone())
    }

    fn exists(&self, _: &str) -> bool {
        true
    }

    async fn wake(&self, _: &str) -> Result<Host, Refusal> {
        Err(Refusal::new(503, Why::Failed))
    }
}

impl InUse for Host {
    fn address(&self) -> SocketAddr {
        self.0
    }

    fn run(&self) -> u64 {
        1
    }

    fn revoked(&self) -> impl Future<Output = ()> + Send + 'static {
        std::future::pending()
    }

    fn peer(&self) -> Option<&Arc<Peer>> {
        self.1.as_ref()
    }
}

fn start(routing: Routing, host: Host) -> (Gateway<Host, NoHooks>, SocketAddr) {
    let listen = vec![Listen::Tcp { hostname: "127.0.0.1".to_owned(), port: 0 }];
    let settings = Settings {
        routing,
        listen,
        tls: None,
        trust: Vec::new(),
        wake: Wake::default(),
        limits: Limits::default(),
        access: false,
        pages: false,
        trace: false,
        threads: Some(1),
    };
    let gateway = Gateway::start(settings, host, NoHooks).expect("a gateway");
    let port = gateway.listening()[0].port.expect("a port");
    (gateway, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// A server that answers each head at once.
fn tenant() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("a socket");
    let mut received = Vec::new();
    while read_to(&mut stream, &mut received, b"\r\n\r\n") && stream.write_all(ANSWER).is_ok() {}
}

fn read_to(stream: &mut TcpStream, received: &mut Vec<u8>, end: &[u8]) -> bool {
    received.clear();
    let mut room = [0; 4096];
    while !received.ends_with(end) {
        match stream.read(&mut room) {
            Ok(count @ 1..) => received.extend_from_slice(&room[..count]),
            _ => return false,
        }
    }
    true
}

/// Asks so often, one request after the other, and returns how long each took.
fn ask(address: SocketAddr, count: usize) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    let request = b"GET /shop/x HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: bench\r\n\
                    Accept: */*\r\nAccept-Encoding: gzip\r\nCookie: a=1; b=2\r\n\r\n";
    let (mut received, mut took) = (Vec::new(), Vec::with_capacity(count));
    for _ in 0..count {
        let began = Instant::now();
        stream.write_all(request).expect("written");
        assert!(read_to(&mut stream, &mut received, b"hello"), "an answer");
        took.push(began.elapsed());
    }
    took
}

/// Processor time of all threads of this process.
fn cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("threads");
    let of = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(tasks.flatten().map(of).sum())
}

/// Processor time of one request, in microseconds, with several clients at once: each is one thread,
/// which lives until that has been read.
fn cpu_of_one(address: SocketAddr, count: usize) -> f64 {
    let barrier = Arc::new(std::sync::Barrier::new(CLIENTS + 1));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let barrier = barrier.clone();
            thread::spawn(move || {
                ask(address, 100);
                barrier.wait();
                ask(address, count / CLIENTS);
                barrier.wait();
                barrier.wait();
            })
        })
        .collect();
    barrier.wait();
    let before = cpu();
    barrier.wait();
    let took = cpu() - before;
    barrier.wait();
    clients.into_iter().for_each(|client| client.join().expect("no panic"));
    took.as_secs_f64() * 1e6 / count as f64
}

fn p50_us(address: SocketAddr, count: usize) -> f64 {
    let mut took = ask(address, count);
    took.sort();
    took[took.len() / 2].as_secs_f64() * 1e6
}

fn main() {
    let mut words = std::env::args().skip(1);
    let count = words.next().and_then(|count| count.parse().ok()).unwrap_or(20_000);
    let way = words.next().unwrap_or("both".to_owned());
    let tenant = tenant();
    let (_near, near) = start(Routing::Rule(Route::Path), Host(tenant, None));
    let (_owner, owner) = start(Routing::Peers(Entry::Token(TOKEN.to_owned())), Host(tenant, None));
    let credentials = HeaderValue::try_from(format!("eu-1 {TOKEN}")).expect("a value");
    let peer = Peer { host: "eu-2".to_owned(), credentials, encryption: None, patience: PATIENCE };
    let (_first, first) = start(Routing::Rule(Route::Path), Host(owner, Some(Arc::new(peer))));
    if way != "both" {
        // For a count of instructions.
        ask(if way == "local" { near } else { first }, count);
        return;
    }
    println!("requests a round: {count}, rounds: {ROUNDS}, clients: {CLIENTS}, then one");
    let (mut cpu_extra, mut p50_extra) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let cpu = [near, first].map(|address| cpu_of_one(address, count));
        let p50 = [near, first].map(|address| p50_us(address, count / 4));
        println!(
            "round {round}: processor local {:.1} µs, passed on {:.1} µs; p50 local {:.0} µs, \
             passed on {:.0} µs",
            cpu[0], cpu[1], p50[0], p50[1]
        );
        cpu_extra.push(cpu[1] - cpu[0]);
        p50_extra.push(p50[1] - p50[0]);
    }
    cpu_extra.sort_by(f64::total_cmp);
    p50_extra.sort_by(f64::total_cmp);
    println!(
        "passing a request on takes {:.1} µs of processor and {:.0} µs (p50) more",
        cpu_extra[ROUNDS / 2],
        p50_extra[ROUNDS / 2]
    );
}
