//! Which configuration a checkpoint is loaded under.

use crate::LoadOptions;
use sam2_engine::checkpoint::{extension_is, files_with};
use sam2_engine::{Checkpoint, Config, Error, Result, VARIANTS, Variant, check};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Longest file that may be a configuration, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// A configuration's text, and the file it is from.
struct Text {
    from: String,
    text: String,
}

/// The configuration of the checkpoint that was opened at `path`, and where it is from: a file, or a published model.
///
/// It is the one that `options.config` names, else the one beside the checkpoint: Hugging Face's `config.json`, or a YAML file
/// in the reference's structure, its trainer's included. Files of other programs are passed over. Where several YAML files
/// are beside it, the one with the checkpoint's own name is taken. Without any, the model is the published one whose tensors
/// these are, at that model's input size. No tensor tells the size, so this is logged as a warning, unless the file has the
/// published model's own name or `options` say a size.
///
/// Fails on several YAML files, on a `config.json` and a YAML file that contradict each other, on a configuration that
/// contradicts the checkpoint's tensors, and on tensors of no published model; the error names the files.
pub fn config(path: impl AsRef<Path>, checkpoint: &Checkpoint, options: &LoadOptions) -> Result<(Config, String)> {
    let texts = match &options.config {
        Some(file) => vec![named(file)?],
        None => beside(path.as_ref(), checkpoint)?,
    };
    decide(checkpoint, &texts, options)
}

/// The configuration of a checkpoint that is not in a folder: `text`, else what `options.config` names, else the published
/// model's.
pub fn given(checkpoint: &Checkpoint, text: Option<&str>, options: &LoadOptions) -> Result<(Config, String)> {
    let texts = match (text, &options.config) {
        (Some(text), _) => vec![Text { from: "the configuration given".into(), text: text.into() }],
        (None, Some(file)) => vec![named(file)?],
        (None, None) => Vec::new(),
    };
    decide(checkpoint, &texts, options)
}

fn decide(checkpoint: &Checkpoint, texts: &[Text], options: &LoadOptions) -> Result<(Config, String)> {
    let variant = Variant::of(checkpoint);
    let mut overrides = options.overrides.clone();
    overrides.extend(options.image_size.map(|n| format!("model.image_size={n}")));
    let [first, rest @ ..] = texts else {
        let variant = variant?;
        let config = Config::parse(variant.yaml, &overrides, options.postprocessing)?;
        let is_sized = overrides.iter().any(|setting| setting.contains("image_size"));
        if !is_sized && !variant.is_published_as(Path::new(checkpoint.name())) {
            log::warn!(
                "{}: nothing says for which input size it was trained; it runs at {} pixels, as {} is published \
                 (a configuration beside it or --image-size says otherwise)",
                checkpoint.name(),
                config.image_size,
                variant.name
            );
        }
        return Ok((config, variant.name.into()));
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
    check(checkpoint, &config).map_err(|e| in_file(e, &first.from))?;
    Ok((config, first.from.clone()))
}

const CHOOSE: &str = "; choose one with --config (LoadOptions::config)";

/// The error with the configuration's file in it.
fn in_file(e: Error, from: &str) -> Error {
    match e {
        Error::Config { key, what } => Error::Config { key, what: format!("{what} ({from})") },
        Error::Checkpoint { path, what } => Error::Checkpoint { path, what: format!("{what} ({from})") },
        other => other,
    }
}

/// The file of this name, else the published model's configuration that the reference calls so.
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
            let what = format!("no such file, and no configuration of that name is built in; those are {names}");
            Err(Error::Io { path: from, source: std::io::Error::new(ErrorKind::NotFound, what) })
        }
        Err(source) => Err(Error::Io { path: from, source }),
    }
}

/// The configurations in the folder of a checkpoint: at most one YAML file, then `config.json`.
fn beside(path: &Path, checkpoint: &Checkpoint) -> Result<Vec<Text>> {
    let folder = match path.parent() {
        _ if path.is_dir() => path,
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // A folder that may not be listed has nothing to find.
    let files = files_with(folder, &["yaml", "yml", "json"]).unwrap_or_default();
    let texts = files.iter().filter(|file| !extension_is(file, &["json"]) || file.ends_with("config.json"));
    let texts: Vec<Text> = texts.filter_map(|file| text_of(file)).filter(|t| Config::is_one(&t.text)).collect();
    let (json, mut yaml): (Vec<Text>, Vec<Text>) =
        texts.into_iter().partition(|text| extension_is(Path::new(&text.from), &["json"]));
    let stem = |name: &str| Path::new(name).file_stem().map(|stem| stem.to_os_string());
    if let Some(own) = yaml.iter().position(|text| stem(&text.from) == stem(checkpoint.name())) {
        yaml = vec![yaml.swap_remove(own)];
    }
    if yaml.len() > 1 {
        let names = yaml.iter().map(|text| text.from.as_str()).collect::<Vec<_>>().join(", ");
        let what = format!("several configurations are beside it: {names}{CHOOSE}");
        return Err(Error::Checkpoint { path: checkpoint.name().into(), what });
    }
    Ok(yaml.into_iter().chain(json).collect())
}

/// The text of a file that is small enough to be a configuration, and can be read.
fn text_of(file: &Path) -> Option<Text> {
    let from = file.display().to_string();
    if std::fs::metadata(file).is_ok_and(|about| about.len() > MAX_BYTES) {
        return None;
    }
    match std::fs::read_to_string(file) {
        Ok(text) => Some(Text { from, text }),
        Err(e) if e.kind() == ErrorKind::InvalidData => None,
        Err(e) => {
            log::warn!("{from} cannot be read, so it is not looked at as a configuration: {e}");
            None
        }
    }
}
