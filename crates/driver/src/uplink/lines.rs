//! The queue of log text. Runs take turns: each gets the same share of JavaScript's time however
//! much it has written, and a run that has written little is next.
//!
//! This is start-time fair queueing. A run's turn begins where its last turn ended, counted in the
//! [`charge`] of its lines. A run that was quiet is behind the others and so comes first, but it
//! is set back by no more than [`CREDIT`], however long it was quiet.

use super::Record;
use super::log_room::{Room, charge};
use super::{MOST_LINES, Stream};
use memchr::memchr_iter;
use pool::{RunId, RunMap};
use std::collections::{BTreeMap, VecDeque};

/// How far a quiet run may be behind the others, in charge: about what they get in one turn.
const CREDIT: u64 = 64 << 10;
/// The charge of a run that is over is divided by this: its exit waits for its lines, and no more
/// lines follow.
const ENDING_DISCOUNT: u64 = 16;

/// The first portion, in lines, before it is known how fast JavaScript handles them.
const FIRST_LINES: usize = 64;

/// Lines of one run, joined by `\n`, with the room that they take up.
pub struct Text {
    pub stream: Stream,
    /// When they were read, in milliseconds since the epoch.
    pub at_ms: u64,
    pub text: String,
    pub lines: usize,
    pub room: Room,
}

/// A text, and how much of it JavaScript has taken.
struct Waiting {
    /// Its number in the order of arrival among all records.
    number: u64,
    text: Text,
    given_bytes: usize,
}

#[derive(Default)]
struct RunLines {
    texts: VecDeque<Waiting>,
    /// When its next turn begins, in charge.
    turn: u64,
    is_ending: bool,
}

/// The log text that JavaScript has not taken: see the module.
#[derive(Default)]
pub struct LineQueue {
    runs: RunMap<RunLines>,
    /// The runs that have text, by when their turn begins, then by the number of their first text.
    turns: BTreeMap<(u64, u64), RunId>,
    /// When the latest turn began, in charge.
    now: u64,
    /// How many texts all runs have.
    texts: usize,
}

impl LineQueue {
    /// How many texts are queued.
    pub fn len(&self) -> usize {
        self.texts
    }

    /// Queues a text. `number` is its place in the order of arrival.
    pub fn push(&mut self, number: u64, run: RunId, text: Text) {
        let lines = self.runs.entry(run).or_default();
        if lines.texts.is_empty() {
            lines.turn = lines.turn.max(self.now.saturating_sub(CREDIT));
            self.turns.insert((lines.turn, number), run);
        }
        lines.texts.push_back(Waiting { number, text, given_bytes: 0 });
        self.texts += 1;
    }

    /// The number of the text whose turn is next.
    pub fn next_number(&self) -> Option<u64> {
        self.turns.first_key_value().map(|((_, number), _)| *number)
    }

    /// Takes the next lines: their record, their charge, and their room. `portion` must not be
    /// used up.
    pub fn pop(&mut self, portion: &mut Portion) -> Option<(Record, usize, Room)> {
        let ((turn, _), run) = self.turns.pop_first()?;
        self.now = self.now.max(turn);
        let lines = self.runs.get_mut(&run)?;
        let waiting = lines.texts.front_mut()?;
        let (stream, at_ms) = (waiting.text.stream, waiting.text.at_ms);
        let count = waiting.text.lines.min(portion.left);
        portion.give(count);
        let (text, cost, room) = if waiting.text.lines == count {
            let waiting = lines.texts.pop_front()?;
            self.texts -= 1;
            waiting.rest()
        } else {
            waiting.first(count)
        };
        lines.turn = turn + cost as u64 / if lines.is_ending { ENDING_DISCOUNT } else { 1 };
        if let Some(next) = lines.texts.front() {
            self.turns.insert((lines.turn, next.number), run);
        }
        Some((Record::Log { run, stream, at_ms, text }, cost, room))
    }

    /// Lets the lines of a run that is over come sooner.
    pub fn prioritize(&mut self, run: RunId) {
        if let Some(lines) = self.runs.get_mut(&run) {
            lines.is_ending = true;
        }
    }

    /// Drops the text of a run, and its entry. Returns how many lines were dropped.
    pub fn remove(&mut self, run: RunId) -> usize {
        let Some(lines) = self.runs.remove(&run) else { return 0 };
        if let Some(first) = lines.texts.front() {
            self.turns.remove(&(lines.turn, first.number));
        }
        self.texts -= lines.texts.len();
        lines.texts.iter().map(|waiting| waiting.text.lines).sum()
    }
}

impl Waiting {
    /// Takes the first lines, of which there must be more.
    fn first(&mut self, lines: usize) -> (String, usize, Room) {
        let left = &self.text.text[self.given_bytes..];
        let end = memchr_iter(b'\n', left.as_bytes()).nth(lines - 1).unwrap_or(left.len());
        let text = left[..end].to_owned();
        self.given_bytes += end + 1;
        self.text.lines -= lines;
        let cost = charge(end, lines);
        (text, cost, self.text.room.split(cost, lines))
    }

    /// Takes the lines that are left.
    fn rest(self) -> (String, usize, Room) {
        let Text { mut text, lines, room, .. } = self.text;
        if self.given_bytes > 0 {
            text.drain(..self.given_bytes);
        }
        let cost = charge(text.len(), lines);
        (text, cost, room)
    }
}

/// How many lines JavaScript gets in a batch: as many as it has time for in a turn or two, so that
/// the lines of other runs come soon even if lines are handled slowly. It grows from few.
pub struct Portion {
    lines: usize,
    /// How many of them this batch can still get.
    left: usize,
    /// Turns of JavaScript that began with lines of this portion that it had no time for before.
    turns: u32,
}

impl Portion {
    /// How many lines this batch can still get.
    pub fn left(&self) -> usize {
        self.left
    }

    fn give(&mut self, lines: usize) {
        self.left -= lines;
    }

    /// JavaScript had no time for all lines in its turn. Once says nothing, since the turn may
    /// have been nearly over; twice, the lines are slow, and the portion is halved.
    pub fn mark_unfinished(&mut self) {
        self.turns += 1;
        if self.turns > 1 {
            self.lines = (self.lines / 2).max(1);
        }
    }

    /// Begins the next portion: JavaScript is done with this one. It is doubled if this one was
    /// used up in one turn.
    pub fn begin_next(&mut self) {
        if self.left == 0 && self.turns == 0 {
            self.lines = (self.lines * 2).min(MOST_LINES);
        }
        (self.left, self.turns) = (self.lines, 0);
    }
}

impl Default for Portion {
    fn default() -> Self {
        Portion { lines: FIRST_LINES, left: FIRST_LINES, turns: 0 }
    }
}
