//! `resize`: requests and limits of a container. A pod's in place through `pods/resize`, where the spec only says what is wanted and the
//! kubelet whether it is so; a workload's in its template, as a rolling update.

use super::template::{Container, aimed, container, containers, nest, owners, rolls, root};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::plan::Offer;
use crate::model::verb::resources;
use crate::model::{Act, Kind, Level, Method, Object, Plan, Qos, Step, Target, UndoKind, VerbId, Verdict, Wait, Write, quantity};
use serde_json::{Value, json};

/// Seconds until a resize that the kubelet has put off is given up.
const PATIENCE: u64 = 180;
/// The kind of amount, `cpu` or `memory`, and how much.
type Amounts<'a> = Vec<(&'static str, &'a str, &'a str)>;

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut wanted: Amounts = Vec::new();
    for kind in ["requests", "limits"] {
        if let Some(text) = request.args.get(kind) {
            let pairs = resources(text).map_err(|e| Stop::refuse("usage", e))?;
            wanted.extend(pairs.into_iter().map(|(name, amount)| (kind, name, amount)));
        }
    }
    if wanted.is_empty() {
        return Err(Stop::refuse("usage", "resize needs requests or limits").with_hint(request.verb.info().usage()));
    }
    let mut plan = Plan::new(request.verb, &request.args, format!("resize {}", subject(request)));
    let served = super::super::snapshot::gather(request.targets.iter().map(|t| in_place(snapshot, t)));
    let objects = snapshot.objects(&request.targets);
    super::super::snapshot::gather([served.clone().map(drop), objects.clone().map(drop)].into_iter())?;
    for (lane, ((target, object), served)) in request.targets.iter().zip(objects?).zip(served?).enumerate() {
        let (target, root) = (aimed(target, object), root(target));
        let template = object.pointer(root).unwrap_or(&Value::Null);
        let c = container(template, request.args.get("container"), &target)?;
        let pod = target.resource.known() == Some(Kind::Pod);
        let mut after = c.value["resources"].clone();
        for (kind, name, amount) in &wanted {
            after[*kind][*name] = (*amount).into();
        }
        let changed: Amounts =
            wanted.iter().filter(|(kind, name, amount)| !same(&c.value["resources"][*kind][*name], amount)).copied().collect();
        if changed.is_empty() {
            plan.note(Level::Info, format!("{} of {} has these already", c.name, target.label()));
            continue;
        }
        for name in ["cpu", "memory"] {
            let of = |kind: &str| after[kind][name].as_str().and_then(quantity::milli);
            if let (Some(request), Some(limit)) = (of("requests"), of("limits"))
                && request > limit
            {
                return Err(Stop::refuse("usage", format!("{}: {} would ask for more {name} than its limit", target.label(), c.name)));
            }
        }
        let (was, will) = (qos(template, None), qos(template, Some((c, &after))));
        if pod {
            if !served {
                return Err(Stop::refuse("usage", "this server cannot resize pods in place")
                    .with_hint("resize the workload: its pods are replaced"));
            }
            fit_in_place(&target, object, c, was, will)?;
        } else if was != will {
            plan.note(Level::Warning, format!("QoS class of the pods of {}: {} -> {}", target.label(), was.as_str(), will.as_str()));
        }
        let text: Vec<String> =
            changed.iter().map(|(kind, name, amount)| format!("{name} {}={amount}", kind.trim_end_matches('s'))).collect();
        let text = format!("resize {} of {}: {}", c.name, target.label(), text.join(", "));
        let patch = |value: &dyn Fn(&str, &str, &str) -> Value| {
            let mut set = json!({});
            for (kind, name, amount) in &changed {
                set[*kind][*name] = value(kind, name, amount);
            }
            nest(root, json!({"spec": {c.list: [{"name": c.name, "resources": set}]}}))
        };
        let path = if pod { format!("{}/resize", target.path()) } else { target.path() };
        let write = |body: Value| Write { method: Method::StrategicPatch, path: path.clone(), query: String::new(), body };
        let step = Step::new(text, &target, Act::Write(write(patch(&|_, _, amount| json!(amount)))));
        let step = changed.iter().fold(step, |step, (kind, name, amount)| {
            let before = Some(c.value["resources"][*kind][*name].clone()).filter(|v| !v.is_null());
            step.changing(format!("{root}/spec/{}/{}/resources/{kind}/{name}", c.list, c.at), before, Some(json!(amount)))
        });
        let added = changed.iter().any(|(kind, name, _)| c.value["resources"][*kind][*name].is_null());
        let step = if pod && added {
            plan.undo = UndoKind::None;
            plan.undo_text = "what a pod did not have before cannot be taken away in place: replace the pod".to_owned();
            step
        } else {
            step.undone_by(
                format!("give {} of {} back what it had", c.name, target.label()),
                write(patch(&|kind, name, _| c.value["resources"][kind][name].clone())),
            )
        };
        plan.steps.push(step.at(lane, 0));
        if pod {
            let pointers = changed.iter().map(|(kind, name, amount)| (format!("/{kind}/{name}"), (*amount).to_owned())).collect();
            let wait = Wait::Resized { container: c.name.to_owned(), resources: pointers };
            plan.steps.push(Step::new(format!("wait for the kubelet to resize {}", target.label()), &target, Act::Wait(wait)).at(lane, 1));
            said(snapshot, &mut plan, request, &target, object, c, &changed);
        } else {
            percent(snapshot, &mut plan, &target, &changed);
            if rolls(snapshot, &mut plan, &target, object) {
                plan.steps.push(Step::new(format!("wait for {}", target.label()), &target, Act::Wait(Wait::RolledOut)).at(lane, 1));
            }
        }
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    if plan.steps.iter().any(|s| matches!(s.act, Act::Wait(Wait::Resized { .. }))) {
        plan.timeout = Some(PATIENCE);
    }
    if plan.undo_text.is_empty() {
        plan.undo_text = "gives back the requests and limits there were".to_owned();
    }
    Ok(plan)
}

/// Whether the server has `pods/resize`; where it cannot be told the dry run does.
fn in_place(snapshot: &Snapshot, target: &Target) -> Result<bool, Stop> {
    if target.resource.known() != Some(Kind::Pod) {
        return Ok(false);
    }
    let known = snapshot.fact(target.cluster, "/api/v1")?;
    let names = known.as_ref().ok().and_then(|v| v["resources"].as_array());
    Ok(names.is_none_or(|all| all.iter().any(|r| r["name"] == "pods/resize")))
}

fn same(is: &Value, wanted: &str) -> bool {
    is.as_str().and_then(quantity::milli).is_some_and(|n| Some(n) == quantity::milli(wanted))
}

/// What a pod cannot do in place.
fn fit_in_place(target: &Target, pod: &Value, c: Container, was: Qos, will: Qos) -> Result<(), Stop> {
    let no = |why: String| Err(Stop::refuse("usage", format!("{} {why}", target.label())));
    if !pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_null() {
        return no("is a static pod: it cannot be resized in place".to_owned());
    }
    if pod["spec"]["os"]["name"] == "windows" {
        return no("runs on Windows: it cannot be resized in place".to_owned());
    }
    if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return no("has ended".to_owned());
    }
    // The server's own test: a kubelet that can do it says what containers have.
    let running = pod["status"]["containerStatuses"].as_array().into_iter().flatten().find(|s| !s["state"]["running"].is_null());
    if running.is_some_and(|s| s["resources"].is_null()) {
        return no("runs on a node whose kubelet cannot resize in place".to_owned());
    }
    if c.list == "initContainers" && c.value["restartPolicy"] != "Always" {
        return no(format!("has {} as an init container that ends: it cannot be resized", c.name));
    }
    if was != will {
        let hint = match was {
            Qos::Guaranteed => "give requests and limits the same amount",
            Qos::Burstable => "requests and limits must not become all alike",
            Qos::BestEffort => "a pod without requests cannot get any in place: resize its workload",
        };
        let message = format!("{} is {} and would be {}: the class cannot change in place", target.label(), was.as_str(), will.as_str());
        return Err(Stop::refuse("usage", message).with_hint(hint));
    }
    Ok(())
}

/// The QoS class of a pod of this template, with other resources for one container.
fn qos(template: &Value, other: Option<(Container, &Value)>) -> Qos {
    let whole = &template["spec"]["resources"];
    let all: Vec<&Value> = if whole.as_object().is_some_and(|o| !o.is_empty()) {
        vec![whole]
    } else {
        let of = |c: Container<'_>| other.filter(|(o, _)| o.name == c.name).is_some();
        containers(template)
            .into_iter()
            .map(|c| match other {
                Some((_, resources)) if of(c) => resources,
                _ => template.pointer(&format!("/spec/{}/{}/resources", c.list, c.at)).unwrap_or(&Value::Null),
            })
            .collect()
    };
    let amount = |r: &Value, kind: &str, name: &str| r[kind][name].as_str().and_then(quantity::milli).filter(|n| *n > 0);
    let some = |r: &&Value| ["requests", "limits"].iter().any(|kind| ["cpu", "memory"].iter().any(|name| amount(r, kind, name).is_some()));
    let full = |r: &&Value| {
        // A request that is not there is the limit.
        ["cpu", "memory"].iter().all(|n| amount(r, "limits", n).is_some_and(|l| amount(r, "requests", n).is_none_or(|r| r == l)))
    };
    if !all.iter().any(some) {
        Qos::BestEffort
    } else if all.iter().all(full) {
        Qos::Guaranteed
    } else {
        Qos::Burstable
    }
}

/// What is to be known of a resize in place.
fn said(snapshot: &Snapshot, plan: &mut Plan, request: &Request, target: &Target, pod: &Value, c: Container, changed: &Amounts) {
    owners(plan, target, pod, "the resources");
    plan.blast_in(target.cluster).pods += 1;
    plan.note(Level::Info, "in place it is only wanted: the kubelet tells whether the node can give it");
    let policies = c.value["resizePolicy"].as_array().into_iter().flatten();
    let restarts: Vec<&str> =
        policies.filter(|p| p["restartPolicy"] == "RestartContainer").filter_map(|p| p["resourceName"].as_str()).collect();
    if let Some(name) = changed.iter().map(|(_, name, _)| *name).find(|name| restarts.contains(name)) {
        plan.note(Level::Warning, format!("{} restarts: its resize policy for {name} says so", c.name));
        plan.blast_in(target.cluster).unavailable += 1;
        plan.judge(Verdict::Degrades(format!("{}: {} restarts", target.title(), c.name)));
    }
    let less = |(kind, name, amount): &(&str, &str, &str)| {
        let was = c.value["resources"][*kind][*name].as_str().and_then(quantity::milli);
        *kind == "limits" && *name == "memory" && was > quantity::milli(amount)
    };
    if changed.iter().any(less) {
        plan.note(Level::Warning, format!("less memory for {}: it is not done while it uses more than that", c.name));
    }
    let owner = snapshot.row(target).zip(snapshot.store.cluster(target.cluster)).map(|(o, c)| c.workload_of(o).reference(target.cluster));
    if let Some(owner) = owner.map(|o| Target::from(&o)).filter(|o| o.resource.known() != Some(Kind::Pod)) {
        plan.note(Level::Warning, format!("the template of {} is unchanged: the next rollout loses this", owner.label()));
        if owner.resource.known().is_some_and(|k| request.verb.info().on.takes(k)) {
            let mut args = request.args.clone();
            let named = args.set(VerbId::Resize.info(), "container", c.name);
            if named.is_ok() {
                plan.offers.push(Offer {
                    before: false,
                    text: format!("resize the template of {}", owner.label()),
                    verb: VerbId::Resize,
                    args,
                    targets: vec![owner],
                });
            }
        }
    }
}

/// Autoscalers that count in percent of the request count differently from now on.
fn percent(snapshot: &Snapshot, plan: &mut Plan, target: &Target, changed: &Amounts) {
    let requests: Vec<&str> = changed.iter().filter(|(kind, ..)| *kind == "requests").map(|(_, name, _)| *name).collect();
    let all = snapshot.store.cluster(target.cluster).into_iter().flat_map(|c| c.objects(Kind::Hpa));
    for o in all {
        let Object::Hpa(hpa) = o else { continue };
        let of = *hpa.meta.namespace == *target.namespace && *hpa.target_kind == *target.resource.kind && *hpa.target_name == *target.name;
        if of && hpa.metrics.iter().any(|m| m.percent && requests.contains(&&*m.name)) {
            plan.note(
                Level::Warning,
                format!("hpa {}/{} counts in percent of the request: it will want another number", target.namespace, hpa.meta.name),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;

    fn burstable(f: &mut Fixture) {
        f.pod("api-1", "api", "n1", |p| {
            p["spec"]["containers"][0]["resizePolicy"] = json!([{"resourceName": "memory", "restartPolicy": "RestartContainer"}]);
        });
    }

    #[test]
    fn a_pod_is_resized_in_place_and_the_kubelet_waited_for() {
        let mut f = Fixture::new();
        burstable(&mut f);
        let plan = f.plan(VerbId::Resize, Kind::Pod, &["api-1"], "cpu=1").unwrap();
        let step = &plan.steps[0];
        assert_eq!(step.permission().unwrap().words(), "patch pods/resize in pay");
        let Act::Write(write) = &step.act else { panic!() };
        assert_eq!(write.body, json!({"spec": {"containers": [{"name": "app", "resources": {"requests": {"cpu": "1"}}}]}}));
        assert_eq!(
            step.undo.as_ref().unwrap().act.request().unwrap().body["spec"]["containers"][0]["resources"]["requests"]["cpu"],
            "500m"
        );
        assert_eq!(
            plan.steps[1].act,
            Act::Wait(Wait::Resized { container: "app".into(), resources: vec![("/requests/cpu".into(), "1".into())] })
        );
        assert_eq!(plan.verdict.words(), "fits");
        let memory = f.plan(VerbId::Resize, Kind::Pod, &["api-1"], "memory=1Gi").unwrap();
        assert_eq!(memory.verdict.words(), "degrades pay/api-1: app restarts");
        let added = f.plan(VerbId::Resize, Kind::Pod, &["api-1"], "limits=cpu=2").unwrap();
        assert!(added.steps[0].undo.is_none() && added.undo == UndoKind::None);
        assert_eq!(
            f.plan(VerbId::Resize, Kind::Pod, &["api-1"], "cpu=0.5").unwrap_err(),
            "nothing to do: app of pod pay/api-1 has these already"
        );
    }

    #[test]
    fn what_cannot_be_done_in_place_is_refused() {
        let mut f = Fixture::new();
        let refused = |f: &mut Fixture, name: &str, args: &str| f.plan(VerbId::Resize, Kind::Pod, &[name], args).unwrap_err();
        burstable(&mut f);
        f.pod("static", "api", "n1", |p| p["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"}));
        f.pod("old", "api", "n1", |p| p["status"]["containerStatuses"] = json!([{"name": "app", "state": {"running": {}}}]));
        assert_eq!(refused(&mut f, "old", "cpu=1"), "pod pay/old runs on a node whose kubelet cannot resize in place");
        f.pod("best", "api", "n1", |p| p["spec"]["containers"][0]["resources"] = json!({}));
        f.pod("full", "api", "n1", |p| {
            p["spec"]["containers"][0]["resources"] =
                json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}});
        });
        assert_eq!(refused(&mut f, "static", "cpu=1"), "pod pay/static is a static pod: it cannot be resized in place");
        assert_eq!(refused(&mut f, "best", "cpu=1"), "pod pay/best is BestEffort and would be Burstable: the class cannot change in place");
        assert_eq!(
            refused(&mut f, "full", "cpu=500m"),
            "pod pay/full is Guaranteed and would be Burstable: the class cannot change in place"
        );
        assert!(f.plan(VerbId::Resize, Kind::Pod, &["full"], "cpu=2 limits=cpu=2").is_ok());
        assert_eq!(refused(&mut f, "full", "cpu=2"), "pod pay/full: app would ask for more cpu than its limit");
        assert_eq!(refused(&mut f, "full", ""), "resize needs requests or limits");
        f.fact("/api/v1", json!({"resources": [{"name": "pods"}]}));
        assert_eq!(refused(&mut f, "api-1", "cpu=1"), "this server cannot resize pods in place");
    }

    #[test]
    fn a_workload_is_resized_in_its_template_and_the_class_is_said() {
        let mut f = Fixture::new();
        f.deployment("api", 3, |_| {});
        f.add(
            Kind::Hpa,
            json!({"metadata": {"name": "api", "namespace": "pay"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "api"},
                "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]}}),
        );
        let plan = f.plan(VerbId::Resize, Kind::Deployment, &["api"], "cpu=1").unwrap();
        let notes: Vec<&str> = plan.notes.iter().map(|n| n.text.as_str()).collect();
        assert_eq!(
            notes,
            [
                "QoS class of the pods of deployment pay/api: BestEffort -> Burstable",
                "hpa pay/api counts in percent of the request: it will want another number"
            ]
        );
        assert_eq!(
            plan.steps[0]
                .undo
                .as_ref()
                .unwrap()
                .act
                .request()
                .unwrap()
                .body
                .pointer("/spec/template/spec/containers/0/resources/requests/cpu"),
            Some(&Value::Null)
        );
        assert_eq!(plan.steps[1].act, Act::Wait(Wait::RolledOut));
    }
}
