//! Masks and prompts in JSON.

use crate::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sam2::picture::{Picture, encode_png};
use sam2::rle::Rle;
use sam2::{PixelFormat, Prompt, Size, mask_logits};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most prompts of a request.
pub const MAX_PROMPTS: usize = 256;
/// The most points of a prompt.
const MAX_POINTS: usize = 64;

/// A point of a prompt.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PointJson {
    /// Pixels from the left.
    pub x: f32,
    /// Pixels from the top.
    pub y: f32,
    /// 1 on the object, 0 elsewhere.
    pub label: i32,
}

impl PointJson {
    /// A point.
    #[must_use]
    pub fn new(x: f32, y: f32, label: i32) -> PointJson {
        PointJson { x, y, label }
    }
}

/// Run lengths as COCO writes them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RleJson {
    /// Height and width.
    size: [usize; 2],
    counts: String,
}

impl RleJson {
    /// Run lengths of a mask of this size.
    #[must_use]
    pub fn new(size: Size, counts: String) -> RleJson {
        RleJson { size: [size.height, size.width], counts }
    }

    /// The mask with a byte for each pixel, 1 on the object.
    ///
    /// # Errors
    ///
    /// `input` if the run lengths are damaged, or not of this size.
    pub fn decode(&self, size: Size) -> Result<Vec<u8>, Problem> {
        let [height, width] = self.size;
        if (width, height) != (size.width, size.height) {
            return Err(Problem::input(format!("a mask of {width}x{height} pixels, the image has {size}")));
        }
        Ok(Rle::from_coco(&self.counts, size)?.decode()?)
    }
}

/// A mask as input.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MaskJson {
    /// The run lengths.
    pub rle: RleJson,
}

/// A prompt.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptJson {
    #[serde(default)]
    points: Vec<PointJson>,
    #[serde(rename = "box")]
    bounds: Option<[f32; 4]>,
    mask: Option<MaskJson>,
    multimask: Option<bool>,
}

/// A prompt of an object on a frame.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct FramePrompt {
    /// The points, on top of the box.
    #[serde(default)]
    pub points: Vec<PointJson>,
    /// The box.
    #[serde(rename = "box")]
    pub bounds: Option<[f32; 4]>,
    /// The mask, without points and box.
    pub mask: Option<MaskJson>,
}

impl FramePrompt {
    /// Checks what the engine does not know.
    ///
    /// # Errors
    ///
    /// `input`.
    pub fn check(&self) -> Result<(), Problem> {
        if self.points.len() > MAX_POINTS {
            return Err(Problem::input(format!("{} points in one prompt, at most {MAX_POINTS}", self.points.len())));
        }
        let sparse = !self.points.is_empty() || self.bounds.is_some();
        match (sparse, self.mask.is_some()) {
            (false, false) => Err(Problem::input("a prompt needs points, a box or a mask")),
            (true, true) => Err(Problem::input("on a video a mask comes without points and without a box")),
            _ => Ok(()),
        }
    }

    /// The points and the box for the engine.
    #[must_use]
    pub fn prompt(&self) -> Prompt<'static> {
        let mut prompt = self.points.iter().fold(Prompt::new(), |prompt, p| prompt.point(p.x, p.y, p.label));
        prompt.bounds = self.bounds;
        prompt
    }
}

/// How masks are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// COCO's compressed run lengths.
    #[default]
    Rle,
    /// Rings of points.
    Polygon,
    /// A PNG of 8 bits, 255 on the object.
    Png,
    /// Rows of `numpy.packbits`.
    Bits,
}

/// A request of masks.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MasksJson {
    /// The prompts, 1 to [`MAX_PROMPTS`].
    pub prompts: Vec<PromptJson>,
    /// How masks are written.
    #[serde(default)]
    pub format: Format,
    /// Coordinates are 0 to 1 instead of pixels.
    #[serde(default)]
    pub normalized: bool,
    /// The masks are a preview, which a later request for a preview makes needless.
    #[serde(default)]
    pub hover: bool,
}

impl MasksJson {
    /// Checks what the engine does not know: the limits of this server.
    ///
    /// # Errors
    ///
    /// `input`.
    pub fn check(&self) -> Result<(), Problem> {
        if self.prompts.is_empty() || self.prompts.len() > MAX_PROMPTS {
            return Err(Problem::input(format!("{} prompts, 1 to {MAX_PROMPTS} are taken", self.prompts.len())));
        }
        self.prompts.iter().try_for_each(PromptJson::check)
    }
}

impl PromptJson {
    fn check(&self) -> Result<(), Problem> {
        if self.points.len() > MAX_POINTS {
            return Err(Problem::input(format!("{} points in one prompt, at most {MAX_POINTS}", self.points.len())));
        }
        if self.points.is_empty() && self.bounds.is_none() && self.mask.is_none() {
            return Err(Problem::input("a prompt needs points, a box or a mask"));
        }
        Ok(())
    }

    /// Whether three masks are asked for: said, or by default for a single point.
    #[must_use]
    pub fn multimask(&self) -> bool {
        self.multimask.unwrap_or(self.points.len() == 1 && self.bounds.is_none() && self.mask.is_none())
    }

    /// The logits of the mask, for a model whose masks have `side` by `side` pixels.
    ///
    /// # Errors
    ///
    /// `input` if the run lengths are damaged, or of another size than the image.
    pub fn logits(&self, size: Size, side: usize) -> Result<Option<Vec<f32>>, Problem> {
        let Some(mask) = &self.mask else { return Ok(None) };
        Ok(Some(mask_logits(&mask.rle.decode(size)?, size, side)?))
    }

    /// The prompt for the engine.
    #[must_use]
    pub fn prompt<'a>(&self, logits: Option<&'a [f32]>) -> Prompt<'a> {
        let mut prompt = self.points.iter().fold(Prompt::new(), |prompt, p| prompt.point(p.x, p.y, p.label));
        prompt.bounds = self.bounds;
        prompt.mask_input = logits;
        prompt
    }
}

/// A mask in JSON. `mask` has a byte for each pixel, 1 on the object.
///
/// # Errors
///
/// `full` if memory is exhausted.
pub fn mask_json(mask: &[u8], size: Size, format: Format) -> Result<Value, Problem> {
    let rle = Rle::encode(mask, size)?;
    let area = rle.area();
    let [left, top, width, height] = rle.bbox();
    let bounds = if area == 0 { Value::Null } else { json!([left, top, left + width, top + height]) };
    let mut value = json!({"box": bounds, "area": area});
    let (name, mask) = format_mask(&rle, size, format)?;
    value[name] = mask;
    Ok(value)
}

/// The name and the value of a mask in a format.
///
/// # Errors
///
/// `full` if memory is exhausted.
pub fn format_mask(rle: &Rle, size: Size, format: Format) -> Result<(&'static str, Value), Problem> {
    Ok(match format {
        Format::Rle => ("rle", json!(RleJson::new(size, rle.to_coco()?))),
        Format::Polygon => {
            let flat = |ring: &Vec<[u32; 2]>| ring.iter().flatten().copied().collect::<Vec<_>>();
            ("polygon", json!(rle.polygons()?.iter().map(flat).collect::<Vec<_>>()))
        }
        Format::Png => {
            let pixels = rle.decode()?.iter().map(|&v| v * 255).collect();
            let picture = Picture { pixels, width: size.width, height: size.height, format: PixelFormat::Gray8 };
            ("png", json!(STANDARD.encode(encode_png(&picture)?)))
        }
        Format::Bits => {
            let row = |row: &[u8]| -> Vec<u8> {
                let byte = |bits: &[u8]| bits.iter().enumerate().fold(0, |byte, (i, bit)| byte | bit << (7 - i));
                row.chunks(8).map(byte).collect()
            };
            ("bits", json!(STANDARD.encode(rle.decode()?.chunks(size.width).flat_map(row).collect::<Vec<u8>>())))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_in_every_format() {
        let size = Size::new(10, 3);
        let mut mask = vec![0; 30];
        (12..17).for_each(|i| mask[i] = 1);
        let of = |format| mask_json(&mask, size, format).unwrap();
        let rle = of(Format::Rle);
        assert_eq!(
            (&rle["box"], &rle["area"], &rle["rle"]["size"]),
            (&json!([2, 1, 7, 2]), &json!(5), &json!([3, 10]))
        );
        let counts = rle["rle"]["counts"].as_str().unwrap();
        assert_eq!(Rle::from_coco(counts, size).unwrap().decode().unwrap(), mask);
        let bits = STANDARD.decode(of(Format::Bits)["bits"].as_str().unwrap()).unwrap();
        assert_eq!(bits, [0, 0, 0b0011_1110, 0, 0, 0]);
        assert_eq!(&STANDARD.decode(of(Format::Png)["png"].as_str().unwrap()).unwrap()[1..4], b"PNG");
        let ring = &of(Format::Polygon)["polygon"][0];
        assert_eq!(ring.as_array().unwrap().iter().filter(|v| v.is_u64()).count(), 8, "{ring}");
        assert_eq!(mask_json(&[0; 30], size, Format::Rle).unwrap()["box"], Value::Null);
    }

    #[test]
    fn prompts_without_meaning_are_refused() {
        let parse = |text: &str| serde_json::from_str::<PromptJson>(text);
        assert!(parse(r#"{"points": [{"x": 1, "y": 2, "label": 1}], "other": 1}"#).is_err());
        assert!(parse(r#"{"box": [1, 2, 3]}"#).is_err());
        assert!(parse("{}").unwrap().check().is_err());
        let many = format!(r#"{{"points": [{}]}}"#, vec![r#"{"x": 1, "y": 2, "label": 1}"#; 65].join(","));
        assert!(parse(&many).unwrap().check().is_err());
        let wrong = parse(r#"{"mask": {"rle": {"size": [5, 5], "counts": "i0"}}}"#).unwrap();
        assert!(wrong.logits(Size::new(6, 5), 32).is_err());
        let bomb = parse(r#"{"mask": {"rle": {"size": [5, 6], "counts": "ooooooooo0"}}}"#).unwrap();
        assert!(bomb.logits(Size::new(6, 5), 32).is_err());
        assert!(parse(r#"{"points": [{"x": 1, "y": 2, "label": 1}]}"#).unwrap().multimask());
        assert!(!parse(r#"{"box": [1, 2, 3, 4]}"#).unwrap().multimask());
    }
}
