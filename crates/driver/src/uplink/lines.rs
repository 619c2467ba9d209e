//! Log text that waits for JavaScript. Tenants take turns: each gets as much done as the others, however much it has
//! written, and one that has written little is next.
//!
//! This is start-time fair queueing. A run's turn begins where its turn before it ended, counted in what its lines cost
//! ([`charge`]). A run that was quiet is behind, and so comes first, but no more than by [`CREDIT`]: it has not saved up
//! all the time in which it was.

use super::Record;
use super::log_room::{Room, charge};
use super::{MOST_LINES, Stream};
use memchr::memchr_iter;
use pool::{RunId, RunMap};
use std::collections::{BTreeMap, VecDeque};

/// What a run that was quiet may write before it waits for its turn as others do: as much as they get in one.
const CREDIT: u64 = 64 << 10;
/// The lines of a run that is over cost so much less: its exit waits for them, and nothing follows.
const ENDING_DISCOUNT: u64 = 16;

/// Lines that JavaScript gets at once before it is known how slow it is.
const FIRST_LINES: usize = 64;

/// Lines of one run, joined by `\n`, that have room.
pub struct Text {
    pub stream: Stream,
    pub at_ms: u64,
    pub text: String,
    pub lines: usize,
    pub room: Room,
}

/// A text, and how much of it JavaScript has been given.
struct Waiting {
    /// In the order of arrival among all records.
    number: u64,
    text: Text,
    given_bytes: usize,
}

#[derive(Default)]
struct RunLines {
    texts: VecDeque<Waiting>,
    /// When its next turn begins.
    turn: u64,
    is_ending: bool,
}

/// See the module.
#[derive(Default)]
pub struct LineQueue {
    runs: RunMap<RunLines>,
    /// The runs that have text, by when their turn begins, then by when its text arrived.
    turns: BTreeMap<(u64, u64), RunId>,
    /// When the latest turn that was given began.
    now: u64,
    texts: usize,
}

impl LineQueue {
    /// How many texts wait.
    pub fn len(&self) -> usize {
        self.texts
    }

    pub fn push(&mut self, number: u64, run: RunId, text: Text) {
        let lines = self.runs.entry(run).or_default();
        if lines.texts.is_empty() {
            lines.turn = lines.turn.max(self.now.saturating_sub(CREDIT));
            self.turns.insert((lines.turn, number), run);
        }
        lines.texts.push_back(Waiting { number, text, given_bytes: 0 });
        self.texts += 1;
    }

    /// When the text arrived whose turn it is.
    pub fn next_number(&self) -> Option<u64> {
        self.turns.first_key_value().map(|((_, number), _)| *number)
    }

    /// The next lines, what they cost, and their room. `portion` has some left.
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

    /// The run is over: what is left of its lines is in a hurry.
    pub fn hurry(&mut self, run: RunId) {
        if let Some(lines) = self.runs.get_mut(&run) {
            lines.is_ending = true;
        }
    }

    /// Drops what waits of a run, and forgets it. Returns how many lines that were.
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
    /// The first of its lines. There are more.
    fn first(&mut self, lines: usize) -> (String, usize, Room) {
        let left = &self.text.text[self.given_bytes..];
        let end = memchr_iter(b'\n', left.as_bytes()).nth(lines - 1).unwrap_or(left.len());
        let text = left[..end].to_owned();
        self.given_bytes += end + 1;
        self.text.lines -= lines;
        let cost = charge(end, lines);
        (text, cost, self.text.room.split(cost))
    }

    fn rest(self) -> (String, usize, Room) {
        let Text { mut text, lines, room, .. } = self.text;
        if self.given_bytes > 0 {
            text.drain(..self.given_bytes);
        }
        let cost = charge(text.len(), lines);
        (text, cost, room)
    }
}

/// How many lines JavaScript gets in a batch: as many as it has time for in a turn or two, so that those of others come
/// soon even where lines are slow to be handled. Few at first.
pub struct Portion {
    lines: usize,
    /// Of which there is still room for so many in this batch.
    left: usize,
    /// Turns that JavaScript has begun with lines that the turn before had no time for.
    turns: u32,
}

impl Portion {
    pub fn left(&self) -> usize {
        self.left
    }

    fn give(&mut self, lines: usize) {
        self.left -= lines;
    }

    /// JavaScript had no time for all of it. That happens with any, at the end of a turn; but twice only if it is slow.
    pub fn goes_on(&mut self) {
        self.turns += 1;
        if self.turns > 1 {
            self.lines = (self.lines / 2).max(1);
        }
    }

    /// JavaScript is done with it: the next one.
    pub fn next(&mut self) {
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
