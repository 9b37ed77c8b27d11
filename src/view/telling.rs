//! What a preview says, line by line: the same words for the cockpit and for the command line.
//!
//! The order is the one in which somebody decides: the verdict, what stands in the way, what to mind, what would be better; then by
//! cluster what is touched and each step with its changes. Whether it can be taken back is a line of its own ([`undo`]), since the
//! cockpit keeps it in sight.

use super::pieces::clean;
use crate::action::{Finding, Preview};
use crate::model::plan::Offer;
use crate::model::verb::ParamKind;
use crate::model::{BlastRadius, ClusterId, Level, Plan, Severity, Step, Target, UndoKind, Verdict};
use crate::store::Store;
use crate::theme::Role;

/// Steps of a cluster that are told before the rest is counted.
const STEPS: usize = 60;

/// Who reads it: how an offer is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// By its number.
    Keys,
    /// By another command.
    Shell,
}

/// A line.
pub struct Line {
    pub indent: u16,
    /// Before the text on a screen, where colour helps.
    pub sign: &'static str,
    /// Before the text where there is no colour.
    pub word: &'static str,
    pub text: String,
    pub role: Role,
}

impl Line {
    fn new(indent: u16, text: String, role: Role) -> Self {
        Self { indent, sign: "", word: "", text, role }
    }

    fn marked(self, sign: &'static str, word: &'static str) -> Self {
        Self { sign, word, ..self }
    }

    /// As plain text.
    pub fn plain(&self) -> String {
        let word = if self.word.is_empty() { String::new() } else { format!("{}: ", self.word) };
        format!("{}{word}{}", " ".repeat(usize::from(self.indent)), clean(&self.text))
    }
}

/// Whether it can be taken back, and how.
pub fn undo(plan: &Plan) -> Line {
    let role = if plan.undo == UndoKind::None { Role::SeverityWarning } else { Role::Text };
    let words = if plan.undo_text.is_empty() { String::new() } else { format!(": {}", plan.undo_text) };
    Line::new(0, format!("undo: {}{words}", plan.undo.word()), role)
}

/// Everything else.
pub fn lines(store: &Store, preview: &Preview, reader: Reader, ellipsis: &str) -> Vec<Line> {
    let plan = &preview.plan;
    let mut lines = vec![verdict(plan)];
    for b in &plan.blast {
        lines.extend(b.blockers.iter().map(|k| {
            let never = if k.never { "never by itself" } else { "for now" };
            Line::new(2, format!("{}: {}, {never}: {}", k.what, count(k.pods.len(), "pod"), k.why), Role::SeverityCritical)
                .marked("", "blocked by")
        }));
    }
    for (level, sign, word, role) in [
        (Level::Danger, Severity::Critical.sign(), "danger", Role::SeverityCritical),
        (Level::Warning, Severity::Warning.sign(), "warning", Role::SeverityWarning),
    ] {
        let notes = plan.notes.iter().filter(|n| n.level == level);
        lines.extend(notes.map(|n| Line::new(0, n.text.clone(), role).marked(sign, word)));
    }
    lines.extend(checks(preview));
    for (n, offer) in plan.offers.iter().enumerate().take(9) {
        let when = if offer.before { "before" } else { "instead" };
        let one = offer.targets.first().map(|t| t.cluster).filter(|id| offer.targets.iter().all(|t| t.cluster == *id));
        let place = plan.clusters.iter().find(|c| plan.clusters.len() > 1 && Some(c.id) == one);
        let what = place.map_or(offer.text.clone(), |c| format!("{} on {}", offer.text, c.name));
        let text = match reader {
            Reader::Keys => format!("{} {when}: {what}", n + 1),
            Reader::Shell => format!("{when}: {what} ({})", command(plan, offer)),
        };
        lines.push(Line::new(0, text, Role::Key));
    }
    lines.extend(at_once(preview).map(|text| Line::new(0, text, Role::TextDim).marked("", "info")));
    let infos = plan.notes.iter().filter(|n| n.level == Level::Info);
    lines.extend(infos.map(|n| Line::new(0, n.text.clone(), Role::TextDim).marked("", "info")));
    for c in &plan.clusters {
        lines.extend(cluster(store, preview, c.id, &c.name, ellipsis));
    }
    let fine = preview.preflight.checks.iter().filter(|c| c.finding == Finding::Fine).count();
    if fine > 0 {
        lines.push(Line::new(0, format!("{} passed: permissions and dry runs", count(fine, "check")), Role::SeverityOk));
    }
    lines
}

/// How many of several objects go at the same time, and who says so.
fn at_once(preview: &Preview) -> Option<String> {
    let (plan, most) = (&preview.plan, usize::from(preview.gate.parallel));
    let lanes = plan.steps.iter().map(|s| s.lane).collect::<std::collections::BTreeSet<_>>().len();
    let wanted = usize::from(plan.parallel.max(1)).min(lanes);
    // The steps of a runbook come one after the other.
    if lanes < 2 || !plan.parts.is_empty() {
        None
    } else if most < wanted {
        Some(format!("{most} of {lanes} objects at a time, as the tier allows, not {wanted}"))
    } else {
        (wanted < lanes).then(|| format!("{wanted} of {lanes} objects at a time"))
    }
}

/// An offer as it would be typed in a shell: a command for each place that its objects are in.
fn command(plan: &Plan, offer: &Offer) -> String {
    let info = offer.verb.info();
    let mut places: Vec<(&Target, Vec<String>)> = Vec::new();
    for target in &offer.targets {
        match places.iter_mut().find(|(t, _)| t.cluster == target.cluster && t.namespace == target.namespace) {
            Some((_, names)) => names.push(target.slashed()),
            None => places.push((target, vec![target.slashed()])),
        }
    }
    let typed = places.into_iter().map(|(target, names)| {
        let mut words = vec!["qd".to_owned()];
        words.extend(info.cli.iter().map(|w| (*w).to_owned()));
        words.extend(names);
        for (name, values) in offer.args.iter() {
            let flag = info.param(name).is_some_and(|p| p.kind == ParamKind::Flag);
            for value in values {
                words.push(if flag { format!("--{name}") } else { format!("--{name} {value}") });
            }
        }
        let context = plan.clusters.iter().find(|c| c.id == target.cluster).map(|c| c.context.as_str());
        words.extend(context.filter(|c| !c.is_empty()).map(|c| format!("--context {c}")));
        if !target.namespace.is_empty() {
            words.push(format!("-n {}", target.namespace));
        }
        words.join(" ")
    });
    typed.collect::<Vec<_>>().join("; ")
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn verdict(plan: &Plan) -> Line {
    let unjudged = plan.blast.iter().filter_map(|b| b.placement.as_ref()).any(|p| p.unjudged > 0);
    let (sign, role, text) = match &plan.verdict {
        Verdict::Fits if unjudged => {
            (Severity::Warning.sign(), Role::SeverityWarning, "fits as far as can be told, which is not for all of it".to_owned())
        }
        Verdict::Fits => (Severity::Info.sign(), Role::SeverityOk, "fits, nothing stands in its way".to_owned()),
        Verdict::Degrades(_) => (Severity::Warning.sign(), Role::SeverityWarning, plan.verdict.words()),
        Verdict::Blocks(_) => (Severity::Critical.sign(), Role::SeverityCritical, plan.verdict.words()),
    };
    Line::new(0, text, role).marked(sign, "verdict")
}

/// What was checked and is not fine, and what the servers warn of.
fn checks(preview: &Preview) -> Vec<Line> {
    let bad = preview.preflight.checks.iter().filter_map(|c| {
        let (word, why, role) = match &c.finding {
            Finding::Fine => return None,
            Finding::Unknown(why) => ("unknown", format!("cannot be told: {why}"), Role::SeverityWarning),
            Finding::Forbidden(why) => ("forbidden", why.clone(), Role::SeverityCritical),
            Finding::Drifted(why) => ("drifted", why.clone(), Role::SeverityCritical),
            Finding::Invalid(why) => ("invalid", why.clone(), Role::SeverityCritical),
        };
        let sign = if role == Role::SeverityCritical { Severity::Critical.sign() } else { Severity::Warning.sign() };
        Some(Line::new(0, format!("{}: {why}", c.text), role).marked(sign, word))
    });
    let warned = preview.preflight.warnings();
    let warned =
        warned.iter().map(|w| Line::new(0, format!("the server warns: {w}"), Role::SeverityWarning).marked(Severity::Warning.sign(), ""));
    bad.chain(warned).collect()
}

fn cluster(store: &Store, preview: &Preview, id: ClusterId, name: &str, ellipsis: &str) -> Vec<Line> {
    let plan = &preview.plan;
    let production = store.cluster(id).is_some_and(|c| c.info.production());
    let numbered = || plan.steps.iter().enumerate().filter(|(_, s)| s.target.cluster == id);
    let steps: Vec<&Step> = numbered().map(|(_, s)| s).collect();
    let head = format!("{name}{}: {}", if production { " [P]" } else { "" }, count(steps.len(), "step"));
    let mut lines = vec![Line::new(0, head, if production { Role::Production } else { Role::Title })];
    lines.extend(plan.blast.iter().filter(|b| b.cluster == id).flat_map(blast));
    let mut part = "";
    let mut wave = None;
    for (at, step) in numbered().take(STEPS) {
        let indent = if step.part.is_empty() { 2 } else { 4 };
        let waves = waves(plan, &steps, &step.part);
        let here = plan.waves.get(usize::from(step.lane)).copied();
        if !step.part.is_empty() && (part != step.part || (wave != here && waves.len() > 1)) {
            let nth = waves.iter().position(|w| Some(*w) == here).unwrap_or(0) + 1;
            let of = if waves.len() > 1 { format!(", wave {nth} of {}", waves.len()) } else { String::new() };
            lines.push(Line::new(2, format!("{}{of}", step.part), Role::TextStrong));
        }
        (part, wave) = (step.part.as_str(), here);
        lines.push(Line::new(indent, in_part(&step.part, &step.text).to_owned(), Role::Text));
        let told = super::effects::lines(preview, at, step, ellipsis);
        lines.extend(told.into_iter().map(|text| Line::new(indent + 2, text, Role::TextDim)));
    }
    if steps.len() > STEPS {
        lines.push(Line::new(2, format!("and {} more steps", steps.len() - STEPS), Role::TextDim));
    }
    lines
}

/// The waves that a part of a runbook has, in order.
fn waves(plan: &Plan, steps: &[&Step], part: &str) -> Vec<u16> {
    let of = steps.iter().filter(|s| s.part == part).filter_map(|s| plan.waves.get(usize::from(s.lane)).copied());
    let all: std::collections::BTreeSet<u16> = of.collect();
    all.into_iter().collect()
}

/// A step's words below the heading of its part.
pub fn in_part<'a>(part: &str, text: &'a str) -> &'a str {
    text.strip_prefix(part).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(text)
}

fn blast(b: &BlastRadius) -> Vec<Line> {
    let mut lines = Vec::new();
    let counted = [(b.nodes, "node"), (b.workloads, "workload"), (b.pods, "pod")];
    let mut parts: Vec<String> = counted.iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(*n as usize, what)).collect();
    if b.unavailable > 0 {
        parts.push(format!("{} not serving meanwhile", b.unavailable));
    }
    if let Some(p) = &b.placement {
        parts.push(match (p.fits, p.unplaced.len(), p.unjudged) {
            (1, 0, 0) => "it finds room".to_owned(),
            (n, 0, 0) => format!("all {n} find room"),
            (n, missing, 0) => format!("{n} find room, {missing} do not"),
            (0, 0, unknown) => format!("whether {unknown} find room is not known"),
            (n, 0, unknown) => format!("{n} find room, of {unknown} it is not known"),
            (n, missing, unknown) => format!("{n} find room, {missing} do not, of {unknown} it is not known"),
        });
    }
    if !parts.is_empty() {
        lines.push(Line::new(2, format!("touches {}", parts.join(", ")), Role::TextStrong));
    }
    lines.extend(b.etcd.iter().flat_map(|e| e.lines()).map(|text| Line::new(2, text, Role::TextStrong)));
    if !b.budgets.is_empty() {
        lines.push(Line::new(2, format!("budgets: {}", b.budgets.join(", ")), Role::TextDim));
    }
    for p in b.placement.iter() {
        let unplaced = p.unplaced.iter().take(10);
        lines.extend(unplaced.map(|(pod, why)| Line::new(2, format!("no room for {pod}: {why}"), Role::SeverityWarning)));
        if p.unplaced.len() > 10 {
            lines.push(Line::new(2, format!("and {} more without room", p.unplaced.len() - 10), Role::SeverityWarning));
        }
        lines.extend(p.unknown.iter().map(|u| Line::new(2, format!("not judged: {u}"), Role::SeverityWarning)));
    }
    if !b.undone_by.is_empty() {
        lines.push(Line::new(2, format!("would be undone by {}", b.undone_by.join(", ")), Role::SeverityWarning));
    }
    lines
}
