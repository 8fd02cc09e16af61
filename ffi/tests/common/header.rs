//! Parses `include/sam2.h`, for tests that cover everything that it declares.

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

/// The header without its comments and empty lines.
pub fn code() -> String {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../include/sam2.h")).unwrap();
    let mut pieces = text.split("/*");
    let mut code: String = pieces.next().unwrap().into();
    pieces.for_each(|piece| code += piece.split_once("*/").unwrap().1);
    code.lines().filter(|line| !line.trim().is_empty()).flat_map(|line| [line, "\n"]).collect()
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
        let (fields, rest) = text.split_once(" {").unwrap().1.split_once("\n} ").unwrap();
        let (name, _) = rest.split_once(";\n").unwrap();
        let field = |line: &str| Some(line.split(['[', ';']).next()?.rsplit([' ', '*']).next()?.to_string());
        Struct {
            name: name.into(),
            declaration: format!("typedef struct {name} {{{fields}\n}} {name};\n"),
            fields: fields.lines().filter(|line| !line.is_empty()).filter_map(field).collect(),
        }
    };
    let declares = |text: &&str| text.lines().next().is_some_and(|line| line.ends_with('{'));
    code.split("typedef struct ").skip(1).filter(declares).map(one).collect()
}

/// The names of numbers: of macros, and of the values of enums.
pub fn constants() -> Vec<String> {
    let code = code();
    let name = |line: &str| {
        let line = line.trim().trim_end_matches(',');
        let (name, value) = match line.strip_prefix("#define ") {
            Some(rest) => rest.split_once(' ')?,
            None => line.split_once(" = ")?,
        };
        let number = value.parse::<i64>().is_ok() || ["UINT32_MAX", "UINT64_MAX"].contains(&value);
        (name.starts_with("SAM2_") && number).then(|| name.to_string())
    };
    code.lines().filter_map(name).collect()
}
