//! PyTorch's files: a zip of raw storages, and a pickle that states the position of each tensor.

use super::pickle::{Id, Machine, Node, Result};
use super::stored::Stored;
use super::wrappers;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::ops::Range;
use std::rc::Rc;

/// The largest number of bytes of a pickle that is read. The pickles of Meta's checkpoints have 60,000 bytes, and those
/// of trainers have a few times that.
const MAX_PICKLE: usize = 8 << 20;
/// The number of last bytes that contain the end record of a zip file.
const END: usize = (1 << 16) + 22;
/// The largest number of characters of a name that an error shows.
const SHOWN: usize = 100;

/// Returns the tensors of the model in a file, under the names of the file.
pub fn read(file: &str, bytes: &[u8], index: usize) -> Result<BTreeMap<String, Stored>> {
    let files = list(bytes)?;
    let pickle = files.iter().find(|(name, _)| name.rsplit('/').next() == Some("data.pkl"));
    let Some((name, range)) = pickle else { return Err("a zip file without data.pkl".into()) };
    let folder = &name[..name.len() - "data.pkl".len()];
    if range.len() > MAX_PICKLE {
        return Err(format!("data.pkl has {} bytes, at most {MAX_PICKLE} are read", range.len()));
    }
    if let Some(order) = files.get(&format!("{folder}byteorder"))
        && &bytes[order.clone()] != b"little"
    {
        return Err("the tensors are not little-endian".into());
    }
    let (machine, root) = Machine::load(&bytes[range.clone()])?;
    let mut out = BTreeMap::new();
    for (name, value) in machine.items_of(state_dict(file, &machine, root)?) {
        let (kind, storage, tensor) = match &machine.nodes[value] {
            Node::Tensor(tensor) => {
                let kind = tensor.kind.as_ref().map(|kind| *kind).map_err(|class| shown(class));
                let storage = files.get(&format!("{folder}data/{}", tensor.storage));
                let missing = || format!("tensor {}: storage {} is missing", shown(name), shown(&tensor.storage));
                (kind, storage.cloned().ok_or_else(missing)?, Some(tensor))
            }
            Node::Opaque(class) => (Err(format!("of the class {}", shown(class))), 0..0, None),
            _ => continue,
        };
        let (offset, shape, strides) =
            tensor.map_or_else(Default::default, |t| (t.offset, t.shape.clone(), t.strides.clone()));
        out.insert(name.to_string(), Stored { kind, shape, strides, offset, file: index, storage });
    }
    Ok(out)
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// Returns the dict that holds the model's tensors, at any depth. Of several such dicts, one is chosen by the keys that
/// lead to it. If no dict holds a model, the first dict with tensors is returned.
fn state_dict(file: &str, machine: &Machine<'_>, root: Id) -> Result<Id> {
    // Dicts in the order of their depth, each with the place in this list of the one it is in and its key there.
    let mut dicts: Vec<(Id, Option<(usize, Rc<str>)>)> = vec![(root, None)];
    let mut is_listed = vec![false; machine.nodes.len()];
    is_listed[root] = true;
    let (mut models, mut with_tensors) = (Vec::new(), None);
    let mut at = 0;
    while let Some(&(dict, _)) = dicts.get(at) {
        let mut is_model = false;
        for (key, value) in machine.items_of(dict) {
            match &machine.nodes[value] {
                Node::Tensor(_) => {
                    with_tensors = with_tensors.or(Some(dict));
                    is_model |= wrappers::prefix(key).is_some();
                }
                Node::Dict(_) if !std::mem::replace(&mut is_listed[value], true) => {
                    dicts.push((value, Some((at, key.clone()))));
                }
                _ => {}
            }
        }
        if is_model {
            models.push(at);
        }
        at += 1;
    }
    if models.is_empty() {
        return with_tensors.ok_or_else(|| match &machine.nodes[root] {
            Node::Opaque(class) => {
                let class = shown(class);
                format!(
                    "an object of the class {class}. Save the model's state_dict() with torch.save, or as safetensors"
                )
            }
            _ => "data.pkl holds no state dict".into(),
        });
    }
    let place = |&model: &usize| {
        let parents = std::iter::successors(Some(model), |&at| dicts[at].1.as_ref().map(|(parent, _)| *parent));
        let mut keys: Vec<String> =
            parents.filter_map(|at| dicts[at].1.as_ref()).take(8).map(|(_, key)| shown(key)).collect();
        keys.reverse();
        if keys.is_empty() { "the file's own dict".into() } else { keys.join(".") }
    };
    models.truncate(16);
    let places: Vec<String> = models.iter().map(place).collect();
    Ok(dicts[models[wrappers::choose(file, &places)]].0)
}

/// Returns every file of the zip, and the position of its bytes.
fn list(file: &[u8]) -> Result<BTreeMap<String, Range<usize>>> {
    let damaged = |e: zip::result::ZipError| match file[file.len().saturating_sub(END)..]
        .windows(4)
        .any(|w| w == b"PK\x05\x06")
    {
        true => format!("a damaged zip file: {e}"),
        false => format!("cut short: {} bytes of a .pt file without its end. Download or copy it again", file.len()),
    };
    let mut zip = zip::ZipArchive::new(Cursor::new(file)).map_err(damaged)?;
    let is = |name: &str, what: &str| name == what || name.ends_with(&format!("/{what}"));
    if !zip.file_names().flatten().any(|name| is(&name, "data.pkl")) {
        let names: Vec<String> = zip.file_names().flatten().take(3).map(|name| shown(&name)).collect();
        return Err(format!("a zip archive of other files ({}), not a .pt file. Unpack it first", names.join(", ")));
    }
    if zip.file_names().flatten().any(|name| is(&name, "constants.pkl")) {
        let what = "a TorchScript archive, which holds compiled code";
        return Err(format!("{what}. Save the model's state_dict() with torch.save, or as safetensors"));
    }
    let mut files = BTreeMap::new();
    for i in 0..zip.len() {
        let entry = zip.by_index_raw(i).map_err(damaged)?;
        let name = entry.name().map_err(damaged)?.into_owned();
        let (Some(start), size) = (entry.data_start(), entry.size()) else {
            return Err(format!("{name}: no place in the file"));
        };
        if entry.compression() != zip::CompressionMethod::Stored || entry.compressed_size() != size || entry.encrypted()
        {
            return Err(format!("{name} is compressed; PyTorch stores files as they are"));
        }
        let end = start.checked_add(size).filter(|&end| end <= file.len() as u64);
        let Some(end) = end else { return Err(format!("{name} reaches past the end of the file")) };
        files.insert(name, start as usize..end as usize);
    }
    Ok(files)
}
