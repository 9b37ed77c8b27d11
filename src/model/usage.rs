//! What nodes and pods use now and how full claims are, as metrics tell it: side tables of the store, for rows that are there already.

use super::{Kind, Str, Time};

/// What one node or pod uses. What is not known is none, never 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Millicores.
    pub cpu_m: Option<i64>,
    /// Working set, bytes.
    pub memory: Option<i64>,
    /// When it was measured.
    pub at: Option<Time>,
}

/// All that is known of a kind now: what it does not name is no longer known.
#[derive(Clone, Debug)]
pub struct UsageList {
    /// Node or Pod.
    pub kind: Kind,
    /// The namespace that it speaks of; none: all.
    pub namespace: Option<Str>,
    pub rows: Vec<UsageRow>,
}

/// The use of one object.
#[derive(Clone, Debug)]
pub struct UsageRow {
    /// Empty for nodes.
    pub namespace: Str,
    pub name: Str,
    pub usage: Usage,
}

/// One part of the words of how use is told, which `; ` separates: of this kind another one tells.
pub fn from_other(kind: Kind, by: &str) -> String {
    format!("{} are from {by}", kind.plural())
}

/// Who else tells the use of a kind, by those words; none: metrics.k8s.io, or nobody.
pub fn use_from(via: &str, kind: Kind) -> Option<&str> {
    let mut parts = via.split("; ");
    let whole = parts.next().filter(|first| first.starts_with("Prometheus") && use_gap(via, kind).is_none());
    whole.or_else(|| parts.find_map(|p| p.strip_prefix(kind.plural())?.strip_prefix(" are from ")))
}

/// Why the use of a kind is not told, or not all of it, by those words.
pub fn use_gap(via: &str, kind: Kind) -> Option<&str> {
    let of_kind = |p: &&str| p.split([' ', '.', ':']).any(|word| word == kind.plural()) && !p.contains(" are from ");
    via.split("; ").skip(1).find(of_kind)
}

/// How full the volume of one claim is. What is not known is none, never 0.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct ClaimUse {
    /// Bytes that are used, of its capacity: a share of 1.
    pub bytes: Option<f64>,
    /// Inodes that are used, of those it has: a share of 1.
    pub inodes: Option<f64>,
}

/// How full one claim is.
#[derive(Clone, Debug)]
pub struct ClaimRow {
    pub namespace: Str,
    pub name: Str,
    pub full: ClaimUse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_of_each_kind_who_tells_it() {
        let of =
            |via: &str| [Kind::Node, Kind::Pod].map(|kind| (use_from(via, kind).map(str::to_owned), use_gap(via, kind).map(str::to_owned)));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("the API server"), [(None, None), (None, None)]);
        assert_eq!(
            of("Prometheus, service m/p:9090"),
            [(some("Prometheus, service m/p:9090"), None), (some("Prometheus, service m/p:9090"), None)]
        );
        let forbidden = "forbidden, needs list pods.metrics.k8s.io in a";
        assert_eq!(of(&format!("the API server; {forbidden}")), [(None, None), (None, some(forbidden))]);
        let both = format!("the API server; {forbidden}; {}", from_other(Kind::Pod, "Prometheus, x"));
        assert_eq!(of(&both), [(None, None), (some("Prometheus, x"), some(forbidden))]);
        assert_eq!(of("Prometheus, x; nothing of nodes"), [(None, some("nothing of nodes")), (some("Prometheus, x"), None)]);
    }
}
