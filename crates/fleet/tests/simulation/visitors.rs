//! Requests of visitors, as gateways pass them on: once to where the key is said to be, and once
//! more after a correction.

use super::world::{Event, World};
use fleet::{CallId, Input, Key, Owner, Want, Where};

#[derive(Clone, Debug)]
pub struct Visit {
    pub key: Key,
    /// The host whose gateway got it.
    pub home: usize,
    pub at: usize,
    pub want: Want,
    tries: u32,
    /// Whether it must be served.
    pub must_be_served: bool,
}

impl Visit {
    pub fn new(key: Key, home: usize, must_be_served: bool) -> Visit {
        Visit { key, home, at: home, want: Want::default(), tries: 0, must_be_served }
    }
}

impl World<'_> {
    pub fn send(&mut self, visit: Visit) {
        self.visits += 1;
        self.go(visit);
    }

    fn go(&mut self, visit: Visit) {
        let delay_ms = if visit.at == visit.home { 0 } else { self.delay_ms() };
        self.after(delay_ms, Event::Arrives(Box::new(visit)));
    }

    pub fn arrives(&mut self, mut visit: Visit) {
        let at = visit.at;
        let is_away = at != visit.home;
        let is_cut = is_away && self.cuts.contains(&(visit.home, at));
        if self.hosts[at].fleet.is_none() || is_cut {
            if !is_away || visit.tries > 4 {
                return self.ends(visit, None);
            }
            visit.want.doubt(self.hosts[at].id.clone());
            return self.go_home(visit);
        }
        if self.hosts[at].stopped_until.is_some() {
            self.hosts[at].backlog.push(Event::Arrives(Box::new(visit)));
            return;
        }
        self.last_call += 1;
        let call = CallId(self.last_call);
        let (key, want) = (visit.key.clone(), visit.want.clone());
        let is_promised = visit.must_be_served;
        self.hosts[at].calls.insert(call, visit);
        if !is_promised && self.rng.chance(2) {
            self.after(5, Event::Aborts { host: at, call });
        }
        self.handle(at, Input::Want { call, key, want });
    }

    fn go_home(&mut self, mut visit: Visit) {
        visit.tries += 1;
        visit.at = visit.home;
        visit.want.hops = 0;
        self.go(visit);
    }

    pub fn visit_answered(&mut self, host: usize, call: CallId, place: Where) {
        let Some(mut visit) = self.hosts[host].calls.remove(&call) else {
            return self.fail(format!("{call:?} is answered twice, or nobody's"));
        };
        match place {
            Where::Here { epoch } => {
                let served = self.hosts[host].serves(&visit.key, self.now);
                if served != Some(epoch) {
                    let (id, key) = (self.hosts[host].id.clone(), visit.key.clone());
                    self.fail(format!(
                        "{id} says that {key} is here by {epoch}, and {served:?} is"
                    ));
                }
                self.is_used(host, &visit.key);
                self.ends(visit, Some((host, epoch)));
            }
            Where::There { host: to, address, epoch } => {
                let Some(to_index) = self.hosts.iter().position(|other| other.id == to) else {
                    return self.fail(format!("{to} is nowhere"));
                };
                if to_index == host {
                    return self.fail(format!("{to} sends to itself"));
                }
                if visit.at == visit.home {
                    visit.at = to_index;
                    visit.want.hops = 1;
                    visit.want.told = None;
                    return self.go(visit);
                }
                if visit.tries > 4 {
                    return self.ends(visit, None);
                }
                visit.want.told = Some(Owner { host: to, address, epoch: epoch.unwrap_or(0) });
                self.go_home(visit);
            }
            Where::Refused { why, .. } => {
                self.note(|world| {
                    format!("{} refuses {}: {why:?}", world.hosts[host].id, visit.key)
                });
                self.ends(visit, None);
            }
        }
    }

    pub fn ends(&mut self, visit: Visit, served: Option<(usize, u64)>) {
        self.visits -= 1;
        if visit.must_be_served {
            self.promised.push((visit, served));
        }
    }
}
