//! `sam2_model`

use crate::arguments::{as_path, copy_text, put, text};
use crate::handles::Table;
use crate::options::{Sized32, fill, read};
use crate::status::{Failure, Result, call, release, sam2_status};
use engine::engine::memory::try_with_capacity;
use engine::{Checkpoint, Device, LoadOptions, Model, Precision, Workspace};
use std::ffi::{CStr, c_char, c_void};
use std::ops::Range;
use std::path::Path;

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

/// bfloat16 on a GPU and on a CPU that multiplies it (AVX512-BF16, Arm's BF16), else float32.
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
    /// A configuration: the text of one in the reference's structure, the path of a file, or the reference's name of a
    /// published one ("configs/sam2.1/sam2.1_hiera_t.yaml", with or without folders and ending). Null: the one beside the
    /// checkpoint, else the model is recognised by its tensors.
    pub config_yaml: *const c_char,
    /// Changes of the configuration, "model.image_size=512", one per line; null: none.
    pub overrides: *const c_char,
    /// Which GPU, "GPU-" and its UUID as nvidia-smi prints it, in place of `device` and `device_index`; null: these.
    pub device_uuid: *const c_char,
    /// (num_cpus): CPUs that the library's threads are bound to, in turn; the thread that makes a call works too, and stays
    /// where it is. Linux alone. Null: none.
    pub cpus: *const u32,
    /// CPUs in `cpus`, at most 1024.
    pub num_cpus: u32,
    /// Not used.
    pub reserved: u32,
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
        device_uuid: std::ptr::null(),
        cpus: std::ptr::null(),
        num_cpus: 0,
        reserved: 0,
    };
    const NAME: &'static str = "sam2_model_options";
}

pub(crate) static MODELS: Table<Model> = Table::new("model", 1);

/// A model whose predictors work in memory of the caller's, if there is some.
///
/// # Safety
/// Null, or there as long as the predictors.
pub(crate) unsafe fn within(model: &Model, workspace: *mut c_void, size: u64) -> Result<Model> {
    if workspace.is_null() {
        return Ok(model.clone());
    }
    let size = usize::try_from(size).ok().filter(|&n| n <= isize::MAX as usize);
    let size = size.ok_or_else(|| Failure::argument("workspace_size is too large"))?;
    // SAFETY: the caller's promise.
    Ok(model.within(unsafe { Workspace::new(workspace as u64, size) }))
}

/// The options, and the configuration they give.
unsafe fn options(options: *const sam2_model_options) -> Result<(LoadOptions, Option<String>)> {
    // SAFETY: the caller's promise.
    let o = unsafe { read(options) }?;
    // SAFETY: the caller's promise.
    let uuid = unsafe { text("device_uuid", o.device_uuid) }?;
    let by_uuid = |uuid: &str| format!("cuda:{uuid}").parse().ok().filter(|d| matches!(d, Device::Uuid(_)));
    let device = match (uuid, o.device, usize::try_from(o.device_index)) {
        (Some(uuid), ..) => {
            by_uuid(uuid).ok_or_else(|| Failure::argument(format!("device_uuid is no UUID: {uuid}")))?
        }
        (_, SAM2_DEVICE_AUTO, _) => Device::Auto,
        (_, SAM2_DEVICE_CPU, _) => Device::Cpu,
        (_, SAM2_DEVICE_CUDA, Ok(index)) => Device::Cuda(index),
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
    let (config, yaml) = unsafe { configuration(o.config_yaml) }?;
    // SAFETY: the caller's promise.
    let overrides = unsafe { text("overrides", o.overrides) }?;
    if o.num_cpus > 1024 || (o.num_cpus > 0 && o.cpus.is_null()) {
        return Err(Failure::argument(format!("cpus: {} of them, at most 1024", o.num_cpus)));
    }
    // SAFETY: the caller's promise.
    let cpus = (0..o.num_cpus as usize).map(|i| unsafe { o.cpus.add(i).read() } as usize).collect();
    let lines = overrides.unwrap_or_default().lines().filter(|line| !line.trim().is_empty());
    let options = LoadOptions {
        device,
        precision,
        threads: o.threads as usize,
        cpus,
        instructions: None,
        config: config.map(Path::to_path_buf),
        overrides: lines.map(String::from).collect(),
        image_size: (o.image_size > 0).then_some(o.image_size as usize),
        postprocessing: o.no_postprocessing == 0,
        mmap: o.no_mmap == 0,
    };
    Ok((options, yaml.map(String::from)))
}

/// What `config_yaml` gives: a path or a name, or a configuration's text.
unsafe fn configuration<'a>(config: *const c_char) -> Result<(Option<&'a Path>, Option<&'a str>)> {
    if config.is_null() {
        return Ok((None, None));
    }
    // SAFETY: the caller's promise.
    let lossy = unsafe { CStr::from_ptr(config) }.to_string_lossy();
    // YAML has keys, each with a colon; the name of a file or of a published configuration is one line without any.
    let is_name = !lossy.contains(['\n', '{']) && !lossy.contains(": ") && !lossy.ends_with(':');
    // SAFETY: the caller's promise.
    unsafe {
        match is_name {
            true => Ok((Some(as_path("config_yaml", config)?), None)),
            false => Ok((None, text("config_yaml", config)?)),
        }
    }
}

/// Loads a checkpoint, a .safetensors, .pt or .bin file, the index of one in several files, or a folder that holds one, onto
/// a device.
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
                let path = as_path("path", path)?;
                let (options, yaml) = options(options_)?;
                Ok(MODELS.insert(match yaml {
                    Some(_) => engine::load_checkpoint(&engine::open(path, &options)?, &yaml, &options)?,
                    None => engine::load(path, &options)?,
                })?)
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
                let mut bytes = try_with_capacity(size, "a checkpoint")?;
                bytes.extend_from_slice(std::slice::from_raw_parts(data, size));
                let checkpoint = Checkpoint::from_bytes("in memory", bytes)?;
                Ok(MODELS.insert(engine::load_checkpoint(&checkpoint, &yaml, &options)?)?)
            })
        }
    })
}

/// As `sam2_model_load`, of part of an open file, as of a game's archive: `size` bytes from `offset`, or to its end where `size`
/// is 0. The descriptor stays the caller's, and is not needed after the call. Not on Windows.
///
/// # Safety
/// `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_model_load_fd(
    fd: i32,
    offset: u64,
    size: u64,
    options_: *const sam2_model_options,
    out: *mut *mut sam2_model,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise, of both.
        unsafe {
            put("out", out, || {
                let (options, yaml) = options(options_)?;
                let end = if size == 0 { u64::MAX } else { offset.saturating_add(size) };
                let checkpoint = of_descriptor(fd, offset..end, options.mmap)?;
                Ok(MODELS.insert(engine::load_checkpoint(&checkpoint, &yaml, &options)?)?)
            })
        }
    })
}

#[cfg(unix)]
fn of_descriptor(fd: i32, range: Range<u64>, mmap: bool) -> Result<Checkpoint> {
    use std::os::fd::{AsFd, BorrowedFd};
    let name = format!("file descriptor {fd}");
    if fd < 0 {
        return Err(Failure::argument(format!("no {name}")));
    }
    // SAFETY: borrowed for this line; one that is not open fails to be duplicated.
    let own = unsafe { BorrowedFd::borrow_raw(fd) }.as_fd().try_clone_to_owned();
    let own = own.map_err(|source| engine::Error::Io { path: name.clone(), source })?;
    Ok(Checkpoint::from_file(&name, &own.into(), range, mmap)?)
}

#[cfg(not(unix))]
fn of_descriptor(_: i32, _: Range<u64>, _: bool) -> Result<Checkpoint> {
    Err(Failure::argument("file descriptors are not of this system"))
}

/// Lets go of a model.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_model_destroy(model: *mut sam2_model) -> sam2_status {
    release(|| Ok(MODELS.remove(model)?))
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
    /// Bytes of the GPU's memory that nobody uses now; 0 on the CPU.
    pub free_memory: u64,
    /// Bytes of the GPU's memory; 0 on the CPU.
    pub memory: u64,
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
        free_memory: 0,
        memory: 0,
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
        let model = MODELS.get(model)?;
        let [free, all] = model.memory()?.unwrap_or_default();
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
                copy_text(&mut info.device_name, model.device());
                (info.free_memory, info.memory) = (free, all);
            })
        }
    })
}
