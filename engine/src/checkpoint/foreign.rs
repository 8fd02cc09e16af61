//! Recognizes files that are not checkpoints.

use super::safetensors;

/// Returns the kind of a file that is not a checkpoint, and what to do, from the first bytes of the file. Returns
/// `None` if the file may be a checkpoint.
pub fn what_is(bytes: &[u8]) -> Option<String> {
    let again = "Download the checkpoint again";
    if safetensors::may_be(bytes) {
        return None; // The length of its header may look like another format's mark.
    }
    if bytes.is_empty() {
        return Some(format!("an empty file. {again}"));
    }
    if bytes.starts_with(b"version https://git-lfs") || bytes.starts_with(b"version https://hawser") {
        let size = lines(bytes).find_map(|line| line.strip_prefix("size ")?.trim().parse::<u64>().ok());
        let size = size.map_or(String::new(), |n| format!(" of {n} bytes"));
        return Some(format!("a Git LFS pointer, not the file{size} it stands for. Fetch that with `git lfs pull`"));
    }
    if bytes.starts_with(b"/annex/objects/") {
        return Some("a git-annex pointer, not the file it stands for. Fetch that with `git annex get`".into());
    }
    let text = start_of_text(bytes);
    if text.starts_with("<!doctype html") || text.starts_with("<html") || text.starts_with("<head") {
        return Some(format!("an HTML page, not a checkpoint: the address was that of a page. {again}"));
    }
    if text.starts_with("<?xml") || text.starts_with("<error") || text.starts_with("<!--") {
        return Some(format!("an XML document, such as a server's error, not a checkpoint. {again}"));
    }
    if text.starts_with('{') || text.starts_with("[") {
        let weight_map = bytes.windows(12).take(1 << 16).any(|w| w == b"\"weight_map\"");
        return Some(match weight_map {
            true => "the index of a checkpoint in several files. Name it by its path, or name its folder".into(),
            false => format!("JSON, such as a server's error or a configuration, not a checkpoint. {again}"),
        });
    }
    let archive = |kind: &str| format!("a {kind} archive. Unpack it, and name the checkpoint that it holds");
    let converted = |kind: &str| format!("a model in the format {kind}. Use the checkpoint that it was made of");
    let onnx = matches!(bytes, [8, 1..=32, 0x12 | 0x1a | 0x22 | 0x3a | 0x42, ..]);
    Some(match bytes {
        [0x1f, 0x8b, ..] => archive("gzip"),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => archive("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => archive("xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => archive("zstd"),
        [b'7', b'z', 0xbc, 0xaf, ..] => archive("7z"),
        [b'R', b'a', b'r', b'!', ..] => archive("rar"),
        _ if bytes.get(257..262) == Some(b"ustar") => archive("tar"),
        [b'P', b'K', 5 | 6, _, ..] => "an empty zip archive".into(),
        [b'G', b'G', b'U', b'F', ..] => converted("GGUF"),
        [b'l' | b't' | b'f', b'm' | b'j', b'g', b'g', ..] => converted("GGML"),
        [0x89, b'H', b'D', b'F', ..] => converted("HDF5"),
        [_, _, _, _, b'T', b'F', b'L', b'3', ..] => converted("TensorFlow Lite"),
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => converted("NumPy"),
        _ if onnx => converted("ONNX"),
        [0x80, 2, ..] => {
            "a legacy PyTorch file; save it again with PyTorch 1.6 or later, or convert it to safetensors".into()
        }
        [0x80, 3..=5, ..] => "a Python pickle. Save the model's state_dict() with torch.save, or as safetensors".into(),
        _ => return None,
    })
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &str> {
    bytes[..bytes.len().min(1024)].split(|&b| b == b'\n').filter_map(|line| std::str::from_utf8(line).ok())
}

/// Returns the first characters after spaces and a byte order mark, in lower case.
fn start_of_text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = bytes[..bytes.len().min(256)].trim_ascii_start();
    String::from_utf8_lossy(&text[..text.len().min(16)]).to_lowercase()
}
