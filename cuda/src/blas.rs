//! Products by cuBLASLt, if the library is installed.

use crate::device::{Gemm, LibraryActivation};
use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use sam2_engine::tensor::DType;
use sam2_engine::{Error, Result};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The functions of the library that the engine calls.
const FUNCTIONS: &[&str] = &[
    "cublasLtCreate",
    "cublasLtDestroy",
    "cublasLtGetVersion",
    "cublasLtMatmul",
    "cublasLtMatmulAlgoCheck",
    "cublasLtMatmulAlgoGetHeuristic",
    "cublasLtMatmulDescCreate",
    "cublasLtMatmulDescDestroy",
    "cublasLtMatmulDescSetAttribute",
    "cublasLtMatmulPreferenceCreate",
    "cublasLtMatmulPreferenceDestroy",
    "cublasLtMatmulPreferenceSetAttribute",
    "cublasLtMatrixLayoutCreate",
    "cublasLtMatrixLayoutDestroy",
];

/// The alignment of operands in bytes.
const ALIGN: u32 = 16;
/// The number of rows for which algorithms are chosen, whatever the rows of a product. So the result of a row does not
/// depend on the number of other rows.
const NOMINAL_ROWS: usize = 4096;
/// The library's constant for a transposed operand.
const CUBLAS_OP_T: i32 = 1;

/// The version of the library, such as 130100, if it is installed and complete.
pub fn version() -> Option<usize> {
    static VERSION: OnceLock<Option<usize>> = OnceLock::new();
    *VERSION.get_or_init(|| {
        // SAFETY: looks for the library and its functions, and calls one that returns a number.
        unsafe {
            let whole = sys::is_culib_present()
                && FUNCTIONS.iter().all(|f| sys::culib().get::<unsafe extern "C" fn()>(f.as_bytes()).is_ok());
            whole.then(|| sys::cublasLtGetVersion())
        }
    })
}

fn failed(what: &str) -> impl Fn(CublasError) -> Error + '_ {
    move |e| Error::Device(format!("cuBLASLt, {what}: {:?}", e.0))
}

/// The handle of the library, and the plans of products that were used before.
pub struct Blas {
    handle: sys::cublasLtHandle_t,
    plans: Mutex<HashMap<Gemm, Option<Plan>>>,
}

impl fmt::Debug for Blas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blas").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// The plan of a product of one shape.
struct Plan {
    desc: sys::cublasLtMatmulDesc_t,
    a: sys::cublasLtMatrixLayout_t,
    w: sys::cublasLtMatrixLayout_t,
    out: sys::cublasLtMatrixLayout_t,
    algo: sys::cublasLtMatmulAlgo_t,
}

// SAFETY: the handles are used under the lock, by one thread at a time.
unsafe impl Send for Plan {}

impl Drop for Plan {
    fn drop(&mut self) {
        // SAFETY: each handle was created once, and null handles were never created.
        unsafe {
            for layout in [self.a, self.w, self.out] {
                if !layout.is_null() {
                    let _ = result::destroy_matrix_layout(layout);
                }
            }
            if !self.desc.is_null() {
                let _ = result::destroy_matmul_desc(self.desc);
            }
        }
    }
}

impl Blas {
    /// Scratch memory for the library.
    pub const SCRATCH: usize = 32 << 20;

    /// A handle for the current context. `None` if the library is absent or does not start.
    #[must_use]
    pub fn new() -> Option<Blas> {
        version()?;
        let handle = result::create_handle().ok()?;
        Some(Blas { handle, plans: Mutex::new(HashMap::new()) })
    }

    /// Enqueues a product. Returns false if the library has no algorithm for it.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the library fails.
    pub fn multiply(&self, gemm: &Gemm, scratch: u64, stream: cudarc::driver::sys::CUstream) -> Result<bool> {
        let shape = Gemm { a: 0, w: 0, out: 0, bias: (gemm.bias != 0) as u64, ..*gemm };
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = match plans.entry(shape) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Plan::new(self.handle, &shape)?),
        };
        let Some(plan) = plan else { return Ok(false) };
        let (one, beta) = (1.0f32, if gemm.add { 1.0f32 } else { 0.0 });
        let pointer = |addr: u64| addr as *mut c_void;
        // SAFETY: the plan is for operands of these shapes, which the caller guarantees. The scratch memory has the
        // plan's size.
        unsafe {
            if gemm.bias != 0 {
                set(plan.desc, sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &gemm.bias)?;
            }
            result::matmul(
                self.handle,
                plan.desc,
                (&raw const one).cast(),
                (&raw const beta).cast(),
                pointer(gemm.w),
                plan.w,
                pointer(gemm.a),
                plan.a,
                pointer(gemm.out),
                plan.out,
                pointer(gemm.out),
                plan.out,
                &plan.algo,
                pointer(scratch),
                Blas::SCRATCH,
                stream.cast(),
            )
        }
        .map(|()| true)
        .map_err(failed("a product"))
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        self.plans.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        // SAFETY: the handle was created once.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// Sets an attribute of a product to a value, which has the size of the attribute.
unsafe fn set<T>(
    desc: sys::cublasLtMatmulDesc_t,
    attribute: sys::cublasLtMatmulDescAttributes_t,
    value: &T,
) -> Result<()> {
    // SAFETY: the caller guarantees it.
    unsafe { result::set_matmul_desc_attribute(desc, attribute, (&raw const *value).cast(), size_of::<T>()) }
        .map_err(failed("an attribute"))
}

impl Plan {
    /// Makes the plan of a product. The library is column-major, so its (n, m) is the engine's (m, n): out^T = w a^T
    /// with w transposed. `None` if the library has no algorithm.
    fn new(handle: sys::cublasLtHandle_t, g: &Gemm) -> Result<Option<Plan>> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let plain = g.activation == LibraryActivation::None;
        assert!(plain || !g.add, "the library adds before it applies a function: {g:?}");
        let kind = |dtype| match dtype {
            DType::F16 => sys::cudaDataType::CUDA_R_16F,
            DType::Bf16 => sys::cudaDataType::CUDA_R_16BF,
            _ => sys::cudaDataType::CUDA_R_32F,
        };
        let layout = |dtype, rows: usize, columns: usize, stride: usize| {
            result::create_matrix_layout(kind(dtype), rows as u64, columns as u64, stride as i64)
                .map_err(failed("a layout"))
        };
        let null = std::ptr::null_mut::<c_void>();
        let nothing = || Plan {
            desc: null.cast(),
            a: null.cast(),
            w: null.cast(),
            out: null.cast(),
            algo: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
        };
        // Layouts with the nominal number of rows belong to a separate plan, which is dropped at the end.
        let (mut plan, mut nominal) = (nothing(), nothing());
        // Plain f32 products are computed in f32 and not in TF32.
        let compute = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        plan.desc = result::create_matmul_desc(compute, kind(DType::F32)).map_err(failed("a product"))?;
        plan.w = layout(g.dtype, g.k, g.n, g.ldw)?;
        plan.a = layout(g.dtype, g.k, g.m, g.lda)?;
        plan.out = layout(g.out_dtype, g.n, g.m, g.ldo)?;
        nominal.a = layout(g.dtype, g.k, NOMINAL_ROWS, g.lda)?;
        nominal.out = layout(g.out_dtype, g.n, NOMINAL_ROWS, g.ldo)?;
        use sys::cublasLtEpilogue_t::*;
        let epilogue = match (g.activation, g.bias != 0) {
            (LibraryActivation::None, false) => CUBLASLT_EPILOGUE_DEFAULT,
            (LibraryActivation::None, true) => CUBLASLT_EPILOGUE_BIAS,
            (LibraryActivation::Relu, false) => CUBLASLT_EPILOGUE_RELU,
            (LibraryActivation::Relu, true) => CUBLASLT_EPILOGUE_RELU_BIAS,
            (LibraryActivation::TanhGelu, false) => CUBLASLT_EPILOGUE_GELU,
            (LibraryActivation::TanhGelu, true) => CUBLASLT_EPILOGUE_GELU_BIAS,
        };
        let transpose = CUBLAS_OP_T;
        // SAFETY: every value is of its attribute's type.
        unsafe {
            set(plan.desc, Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &transpose)?;
            set(plan.desc, Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
            if g.bias != 0 {
                set(plan.desc, Attribute::CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &kind(g.out_dtype))?;
            }
        }
        Ok(plan.choose(handle, &nominal)?.then_some(plan))
    }

    /// Chooses the algorithm by the layouts of the nominal rows. Returns false if the library has no way to make the product.
    fn choose(&mut self, handle: sys::cublasLtHandle_t, nominal: &Plan) -> Result<bool> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Preference;
        let preference = result::create_matmul_pref().map_err(failed("a preference"))?;
        // SAFETY: every value is of its attribute's type; the preference is destroyed once.
        unsafe {
            let prefer =
                |what, value: *const c_void, bytes| result::set_matmul_pref_attribute(preference, what, value, bytes);
            let (scratch, align) = (Blas::SCRATCH, ALIGN);
            let mut found =
                prefer(Preference::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, (&raw const scratch).cast(), 8);
            for operand in [
                Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
                Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
                Preference::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
            ] {
                found = found.and_then(|()| prefer(operand, (&raw const align).cast(), 4));
            }
            let algo = found.and_then(|()| {
                let (w, a, out) = (self.w, nominal.a, nominal.out);
                result::get_matmul_algo_heuristic(handle, self.desc, w, a, out, out, preference)
            });
            let _ = result::destroy_matmul_pref(preference);
            match algo {
                Ok(found) => self.algo = found.algo,
                Err(CublasError(sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED)) => return Ok(false),
                Err(e) => return Err(failed("the choice of an algorithm")(e)),
            }
            let mut checked = std::mem::zeroed();
            let status = sys::cublasLtMatmulAlgoCheck(
                handle,
                self.desc,
                self.w,
                self.a,
                self.out,
                self.out,
                &self.algo,
                &mut checked,
            );
            let takes = status == sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS && checked.workspaceSize <= Blas::SCRATCH;
            Ok(takes)
        }
    }
}
