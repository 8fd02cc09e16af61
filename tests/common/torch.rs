//! Files in the form of torch.save.
#![allow(dead_code)] // each test uses a part of it

use std::io::Write;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A value of a pickle.
#[derive(Clone)]
pub enum Value {
    None,
    Int(i32),
    Text(&'static str),
    List(Vec<Value>),
    Dict(Vec<(String, Value)>),
    /// An object of a class that is a dict.
    Mapping(&'static str, Vec<(String, Value)>),
    /// An object of a class, such as an optimizer's or a data class, with a dict of attributes.
    Object(&'static str, Vec<(String, Value)>),
    Tensor(View),
}

/// A tensor that is a view of a storage.
#[derive(Clone)]
pub struct View {
    /// Its index in the file.
    pub storage: usize,
    /// Such as `FloatStorage`.
    pub class: &'static str,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

/// Row by row.
pub fn strides(shape: &[usize]) -> Vec<usize> {
    (0..shape.len()).map(|i| shape[i + 1..].iter().product()).collect()
}

/// A dict of some keys.
pub fn dict<K: Into<String>>(items: impl IntoIterator<Item = (K, Value)>) -> Value {
    Value::Dict(items.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// A file of a root value and storages.
pub fn pt_file(root: &Value, storages: &[Vec<u8>]) -> Vec<u8> {
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let mut add = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("archive/{name}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    };
    let mut pickle = b"\x80\x02".to_vec();
    put(root, &mut pickle);
    pickle.push(b'.');
    add("data.pkl", &pickle);
    add("byteorder", b"little");
    storages.iter().enumerate().for_each(|(i, bytes)| add(&format!("data/{i}"), bytes));
    add("version", b"3\n");
    zip.finish().unwrap().into_inner()
}

fn put(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::None => out.push(b'N'),
        Value::Int(n) => {
            out.push(b'J');
            out.extend(n.to_le_bytes());
        }
        Value::Text(text) => put_text(text, out),
        Value::List(values) => {
            out.extend(b"](");
            values.iter().for_each(|value| put(value, out));
            out.push(b'e');
        }
        Value::Dict(items) => {
            out.extend(b"ccollections\nOrderedDict\n)R(");
            put_items(items, out);
        }
        Value::Mapping(class, items) => {
            let (module, class) = class.rsplit_once('.').unwrap();
            out.extend(format!("c{module}\n{class}\n)R(").bytes());
            put_items(items, out);
        }
        Value::Object(class, attributes) => {
            let (module, class) = class.rsplit_once('.').unwrap();
            out.extend(format!("c{module}\n{class}\n)\u{81}}}(").chars().map(|c| c as u8));
            put_items(attributes, out);
            out.push(b'b');
        }
        Value::Tensor(view) => {
            out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            put_text("storage", out);
            out.extend(format!("ctorch\n{}\n", view.class).bytes());
            put_text(&view.storage.to_string(), out);
            put_text("cpu", out);
            put(&Value::Int(0), out);
            out.extend(b"tQ");
            put(&Value::Int(view.offset as i32), out);
            for sizes in [&view.shape, &view.strides] {
                out.push(b'(');
                sizes.iter().for_each(|&n| put(&Value::Int(n as i32), out));
                out.push(b't');
            }
            out.extend(b"\x89ccollections\nOrderedDict\n)RtR");
        }
    }
}

fn put_items(items: &[(String, Value)], out: &mut Vec<u8>) {
    for (key, value) in items {
        put_text(key, out);
        put(value, out);
    }
    out.push(b'u');
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}
