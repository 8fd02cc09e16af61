//! GraphQL documents: what a document asks for is checked as a whole before anything is done.
//!
//! A document has selection sets, aliases, arguments, variables, fragments, `@include`, `@skip` and `__typename`. There
//! is no other introspection.

use super::schema::{self, Entry};
use graphql_parser::Pos;
use graphql_parser::query::{self, Definition, OperationDefinition, Selection, SelectionSet, TypeCondition};
use serde::Deserialize;
use serde_json::{Map, Number, Value, json};
use std::collections::HashMap;

/// The most bytes of a document.
const MAX_DOCUMENT: usize = 32 << 10;
/// The most fields and fragments that a document selects.
const MAX_FIELDS: usize = 500;
/// The most fields of the root, each of which may be work.
const MAX_CALLS: usize = 16;
/// The most bytes of all arguments. A document may name a variable more than once.
const MAX_ARGUMENTS: usize = 4 << 20;

/// A request.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    /// The document.
    pub query: String,
    /// The values of its variables.
    #[serde(default)]
    pub variables: Option<Map<String, Value>>,
    /// Which operation of the document is meant.
    #[serde(default, rename = "operationName")]
    pub operation: Option<String>,
}

/// What is wrong with a document, or with a field of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    /// The message.
    pub message: String,
    /// The place in the document.
    pub place: Option<Pos>,
    /// The key of the field of the root that failed.
    pub path: Option<String>,
}

impl Fault {
    fn new(message: impl Into<String>) -> Fault {
        Fault { message: message.into(), ..Default::default() }
    }

    fn at(place: Pos, message: impl Into<String>) -> Fault {
        Fault { place: Some(place), ..Fault::new(message) }
    }

    /// The error in JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut value = json!({"message": self.message});
        if let Some(place) = self.place {
            value["locations"] = json!([{"line": place.line, "column": place.column}]);
        }
        if let Some(key) = &self.path {
            value["path"] = json!([key]);
        }
        value
    }
}

/// A field that is asked for.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name in the answer.
    pub key: String,
    /// The field.
    pub entry: &'static Entry,
    /// Its arguments.
    pub arguments: Map<String, Value>,
    /// The fields of its value.
    pub fields: Vec<Field>,
    /// Its place in the document.
    pub place: Pos,
}

/// An operation that can be done.
#[derive(Clone, Debug)]
pub struct Document {
    /// `Query` or `Mutation`.
    pub kind: &'static str,
    /// The fields of the root.
    pub fields: Vec<Field>,
}

type Set = SelectionSet<'static, String>;
type Fragment = query::FragmentDefinition<'static, String>;
type Declared = query::VariableDefinition<'static, String>;
type Directive = query::Directive<'static, String>;
type Literal = query::Value<'static, String>;
type Condition = TypeCondition<'static, String>;

impl Document {
    /// Reads and checks a document.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn new(asked: &Asked) -> Result<Document, Fault> {
        let text = &asked.query;
        if text.len() > MAX_DOCUMENT {
            return Err(Fault::new(format!("a document may have {MAX_DOCUMENT} bytes")));
        }
        // The parser panics at some white space in block strings, which no field here needs.
        if text.contains("\"\"\"") {
            return Err(Fault::new("block strings are not taken"));
        }
        let parsed = graphql_parser::parse_query::<String>(text).map_err(|e| Fault::new(e.to_string()))?.into_static();
        let mut operations = Vec::new();
        let mut fragments = HashMap::new();
        for definition in &parsed.definitions {
            match definition {
                Definition::Operation(operation) => operations.push(Operation::new(operation)?),
                Definition::Fragment(fragment) => {
                    if fragments.insert(&*fragment.name, fragment).is_some() {
                        let message = format!("there are two fragments \"{}\"", fragment.name);
                        return Err(Fault::at(fragment.position, message));
                    }
                }
            }
        }
        let named = |operation: &&Operation<'_>| asked.operation.as_deref().is_none_or(|n| operation.name == Some(n));
        let mut fitting = operations.iter().filter(named);
        let (Some(operation), None) = (fitting.next(), fitting.next()) else {
            return Err(Fault::new("operationName must name one of the operations"));
        };
        let given = asked.variables.as_ref();
        let variables = variables(operation.variables, given)?;
        let mut reader = Reader { fragments, variables, fields: MAX_FIELDS, bytes: MAX_ARGUMENTS };
        let fields = reader.fields(operation.kind, &[operation.set])?;
        if fields.len() > MAX_CALLS {
            return Err(Fault::new(format!("a document may have {MAX_CALLS} fields at its root")));
        }
        Ok(Document { kind: operation.kind, fields })
    }
}

struct Operation<'a> {
    kind: &'static str,
    name: Option<&'a str>,
    variables: &'a [Declared],
    set: &'a Set,
}

impl<'a> Operation<'a> {
    fn new(operation: &'a OperationDefinition<'static, String>) -> Result<Operation<'a>, Fault> {
        let (kind, name, variables, directives, set) = match operation {
            OperationDefinition::SelectionSet(set) => ("Query", None, &[][..], &[][..], set),
            OperationDefinition::Query(q) => {
                ("Query", q.name.as_deref(), &q.variable_definitions[..], &q.directives[..], &q.selection_set)
            }
            OperationDefinition::Mutation(m) => {
                ("Mutation", m.name.as_deref(), &m.variable_definitions[..], &m.directives[..], &m.selection_set)
            }
            OperationDefinition::Subscription(s) => return Err(Fault::at(s.position, "there are no subscriptions")),
        };
        match directives.first() {
            Some(directive) => Err(unknown_directive(directive)),
            None => Ok(Operation { kind, name, variables, set }),
        }
    }
}

fn unknown_directive(directive: &Directive) -> Fault {
    Fault::at(directive.position, format!("unknown directive \"@{}\"", directive.name))
}

/// The values of the declared variables; none for a variable that is absent.
fn variables<'a>(
    declared: &'a [Declared],
    given: Option<&Map<String, Value>>,
) -> Result<HashMap<&'a str, Option<Value>>, Fault> {
    let mut values = HashMap::new();
    for variable in declared {
        let mut bytes = MAX_DOCUMENT;
        let value = match (given.and_then(|given| given.get(&variable.name)), &variable.default_value) {
            (Some(value), _) => Some(value.clone()),
            (None, Some(default)) => literal(default, &HashMap::new(), &mut bytes)
                .map_err(|message| Fault::at(variable.position, message))?,
            (None, None) => None,
        };
        let missing = value.as_ref().is_none_or(Value::is_null);
        if missing && matches!(variable.var_type, query::Type::NonNullType(_)) {
            let message =
                format!("the variable \"${}\" of the type \"{}\" has no value", variable.name, variable.var_type);
            return Err(Fault::at(variable.position, message));
        }
        if values.insert(&*variable.name, value).is_some() {
            return Err(Fault::at(variable.position, format!("there are two variables \"${}\"", variable.name)));
        }
    }
    Ok(values)
}

/// About the bytes of a value, at most `most + 1`.
fn weight(value: &Value, most: usize) -> usize {
    let mut sum = 16;
    let mut add = |value: &Value, more: usize| {
        sum += more;
        if sum <= most {
            sum += weight(value, most - sum);
        }
        sum <= most
    };
    match value {
        Value::Array(list) => _ = list.iter().all(|value| add(value, 0)),
        Value::Object(map) => _ = map.iter().all(|(key, value)| add(value, key.len())),
        Value::String(text) => sum += text.len(),
        _ => {}
    }
    sum.min(most.saturating_add(1))
}

/// Takes `n` from the bytes that arguments may still have.
fn pay(bytes: &mut usize, n: usize) -> Result<(), String> {
    *bytes = bytes.checked_sub(n).ok_or("the arguments are too large")?;
    Ok(())
}

/// The value of an argument; none if it is a variable that is absent. `bytes` is what arguments may still have.
fn literal(
    value: &Literal,
    variables: &HashMap<&str, Option<Value>>,
    bytes: &mut usize,
) -> Result<Option<Value>, String> {
    pay(bytes, 16)?;
    Ok(Some(match value {
        query::Value::Variable(name) => {
            let found = variables.get(&**name).ok_or_else(|| format!("the variable \"${name}\" is not declared"))?;
            let Some(found) = found else { return Ok(None) };
            pay(bytes, weight(found, *bytes))?;
            found.clone()
        }
        query::Value::Int(n) => json!(n.as_i64()),
        query::Value::Float(x) => Number::from_f64(*x).map(Value::Number).ok_or("a number that is too large")?,
        query::Value::String(text) => {
            pay(bytes, text.len())?;
            json!(text)
        }
        query::Value::Boolean(yes) => json!(yes),
        query::Value::Null => Value::Null,
        query::Value::Enum(name) => return Err(format!("the value \"{name}\" is of no known type")),
        query::Value::List(list) => {
            let values = list.iter().map(|value| Ok(literal(value, variables, bytes)?.unwrap_or_default()));
            Value::Array(values.collect::<Result<_, String>>()?)
        }
        query::Value::Object(map) => {
            let mut object = Map::new();
            for (key, value) in map {
                if let Some(value) = literal(value, variables, bytes)? {
                    object.insert(key.clone(), value);
                }
            }
            Value::Object(object)
        }
    }))
}

/// Reads the selection sets of an operation.
struct Reader<'a> {
    fragments: HashMap<&'a str, &'a Fragment>,
    variables: HashMap<&'a str, Option<Value>>,
    /// The fields and fragments that may still be selected.
    fields: usize,
    /// The bytes that arguments may still have.
    bytes: usize,
}

/// A field with the selection sets of all its places in a document.
struct Found<'a> {
    field: Field,
    sets: Vec<&'a Set>,
}

impl<'a> Reader<'a> {
    /// The fields that some selection sets select of a type. No type contains itself, so this ends.
    fn fields(&mut self, kind: &'static str, sets: &[&'a Set]) -> Result<Vec<Field>, Fault> {
        let mut found = Vec::new();
        for set in sets {
            self.collect(kind, set, &mut Vec::new(), &mut found)?;
        }
        let mut fields = Vec::with_capacity(found.len());
        for Found { mut field, sets } in found {
            let sets: Vec<_> = sets.into_iter().filter(|set| !set.items.is_empty()).collect();
            match (field.entry.kind, sets.is_empty()) {
                (Some(kind), false) => field.fields = self.fields(kind, &sets)?,
                (None, true) => {}
                (Some(kind), true) => {
                    let message = format!("the field \"{}\" of the type \"{kind}\" needs fields", field.entry.name);
                    return Err(Fault::at(field.place, message));
                }
                (None, false) => {
                    return Err(Fault::at(field.place, format!("the field \"{}\" has no fields", field.entry.name)));
                }
            }
            fields.push(field);
        }
        Ok(fields)
    }

    /// Adds the fields of a selection set. `open`: the fragments that are being read.
    fn collect(
        &mut self,
        kind: &'static str,
        set: &'a Set,
        open: &mut Vec<&'a str>,
        to: &mut Vec<Found<'a>>,
    ) -> Result<(), Fault> {
        for selection in &set.items {
            self.fields = self
                .fields
                .checked_sub(1)
                .ok_or_else(|| Fault::new(format!("a document may select {MAX_FIELDS} fields")))?;
            let (directives, place) = match selection {
                Selection::Field(field) => (&field.directives, field.position),
                Selection::FragmentSpread(spread) => (&spread.directives, spread.position),
                Selection::InlineFragment(inline) => (&inline.directives, inline.position),
            };
            if !self.is_included(directives)? {
                continue;
            }
            match selection {
                Selection::Field(field) => self.add(kind, field, to)?,
                Selection::InlineFragment(inline) => {
                    check_condition(inline.type_condition.as_ref(), kind, place)?;
                    self.collect(kind, &inline.selection_set, open, to)?;
                }
                Selection::FragmentSpread(spread) => {
                    let name = &*spread.fragment_name;
                    if open.contains(&name) {
                        return Err(Fault::at(place, format!("the fragment \"{name}\" contains itself")));
                    }
                    let unknown = || Fault::at(place, format!("there is no fragment \"{name}\""));
                    let fragment = *self.fragments.get(name).ok_or_else(unknown)?;
                    if let Some(directive) = fragment.directives.first() {
                        return Err(unknown_directive(directive));
                    }
                    check_condition(Some(&fragment.type_condition), kind, place)?;
                    open.push(name);
                    self.collect(kind, &fragment.selection_set, open, to)?;
                    open.pop();
                }
            }
        }
        Ok(())
    }

    fn is_included(&mut self, directives: &[Directive]) -> Result<bool, Fault> {
        let mut included = true;
        for directive in directives {
            let (at, name) = (directive.position, &*directive.name);
            if name != "include" && name != "skip" {
                return Err(unknown_directive(directive));
            }
            let value = match &directive.arguments[..] {
                [(argument, value)] if argument == "if" => {
                    literal(value, &self.variables, &mut self.bytes).map_err(|e| Fault::at(at, e))?
                }
                _ => None,
            };
            let Some(Value::Bool(value)) = value else {
                return Err(Fault::at(at, format!("\"@{name}\" needs \"if\" with true or false")));
            };
            included &= value == (name == "include");
        }
        Ok(included)
    }

    /// Adds a field, or the fields of its value if it is there already.
    fn add(
        &mut self,
        kind: &'static str,
        asked: &'a query::Field<'static, String>,
        to: &mut Vec<Found<'a>>,
    ) -> Result<(), Fault> {
        let fault = |message: String| Fault::at(asked.position, message);
        let unknown = || fault(format!("the type \"{kind}\" has no field \"{}\"", asked.name));
        let entry = schema::field(kind, &asked.name).ok_or_else(unknown)?;
        let mut arguments = Map::new();
        for (name, value) in &asked.arguments {
            if !entry.arguments.contains(&&**name) {
                return Err(fault(format!("the field \"{}\" has no argument \"{name}\"", asked.name)));
            }
            if let Some(value) = literal(value, &self.variables, &mut self.bytes).map_err(fault)?
                && arguments.insert(name.clone(), value).is_some()
            {
                return Err(fault(format!("there are two arguments \"{name}\"")));
            }
        }
        let key = asked.alias.as_ref().unwrap_or(&asked.name);
        if let Some(found) = to.iter_mut().find(|found| found.field.key == *key) {
            if found.field.entry != entry || found.field.arguments != arguments {
                return Err(fault(format!("the fields \"{key}\" differ")));
            }
            found.sets.push(&asked.selection_set);
            return Ok(());
        }
        let field = Field { key: key.clone(), entry, arguments, fields: Vec::new(), place: asked.position };
        to.push(Found { field, sets: vec![&asked.selection_set] });
        Ok(())
    }
}

fn check_condition(condition: Option<&Condition>, kind: &str, place: Pos) -> Result<(), Fault> {
    match condition {
        Some(TypeCondition::On(name)) if !schema::applies(name, kind) => {
            Err(Fault::at(place, format!("a fragment on \"{name}\" where the type is \"{kind}\"")))
        }
        _ => Ok(()),
    }
}

/// What some fields select of a value of a type.
#[must_use]
pub fn select(value: &Value, kind: &str, fields: &[Field]) -> Value {
    match value {
        Value::Array(list) => list.iter().map(|value| select(value, kind, fields)).collect(),
        Value::Object(map) => {
            let of = |field: &Field| match (field.entry.name, field.entry.kind) {
                ("__typename", _) => json!(kind),
                (name, Some(kind)) => map.get(name).map(|v| select(v, kind, &field.fields)).unwrap_or_default(),
                (name, None) => map.get(name).cloned().unwrap_or_default(),
            };
            Value::Object(fields.iter().map(|field| (field.key.clone(), of(field))).collect())
        }
        other => other.clone(),
    }
}
