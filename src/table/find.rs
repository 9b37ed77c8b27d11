//! Any object of the fleet by its name: fuzzy, best first.

use super::{Row, RowKey, Subject};
use crate::model::Kind;
use crate::store::{RowId, Store};
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// Score, length of the name, place.
type Rank = (u32, Reverse<usize>, Reverse<RowKey>);

/// A name that fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    pub key: RowKey,
    /// Higher is better; comparable within one search.
    pub score: u32,
    /// Where the name matched, in its bytes.
    pub matched: Vec<Range<usize>>,
}

/// The best `limit` rows of all clusters and kinds (events left out, and ReplicaSets that somebody owns) by name; with a slash in the
/// text, by `namespace/name`. Words between spaces must all fit. An empty text finds nothing.
pub fn find_anywhere(store: &Store, text: &str, limit: usize) -> Vec<Found> {
    let pattern = Pattern::parse(text, CaseMatching::Smart, Normalization::Never);
    if pattern.atoms.is_empty() || limit == 0 {
        return Vec::new();
    }
    let whole = text.contains('/');
    let mut matcher = Matcher::new(Config::DEFAULT);
    let (mut hay, mut chars) = (String::new(), Vec::new());
    // A shorter name first among equals, then fleet order: the worst kept is on top.
    let mut best: BinaryHeap<Reverse<Rank>> = BinaryHeap::with_capacity(limit + 1);
    let mut offer = |key: RowKey, row: Row<'_>| {
        let Some(score) = pattern.score(Utf32Str::new(haystack(row, whole, &mut hay), &mut chars), &mut matcher) else { return };
        best.push(Reverse((score, Reverse(row.name().len()), Reverse(key))));
        if best.len() > limit {
            best.pop();
        }
    };
    for c in store.clusters() {
        offer(RowKey::Cluster(c.id), Row::Cluster(c));
        for kind in Kind::ALL.into_iter().filter(|k| !matches!(k, Kind::Event | Kind::Signal | Kind::EndpointSlice)) {
            for (slot, o) in c.table(kind).iter().filter(|(_, o)| Subject::Workloads.lists(o)) {
                offer(RowKey::Object(RowId { cluster: c.id, kind, slot }), Row::Object(c, o));
            }
        }
    }
    let matched = |key: RowKey| {
        let Some(row) = Row::of(store, key) else { return Vec::new() };
        let (mut hay, mut chars, mut indices) = (String::new(), Vec::new(), Vec::new());
        let mut matcher = Matcher::new(Config::DEFAULT);
        let hay = haystack(row, whole, &mut hay);
        pattern.indices(Utf32Str::new(hay, &mut chars), &mut matcher, &mut indices);
        ranges(hay, hay.len() - row.name().len(), &indices)
    };
    let sorted = best.into_sorted_vec();
    sorted.into_iter().map(|Reverse((score, _, Reverse(key)))| Found { key, score, matched: matched(key) }).collect()
}

fn haystack<'a>(row: Row<'a>, whole: bool, buffer: &'a mut String) -> &'a str {
    if !whole || row.namespace().is_empty() {
        return row.name();
    }
    buffer.clear();
    buffer.extend([row.namespace(), "/", row.name()]);
    buffer
}

/// Byte ranges, from `start` of the text on, of the characters at these places. Names of Kubernetes are ASCII; where one is not,
/// a place is a character as good as any.
fn ranges(text: &str, start: usize, indices: &[u32]) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for (n, (at, c)) in text.char_indices().enumerate() {
        if at < start || !indices.contains(&u32::try_from(n).unwrap_or(u32::MAX)) {
            continue;
        }
        let (from, to) = (at - start, at - start + c.len_utf8());
        match out.last_mut() {
            Some(last) if last.end == from => last.end = to,
            _ => out.push(from..to),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::everything;
    use super::*;

    #[test]
    fn names_over_kinds_best_first() {
        let store = everything();
        let names = |text| {
            find_anywhere(&store, text, 5).into_iter().map(|f| Row::of(&store, f.key).unwrap().name().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names("chkout"), ["checkout-1"]);
        assert_eq!(names("pay/api"), ["api"]);
        assert_eq!(names("prod"), ["prod-eu"]);
        assert_eq!(names("node 001"), ["node-001"]);
        assert!(names("").is_empty() && names("zzz").is_empty());
        assert_eq!(find_anywhere(&store, "a", 2).len(), 2);
        assert_eq!(find_anywhere(&store, "pay/db", 1)[0].matched, vec![Range { start: 0, end: 2 }]);
    }
}
