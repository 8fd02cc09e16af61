//! Tensors of other libraries: DLPack 1 (<https://dmlc.github.io/dlpack/latest/c_api.html>).

use crate::image::{
    SAM2_FORMAT_GRAY8, SAM2_FORMAT_RGB_F32, SAM2_FORMAT_RGB_F32_PLANAR, SAM2_FORMAT_RGB8, SAM2_FORMAT_RGBA8,
    SAM2_MEMORY_CUDA, SAM2_MEMORY_HOST, sam2_image,
};
use crate::masks::{SAM2_MASK_BITS, SAM2_MASK_LABELS, SAM2_MASK_LOGITS, SAM2_MASK_U8, sam2_mask_buffer};
use crate::model::{MODELS, sam2_model};
use crate::options::fill;
use crate::status::{Failure, Result, call, sam2_status};
use engine::Memory;
use std::ffi::c_void;

/// A tensor with its owner, as dlpack.h declares it.
pub struct DLManagedTensorVersioned {
    _opaque: [u8; 0],
}

/// What dlpack.h declares.
#[repr(C)]
struct Managed {
    version: [u32; 2],
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Managed)>,
    flags: u64,
    tensor: Tensor,
}

#[repr(C)]
struct Tensor {
    data: *mut c_void,
    device_type: i32,
    device_id: i32,
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

const READ_ONLY: u64 = 1;
const CPU: i32 = 1;
const CUDA: i32 = 2;
/// Memory of the host that GPUs see, and memory that moves: the host may use both.
const CUDA_HOST: i32 = 3;
const CUDA_MANAGED: i32 = 13;
const UINT: u8 = 1;
const FLOAT: u8 = 2;
const BOOL: u8 = 6;

/// What a tensor says.
struct View {
    data: *mut c_void,
    memory: i32,
    read_only: bool,
    /// Code and bits.
    kind: (u8, u8),
    shape: Vec<usize>,
    /// In elements.
    strides: Vec<usize>,
}

impl View {
    /// # Safety
    /// Null or a tensor, with shape and strides of its number of dimensions.
    unsafe fn of(tensor: *const DLManagedTensorVersioned) -> Result<View> {
        // SAFETY: the caller's promise.
        let managed = unsafe { tensor.cast::<Managed>().as_ref() };
        let managed = managed.ok_or_else(|| Failure::argument("tensor is null"))?;
        if managed.version[0] != 1 {
            return Err(Failure::argument(format!("a tensor of DLPack {}, not 1", managed.version[0])));
        }
        let t = &managed.tensor;
        let memory = match t.device_type {
            CPU | CUDA_HOST => SAM2_MEMORY_HOST,
            CUDA | CUDA_MANAGED => SAM2_MEMORY_CUDA,
            other => return Err(Failure::argument(format!("a tensor on a device of type {other}"))),
        };
        if !(1..=4).contains(&t.ndim) || t.shape.is_null() || t.lanes != 1 || t.data.is_null() {
            return Err(Failure::argument(format!("a tensor of {} dimensions with {} lanes", t.ndim, t.lanes)));
        }
        let list = |p: *const i64| -> Result<Vec<usize>> {
            // SAFETY: the caller's promise.
            let values = unsafe { std::slice::from_raw_parts(p, t.ndim as usize) };
            let small = values.iter().map(|&v| usize::try_from(v).ok().filter(|&v| v < 1 << 40));
            small.collect::<Option<_>>().ok_or_else(|| Failure::argument(format!("a tensor with sizes {values:?}")))
        };
        let shape = list(t.shape)?;
        let strides = if t.strides.is_null() { compact(&shape) } else { list(t.strides)? };
        let data = t.data.cast::<u8>().wrapping_add(t.byte_offset as usize).cast();
        Ok(View { data, memory, read_only: managed.flags & READ_ONLY != 0, kind: (t.code, t.bits), shape, strides })
    }
}

/// The strides of a tensor without gaps.
fn compact(shape: &[usize]) -> Vec<usize> {
    let after = |i: usize| shape[i + 1..].iter().fold(1usize, |n, &d| n.saturating_mul(d));
    (0..shape.len()).map(after).collect()
}

/// Describes a tensor as an image: (height, width) or (height, width, 1, 3 or 4) of uint8, (height, width, 3) of float32, or
/// (3, height, width) of float32; red, green, blue. Rows may have gaps between them. The tensor stays the caller's, and must be
/// there as long as the image is used; of memory of a GPU, `has_stream` and `stream` are for the caller to set.
///
/// # Safety
/// `tensor` is a tensor; `image` points at as many writable bytes as its `struct_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_from_dlpack(
    tensor: *const DLManagedTensorVersioned,
    image: *mut sam2_image,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise.
        let t = unsafe { View::of(tensor) }?;
        let (format, planar) = match (t.kind, &t.shape[..]) {
            ((UINT, 8), [_, _] | [_, _, 1]) => (SAM2_FORMAT_GRAY8, false),
            ((UINT, 8), [_, _, 3]) => (SAM2_FORMAT_RGB8, false),
            ((UINT, 8), [_, _, 4]) => (SAM2_FORMAT_RGBA8, false),
            ((FLOAT, 32), [_, _, 3]) => (SAM2_FORMAT_RGB_F32, false),
            ((FLOAT, 32), [3, _, _]) => (SAM2_FORMAT_RGB_F32_PLANAR, true),
            (kind, shape) => return Err(Failure::argument(format!("no picture: type {kind:?}, shape {shape:?}"))),
        };
        let (size, first) = (t.kind.1 as usize / 8, planar as usize);
        let (height, width) = (t.shape[first], t.shape[first + 1]);
        let pixel: usize = t.shape[2..].iter().product::<usize>() * !planar as usize + planar as usize;
        // Within a row there are no gaps; of a picture one pixel wide, or channel, the strides say nothing.
        let dense = compact(&t.shape);
        let within = (first + 1..t.shape.len()).all(|i| t.shape[i] == 1 || t.strides[i] == dense[i]);
        if !within || (height > 1 && t.strides[first] < width * pixel) {
            return Err(Failure::argument(format!("a picture with strides {:?}", t.strides)));
        }
        let (width, height) = (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0));
        let row = if height > 1 { (t.strides[first] * size) as u64 } else { 0 };
        let plane = |i: usize| -> *const c_void {
            t.data.cast::<u8>().wrapping_add(t.strides[0].saturating_mul(i * size)).cast()
        };
        // SAFETY: the caller's promise.
        unsafe {
            fill(image, |image| {
                (image.format, image.width, image.height, image.memory) = (format, width, height, t.memory);
                image.planes = if planar {
                    [0, 1, 2].map(plane)
                } else {
                    [t.data, std::ptr::null_mut(), std::ptr::null_mut()].map(|p| p as *const c_void)
                };
                image.strides = if planar { [row; 3] } else { [row, 0, 0] };
            })
        }
    })
}

/// Describes a tensor without gaps as a buffer for masks: uint8 or bool as SAM2_MASK_U8, float32 as SAM2_MASK_LOGITS, uint16 as
/// SAM2_MASK_LABELS. The tensor stays the caller's, as of `sam2_image_from_dlpack`.
///
/// # Safety
/// `tensor` is a tensor; `buffer` points at as many writable bytes as its `struct_size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_buffer_from_dlpack(
    tensor: *const DLManagedTensorVersioned,
    buffer: *mut sam2_mask_buffer,
) -> sam2_status {
    call(|| {
        // SAFETY: the caller's promise.
        let t = unsafe { View::of(tensor) }?;
        let kind = match t.kind {
            (UINT | BOOL, 8) => SAM2_MASK_U8,
            (FLOAT, 32) => SAM2_MASK_LOGITS,
            (UINT, 16) => SAM2_MASK_LABELS,
            kind => return Err(Failure::argument(format!("no masks: type {kind:?}"))),
        };
        let dense = compact(&t.shape);
        if t.read_only || (0..t.shape.len()).any(|i| t.shape[i] > 1 && t.strides[i] != dense[i]) {
            return Err(Failure::argument("a tensor for masks is writable and has no gaps"));
        }
        let size = t.shape.iter().fold(t.kind.1 as u64 / 8, |n, &d| n.saturating_mul(d as u64));
        // SAFETY: the caller's promise.
        unsafe {
            fill(buffer, |buffer| {
                (buffer.kind, buffer.data, buffer.size, buffer.memory) = (kind, t.data, size, t.memory);
            })
        }
    })
}

/// What a tensor of the library's owns.
struct Owned {
    managed: Managed,
    shape: Vec<i64>,
    strides: Vec<i64>,
    _host: Vec<u32>,
    _device: Option<Box<dyn Memory>>,
}

unsafe extern "C" fn delete(tensor: *mut Managed) {
    if let Some(tensor) = std::ptr::NonNull::new(tensor) {
        // SAFETY: made by `sam2_tensor_create`, deleted once.
        let owned = unsafe { Box::from_raw(tensor.as_ref().context.cast::<Owned>()) };
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(owned)));
    }
}

/// Makes a tensor for masks of `kind` (SAM2_MASK_U8, SAM2_MASK_LOGITS or SAM2_MASK_LABELS), (dims[0], ..., dims[num_dims - 1]),
/// 1 to 4 of them, in `memory`: the host's, where it is zeros, or that of the model's GPU. It is the caller's, who hands it on, or
/// deletes it by its own `deleter`; it outlives the model.
///
/// # Safety
/// `dims` has `num_dims` values; `out` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_tensor_create(
    model: *const sam2_model,
    kind: i32,
    memory: i32,
    dims: *const i64,
    num_dims: u32,
    out: *mut *mut DLManagedTensorVersioned,
) -> sam2_status {
    call(|| {
        let model = MODELS.get(model)?;
        let (code, bits) = match kind {
            SAM2_MASK_U8 => (UINT, 8),
            SAM2_MASK_LOGITS => (FLOAT, 32),
            SAM2_MASK_LABELS => (UINT, 16),
            SAM2_MASK_BITS => return Err(Failure::argument("no tensor is of bits; use a buffer")),
            other => return Err(Failure::argument(format!("no kind {other}"))),
        };
        if dims.is_null() || !(1..=4).contains(&num_dims) {
            return Err(Failure::argument(format!("a tensor of {num_dims} dimensions")));
        }
        // SAFETY: the caller's promise.
        let shape = unsafe { std::slice::from_raw_parts(dims, num_dims as usize) }.to_vec();
        let positive = shape.iter().map(|&d| usize::try_from(d).ok().filter(|&d| d > 0)).collect::<Option<Vec<_>>>();
        let wrong = || Failure::argument(format!("a tensor with sizes {shape:?}"));
        let sizes = positive.ok_or_else(wrong)?;
        let bytes = sizes.iter().try_fold(bits as usize / 8, |n, &d| n.checked_mul(d)).ok_or_else(wrong)?;
        let (mut host, mut device) = (Vec::<u32>::new(), None);
        let (data, device_type, device_id) = match memory {
            SAM2_MEMORY_HOST => {
                let full = |_| engine::Error::OutOfMemory { what: "a tensor", bytes };
                host.try_reserve_exact(bytes.div_ceil(4)).map_err(full)?;
                host.resize(bytes.div_ceil(4), 0);
                (host.as_mut_ptr().cast::<c_void>(), CPU, 0)
            }
            SAM2_MEMORY_CUDA if model.device() != "CPU" => {
                let memory = model.alloc(bytes)?;
                let data = memory.addr() as usize as *mut c_void;
                device = Some(memory);
                (data, CUDA, model.device_index() as i32)
            }
            SAM2_MEMORY_CUDA => {
                return Err(Failure::argument("a tensor in a GPU's memory, but the model runs on the CPU"));
            }
            other => return Err(Failure::argument(format!("no memory {other}"))),
        };
        if out.is_null() {
            return Err(Failure::argument("out is null"));
        }
        let strides = compact(&sizes).into_iter().map(|s| s as i64).collect();
        let tensor = Tensor {
            data,
            device_type,
            device_id,
            ndim: num_dims as i32,
            code,
            bits,
            lanes: 1,
            shape: std::ptr::null_mut(),
            strides: std::ptr::null_mut(),
            byte_offset: 0,
        };
        let managed =
            Managed { version: [1, 0], context: std::ptr::null_mut(), deleter: Some(delete), flags: 0, tensor };
        let owned = Box::into_raw(Box::new(Owned { managed, shape, strides, _host: host, _device: device }));
        // SAFETY: just made, and it stays where it is; `out` is the caller's promise.
        unsafe {
            let o = &mut *owned;
            (o.managed.tensor.shape, o.managed.tensor.strides) = (o.shape.as_mut_ptr(), o.strides.as_mut_ptr());
            o.managed.context = owned.cast();
            out.write((&raw mut o.managed).cast());
        }
        Ok(())
    })
}
