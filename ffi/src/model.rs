//! `sam2_model`: the weights of a model on a device.

use crate::arguments::{as_path, bytes, copy_text, put, text};
use crate::error::{Failure, Result, call, release, sam2_status};
use crate::handles::Table;
use crate::limits;
use crate::options::{Sized32, fill, read};
use crate::sent::Sent;
use engine::{Checkpoint, Device, LoadOptions, LoadProgress, Model, Precision, Workspace};
use sam2_engine::memory::try_with_capacity;
use std::ffi::{CStr, c_char, c_void};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The weights of a model on a device.
///
/// Any number of threads and predictors share a model. Predictors keep what they need of it, so a model may be
/// destroyed before its predictors.
#[derive(Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_model {
    _opaque: [u8; 0],
}

/// Type of device.
#[allow(non_camel_case_types)]
pub type sam2_device = i32;

/// The first GPU if CUDA works, otherwise the CPU.
pub const SAM2_DEVICE_AUTO: sam2_device = 0;
/// The CPU.
pub const SAM2_DEVICE_CPU: sam2_device = 1;
/// An NVIDIA GPU.
pub const SAM2_DEVICE_CUDA: sam2_device = 2;

/// Numeric precision of a model.
#[allow(non_camel_case_types)]
pub type sam2_precision = i32;

/// bfloat16 on a GPU, and on a CPU with bfloat16 products (AVX512-BF16, Arm BF16). Otherwise float32.
pub const SAM2_PRECISION_AUTO: sam2_precision = 0;
/// float32, as in the reference.
pub const SAM2_PRECISION_F32: sam2_precision = 1;
/// bfloat16.
pub const SAM2_PRECISION_BF16: sam2_precision = 2;
/// float16.
pub const SAM2_PRECISION_F16: sam2_precision = 3;

/// Receives how far the loading of a model is, after every tensor, on the thread that loads.
///
/// @param user Pointer of ::sam2_model_options.
/// @param fraction Part of the model that is loaded, 0 to 1.
/// @return 0 to continue. Any other value ends the loading with SAM2_ERROR_CANCELLED.
#[allow(non_camel_case_types)]
pub type sam2_load_callback = Option<unsafe extern "C" fn(user: *mut c_void, fraction: f32) -> i32>;

/// Options of sam2_model_load(). Initialize them with SAM2_MODEL_OPTIONS_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_model_options {
    /// sizeof(sam2_model_options).
    pub struct_size: u32,
    /// A ::sam2_device.
    pub device: sam2_device,
    /// Index of the GPU in the driver's order.
    pub device_index: i32,
    /// A ::sam2_precision.
    pub precision: sam2_precision,
    /// Number of CPU threads. 0 uses all that the machine offers.
    pub threads: u32,
    /// Side of the model's input in pixels, a multiple of 32. 0 uses the value of the configuration.
    pub image_size: u32,
    /// 1 disables the choice of single masks by stability and the filling of holes, as apply_postprocessing=False of
    /// the reference.
    pub no_postprocessing: i32,
    /// 1 reads the file instead of mapping it. Truncating a file that is mapped crashes the process.
    pub no_mmap: i32,
    /// A configuration: YAML text in the reference's structure, the path of such a file, or the reference's name of a
    /// published configuration ("configs/sam2.1/sam2.1_hiera_t.yaml", with or without folders and extension). NULL
    /// uses the configuration beside the checkpoint, or recognizes the model by its tensors.
    pub config_yaml: *const c_char,
    /// Changes to the configuration, one per line, such as "model.image_size=512". May be NULL.
    pub overrides: *const c_char,
    /// UUID of a GPU as nvidia-smi prints it, starting with "GPU-". It replaces `device` and `device_index`. May be
    /// NULL.
    pub device_uuid: *const c_char,
    /// (num_cpus) CPUs to bind the library's threads to, in turn. The calling thread, which also works, is not bound.
    /// Linux only. May be NULL.
    pub cpus: *const u32,
    /// Number of `cpus`, at most 1024.
    pub num_cpus: u32,
    /// Unused.
    pub reserved: u32,
    /// Receives how far the loading is. May be NULL.
    pub on_progress: sam2_load_callback,
    /// Passed to `on_progress`. May be NULL.
    pub user: *mut c_void,
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
        on_progress: None,
        user: std::ptr::null_mut(),
    };
    const NAME: &'static str = "sam2_model_options";
}

pub(crate) static MODELS: Table<Model> = Table::new("model", 1);

/// Returns the model, with the workspace of the caller for its predictors if there is one.
///
/// # Safety
/// The workspace is NULL, or remains valid until the predictors are destroyed.
pub(crate) unsafe fn within(model: &Model, workspace: *mut c_void, size: u64) -> Result<Model> {
    if workspace.is_null() {
        return Ok(model.clone());
    }
    let size = usize::try_from(size).ok().filter(|&n| n <= isize::MAX as usize);
    let size = size.ok_or_else(|| Failure::argument("workspace_size is too large"))?;
    // SAFETY: contract of callers.
    Ok(model.within(unsafe { Workspace::new(workspace as u64, size) }))
}

/// Reads the options, and the text of a configuration if they contain one.
unsafe fn load_options(options: *const sam2_model_options) -> Result<(LoadOptions, Option<String>)> {
    // SAFETY: contract of callers.
    let o = unsafe { read(options) }?;
    // SAFETY: contract of callers.
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
    // SAFETY: contract of callers.
    let (config, yaml) = unsafe { configuration(o.config_yaml) }?;
    // SAFETY: contract of callers.
    let overrides = unsafe { text("overrides", o.overrides) }?;
    if o.num_cpus > 1024 || (o.num_cpus > 0 && o.cpus.is_null()) {
        return Err(Failure::argument(format!("cpus: {} of them, at most 1024", o.num_cpus)));
    }
    // SAFETY: contract of callers.
    let cpus = (0..o.num_cpus as usize).map(|i| unsafe { o.cpus.add(i).read() } as usize).collect();
    let lines = overrides.unwrap_or_default().lines().filter(|line| !line.trim().is_empty());
    let options = LoadOptions {
        device,
        precision,
        threads: o.threads as usize,
        cpus,
        isa: None,
        config: config.map(Path::to_path_buf),
        overrides: lines.map(String::from).collect(),
        image_size: (o.image_size > 0).then_some(o.image_size as usize),
        postprocessing: o.no_postprocessing == 0,
        mmap: o.no_mmap == 0,
        // SAFETY: contract of callers.
        progress: unsafe { progress(&o) },
    };
    Ok((options, yaml.map(String::from)))
}

/// Returns the function that is told how far the loading is.
///
/// # Safety
/// Contract of callbacks.
unsafe fn progress(o: &sam2_model_options) -> Option<LoadProgress> {
    // SAFETY: the thread that loads calls the function, while the caller waits.
    let (on_progress, user) = (o.on_progress?, Mutex::new(unsafe { Sent::new(o.user) }));
    Some(LoadProgress::new(move |part| {
        let user = user.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: contract of callbacks.
        unsafe { on_progress(*user.get(), part) == 0 }
    }))
}

/// Reads `config_yaml`: a path or a name, or the text of a configuration.
unsafe fn configuration<'a>(config: *const c_char) -> Result<(Option<&'a Path>, Option<&'a str>)> {
    if config.is_null() {
        return Ok((None, None));
    }
    // SAFETY: contract of callers.
    let lossy = unsafe { CStr::from_ptr(config) }.to_string_lossy();
    // YAML has keys with colons. A file name or the name of a published configuration is one line without any.
    let is_name = !lossy.contains(['\n', '{']) && !lossy.contains(": ") && !lossy.ends_with(':');
    // SAFETY: contract of callers.
    unsafe {
        match is_name {
            true => Ok((Some(as_path("config_yaml", config)?), None)),
            false => Ok((None, text("config_yaml", config)?)),
        }
    }
}

/// Loads a model within the time limit of the thread, and writes its handle to `*out`.
///
/// # Safety
/// `out` is NULL or writable.
unsafe fn insert(out: *mut *mut sam2_model, load: impl FnOnce() -> Result<Model>) -> Result<()> {
    // SAFETY: contract of callers.
    unsafe { put("out", out, || Ok(MODELS.insert(limits::token().run(load)?)?)) }
}

/// Loads a checkpoint onto a device.
///
/// Blocks while the file is read and the weights are prepared, for seconds with a large model. `on_progress` and
/// sam2_set_time_limit() can end the call.
///
/// @param path Path of a .safetensors, .pt or .bin file, of the index of a checkpoint in several files, or of a
///         folder that holds one of these. Must not be NULL.
/// @param options Options. NULL uses the defaults.
/// @param out Receives the model. Destroy it with sam2_model_destroy().
/// @return SAM2_OK, SAM2_ERROR_IO if the file cannot be read, SAM2_ERROR_MODEL if the checkpoint or the configuration
///         is not usable, SAM2_ERROR_DEVICE if the device is missing or fails, SAM2_ERROR_CANCELLED if `on_progress`
///         returns a nonzero value, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_model_load(
    path: *const c_char,
    options: *const sam2_model_options,
    out: *mut *mut sam2_model,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            insert(out, || {
                let path = as_path("path", path)?;
                let (options, yaml) = load_options(options)?;
                Ok(match yaml {
                    Some(_) => engine::load_checkpoint(&options.open_checkpoint(path)?, yaml.as_deref(), &options)?,
                    None => engine::load(path, &options)?,
                })
            })
        }
    })
}

/// Loads a checkpoint that is in memory. Otherwise as sam2_model_load().
///
/// @param data The bytes of the checkpoint. They are not used after the call.
/// @param size Number of bytes, greater than 0.
/// @param options Options. NULL uses the defaults.
/// @param out Receives the model. Destroy it with sam2_model_destroy().
/// @return As sam2_model_load().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_model_load_memory(
    data: *const u8,
    size: usize,
    options: *const sam2_model_options,
    out: *mut *mut sam2_model,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            insert(out, || {
                let data = bytes(data, size)?;
                let (options, yaml) = load_options(options)?;
                let mut copy = try_with_capacity(size, "a checkpoint")?;
                copy.extend_from_slice(data);
                let checkpoint = Checkpoint::from_bytes("in memory", copy)?;
                Ok(engine::load_checkpoint(&checkpoint, yaml.as_deref(), &options)?)
            })
        }
    })
}

/// Loads a checkpoint that is part of an open file, such as an archive. Otherwise as sam2_model_load().
///
/// Not supported on Windows.
///
/// @param fd File descriptor that can be read. The caller keeps it and may close it after the call.
/// @param offset Offset of the checkpoint in the file, in bytes.
/// @param size Size of the checkpoint in bytes. 0 extends to the end of the file.
/// @param options Options. NULL uses the defaults.
/// @param out Receives the model. Destroy it with sam2_model_destroy().
/// @return As sam2_model_load().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_model_load_fd(
    fd: i32,
    offset: u64,
    size: u64,
    options: *const sam2_model_options,
    out: *mut *mut sam2_model,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        unsafe {
            insert(out, || {
                let (options, yaml) = load_options(options)?;
                let end = if size == 0 { u64::MAX } else { offset.saturating_add(size) };
                let checkpoint = of_descriptor(fd, offset..end, options.mmap)?;
                Ok(engine::load_checkpoint(&checkpoint, yaml.as_deref(), &options)?)
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
    // SAFETY: borrowed for this expression. Duplicating a descriptor that is not open fails.
    let own = unsafe { BorrowedFd::borrow_raw(fd) }.as_fd().try_clone_to_owned();
    let own = own.map_err(|source| engine::Error::Io { path: name.clone(), source })?;
    Ok(Checkpoint::from_file(&name, &own.into(), range, mmap)?)
}

#[cfg(not(unix))]
fn of_descriptor(_: i32, _: Range<u64>, _: bool) -> Result<Checkpoint> {
    Err(Failure::argument("file descriptors are not of this system"))
}

/// Destroys a model.
///
/// Predictors of the model remain valid. The memory is freed with the last of them.
///
/// @param model The model.
/// @return SAM2_OK, or SAM2_ERROR_INVALID_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn sam2_model_destroy(model: *mut sam2_model) -> sam2_status {
    release(|| Ok(MODELS.remove(model)?))
}

/// Description of a model. Initialize it with SAM2_MODEL_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types)]
pub struct sam2_model_info {
    /// sizeof(sam2_model_info).
    pub struct_size: u32,
    /// Side of the model's input in pixels.
    pub image_size: u32,
    /// Side of low-resolution masks in pixels.
    pub mask_side: u32,
    /// A ::sam2_precision.
    pub precision: sam2_precision,
    /// SAM2_DEVICE_CPU or SAM2_DEVICE_CUDA.
    pub device: sam2_device,
    /// Name of the device, truncated to fit.
    pub device_name: [c_char; 64],
    /// Free memory of the GPU in bytes. 0 on the CPU.
    pub free_memory: u64,
    /// Total memory of the GPU in bytes. 0 on the CPU.
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

/// Describes a model.
///
/// @param model The model.
/// @param info Receives the description, as far as its `struct_size` reaches.
/// @return SAM2_OK, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_model_get_info(model: *const sam2_model, info: *mut sam2_model_info) -> sam2_status {
    call(|| {
        let model = MODELS.get(model)?;
        let memory = model.memory()?.unwrap_or_default();
        // SAFETY: contract of callers.
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
                (info.free_memory, info.memory) = (memory.free, memory.total);
            })
        }
    })
}
