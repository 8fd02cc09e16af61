//! Arguments of `sam2 track`.

use crate::args::{self, ModelArgs, PictureArgs, numbers};
use sam2::Point;
use std::path::PathBuf;

/// Arguments of `sam2 track`.
#[derive(clap::Args)]
pub struct Args {
    /// Video file, or folder of frames
    ///
    /// A video file needs the program ffmpeg. The frames of a folder are its JPEG files or, if there are none, its PNG
    /// files. Their names contain numbers (00000.jpg, frame_0001.jpg, 1690000000.5.jpg), and the order is the natural
    /// one. FRAME is a position in this order, counted from 0
    #[arg(value_name = "VIDEO|FOLDER")]
    pub video: PathBuf,
    #[command(flatten)]
    pub model: ModelArgs,
    #[command(flatten)]
    pub picture: PictureArgs,
    /// Click on a frame, for an object
    ///
    /// OBJECT is a number that identifies the object. Label 1 (default) is on the object, label 0 is not
    #[arg(long, value_name = "FRAME:OBJECT:X,Y[,LABEL]", value_parser = point)]
    pub point: Vec<At<Point>>,
    /// Box on a frame, around an object
    #[arg(long = "box", value_name = "FRAME:OBJECT:X0,Y0,X1,Y1", value_parser = bounds)]
    pub boxes: Vec<At<[f32; 4]>>,
    /// Mask on a frame, of an object
    ///
    /// FILE is an image whose object pixels are not black. In a label image, FILE#N selects label N
    #[arg(long, value_name = "FRAME:OBJECT:FILE", value_parser = mask)]
    pub mask: Vec<At<PathBuf>>,
    /// Make the API calls that a JSON file lists, in order
    ///
    /// Example: [{"op": "add_new_points_or_box", "args": {"frame_idx": 0, "obj_id": 1, "points": [[77, 400]], "labels":
    /// [1]}}, {"op": "propagate_in_video", "args": {}}]. The other calls are add_new_mask, clear_all_prompts_in_frame,
    /// remove_object and reset_state. A mask is the path of an image or COCO RLE
    #[arg(long, value_name = "CALLS.json", conflicts_with_all = ["point", "boxes", "mask", "reverse", "both", "stride", "start", "max_frames"])]
    pub script: Option<PathBuf>,
    /// Track backwards, from the last frame with a prompt to the start of the video
    #[arg(long)]
    pub reverse: bool,
    /// Track forwards from the first frame with a prompt, then backwards from the same frame
    #[arg(long, conflicts_with = "reverse")]
    pub both: bool,
    /// Frame to start from. Default: the first frame with a prompt, or the last one with --reverse
    #[arg(long, value_name = "FRAME")]
    pub start: Option<usize>,
    /// Track at most N frames after the start frame, in each direction
    #[arg(long, value_name = "N")]
    pub max_frames: Option<usize>,
    /// Track every Nth frame, counted from the first frame with a prompt. Frames keep their numbers and names
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub stride: u32,
    /// Use the frames that decode of a damaged or joined video file, and skip damaged images of a folder
    #[arg(long)]
    pub keep_damaged: bool,
    /// Keep corrections when propagation reaches their frames again
    ///
    /// A correction is a prompt of a script on a tracked frame. By default, as in the reference, propagation predicts
    /// the frame again and the correction is lost. To use a correction, propagate from the next frame on
    /// (start_frame_idx)
    #[arg(long)]
    pub legacy_corrections: bool,
    /// Fail if ffmpeg decodes nothing for SECONDS. Default: 15
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub decoder_timeout: Option<u32>,
    /// Keep the memory bank in host memory instead of GPU memory
    #[arg(long)]
    pub offload_state_to_cpu: bool,
    /// Write a label image per frame to DIR/NAME.png, and overlays
    ///
    /// A pixel of the label image is the number of its object (1 to 255). The overlays are DIR/overlay.mp4 for a video
    /// file, and DIR/overlay/NAME.png for a folder. NAME is the name of the frame's file or, for a video file, the
    /// number of the frame (00000)
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Write the logits and scores of each frame and object as float32 tensors
    ///
    /// The names are NAME/obj_K/logits (height, width) and NAME/obj_K/score, with NAME as for --output
    #[arg(long, value_name = "FILE.safetensors")]
    pub raw: Option<PathBuf>,
    /// Print a line of JSON per frame and object, with the mask in COCO RLE
    #[arg(long)]
    pub json: bool,
}

impl Args {
    /// Whether each frame is returned once, in ascending order.
    pub fn in_time_order(&self) -> bool {
        self.script.is_none() && !self.reverse && !self.both
    }
}

/// A prompt of an object on a frame.
#[derive(Clone)]
pub struct At<T> {
    pub frame: usize,
    pub object: i64,
    pub what: T,
}

fn at<T>(text: &str, what: impl FnOnce(&str) -> Result<T, String>) -> Result<At<T>, String> {
    let mut parts = text.splitn(3, ':');
    let (frame, object, rest) = (parts.next(), parts.next(), parts.next());
    let number = |text: Option<&str>| text.and_then(|t| t.parse().ok());
    match (number(frame), object.and_then(|t| t.parse().ok()), rest) {
        (Some(frame), Some(object), Some(rest)) => Ok(At { frame, object, what: what(rest)? }),
        _ => Err(format!("{text:?}: expected FRAME:OBJECT:..., where FRAME and OBJECT are whole numbers")),
    }
}

fn point(text: &str) -> Result<At<Point>, String> {
    at(text, args::point)
}

fn bounds(text: &str) -> Result<At<[f32; 4]>, String> {
    at(text, numbers::<4>)
}

fn mask(text: &str) -> Result<At<PathBuf>, String> {
    at(text, |file| Ok(file.into()))
}
