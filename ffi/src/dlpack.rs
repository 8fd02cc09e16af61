//! Exchange of tensors with other libraries: DLPack 1 (<https://dmlc.github.io/dlpack/latest/c_api.html>).

use crate::error::{Failure, Result, call, sam2_status};
use crate::image::{
    SAM2_FORMAT_GRAY8, SAM2_FORMAT_RGB_BF16, SAM2_FORMAT_RGB_BF16_PLANAR, SAM2_FORMAT_RGB_F16,
    SAM2_FORMAT_RGB_F16_PLANAR, SAM2_FORMAT_RGB_F32, SAM2_FORMAT_RGB_F32_PLANAR, SAM2_FORMAT_RGB8,
    SAM2_FORMAT_RGB8_PLANAR, SAM2_FORMAT_RGBA8, SAM2_MEMORY_CUDA, SAM2_MEMORY_HOST, sam2_image, sam2_memory,
};
use crate::mask_buffer::{
    SAM2_MASK_BINARY, SAM2_MASK_BITS, SAM2_MASK_LABELS, SAM2_MASK_LOGITS, sam2_mask_buffer, sam2_mask_format,
};
use crate::model::{MODELS, sam2_model};
use crate::options::fill;
use engine::Memory;
use sam2_engine::memory::try_reserve_exact;
use std::ffi::c_void;

/// A tensor and its owner, as dlpack.h of DLPack 1 declares it.
#[derive(Debug)]
pub struct DLManagedTensorVersioned {
    _opaque: [u8; 0],
}

/// `DLManagedTensorVersioned` of dlpack.h.
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
/// Pinned host memory, and managed memory. The host can use both.
const CUDA_HOST: i32 = 3;
const CUDA_MANAGED: i32 = 13;
const INT: u8 = 0;
const UINT: u8 = 1;
const FLOAT: u8 = 2;
const BFLOAT: u8 = 4;
const COMPLEX: u8 = 5;
const BOOL: u8 = 6;

/// Description of a tensor.
struct View {
    data: *mut c_void,
    memory: i32,
    read_only: bool,
    /// Type code and bits of a value.
    kind: (u8, u8),
    shape: Vec<usize>,
    /// In elements.
    strides: Vec<usize>,
}

impl View {
    /// # Safety
    /// `tensor` is NULL, or a tensor whose shape and strides have as many values as it has dimensions.
    unsafe fn of(tensor: *const DLManagedTensorVersioned) -> Result<View> {
        // SAFETY: contract of callers.
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
            // SAFETY: contract of callers.
            let values = unsafe { std::slice::from_raw_parts(p, t.ndim as usize) };
            let small = values.iter().map(|&v| usize::try_from(v).ok().filter(|&v| v < 1 << 40));
            small.collect::<Option<_>>().ok_or_else(|| Failure::argument(format!("a tensor with sizes {values:?}")))
        };
        let shape = list(t.shape)?;
        let strides = if t.strides.is_null() { compact(&shape) } else { list(t.strides)? };
        let end = end_of(&shape, &strides, t.bits).and_then(|bytes| bytes.checked_add(t.byte_offset as usize));
        if end.and_then(|end| end.checked_add(t.data as usize)).is_none_or(|end| end > isize::MAX as usize) {
            return Err(Failure::argument(format!(
                "a tensor of shape {shape:?} and strides {strides:?}: beyond memory"
            )));
        }
        let data = t.data.cast::<u8>().wrapping_add(t.byte_offset as usize).cast();
        Ok(View { data, memory, read_only: managed.flags & READ_ONLY != 0, kind: (t.code, t.bits), shape, strides })
    }
}

/// Bytes from the first element of a tensor to the end of the last one. None if they overflow.
fn end_of(shape: &[usize], strides: &[usize], bits: u8) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    let mut dims = shape.iter().zip(strides);
    let last = dims.try_fold(0usize, |n, (&size, &stride)| n.checked_add((size - 1).checked_mul(stride)?))?;
    last.checked_add(1)?.checked_mul(usize::from(bits).div_ceil(8))
}

/// Strides of a tensor without gaps.
fn compact(shape: &[usize]) -> Vec<usize> {
    let after = |i: usize| shape[i + 1..].iter().fold(1usize, |n, &d| n.saturating_mul(d));
    (0..shape.len()).map(after).collect()
}

/// Name of a type of values.
fn type_name((code, bits): (u8, u8)) -> String {
    let name = match code {
        INT => "int",
        UINT => "uint",
        FLOAT => "float",
        BFLOAT => "bfloat",
        BOOL => "bool",
        COMPLEX => "complex",
        _ => return format!("type {code} of {bits} bits"),
    };
    if code == BOOL { name.into() } else { format!("{name}{bits}") }
}

/// Formats of an image with interleaved channels, and with channels in planes.
fn formats(kind: (u8, u8), channels: usize) -> Option<(i32, Option<i32>)> {
    Some(match (kind, channels) {
        ((UINT, 8), 1) => (SAM2_FORMAT_GRAY8, None),
        ((UINT, 8), 3) => (SAM2_FORMAT_RGB8, Some(SAM2_FORMAT_RGB8_PLANAR)),
        ((UINT, 8), 4) => (SAM2_FORMAT_RGBA8, None),
        ((FLOAT, 32), 3) => (SAM2_FORMAT_RGB_F32, Some(SAM2_FORMAT_RGB_F32_PLANAR)),
        ((FLOAT, 16), 3) => (SAM2_FORMAT_RGB_F16, Some(SAM2_FORMAT_RGB_F16_PLANAR)),
        ((BFLOAT, 16), 3) => (SAM2_FORMAT_RGB_BF16, Some(SAM2_FORMAT_RGB_BF16_PLANAR)),
        _ => return None,
    })
}

impl View {
    /// Finds the rows, columns and channels of an image, and its formats. A missing dimension has length 1.
    fn as_image(&self) -> Option<([(usize, usize); 3], (i32, Option<i32>))> {
        let dims: Vec<(usize, usize)> = self.shape.iter().copied().zip(self.strides.iter().copied()).collect();
        let dims = if let [(1, _), rest @ ..] = &dims[..]
            && rest.len() == 3
        {
            rest
        } else {
            &dims[..]
        };
        match *dims {
            [h, w] => Some(([h, w, (1, 1)], formats(self.kind, 1)?)),
            [a, b, c] => {
                let last = formats(self.kind, c.0).map(|all| ([a, b, c], all));
                last.or_else(|| formats(self.kind, a.0).filter(|_| a.0 != 4).map(|all| ([b, c, a], all)))
            }
            _ => None,
        }
    }
}

/// Describes a tensor as an image.
///
/// The tensor has one of these shapes: (height, width) of uint8, (height, width, channels) or (channels, height,
/// width) of uint8 with 1 or 3 channels or of float32, float16 or bfloat16 with 3 channels, or (height, width, 4) of
/// uint8. If both orders fit, the last dimension is the channels. The channels are red, green and blue. A leading
/// dimension of 1 before three others is dropped. The channels of a pixel are adjacent in memory or in planes,
/// whatever the order of dimensions, and rows may have gaps between them.
///
/// @param tensor The tensor. The caller keeps it and must not delete it while the image is in use.
/// @param image Receives the description. For GPU memory, the caller sets `has_stream` and `stream`.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the tensor is not an image, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_image_from_dlpack(
    tensor: *const DLManagedTensorVersioned,
    image: *mut sam2_image,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        let t = unsafe { View::of(tensor) }?;
        let Some(([(height, row), (width, column), (channels, channel)], (together, apart))) = t.as_image() else {
            let what = "(height, width, 3) and (3, height, width) of uint8, float32, float16 or bfloat16 are";
            let (name, shape) = (type_name(t.kind), &t.shape);
            return Err(Failure::argument(format!("not an image: a tensor of {name} with shape {shape:?}; {what}")));
        };
        // The stride of a dimension of length 1 is meaningless.
        let lies = |pixel, value, between| {
            (width == 1 || column == pixel)
                && (channels == 1 || channel == value)
                && (height == 1 || row >= width.saturating_mul(between))
        };
        let planar = apart.filter(|_| lies(1, channel, 1));
        if planar.is_none() && !lies(channels, 1, channels) {
            let what = "channels of a pixel, or columns, must follow each other without gaps";
            return Err(Failure::argument(format!("an image with strides {:?}: {what}", t.strides)));
        }
        let (width, height) = (u32::try_from(width).unwrap_or(0), u32::try_from(height).unwrap_or(0));
        let size = t.kind.1 as usize / 8;
        let row = if height > 1 { (row * size) as u64 } else { 0 };
        let plane = |i: usize| -> *const c_void {
            let used = i < if planar.is_some() { 3 } else { 1 };
            let at = t.data.cast::<u8>().wrapping_add(channel.saturating_mul(i * size)).cast_const();
            if used { at.cast() } else { std::ptr::null() }
        };
        // SAFETY: contract of callers.
        unsafe {
            fill(image, |image| {
                image.format = planar.unwrap_or(together);
                (image.width, image.height, image.memory) = (width, height, t.memory);
                (image.planes, image.strides) = ([0, 1, 2].map(plane), [row; 3]);
            })
        }
    })
}

/// Describes a tensor as a buffer for masks.
///
/// The type of the values determines the format: uint8 or bool is SAM2_MASK_BINARY, float32 is SAM2_MASK_LOGITS,
/// uint16 is SAM2_MASK_LABELS.
///
/// @param tensor The tensor, writable and without gaps. The caller keeps it and must not delete it while the buffer
///         is in use.
/// @param buffer Receives the description. For GPU memory, the caller sets `has_stream` and `stream`.
/// @return SAM2_OK, SAM2_ERROR_INVALID_ARGUMENT if the tensor cannot receive masks, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_mask_buffer_from_dlpack(
    tensor: *const DLManagedTensorVersioned,
    buffer: *mut sam2_mask_buffer,
) -> sam2_status {
    call(|| {
        // SAFETY: contract of callers.
        let t = unsafe { View::of(tensor) }?;
        let format = match t.kind {
            (UINT | BOOL, 8) => SAM2_MASK_BINARY,
            (FLOAT, 32) => SAM2_MASK_LOGITS,
            (UINT, 16) => SAM2_MASK_LABELS,
            kind => return Err(Failure::argument(format!("no masks: a tensor of {}", type_name(kind)))),
        };
        let dense = compact(&t.shape);
        if t.read_only || (0..t.shape.len()).any(|i| t.shape[i] > 1 && t.strides[i] != dense[i]) {
            return Err(Failure::argument("a tensor for masks is writable and has no gaps"));
        }
        let size = t.shape.iter().fold(t.kind.1 as u64 / 8, |n, &d| n.saturating_mul(d as u64));
        // SAFETY: contract of callers.
        unsafe {
            fill(buffer, |buffer| {
                (buffer.format, buffer.data, buffer.size, buffer.memory) = (format, t.data, size, t.memory);
            })
        }
    })
}

/// Memory of a tensor of the library.
struct Owned {
    managed: Managed,
    shape: Vec<i64>,
    strides: Vec<i64>,
    _host: Vec<u32>,
    _device: Option<Box<dyn Memory>>,
}

unsafe extern "C" fn delete(tensor: *mut Managed) {
    if let Some(tensor) = std::ptr::NonNull::new(tensor) {
        // SAFETY: created by `sam2_tensor_create` and deleted once.
        let owned = unsafe { Box::from_raw(tensor.as_ref().context.cast::<Owned>()) };
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(owned)));
    }
}

/// Creates a tensor for masks.
///
/// @param model The model, whose GPU the memory may be on. The tensor may outlive it.
/// @param format SAM2_MASK_BINARY, SAM2_MASK_LOGITS or SAM2_MASK_LABELS.
/// @param memory A ::sam2_memory. Host memory is zeroed.
/// @param dims (num_dims): the shape.
/// @param num_dims Number of dimensions, 1 to 4.
/// @param out Receives the tensor. The caller owns it, and passes it on or calls its `deleter`.
/// @return SAM2_OK, SAM2_ERROR_DEVICE if the GPU fails, or a common status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sam2_tensor_create(
    model: *const sam2_model,
    format: sam2_mask_format,
    memory: sam2_memory,
    dims: *const i64,
    num_dims: u32,
    out: *mut *mut DLManagedTensorVersioned,
) -> sam2_status {
    call(|| {
        let model = MODELS.get(model)?;
        let (code, bits) = match format {
            SAM2_MASK_BINARY => (UINT, 8),
            SAM2_MASK_LOGITS => (FLOAT, 32),
            SAM2_MASK_LABELS => (UINT, 16),
            SAM2_MASK_BITS => return Err(Failure::argument("no tensor is of bits; use a buffer")),
            other => return Err(Failure::argument(format!("no format {other}"))),
        };
        if dims.is_null() || !(1..=4).contains(&num_dims) {
            return Err(Failure::argument(format!("a tensor of {num_dims} dimensions")));
        }
        // SAFETY: contract of callers.
        let shape = unsafe { std::slice::from_raw_parts(dims, num_dims as usize) }.to_vec();
        let positive = shape.iter().map(|&d| usize::try_from(d).ok().filter(|&d| d > 0)).collect::<Option<Vec<_>>>();
        let wrong = || Failure::argument(format!("a tensor with sizes {shape:?}"));
        let sizes = positive.ok_or_else(wrong)?;
        let bytes = sizes.iter().try_fold(bits as usize / 8, |n, &d| n.checked_mul(d)).ok_or_else(wrong)?;
        let (mut host, mut device) = (Vec::<u32>::new(), None);
        let (data, device_type, device_id) = match memory {
            SAM2_MEMORY_HOST => {
                let full = |_| engine::Error::OutOfMemory { what: "a tensor", bytes };
                try_reserve_exact(&mut host, bytes.div_ceil(4)).map_err(full)?;
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
        // SAFETY: the box was just created and does not move. For `out`, contract of callers.
        unsafe {
            let o = &mut *owned;
            (o.managed.tensor.shape, o.managed.tensor.strides) = (o.shape.as_mut_ptr(), o.strides.as_mut_ptr());
            o.managed.context = owned.cast();
            out.write((&raw mut o.managed).cast());
        }
        Ok(())
    })
}
