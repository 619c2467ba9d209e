//! Which keys a list, a watch or a change is about.

/// Neighbouring keys: those from one on that come before another, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    from: Vec<u8>,
    /// The first key that is not in it; with `None` there is no such key.
    to: Option<Vec<u8>>,
}

impl Range {
    /// All keys.
    pub fn all() -> Range {
        Range { from: Vec::new(), to: None }
    }

    /// One key.
    pub fn key(key: &str) -> Range {
        let after = [key.as_bytes(), &[0]].concat();
        Range { from: key.as_bytes().to_vec(), to: Some(after) }
    }

    /// All keys that begin so.
    pub fn prefix(prefix: &str) -> Range {
        Range { from: prefix.as_bytes().to_vec(), to: end_of_prefix(prefix.as_bytes()) }
    }

    /// The key `from`, and all after it that come before `to`.
    pub fn between(from: &str, to: &str) -> Range {
        Range { from: from.as_bytes().to_vec(), to: Some(to.as_bytes().to_vec()) }
    }

    /// The key `from`, and all after it.
    pub fn from(from: &str) -> Range {
        Range { from: from.as_bytes().to_vec(), to: None }
    }

    /// The rest of it after a key.
    pub fn after(&self, key: &str) -> Range {
        self.after_bytes(key.as_bytes())
    }

    /// The same after a key that need not be Unicode.
    pub(crate) fn after_bytes(&self, key: &[u8]) -> Range {
        let from = [key, &[0]].concat();
        Range { from: from.max(self.from.clone()), to: self.to.clone() }
    }

    /// Its first key and the first after it, among the keys that begin with a prefix. The second is
    /// `None` if no key comes after all of these.
    pub(crate) fn below(&self, prefix: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let below = |key: &Vec<u8>| [prefix, key.as_slice()].concat();
        let to = self.to.as_ref().map(below).or_else(|| end_of_prefix(prefix));
        (below(&self.from), to)
    }

    /// Whether it has this key.
    pub fn contains(&self, key: &str) -> bool {
        let key = key.as_bytes();
        self.from.as_slice() <= key && self.to.as_ref().is_none_or(|to| key < to.as_slice())
    }

    /// Whether two have a key in common.
    pub fn overlaps(&self, other: &Range) -> bool {
        let begins_before_end = |first: &Range, second: &Range| {
            second.to.as_ref().is_none_or(|to| first.from.as_slice() < to.as_slice())
        };
        begins_before_end(self, other) && begins_before_end(other, self)
    }
}

/// The first key after all that begin with these bytes: the last byte that can grow is one larger.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return Some(end);
        }
        end.pop();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_what_begins_with_it_and_nothing_else() {
        let range = Range::prefix("claims/");
        assert!(range.contains("claims/") && range.contains("claims/a"));
        assert!(range.contains("claims/\u{10ffff}"));
        assert!(!range.contains("claims") && !range.contains("claims0") && !range.contains("b"));
        assert!(Range::prefix("").contains("") && Range::prefix("").contains("\u{10ffff}"));
        assert_eq!(end_of_prefix(&[0x61, 0xff, 0xff]), Some(vec![0x62]));
        assert_eq!(end_of_prefix(&[0xff]), None);
    }

    #[test]
    fn a_key_is_no_prefix() {
        let range = Range::key("hosts/a");
        assert!(range.contains("hosts/a"));
        assert!(!range.contains("hosts/ab") && !range.contains("hosts/"));
    }

    #[test]
    fn the_rest_after_a_key_begins_with_the_next_one() {
        let rest = Range::prefix("a").after("a1");
        assert!(!rest.contains("a1") && rest.contains("a1\0") && rest.contains("a2"));
        assert!(!rest.contains("b"));
        assert!(!Range::prefix("b").after("a").contains("a1"), "it never grows");
    }

    #[test]
    fn ranges_overlap_if_they_have_a_key_in_common() {
        assert!(Range::prefix("a").overlaps(&Range::key("ab")));
        assert!(!Range::prefix("a").overlaps(&Range::key("b")));
        assert!(Range::from("b").overlaps(&Range::between("a", "c")));
        assert!(!Range::between("a", "b").overlaps(&Range::from("b")));
    }
}
