//! Files that are no checkpoints.

use crate::common::weights;
use crate::refusal;
use crate::torch::{Value, pt_file};
use sam2::Checkpoint;

#[test]
fn what_is_no_checkpoint_is_called_by_its_name() {
    let read = |name: &str| std::fs::read(weights(name)).unwrap();
    let (st, pt) = (read("mini21.safetensors"), read("mini21.pt"));
    let zip_of = |names: &[&str]| {
        use std::io::Write;
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for name in names {
            zip.start_file(*name, stored).unwrap();
            zip.write_all(b"\x80\x02}.").unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let lfs =
        "version https://git-lfs.github.com/spec/v1\noid sha256:7402e0d864fa82708a20fbd15bc84245\nsize 155906050\n";
    let tar = [vec![b'a'; 257], b"ustar\x0000".to_vec(), vec![0; 700]].concat();
    for (bytes, texts) in [
        (vec![], &["an empty file"][..]),
        (st[..st.len() - 1].to_vec(), &["cut short", &format!("of {} bytes", st.len()), "again"]),
        (st[..5000].to_vec(), &["cut short", "again"]),
        (st[..500].to_vec(), &["cut short", "again"]),
        (pt[..pt.len() - 1000].to_vec(), &["cut short", "again"]),
        (pt[..pt.len() / 2].to_vec(), &["cut short", "again"]),
        (pt[..64].to_vec(), &["cut short", "again"]),
        (lfs.into(), &["a Git LFS pointer", "155906050 bytes", "git lfs pull"]),
        (b"<!DOCTYPE html>\n<html><head>".to_vec(), &["an HTML page"]),
        (b"\xef\xbb\xbf\n  <html lang=\"en\">".to_vec(), &["an HTML page"]),
        (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>".to_vec(), &["an XML document"]),
        (br#"{"error": "Repository not found"}"#.to_vec(), &["JSON", "error"]),
        (br#"{"metadata": {}, "weight_map": {"a": "b"}}"#.to_vec(), &["index", "several files"]),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), &["a gzip archive", "Unpack"]),
        (b"\x28\xb5\x2f\xfd\0\0\0\0\0\0".to_vec(), &["a zstd archive"]),
        (tar, &["a tar archive"]),
        (zip_of(&["photos/a.jpg", "photos/b.jpg"]), &["a zip archive of other files", "photos/a.jpg"]),
        (zip_of(&["m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"]), &["a TorchScript archive", "state_dict()"]),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0".to_vec(), &["ONNX"]),
        (b"GGUF\x03\0\0\0\0\0\0\0".to_vec(), &["GGUF"]),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0".to_vec(), &["HDF5"]),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), &["a legacy PyTorch file"]),
        (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}.".to_vec(), &["a Python pickle", "state_dict()"]),
        (
            pt_file(&Value::Object("sam2.modeling.sam2_base.SAM2Base", vec![]), &[]),
            &["an object of the class sam2.modeling.sam2_base.SAM2Base", "state_dict()"],
        ),
    ] {
        let got = refusal(bytes);
        assert!(texts.iter().all(|text| got.contains(text)), "{texts:?}: {got}");
    }
    // The length of a header may equal the first bytes of another format.
    for length in [0x8b1f, 0x0280] {
        let header = r#"{"no_mem_embed":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let bytes = [&(length as u64).to_le_bytes()[..], format!("{header:length$}").as_bytes(), &[0; 4]].concat();
        assert!(Checkpoint::from_bytes("test", bytes).is_ok(), "{length}");
    }
}
