//! One copy of each string, label set and pod shape of a cluster; freed again by [`Interner::sweep`].

use super::{Labels, PodShape, Str, wire};
use hashbrown::{HashMap, HashSet};
use std::sync::Arc;

/// Shares equal values. One a watcher: no lock, and dropped with it.
#[derive(Default)]
pub struct Interner {
    strings: HashSet<Str>,
    labels: HashSet<Labels>,
    shapes: HashMap<Arc<PodShape>, ()>,
    since_sweep: usize,
}

impl Interner {
    /// The shared copy of `text`.
    pub fn str(&mut self, text: &str) -> Str {
        self.strings.get_or_insert_with(text, |t| Str::from(t)).clone()
    }

    /// The shared copy of `text`, none when empty.
    pub fn opt(&mut self, text: &str) -> Option<Str> {
        (!text.is_empty()).then(|| self.str(text))
    }

    /// The shared copy of a label set, sorted by key.
    pub fn labels(&mut self, pairs: &[wire::Pair]) -> Labels {
        let mut set: Vec<(Str, Str)> = pairs.iter().map(|p| (self.str(&p.key), self.str(&p.value))).collect();
        set.sort_by(|a, b| a.0.cmp(&b.0));
        let labels = Labels::from(set);
        match self.labels.get(&labels) {
            Some(shared) => shared.clone(),
            None => {
                self.labels.insert(labels.clone());
                labels
            }
        }
    }

    /// The shared copy of a pod shape.
    pub fn shape(&mut self, shape: PodShape) -> Arc<PodShape> {
        if let Some((shared, ())) = self.shapes.get_key_value(&shape) {
            return shared.clone();
        }
        let shape = Arc::new(shape);
        self.shapes.insert(shape.clone(), ());
        shape
    }

    /// Frees what nobody else holds. Call after a list, and it does nothing until enough was decoded since.
    pub fn sweep(&mut self, decoded: usize) {
        self.since_sweep += decoded;
        if self.since_sweep < 10_000 {
            return;
        }
        self.since_sweep = 0;
        self.shapes.retain(|s, ()| Arc::strong_count(s) > 1);
        self.labels.retain(|l| l.shared() > 1);
        self.strings.retain(|s| Arc::strong_count(s) > 1);
    }

    /// How many strings, label sets and shapes are held.
    pub fn counts(&self) -> (usize, usize, usize) {
        (self.strings.len(), self.labels.len(), self.shapes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_share_and_are_freed() {
        let mut interner = Interner::default();
        let (a, b) = (interner.str("kube-system"), interner.str("kube-system"));
        assert!(Arc::ptr_eq(&a, &b));
        drop((a, b));
        let kept = interner.str("kept");
        interner.sweep(10_000);
        assert_eq!(interner.counts().0, 1);
        assert_eq!(&*kept, "kept");
    }
}
