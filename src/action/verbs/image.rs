//! `set-image`: other images for containers by name. Init containers count; `*` is every container.

use super::template::{Container, aimed, container, containers, nest, owners, rolls, root};
use super::{Request, Snapshot, Stop, nothing, subject};
use crate::model::{Act, Kind, Level, Method, Plan, Step, Target, Verdict, Wait, Write};
use serde_json::{Value, json};

const MIRROR: &str = "kubernetes.io/config.mirror";

pub fn plan(snapshot: &Snapshot, request: &Request) -> Result<Plan, Stop> {
    let mut plan = Plan::new(request.verb, &request.args, format!("set image of {}", subject(request)));
    for (lane, (target, object)) in request.targets.iter().zip(snapshot.objects(&request.targets)?).enumerate() {
        if !object["metadata"]["annotations"][MIRROR].is_null() {
            return Err(Stop::refuse("usage", format!("{} is a static pod: its manifest is a file on the node", target.label())));
        }
        let (target, root) = (aimed(target, object), root(target));
        let template = object.pointer(root).unwrap_or(&Value::Null);
        let mut changed: Vec<(Container, String)> = Vec::new();
        for pair in request.args.all("image") {
            for (container, image) in named(template, pair, &target)? {
                changed.retain(|(c, _)| c.name != container.name);
                changed.push((container, image));
            }
        }
        changed.retain(|(c, image)| c.value["image"] != image.as_str());
        if changed.is_empty() {
            plan.note(Level::Info, format!("{} has these images already", target.label()));
            continue;
        }
        let words: Vec<String> = changed.iter().map(|(c, image)| format!("{}={image}", c.name)).collect();
        let patch = |image: &dyn Fn(&Container, &str) -> Value| {
            let mut spec = json!({});
            for (c, new) in &changed {
                if spec[c.list].is_null() {
                    spec[c.list] = json!([]);
                }
                if let Some(list) = spec[c.list].as_array_mut() {
                    list.push(json!({"name": c.name, "image": image(c, new)}));
                }
            }
            nest(root, json!({"spec": spec}))
        };
        let back = Write {
            method: Method::StrategicPatch,
            path: target.path(),
            query: String::new(),
            body: patch(&|c, _| c.value["image"].clone()),
        };
        let text = format!("set image of {} to {}", target.label(), words.join(", "));
        let step = Step::write(text, &target, Method::StrategicPatch, patch(&|_, new| json!(new)));
        let step = changed.iter().fold(step, |step, (c, new)| {
            step.changing(format!("{root}/spec/{}/{}/image", c.list, c.at), Some(c.value["image"].clone()), Some(json!(new)))
        });
        plan.steps.push(step.undone_by(format!("give {} the images it had", target.label()), back).at(lane, 0));
        for (_, image) in changed.iter().filter(|(_, image)| floating(image)) {
            plan.note(Level::Warning, format!("{image} names no version: what runs depends on when it is pulled"));
        }
        if target.resource.known() == Some(Kind::Pod) {
            alone(snapshot, &mut plan, &target, object, &changed);
        } else if rolls(snapshot, &mut plan, &target, object) {
            plan.steps.push(Step::new(format!("wait for {}", target.label()), &target, Act::Wait(Wait::RolledOut)).at(lane, 1));
        }
    }
    if plan.steps.is_empty() {
        return Err(nothing(&plan));
    }
    plan.undo_text = "sets the images that there were".to_owned();
    Ok(plan)
}

/// The containers that `[CONTAINER=]IMAGE` means, each with its image.
fn named<'a>(template: &'a Value, pair: &str, target: &Target) -> Result<Vec<(Container<'a>, String)>, Stop> {
    let (name, image) = pair.split_once('=').map_or((None, pair), |(name, image)| (Some(name), image));
    if image.is_empty() || image.contains(char::is_whitespace) {
        return Err(Stop::refuse("usage", format!("`{pair}` is no [CONTAINER=]IMAGE")));
    }
    match name {
        Some("*") => Ok(containers(template).into_iter().map(|c| (c, image.to_owned())).collect()),
        name => Ok(vec![(container(template, name, target)?, image.to_owned())]),
    }
}

/// Neither a digest nor a tag, or `latest`.
fn floating(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    !image.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

/// What it means for a pod by itself.
fn alone(snapshot: &Snapshot, plan: &mut Plan, target: &Target, object: &Value, changed: &[(Container, String)]) {
    owners(plan, target, object, "the image");
    plan.blast_in(target.cluster).pods += 1;
    if changed.iter().any(|(c, _)| c.list == "containers") {
        plan.blast_in(target.cluster).unavailable += 1;
        plan.judge(Verdict::Degrades(format!("{}: its containers restart", target.title())));
    }
    let owner = snapshot.row(target).zip(snapshot.store.cluster(target.cluster)).map(|(o, c)| c.workload_of(o).reference(target.cluster));
    if let Some(owner) = owner.filter(|o| o.kind != Kind::Pod) {
        let owner = Target::from(&owner);
        plan.note(Level::Warning, format!("the template of {} is unchanged: the next pod has the old image again", owner.label()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Fixture;
    use super::*;
    use crate::model::VerbId;

    fn two(f: &mut Fixture) {
        f.deployment("api", 3, |d| {
            d["spec"]["template"]["spec"] = json!({"containers": [{"name": "app", "image": "r/app:1"}, {"name": "proxy", "image": "r/proxy:1"}],
                "initContainers": [{"name": "init", "image": "r/init:1"}]});
        });
    }

    fn body(plan: &Plan) -> Value {
        let Act::Write(write) = &plan.steps[0].act else { panic!() };
        write.body["spec"]["template"]["spec"].clone()
    }

    #[test]
    fn containers_are_named_and_init_containers_count() {
        let mut f = Fixture::new();
        two(&mut f);
        let plan = f.plan(VerbId::SetImage, Kind::Deployment, &["api"], "app=r/app:2 init=r/init:2").unwrap();
        let wanted =
            json!({"containers": [{"name": "app", "image": "r/app:2"}], "initContainers": [{"name": "init", "image": "r/init:2"}]});
        assert_eq!(body(&plan), wanted);
        let undo = &plan.steps[0].undo.as_ref().unwrap();
        assert_eq!(undo.act.request().unwrap().body.pointer("/spec/template/spec/containers/0/image"), Some(&json!("r/app:1")));
        assert_eq!(undo.changes[0].pointer, "/spec/template/spec/containers/0/image");
        let all = f.plan(VerbId::SetImage, Kind::Deployment, &["api"], "*=r/x:2").unwrap();
        assert_eq!(all.steps[0].changes.len(), 3);
    }

    #[test]
    fn what_is_not_there_is_refused_with_the_nearest() {
        let mut f = Fixture::new();
        two(&mut f);
        f.deployment("one", 3, |_| {});
        let refused = |f: &mut Fixture, name: &str, args: &str| f.plan(VerbId::SetImage, Kind::Deployment, &[name], args).unwrap_err();
        assert_eq!(refused(&mut f, "api", "prxy=r/x:2"), "deployment pay/api: unknown container `prxy`; did you mean `proxy`?");
        assert_eq!(refused(&mut f, "api", "r/x:2"), "deployment pay/api has several containers: name one of app, proxy, init");
        let same = refused(&mut f, "one", "registry.internal/app:1");
        assert_eq!(same, "nothing to do: deployment pay/one has these images already");
        let plan = f.plan(VerbId::SetImage, Kind::Deployment, &["one"], "registry.internal:5000/app").unwrap();
        assert_eq!(plan.notes[0].text, "registry.internal:5000/app names no version: what runs depends on when it is pulled");
    }

    #[test]
    fn cron_jobs_have_their_template_elsewhere_and_pods_are_their_own() {
        let mut f = Fixture::new();
        f.add(
            Kind::CronJob,
            json!({"metadata": {"name": "report", "namespace": "pay"}, "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "r/app:1"}]}}}}}}),
        );
        let plan = f.plan(VerbId::SetImage, Kind::CronJob, &["report"], "r/app:2").unwrap();
        assert_eq!(plan.steps[0].changes[0].pointer, "/spec/jobTemplate/spec/template/spec/containers/0/image");
        assert_eq!(plan.steps.len(), 1);
        f.pod("api-1", "api", "n1", |_| {});
        f.pod("static", "api", "n1", |p| p["metadata"]["annotations"] = json!({MIRROR: "x"}));
        let plan = f.plan(VerbId::SetImage, Kind::Pod, &["api-1"], "r/app:2").unwrap();
        assert_eq!(plan.verdict.words(), "degrades pay/api-1: its containers restart");
        assert!(f.plan(VerbId::SetImage, Kind::Pod, &["static"], "r/app:2").unwrap_err().contains("static pod"));
    }
}
