//! Claims: who mounts them, how full they are, and what they wait for.

use super::words::{bytes, joined};
use super::{Look, Parts, Section, created, events};
use crate::inspect::Severity;
use crate::model::{Claim, Kind, Measure, Object, Pod, Tri};

/// The pods that mount a claim.
pub fn mounted<'a>(look: &Look<'a>, c: &Claim) -> Vec<&'a Pod> {
    let mounts = |o: &'a Object| match o {
        Object::Pod(p) if p.meta.namespace == c.meta.namespace && p.claims.contains(&c.meta.name) => Some(&**p),
        _ => None,
    };
    look.cluster.objects(Kind::Pod).filter_map(mounts).collect()
}

pub fn explain(look: &Look, object: &Object, c: &Claim) -> Parts {
    let mut why = Section::default();
    let pods = mounted(look, c);
    let names = || joined(pods.iter().map(|p| p.meta.name.to_string()), 6);
    match &*c.phase {
        "Lost" => why.bad(
            Severity::Critical,
            "lost",
            format!("its volume {} is gone: what was on it cannot be read", c.volume.as_deref().unwrap_or("(none named)")),
        ),
        "Pending" if pods.is_empty() => {
            why.bad(Severity::Info, "pending", "no pod mounts it: a class that waits for its first pod gives it no volume before");
        }
        "Pending" => why.bad(Severity::Warning, "pending", format!("it has no volume yet; {} cannot start without it", names())),
        _ => {}
    }
    for condition in c.conditions.iter().filter(|c| c.status == Tri::True) {
        let text = condition.message.as_deref().or(condition.reason.as_deref()).unwrap_or("no reason given");
        why.bad(Severity::Warning, &*condition.kind, text);
    }
    let mut facts = Section::new("claim");
    let size = |n: Option<i64>| n.map_or_else(|| "not told".to_owned(), bytes);
    facts.say("capacity", format!("{} of {} asked for", size(c.capacity), size(c.requested)));
    let full = look.cluster.claim_use(&c.meta.namespace, &c.meta.name).copied().unwrap_or_default();
    let part = |share: Option<f64>| share.map_or_else(|| "not measured".to_owned(), |s| Measure::Ratio.text(s));
    facts.say("used", format!("{} of its bytes, {} of its inodes", part(full.bytes), part(full.inodes)));
    facts.say("class", c.class.as_deref().unwrap_or("none named"));
    facts.say("volume", c.volume.as_deref().unwrap_or("none yet"));
    facts.say("access", joined(c.access.iter(), 4));
    facts.say("mode", &*c.mode);
    facts.say("mounted by", if pods.is_empty() { "no pod".to_owned() } else { names() });
    created(look, &c.meta, &mut facts);
    let healthy = format!("{}, {}", c.phase, size(c.capacity));
    (why, healthy, vec![events::section(look, object, &[]), facts])
}

#[cfg(test)]
mod tests {
    use crate::inspect::explain::tests::{has, said};
    use crate::inspect::fixture::{Fleet, ago, pod, running};
    use crate::model::Kind;
    use serde_json::json;

    #[test]
    fn who_waits_for_it_and_what_is_gone() {
        let mut fleet = Fleet::default();
        let claim = |phase: &str| json!({"metadata": {"name": "data", "creationTimestamp": ago(90_000)}, "spec": {"volumeName": "pv-1"}, "status": {"phase": phase}});
        fleet.put(Kind::Claim, [claim("Pending")]);
        has(&said(&fleet, Kind::Claim, "data"), "pending|no pod mounts it");
        let mut p = pod(json!({"name": "db-0"}), "n", true, 900, running());
        p["spec"]["volumes"] = json!([{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]);
        fleet.put(Kind::Pod, [p]);
        has(&said(&fleet, Kind::Claim, "data"), "pending|it has no volume yet; db-0 cannot start");
        fleet.put(Kind::Claim, [claim("Lost")]);
        has(&said(&fleet, Kind::Claim, "data"), "lost|its volume pv-1 is gone");
        has(&said(&fleet, Kind::Claim, "data"), "mounted by|db-0");
    }
}
