//! Tells whether a thread has a descriptor table of its own. Threads share the table of their
//! process unless one has called `unshare(CLONE_FILES)`: what it opens from then on is in its own
//! table alone.

/// `KCMP_FILES` of `linux/kcmp.h`.
const FILES: libc::c_int = 2;

/// Whether the thread has another table than the first thread of its process. False where the
/// kernel refuses to tell: reading the shared table once for each thread would cost too much.
pub fn is_own(pid: u32, thread: u32) -> bool {
    if thread == pid {
        return false;
    }
    // SAFETY: the call takes numbers only, and compares what they stand for.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, pid, thread, FILES, 0, 0) };
    // 0 means the same table; 1 to 3 tell how two tables are ordered.
    order > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::listeners::sockets_of_tree;
    use crate::net::listening;
    use crate::net::ownership::{Listener, Owner};
    use crate::process::accounting::Root;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn a_listener_that_one_thread_alone_has_is_its_processs() {
        let pid = std::process::id();
        let of_thread = move || {
            let thread = rustix::thread::gettid().as_raw_pid().cast_unsigned();
            assert!(!is_own(pid, thread), "threads share their descriptors");
            // SAFETY: nothing that was opened before is closed by this thread.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
            assert!(is_own(pid, thread));
            let server = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = server.local_addr().unwrap().port();
            let sockets = listening::reached_at(listening::LOOPBACK[0], port).unwrap();
            let ours = Owner { root: Root::Process(pid), since_boot_ms: Some(0) };
            assert!(!ours.has(&sockets), "the first look is a short one");
            assert_eq!(ours.find(listening::LOOPBACK[0], port), Listener::Tenant);
            assert!(
                sockets.inodes.iter().all(|socket| sockets_of_tree(ours.root).contains(socket))
            );
        };
        thread::spawn(of_thread).join().unwrap();
    }
}
