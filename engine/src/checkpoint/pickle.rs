//! The pickle of a PyTorch file, which states the position of each tensor.
//!
//! An interpreter runs the pickle. The interpreter can only build containers, strings, numbers and tensors. A class
//! outside the list below becomes an opaque value, and no code of the file runs. All values are in one vector and refer
//! to each other by index, so that depth and cycles take no extra memory.

use super::stored::Kind;
use std::collections::HashMap;
use std::rc::Rc;

/// The longest name of a class.
const MAX_NAME: usize = 1000;
/// The largest number of values that a pickle may create.
const MAX_VALUES: usize = 1 << 20;
/// The largest number of bytes of class names that are joined from texts. A file may recall a text any number of times.
const MAX_CLASS_NAMES: usize = 1 << 22;

pub type Result<T> = std::result::Result<T, String>;
pub type Id = usize;

/// A tensor as the pickle describes it.
#[derive(Clone)]
pub struct PickledTensor {
    /// The name of its storage.
    pub storage: Rc<str>,
    /// The element type, or else the class of the storage.
    pub kind: std::result::Result<Kind, Rc<str>>,
    /// The index of the first element in the storage.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// The distances between elements along each dimension, in elements.
    pub strides: Vec<usize>,
}

/// A value of the interpreter.
pub enum Node {
    None,
    Bool,
    Int(i64),
    Float,
    /// A text. Its memory is shared, so that recalling a long text a million times takes no extra memory.
    Text(Rc<str>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A class that the pickle refers to: module and name.
    Global(Rc<str>),
    Storage(Rc<str>, std::result::Result<Kind, Rc<str>>),
    Tensor(Box<PickledTensor>),
    /// An object of a class outside the list.
    Opaque(Rc<str>),
}

pub struct Machine<'a> {
    code: &'a [u8],
    at: usize,
    /// All values.
    pub nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// The number of bytes of class names that were joined so far.
    class_names: usize,
}

impl<'a> Machine<'a> {
    /// Runs a pickle. Returns the interpreter, and the value that the pickle creates.
    pub fn load(code: &'a [u8]) -> Result<(Self, Id)> {
        let (nodes, stack, marks, memo) = (Vec::new(), Vec::new(), Vec::new(), HashMap::new());
        let mut machine = Machine { code, at: 0, nodes, stack, marks, memo, class_names: 0 };
        let root = machine.run().map_err(|e| format!("data.pkl at byte {}: {e}", machine.at))?;
        Ok((machine, root))
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.code.len()).ok_or("the pickle ends early")?;
        let bytes = &self.code[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn number(&mut self, n: usize) -> Result<u64> {
        Ok(self.take(n)?.iter().rev().fold(0, |x, &b| x << 8 | b as u64))
    }

    fn line(&mut self) -> Result<String> {
        let rest = &self.code[self.at..];
        let n = rest.iter().position(|&b| b == b'\n').ok_or("the pickle ends early")?;
        let text = text(&rest[..n])?;
        self.at += n + 1;
        Ok(text)
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn pop(&mut self) -> Result<Id> {
        // A value below the last mark belongs to whoever set it.
        if self.stack.len() <= self.marks.last().copied().unwrap_or(0) {
            return Err("takes a value that is not there".into());
        }
        self.stack.pop().ok_or_else(|| "takes a value that is not there".into())
    }

    fn top(&self) -> Result<Id> {
        self.stack.last().copied().ok_or_else(|| "takes a value that is not there".into())
    }

    /// Returns the values since the last mark.
    fn since_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or("takes a mark that is not there")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn items(&mut self, n: usize) -> Result<Vec<Id>> {
        let mut ids = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        ids.reverse();
        Ok(ids)
    }

    fn memoize(&mut self, key: u64) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(key as u32, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<()> {
        let id = self.memo.get(&(key as u32)).ok_or("recalls a value that was not kept")?;
        self.stack.push(*id);
        Ok(())
    }

    fn run(&mut self) -> Result<Id> {
        loop {
            if self.nodes.len().max(self.stack.len()) > MAX_VALUES {
                return Err(format!("more than {MAX_VALUES} values"));
            }
            match self.take(1)?[0] {
                b'.' => return self.pop(),
                op => self.execute(op)?,
            }
        }
    }

    /// Executes an operation on the stack or the memo.
    fn execute(&mut self, op: u8) -> Result<()> {
        match op {
            0x80 => drop(self.take(1)?), // PROTO
            0x95 => drop(self.take(8)?), // FRAME
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'q' => {
                let key = self.number(1)?;
                self.memoize(key)?;
            }
            b'r' => {
                let key = self.number(4)?;
                self.memoize(key)?;
            }
            0x94 => self.memoize(self.memo.len() as u64)?,
            b'h' => {
                let key = self.number(1)?;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.number(4)?;
                self.recall(key)?;
            }
            b'b' => drop(self.pop()?), // BUILD: attributes mean nothing here
            _ => return self.value(op),
        }
        Ok(())
    }

    /// Executes an operation that creates a number, a text or bytes.
    fn value(&mut self, op: u8) -> Result<()> {
        match op {
            b'N' => self.push(Node::None),
            0x88 | 0x89 => self.push(Node::Bool),
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            b'J' => {
                let n = self.number(4)? as u32 as i32;
                self.push(Node::Int(n as i64));
            }
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'G' => {
                self.take(8)?;
                self.push(Node::Float);
            }
            b'X' => self.text(4)?,
            0x8c | b'U' => self.text(1)?,
            0x8d => self.text(8)?,
            b'T' => self.text(4)?,
            b'B' => self.opaque_bytes(4)?,
            b'C' => self.opaque_bytes(1)?,
            0x8e | 0x96 => self.opaque_bytes(8)?,
            _ => return self.collection(op),
        }
        Ok(())
    }

    /// Executes an operation that creates or fills a list, a tuple or a dictionary.
    fn collection(&mut self, op: u8) -> Result<()> {
        match op {
            b']' => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            0x8f => self.push(Node::List(Vec::new())), // EMPTY_SET
            b'l' | 0x91 => {
                let ids = self.since_mark()?;
                self.push(Node::List(ids));
            }
            b't' => {
                let ids = self.since_mark()?;
                self.push(Node::Tuple(ids));
            }
            0x85..=0x87 => {
                let ids = self.items(op as usize - 0x84)?;
                self.push(Node::Tuple(ids));
            }
            b'd' => {
                let ids = self.since_mark()?;
                self.push(Node::Dict(Vec::new()));
                self.set_items(ids)?;
            }
            b'a' => {
                let id = self.pop()?;
                self.append(vec![id])?;
            }
            b'e' | 0x90 => {
                let ids = self.since_mark()?;
                self.append(ids)?;
            }
            b's' => {
                let ids = self.items(2)?;
                self.set_items(ids)?;
            }
            b'u' => {
                let ids = self.since_mark()?;
                self.set_items(ids)?;
            }
            _ => return self.object(op),
        }
        Ok(())
    }

    /// Executes an operation that creates a class, a storage or an object. Every other operation is an error.
    fn object(&mut self, op: u8) -> Result<()> {
        match op {
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.push(Node::Global(name.into()));
            }
            0x93 => self.class()?,
            b'Q' => {
                let id = self.pop()?;
                let storage = self.storage(id)?;
                self.push(storage);
            }
            b'R' | 0x81 => {
                let ids = self.items(2)?;
                let made = self.call(ids[0], ids[1])?;
                self.push(made);
            }
            0x92 => {
                let ids = self.items(3)?; // class, arguments, named arguments
                let made = self.call(ids[0], ids[1])?;
                self.push(made);
            }
            _ => return Err(format!("operation {op:#04x} is not allowed")),
        }
        Ok(())
    }

    /// Creates a class from two texts: its module and its name.
    fn class(&mut self) -> Result<()> {
        let ids = self.items(2)?;
        let [Node::Text(module), Node::Text(class)] = [&self.nodes[ids[0]], &self.nodes[ids[1]]] else {
            return Err("a class name that is no text".into());
        };
        if module.len() + class.len() > MAX_NAME {
            return Err("a class name without end".into());
        }
        let name = format!("{module}.{class}");
        self.class_names += name.len();
        if self.class_names > MAX_CLASS_NAMES {
            return Err(format!("more than {MAX_CLASS_NAMES} bytes of class names"));
        }
        self.push(Node::Global(name.into()));
        Ok(())
    }

    fn int(&mut self, n: usize) -> Result<()> {
        let n = self.number(n)?;
        self.push(Node::Int(n as i64));
        Ok(())
    }

    fn long(&mut self, length: usize) -> Result<()> {
        let n = self.number(length)? as usize;
        let bytes = self.take(n)?;
        self.push(Node::Int(long(bytes)));
        Ok(())
    }

    fn text(&mut self, length: usize) -> Result<()> {
        let n = self.number(length)?;
        let bytes = self.take(usize::try_from(n).map_err(|_| "the pickle ends early")?)?;
        self.push(Node::Text(text(bytes)?.into()));
        Ok(())
    }

    fn opaque_bytes(&mut self, length: usize) -> Result<()> {
        let n = self.number(length)? as usize;
        self.take(n)?;
        self.push(Node::Opaque("bytes".into()));
        Ok(())
    }

    fn append(&mut self, ids: Vec<Id>) -> Result<()> {
        let top = self.top()?;
        match &mut self.nodes[top] {
            Node::List(list) => list.extend(ids),
            Node::Opaque(_) => {}
            _ => return Err("appends to what is no list".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, ids: Vec<Id>) -> Result<()> {
        let top = self.top()?;
        let items = ids.chunks_exact(2).map(|kv| (kv[0], kv[1]));
        match &mut self.nodes[top] {
            Node::Dict(dict) if ids.len().is_multiple_of(2) => dict.extend(items),
            // A class that has items, such as a defaultdict, is as good as a dict.
            opaque @ Node::Opaque(_) => *opaque = Node::Dict(items.collect()),
            _ => return Err("sets items of what is no dict".into()),
        }
        Ok(())
    }

    /// Reads a storage: ('storage', class, key, location, length).
    fn storage(&self, id: Id) -> Result<Node> {
        let Node::Tuple(ids) = &self.nodes[id] else { return Err("a persistent id that is no tuple".into()) };
        let nodes: Vec<&Node> = ids.iter().map(|&i| &self.nodes[i]).collect();
        let [Node::Text(kind), Node::Global(class), Node::Text(key), ..] = nodes[..] else {
            return Err("a persistent id that names no storage".into());
        };
        if **kind != *"storage" {
            return Err(format!("a persistent id of the kind {kind:.40?}"));
        }
        let kind = match &**class {
            "torch.DoubleStorage" => Ok(Kind::F64),
            "torch.FloatStorage" => Ok(Kind::F32),
            "torch.HalfStorage" => Ok(Kind::F16),
            "torch.BFloat16Storage" => Ok(Kind::Bf16),
            _ => Err(class.clone()),
        };
        Ok(Node::Storage(key.clone(), kind))
    }

    /// Returns the result of calling `function` with the tuple `args`.
    fn call(&self, function: Id, args: Id) -> Result<Node> {
        let name: &Rc<str> = match &self.nodes[function] {
            Node::Global(name) => name,
            Node::Opaque(name) => return Ok(Node::Opaque(name.clone())),
            _ => return Err("calls what is no class".into()),
        };
        let Node::Tuple(args) = &self.nodes[args] else { return Err("a call without a tuple of arguments".into()) };
        match &**name {
            "collections.OrderedDict" => Ok(Node::Dict(Vec::new())),
            "torch._utils._rebuild_tensor_v2" => self.tensor(args).map(|t| Node::Tensor(Box::new(t))),
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                match args.first().map(|&id| &self.nodes[id]) {
                    Some(Node::Tensor(tensor)) => Ok(Node::Tensor(tensor.clone())),
                    _ => Err("a parameter without a tensor".into()),
                }
            }
            _ => Ok(Node::Opaque(name.clone())),
        }
    }

    /// Reads a tensor: (storage, offset, shape, strides, ...).
    fn tensor(&self, args: &[Id]) -> Result<PickledTensor> {
        let nodes: Vec<&Node> = args.iter().take(4).map(|&i| &self.nodes[i]).collect();
        let [Node::Storage(storage, kind), Node::Int(offset), Node::Tuple(shape), Node::Tuple(strides)] = nodes[..]
        else {
            return Err("a tensor without storage, offset, shape and strides".into());
        };
        let sizes = |ids: &[Id]| -> Result<Vec<usize>> {
            let size = |&id: &Id| match self.nodes[id] {
                Node::Int(n) => usize::try_from(n).map_err(|_| format!("a size of {n}")),
                _ => Err("a size that is no number".into()),
            };
            if ids.len() > 8 { Err(format!("{} dimensions", ids.len())) } else { ids.iter().map(size).collect() }
        };
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        let offset = usize::try_from(*offset).map_err(|_| format!("an offset of {offset}"))?;
        Ok(PickledTensor { storage: storage.clone(), kind: kind.clone(), offset, shape, strides })
    }

    /// Returns the values of a dict whose keys are texts, with the keys. Returns nothing if `id` is not a dict.
    pub fn items_of(&self, id: Id) -> impl Iterator<Item = (&Rc<str>, Id)> {
        let items = match &self.nodes[id] {
            Node::Dict(items) => &items[..],
            _ => &[],
        };
        items.iter().filter_map(|&(key, value)| match &self.nodes[key] {
            Node::Text(text) => Some((text, value)),
            _ => None,
        })
    }
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a text that is not UTF-8".into())
}

/// Reads a little-endian two's complement number. Numbers beyond 64 bits are not used.
fn long(bytes: &[u8]) -> i64 {
    let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().take(8).enumerate().fold(sign, |x, (i, &b)| x & !(0xff << (8 * i)) | (b as i64) << (8 * i))
}
