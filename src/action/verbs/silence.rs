//! `silence`, `silence-extend`, `silence-expire`: what the cluster's Alertmanager keeps quiet. Planned from the alerts and silences that are
//! known; what it knows itself is looked at by the preflight and before each request.

use super::super::silences::{Width, count, hidden, propose, width, within, words};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::until::clock;
use crate::model::{
    Act, Alert, Kind, Level, Matcher, Object, Plan, Service, ServiceState, Silence, SilenceBody, SilenceState, SilenceWrite, Step, Target,
    Time, Until, Verdict,
};
use crate::store::Cluster;

/// Alerts that are told by name.
const TOLD: usize = 6;
/// A silence that lasts longer than this is forgotten, in seconds.
const LONG: i64 = 7 * 86_400;
/// What another clock may be ahead, in seconds: a silence that begins in the past begins at once.
const EARLY: i64 = 600;

pub fn add(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let args = &request.args;
    let ends = end(snapshot, request, None)?;
    let given: Vec<Matcher> = args.all("match").map(Matcher::parse).collect::<Result<_, _>>().map_err(usage)?;
    let mut silences: Vec<(Target, Vec<Matcher>)> = Vec::new();
    let mut plan = Plan::new(request.verb, args, format!("silence {} until {}", subject(request), clock(ends, snapshot.now)));
    for target in &request.targets {
        let cluster = served(snapshot, target)?;
        let matchers = if given.is_empty() { propose(snapshot.store, target).map_err(usage)? } else { given.clone() };
        let (matchers, added) = within(snapshot.store, target, matchers);
        if let Some(own) = added {
            let several = if cluster.info.alert_peers.is_empty() { "" } else { ": its Alertmanager serves other clusters too" };
            plan.note(Level::Info, format!("{own} is added{several}"));
        }
        if !silences.iter().any(|(t, m)| *m == matchers && (t.cluster == target.cluster || cluster.info.alert_peers.contains(&t.cluster))) {
            silences.push((target.clone(), matchers));
        }
    }
    for (lane, (target, matchers)) in silences.into_iter().enumerate() {
        judge(snapshot, &mut plan, &target, &matchers)?;
        let words = matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let body = SilenceBody {
            matchers,
            starts: snapshot.now - EARLY,
            ends,
            creator: args.get("creator").unwrap_or_default().to_owned(),
            comment: args.get("comment").unwrap_or_default().to_owned(),
            annotations: std::collections::BTreeMap::new(),
        };
        let write = SilenceWrite::Add { body };
        let step = Step::new(format!("silence {words} until {}", clock(ends, snapshot.now)), &target, Act::Silence(write.clone()));
        plan.steps.push(step.taken_back_by(format!("end the silence {words}"), Act::Silence(write.back())).at(lane, 0));
    }
    if ends - snapshot.now > LONG {
        plan.note(
            Level::Warning,
            format!("it lasts {} days: a silence that nobody ends hides what is new too", (ends - snapshot.now) / 86_400),
        );
    }
    plan.undo_text = "ends it: what still fires is sent again".to_owned();
    Ok(plan)
}

pub fn extend(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("extend {}", subject(request)));
    for (lane, (target, silence)) in silences(snapshot, request)?.into_iter().enumerate() {
        let id = target.name.as_str();
        let Some(was) = silence.ends.map(Time::secs).filter(|_| silence.state != SilenceState::Expired) else {
            return Err(Stop::refuse("conflict", format!("silence {id} has ended")).with_hint("set a new one: qd silence add"));
        };
        let ends = end(snapshot, request, Some(was))?;
        if silence.starts.is_some_and(|s| s.secs() >= ends) {
            return Err(Stop::refuse("usage", format!("silence {id} does not begin before that")));
        }
        if ends == was {
            plan.note(Level::Info, format!("silence {id} ends then already"));
            continue;
        }
        let (from, to) = (clock(was, snapshot.now), clock(ends, snapshot.now));
        if ends < was {
            plan.note(Level::Warning, format!("it ends earlier than it would: {to}, not {from}"));
        }
        tell(snapshot, &mut plan, &target, silence, "hides");
        let write = SilenceWrite::End { id: id.to_owned(), was, ends };
        let step = Step::new(format!("silence {id}: ends {from} -> {to}"), &target, Act::Silence(write.clone()));
        plan.steps.push(step.taken_back_by(format!("silence {id}: ends {to} -> {from}"), Act::Silence(write.back())).at(lane, 0));
    }
    plan.undo_text = "it ends when it would have".to_owned();
    if plan.steps.is_empty() { Err(nothing(&plan)) } else { Ok(plan) }
}

pub fn expire(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("end {}", subject(request)));
    for (lane, (target, silence)) in silences(snapshot, request)?.into_iter().enumerate() {
        let id = target.name.as_str();
        if silence.state == SilenceState::Expired {
            plan.note(Level::Info, format!("silence {id} has ended already"));
            continue;
        }
        tell(snapshot, &mut plan, &target, silence, "sends again");
        let write = SilenceWrite::Expire { id: id.to_owned(), body: SilenceBody::from(silence) };
        let words = silence.matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let step = Step::new(format!("end silence {id}: {words}"), &target, Act::Silence(write.clone()));
        plan.steps.push(step.taken_back_by(format!("silence {words} again"), Act::Silence(write.back())).at(lane, 0));
    }
    plan.undo_text = "sets it again with the end that it had, under another id".to_owned();
    if plan.steps.is_empty() { Err(nothing(&plan)) } else { Ok(plan) }
}

fn usage(why: String) -> Stop {
    Stop::refuse("usage", why)
}

/// When it shall end, in unix seconds. `was`: when it would.
fn end(snapshot: &Snapshot, request: &Request, was: Option<i64>) -> Result<i64, Stop> {
    let text = request.args.get("for").unwrap_or_default();
    let until = Until::parse(text).ok_or_else(|| usage(format!("`{text}` is no end")))?;
    let ends = until.of(snapshot.now, was);
    if ends <= snapshot.now {
        return Err(usage(format!("{text} is past")).with_hint("silence-expire ends a silence now"));
    }
    if Time::from_secs(ends).is_none() { Err(usage(format!("{text} is too far away"))) } else { Ok(ends) }
}

/// The cluster, where it has an Alertmanager.
fn served<'a>(snapshot: &Snapshot<'a>, target: &Target) -> Result<&'a Cluster, Stop> {
    let cluster = snapshot.cluster(target.cluster)?;
    match &cluster.service(Service::Alertmanager).state {
        ServiceState::Absent { hint } => Err(Stop::refuse("not-found", format!("{}: {hint}", cluster.info.name))),
        _ => Ok(cluster),
    }
}

/// The silences that are named, each once: clusters that share an Alertmanager share them.
fn silences<'a>(snapshot: &Snapshot<'a>, request: &Request) -> Result<Vec<(Target, &'a Silence)>, Stop> {
    let mut all: Vec<(Target, &Silence)> = Vec::new();
    for target in &request.targets {
        let cluster = served(snapshot, target)?;
        if all.iter().any(|(t, _)| t.name == target.name && cluster.info.alert_peers.contains(&t.cluster)) {
            continue;
        }
        match snapshot.row(target) {
            Some(Object::Silence(silence)) => all.push((target.clone(), silence)),
            _ => {
                let why = cluster.service(Service::Alertmanager).state.reason().map(|r| format!(": {r}")).unwrap_or_default();
                return Err(Stop::refuse("not-found", format!("{}no silence {}{why}", snapshot.place(target.cluster), target.name)));
            }
        }
    }
    Ok(all)
}

/// Says so where the cluster itself is not seen: silences are its Alertmanager's, which is asked all the same.
fn unreached(snapshot: &Snapshot, plan: &mut Plan, target: &Target) {
    let Some(cluster) = snapshot.store.cluster(target.cluster).filter(|c| !c.state.live()) else { return };
    let text =
        format!("{} is {}: its Alertmanager is asked all the same, its objects are not looked at", cluster.info.name, cluster.state.word());
    if !plan.notes.iter().any(|n| n.text == text) {
        plan.note(Level::Warning, text);
    }
}

/// Whether what is known of alerts is current; says so where it is not.
fn current(snapshot: &Snapshot, plan: &mut Plan, target: &Target) -> bool {
    let seen = snapshot.store.cluster(target.cluster).is_some_and(|c| c.current(Kind::Alert));
    if !seen {
        plan.note(Level::Warning, format!("{}the alerts are not seen: what it touches now is not known", snapshot.place(target.cluster)));
    }
    seen
}

/// What matchers hide now, and whether that is too much.
fn judge(snapshot: &Snapshot, plan: &mut Plan, target: &Target, matchers: &[Matcher]) -> Result<(), Stop> {
    unreached(snapshot, plan, target);
    let hidden = hidden(snapshot.store, target.cluster, matchers);
    let label = snapshot.cluster(target.cluster)?.info.alert_label.as_deref();
    match width(label, matchers, &hidden) {
        Width::Fine => {}
        Width::Wide(why) => {
            plan.note(Level::Warning, format!("too wide? {why}"));
            plan.judge(Verdict::Degrades(format!("what is heard: {why}")));
        }
        Width::Everything => {
            let words = matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            return Err(usage(format!("{words} matches everything")).with_hint("name a label's value that must be there: alertname=NAME"));
        }
    }
    if current(snapshot, plan, target) && hidden.is_empty() {
        plan.note(Level::Warning, "it matches nothing that fires now");
    }
    listed(plan, &hidden, "hides");
    let quiet = hidden.iter().filter(|(_, a)| !a.silenced_by.is_empty()).count();
    if quiet > 0 {
        plan.note(Level::Info, format!("{quiet} of them {} silenced already", if quiet == 1 { "is" } else { "are" }));
    }
    Ok(())
}

/// What a silence that is there hides.
fn tell(snapshot: &Snapshot, plan: &mut Plan, target: &Target, silence: &Silence, does: &str) {
    unreached(snapshot, plan, target);
    let hidden = hidden(snapshot.store, target.cluster, &silence.matchers);
    if current(snapshot, plan, target) && hidden.is_empty() {
        plan.note(Level::Info, "it hides nothing now");
    }
    plan.note(Level::Info, format!("set by {}: {}", silence.creator, silence.comment));
    listed(plan, &hidden, does);
}

fn listed(plan: &mut Plan, hidden: &[(&Cluster, &Alert)], does: &str) {
    if hidden.is_empty() {
        return;
    }
    let more = if hidden.len() > TOLD { format!(", and {} more", hidden.len() - TOLD) } else { String::new() };
    let names: Vec<String> = hidden.iter().take(TOLD).map(|(_, a)| words(a)).collect();
    plan.note(Level::Info, format!("{does} {}: {}{more}", count(hidden), names.join(", ")));
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, NOW};
    use super::*;
    use crate::model::{Args, ClusterId, VerbId};

    fn lab() -> Fixture {
        let mut f = Fixture::new();
        f.alerts();
        f.alert(&[("alertname", "Crash"), ("namespace", "pay"), ("pod", "web-1")]);
        f.alert(&[("alertname", "Crash"), ("namespace", "shop"), ("pod", "cart-1")]);
        f
    }

    fn notes(plan: &Plan) -> Vec<&str> {
        plan.notes.iter().map(|n| n.text.as_str()).collect()
    }

    #[test]
    fn a_pod_is_silenced_by_what_names_it_and_the_alerts_are_told() {
        let mut f = lab();
        f.pod("web-1", "web", "n1", |_| {});
        let plan = f.plan(VerbId::Silence, Kind::Pod, &["web-1"], "2h comment=work").unwrap();
        assert_eq!(plan.title, "silence pod pay/web-1 until 04:47Z");
        assert_eq!(plan.steps[0].text, r#"silence namespace="pay" pod="web-1" until 04:47Z"#);
        assert_eq!(notes(&plan), ["hides 1 alert in lab: Crash pod pay/web-1"]);
        let Act::Silence(SilenceWrite::Add { body }) = &plan.steps[0].act else { panic!() };
        assert_eq!((body.ends, body.comment.as_str(), body.starts < NOW), (NOW + 7200, "work", true));
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().text, r#"end the silence namespace="pay" pod="web-1""#);
        assert_eq!((plan.permissions(), plan.verdict.words()), (vec![], "fits".to_owned()));
    }

    #[test]
    fn matchers_that_are_given_take_the_place_of_what_is_proposed() {
        let mut f = lab();
        let mut plan = |args: &str| {
            let args = Args::parse(VerbId::Silence.info(), args).map_err(|e| e.to_string())?;
            let targets = vec![Target::of_cluster(ClusterId(0), "lab")];
            f.request(&Request { verb: VerbId::Silence, targets, args, documents: Vec::new() })
        };
        let wide = plan("2h comment=x match=alertname=Crash").unwrap();
        assert_eq!(wide.verdict.words(), "degrades what is heard: it hides alerts of 2 namespaces");
        assert_eq!(notes(&plan("2h comment=x match=alertname=Nothing").unwrap()), ["it matches nothing that fires now"]);
        assert_eq!(plan("2h comment=x match=alertname=~.+").unwrap_err(), r#"alertname=~".+" matches everything"#);
        assert_eq!(plan("2h match=a=b").unwrap_err(), "silence needs TEXT");
        assert_eq!(plan("\"until 2020-01-01T00:00:00Z\" comment=x match=a=b").unwrap_err(), "until 2020-01-01T00:00:00Z is past");
        assert!(plan("2h comment=x").unwrap_err().contains("no label tells the alerts of lab"));
        assert!(notes(&plan("20d comment=x match=alertname=Nothing").unwrap())[1].contains("20 days"));
    }

    #[test]
    fn where_clusters_share_an_alertmanager_the_cluster_is_always_named() {
        let mut f = lab();
        f.shares_alerts("cluster");
        f.alert(&[("alertname", "Crash"), ("namespace", "pay"), ("pod", "web-1"), ("cluster", "lab")]);
        let plan = f.plan(VerbId::Silence, Kind::Pod, &["web-1"], "2h comment=x match=pod=web-1").unwrap();
        assert_eq!(plan.steps[0].text, r#"silence pod="web-1" cluster="lab" until 04:47Z"#);
        assert_eq!(notes(&plan)[0], r#"cluster="lab" is added"#);
        // One that does not say whose it is would not be hidden.
        f.alert(&[("alertname", "Lone"), ("namespace", "pay")]);
        let plan = f.plan(VerbId::Silence, Kind::Alert, &["Lone"], "2h comment=x match=alertname=Lone").unwrap();
        assert_eq!(plan.steps[0].text, r#"silence alertname="Lone" until 04:47Z"#);
    }

    #[test]
    fn while_the_api_server_is_gone_the_alertmanager_is_asked_all_the_same() {
        let mut f = lab();
        f.silence("s1", SilenceState::Active, NOW + 600);
        f.unreachable();
        let said = "lab is unreachable: its Alertmanager is asked all the same, its objects are not looked at";
        for (verb, kind, name, args) in
            [(VerbId::Silence, Kind::Alert, "Crash", "2h comment=x"), (VerbId::SilenceExpire, Kind::Silence, "s1", "")]
        {
            let plan = f.plan(verb, kind, &[name], args).unwrap();
            assert_eq!((plan.steps.len(), notes(&plan)[0]), (1, said));
        }
    }

    #[test]
    fn without_an_alertmanager_there_is_nothing_to_silence() {
        let mut f = Fixture::new();
        f.pod("web-1", "web", "n1", |_| {});
        let why = f.plan(VerbId::Silence, Kind::Pod, &["web-1"], "2h comment=x").unwrap_err();
        assert!(why.starts_with("lab: no Alertmanager is configured or found"), "{why}");
    }

    #[test]
    fn a_silence_gets_another_end_or_ends_and_both_can_be_taken_back() {
        let mut f = lab();
        f.silence("s1", SilenceState::Active, NOW + 600);
        f.silence("s2", SilenceState::Expired, NOW - 600);
        let plan = f.plan(VerbId::SilenceExtend, Kind::Silence, &["s1"], "+30m").unwrap();
        assert_eq!(plan.steps[0].text, "silence s1: ends 02:57Z -> 03:27Z");
        assert_eq!(plan.steps[0].act, Act::Silence(SilenceWrite::End { id: "s1".into(), was: NOW + 600, ends: NOW + 2400 }));
        assert_eq!(plan.steps[0].undo.as_ref().unwrap().text, "silence s1: ends 03:27Z -> 02:57Z");
        assert!(notes(&f.plan(VerbId::SilenceExtend, Kind::Silence, &["s1"], "5m").unwrap())[0].contains("earlier"));
        assert_eq!(f.plan(VerbId::SilenceExtend, Kind::Silence, &["s2"], "5m").unwrap_err(), "silence s2 has ended");
        let plan = f.plan(VerbId::SilenceExpire, Kind::Silence, &["s1"], "").unwrap();
        assert_eq!(plan.steps[0].text, r#"end silence s1: alertname="X""#);
        assert!(matches!(&plan.steps[0].undo.as_ref().unwrap().act, Act::Silence(SilenceWrite::Add { body }) if body.ends == NOW + 600));
        assert_eq!(f.plan(VerbId::SilenceExpire, Kind::Silence, &["s2"], "").unwrap_err(), "nothing to do: silence s2 has ended already");
        assert_eq!(f.plan(VerbId::SilenceExpire, Kind::Silence, &["s9"], "").unwrap_err(), "lab: no silence s9");
    }
}
