//! How the place of the owner passes from one host to the next, and how it ends.

use warden::hello::Answer;
use warden::planted::{Bug, planted};
use warden::protocol::Report;

use super::{Claim, Owners, Seat, Terms};
use crate::clock;
use crate::link::Sent;
use crate::listener::Peer;
use crate::owner::Owner;
use crate::roster::Roster;

impl Owners {
    /// A host becomes the owner.
    pub(super) fn seat_owner(
        &mut self,
        peer: Peer,
        terms: Terms,
        vacant_since_ms: u64,
        roster: &mut Roster,
    ) {
        self.epoch += 1;
        self.since_unix_ms = clock::unix_ms();
        self.terms = terms;
        let mut owner = Owner::new(peer, &self.kept);
        if self.guests.is_empty() {
            owner.tell(Report::PredecessorGone);
        }
        self.seat = Seat::Owner(Box::new(owner));
        if let Seat::Owner(owner) = &self.seat
            && self.answer(owner.peer(), Answer::Owner, vacant_since_ms) != Sent::Yes
        {
            self.lose_owner(roster);
        }
    }

    /// The owner has gone without a word, or is obeyed no longer.
    pub(super) fn lose_owner(&mut self, roster: &mut Roster) {
        drop(self.vacate(false, roster));
        self.seat_claimant(roster);
    }

    /// Takes the place from an owner that was asked to detach and did not in time.
    pub(super) fn fence_late(&mut self, roster: &mut Roster) -> bool {
        let late = self.claim.as_ref().filter(|claim| claim.due_ms <= clock::now_ms());
        let late = late.filter(|_| !planted(Bug::OwnerIsNeverFenced));
        let Some(claimant) = late.map(|claim| claim.peer.pid) else { return false };
        if let Seat::Owner(owner) = &self.seat {
            owner.tell_fenced(claimant);
        }
        self.lose_owner(roster);
        true
    }

    /// The owner has detached.
    pub(super) fn let_owner_go(&mut self, roster: &mut Roster) {
        let owner = self.vacate(true, roster);
        self.guests.extend(owner.map(|owner| owner.into_peer()));
        self.seat_claimant(roster);
    }

    fn vacate(&mut self, has_detached: bool, roster: &mut Roster) -> Option<Box<Owner>> {
        let due_ms = clock::now_ms().saturating_add(self.terms.for_ms);
        self.since_unix_ms = clock::unix_ms();
        self.kept.go_on_alone(has_detached, roster);
        // The next one's tenants have groups below another parent.
        roster.dismiss_spares();
        self.visitors.look_soon();
        match std::mem::replace(&mut self.seat, Seat::Vacant { due_ms }) {
            Seat::Owner(owner) => Some(owner),
            _ => None,
        }
    }

    fn seat_claimant(&mut self, roster: &mut Roster) {
        if let Some(Claim { peer, terms, .. }) = self.claim.take() {
            self.seat_owner(peer, terms, 0, roster);
        }
    }

    /// Whether the last owner is done, and has left nothing to the next one.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.seat, Seat::Vacant { .. }) && self.epoch > 0 && self.kept.is_empty()
    }

    pub(super) fn begin_to_end(&mut self, roster: &mut Roster) {
        self.kept.ask_all(roster);
        let due_ms = clock::now_ms().saturating_add(self.terms.stop_grace_ms);
        self.seat = Seat::Ending { due_ms };
    }
}
