//! Tables in groups, and from an alert to what it names and back.

use super::*;
use crate::action::Wanted;
use crate::app::muting::proposals;
use crate::model::{AlertState, Object, Service, ServiceState, Target, VerbId};

impl Bench {
    fn alert(&mut self, cluster: u16, labels: &[(&str, &str)]) {
        let alert = crate::model::alert::tests::alert(labels, AlertState::Firing);
        let changes = vec![Change::Upsert(Object::Alert(alert.into()))];
        for delta in [
            Delta::Service { service: Service::Alertmanager, state: ServiceState::Live, via: "http://am".into() },
            Delta::Rows { kind: Kind::Alert, changes },
        ] {
            self.store.apply(Batch { cluster: ClusterId(cluster), generation: Generation(0), delta }, 100, &mut Vec::new());
        }
    }

    fn storm() -> (Self, App) {
        let (mut b, app) = Self::new();
        for n in 0..80u16 {
            let name = if n < 50 { "Crash" } else { "Slow" };
            let severity = if n < 50 { "critical" } else { "warning" };
            let pod = format!("web-1-{n}");
            b.alert(n % 2, &[("alertname", name), ("namespace", "shop"), ("pod", &pod), ("severity", severity)]);
        }
        (b, app)
    }
}

fn groups(app: &App) -> Vec<(String, usize)> {
    app.table().unwrap().grouping.iter().flat_map(|g| &g.groups).map(|g| (g.title.clone(), g.rows.len())).collect()
}

#[test]
fn many_alerts_stand_in_groups_until_somebody_wants_it_otherwise() {
    let (b, mut app) = Bench::storm();
    b.press(&mut app, "A");
    assert_eq!((groups(&app), app.table().unwrap().len()), (vec![("Crash".into(), 50), ("Slow".into(), 30)], 2));
    b.press(&mut app, "\r");
    assert_eq!(app.table().unwrap().len(), 52, "Enter opens it");
    b.press(&mut app, "jj\r");
    assert!(matches!(app.place, Place::Detail(_)), "a row opens as ever");
    b.press(&mut app, "\x1b");
    app.run(&b.world(), &Command::Fold);
    assert_eq!((app.table().unwrap().len(), app.table().unwrap().cursor), (2, 0), "the cursor goes to the head");
    app.run(&b.world(), &Command::Group(Some("none".into())));
    assert_eq!((groups(&app).len(), app.table().unwrap().len()), (0, 80));
    app.run(&b.world(), &Command::Group(Some("alertname".into())));
    assert_eq!(groups(&app).len(), 2, "as the label is called");
    app.run(&b.world(), &Command::Group(Some("none".into())));
    app.run(&b.world(), &Command::Group(Some("age".into())));
    assert!(app.notice.as_ref().unwrap().text.contains("no `age`") || app.notice.as_ref().unwrap().text.contains("age"));
    app.run(&b.world(), &Command::Group(None));
    app.run(&b.world(), &Command::Group(None));
    assert_eq!(groups(&app), [("a".into(), 40), ("b".into(), 40)]);
    let saved = app.session().panes.into_iter().find(|p| p.pane == "alerts").unwrap();
    assert_eq!(saved.group, "cluster");
}

#[test]
fn few_alerts_do_not_and_what_is_worked_with_stays_as_it_is() {
    let (mut b, mut app) = Bench::new();
    b.alert(0, &[("alertname", "Lone"), ("namespace", "shop")]);
    b.press(&mut app, "A");
    assert!(groups(&app).is_empty());
    b.press(&mut app, "j");
    for n in 0..80 {
        b.alert(0, &[("alertname", "Crash"), ("namespace", "shop"), ("pod", &format!("p{n}"))]);
    }
    app.table_mut().unwrap().refresh(&b.world(), None);
    assert!(groups(&app).is_empty(), "not under somebody's hands");
    b.press(&mut app, "1A");
    assert_eq!(groups(&app).len(), 2);
}

#[test]
fn what_is_done_to_a_head_is_done_to_its_rows() {
    let (b, mut app) = Bench::storm();
    b.press(&mut app, "Aj");
    assert_eq!(app.acted_on(&b.world()).unwrap().len(), 30);
    b.press(&mut app, " ");
    assert_eq!(app.table().unwrap().marks.len(), 30);
    b.press(&mut app, " ");
    assert!(app.table().unwrap().marks.is_empty(), "the same again unmarks them");
    b.press(&mut app, "gg");
    b.press(&mut app, "m");
    let Some(Overlay::Form(form)) = &app.overlay else { panic!("no form") };
    let field = |name: &str| form.fields.iter().find(|f| f.name == name).unwrap().text().to_owned();
    assert_eq!(field("match"), "alertname=Crash namespace=shop severity=critical");
    let Of::Verb(VerbId::Silence, targets) = &form.of else { panic!() };
    assert_eq!(targets.len(), 50);
    let told = muted(&b.world(), form, 4).unwrap();
    assert!(told.iter().any(|(_, t)| t == "silences now 50 alerts (a 25, b 25):"), "{told:?}");
}

#[test]
fn alerts_with_nothing_in_common_propose_each_their_own() {
    let (mut b, _) = Bench::new();
    b.alert(0, &[("alertname", "A"), ("namespace", "x"), ("severity", "warning")]);
    b.alert(0, &[("alertname", "B"), ("namespace", "y"), ("severity", "warning")]);
    let c = b.store.cluster(ClusterId(0)).unwrap();
    let targets: Vec<Target> = c.objects(Kind::Alert).map(|o| Target::from(&o.reference(c.id))).collect();
    assert!(!proposals(&b.world(), &targets).iter().any(|(name, _)| *name == "match"), "severity alone tells nothing");
    assert!(proposals(&b.world(), &targets[..1]).iter().any(|(name, _)| *name == "match"));
}

#[test]
fn from_an_alert_to_what_it_names_and_back() {
    let (mut b, mut app) = Bench::new();
    b.alert(0, &[("alertname", "Crash"), ("namespace", "shop"), ("pod", "web-1-1")]);
    b.alert(0, &[("alertname", "Disk"), ("instance", "n1:9100")]);
    b.alert(0, &[("alertname", "Gone"), ("namespace", "shop"), ("pod", "web-1-9")]);
    let on = |app: &mut App, name: &str| {
        b.press(app, "A");
        app.run(&b.world(), &Command::Filter(Some(format!("name={name}"))));
    };
    on(&mut app, "Crash");
    b.press(&mut app, "go");
    assert_eq!(b.here(&app), "pods 4/ web-1-1");
    b.press(&mut app, "ga");
    assert_eq!(b.here(&app), "alerts 1/cluster=a ns=shop object=Pod/web-1-1 Crash");
    b.press(&mut app, "gn");
    assert_eq!(b.here(&app), "nodes 2/ n1", "the node of the pod that it names");
    on(&mut app, "Disk");
    b.press(&mut app, "gn");
    assert_eq!(b.here(&app), "nodes 2/ n1");
    on(&mut app, "Gone");
    b.press(&mut app, "go");
    assert_eq!(b.here(&app), "workloads 2/ web", "of a pod that is gone, what made it");
    b.press(&mut app, "\r");
    assert_eq!(b.here(&app), "detail web");
    b.press(&mut app, "ga");
    assert_eq!(b.here(&app).split(' ').take(2).collect::<Vec<_>>(), ["alerts", "1/cluster=a"], "the alerts of its pods too");
}

#[test]
fn a_group_is_muted_once_for_all_and_a_cluster_from_its_line() {
    let (b, mut app) = Bench::storm();
    b.press(&mut app, "1");
    let effects = b.press(&mut app, "a");
    assert!(effects.is_empty(), "nothing is asked of a cluster about all of it: {effects:?}");
    let Some(Overlay::Choose(chooser)) = &app.overlay else { panic!("no acts") };
    let can: Vec<&str> = chooser.items.iter().filter(|i| !i.off).map(|i| i.text.as_str()).collect();
    assert_eq!(can, ["silence", "publish", "backup"]);
    b.press(&mut app, "\r");
    let Some(Overlay::Form(form)) = &app.overlay else { panic!("no form") };
    let Of::Verb(VerbId::Silence, targets) = &form.of else { panic!() };
    assert!(targets[0].resource.is_cluster() && targets.len() == 1);
    b.press(&mut app, "\x1b1b");
    assert!(matches!(&app.place, Place::Preview(p) if matches!(&p.wanted, Wanted::Act(r) if r.verb == VerbId::Backup)));
}
