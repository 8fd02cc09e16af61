//! Times every hot operation at the sizes of the tiny model, and some at those of the large one, at 1024 pixels. Also
//! times whole calls of the demo model.
//!
//! `cargo bench -p sam2` reports the time and, for products and attention, the arithmetic per second.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sam2::engine::backend::*;
use sam2::engine::cpu::Cpu;
use sam2::engine::tensor::{DType, Tensor, bf16};
use sam2::engine::{MaskBuffer, MaskOut};
use sam2::{Frame, LoadOptions, PixelFormat, Plane, PredictOptions, Prompt, Size, Yuv, YuvMatrix, YuvRange};
use std::hint::black_box;

/// Tensors that live as long as the benchmark.
struct Rig {
    b: Cpu,
}

impl Rig {
    fn words(&self, dtype: DType, dims: &[usize], words: &[u32]) -> Tensor<'static> {
        let memory: &'static _ = Box::leak(Box::new(self.b.alloc(words.len() * 4 + 256, "a benchmark").unwrap()));
        // SAFETY: the memory is leaked and has this size.
        let t = unsafe { Tensor::new(memory.addr(), dtype, dims) };
        self.b.upload(t, bytemuck::cast_slice(words));
        t
    }

    fn floats(&self, dims: &[usize]) -> Tensor<'static> {
        self.values(DType::F32, dims)
    }

    /// Noise as f32 or bf16.
    fn values(&self, dtype: DType, dims: &[usize]) -> Tensor<'static> {
        let values = noise(dims.iter().product());
        match dtype {
            DType::F32 => self.words(dtype, dims, bytemuck::cast_slice(&values)),
            _ => {
                let bits = |v: &f32| u32::from(bf16::from_f32(*v).to_bits());
                let pairs: Vec<u32> = values.chunks_exact(2).map(|v| bits(&v[0]) | bits(&v[1]) << 16).collect();
                self.words(dtype, dims, &pairs)
            }
        }
    }

    fn ints(&self, values: &[i32]) -> Tensor<'static> {
        self.words(DType::I32, &[values.len()], bytemuck::cast_slice(values))
    }

    fn norm(&self, n: usize) -> Norm<'static> {
        Norm { gamma: self.floats(&[n]), beta: self.floats(&[n]), eps: 1e-6 }
    }

    fn linear(&self, dtype: DType, n: usize, k: usize) -> <Cpu as LinearOps>::Linear {
        let (w, b) = (noise(n * k), noise(n));
        self.b.linear_weights(LinearData { w: &w, b: &b, groups: 1, n, k, dtype, few_rows: false }).unwrap()
    }

    /// Times `run` and reports its operations per second.
    fn bench(&self, c: &mut Criterion, name: &str, run: impl Fn(&Cpu)) {
        let before = self.b.counters();
        run(&self.b);
        let work = (self.b.counters() - before).matmul_flops;
        let mut group = c.benchmark_group("op");
        group.sample_size(10);
        if work > 0 {
            group.throughput(Throughput::Elements(work));
        }
        group.bench_function(name, |bench| bench.iter(|| run(&self.b)));
        group.finish();
    }
}

fn noise(n: usize) -> Vec<f32> {
    (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// Products and attention of the encoder.
fn of_the_encoder(c: &mut Criterion, rig: &Rig, dtype: DType) {
    for (m, n, k) in [
        (65_536, 288, 96),
        (16_384, 768, 192),
        (4096, 1152, 384),
        (4096, 384, 1536),
        (1024, 3072, 768),
        (8, 2048, 256),
        (4096, 576, 2304),
    ] {
        let (w, x, out) = (rig.linear(dtype, n, k), rig.values(dtype, &[m, k]), rig.values(dtype, &[m, n]));
        rig.bench(c, &format!("linear {dtype:?} {m}x{n}x{k}"), |b| b.linear(out, x.into(), &w, Epilogue::NONE));
    }
    for (m, n, k) in [(4096, 1536, 384), (4096, 2304, 576)] {
        let (w, x, out) = (rig.linear(dtype, n, k), rig.floats(&[m, k]), rig.values(dtype, &[m, n]));
        let norm = rig.norm(k);
        rig.bench(c, &format!("linear with norm and gelu {dtype:?} {m}x{n}x{k}"), |b| {
            b.linear(out, Input::norm(x, norm), &w, Epilogue::GELU)
        });
    }
    for (side, size, heads, d) in [
        (256, 8, 1, 96),
        (128, 4, 2, 96),
        (64, 14, 4, 96),
        (64, 0, 4, 96),
        (32, 7, 8, 96),
        (64, 16, 8, 72),
        (64, 0, 8, 72),
        (256, 8, 2, 72),
        (128, 4, 4, 72),
        (32, 8, 16, 72),
    ] {
        let (qkv, out) = (rig.values(dtype, &[side, side, 3 * heads * d]), rig.values(dtype, &[side, side, heads * d]));
        let c_ = heads * d;
        let pad = (rig.floats(&[c_]), rig.floats(&[c_]));
        let part = |i: usize| qkv.columns(i * c_, c_);
        rig.bench(c, &format!("window_attention {dtype:?} {side}x{side} windows {size} heads {heads}x{d}"), |b| {
            b.window_attention(out, part(0), part(1), part(2), heads, Windows { size, pad })
        });
    }
}

fn operations(c: &mut Criterion) {
    let rig = Rig { b: Cpu::new(0).unwrap() };
    of_the_encoder(c, &rig, DType::F32);
    if rig.b.isa().multiplies_bf16() {
        of_the_encoder(c, &rig, DType::Bf16);
    }
    let (x, norm) = (rig.floats(&[4096, 384]), rig.norm(384));
    rig.bench(c, "layer_norm 4096x384", |b| b.layer_norm(x, x, norm, Activation::None));

    let (p, t, hw, d) = (8, 8, 4096, 256);
    let (keys, pos) = (rig.floats(&[p, hw, d]), rig.floats(&[hw, d]));
    let (q, out) = (rig.floats(&[p, t * 8, d]), rig.floats(&[p, t * 8, d]));
    let source = rig.ints(&[0, 1, 2, 3, 4, 5, 6, 7]);
    rig.bench(c, "attend_image 8 prompts", |b| b.attend_image(out, q, keys, source, pos, 0.25));
    let tokens = TokenAttention {
        k: rig.floats(&[p, t, 8, d]),
        score_bias: rig.floats(&[p, t, 8]),
        v: rig.floats(&[p, t, 8, d]),
        bias: rig.floats(&[d]),
        norm: rig.norm(d),
        lens: rig.ints(&[8; 8]),
        scale: 0.25,
    };
    let updated = rig.floats(&[p, hw, d]);
    rig.bench(c, "update_image 8 prompts", |b| b.update_image(updated, keys, source, pos, tokens));
    let (dc1, dc2, norm) = (rig.linear(DType::F32, 256, 256), rig.linear(DType::F32, 128, 64), rig.norm(64));
    let high = (rig.floats(&[1, 128, 128, 64]), rig.floats(&[1, 256, 256, 32]));
    let (hyper, masks, image) = (rig.floats(&[p, 4, 32]), rig.floats(&[p, 4, 256, 256]), rig.ints(&[0; 8]));
    let keys = keys.view(&[p, 64, 64, d]);
    rig.bench(c, "upscale_masks 8 prompts", |b| b.upscale_masks(masks, keys, hyper, high, image, &dc1, norm, &dc2));

    let selected = rig.ints(&[0; 8]).view(&[p, 1]);
    let mut binary = vec![0u8; p * 1280 * 720];
    let binary = std::cell::RefCell::new(&mut binary);
    rig.bench(c, "write_masks 8 masks of 1280x720", |b| {
        let mut binary = binary.borrow_mut();
        let out = MaskOut::new(MaskBuffer::binary(&mut binary), 0.0, Size::new(1280, 720));
        b.write_masks(out, masks, Some(selected))
    });
    let (measures, measure) =
        (rig.ints(&[0; 56]).view(&[p, 7]), Measure { threshold: 0.0, offset: 1.0, height: 720, width: 1280 });
    rig.bench(c, "measure_masks 8 masks of 1280x720", |b| b.measure_masks(measures, masks, Some(selected), measure));
    let mut map = vec![0u16; 1280 * 720];
    let map = std::cell::RefCell::new(&mut map);
    rig.bench(c, "write_labels 8 masks of 1280x720", |b| {
        let mut map = map.borrow_mut();
        let out = MaskOut::new(MaskBuffer::labels(&mut map), 0.0, Size::new(1280, 720));
        b.write_labels(out, masks, Some(selected), None)
    });
    let (labels, cleaned) = (rig.ints(&vec![0; p * 65_536]).view(&[p, 1, 256, 256]), rig.floats(&[p, 1, 256, 256]));
    let areas = rig.ints(&vec![0; p * 65_536]).view(&[p, 1, 256, 256]);
    let cleaning = Cleaning { threshold: 0.0, hole: 8.0, sprinkle: 8.0, margin: 10.0 };
    rig.bench(c, "clean_masks 8 masks", |b| b.clean_masks(cleaned, masks, selected, labels, areas, cleaning));

    let pixels = vec![120u8; 1920 * 1080 * 3];
    let frame = Frame::rgb8(&pixels, Size::new(1920, 1080)).unwrap();
    let picture = rig.floats(&[1024, 1024, 3]);
    rig.bench(c, "preprocess 1920x1080 to 1024", |b| b.preprocess(picture, &frame, Filter::Bilinear));
    rig.bench(c, "preprocess 1920x1080 to 1024, of a video", |b| b.preprocess(picture, &frame, Filter::Bicubic));
    let nv12 = PixelFormat::Nv12(Yuv { matrix: YuvMatrix::Bt709, range: YuvRange::Limited });
    let planes = [Plane::new(&pixels, 1920), Plane::new(&pixels, 1920)];
    let frame = Frame::planes(nv12, &planes, Size::new(1920, 1080)).unwrap();
    rig.bench(c, "preprocess 1920x1080 of NV12 to 1024", |b| b.preprocess(picture, &frame, Filter::Bilinear));
    rig.bench(c, "preprocess 1920x1080 of NV12 to 1024, of a video", |b| {
        b.preprocess(picture, &frame, Filter::Bicubic)
    });
}

fn calls(c: &mut Criterion) {
    let mut group = c.benchmark_group("demo");
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/demo");
    group.bench_function("load", |bench| bench.iter(|| sam2::load(demo, &LoadOptions::default()).unwrap()));
    let model = sam2::load(demo, &LoadOptions::default()).unwrap();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    let pixels = vec![120u8; 480 * 360 * 3];
    let frame = Frame::rgb8(&pixels, Size::new(480, 360)).unwrap();
    group.bench_function("set_image", |bench| bench.iter(|| predictor.set_image(&frame).unwrap()));
    for n in [1, 64] {
        let prompts: Vec<Prompt<'_>> = (0..n).map(|i| Prompt::new().point(7.0 * i as f32, 5.0 * i as f32, 1)).collect();
        group.bench_function(format!("predict {n}"), |bench| {
            bench.iter(|| black_box(predictor.predict(&prompts, PredictOptions::default()).unwrap()))
        });
    }
    group.finish();
}

criterion_group!(benches, operations, calls);
criterion_main!(benches);
