//! A reader of YAML mappings. Every key must be read.

use crate::error::{Error, Result};
use serde_yaml::{Mapping, Value};
use std::cell::RefCell;

/// The largest number of bytes of a configuration. The official ones have 4,000 bytes.
const MAX_BYTES: usize = 1 << 20;
/// The deepest nesting of `[` or `{` that is passed to the parser. The official configurations have a depth of 1.
const MAX_DEPTH: usize = 64;

/// Parses a document whose root is a mapping.
pub fn parse(yaml: &str) -> Result<Value> {
    if yaml.len() > MAX_BYTES {
        return Err(Error::config("file", format!("{} bytes long, at most {MAX_BYTES} are read", yaml.len())));
    }
    // The parser is quadratic in depth; this bounds what brackets can cost it. Indentation costs characters anyway.
    let mut depth = 0usize;
    for byte in yaml.bytes() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(Error::config("file", format!("nested deeper than {MAX_DEPTH} levels")));
        }
    }
    let value: Value = serde_yaml::from_str(yaml).map_err(|e| Error::config("file", format!("not valid YAML: {e}")))?;
    if !value.is_mapping() {
        return Err(Error::config("file", "expected a mapping with the key model"));
    }
    Ok(value)
}

/// Applies one setting `key=value`.
pub fn set(tree: &mut Value, setting: &str) -> Result<()> {
    let Some((key, value)) = setting.split_once('=') else {
        return Err(Error::config(setting, "an override is written key=value, as model.image_size=512"));
    };
    let key = key.trim().trim_start_matches('+');
    if value.len() > 4096 || key.split('.').count() > 16 {
        return Err(Error::config(key, "override too long"));
    }
    let value: Value = serde_yaml::from_str(value).map_err(|e| Error::config(key, format!("value {value}: {e}")))?;
    put(tree, key, value)
}

/// Sets one key with dots between its levels.
pub fn put(tree: &mut Value, key: &str, value: Value) -> Result<()> {
    let mut at = tree;
    for part in key.split('.') {
        if part.is_empty() {
            return Err(Error::config(key, "a key is names joined by dots, as model.image_size"));
        }
        if at.is_null() {
            *at = Value::Mapping(Mapping::new());
        }
        let Some(map) = at.as_mapping_mut() else {
            return Err(Error::config(key, format!("{part} would be a key of something that has none")));
        };
        at = map.entry(Value::from(part)).or_insert(Value::Null);
    }
    *at = value;
    Ok(())
}

/// A mapping, and the keys that were read.
pub struct Node<'a> {
    path: String,
    map: &'a Mapping,
    seen: RefCell<Vec<&'a str>>,
}

impl<'a> Node<'a> {
    pub fn root(value: &'a Value) -> Result<Node<'a>> {
        Node::of(String::new(), value)
    }

    fn of(path: String, value: &'a Value) -> Result<Node<'a>> {
        match value.as_mapping() {
            Some(map) => Ok(Node { path, map, seen: RefCell::new(Vec::new()) }),
            None => Err(Error::config(path, "expected a mapping of keys to values")),
        }
    }

    fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    pub fn error(&self, key: &str, what: impl Into<String>) -> Error {
        Error::config(self.path(key), what)
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        let (name, value) = self.map.iter().find(|(k, _)| k.as_str() == Some(key))?;
        self.seen.borrow_mut().extend(name.as_str());
        Some(value)
    }

    /// Fails on a key that was not read and that is not in `ignored`.
    pub fn finish(&self, ignored: &[&str]) -> Result<()> {
        let seen = self.seen.borrow();
        for key in self.map.keys() {
            match key.as_str() {
                Some(key) if seen.contains(&key) || ignored.contains(&key) => {}
                Some(key) => return Err(self.error(key, "not an option of this engine")),
                None => return Err(self.error("?", "keys must be strings")),
            }
        }
        Ok(())
    }

    pub fn child(&self, key: &str) -> Result<Node<'a>> {
        self.optional_child(key)?.ok_or_else(|| self.error(key, "missing"))
    }

    pub fn optional_child(&self, key: &str) -> Result<Option<Node<'a>>> {
        self.get(key).filter(|v| !v.is_null()).map(|v| Node::of(self.path(key), v)).transpose()
    }

    fn to_int(&self, key: &str, value: &Value) -> Result<usize> {
        let int = value.as_u64().filter(|&n| n <= u32::MAX as u64);
        int.map(|n| n as usize).ok_or_else(|| self.error(key, format!("expected a whole number, got {}", show(value))))
    }

    pub fn int(&self, key: &str) -> Result<usize> {
        self.to_int(key, self.get(key).ok_or_else(|| self.error(key, "missing"))?)
    }

    pub fn int_or(&self, key: &str, default: usize) -> Result<usize> {
        self.get(key).map_or(Ok(default), |v| self.to_int(key, v))
    }

    /// Reads a count. -1 means no limit, which is the default.
    pub fn limit_or_none(&self, key: &str) -> Result<Option<usize>> {
        match self.get(key) {
            None => Ok(None),
            Some(v) if v.as_i64() == Some(-1) => Ok(None),
            Some(v) => self.to_int(key, v).map(Some),
        }
    }

    pub fn float_or(&self, key: &str, default: f32) -> Result<f32> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let float = value.as_f64().map(|v| v as f32).filter(|v| v.is_finite());
        float.ok_or_else(|| self.error(key, format!("expected a number, got {}", show(value))))
    }

    pub fn bool_or(&self, key: &str, default: bool) -> Result<bool> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_bool().ok_or_else(|| self.error(key, format!("expected true or false, got {}", show(value))))
    }

    /// Reads an option that every published model sets to true. The default is false.
    pub fn required_true(&self, key: &str) -> Result<()> {
        if self.bool_or(key, false)? { Ok(()) } else { Err(self.error(key, "only true is implemented")) }
    }

    pub fn string_or(&self, key: &str, default: &'a str) -> Result<&'a str> {
        let Some(value) = self.get(key) else { return Ok(default) };
        value.as_str().ok_or_else(|| self.error(key, format!("expected a string, got {}", show(value))))
    }

    pub fn list_or(&self, key: &str, default: &[usize]) -> Result<Vec<usize>> {
        let Some(value) = self.get(key).filter(|value| !value.is_null()) else { return Ok(default.to_vec()) };
        let list = value.as_sequence().filter(|list| list.len() <= 1024);
        let list = list.ok_or_else(|| self.error(key, format!("expected a list of numbers, got {}", show(value))))?;
        list.iter().map(|v| self.to_int(key, v)).collect()
    }

    pub fn ints_or<const N: usize>(&self, key: &str, default: [usize; N]) -> Result<[usize; N]> {
        let list = self.list_or(key, &default)?;
        <[usize; N]>::try_from(list).map_err(|l| self.error(key, format!("expected {N} numbers, got {}", l.len())))
    }

    /// Reads an option with a single value that is implemented. The value is also the default.
    pub fn only(&self, key: &str, value: impl Into<Only>) -> Result<()> {
        let (value, got) = (value.into().0, self.get(key));
        match got {
            None => Ok(()),
            Some(got) if *got == value => Ok(()),
            Some(got) if got.as_f64().is_some() && got.as_f64() == value.as_f64() => Ok(()),
            Some(got) => Err(self.error(key, format!("only {} is implemented, got {}", show(&value), show(got)))),
        }
    }

    /// Reads an option as [`Node::only`] does, if the default is another value.
    pub fn required(&self, key: &str, value: usize) -> Result<()> {
        if self.int(key)? == value { Ok(()) } else { self.only(key, value) }
    }

    /// Reads a list as [`Node::only`] does.
    pub fn only_list(&self, key: &str, value: &[usize]) -> Result<()> {
        let got = self.list_or(key, value)?;
        if got == value { Ok(()) } else { Err(self.error(key, format!("only {value:?} is implemented, got {got:?}"))) }
    }
}

/// The value for [`Node::only`].
pub struct Only(Value);

impl From<()> for Only {
    fn from(_: ()) -> Self {
        Only(Value::Null)
    }
}

impl From<bool> for Only {
    fn from(value: bool) -> Self {
        Only(Value::Bool(value))
    }
}

impl From<usize> for Only {
    fn from(value: usize) -> Self {
        Only(Value::from(value as u64))
    }
}

impl From<i32> for Only {
    fn from(value: i32) -> Self {
        Only(Value::from(value as u64))
    }
}

/// Returns a short form of a value for messages.
pub fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => format!("{:?}", s.chars().take(40).collect::<String>()),
        Value::Sequence(s) => format!("a list of {}", s.len()),
        Value::Mapping(_) => "a mapping".into(),
        Value::Tagged(_) => "a tagged value".into(),
    }
}
