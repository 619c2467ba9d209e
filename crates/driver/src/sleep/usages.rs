//! What sleepers use. It does not change while their trees stand, but for memory that the kernel takes
//! from them; so it is read once, and thousands of them cost nothing when tenants are observed.

use super::Sleeping;
use linux::process::accounting::{Root, Sampler, Usage, of_tree};
use pool::{RunId, RunMap};

/// The trees that are to be read, and what is known without that.
pub(crate) struct ToSample {
    pub known: Vec<(RunId, Usage)>,
    runs: Vec<RunId>,
    roots: Vec<Root>,
    /// Those of them that rest, and since which rest.
    rests: RunMap<u64>,
    /// Most trees stand: each of the others is read alone, instead of all processes there are.
    alone: bool,
}

impl ToSample {
    /// Of these trees. `sleeping` is `None` where none sleep.
    pub fn new(
        trees: impl Iterator<Item = (RunId, Root)>,
        sleeping: Option<&Sleeping>,
    ) -> ToSample {
        let mut all = ToSample {
            known: Vec::new(),
            runs: Vec::new(),
            roots: Vec::new(),
            rests: RunMap::default(),
            alone: false,
        };
        for (run, root) in trees {
            let its = sleeping.and_then(|sleeping| sleeping.resting.get(&run));
            if let Some(usage) = its.and_then(|resting| resting.usage) {
                all.known.push((run, usage));
                continue;
            }
            all.rests.extend(its.map(|resting| (run, resting.rest)));
            all.runs.push(run);
            all.roots.push(root);
        }
        all.alone = all.known.len() > all.roots.len();
        all
    }

    /// Reads them. Not for a thread that must not block.
    pub fn sample(self, sampler: &mut Sampler) -> Sampled {
        let usages: Vec<Option<Usage>> = match self.alone {
            true => self.roots.into_iter().map(of_tree).collect(),
            false => sampler.sample(&self.roots),
        };
        let read = self.runs.into_iter().zip(usages);
        let mut usages = self.known;
        usages.extend(read.filter_map(|(run, usage)| Some((run, usage?))));
        Sampled { usages, rests: self.rests }
    }
}

/// What all runs use.
#[derive(Default)]
pub(crate) struct Sampled {
    pub usages: Vec<(RunId, Usage)>,
    rests: RunMap<u64>,
}

impl Sampled {
    /// Keeps what was read of those whose trees have stood since.
    pub fn keep(&self, sleeping: Option<&mut Sleeping>) {
        let Some(sleeping) = sleeping.filter(|_| !self.rests.is_empty()) else { return };
        for (run, usage) in &self.usages {
            let rest = self.rests.get(run).copied();
            if let Some(resting) = sleeping.resting.get_mut(run)
                && rest == Some(resting.rest)
            {
                resting.usage = Some(*usage);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Root = Root::Process(1);

    fn sampled(sleeping: &mut Sleeping, runs: &[u64]) -> ToSample {
        let own = Root::Process(std::process::id());
        let trees = || runs.iter().map(|run| (RunId(*run), own));
        let sampled = ToSample::new(trees(), Some(sleeping)).sample(&mut Sampler::default());
        assert_eq!(sampled.usages.len(), runs.len());
        sampled.keep(Some(sleeping));
        ToSample::new(trees(), Some(sleeping))
    }

    fn known(next: &ToSample) -> Vec<u64> {
        next.known.iter().map(|(run, _)| run.0).collect()
    }

    #[test]
    fn a_sleeper_is_read_once_until_it_is_up() {
        let mut sleeping = Sleeping::default();
        sleeping.rests(RunId(1), 0, 0);
        sleeping.stands(RunId(1));
        assert_eq!(known(&sampled(&mut sleeping, &[1, 2])), [1]);
        sleeping.is_up(RunId(1), 0);
        let next = ToSample::new([(RunId(1), OURS)].into_iter(), Some(&sleeping));
        assert_eq!(known(&next), [0; 0]);
    }

    #[test]
    fn what_was_read_while_it_fell_or_before_it_was_paged_out_is_read_again() {
        let mut sleeping = Sleeping::default();
        sleeping.rests(RunId(1), 0, 0);
        assert_eq!(known(&sampled(&mut sleeping, &[1])), [1]);
        sleeping.stands(RunId(1));
        let next = ToSample::new([(RunId(1), OURS)].into_iter(), Some(&sleeping));
        assert_eq!(known(&next), [0; 0]);
    }

    #[test]
    fn a_reading_that_began_before_the_tree_stood_is_not_kept() {
        let mut sleeping = Sleeping::default();
        sleeping.rests(RunId(1), 0, 0);
        let own = Root::Process(std::process::id());
        let reading = ToSample::new([(RunId(1), own)].into_iter(), Some(&sleeping));
        let sampled = reading.sample(&mut Sampler::default());
        sleeping.stands(RunId(1));
        sampled.keep(Some(&mut sleeping));
        let next = ToSample::new([(RunId(1), own)].into_iter(), Some(&sleeping));
        assert_eq!(known(&next), [0; 0]);
    }
}
