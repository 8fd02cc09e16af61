//! Products, convolutions, rotation.

use crate::rig::*;
use sam2::engine::backend::*;

pub fn linear<B: Backend>(b: &B, numbers: Numbers) {
    let dtype = numbers.dtype;
    let mut r = Random(1);
    // A convolution that needs temporary memory.
    let mut own = Random(9);
    let data = LinearData { w: &own.floats(17 * 4 * 3), b: &[], groups: 1, n: 17, k: 4 * 3, dtype, few_rows: false };
    let other = Conv { weights: b.linear_weights(data).unwrap(), kernel: 2, stride: 1, pad: 0 };
    let (picture, patch) = (Owned::new(b, &[9, 9, 3], &own.floats(9 * 9 * 3)), Owned::nan(b, &[8, 8, 17]));
    for (m, n, k, groups) in [
        (1, 1, 1, 1),
        (3, 5, 7, 1),
        (13, 33, 31, 1),
        (50, 100, 147, 1),
        (257, 96, 24, 1),
        (8, 64, 300, 1),
        (14, 64, 300, 1),
        (14, 3, 5, 2),
        (9, 17, 4, 8),
        (5, 1, 16, 3),
        (35, 21, 132, 1),
        (35, 70, 12, 2),
    ] {
        let (mut w, bias) = (r.floats(groups * n * k), r.floats(groups * n));
        round(dtype, &mut w);
        // Both implementations of a device, if it has two.
        let few_rows = m < 14 || m == 35;
        let weights = b.linear_weights(LinearData { w: &w, b: &bias, groups, n, k, dtype, few_rows }).unwrap();
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
                numbers.check(
                    &format!("linear {m}x{n}x{k}x{groups} {name} {activation:?}"),
                    &out.floats(),
                    &want,
                    3e-6,
                );
            }
            // With the operand of the previous product kept by the device, and with other work in between.
            let first = Owned::nan(b, &[m, groups * n]);
            b.linear(first.at(), input, &weights, Epilogue::NONE);
            for between in [false, true] {
                let again = Owned::nan(b, &[m, groups * n]);
                if between {
                    b.conv2d(patch.at(), picture.at(), &other, Epilogue::NONE);
                }
                b.linear(again.at(), input.again(), &weights, Epilogue::NONE);
                assert_eq!(again.floats(), first.floats(), "linear {m}x{n}x{k}x{groups} {name} again, {between}");
            }
            // The residual connection: the addend is the output.
            let out = Owned::new(b, &[m, groups * n], &add);
            b.linear(out.at(), input, &weights, Epilogue::add(out.at()));
            let want: Vec<f64> =
                (0..m * groups * n).map(|i| sum(i / (groups * n), i % (groups * n)) + add[i] as f64).collect();
            numbers.check(&format!("linear {m}x{n}x{k}x{groups} {name} residual"), &out.floats(), &want, 3e-6);
        }
        // Operands and result of the same type, as between two products.
        let mut x16 = x.clone();
        let (tx, out) = (Owned::of(b, dtype, &[m, groups * k], &mut x16), Owned::nan_of(b, dtype, &[m, groups * n]));
        b.linear(out.at(), tx.at().into(), &weights, Epilogue::RELU);
        let want: Vec<f64> = (0..m * groups * n)
            .map(|i| {
                let (row, g, j) = (i / (groups * n), i % (groups * n) / n, i % n);
                let part = &x16[(row * groups + g) * k..][..k];
                let dot: f64 = part.iter().zip(&w[(g * n + j) * k..]).map(|(a, b)| *a as f64 * *b as f64).sum();
                (dot + bias[g * n + j] as f64).max(0.0)
            })
            .collect();
        numbers.check(&format!("linear {m}x{n}x{k}x{groups} throughout"), &out.floats(), &want, 3e-6);
    }
    // Strided views as input and output, and an addend of half the size.
    let (h, w, n, k) = (6, 10, 19, 11);
    let (mut weights, mut x, mut low) = (r.floats(n * k), r.floats(h * w * 3 * k), r.floats(h / 2 * (w / 2) * n));
    round(dtype, &mut weights);
    let packed = b.linear_weights(LinearData { w: &weights, b: &[], groups: 1, n, k, dtype, few_rows: false }).unwrap();
    let (tx, tl) = (Owned::of(b, dtype, &[h, w, 3 * k], &mut x), Owned::of(b, dtype, &[h / 2, w / 2, n], &mut low));
    let out = Owned::nan(b, &[h, w, n]);
    b.linear(out.at(), tx.at().columns(k, k).into(), &packed, Epilogue::add_upsampled(tl.at()));
    let at = |i: usize, j: usize| {
        let dot: f64 = (0..k).map(|c| x[i * 3 * k + k + c] as f64 * weights[j * k + c] as f64).sum();
        dot + low[((i / w / 2) * (w / 2) + i % w / 2) * n + j] as f64
    };
    numbers.check(
        "linear upsampled",
        &out.floats(),
        &(0..h * w * n).map(|i| at(i / n, i % n)).collect::<Vec<_>>(),
        3e-6,
    );
}

pub fn conv2d<B: Backend>(b: &B, numbers: Numbers) {
    let dtype = numbers.dtype;
    let mut r = Random(2);
    for (images, h, w, cin, cout, kernel, stride, pad) in [
        (1, 9, 11, 3, 5, 7, 4, 3),
        (2, 8, 6, 4, 16, 2, 2, 0),
        (1, 5, 4, 7, 9, 3, 1, 1),
        (1, 16, 16, 1, 4, 4, 4, 0),
        (1, 2, 2, 3, 33, 7, 4, 3),
    ] {
        let (oh, ow) = ((h + 2 * pad - kernel) / stride + 1, (w + 2 * pad - kernel) / stride + 1);
        let (mut weights, bias) = (r.floats(cout * kernel * kernel * cin), r.floats(cout));
        round(dtype, &mut weights);
        let (mut x, position) = (r.floats(images * h * w * cin), r.floats(images * oh * ow * cout));
        let data =
            LinearData { w: &weights, b: &bias, groups: 1, n: cout, k: kernel * kernel * cin, dtype, few_rows: false };
        let conv = Conv { weights: b.linear_weights(data).unwrap(), kernel, stride, pad };
        let (tx, tp) =
            (Owned::of(b, dtype, &[images, h, w, cin], &mut x), Owned::new(b, &[images, oh, ow, cout], &position));
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
        numbers.check(&format!("conv2d {h}x{w}x{cin} {kernel}/{stride}"), &out.floats(), &want, 3e-6);
    }
}

pub fn rotation<B: Backend>(b: &B, numbers: Numbers) {
    let dtype = numbers.dtype;
    let mut r = Random(22);
    for (p, n, k, c, columns, m, d, lens) in [
        (1, 1, 4, 2, 2, 1, 2, None),
        (1, 37, 9, 30, 24, 10, 12, None),
        (2, 30, 5, 12, 12, 10, 12, Some(&[20, 0][..])),
        (1, 130, 64, 256, 256, 64, 256, Some(&[128])),
        (3, 70, 32, 200, 128, 70, 64, None),
    ] {
        let (mut x, mut w) = (r.floats(p * n * k), r.floats(c * k));
        round(dtype, &mut w);
        let (bias, table) = (r.floats(c), r.floats(m * d));
        let data = LinearData { w: &w, b: &bias, groups: 1, n: c, k, dtype, few_rows: false };
        let weights = b.linear_weights(data).unwrap();
        let (tx, tt) = (Owned::of(b, dtype, &[p * n, k], &mut x), Owned::new(b, &[m, d], &table));
        let (out, lens_tensor) = (Owned::nan_of(b, dtype, &[p, n, c]), lens.map(|lens| Owned::ints(b, lens)));
        let rotation = Rotation { table: tt.at(), columns, lens: lens_tensor.as_ref().map(|l| l.at()) };
        b.linear(out.at(), tx.at().into(), &weights, Epilogue::rotate(rotation));
        let product = |i: usize| {
            let (x, w) = (&x[i / c * k..][..k], &w[i % c * k..][..k]);
            x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum::<f64>() + f64::from(bias[i % c])
        };
        let want: Vec<f64> = (0..p * n * c)
            .map(|i| {
                let (row, col) = (i / c % n, i % c);
                if col >= columns || lens.is_some_and(|lens| row >= lens[i / c / n] as usize) {
                    return product(i);
                }
                let turn = |k: usize| f64::from(table[row % m * d + col % d / 2 * 2 + k]);
                let (a, b) = (product(i & !1), product(i | 1));
                if col % 2 == 0 { a * turn(0) - b * turn(1) } else { a * turn(1) + b * turn(0) }
            })
            .collect();
        numbers.check(&format!("rotation of {columns} of {p}x{n}x{c}"), &out.floats(), &want, 3e-6);
    }
}
