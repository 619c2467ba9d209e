//! Users of tenants: which number of a range each tenant runs as.
//!
//! A tenant is its directory: two runtimes of this process may have the same keys. It keeps its
//! number for as long as the process lives, so that the files that it has written stay its own, and
//! no other tenant of this process gets it, whichever ranges the runtimes have.

use linux::confine::User;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The users of this process's tenants, which all of its runtimes share.
static BOOK: Mutex<Option<UserBook>> = Mutex::new(None);

/// Whom tenants run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// This user.
    One(User),
    /// Each as a user of its own, of `count` numbers from `first` on. Its group has the same
    /// number.
    Range { first: u32, count: u32 },
}

/// A user, and whether no other tenant of this process runs as it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Assigned {
    pub user: User,
    pub is_own: bool,
}

/// Which tenant has which number.
#[derive(Debug, Default)]
struct UserBook {
    /// The first tenant of each number.
    owners: BTreeMap<u32, Arc<str>>,
    /// The numbers of each tenant: one for each range that it was started with.
    numbers: HashMap<Arc<str>, Vec<u32>>,
}

impl Users {
    /// The one, or the first, of them.
    pub(crate) fn first(self) -> User {
        match self {
            Users::One(user) => user,
            Users::Range { first, .. } => User { uid: first, gid: first },
        }
    }

    /// The user of the tenant in this directory. An error, for people: all numbers are given away.
    pub(crate) fn of(self, directory: &str) -> Result<Assigned, String> {
        let mut book = BOOK.lock().unwrap_or_else(PoisonError::into_inner);
        book.get_or_insert_default().assign(self, directory)
    }
}

/// The tenant in this directory runs as this user, which an earlier host has given it.
pub(crate) fn hold(uid: u32, directory: &str) {
    let mut book = BOOK.lock().unwrap_or_else(PoisonError::into_inner);
    book.get_or_insert_default().hold(uid, directory);
}

impl UserBook {
    fn hold(&mut self, uid: u32, directory: &str) {
        if !self.owners.contains_key(&uid) {
            self.give(uid, directory);
        }
    }

    fn assign(&mut self, users: Users, directory: &str) -> Result<Assigned, String> {
        match users {
            Users::One(user) => {
                if !self.owners.contains_key(&user.uid) {
                    self.give(user.uid, directory);
                }
                let is_own = self.owners.get(&user.uid).is_some_and(|owner| **owner == *directory);
                Ok(Assigned { user, is_own })
            }
            Users::Range { first, count } => {
                let number = self.number(directory, first, count)?;
                Ok(Assigned { user: User { uid: number, gid: number }, is_own: true })
            }
        }
    }

    /// The tenant's number of the range: the one that it has, or the lowest that no tenant has.
    fn number(&mut self, directory: &str, first: u32, count: u32) -> Result<u32, String> {
        let last = first.saturating_add(count - 1);
        let known = self.numbers.get(directory).into_iter().flatten();
        if let Some(number) = known.copied().find(|number| (first..=last).contains(number)) {
            return Ok(number);
        }
        let taken = self.owners.range(first..=last).map(|(number, _)| *number);
        let number = (first..=last).zip(taken.map(Some).chain(std::iter::repeat(None)));
        let mut free = number.skip_while(|(number, taken)| Some(*number) == *taken);
        let Some((number, _)) = free.next() else {
            return Err(format!(
                "all users from {first} to {last} (isolation.user, {count} of them) belong to other \
                 tenants: give a larger range"
            ));
        };
        self.give(number, directory);
        Ok(number)
    }

    fn give(&mut self, number: u32, directory: &str) {
        let directory: Arc<str> = directory.into();
        self.owners.insert(number, directory.clone());
        self.numbers.entry(directory).or_default().push(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(first: u32, count: u32) -> Users {
        Users::Range { first, count }
    }

    fn number(book: &mut UserBook, users: Users, directory: &str) -> u32 {
        let Assigned { user, .. } = book.assign(users, directory).unwrap();
        assert_eq!(user.uid, user.gid);
        user.uid
    }

    #[test]
    fn each_tenant_gets_a_number_and_keeps_it() {
        let mut book = UserBook::default();
        let users = range(20_000, 3);
        let numbers = ["/a", "/b", "/a", "/c", "/b"].map(|key| number(&mut book, users, key));
        assert_eq!(numbers, [20_000, 20_001, 20_000, 20_002, 20_001]);
    }

    #[test]
    fn a_range_that_is_used_up_is_named() {
        let mut book = UserBook::default();
        number(&mut book, range(20_000, 1), "/a");
        let error = book.assign(range(20_000, 1), "/b").unwrap_err();
        assert!(error.starts_with("all users from 20000 to 20000 "), "{error}");
        assert_eq!(number(&mut book, range(20_000, 1), "/a"), 20_000);
        assert_eq!(number(&mut book, range(u32::MAX - 1, 1), "/b"), u32::MAX - 1);
    }

    #[test]
    fn ranges_that_overlap_give_no_number_to_two_tenants() {
        let mut book = UserBook::default();
        let (low, high) = (range(100, 3), range(101, 3));
        let of = |book: &mut UserBook, users, key| number(book, users, key);
        assert_eq!(of(&mut book, high, "/1/a"), 101);
        assert_eq!(of(&mut book, low, "/2/a"), 100);
        assert_eq!(of(&mut book, low, "/2/b"), 102);
        assert_eq!(of(&mut book, high, "/1/b"), 103);
        // In both ranges: the same tenant has the same number.
        assert_eq!(of(&mut book, low, "/1/a"), 101);
        // Its number is not of this range: it gets another one, and keeps both.
        assert_eq!(of(&mut book, range(200, 1), "/1/a"), 200);
        assert_eq!(of(&mut book, high, "/1/a"), 101);
    }

    #[test]
    fn a_number_that_an_earlier_host_gave_stays_its_tenants() {
        let mut book = UserBook::default();
        book.hold(20_001, "/b");
        book.hold(20_001, "/c");
        let users = range(20_000, 3);
        let numbers = ["/a", "/b", "/c"].map(|key| number(&mut book, users, key));
        assert_eq!(numbers, [20_000, 20_001, 20_002]);
    }

    #[test]
    fn one_user_is_a_tenants_own_until_another_tenant_has_it_too() {
        let mut book = UserBook::default();
        let one = Users::One(User { uid: 101, gid: 7 });
        let assigned = |is_own| Ok(Assigned { user: User { uid: 101, gid: 7 }, is_own });
        assert_eq!(book.assign(one, "/a"), assigned(true));
        assert_eq!(book.assign(one, "/a"), assigned(true));
        assert_eq!(book.assign(one, "/b"), assigned(false));
        // Nor does a range give it away.
        assert_eq!(number(&mut book, range(100, 3), "/c"), 100);
        assert_eq!(number(&mut book, range(100, 3), "/d"), 102);
    }
}
