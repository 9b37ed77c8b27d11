//! Runs a suite's tests and says what was skipped and why, in cargo's own format. Those that kill servers which others need run one after
//! the other; what is left runs in a few lanes, since most of a test is waiting for a control plane. What fails there is run again alone, and
//! said to be unsteady when it passes then: it has found its neighbours' load, not a fault.

use super::lab::Lab;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

/// How many of them run at a time.
const LANES: usize = 3;

pub struct Test {
    /// The function's path.
    path: &'static str,
    run: Run,
    /// Programs that must be there, each named as its Debian package.
    needs: &'static [&'static str],
    /// The lab must have Velero.
    velero: bool,
}

/// Why what needs Velero is skipped.
pub const NO_VELERO: &str = "the lab has no Velero: tests/lab/lab velero lab-1";

enum Run {
    Lab(fn(&Lab)),
    Alone(fn()),
}

impl Test {
    pub const fn new(path: &'static str, run: fn(&Lab)) -> Self {
        Self { path, run: Run::Lab(run), needs: &[], velero: false }
    }
    /// One that needs no lab.
    pub const fn alone(path: &'static str, run: fn()) -> Self {
        Self { path, run: Run::Alone(run), needs: &[], velero: false }
    }
    /// Is skipped where one of these programs is missing, each named as its Debian package.
    pub const fn needs(self, programs: &'static [&'static str]) -> Self {
        Self { needs: programs, ..self }
    }

    /// Is skipped where the lab has no Velero.
    pub const fn velero(self) -> Self {
        Self { velero: true, ..self }
    }

    /// As libtest names it: the path inside the suite.
    fn name(&self) -> &'static str {
        self.path.split_once("::").map_or(self.path, |(_, name)| name)
    }

    /// Why it cannot be run here.
    fn skipped(&self, lab: Option<&Lab>) -> Option<String> {
        if matches!(self.run, Run::Lab(_)) && lab.is_none() {
            return Some("needs real control planes: tests/lab/run".to_owned());
        }
        if self.velero && !lab.is_some_and(Lab::has_velero) {
            return Some(NO_VELERO.to_owned());
        }
        let missing: Vec<&str> = self.needs.iter().copied().filter(|p| !installed(p)).collect();
        (!missing.is_empty()).then(|| format!("not installed here: {} (Debian's packages of that name)", missing.join(", ")))
    }
}

/// Tests of functions that take a lab, each with its function's name.
macro_rules! tests {
    ($($run:ident),* $(,)?) => { &[$($crate::support::runner::test!($run)),*] };
}
macro_rules! test {
    ($run:ident) => {
        $crate::support::runner::Test::new(concat!(module_path!(), "::", stringify!($run)), $run)
    };
}
pub(crate) use {test, tests};

fn installed(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file())
}

/// Of libtest's arguments those that matter to one that runs alone: names to run, `--exact`, `--skip`, `--list`.
struct Wanted {
    names: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    list: bool,
}

fn wanted() -> Wanted {
    let mut w = Wanted { names: Vec::new(), skip: Vec::new(), exact: false, list: false };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => w.list = true,
            "--exact" => w.exact = true,
            "--skip" => w.skip.extend(args.next()),
            "--test-threads" | "--format" | "--color" | "--logfile" | "--report-time" | "-Z" => drop(args.next()),
            name if !name.starts_with('-') => w.names.push(name.to_owned()),
            _ => {}
        }
    }
    w
}

/// How a test ended.
enum Ended {
    Passed,
    Failed,
    Ignored,
}

fn run_one(test: &Test, lab: Option<&Lab>) -> Ended {
    if let Some(why) = test.skipped(lab) {
        println!("test {} ... ignored, {why}", test.name());
        return Ended::Ignored;
    }
    let at = Instant::now();
    let ok = catch_unwind(AssertUnwindSafe(|| match (&test.run, lab) {
        (Run::Lab(run), Some(lab)) => run(lab),
        (Run::Alone(run), _) => run(),
        (Run::Lab(_), None) => {}
    }))
    .is_ok();
    println!("test {} ... {} ({:.1} s)", test.name(), if ok { "ok" } else { "FAILED" }, at.elapsed().as_secs_f32());
    if ok { Ended::Passed } else { Ended::Failed }
}

/// Runs what the arguments choose of these: first the lists `in_order`, then the lanes `beside`, each of which is lists that
/// run in their order.
pub fn main(in_order: &[&'static [Test]], beside: &[&[&'static [Test]]]) -> ExitCode {
    let wanted = wanted();
    let hit = |name: &str, of: &String| if wanted.exact { name == of } else { name.contains(of.as_str()) };
    let asked = |t: &&Test| wanted.names.is_empty() || wanted.names.iter().any(|n| hit(t.name(), n));
    let chosen = |of: &&'static [Test]| -> Vec<&'static Test> {
        of.iter().filter(asked).filter(|t| !wanted.skip.iter().any(|n| hit(t.name(), n))).collect()
    };
    let total: usize = in_order.iter().chain(beside.iter().copied().flatten()).map(|list| list.len()).sum();
    let of = |lists: &[&'static [Test]]| -> Vec<&'static Test> { lists.iter().flat_map(&chosen).collect() };
    let (first, lists): (_, Vec<Vec<&Test>>) = (of(in_order), beside.iter().map(|lists| of(lists)).collect());
    let many = first.len() + lists.iter().map(Vec::len).sum::<usize>();
    if wanted.list {
        first.iter().chain(lists.iter().flatten()).for_each(|t| println!("{}: test", t.name()));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {many} test{}", if many == 1 { "" } else { "s" });
    let (began, lab) = (Instant::now(), Lab::open());
    let ended: Mutex<Vec<(&Test, Ended)>> = Mutex::default();
    let all = |tests: Vec<&'static Test>| {
        for test in tests {
            let how = run_one(test, lab.as_ref());
            ended.lock().unwrap().push((test, how));
        }
    };
    all(first);
    let alone = ended.lock().unwrap().len();
    let queue = Mutex::new(lists.into_iter());
    let next = || queue.lock().unwrap().next();
    std::thread::scope(|lanes| {
        for _ in 0..LANES {
            lanes.spawn(|| {
                while let Some(tests) = next() {
                    all(tests);
                }
            });
        }
    });
    let mut ended = ended.into_inner().unwrap();
    let mut unsteady = Vec::new();
    for (test, how) in &mut ended[alone..] {
        if matches!(how, Ended::Failed) {
            println!("\nagain, alone: {}", test.name());
            *how = run_one(test, lab.as_ref());
            if matches!(how, Ended::Passed) {
                unsteady.push(test.name());
            }
        }
    }
    if !unsteady.is_empty() {
        println!("\nunsteady, failed beside others and passed alone:\n    {}", unsteady.join("\n    "));
    }
    let failed: Vec<&str> = ended.iter().filter(|(_, how)| matches!(how, Ended::Failed)).map(|(test, _)| test.name()).collect();
    let count = |f: fn(&Ended) -> bool| ended.iter().filter(|(_, how)| f(how)).count();
    let ignored = count(|how| matches!(how, Ended::Ignored));
    if !failed.is_empty() {
        println!("\nfailures:\n    {}", failed.join("\n    "));
    }
    if ignored > 0 && lab.is_none() {
        println!("\nskipped: the real-server suite, {ignored} tests; tests/lab/run brings two control planes up and runs everything");
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; {ignored} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        count(|how| matches!(how, Ended::Passed)),
        failed.len(),
        total - many,
        began.elapsed().as_secs_f32()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
