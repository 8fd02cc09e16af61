//! `include/sam2.h` is what the source says. After a change, `SAM2_WRITE_HEADER=1 cargo test -p sam2-ffi --test header` writes
//! it anew.

use std::path::Path;

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Structs that a caller begins with their size, in the source's order, with what is not 0 in them by default.
fn sized() -> Vec<(String, Vec<(String, String)>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let source: String = files.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    let set = |line: &str| {
        let (field, value) = line.trim().strip_suffix(',')?.split_once(": ")?;
        let float = value.contains('.') && !field.ends_with("_ratio");
        let number = value.parse::<f64>().is_ok_and(|v| v != 0.0);
        number.then(|| (field.to_string(), format!("{value}{}", if float { "f" } else { "" })))
    };
    let one = |text: &str| {
        let (name, rest) = text.split_once(' ').unwrap();
        let (init, _) = rest.split_once("};").unwrap();
        (name.to_string(), init.lines().filter_map(set).collect())
    };
    source.split("\nunsafe impl Sized32 for ").skip(1).map(one).collect()
}

fn generated() -> String {
    let usage: Vec<String> =
        file("usage.c").lines().map(|line| format!(" *   {line}").trim_end().to_string()).collect();
    let mut config = cbindgen::Config::from_root_or_default(env!("CARGO_MANIFEST_DIR"));
    config.header = Some(file("preamble.h").trim_end().replace("@USAGE@", &usage.join("\n")));
    // Everything else is 0 by default.
    let (mut c, mut cpp) = (String::new(), String::new());
    for (name, set) in sized() {
        let macro_name = format!("{}_INIT", name.to_uppercase());
        let fields: String = set.iter().map(|(field, value)| format!(", .{field} = {value}")).collect();
        c += &format!("#define {macro_name} {{.struct_size = sizeof({name}){fields}}}\n");
        let fields: String = set.iter().map(|(field, value)| format!(" v.{field} = {value};")).collect();
        cpp += &format!(
            "#define {macro_name} ([] {{ {name} v = {{}}; v.struct_size = sizeof v;{fields} return v; }}())\n"
        );
    }
    config.trailer = Some(format!("#ifdef __cplusplus\n{cpp}#else\n{c}#endif"));
    let mut out = Vec::new();
    let builder = cbindgen::Builder::new().with_crate(env!("CARGO_MANIFEST_DIR")).with_config(config);
    builder.generate().unwrap().write(&mut out);
    // What Rust's callers promise, C's must know.
    String::from_utf8(out).unwrap().replace("# Safety", "Pointers:")
}

#[test]
fn the_header_is_what_the_source_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include/sam2.h");
    let header = generated();
    if std::env::var_os("SAM2_WRITE_HEADER").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &header).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(header == committed, "include/sam2.h is not what the source says");
}

/// The program that the header opens with is written as one writes C.
#[test]
fn the_program_of_the_header_is_tidy() {
    for (i, line) in file("usage.c").lines().enumerate() {
        assert!(!line.contains(" ;") && !line.contains(" ,") && line.trim_end() == line, "usage.c:{}: {line}", i + 1);
        assert!(line.chars().count() <= 120 && !line.contains('\t'), "usage.c:{}: {line}", i + 1);
    }
}
