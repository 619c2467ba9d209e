//! Within walls, each system call of the list is refused with its error, and no other.

mod support;

use std::collections::BTreeMap;

use rustix::process::geteuid;
use support::walls::{assert_passes, inner_test, inner_test_within, skipped};
use warden::refused_calls::{REFUSED_CALLS, RefusedCall, Test};

/// What every argument is unless the call is refused only with others: no descriptor, no pointer,
/// no flags that the kernel knows. So nothing happens where the call is not refused.
const NOTHING: u32 = u32::MAX;

/// Makes the call with arguments with which it is refused.
fn call(refused: &RefusedCall) -> i32 {
    let mut arguments = [u64::from(NOTHING); 6];
    for test in refused.when {
        arguments[usize::from(test.argument)] = value(refused, test).into();
    }
    if refused.errno == libc::EPROTONOSUPPORT {
        // Of the rows of `socket` this one is about streams.
        arguments[1] = libc::SOCK_STREAM as u64;
    }
    let [a, b, c, d, e, f] = arguments.map(|argument| match argument {
        // As a program would pass it: the upper half of a pointer, or the sign.
        argument if argument == u64::from(NOTHING) => u64::MAX,
        argument => argument,
    });
    // SAFETY: no argument is a valid pointer.
    let result = unsafe { libc::syscall(refused.number.into(), a, b, c, d, e, f) };
    if result < 0 { std::io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 }
}

/// A value with which the test holds.
fn value(refused: &RefusedCall, test: &Test) -> u32 {
    let none = match refused.name {
        // The question which one it is.
        "personality" => 0x4_0000,
        _ => NOTHING,
    };
    if test.is_one { test.values[0] } else { none }
}

#[test]
#[ignore = "run as a tenant by the test below"]
fn every_call() {
    for (index, refused) in REFUSED_CALLS.iter().enumerate() {
        println!("answer {index} {}", call(refused));
    }
}

fn answers(output: &str) -> BTreeMap<usize, i32> {
    let answer = |line: &str| {
        let (index, errno) = line.split_once("answer ")?.1.split_once(' ')?;
        Some((index.parse().ok()?, errno.trim().parse().ok()?))
    };
    output.lines().filter_map(answer).collect()
}

#[test]
fn every_call_of_the_list_is_refused_and_reaches_the_kernel_without_walls() {
    let within = answers(&assert_passes(&inner_test_within("every_call", &[], Vec::new())));
    assert_eq!(within.len(), REFUSED_CALLS.len());
    for (index, refused) in REFUSED_CALLS.iter().enumerate() {
        assert_eq!(within[&index], refused.errno, "{}: {}", refused.name, refused.reason);
    }
    if skipped(geteuid().is_root(), "without privileges the kernel refuses many of them itself") {
        return;
    }
    let without = answers(&assert_passes(&inner_test("every_call", &[])));
    for (index, refused) in REFUSED_CALLS.iter().enumerate() {
        // A kernel may be built without io_uring.
        let is_missing = refused.errno == libc::ENOSYS && refused.name != "clone3";
        let is_told_apart = without[&index] != refused.errno;
        assert!(is_told_apart || is_missing, "{} says {}", refused.name, without[&index]);
    }
}

/// The result of a call in a process of its own: the signal that ended it, or none.
fn fatal_signal(call: impl Fn()) -> i32 {
    // SAFETY: the child only makes the call, and exits.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        call();
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: the result is written to a place of the right type.
    unsafe { libc::waitpid(pid, &mut status, 0) };
    if libc::WIFSIGNALED(status) { libc::WTERMSIG(status) } else { 0 }
}

#[cfg(target_arch = "x86_64")]
fn call_as_32_bit_program() {
    const GETPID: u32 = 20;
    // SAFETY: the call takes no arguments, and the kernel changes no other register.
    unsafe {
        std::arch::asm!("int 0x80", inout("eax") GETPID => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
    };
}

#[cfg(target_arch = "x86_64")]
fn call_as_x32_program() {
    const X32: i64 = 0x4000_0000;
    // SAFETY: the call takes no arguments.
    unsafe { libc::syscall(X32 | libc::SYS_getpid) };
}

#[test]
#[ignore = "run as a tenant by the test below"]
fn calls_of_other_architectures() {
    #[cfg(target_arch = "x86_64")]
    {
        println!("signal {}", fatal_signal(call_as_32_bit_program));
        println!("signal {}", fatal_signal(call_as_x32_program));
    }
}

#[test]
fn a_process_that_makes_calls_of_another_architecture_is_ended() {
    if skipped(cfg!(target_arch = "x86_64"), "this architecture has no other one's calls") {
        return;
    }
    let name = "calls_of_other_architectures";
    let ended = format!("signal {0}\nsignal {0}\n", libc::SIGSYS);
    assert!(assert_passes(&inner_test_within(name, &[], Vec::new())).contains(&ended));
    let output = assert_passes(&inner_test(name, &[]));
    assert!(output.contains("signal 0\n"), "without walls it goes on: {output}");
}

/// Whether a socket can be made.
fn make(family: i32, kind: i32, protocol: i32) -> Result<(), i32> {
    // SAFETY: the call takes integers.
    let fd = unsafe { libc::socket(family, kind, protocol) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0));
    }
    // SAFETY: it was just made.
    unsafe { libc::close(fd) };
    Ok(())
}

#[test]
#[ignore = "run as a tenant by the test below"]
fn sockets() {
    use libc::*;
    for (family, kind, protocol) in [
        (AF_INET, SOCK_STREAM, 0),
        (AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP),
        (AF_INET, SOCK_DGRAM, IPPROTO_UDP),
        (AF_UNIX, SOCK_STREAM, 0),
        (AF_UNIX, SOCK_SEQPACKET, 0),
        (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0),
    ] {
        assert_eq!(make(family, kind, protocol), Ok(()), "{family} {kind} {protocol}");
    }
    let ping = make(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    // The machine may not let its group.
    assert!(ping.is_ok() || ping == Err(EACCES), "{ping:?}");
    for (family, kind, protocol, errno) in [
        (AF_INET, SOCK_RAW, IPPROTO_ICMP, EPERM),
        (AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6, EPERM),
        (AF_INET, SOCK_STREAM, 262, EPROTONOSUPPORT),
        (AF_INET6, SOCK_STREAM, 262, EPROTONOSUPPORT),
        (AF_INET, SOCK_STREAM, 256, EPROTONOSUPPORT),
        (AF_INET, SOCK_STREAM, 132, EPROTONOSUPPORT),
        (AF_NETLINK, SOCK_RAW, 9, EPERM),
        (AF_NETLINK, SOCK_DGRAM, 15, EPERM),
        (AF_PACKET, SOCK_RAW, 0, EPERM),
        (AF_ALG, SOCK_SEQPACKET, 0, EPERM),
        (AF_VSOCK, SOCK_STREAM, 0, EPERM),
        (43, SOCK_STREAM, 0, EPERM),
        (44, SOCK_RAW, 0, EPERM),
    ] {
        assert_eq!(make(family, kind, protocol), Err(errno), "{family} {kind} {protocol}");
    }
}

#[test]
fn sockets_of_a_web_app_are_made_and_others_not() {
    assert_passes(&inner_test_within("sockets", &[], Vec::new()));
}
