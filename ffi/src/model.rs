//! `sam2_model`

use crate::handles::Table;
use crate::options::{Sized32, fill, read};
use crate::status::{Failure, Result, call, sam2_status};
use engine::{Checkpoint, Device, LoadOptions, Model, Precision};
use std::ffi::{CStr, c_char};

/// A model's weights on a device. Any number of predictors and threads share one; predictors keep what they need of it,
/// so that it may be destroyed before them.
#[allow(non_camel_case_types)]
pub struct sam2_model {
    _opaque: [u8; 0],
}

/// The first GPU where CUDA works, otherwise the CPU.
pub const SAM2_DEVICE_AUTO: i32 = 0;
/// The CPU.
pub const SAM2_DEVICE_CPU: i32 = 1;
/// An NVIDIA GPU.
pub const SAM2_DEVICE_CUDA: i32 = 2;

/// float32 on a CPU, bfloat16 on a GPU.
pub const SAM2_PRECISION_AUTO: i32 = 0;
/// float32: the reference's own numbers.
pub const SAM2_PRECISION_F32: i32 = 1;
/// bfloat16.
pub const SAM2_PRECISION_BF16: i32 = 2;
/// float16.
pub const SAM2_PRECISION_F16: i32 = 3;

/// How to load a model. Begin with SAM2_MODEL_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_model_options {
    /// sizeof(sam2_model_options)
    pub struct_size: u32,
    /// SAM2_DEVICE_...
    pub device: i32,
    /// Which GPU, in the driver's order.
    pub device_index: i32,
    /// SAM2_PRECISION_...
    pub precision: i32,
    /// Threads of the CPU; 0: as many as the machine offers.
    pub threads: u32,
    /// Side of the model's input in pixels, a multiple of 32; 0: the configuration's.
    pub image_size: u32,
    /// Not 0: single masks are not chosen by stability, holes not filled (the reference's apply_postprocessing=False).
    pub no_postprocessing: i32,
    /// Not 0: the file is read instead of mapped; whoever shortens a mapped file crashes the process.
    pub no_mmap: i32,
    /// A configuration in the reference's structure, UTF-8 text; null: the model is recognised by its tensors.
    pub config_yaml: *const c_char,
    /// Changes of the configuration, "model.image_size=512", one per line; null: none.
    pub overrides: *const c_char,
}

// SAFETY: integers and pointers, its size first.
unsafe impl Sized32 for sam2_model_options {
    const INIT: Self = sam2_model_options {
        struct_size: size_of::<Self>() as u32,
        device: SAM2_DEVICE_AUTO,
        device_index: 0,
        precision: SAM2_PRECISION_AUTO,
        threads: 0,
        image_size: 0,
        no_postprocessing: 0,
        no_mmap: 0,
        config_yaml: std::ptr::null(),
        overrides: std::ptr::null(),
    };
    const NAME: &'static str = "sam2_model_options";
}

pub(crate) static MODELS: Table<Model> = Table::new("model", 1);

/// A text of the caller's.
///
/// # Safety
/// Null or a C string.
pub(crate) unsafe fn text<'a>(name: &str, text: *const c_char) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Failure::argument(format!("{name} is not UTF-8")))
}

/// A place for a result.
///
/// # Safety
/// Null or writable.
pub(crate) unsafe fn put<T>(name: &str, out: *mut T, value: impl FnOnce() -> Result<T>) -> Result<()> {
    if out.is_null() {
        return Err(Failure::argument(format!("{name} is null")));
    }
    let value = value()?;
    // SAFETY: the caller's promise.
    unsafe { out.write(value) };
    Ok(())
}

/// The options, and the configuration they give.
unsafe fn options(options: *const sam2_model_options) -> Result<(LoadOptions, Option<String>)> {
    // SAFETY: the caller's promise.
    let o = unsafe { read(options) }?;
    let device = match (o.device, usize::try_from(o.device_index)) {
        (SAM2_DEVICE_AUTO, _) => Device::Auto,
        (SAM2_DEVICE_CPU, _) => Device::Cpu,
        (SAM2_DEVICE_CUDA, Ok(index)) => Device::Cuda(index),
        _ => return Err(Failure::argument(format!("no device {} with index {}", o.device, o.device_index))),
    };
    let precision = match o.precision {
        SAM2_PRECISION_AUTO => Precision::Auto,
        SAM2_PRECISION_F32 => Precision::F32,
        SAM2_PRECISION_BF16 => Precision::Bf16,
        SAM2_PRECISION_F16 => Precision::F16,
        other => return Err(Failure::argument(format!("no precision {other}"))),
    };
    // SAFETY: the caller's promise.
    let (yaml, overrides) = unsafe { (text("config_yaml", o.config_yaml)?, text("overrides", o.overrides)?) };
    let lines = overrides.unwrap_or_default().lines().filter(|line| !line.trim().is_empty());
    let options = LoadOptions {
        device,
        precision,
        threads: o.threads as usize,
        config: None,
        overrides: lines.map(String::from).collect(),
        image_size: (o.image_size > 0).then_some(o.image_size as usize),
        postprocessing: o.no_postprocessing == 0,
        mmap: o.no_mmap == 0,
    };
    Ok((options, yaml.map(String::from)))
}

/// Loads a checkpoint, a .safetensors or .pt file or a folder that holds one, onto a device.
///
/// `options` may be null. On success `*out` is a model, to be given to `sam2_model_destroy`.
///
/// # Safety
/// Texts end in 0; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_model_load(
    path: *const c_char,
    options_: *const sam2_model_options,
    out: *mut *mut sam2_model,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise, of all three.
        unsafe {
            put("out", out, || {
                let path = text("path", path)?.ok_or_else(|| Failure::argument("path is null"))?;
                let (options, yaml) = options(options_)?;
                let yaml = match yaml {
                    Some(yaml) => Some(yaml),
                    None => engine::config(path, &options)?,
                };
                let model = engine::load_checkpoint(&engine::open(path, &options)?, &yaml, &options)?;
                Ok(MODELS.insert(model))
            })
        }
    })
}

/// As `sam2_model_load`, of a checkpoint in memory, which is not needed after the call.
///
/// # Safety
/// `data` has `size` bytes; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_model_load_memory(
    data: *const u8,
    size: usize,
    options_: *const sam2_model_options,
    out: *mut *mut sam2_model,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise, of all three.
        unsafe {
            put("out", out, || {
                if data.is_null() || size == 0 {
                    return Err(Failure::argument("no data"));
                }
                let (options, yaml) = options(options_)?;
                let mut bytes = Vec::new();
                let full = |_| engine::Error::OutOfMemory { what: "a checkpoint", bytes: size };
                bytes.try_reserve_exact(size).map_err(full)?;
                bytes.extend_from_slice(std::slice::from_raw_parts(data, size));
                let checkpoint = Checkpoint::from_bytes("in memory", bytes)?;
                Ok(MODELS.insert(engine::load_checkpoint(&checkpoint, &yaml, &options)?))
            })
        }
    })
}

/// Lets go of a model.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_model_destroy(model: *mut sam2_model) -> sam2_status {
    call(|| Ok(MODELS.remove(model)?))
}

/// What a model is. Begin with SAM2_MODEL_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct sam2_model_info {
    /// sizeof(sam2_model_info)
    pub struct_size: u32,
    /// Side of the model's input in pixels.
    pub image_size: u32,
    /// Side of low-resolution masks, and of masks given as prompts.
    pub mask_side: u32,
    /// SAM2_PRECISION_...
    pub precision: i32,
    /// SAM2_DEVICE_CPU or SAM2_DEVICE_CUDA
    pub device: i32,
    /// The device's name, cut to its length.
    pub device_name: [c_char; 64],
}

// SAFETY: integers, its size first.
unsafe impl Sized32 for sam2_model_info {
    const INIT: Self = sam2_model_info {
        struct_size: size_of::<Self>() as u32,
        image_size: 0,
        mask_side: 0,
        precision: 0,
        device: 0,
        device_name: [0; 64],
    };
    const NAME: &'static str = "sam2_model_info";
}

/// Writes what a model is, as much as `info->struct_size` says there is room for.
///
/// # Safety
/// `info` points at as many writable bytes as its `struct_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_model_get_info(model: *const sam2_model, info: *mut sam2_model_info) -> sam2_status {
    call(|| {
        MODELS.look(model, |model| {
            // SAFETY: the caller's promise.
            unsafe {
                fill(info, |info| {
                    info.image_size = model.config().image_size as u32;
                    info.mask_side = model.config().mask_side() as u32;
                    info.precision = match model.precision() {
                        Precision::F32 => SAM2_PRECISION_F32,
                        Precision::Bf16 => SAM2_PRECISION_BF16,
                        Precision::F16 => SAM2_PRECISION_F16,
                        _ => SAM2_PRECISION_AUTO,
                    };
                    info.device = if model.device() == "CPU" { SAM2_DEVICE_CPU } else { SAM2_DEVICE_CUDA };
                    for (to, from) in info.device_name[..63].iter_mut().zip(model.device().bytes()) {
                        *to = from as c_char;
                    }
                })
            }
        })?
    })
}
