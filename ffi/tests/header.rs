//! Compares `include/sam2.h` with the source. `SAM2_WRITE_HEADER=1 cargo test -p sam2-ffi --test header` regenerates
//! it.

use std::path::Path;

fn file(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Reads the source of the crate.
fn source() -> String {
    let (mut folders, mut files) = (vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files.iter().map(|f| std::fs::read_to_string(f).unwrap()).collect()
}

/// Finds the structs that begin with their size, in the order of the header, with the fields that are not 0 by default.
fn sized(header: &str) -> Vec<(String, Vec<(String, String)>)> {
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
    let mut all: Vec<(String, _)> = source().split("\nunsafe impl Sized32 for ").skip(1).map(one).collect();
    all.sort_by_key(|(name, _)| header.find(&format!("\n}} {name};")).unwrap());
    all
}

/// Writes the macros that initialize structs, for C and C++.
fn initializers(header: &str) -> String {
    let (mut c, mut cpp) = (String::new(), String::new());
    for (name, set) in sized(header) {
        let macro_name = format!("{}_INIT", name.to_uppercase());
        let fields: String = set.iter().map(|(field, value)| format!(", \\\n        .{field} = {value}")).collect();
        c += &format!("/** Initializer of a ::{name} with the default values. */\n");
        c += &format!("#define {macro_name} \\\n    {{.struct_size = sizeof({name}){fields}}}\n");
        let fields: String = set.iter().map(|(field, value)| format!("        v.{field} = {value}; \\\n")).collect();
        cpp += &format!(
            "#define {macro_name} \\\n    ([] {{ \\\n        {name} v = {{}}; \\\n        v.struct_size = sizeof v; \\\n\
             {fields}        return v; \\\n    }}())\n"
        );
    }
    format!("#ifndef __cplusplus\n{c}#else\n{cpp}#endif\n")
}

/// Finds the constants whose type is a type of the header.
fn constant_types() -> Vec<(String, String)> {
    let typed = |line: &str| {
        let (name, rest) = line.strip_prefix("pub const ")?.split_once(": ")?;
        let (of, _) = rest.split_once(" = ")?;
        of.starts_with("sam2_").then(|| (name.to_string(), of.to_string()))
    };
    source().lines().filter_map(typed).collect()
}

/// Moves typed constants from macros to enums behind their types, so that debuggers show their names. The types remain
/// integers, because the compiler chooses the size of an enum, and callers may pass other values.
fn with_enums(header: &str) -> String {
    let types = constant_types();
    let mut out: Vec<String> = Vec::new();
    let mut values: Vec<(String, String)> = Vec::new();
    for block in header.split("\n\n") {
        let constant = block.rsplit('\n').next().and_then(|line| line.strip_prefix("#define ")?.split_once(' '));
        let typed = constant.and_then(|(name, value)| Some((types.iter().find(|(n, _)| n == name)?, value)));
        match typed {
            Some(((name, of), value)) => {
                let (comment, _) = block.rsplit_once('\n').unwrap();
                let comment: String = comment.lines().map(|line| format!("    {line}\n")).collect();
                values.push((of.clone(), format!("{comment}    {name} = {value},\n")));
            }
            None => out.push(block.into()),
        }
    }
    for block in &mut out {
        let of = block.rsplit([' ', ';']).nth(1).unwrap_or_default().to_string();
        let own: String = values.iter().filter(|(t, _)| *t == of).map(|(_, value)| value.as_str()).collect();
        if block.contains("typedef ") && !own.is_empty() {
            *block += &format!("\n\n/** Values of ::{of}. */\nenum {of}_value {{\n{own}}};");
            values.retain(|(t, _)| *t != of);
        }
    }
    assert!(values.is_empty(), "constants without a type in the header: {values:?}");
    out.join("\n\n")
}

/// Replaces struct tags in declarations by the names of the typedefs.
fn without_tags(header: &str) -> String {
    let line = |line: &str| {
        let line = if line.starts_with("typedef struct") { line.into() } else { line.replace("struct sam2_", "sam2_") };
        format!(
            "{}\n",
            line.replace("const struct DL", "const DL")
                .replace("struct DLManagedTensorVersioned *", "DLManagedTensorVersioned *")
        )
    };
    header.lines().map(line).collect()
}

/// Joins the comments that have one line of text.
fn with_short_comments(header: &str) -> String {
    let lines: Vec<&str> = header.lines().collect();
    let (mut out, mut i) = (String::new(), 0);
    while i < lines.len() {
        let indent = &lines[i][..lines[i].len() - lines[i].trim_start().len()];
        let (first, last) = (format!("{indent}/**"), format!("{indent} */"));
        let text = lines.get(i + 1).and_then(|line| line.trim_start().strip_prefix("* "));
        if let Some(text) = text.filter(|_| lines[i] == first && lines.get(i + 2) == Some(&last.as_str())) {
            out += &format!("{first} {text} */\n");
            i += 3;
        } else {
            out += &format!("{}\n", lines[i]);
            i += 1;
        }
    }
    out
}

fn generated() -> String {
    let usage: Vec<String> = file("usage.c").lines().map(|line| format!(" * {line}").trim_end().to_string()).collect();
    let mut config = cbindgen::Config::from_root_or_default(env!("CARGO_MANIFEST_DIR"));
    config.header = Some(file("preamble.h").trim_end().replace("@USAGE@", &usage.join("\n")));
    let mut out = Vec::new();
    let builder = cbindgen::Builder::new().with_crate(env!("CARGO_MANIFEST_DIR")).with_config(config);
    builder.generate().unwrap().write(&mut out);
    let header = with_short_comments(&with_enums(&without_tags(&String::from_utf8(out).unwrap())));
    let end = "#endif  /* SAM2_H */";
    assert!(header.trim_end().ends_with(end), "the guard is not the end of the header");
    header.replace(end, &format!("{}\n{end}", initializers(&header)))
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

/// The example program of the header is formatted as C usually is.
#[test]
fn the_program_of_the_header_is_tidy() {
    for (i, line) in file("usage.c").lines().enumerate() {
        assert!(!line.contains(" ;") && !line.contains(" ,") && line.trim_end() == line, "usage.c:{}: {line}", i + 1);
        assert!(line.chars().count() <= 120 && !line.contains('\t'), "usage.c:{}: {line}", i + 1);
    }
}
