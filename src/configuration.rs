//! Finds the configuration of a checkpoint.

use crate::options::LoadOptions;
use sam2_engine::checkpoint::{extension_is, files_with};
use sam2_engine::{Checkpoint, Config, Error, Result, VARIANTS, Variant};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// The maximum size of a configuration file in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a configuration, and its source.
struct Text {
    /// The file, or the name of a published model.
    from: String,
    text: String,
}

/// A configuration, and its source.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundConfig {
    /// The configuration.
    pub config: Config,
    /// The file, or the name of the published model.
    pub source: String,
}

impl LoadOptions {
    /// Finds the configuration of the checkpoint that was opened at `path`. [`load`](crate::load)
    /// uses this configuration.
    ///
    /// The configuration is the first of these that exists:
    ///
    /// 1. The one that [`LoadOptions::config`] names.
    /// 2. The one beside the checkpoint: Hugging Face's `config.json`, or a YAML file in the structure of the reference or
    ///    of its trainer. Files of other programs are ignored. Of several YAML files, the one with the checkpoint's name is
    ///    used.
    /// 3. The one of the published model with the same tensors, at the input size of that model. Tensors do not determine
    ///    the input size. So a warning is logged, unless the checkpoint has the file name of the published model or
    ///    these options set the size.
    ///
    /// # Errors
    ///
    /// The error names the files. It is
    ///
    /// - [`Error::Io`] if [`LoadOptions::config`] is neither a readable file nor the name of a published configuration,
    /// - [`Error::Config`] if a configuration is invalid,
    /// - [`Error::Checkpoint`] if several YAML files are beside the checkpoint and none has its name; if `config.json` and
    ///   a YAML file contradict each other; if the configuration contradicts the tensors; or if there is no configuration
    ///   and the tensors are not those of a published model.
    pub fn find_config(&self, path: impl AsRef<Path>, checkpoint: &Checkpoint) -> Result<FoundConfig> {
        let texts = match &self.config {
            Some(file) => vec![named(file)?],
            None => beside(path.as_ref(), checkpoint)?,
        };
        decide(checkpoint, &texts, self)
    }
}

/// The configuration of a checkpoint that is not in a folder: `text`, or the one that `options.config` names, or the
/// one of the published model with the same tensors.
pub fn given(checkpoint: &Checkpoint, text: Option<&str>, options: &LoadOptions) -> Result<FoundConfig> {
    let texts = match (text, &options.config) {
        (Some(text), _) => vec![Text { from: "the configuration given".into(), text: text.into() }],
        (None, Some(file)) => vec![named(file)?],
        (None, None) => Vec::new(),
    };
    decide(checkpoint, &texts, options)
}

/// Parses the configurations and checks them against each other and against the tensors. Without any, the published
/// model with the same tensors is used.
fn decide(checkpoint: &Checkpoint, texts: &[Text], options: &LoadOptions) -> Result<FoundConfig> {
    let variant = Variant::of(checkpoint);
    let mut overrides = options.overrides.clone();
    overrides.extend(options.image_size.map(|n| format!("model.image_size={n}")));
    let [first, rest @ ..] = texts else {
        let variant = variant?;
        let config = Config::parse(variant.yaml, &overrides, options.postprocessing)?;
        let is_sized = overrides.iter().any(|setting| setting.contains("image_size"));
        if !is_sized && !variant.is_published_as(Path::new(checkpoint.name())) {
            log::warn!(
                "{}: the input size of its training is unknown; it runs at {} pixels, the input size of {} \
                 (a configuration beside it or --image-size changes this)",
                checkpoint.name(),
                config.image_size,
                variant.name
            );
        }
        return Ok(FoundConfig { config, source: variant.name.into() });
    };
    let base = variant.as_ref().ok().map(|variant| variant.yaml);
    let parse = |text: &Text| {
        let config = Config::parse_over(base, &text.text, &overrides, options.postprocessing);
        config.map_err(|e| in_file(e, &text.from))
    };
    let config = parse(first)?;
    for other in rest {
        let also = parse(other)?;
        if also != config {
            let sizes = if also.image_size == config.image_size {
                String::new()
            } else {
                format!(" (input sizes {} and {})", config.image_size, also.image_size)
            };
            return Err(Error::Checkpoint {
                path: checkpoint.name().into(),
                what: format!(
                    "its configurations {} and {} contradict each other{sizes}{CHOOSE}",
                    first.from, other.from
                ),
            });
        }
    }
    checkpoint.validate(&config).map_err(|e| in_file(e, &first.from))?;
    Ok(FoundConfig { config, source: first.from.clone() })
}

const CHOOSE: &str = "; choose one with --config (LoadOptions::config)";

/// Adds the source of the configuration to an error.
fn in_file(e: Error, from: &str) -> Error {
    match e {
        Error::Config { key, what } => Error::Config { key, what: format!("{what} ({from})") },
        Error::Checkpoint { path, what } => Error::Checkpoint { path, what: format!("{what} ({from})") },
        other => other,
    }
}

/// Reads the file, or takes the published configuration of this name.
fn named(file: &Path) -> Result<Text> {
    let from = file.display().to_string();
    if !file.exists()
        && let Some(variant) = file.to_str().and_then(Variant::named)
    {
        return Ok(Text { from: variant.name.into(), text: variant.yaml.into() });
    }
    let mut text = String::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(_) => Ok(Text { from, text }),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let names = VARIANTS.iter().map(|variant| variant.name).collect::<Vec<_>>().join(", ");
            let what =
                format!("no such file, and no built-in configuration of that name; the built-in ones are {names}");
            Err(Error::Io { path: from, source: std::io::Error::new(ErrorKind::NotFound, what) })
        }
        Err(source) => Err(Error::Io { path: from, source }),
    }
}

/// The configurations in the folder of a checkpoint: at most one YAML file, followed by `config.json`.
fn beside(path: &Path, checkpoint: &Checkpoint) -> Result<Vec<Text>> {
    let folder = match path.parent() {
        _ if path.is_dir() => path,
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // A folder that cannot be listed counts as empty.
    let files = files_with(folder, &["yaml", "yml", "json"]).unwrap_or_default();
    let texts = files.iter().filter(|file| !extension_is(file, &["json"]) || file.ends_with("config.json"));
    let texts: Vec<Text> = texts.filter_map(|file| text_of(file)).filter(|t| Config::is_one(&t.text)).collect();
    let (json, mut yaml): (Vec<Text>, Vec<Text>) =
        texts.into_iter().partition(|text| extension_is(Path::new(&text.from), &["json"]));
    let stem = |name: &str| Path::new(name).file_stem().map(|stem| stem.to_os_string());
    if let Some(i) = yaml.iter().position(|text| stem(&text.from) == stem(checkpoint.name())) {
        yaml = vec![yaml.swap_remove(i)];
    }
    if yaml.len() > 1 {
        let names = yaml.iter().map(|text| text.from.as_str()).collect::<Vec<_>>().join(", ");
        let what = format!("several configurations are beside it: {names}{CHOOSE}");
        return Err(Error::Checkpoint { path: checkpoint.name().into(), what });
    }
    Ok(yaml.into_iter().chain(json).collect())
}

/// The text of a file, if it is small enough for a configuration, is readable and is UTF-8.
fn text_of(file: &Path) -> Option<Text> {
    let from = file.display().to_string();
    if std::fs::metadata(file).is_ok_and(|about| about.len() > MAX_BYTES) {
        return None;
    }
    match std::fs::read_to_string(file) {
        Ok(text) => Some(Text { from, text }),
        Err(e) if e.kind() == ErrorKind::InvalidData => None,
        Err(e) => {
            log::warn!("{from} cannot be read and is ignored as a configuration: {e}");
            None
        }
    }
}
