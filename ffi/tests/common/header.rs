//! What `include/sam2.h` declares, for those that must not forget any of it.

/// A function.
pub struct Function {
    pub name: String,
    /// Without its semicolon.
    pub declaration: String,
    pub arguments: usize,
}

impl Function {
    /// Whether it can fail.
    pub fn has_status(&self) -> bool {
        self.declaration.starts_with("sam2_status ")
    }
}

/// A struct: its name, and its declaration.
pub struct Struct {
    pub name: String,
    pub declaration: String,
    pub fields: Vec<String>,
}

/// The header without its comments.
pub fn code() -> String {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../include/sam2.h")).unwrap();
    let start = text.find("#ifndef SAM2_H").unwrap();
    text[start..].lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(|line| [line, "\n"]).collect()
}

pub fn functions() -> Vec<Function> {
    let code = code();
    let (_, inside) = code.split_once("extern \"C\" {").unwrap();
    let (inside, _) = inside.split_once("#ifdef __cplusplus").unwrap();
    let (_, inside) = inside.split_once('\n').unwrap();
    let lines: String = inside.lines().filter(|line| !line.starts_with('#')).flat_map(|line| [line, "\n"]).collect();
    let declarations = lines.split(';').map(str::trim).filter(|d| !d.is_empty());
    let function = |declaration: &str| {
        let (before, arguments) = declaration.split_once('(').unwrap();
        Function {
            name: before.rsplit([' ', '*']).next().unwrap().into(),
            declaration: declaration.into(),
            arguments: if arguments == "void)" { 0 } else { arguments.split(',').count() },
        }
    };
    declarations.map(function).collect()
}

pub fn structs() -> Vec<Struct> {
    let code = code();
    let one = |text: &str| {
        let (fields, rest) = text.split_once("\n} ").unwrap();
        let (name, _) = rest.split_once(";\n").unwrap();
        let field = |line: &str| Some(line.split(['[', ';']).next()?.rsplit([' ', '*']).next()?.to_string());
        Struct {
            name: name.into(),
            declaration: format!("typedef struct {{{fields}\n}} {name};\n"),
            fields: fields.lines().filter(|line| !line.is_empty()).filter_map(field).collect(),
        }
    };
    code.split("typedef struct {").skip(1).map(one).collect()
}

/// The names of numbers.
pub fn constants() -> Vec<String> {
    let code = code();
    let name = |line: &str| {
        let (name, value) = line.strip_prefix("#define ")?.split_once(' ')?;
        value.parse::<i64>().is_ok().then(|| name.to_string())
    };
    code.lines().filter_map(name).collect()
}
