//! Passes on a run's output and its end, from when its program runs, or from when the run was found.

use super::RunSink;
use crate::output::lines::{Course, LineCutter, Stream, deliver_lines, pump};
use crate::warden_link::client::{Ended, Rest, Started};
use crate::warden_link::main_process::MainProcess;
use rustix::fs::ftruncate;
use rustix::io::pwrite;
use std::os::fd::OwnedFd;
use tokio::sync::{mpsc, oneshot, watch as channel};
use warden::ring::{self, Piece};

/// A start whose program runs: its channels and its output.
pub(super) struct Start {
    pub ended: oneshot::Receiver<Ended>,
    pub rests: mpsc::UnboundedReceiver<Rest>,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// A run that outlived its host, to be followed from now on.
pub struct FoundOutput {
    pub started: Started,
    pub ended: oneshot::Receiver<Ended>,
    pub rests: mpsc::UnboundedReceiver<Rest>,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// The beginnings of lines that were read before.
    pub begun: Vec<(Stream, Vec<u8>)>,
    /// What was written while there was no host, and the memory file in which it is noted how much
    /// of it was told.
    pub written: Vec<Piece>,
    pub ring: OwnedFd,
}

/// Follows a run that outlived its host. What was written meanwhile comes first.
pub async fn supervise_found(found: FoundOutput, sink: &impl RunSink) {
    let FoundOutput { started, ended, rests, stdout, stderr, begun, written, ring } = found;
    let main = MainProcess::of(started);
    let mut cutters = <[LineCutter; 2]>::default();
    for (stream, bytes) in begun {
        sink.has_read(stream, &bytes);
        cutters[stream as usize].push(&bytes);
        deliver_lines(&mut cutters[stream as usize], stream, None, sink).await;
    }
    for (number, Piece { at_unix_ms, stream, text }) in (1..).zip(written) {
        let stream = match stream {
            ring::Stream::Stdout => Stream::Stdout,
            ring::Stream::Stderr => Stream::Stderr,
        };
        // From here on it is counted in the record, as what is read from the pipes.
        sink.has_read(stream, &text);
        let _ = pwrite(&ring, &ring::told(true, number), 0);
        let cutter = &mut cutters[stream as usize];
        cutter.push(&text);
        deliver_lines(cutter, stream, Some(at_unix_ms), sink).await;
    }
    // All is told, and its memory is freed.
    let _ = ftruncate(&ring, 0);
    drop(ring);
    follow(main, Start { ended, rests, stdout, stderr }, cutters, sink).await;
}

/// Passes on a run's output and its end, or lets it go. The cutters have what was read before.
pub(super) async fn follow(
    main: Option<MainProcess>,
    start: Start,
    mut cutters: [LineCutter; 2],
    sink: &impl RunSink,
) {
    let Start { ended: tree_ended, rests, stdout, stderr } = start;
    let (tell, course) = channel::channel(Course::Running);
    let end = async {
        let lost = Ended { exit_code: None, signal: None, cpu_us: None, out_of_memory: false };
        tokio::select! {
            biased;
            end = tree_ended => {
                tell.send_replace(Course::Ended);
                Some(end.unwrap_or(lost))
            }
            () = sink.until_let_go() => {
                tell.send_replace(Course::LetGo);
                None
            }
        }
    };
    let pass_on = async {
        let [out, err] = &mut cutters;
        let (end, (), (), (), ()) = tokio::join!(
            end,
            pass_on_rests(rests, sink, course.clone()),
            watch_main(main, sink, course.clone()),
            pump(stdout, Stream::Stdout, sink, out, course.clone()),
            pump(stderr, Stream::Stderr, sink, err, course.clone()),
        );
        match end {
            Some(end) => sink.ended(end).await,
            None => {
                let begun = [(Stream::Stdout, out), (Stream::Stderr, err)];
                let begun = begun.map(|(stream, cutter)| (stream, cutter.take_begun()));
                sink.let_go(begun.into()).await;
            }
        }
    };
    let mut is_ended = course.clone();
    let meanwhile = async {
        let _ = is_ended.wait_for(|course| *course == Course::Ended).await;
        sink.tree_ended().await
    };
    tokio::select! {
        () = pass_on => {}
        never = meanwhile => match never {},
    }
}

/// Reports what comes of orders to sleep and to wake.
async fn pass_on_rests(
    mut rests: mpsc::UnboundedReceiver<Rest>,
    sink: &impl RunSink,
    mut course: channel::Receiver<Course>,
) {
    loop {
        tokio::select! {
            biased;
            _ = course.wait_for(|course| *course != Course::Running) => return,
            Some(rest) = rests.recv() => sink.rested(rest),
            else => return,
        }
    }
}

/// Reports that the main process has ended, even if its keeper is stopped and does not.
async fn watch_main(
    main: Option<MainProcess>,
    sink: &impl RunSink,
    mut course: channel::Receiver<Course>,
) {
    let Some(main) = main else { return };
    tokio::select! {
        biased;
        _ = course.wait_for(|course| *course != Course::Running) => {}
        () = main.end() => sink.main_ended(),
    }
}
