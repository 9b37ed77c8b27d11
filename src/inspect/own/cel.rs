//! CEL: an expression with the fields that it names, and its evaluation within a limit of steps.
//!
//! The functions are kube's: CEL's own and those of Kubernetes (quantities, semver, regular expressions, addresses, lists...). Every turn of a
//! loop (`all`, `exists`, `filter`, `map`) is a step; a rule cannot loop otherwise, and what it cannot count is measured by its caller.

use super::fields::MEMBER;
use crate::diag;
use kube::core::cel::KubeCelExt as _;
use kube::core::cel::cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use kube::core::cel::cel::{Context, ExecutionError, Program, Value};
use std::cell::Cell;

/// No expression is longer (characters).
const LONG: usize = 4096;
/// More nodes than these no expression has.
const NODES: usize = 2000;
/// What stands in every loop of a compiled expression.
const STEP: &str = "@step";

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
    static LIBRARY: Context<'static> = library();
}

fn library() -> Context<'static> {
    let mut context = Context::default().with_all();
    context.add_function(STEP, || -> Result<bool, ExecutionError> {
        match LEFT.get() {
            0 => Err(ExecutionError::function_error(STEP, "too many steps")),
            left => {
                LEFT.set(left - 1);
                Ok(true)
            }
        }
    });
    context
}

/// Why an evaluation gave nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A field that this object has not.
    Missing,
    /// It took more steps than it may.
    Steps,
    /// In words.
    Wrong(String),
}

/// An expression that can be evaluated.
#[derive(Clone, Debug)]
pub struct Compiled {
    expression: IdedExpr,
    /// The fields of `object` that it names; [`MEMBER`] stands for a member of a list.
    pub paths: Vec<Vec<String>>,
    /// It names `now`: its value changes with time.
    pub now: bool,
    /// The names under `thresholds`.
    pub thresholds: Vec<String>,
}

/// Reads an expression over these variables.
///
/// # Errors
/// In words, with line and column within the expression where there is one.
pub fn compile(text: &str, variables: &[&str]) -> Result<Compiled, String> {
    if text.chars().count() > LONG {
        return Err(format!("it is longer than {LONG} characters"));
    }
    let program = Program::compile(text).map_err(|errors| {
        let first = errors.errors.first();
        first.map_or_else(|| "it does not parse".to_owned(), |e| format!("it does not parse: {}:{}: {}", e.pos.0, e.pos.1, e.msg))
    })?;
    let mut walk = Walk { variables, env: Vec::new(), nodes: 0, out: Found::default() };
    let mut expression = program.expression().clone();
    walk.visit(&mut expression)?;
    for name in &walk.out.functions {
        let call = IdedExpr { id: 0, expr: Expr::Call(CallExpr { func_name: name.clone(), target: None, args: Vec::new() }) };
        let unknown = LIBRARY.with(|library| matches!(library.resolve(&call), Err(ExecutionError::UndeclaredReference(_))));
        if unknown {
            return Err(format!("there is no function `{name}`"));
        }
    }
    let now = walk.out.variables.iter().any(|v| v == "now");
    let (mut thresholds, mut paths) = (Vec::new(), Vec::new());
    for (root, path) in walk.out.paths {
        match root {
            Root::Object => paths.push(path),
            Root::Thresholds => thresholds.extend(path.into_iter().next()),
        }
    }
    Ok(Compiled { expression, paths, now, thresholds })
}

impl Compiled {
    /// Its value.
    ///
    /// # Errors
    /// When it has none, or takes more than `steps`.
    pub fn eval(&self, variables: &[(&str, &Value)], steps: u64) -> Result<Value, Fault> {
        LIBRARY.with(|library| {
            let mut context = library.new_inner_scope();
            for (name, value) in variables {
                context.add_variable_from_value(*name, (*value).clone());
            }
            LEFT.set(steps);
            let value = context.resolve(&self.expression);
            match value {
                // An error may have been swallowed by an `||`.
                _ if LEFT.get() == 0 && steps > 0 => Err(Fault::Steps),
                Ok(value) => Ok(value),
                Err(ExecutionError::NoSuchKey(_) | ExecutionError::IndexOutOfBounds(_)) => Err(Fault::Missing),
                Err(e) => Err(Fault::Wrong(short(&e.to_string()))),
            }
        })
    }
}

/// A value for use in expressions: a duration, a time.
pub fn literal(text: &str) -> Option<Value> {
    let program = Program::compile(text).ok()?;
    LIBRARY.with(|library| library.resolve(program.expression()).ok())
}

fn short(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > 120 { format!("{}...", line.chars().take(120).collect::<String>()) } else { line.to_owned() }
}

#[derive(Clone, Copy, PartialEq)]
enum Root {
    Object,
    Thresholds,
}

type Path = (Root, Vec<String>);

#[derive(Default)]
struct Found {
    paths: Vec<Path>,
    variables: Vec<String>,
    functions: Vec<String>,
}

struct Walk<'a> {
    variables: &'a [&'a str],
    /// Variables of loops, and the field that they stand for.
    env: Vec<(String, Option<Path>)>,
    nodes: usize,
    out: Found,
}

impl Walk<'_> {
    /// Walks an expression whose value is used as it is.
    fn visit(&mut self, node: &mut IdedExpr) -> Result<(), String> {
        if let Some(path) = self.path(node)? {
            self.out.paths.push(path);
        }
        Ok(())
    }

    /// Walks an expression; the field that it is, if it is one.
    fn path(&mut self, node: &mut IdedExpr) -> Result<Option<Path>, String> {
        self.nodes += 1;
        if self.nodes > NODES {
            return Err(format!("it has more than {NODES} parts"));
        }
        match &mut node.expr {
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => {
                let mut path = self.path(&mut select.operand)?;
                if let Some((_, path)) = &mut path {
                    path.push(select.field.clone());
                }
                Ok(path)
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(c) => {
                let range = self.path(&mut c.iter_range)?;
                self.out.paths.extend(range.clone());
                self.visit(&mut c.accu_init)?;
                let member = range.map(|(root, mut path)| {
                    path.push(MEMBER.to_owned());
                    (root, path)
                });
                let depth = self.env.len();
                self.env.push((c.accu_var.clone(), None));
                self.env.push((c.iter_var.clone(), member));
                self.env.extend(c.iter_var2.iter().map(|v| (v.clone(), None)));
                self.visit(&mut c.loop_cond)?;
                self.visit(&mut c.loop_step)?;
                self.visit(&mut c.result)?;
                self.env.truncate(depth);
                let goes_on = std::mem::take(&mut c.loop_cond);
                let step = IdedExpr { id: 0, expr: Expr::Call(CallExpr { func_name: STEP.to_owned(), target: None, args: Vec::new() }) };
                let both = CallExpr { func_name: operators::LOGICAL_AND.to_owned(), target: None, args: vec![step, goes_on] };
                c.loop_cond = IdedExpr { id: 0, expr: Expr::Call(both) };
                Ok(None)
            }
            Expr::List(list) => {
                list.elements.iter_mut().try_for_each(|e| self.visit(e))?;
                Ok(None)
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.visit(&mut entry.key)?;
                        self.visit(&mut entry.value)?;
                    }
                }
                Ok(None)
            }
            Expr::Literal(_) => Ok(None),
            Expr::Struct(_) => Err("messages (Type{...}) are not for rules".to_owned()),
            Expr::Unspecified => Err("it does not parse".to_owned()),
        }
    }

    fn ident(&mut self, name: &str) -> Result<Option<Path>, String> {
        if let Some((_, path)) = self.env.iter().rev().find(|(known, _)| known == name) {
            return Ok(path.clone());
        }
        if !self.variables.contains(&name) {
            let near = diag::unknown("variable", name, self.variables.iter().copied());
            return Err(format!("{near} (there are {})", self.variables.join(", ")));
        }
        self.out.variables.push(name.to_owned());
        Ok(match name {
            "object" => Some((Root::Object, Vec::new())),
            "thresholds" => Some((Root::Thresholds, Vec::new())),
            _ => None,
        })
    }

    fn call(&mut self, call: &mut CallExpr) -> Result<Option<Path>, String> {
        let selects = [operators::OPT_SELECT, operators::INDEX, operators::OPT_INDEX].contains(&call.func_name.as_str());
        if let (true, [of, key]) = (selects, call.args.as_mut_slice()) {
            let path = self.path(of)?;
            let part = match &key.expr {
                Expr::Literal(LiteralValue::String(name)) => name.inner().to_owned(),
                _ => {
                    self.visit(key)?;
                    MEMBER.to_owned()
                }
            };
            return Ok(path.map(|(root, mut path)| {
                path.push(part);
                (root, path)
            }));
        }
        let operator = call.func_name.contains(['_', '@', '!']);
        let name = call.func_name.clone();
        let library = match call.target.as_deref() {
            Some(IdedExpr { expr: Expr::Ident(of), .. })
                if !self.variables.contains(&of.as_str()) && !self.env.iter().any(|(v, _)| v == of) =>
            {
                Some(format!("{of}.{name}"))
            }
            _ => None,
        };
        match (&library, &mut call.target) {
            (Some(whole), _) => self.out.functions.push(whole.clone()),
            (None, target) => {
                if let Some(target) = target {
                    self.visit(target)?;
                }
                if !operator {
                    self.out.functions.push(name);
                }
            }
        }
        call.args.iter_mut().try_for_each(|a| self.visit(a))?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::whole;
    use super::*;
    use serde_json::json;

    const ALL: &[&str] = &["object", "thresholds", "now"];

    fn eval(text: &str, object: serde_json::Value, steps: u64) -> Result<Value, Fault> {
        compile(text, ALL).unwrap_or_else(|e| panic!("{text}: {e}")).eval(&[("object", &whole(&object))], steps)
    }

    #[test]
    fn the_fields_that_are_named() {
        let paths = |text: &str| {
            let mut all: Vec<String> = compile(text, ALL).unwrap().paths.iter().map(|p| p.join(".")).collect();
            all.sort();
            all
        };
        assert_eq!(paths("object.spec.replicas > 1"), ["spec.replicas"]);
        assert_eq!(
            paths("object.spec.containers.all(c, has(c.image) && c.name != 'x')"),
            ["spec.containers", "spec.containers.[].image", "spec.containers.[].name"]
        );
        assert_eq!(paths("object.metadata.labels['app'] == object.spec.a[0].b"), ["metadata.labels.app", "spec.a.[].b"]);
        assert_eq!(paths("object.a.exists(object, object.b)"), ["a", "a.[].b"]);
        let c = compile("now - timestamp(object.metadata.creationTimestamp) > thresholds.after", ALL).unwrap();
        assert!(c.now && c.thresholds == ["after"], "{c:?}");
    }

    #[test]
    fn what_means_nothing_is_said_at_once() {
        let wrong = |text: &str| compile(text, ALL).unwrap_err();
        assert!(wrong("object.spec.").contains("it does not parse: 1:"), "{}", wrong("object.spec."));
        assert!(wrong("objet.spec == 1").contains("did you mean `object`?"));
        assert_eq!(wrong("object.name.uper() == 'A'"), "there is no function `uper`");
        assert!(wrong("Pod{name: 'x'} == 1").contains("not for rules"));
        assert!(compile("quantity('1Gi').isGreaterThan(quantity('1Mi')) && math.ceil(1.5) == 2.0", ALL).is_ok());
        assert_eq!(compile(&format!("[{}1]", "1,".repeat(2000)), ALL).unwrap_err(), "it has more than 2000 parts");
        assert!(compile(&"1+".repeat(3000), ALL).unwrap_err().contains("4096 characters"));
    }

    #[test]
    fn fields_have_values_and_what_is_missing_is_told() {
        let o = json!({"metadata": {"namespace": "pay"}, "spec": {"replicas": 3, "list": [1, 2, 3]}});
        assert_eq!(eval("object.spec.replicas == 3 && object.metadata.namespace == 'pay'", o.clone(), 9), Ok(Value::Bool(true)));
        assert_eq!(eval("object.spec.gone == 3", o.clone(), 9), Err(Fault::Missing));
        assert_eq!(eval("has(object.spec.gone)", o.clone(), 9), Ok(Value::Bool(false)));
        assert!(matches!(eval("object.spec.replicas < 'x'", o.clone(), 9), Err(Fault::Wrong(_))));
        assert_eq!(eval("object.spec.list.filter(n, n > 1).map(n, n * 2) == [4, 6]", o, 9), Ok(Value::Bool(true)));
    }

    #[test]
    fn a_loop_ends_at_its_limit() {
        let many: Vec<u32> = (0..10_000).collect();
        let o = json!({"list": many});
        let nested = "object.list.all(a, object.list.all(b, object.list.exists(c, a + b + c >= 0)))";
        assert_eq!(eval(nested, o.clone(), 2000), Err(Fault::Steps));
        assert_eq!(eval(&format!("true || {nested}"), o.clone(), 2000), Ok(Value::Bool(true)), "it is not looked at");
        assert_eq!(eval(&format!("{nested} || true"), o, 2000), Err(Fault::Steps), "what an || swallows is found");
    }
}
