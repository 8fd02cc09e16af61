//! Every operation of the backend against plain loops in f64, at odd sizes, on every instruction set of this CPU.
//!
//! The checks are generic over the backend: another one calls `check_all` with itself.

mod common;

use common::distance;
use sam2::backend::*;
use sam2::cpu::{Cpu, simd::Isa};
use sam2::tensor::{DType, Tensor};
use sam2::{Frame, MaskData, MaskOut, PixelFormat};

/// Numbers that are the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }
}

/// A tensor with memory of its own, which ends in a red zone.
struct Owned<'b, B: Backend> {
    b: &'b B,
    memory: B::Memory,
    dtype: DType,
    dims: Vec<usize>,
}

const ZONE: usize = 64;

impl<'b, B: Backend> Owned<'b, B> {
    fn filled(b: &'b B, dtype: DType, dims: &[usize], words: &[u32]) -> Self {
        let n: usize = dims.iter().product();
        assert_eq!(n, words.len());
        let owned = Owned { b, memory: b.alloc((n + ZONE) * 4, "a test").unwrap(), dtype, dims: dims.to_vec() };
        let mut all = words.to_vec();
        all.resize(n + ZONE, 0x7fc0_beef);
        b.upload(owned.whole(), bytemuck::cast_slice(&all));
        owned
    }

    fn new(b: &'b B, dims: &[usize], values: &[f32]) -> Self {
        Self::filled(b, DType::F32, dims, bytemuck::cast_slice(values))
    }

    fn ints(b: &'b B, values: &[i32]) -> Self {
        Self::filled(b, DType::I32, &[values.len()], bytemuck::cast_slice(values))
    }

    fn nan(b: &'b B, dims: &[usize]) -> Self {
        Self::new(b, dims, &vec![f32::NAN; dims.iter().product()])
    }

    fn whole(&self) -> Tensor<'_> {
        let n: usize = self.dims.iter().product();
        // SAFETY: allocated with this size.
        unsafe { Tensor::new(self.memory.addr(), DType::I32, &[n + ZONE]) }
    }

    fn at(&self) -> Tensor<'_> {
        // SAFETY: allocated with this size and more.
        unsafe { Tensor::new(self.memory.addr(), self.dtype, &self.dims) }
    }

    /// The contents, after a look at the red zone.
    fn words(&self) -> Vec<u32> {
        let mut all = vec![0u32; self.whole().len()];
        self.b.download(bytemuck::cast_slice_mut(&mut all), self.whole());
        self.b.sync().unwrap();
        let zone = all.split_off(all.len() - ZONE);
        assert!(zone.iter().all(|&w| w == 0x7fc0_beef), "written past the end of {:?}", self.dims);
        all
    }

    fn floats(&self) -> Vec<f32> {
        self.words().into_iter().map(f32::from_bits).collect()
    }
}

fn check(what: &str, got: &[f32], want: &[f64], tolerance: f32) {
    let want: Vec<f32> = want.iter().map(|&v| v as f32).collect();
    let d = distance(got, &want);
    assert!(d <= tolerance, "{what}: off by {d:.2e}, {tolerance:.0e} allowed");
}

fn erf(x: f64) -> f64 {
    let x = x.clamp(-4.2, 4.2); // beyond, the series loses more digits than erf has left
    let (mut term, mut sum) = (x, x);
    for n in 1..400 {
        term *= -x * x / n as f64;
        sum += term / (2 * n + 1) as f64;
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

fn activate(a: Activation, x: f64) -> f64 {
    match a {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Gelu => x / 2.0 * (1.0 + erf(x / 2f64.sqrt())),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
    }
}

fn normalise(x: &[f64], gamma: &[f32], beta: &[f32], eps: f32) -> Vec<f64> {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let r = 1.0 / (variance + eps as f64).sqrt();
    x.iter().zip(gamma.iter().zip(beta)).map(|(v, (g, b))| (v - mean) * r * *g as f64 + *b as f64).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&v| v as f64).collect()
}

fn linear<B: Backend>(b: &B) {
    let mut r = Random(1);
    for (m, n, k, groups) in [
        (1, 1, 1, 1),
        (3, 5, 7, 1),
        (13, 33, 31, 1),
        (50, 100, 147, 1),
        (257, 96, 24, 1),
        (8, 64, 300, 1),
        (9, 17, 4, 8),
        (5, 1, 16, 3),
    ] {
        let (w, bias) = (r.floats(groups * n * k), r.floats(groups * n));
        let weights = b.linear_weights(LinearData { w: &w, b: &bias, groups, n, k }).unwrap();
        let (x, y, add) = (r.floats(m * groups * k), r.floats(m * groups * k), r.floats(m * groups * n));
        let (gamma, beta) = (r.floats(k), r.floats(k));
        let (tx, ty) = (Owned::new(b, &[m, groups * k], &x), Owned::new(b, &[m, groups * k], &y));
        let (tg, tb) = (Owned::new(b, &[k], &gamma), Owned::new(b, &[k], &beta));
        let norm = Norm { gamma: tg.at(), beta: tb.at(), eps: 1e-6 };
        let mut inputs = vec![("plain", Input::from(tx.at()), wide(&x))];
        inputs.push((
            "sum",
            Input::sum(tx.at(), ty.at()),
            x.iter().zip(&y).map(|(a, b)| *a as f64 + *b as f64).collect(),
        ));
        if groups == 1 {
            let rows = x.chunks(k).flat_map(|row| normalise(&wide(row), &gamma, &beta, 1e-6)).collect();
            inputs.push(("norm", Input::norm(tx.at(), norm), rows));
        }
        for (name, input, rows) in inputs {
            let sum = |i: usize, j: usize| {
                let (g, j) = (j / n, j % n);
                let dot: f64 = (0..k).map(|c| rows[(i * groups + g) * k + c] * w[(g * n + j) * k + c] as f64).sum();
                dot + bias[g * n + j] as f64
            };
            for activation in [Activation::None, Activation::Relu, Activation::Gelu, Activation::Sigmoid] {
                let want: Vec<f64> = (0..m * groups * n)
                    .map(|i| activate(activation, sum(i / (groups * n), i % (groups * n))))
                    .collect();
                let out = Owned::nan(b, &[m, groups * n]);
                b.linear(out.at(), input, &weights, Epilogue::activation(activation));
                check(&format!("linear {m}x{n}x{k}x{groups} {name} {activation:?}"), &out.floats(), &want, 3e-6);
            }
            // The residual connection: the addend is the output.
            let out = Owned::new(b, &[m, groups * n], &add);
            b.linear(out.at(), input, &weights, Epilogue::add(out.at()));
            let want: Vec<f64> =
                (0..m * groups * n).map(|i| sum(i / (groups * n), i % (groups * n)) + add[i] as f64).collect();
            check(&format!("linear {m}x{n}x{k}x{groups} {name} residual"), &out.floats(), &want, 3e-6);
        }
    }
    // Strided views in and out, and an addend of half the size.
    let (h, w, n, k) = (6, 10, 19, 11);
    let (weights, x, low) = (r.floats(n * k), r.floats(h * w * 3 * k), r.floats(h / 2 * (w / 2) * n));
    let packed = b.linear_weights(LinearData { w: &weights, b: &[], groups: 1, n, k }).unwrap();
    let (tx, tl) = (Owned::new(b, &[h, w, 3 * k], &x), Owned::new(b, &[h / 2, w / 2, n], &low));
    let out = Owned::nan(b, &[h, w, n]);
    b.linear(out.at(), tx.at().columns(k, k).into(), &packed, Epilogue::add_upsampled(tl.at()));
    let at = |i: usize, j: usize| {
        let dot: f64 = (0..k).map(|c| x[i * 3 * k + k + c] as f64 * weights[j * k + c] as f64).sum();
        dot + low[((i / w / 2) * (w / 2) + i % w / 2) * n + j] as f64
    };
    check("linear upsampled", &out.floats(), &(0..h * w * n).map(|i| at(i / n, i % n)).collect::<Vec<_>>(), 3e-6);
}

fn conv2d<B: Backend>(b: &B) {
    let mut r = Random(2);
    for (images, h, w, cin, cout, kernel, stride, pad) in [
        (1, 9, 11, 3, 5, 7, 4, 3),
        (2, 8, 6, 4, 16, 2, 2, 0),
        (1, 5, 4, 7, 9, 3, 1, 1),
        (1, 16, 16, 1, 4, 4, 4, 0),
        (1, 2, 2, 3, 33, 7, 4, 3),
    ] {
        let (oh, ow) = ((h + 2 * pad - kernel) / stride + 1, (w + 2 * pad - kernel) / stride + 1);
        let (weights, bias) = (r.floats(cout * kernel * kernel * cin), r.floats(cout));
        let (x, position) = (r.floats(images * h * w * cin), r.floats(images * oh * ow * cout));
        let data = LinearData { w: &weights, b: &bias, groups: 1, n: cout, k: kernel * kernel * cin };
        let conv = Conv { weights: b.linear_weights(data).unwrap(), kernel, stride, pad };
        let (tx, tp) = (Owned::new(b, &[images, h, w, cin], &x), Owned::new(b, &[images, oh, ow, cout], &position));
        let out = Owned::nan(b, &[images, oh, ow, cout]);
        b.conv2d(out.at(), tx.at(), &conv, Epilogue::add(tp.at()));
        let mut want = Vec::new();
        for (i, p) in position.iter().enumerate() {
            let (co, ox, oy, image) = (i % cout, i / cout % ow, i / cout / ow % oh, i / cout / ow / oh);
            let mut sum = bias[co] as f64 + *p as f64;
            for (ky, kx, c) in (0..kernel * kernel * cin).map(|j| (j / cin / kernel, j / cin % kernel, j % cin)) {
                let (y, x_) = ((oy * stride + ky).wrapping_sub(pad), (ox * stride + kx).wrapping_sub(pad));
                if y < h && x_ < w {
                    let v = x[((image * h + y) * w + x_) * cin + c] as f64;
                    sum += v * weights[((co * kernel + ky) * kernel + kx) * cin + c] as f64;
                }
            }
            want.push(sum);
        }
        check(&format!("conv2d {h}x{w}x{cin} {kernel}/{stride}"), &out.floats(), &want, 3e-6);
    }
}

fn norms_and_pools<B: Backend>(b: &B) {
    let mut r = Random(3);
    for (rows, c) in [(1, 1), (5, 4), (3, 31), (100, 96), (7, 1152)] {
        let (x, gamma, beta) = (r.floats(rows * c), r.floats(c), r.floats(c));
        let (tx, tg, tb) = (Owned::new(b, &[rows, c], &x), Owned::new(b, &[c], &gamma), Owned::new(b, &[c], &beta));
        let norm = Norm { gamma: tg.at(), beta: tb.at(), eps: 1e-5 };
        for activation in [Activation::None, Activation::Gelu] {
            let want: Vec<f64> = (x.chunks(c).flat_map(|row| normalise(&wide(row), &gamma, &beta, 1e-5)))
                .map(|v| activate(activation, v))
                .collect();
            let out = Owned::nan(b, &[rows, c]);
            b.layer_norm(out.at(), tx.at(), norm, activation);
            check(&format!("layer_norm {rows}x{c}"), &out.floats(), &want, 3e-6);
        }
        b.layer_norm(tx.at(), tx.at(), norm, Activation::None);
        let want: Vec<f64> = x.chunks(c).flat_map(|row| normalise(&wide(row), &gamma, &beta, 1e-5)).collect();
        check(&format!("layer_norm in place {rows}x{c}"), &tx.floats(), &want, 3e-6);

        let out = Owned::nan(b, &[rows, c]);
        b.add_vector(out.at(), tx.at(), tg.at());
        let want: Vec<f64> = tx.floats().iter().enumerate().map(|(i, v)| *v as f64 + gamma[i % c] as f64).collect();
        check("add_vector", &out.floats(), &want, 1e-7);
    }
    let (h, w, c) = (3, 5, 17);
    let x = r.floats(4 * h * w * 2 * c);
    let tx = Owned::new(b, &[2 * h, 2 * w, 2 * c], &x);
    let out = Owned::nan(b, &[h, w, c]);
    b.max_pool2x2(out.at(), tx.at().columns(c, c));
    let at = |y: usize, x_: usize, j: usize| x[(y * 2 * w + x_) * 2 * c + c + j] as f64;
    let want: Vec<f64> = (0..h * w * c)
        .map(|i| {
            let (y, x, j) = (i / c / w * 2, i / c % w * 2, i % c);
            at(y, x, j).max(at(y, x + 1, j)).max(at(y + 1, x, j)).max(at(y + 1, x + 1, j))
        })
        .collect();
    check("max_pool2x2", &out.floats(), &want, 0.0);
}

/// softmax(scale q k^T) v; each of `keys` is a key, its value, and what is added to its score.
fn attend(q: &[f64], keys: &[(Vec<f64>, Vec<f64>, f64)], scale: f64) -> Vec<f64> {
    let scores: Vec<f64> =
        keys.iter().map(|(k, _, add)| scale * (q.iter().zip(k).map(|(a, b)| a * b).sum::<f64>() + add)).collect();
    let max = scores.iter().copied().fold(f64::MIN, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - max).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut out = vec![0.0; keys[0].1.len()];
    for (w, (_, v, _)) in weights.iter().zip(keys) {
        out.iter_mut().zip(v).for_each(|(o, v)| *o += w / total * v);
    }
    out
}

fn window_attention<B: Backend>(b: &B) {
    let mut r = Random(4);
    for (h, w, size, pool, heads, d) in [
        (8, 8, 4, 1, 1, 24),
        (10, 6, 4, 1, 2, 7),
        (10, 6, 4, 2, 2, 56),
        (16, 16, 14, 1, 3, 96),
        (5, 5, 7, 1, 4, 9),
        (18, 20, 0, 1, 2, 33),
        (18, 20, 0, 2, 1, 72),
        (17, 19, 16, 1, 1, 256),
        (21, 25, 0, 1, 1, 20),
    ] {
        let c = heads * d;
        let (qkv, pad) = (r.floats(h * w * 3 * c).iter().map(|v| v * 3.0).collect::<Vec<_>>(), r.floats(2 * c));
        let pooled = r.floats(h / pool * (w / pool) * c);
        let (tx, tp) = (Owned::new(b, &[h, w, 3 * c], &qkv), Owned::new(b, &[2, c], &pad));
        let tq = Owned::new(b, &[h / pool, w / pool, c], &pooled);
        let (q, qs): (Tensor<'_>, Box<dyn Fn(usize, usize) -> f64>) = if pool == 1 {
            (tx.at().columns(0, c), Box::new(|i, j| qkv[i * 3 * c + j] as f64))
        } else {
            (tq.at(), Box::new(|i, j| pooled[i * c + j] as f64))
        };
        let out = Owned::nan(b, &[h / pool, w / pool, c]);
        let pads = (tp.at().slice(0, 1).view(&[c]), tp.at().slice(1, 1).view(&[c]));
        let (k, v) = (tx.at().columns(c, c), tx.at().columns(2 * c, c));
        b.window_attention(out.at(), q, k, v, heads, Windows { size, pad: pads });
        let (sh, sw) = if size == 0 { (h, w) } else { (size, size) };
        let mut want = vec![0.0; out.at().len()];
        for i in 0..h / pool * (w / pool) {
            let (y, x) = (i / (w / pool) * pool / sh * sh, i % (w / pool) * pool / sw * sw);
            for head in 0..heads {
                let of = |x: &dyn Fn(usize) -> f64| (0..d).map(|j| x(head * d + j)).collect::<Vec<f64>>();
                let mut keys = Vec::new();
                for (ky, kx) in (0..sh * sw).map(|t| (y + t / sw, x + t % sw)) {
                    let at = |part: usize| move |j: usize| (ky * w + kx) * 3 * c + part * c + j;
                    keys.push(if ky < h && kx < w {
                        (of(&|j| qkv[at(1)(j)] as f64), of(&|j| qkv[at(2)(j)] as f64), 0.0)
                    } else {
                        (of(&|j| pad[j] as f64), of(&|j| pad[c + j] as f64), 0.0)
                    });
                }
                let row = attend(&of(&|j| qs(i, j)), &keys, 1.0 / (d as f64).sqrt());
                want[i * c + head * d..][..d].copy_from_slice(&row);
            }
        }
        check(&format!("window_attention {h}x{w} {size}/{pool} {heads}x{d}"), &out.floats(), &want, 3e-6);
    }
}

fn token_attention<B: Backend>(b: &B) {
    let mut r = Random(5);
    for (p, t, heads, d, lens) in [(1, 7, 8, 4, &[7][..]), (3, 11, 8, 32, &[6, 11, 9]), (2, 300, 1, 5, &[300, 7])] {
        let c = heads * d;
        let (qk, v) = (r.floats(p * t * 2 * c), r.floats(p * t * c));
        let (tx, tv) = (Owned::new(b, &[p, t, 2 * c], &qk), Owned::new(b, &[p, t, c], &v));
        let (out, tl) = (Owned::nan(b, &[p, t, c]), Owned::ints(b, lens));
        b.token_attention(out.at(), tx.at().columns(0, c), tx.at().columns(c, c), tv.at(), heads, tl.at());
        let got = out.floats();
        for (i, &len) in lens.iter().enumerate() {
            for token in 0..len as usize {
                for head in 0..heads {
                    let of = |x: &[f32], stride: usize, row: usize, from: usize| {
                        wide(&x[row * stride + from + head * d..][..d])
                    };
                    let keys: Vec<_> = (0..len as usize)
                        .map(|k| (of(&qk, 2 * c, i * t + k, c), of(&v, c, i * t + k, 0), 0.0))
                        .collect();
                    let want = attend(&of(&qk, 2 * c, i * t + token, 0), &keys, 1.0 / (d as f64).sqrt());
                    check("token_attention", &got[(i * t + token) * c + head * d..][..d], &want, 5e-6);
                }
            }
        }
    }
}

fn image_attention<B: Backend>(b: &B) {
    let mut r = Random(6);
    for (p, s, t, lens, hw, c, source) in [
        (1, 1, 7, &[7][..], 4, 32, &[0][..]),
        (3, 2, 9, &[6, 9, 7], 300, 64, &[1, 0, 1]),
        (2, 2, 40, &[40, 8], 1100, 128, &[0, 1]),
        (1, 1, 8, &[8], 2050, 256, &[0]),
    ] {
        let heads = 8;
        let n = t * heads;
        let (keys, pos, q) = (r.floats(s * hw * c), r.floats(hw * c), r.floats(p * n * c));
        let (tk, tp) = (Owned::new(b, &[s, hw, c], &keys), Owned::new(b, &[hw, c], &pos));
        let (tq, ts) = (Owned::new(b, &[p, n, c], &q), Owned::ints(b, source));
        let scale = 0.3;
        let out = Owned::nan(b, &[p, n, c]);
        b.attend_image(out.at(), tq.at(), tk.at(), ts.at(), tp.at(), scale);
        let pixel = |i: usize, at: usize| &keys[(source[i] as usize * hw + at) * c..][..c];
        let summed = |i: usize, at: usize| -> Vec<f64> {
            pixel(i, at).iter().zip(&pos[at * c..]).map(|(a, b)| *a as f64 + *b as f64).collect()
        };
        let mut want = Vec::new();
        for i in 0..p {
            let rows: Vec<_> = (0..hw).map(|at| (summed(i, at), wide(pixel(i, at)), 0.0)).collect();
            for query in 0..n {
                want.extend(attend(&wide(&q[(i * n + query) * c..][..c]), &rows, scale as f64));
            }
        }
        check(&format!("attend_image {p}x{n} {hw}x{c}"), &out.floats(), &want, 1e-5);

        let (k, v, score_bias) = (r.floats(p * n * c), r.floats(p * n * c), r.floats(p * n));
        let (bias, gamma, beta) = (r.floats(c), r.floats(c), r.floats(c));
        let dims = [p, t, heads, c];
        let (tk2, tv, tsb) =
            (Owned::new(b, &dims, &k), Owned::new(b, &dims, &v), Owned::new(b, &[p, t, heads], &score_bias));
        let (tbias, tg, tb) = (Owned::new(b, &[c], &bias), Owned::new(b, &[c], &gamma), Owned::new(b, &[c], &beta));
        let tl = Owned::ints(b, lens);
        let tokens = TokenAttention {
            k: tk2.at(),
            score_bias: tsb.at(),
            v: tv.at(),
            bias: tbias.at(),
            norm: Norm { gamma: tg.at(), beta: tb.at(), eps: 1e-5 },
            lens: tl.at(),
            scale,
        };
        let out = Owned::nan(b, &[p, hw, c]);
        b.update_image(out.at(), tk.at(), ts.at(), tp.at(), tokens);
        let mut want = Vec::new();
        for i in 0..p {
            for at in 0..hw {
                let mut row: Vec<f64> = pixel(i, at).iter().zip(&bias).map(|(a, b)| *a as f64 + *b as f64).collect();
                for h in 0..heads {
                    let rows: Vec<_> = (0..lens[i] as usize)
                        .map(|token| {
                            let j = i * n + token * heads + h;
                            (wide(&k[j * c..][..c]), wide(&v[j * c..][..c]), score_bias[j] as f64)
                        })
                        .collect();
                    let read = attend(&summed(i, at), &rows, scale as f64);
                    row.iter_mut().zip(read).for_each(|(r, v)| *r += v);
                }
                want.extend(normalise(&row, &gamma, &beta, 1e-5));
            }
        }
        check(&format!("update_image {p}x{t} {hw}x{c}"), &out.floats(), &want, 1e-5);
        if s == p && source.iter().enumerate().all(|(i, &s)| i == s as usize) {
            b.update_image(tk.at(), tk.at(), ts.at(), tp.at(), tokens);
            assert_eq!(tk.words(), out.words(), "update_image in place");
        }
    }
}

fn upscale_masks<B: Backend>(b: &B) {
    let mut r = Random(7);
    for (p, h, w, c, images, image) in [(1, 2, 3, 32, 1, &[0][..]), (2, 5, 7, 64, 2, &[1, 0]), (1, 9, 8, 256, 1, &[0])]
    {
        let (c1, c0, m) = (c / 4, c / 8, 4);
        let (keys, hyper) = (r.floats(p * h * w * c), r.floats(p * m * c0));
        let (high1, high0) = (r.floats(images * 4 * h * w * c1), r.floats(images * 16 * h * w * c0));
        let (w1, b1, w2, b2) = (r.floats(4 * c1 * c), r.floats(4 * c1), r.floats(4 * c0 * c1), r.floats(4 * c0));
        let (gamma, beta) = (r.floats(c1), r.floats(c1));
        let dc1 = b.linear_weights(LinearData { w: &w1, b: &b1, groups: 1, n: 4 * c1, k: c }).unwrap();
        let dc2 = b.linear_weights(LinearData { w: &w2, b: &b2, groups: 1, n: 4 * c0, k: c1 }).unwrap();
        let (tk, th) = (Owned::new(b, &[p, h, w, c], &keys), Owned::new(b, &[p, m, c0], &hyper));
        let t1 = Owned::new(b, &[images, 2 * h, 2 * w, c1], &high1);
        let t0 = Owned::new(b, &[images, 4 * h, 4 * w, c0], &high0);
        let (tg, tb, ti) = (Owned::new(b, &[c1], &gamma), Owned::new(b, &[c1], &beta), Owned::ints(b, image));
        let norm = Norm { gamma: tg.at(), beta: tb.at(), eps: 1e-6 };
        let out = Owned::nan(b, &[p, m, 4 * h, 4 * w]);
        b.upscale_masks(out.at(), tk.at(), th.at(), (t1.at(), t0.at()), ti.at(), &dc1, norm, &dc2);

        // A transposed convolution: (h, w, k) to (2h, 2w, n), its weights' rows (2, 2, n).
        let enlarge = |x: &[f64], h: usize, w: usize, weights: &[f32], bias: &[f32], n: usize, k: usize| -> Vec<f64> {
            (0..4 * h * w * n)
                .map(|i| {
                    let (j, x_, y) = (i % n, i / n % (2 * w), i / n / (2 * w));
                    let row = (y % 2 * 2 + x_ % 2) * n + j;
                    let from = &x[(y / 2 * w + x_ / 2) * k..][..k];
                    from.iter().zip(&weights[row * k..]).map(|(a, b)| a * *b as f64).sum::<f64>() + bias[row] as f64
                })
                .collect()
        };
        let mut want = Vec::new();
        for i in 0..p {
            let picture = image[i] as usize;
            let u = enlarge(&wide(&keys[i * h * w * c..][..h * w * c]), h, w, &w1, &b1, c1, c);
            let u: Vec<f64> = u.iter().zip(&high1[picture * 4 * h * w * c1..]).map(|(a, b)| a + *b as f64).collect();
            let u: Vec<f64> = u.chunks(c1).flat_map(|row| normalise(row, &gamma, &beta, 1e-6)).collect();
            let u: Vec<f64> = u.iter().map(|&v| activate(Activation::Gelu, v)).collect();
            let u = enlarge(&u, 2 * h, 2 * w, &w2, &b2, c0, c1);
            let u: Vec<f64> = (u.iter().zip(&high0[picture * 16 * h * w * c0..]))
                .map(|(a, b)| activate(Activation::Gelu, a + *b as f64))
                .collect();
            for mask in 0..m {
                let by = &hyper[(i * m + mask) * c0..][..c0];
                want.extend(u.chunks(c0).map(|px| px.iter().zip(by).map(|(a, b)| a * *b as f64).sum::<f64>()));
            }
        }
        check(&format!("upscale_masks {h}x{w}x{c}"), &out.floats(), &want, 5e-6);
    }
}

fn prompts<B: Backend>(b: &B) {
    let mut r = Random(8);
    let (p, t, c) = (2, 9, 22);
    let (points, labels, lens) = (r.floats(p * 3 * 2), [1, 0, -1, 2, 3, 1], [9, 7]);
    let (outputs, gaussian, embeddings) = (r.floats(6 * c), r.floats(c), r.floats(5 * c));
    let (tp, tl, tn) = (Owned::new(b, &[p, 3, 2], &points), Owned::ints(b, &labels), Owned::ints(b, &lens));
    let (to, tg, te) =
        (Owned::new(b, &[6, c], &outputs), Owned::new(b, &[2, c / 2], &gaussian), Owned::new(b, &[5, c], &embeddings));
    let out = Owned::nan(b, &[p, t, c]);
    b.embed_points(out.at(), tp.at(), tl.at().view(&[p, 3]), tn.at(), to.at(), tg.at(), te.at());
    let mut want = Vec::new();
    for i in 0..p {
        want.extend(wide(&outputs));
        for j in 0..3 {
            let (label, xy) = (labels[i * 3 + j], &points[(i * 3 + j) * 2..][..2]);
            for k in 0..c {
                let f = k % (c / 2);
                let angle = std::f64::consts::TAU
                    * ((2.0 * xy[0] as f64 - 1.0) * gaussian[f] as f64
                        + (2.0 * xy[1] as f64 - 1.0) * gaussian[c / 2 + f] as f64);
                let wave = if k < c / 2 { angle.sin() } else { angle.cos() };
                let on = (6 + j < lens[i] as usize) as u8 as f64;
                want.push(on * ((label >= 0) as u8 as f64 * wave + embeddings[(label + 1) as usize * c + k] as f64));
            }
        }
    }
    check("embed_points", &out.floats(), &want, 1e-6);

    let (hw, c, images) = (37, 19, 2);
    let (embed, dense, vector) = (r.floats(images * hw * c), r.floats(2 * hw * c), r.floats(c));
    let (image, mask) = ([1, 0, 1], [-1, 1, 0]);
    let (te, td, tv) =
        (Owned::new(b, &[images, hw, c], &embed), Owned::new(b, &[2, hw, c], &dense), Owned::new(b, &[c], &vector));
    let (ti, tm) = (Owned::ints(b, &image), Owned::ints(b, &mask));
    let out = Owned::nan(b, &[3, hw, c]);
    b.image_keys(out.at(), te.at(), ti.at(), td.at(), tm.at(), tv.at());
    let want: Vec<f64> = (0..3 * hw * c)
        .map(|i| {
            let (e, at) = (i / (hw * c), i % (hw * c));
            let add = if mask[e] < 0 { vector[at % c] } else { dense[mask[e] as usize * hw * c + at] };
            embed[image[e] as usize * hw * c + at] as f64 + add as f64
        })
        .collect();
    check("image_keys", &out.floats(), &want, 1e-7);
}

fn selection<B: Backend>(b: &B) {
    let (h, w) = (3, 5);
    // Of 15 pixels, mask 0 of the first prompt has 10 above 0.05 and 11 above -0.05; of the second, 11 and 11; the third
    // has none above either.
    let plane = |high: usize, low: usize| {
        (0..15).map(move |i| {
            if i < high {
                1.0
            } else if i < low {
                0.0
            } else {
                -1.0
            }
        })
    };
    let mut masks = Vec::new();
    for (high, low) in [(10, 11), (11, 11), (0, 0)] {
        masks.extend(plane(high, low));
        masks.extend([0.25; 45]);
    }
    let iou = [0.9, 0.1, 0.8, 0.8, 0.9, 0.1, 0.2, 0.3, 0.9, 0.5, 0.4, 0.3];
    let (tm, ti) = (Owned::new(b, &[3, 4, h, w], &masks), Owned::new(b, &[3, 4], &iou));
    let stable = |thresh| Selection::Stable { delta: 0.05, thresh };
    for (selection, want) in [
        (Selection::Multimask, vec![1, 2, 3, 1, 2, 3, 1, 2, 3]),
        (Selection::Single, vec![0, 0, 0]),
        (stable(0.98), vec![2, 0, 0]), // of equals the first; none at all counts as stable
        (stable(0.9), vec![0, 0, 0]),
    ] {
        let out = Owned::ints(b, &vec![-7; want.len()]);
        b.select_masks(out.at().view(&[3, selection.masks()]), tm.at(), ti.at(), selection);
        let got: Vec<i32> = out.words().into_iter().map(|w| w as i32).collect();
        assert_eq!(got, want, "{selection:?}");
    }
}

fn cleaning<B: Backend>(b: &B) {
    // Two planes; the second is the one that is selected. A hole of 2 joined by a corner, a speck of 1, and the rest.
    let picture = ["#######", "#.#####", "##.####", "#######", ".......", "...#...", "......."];
    let plane: Vec<f32> = picture.iter().flat_map(|r| r.bytes()).map(|c| if c == b'#' { 2.0 } else { -2.0 }).collect();
    let (h, w) = (7, 7);
    let mut masks = vec![0.5; 4 * h * w];
    masks[2 * h * w..3 * h * w].copy_from_slice(&plane);
    let (tm, ts) = (Owned::new(b, &[1, 4, h, w], &masks), Owned::ints(b, &[2]));
    for (hole, sprinkle) in [(0.0, 0.0), (1.0, 1.0), (2.0, 0.0), (2.0, 1.0), (100.0, 100.0)] {
        let (out, labels, areas) = (Owned::nan(b, &[1, 1, h, w]), Owned::ints(b, &[0; 49]), Owned::ints(b, &[0; 49]));
        let scratch = |t: &Owned<'_, B>| t.at().addr();
        assert_ne!(scratch(&labels), scratch(&areas));
        let cleaning = Cleaning { threshold: 0.5, hole, sprinkle };
        let selected = ts.at().view(&[1, 1]);
        b.clean_masks(
            out.at(),
            tm.at(),
            selected,
            labels.at().view(&[1, 1, h, w]),
            areas.at().view(&[1, 1, h, w]),
            cleaning,
        );
        let got = out.floats();
        for (i, &v) in plane.iter().enumerate() {
            let area = match (i / w, i % w) {
                (1, 1) | (2, 2) => 2.0,
                (5, 3) => 1.0,
                (0..=3, _) => 26.0,
                _ => 20.0,
            };
            let want = match v > 0.5 {
                true if area <= sprinkle => -9.5,
                false if area <= hole => 10.5,
                _ => v,
            };
            assert_eq!(got[i], want, "pixel {i}, holes of {hole}, sprinkles of {sprinkle}");
        }
    }
}

/// Bilinear samples as PyTorch takes them.
fn resized(x: &[f32], (h, w): (usize, usize), (oh, ow): (usize, usize)) -> Vec<f64> {
    let pair = |i: usize, from: usize, to: usize| {
        let at = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
        let first = (at as usize).min(from - 1);
        (first, (first + 1).min(from - 1), at - first as f64)
    };
    (0..oh * ow)
        .map(|i| {
            let ((y0, y1, ty), (x0, x1, tx)) = (pair(i / ow, h, oh), pair(i % ow, w, ow));
            let at = |y: usize, x_: usize| x[y * w + x_] as f64;
            let line = |y: usize| at(y, x0) * (1.0 - tx) + at(y, x1) * tx;
            line(y0) * (1.0 - ty) + line(y1) * ty
        })
        .collect()
}

fn masks_out<B: Backend>(b: &B) {
    let mut r = Random(9);
    let (p, h, w) = (2, 8, 6);
    let masks: Vec<f32> = r.floats(p * 4 * h * w).iter().map(|v| v * 40.0).collect();
    let (tm, ts) = (Owned::new(b, &[p, 4, h, w], &masks), Owned::ints(b, &[3, 1, 0, 2]));
    for (oh, ow) in [(8, 6), (1, 1), (131, 57), (3, 70)] {
        let mut want = Vec::new();
        for plane in [3, 1, 4, 6] {
            want.extend(resized(&masks[plane * h * w..][..h * w], (h, w), (oh, ow)));
        }
        let mut logits = vec![f32::NAN; want.len()];
        let out = MaskOut { data: MaskData::Logits(&mut logits, 32.0), height: oh, width: ow };
        b.write_masks(out, tm.at(), Some(ts.at().view(&[p, 2])));
        b.sync().unwrap();
        let clamped: Vec<f64> = want.iter().map(|v| v.clamp(-32.0, 32.0)).collect();
        check(&format!("write_masks {oh}x{ow}"), &logits, &clamped, 1e-5);
        let mut bits = vec![9u8; want.len()];
        let out = MaskOut { data: MaskData::Binary(&mut bits, 1.5), height: oh, width: ow };
        b.write_masks(out, tm.at(), Some(ts.at().view(&[p, 2])));
        b.sync().unwrap();
        for (bit, v) in bits.iter().zip(&want) {
            assert!(*bit == (*v > 1.5) as u8 || (v - 1.5).abs() < 1e-3, "{oh}x{ow}: {bit} for {v}");
        }
    }
    let mut all = vec![f32::NAN; masks.len()];
    b.write_masks(MaskOut { data: MaskData::Logits(&mut all, f32::INFINITY), height: h, width: w }, tm.at(), None);
    b.sync().unwrap();
    assert_eq!(all, masks, "write_masks of one size copies");
}

fn preprocess<B: Backend>(b: &B) {
    let mut r = Random(10);
    let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
    for (w, h, side) in [(32, 32, 32), (7, 5, 32), (100, 33, 32), (1, 90, 64), (641, 480, 96)] {
        for format in [
            PixelFormat::Rgb8,
            PixelFormat::Bgr8,
            PixelFormat::Rgba8,
            PixelFormat::Bgra8,
            PixelFormat::Gray8,
            PixelFormat::RgbF32,
        ] {
            let stride = w * format.bytes() + if format == PixelFormat::RgbF32 { 8 } else { 3 };
            let words: Vec<u32> = (0..(stride * h).div_ceil(4)).map(|_| r.next() as u32).collect();
            let floats: Vec<f32> = words.iter().map(|w| (w >> 8) as f32 / (1 << 24) as f32).collect();
            let is_float = format == PixelFormat::RgbF32;
            let bytes: &[u8] = if is_float { bytemuck::cast_slice(&floats) } else { bytemuck::cast_slice(&words) };
            let frame = Frame::new(format, bytes, w, h, stride).unwrap();
            let out = Owned::nan(b, &[side, side, 3]);
            b.preprocess(out.at(), &frame);
            let source = |y: usize, x: usize, c: usize| -> f64 {
                let channel = match format {
                    PixelFormat::Bgr8 | PixelFormat::Bgra8 => 2 - c,
                    PixelFormat::Gray8 => 0,
                    _ => c,
                };
                if is_float {
                    floats[y * stride / 4 + x * 3 + channel] as f64
                } else {
                    bytes[y * stride + x * format.bytes() + channel] as f64 / 255.0
                }
            };
            let taps = |i: usize, from: usize| -> Vec<(usize, f64)> {
                let scale = from as f64 / side as f64;
                let (support, center) = (scale.max(1.0), scale * (i as f64 + 0.5));
                let first = (center - support + 0.5).max(0.0) as usize;
                let last = ((center + support + 0.5) as usize).min(from);
                let raw: Vec<f64> =
                    (first..last).map(|j| (1.0 - ((j as f64 - center + 0.5) / support).abs()).max(0.0)).collect();
                let total: f64 = raw.iter().sum();
                (first..last).zip(raw.into_iter().map(|v| v / total)).collect()
            };
            let want: Vec<f64> = (0..side * side * 3)
                .map(|i| {
                    let (c, rows, columns) = (i % 3, taps(i / 3 / side, h), taps(i / 3 % side, w));
                    let sum: f64 = rows
                        .iter()
                        .flat_map(|(y, wy)| columns.iter().map(move |(x, wx)| (*y, *x, wy * wx)))
                        .map(|(y, x, weight)| weight * source(y, x, c))
                        .sum();
                    (sum - mean[c]) / std[c]
                })
                .collect();
            check(&format!("preprocess {w}x{h} to {side}, {format:?}"), &out.floats(), &want, 2e-6);
        }
    }
}

fn check_all<B: Backend>(b: &B) {
    linear(b);
    conv2d(b);
    norms_and_pools(b);
    window_attention(b);
    token_attention(b);
    image_attention(b);
    upscale_masks(b);
    prompts(b);
    selection(b);
    cleaning(b);
    masks_out(b);
    preprocess(b);
}

#[test]
fn on_every_instruction_set() {
    for isa in Isa::available() {
        eprintln!("{isa:?}");
        check_all(&Cpu::with_isa(3, isa).unwrap());
    }
}
