//! Faults that somebody orders of a fleet that runs: an annotation of a cluster's namespace `kube-system`, which ends by itself.
//!
//! An annotation, because whoever browses the fleet can set one: the cockpit's own `annotate`, `qd annotate`, kubectl. A server that
//! answers nobody could not be told to get well again, so every order has its time.

use super::control::Action;
use super::fault::Fault;
use super::register::NAMESPACES;
use super::store::State;
use crate::diag::unknown;
use crate::model::duration::parse_duration;
use serde_json::Value;
use std::time::Duration;

/// The annotation.
pub const KEY: &str = "demo.quarterdeck/fault";
/// Where it is looked for.
pub const PLACE: &str = "kube-system";
/// How long, where it is not said; and at most.
const LASTS: Duration = Duration::from_secs(60);
/// Milliseconds between an order and its fault.
const SOON: i64 = 300;
const MOST: Duration = Duration::from_secs(3600);

/// Every fault by name, and what follows it.
pub static NAMES: [(&str, &str); 21] = [
    ("hang", ""),
    ("slow", "MILLISECONDS"),
    ("drop", ""),
    ("refuse", ""),
    ("unauthorized", ""),
    ("forbidden", "RESOURCE"),
    ("gone", ""),
    ("too-many", "SECONDS"),
    ("broken", ""),
    ("truncated", "BYTES"),
    ("throttled", "SECONDS"),
    ("conflicts", "EVERY"),
    ("flaky", "EVERY"),
    ("fails", "NAME"),
    ("webhook", "WORDS"),
    ("warns", "WORDS"),
    ("cut", "CHANGES"),
    ("late", "CHANGES"),
    ("stalled", "CHANGES"),
    ("denied", "VERB RESOURCE"),
    ("expires", "CHANGES"),
];

/// Reads `hang`, `slow 300 for 30s`.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse(text: &str) -> Result<(Fault, Duration), String> {
    let (order, lasts) = match text.rsplit_once(" for ") {
        Some((order, lasts)) => {
            let lasts = lasts.trim();
            let read = parse_duration(lasts).filter(|d| !d.is_zero() && *d <= MOST);
            (order.trim(), read.ok_or_else(|| format!("`{lasts}` is no time of at most an hour: write 30s or 5m"))?)
        }
        None => (text.trim(), LASTS),
    };
    let (name, rest) = order.split_once(' ').map_or((order, ""), |(n, r)| (n, r.trim()));
    let Some((_, wants)) = NAMES.iter().find(|(n, _)| *n == name) else {
        let all = NAMES.map(|(n, _)| n);
        return Err(format!("{}; faults: {}", unknown("fault", name, all), all.join(", ")));
    };
    let usage = || format!("`{order}` is not {name}{}{wants}", if wants.is_empty() { "" } else { " " });
    let number = || rest.parse::<u32>().map_err(|_| usage());
    let some = || if rest.is_empty() { Err(usage()) } else { Ok(rest.to_owned()) };
    if wants.is_empty() && !rest.is_empty() {
        return Err(format!("{name} takes nothing but `for` and a time, not `{rest}`"));
    }
    // Each nth: never is no fault.
    let every = || number().and_then(|n| if n == 0 { Err(usage()) } else { Ok(n) });
    let fault = match name {
        "hang" => Fault::Hang,
        "slow" => Fault::Slow(u64::from(number()?)),
        "drop" => Fault::Drop,
        "refuse" => Fault::Refuse,
        "unauthorized" => Fault::Unauthorized,
        "forbidden" => Fault::Forbidden(some()?),
        "gone" => Fault::Gone,
        "too-many" => Fault::TooMany(number()?),
        "broken" => Fault::Broken,
        "truncated" => Fault::Truncated(number()? as usize),
        "throttled" => Fault::Throttled(number()?),
        "conflicts" => Fault::Conflicts(every()?),
        "flaky" => Fault::Flaky(every()?),
        "fails" => Fault::Fails(some()?),
        "webhook" => Fault::Webhook(some()?),
        "warns" => Fault::Warns(some()?),
        "cut" => Fault::Cut(every()?),
        "late" => Fault::Late(every()?),
        "stalled" => Fault::Stalled(every()?),
        "denied" => {
            let (verb, resource) = rest.split_once(' ').ok_or_else(usage)?;
            Fault::Denied(verb.to_owned(), resource.trim().to_owned())
        }
        _ => Fault::Expires(number()?),
    };
    Ok((fault, lasts))
}

/// The order that an object carries.
fn order(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"][KEY].as_str()
}

/// Whether a namespace's order can be followed; why not, as the API words it.
///
/// # Errors
/// The field, and what is wrong with it.
pub fn sound(name: &str, namespace: &Value) -> Result<(), String> {
    let Some(text) = order(namespace) else { return Ok(()) };
    let why = if name == PLACE { parse(text).err() } else { Some(format!("faults are ordered of namespace {PLACE}, not of {name}")) };
    why.map_or(Ok(()), |why| Err(format!("metadata.annotations[{KEY}]: Invalid value: {text:?}: {why}")))
}

/// Follows what was ordered by a change of a namespace.
pub fn follow(s: &mut State, before: &Value, now: &Value) {
    if order(before) == order(now) {
        return;
    }
    if let Some((fault, _)) = s.world.ordered.take() {
        s.world.outages.push((fault, false));
    }
    // The order itself is still answered.
    let Some((fault, lasts)) = order(now).and_then(|text| parse(text).ok()) else { return };
    let ms = i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX);
    s.world.orders += 1;
    s.world.ordered = Some((fault, s.world.orders));
    s.later(SOON, Action::Ordered(s.world.orders, true));
    s.later(ms.saturating_add(SOON), Action::Ordered(s.world.orders, false));
}

/// An order's time has come, or is up.
pub fn due(s: &mut State, n: u64, begins: bool) {
    let Some((fault, _)) = s.world.ordered.as_ref().filter(|(_, at)| *at == n) else { return };
    if begins {
        s.world.outages.push((fault.clone(), true));
        return;
    }
    if let Some((fault, _)) = s.world.ordered.take() {
        s.world.outages.push((fault, false));
    }
    s.edit(NAMESPACES, &("".into(), PLACE.into()), |namespace| {
        if let Some(all) = namespace["metadata"]["annotations"].as_object_mut() {
            all.shift_remove(KEY);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_and_mistakes_named() {
        let secs = Duration::from_secs;
        assert_eq!(parse("hang").unwrap(), (Fault::Hang, secs(60)));
        assert_eq!(parse("slow 300 for 30s").unwrap(), (Fault::Slow(300), secs(30)));
        assert_eq!(parse("denied patch deployments/scale").unwrap().0, Fault::Denied("patch".into(), "deployments/scale".into()));
        assert_eq!(parse("webhook busy for now for 2m").unwrap(), (Fault::Webhook("busy for now".into()), secs(120)));
        assert!(parse("hnag").unwrap_err().contains("did you mean `hang`"));
        assert_eq!(parse("slow much").unwrap_err(), "`slow much` is not slow MILLISECONDS");
        assert_eq!(parse("hang 30s").unwrap_err(), "hang takes nothing but `for` and a time, not `30s`");
        assert!(parse("hang for ever").unwrap_err().contains("write 30s or 5m"));
        assert!(parse("hang for 2h").is_err() && parse("flaky 0").is_err() && parse("fails").is_err() && parse("").is_err());
        // Every name is taken, with a value where it wants one.
        for (name, wants) in NAMES {
            let value = if wants == "VERB RESOURCE" {
                "patch nodes"
            } else if wants.is_empty() {
                ""
            } else {
                "3"
            };
            parse(&format!("{name} {value}")).unwrap();
        }
    }
}
