//! Alerts.

use super::*;
use crate::model::{Alert, AlertState};

reader!(alert: Alert);

fn label<'a>(r: Row<'a>, names: &[&str]) -> Value<'a> {
    alert(r, |a| names.iter().find_map(|n| a.meta.labels.get(n)))
}

/// The most particular object that it names.
fn object(a: &Alert) -> Option<Cow<'_, str>> {
    a.about().next().map(|(kind, _, name)| reference(kind.name(), name))
}

/// Who hides it.
fn by(a: &Alert) -> Option<Cow<'_, str>> {
    match a.state {
        AlertState::Silenced => a.silenced_by.first().map(|id| (&**id).into()),
        AlertState::Inhibited => a.inhibited_by.first().map(|id| (&**id).into()),
        _ => None,
    }
}

/// Whose it is: it says so itself, or its namespace does.
fn owner<'a>(_: &Ctx<'a>, r: Row<'a>) -> Value<'a> {
    let (cluster, Some(Object::Alert(a))) = (r.cluster(), r.object()) else { return Value::None };
    let own = cluster.info.owners().find_map(|l| a.meta.labels.get(l).filter(|v| !v.is_empty()));
    let namespace = || cluster.named(Kind::Namespace, "", Some(&*a.meta.namespace).filter(|n| !n.is_empty())?);
    let found = own.or_else(|| {
        let labels = &namespace()?.meta().labels;
        cluster.info.owners().find_map(|l| labels.get(l).filter(|v| !v.is_empty()))
    });
    found.into()
}

pub(super) static COLUMNS: &[Column] = &[
    CLUSTER,
    KIND,
    Column { doc: "Namespace: the label `namespace`", ..NAMESPACE }.leave(6),
    Column { title: "ALERT", doc: "Name: the label `alertname`", ..NAME },
    col("severity", "SEVERITY", Unit::Text, |_, r| alert(r, Alert::severity), "The label `severity`").width(4, 10).leave(2).tone(row_tone),
    col(
        "status",
        "STATE",
        Unit::Text,
        |_, r| alert(r, |a| a.state.word()),
        "firing, silenced, inhibited (`status.state` and who hides it); pending, or down for a target that is not scraped: what Prometheus alone knows",
    )
    .width(6, 9)
    .leave(1)
    .tone(row_tone),
    col("started_age_s", "SINCE", Unit::Seconds, |_, r| alert(r, |a| a.starts.map(Value::Age)), "Since it fires: now less `startsAt`")
        .leave(3),
    col(
        "object",
        "OBJECT",
        Unit::Reference,
        |_, r| alert(r, object),
        "What it is about, as Kind/name: the most particular object that its labels name (pod, workload, node, namespace)",
    )
    .width(8, 44)
    .leave(5),
    col(
        "summary",
        "SUMMARY",
        Unit::Text,
        |_, r| alert(r, Alert::says),
        "The annotation `summary`, else `message`, else `description`; else the labels that tell it from others of its name",
    )
    .width(12, 80)
    .leave(10),
    col("node", "NODE", Unit::Text, |_, r| label(r, &["node", "nodename"]), "The label `node`, else `nodename`")
        .width(6, 30)
        .wide()
        .leave(50),
    col("owner", "OWNER", Unit::Text, owner, "Whose it is: its label, or its namespace's, that the setting owner_labels names (`team`, `owner`)")
        .width(6, 24)
        .wide()
        .leave(49),
    col("instance", "INSTANCE", Unit::Text, |_, r| label(r, &["instance"]), "The label `instance`").width(6, 30).wide().leave(52),
    col(
        "hidden_by",
        "HIDDEN-BY",
        Unit::Text,
        |_, r| alert(r, by),
        "The first silence (`status.silencedBy`), or alert (`status.inhibitedBy`), that hides it",
    )
    .width(8, 36)
    .wide()
    .leave(51),
    col("silenced_by", "SILENCES", Unit::List, |_, r| alert(r, |a| list(a.silenced_by.iter().map(|s| &**s))), "`status.silencedBy`")
        .hidden(),
    col("inhibited_by", "INHIBITED-BY", Unit::List, |_, r| alert(r, |a| list(a.inhibited_by.iter().map(|s| &**s))), "`status.inhibitedBy`")
        .hidden(),
    col("receivers", "RECEIVERS", Unit::List, |_, r| alert(r, |a| list(a.receivers.iter().map(|s| &**s))), "`receivers[].name`")
        .wide()
        .leave(53),
    col("runbook", "RUNBOOK", Unit::Text, |_, r| alert(r, Alert::runbook), "The annotation `runbook_url`").wide().leave(54),
    col("generator", "GENERATOR", Unit::Text, |_, r| alert(r, |a| a.generator.as_ref()), "`generatorURL`: where its rule is").hidden(),
    col("fingerprint", "FINGERPRINT", Unit::Text, |_, r| alert(r, |a| &a.fingerprint), "`fingerprint`").hidden(),
    col("updated_age_s", "UPDATED", Unit::Seconds, |_, r| alert(r, |a| a.updated.map(Value::Age)), "Since it was last sent: `updatedAt`")
        .hidden(),
    Column { doc: "All its labels", ..LABELS },
    col("annotations", "ANNOTATIONS", Unit::Json, |_, r| alert(r, |a| labels(&a.annotations)), "All its annotations").hidden(),
];
