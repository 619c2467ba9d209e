//! The fastest tenant of the soak: a small HTTP server that behaves as its environment says.
//!
//! `SOAK_DO` holds words, separated by commas (`lines=3,children=2,deaf`), each of which is an arm
//! of [`Habits::read`]; the requests are in [`answer`]. Lines are numbered in each stream and name
//! the tenant's key, so that the host notices a line that is missing, late, or another tenant's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

/// What the tenant does besides answering.
#[derive(Default)]
struct Habits {
    /// Lines that it writes to each stream before it listens.
    lines: u64,
    /// Processes that it starts in its own group.
    children: u64,
    /// Processes that it starts in sessions of their own, and whose parents end.
    daemons: u64,
    /// How long it waits before it listens.
    slow_ms: u64,
    /// CPU time that it uses before it listens.
    burn_ms: u64,
    /// The exit code with which it ends before it listens.
    dies: Option<i32>,
    /// It does not listen.
    never: bool,
    /// It ignores SIGTERM.
    deaf: bool,
    /// It goes on for a moment after a SIGTERM, and writes a last line.
    graceful: bool,
    /// It listens, and answers no request.
    silent: bool,
}

impl Habits {
    fn read(words: &str) -> Self {
        let mut habits = Habits::default();
        for word in words.split(',').filter(|word| !word.is_empty()) {
            let (name, value) = word.split_once('=').unwrap_or((word, "0"));
            let number = value.parse().unwrap_or(0);
            match name {
                "lines" => habits.lines = number,
                "children" => habits.children = number,
                "daemons" => habits.daemons = number,
                "slow" => habits.slow_ms = number,
                "burn" => habits.burn_ms = number,
                "dies" => habits.dies = i32::try_from(number).ok(),
                "never" => habits.never = true,
                "deaf" => habits.deaf = true,
                "graceful" => habits.graceful = true,
                "silent" => habits.silent = true,
                _ => panic!("SOAK_DO has the unknown word: {word}"),
            }
        }
        habits
    }
}

/// The number of lines written so far, to stdout and to stderr.
static WRITTEN: [AtomicU32; 2] = [AtomicU32::new(0), AtomicU32::new(0)];
/// How many SIGTERMs it got.
static TERMS: AtomicU32 = AtomicU32::new(0);

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let habits = Habits::read(&variable("SOAK_DO"));
    let key = variable("SOAK_KEY");
    if habits.deaf {
        on_term(libc::SIG_IGN);
    } else if habits.graceful {
        on_term(take_leave as *const () as libc::sighandler_t);
    }
    for _ in 0..habits.lines {
        say(0, &key, 1);
        say(1, &key, 1);
    }
    for _ in 0..habits.children {
        fork_a_sleeper(false);
    }
    for _ in 0..habits.daemons {
        fork_a_sleeper(true);
    }
    burn(habits.burn_ms);
    pause_ms(habits.slow_ms);
    if let Some(code) = habits.dies {
        std::process::exit(code);
    }
    if habits.never {
        sleep_for_ever();
    }
    let port = variable("PORT").parse().expect("PORT is a number");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is mine");
    if habits.silent {
        sleep_for_ever();
    }
    for connection in listener.incoming().flatten() {
        // A client that closes its connection is no error.
        _ = answer(connection, &key);
    }
}

/// Answers a request: `/` tells the key; `/exit?3` and `/abort` end the tenant; `/flood?1000`
/// writes lines, `/blank?1000` empty ones; `/bye` tells their number and ends the tenant; `/eat`
/// takes memory without end, `/fork?1000` starts processes as long as it may, at most so many, and
/// `/fill?1000` makes files and directories in `TMPDIR`.
fn answer(mut connection: TcpStream, key: &str) -> std::io::Result<()> {
    let mut head = [0; 1024];
    let length = connection.read(&mut head)?;
    let text = String::from_utf8_lossy(&head[..length]);
    let target = text.split(' ').nth(1).unwrap_or("/");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let number: u64 = query.parse().unwrap_or(0);
    match path {
        "/exit" => std::process::exit(i32::try_from(number).unwrap_or(1)),
        "/abort" => std::process::abort(),
        "/flood" => say(0, key, number),
        "/blank" => write_all(2, &vec![b'\n'; usize::try_from(number).unwrap_or(0)]),
        "/bye" => {
            let written = WRITTEN.each_ref().map(|written| written.load(Ordering::Relaxed));
            write_all(1, format!("bye {} {}\n", written[0] + written[1], key).as_bytes());
            std::process::exit(0);
        }
        "/eat" => eat(),
        "/fork" => fork_until_refused(number),
        "/fill" => fill(number)?,
        _ => {}
    }
    let body = format!("{key} {}", std::process::id());
    write!(
        connection,
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Writes numbered lines to stdout (0) or stderr (1).
fn say(stream: usize, key: &str, lines: u64) {
    let mut text = String::new();
    for _ in 0..lines {
        let number = WRITTEN[stream].fetch_add(1, Ordering::Relaxed);
        text.push_str(&format!("{number} {key} .\n"));
        if text.len() > 60_000 {
            write_all(stream as i32 + 1, text.as_bytes());
            text.clear();
        }
    }
    write_all(stream as i32 + 1, text.as_bytes());
}

fn write_all(descriptor: i32, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: the pointer and the length are those of a slice.
        let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
        if written < 0 {
            return;
        }
        bytes = &bytes[written.unsigned_abs()..];
    }
}

fn on_term(action: libc::sighandler_t) {
    // SAFETY: the action is SIG_IGN or `take_leave`, which calls nothing but async-signal-safe
    // functions.
    unsafe { libc::signal(libc::SIGTERM, action) };
}

/// Waits ten milliseconds after a SIGTERM, writes how many it got until then, and ends.
extern "C" fn take_leave(_: libc::c_int) {
    if TERMS.fetch_add(1, Ordering::Relaxed) > 0 {
        return;
    }
    // SIGTERM is blocked in its own handler; unblocked here, so that a second one is counted.
    // SAFETY: all of these are async-signal-safe; the set is initialised by `sigemptyset`.
    unsafe {
        let mut term: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut term);
        libc::sigaddset(&mut term, libc::SIGTERM);
        libc::sigprocmask(libc::SIG_UNBLOCK, &term, std::ptr::null_mut());
    }
    pause_ms(10);
    let digit = b'0' + TERMS.load(Ordering::Relaxed).min(9) as u8;
    let line = [b't', b'e', b'r', b'm', b's', b' ', digit, b'\n'];
    write_all(1, &line);
    // SAFETY: ends the process; nothing of it runs afterwards.
    unsafe { libc::_exit(0) };
}

/// Sleeps with `nanosleep`, which a signal handler may call, and sleeps on when a signal
/// interrupts it.
fn pause_ms(milliseconds: u64) {
    let nanoseconds = (milliseconds % 1_000) * 1_000_000;
    let mut left =
        libc::timespec { tv_sec: (milliseconds / 1_000) as i64, tv_nsec: nanoseconds as i64 };
    let part: *mut libc::timespec = &mut left;
    // SAFETY: both pointers lead to `left`, which the kernel reads before it writes.
    while milliseconds > 0 && unsafe { libc::nanosleep(part, part) } != 0 {}
}

fn sleep_for_ever() -> ! {
    loop {
        // SAFETY: waits for a signal, and touches no memory.
        unsafe { libc::pause() };
    }
}

/// Takes memory, and uses it, until the kernel ends the process.
fn eat() -> ! {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(vec![1; 1 << 20]);
        std::hint::black_box(&taken);
    }
}

/// Forks sleepers, every second one a daemon, until the kernel refuses one.
fn fork_until_refused(most: u64) {
    (0..most).map(|number| fork_a_sleeper(number % 2 == 0)).find(|forked| !forked);
}

/// Makes directories inside each other, and a file in each that nobody may read.
fn fill(files: u64) -> std::io::Result<()> {
    let mut directory = std::path::PathBuf::from(std::env::var_os("TMPDIR").unwrap_or_default());
    for number in 0..files {
        if number % 20 == 0 {
            directory.push(number.to_string());
            std::fs::create_dir_all(&directory)?;
        }
        // A second time the file is there, and may not be opened.
        if let Ok(file) = std::fs::File::create(directory.join(format!("{number}.file"))) {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o0))?;
        }
    }
    Ok(())
}

/// Forks a process that sleeps, and returns whether it could; a daemon has a session of its own, and its parent has ended.
fn fork_a_sleeper(daemon: bool) -> bool {
    // SAFETY: this program has one thread, and the children call nothing but async-signal-safe
    // functions.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            if !daemon {
                sleep_for_ever();
            }
            libc::setsid();
            if libc::fork() == 0 {
                sleep_for_ever();
            }
            libc::_exit(0);
        }
        if daemon && child > 0 {
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
        child > 0
    }
}

/// Uses this much CPU time.
fn burn(milliseconds: u64) {
    let enough = used_ms() + milliseconds;
    while milliseconds > 0 && used_ms() < enough {
        std::hint::spin_loop();
    }
}

fn used_ms() -> u64 {
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes to `used`, which is there.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut used) };
    used.tv_sec.unsigned_abs() * 1_000 + used.tv_nsec.unsigned_abs() / 1_000_000
}
