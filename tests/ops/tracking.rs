//! The memory bank.

use crate::rig::*;
use sam2::engine::backend::*;
use sam2::engine::tensor::{DType, bf16};

pub fn memories<B: Backend>(b: &B, numbers: Numbers) {
    let mut r = Random(31);
    for (p, hw, parts, c, counts, frames, pointers) in [
        (1, 4, 2, 6, &[1, 1][..], 1, 1),
        (2, 33, 4, 16, &[2, 3, 1, 0], 3, 3),
        (3, 16, 4, 64, &[0, 2, 3, 1, 2, 2], 3, 2),
    ] {
        let (slots, times) = (5, 7);
        let m = frames * hw + pointers * parts + 3;
        let (mut maps, tokens) = (r.floats(slots * hw * c), r.floats(slots * parts * c));
        let (space, time) = (r.floats(hw * c), r.floats(times * c));
        let pointer_times = r.floats(p * pointers * c);
        let mut some =
            |n: usize, below: usize| (0..n).map(|_| (r.next() as usize % below) as i32).collect::<Vec<i32>>();
        let (map_of, time_of, pointer_of) =
            (some(p * frames, slots), some(p * frames, times), some(p * pointers, slots));
        let tm = Owned::of(b, DType::Bf16, &[slots, hw, c], &mut maps);
        let tt = Owned::new(b, &[slots, parts, c], &tokens);
        let (ts, td) = (Owned::new(b, &[hw, c], &space), Owned::new(b, &[times, c], &time));
        let tp = Owned::new(b, &[p, pointers, c], &pointer_times);
        let [tc, tmo, tto, tpo] = [counts, &map_of, &time_of, &pointer_of].map(|v| Owned::ints(b, v));
        let (keys, values) = (Owned::nan_of(b, numbers.dtype, &[p, m, c]), Owned::nan_of(b, numbers.dtype, &[p, m, c]));
        let bank = Bank { maps: tm.at(), pointers: tt.at(), space: ts.at(), time: td.at() };
        let index =
            BankIndex { counts: tc.at(), maps: tmo.at(), times: tto.at(), pointers: tpo.at(), pointer_times: tp.at() };
        b.gather_memories(keys.at(), values.at(), bank, index);
        let (keys, values) = (keys.floats(), values.floats());
        for i in 0..p {
            let (have, pointing) = (counts[2 * i] as usize, counts[2 * i + 1] as usize);
            let (mut want_keys, mut want_values) = (Vec::new(), Vec::new());
            for row in 0..have * hw + pointing * parts {
                for col in 0..c {
                    let (value, add) = if row < have * hw {
                        let (at, place) = (i * frames + row / hw, row % hw);
                        let value = maps[(map_of[at] as usize * hw + place) * c + col];
                        (value, space[place * c + col] + time[time_of[at] as usize * c + col])
                    } else {
                        let at = i * pointers + (row - have * hw) / parts;
                        let part = (row - have * hw) % parts;
                        let value = tokens[(pointer_of[at] as usize * parts + part) * c + col];
                        (value, pointer_times[at * c + col])
                    };
                    want_values.push(f64::from(value));
                    want_keys.push(f64::from(value) + f64::from(add));
                }
            }
            let n = want_keys.len();
            numbers.check("gather_memories, keys", &keys[i * m * c..][..n], &want_keys, 3e-7);
            numbers.check("gather_memories, values", &values[i * m * c..][..n], &want_values, 0.0);
            // Rows beyond an object's memories are zeros.
            for rest in [&keys, &values] {
                assert!(rest[i * m * c + n..(i + 1) * m * c].iter().all(|&v| v == 0.0));
            }
        }
    }
}

pub fn keeping<B: Backend>(b: &B) {
    let mut r = Random(32);
    let (p, n, c, slots) = (3, 37, 18, 5);
    let (x, absent) = (r.floats(p * n * c), r.floats(c));
    let (scores, to) = ([1.0, 0.0, -2.0], [4, 0, 2]);
    let (tx, ta) = (Owned::new(b, &[p, n, c], &x), Owned::new(b, &[c], &absent));
    let (tt, ts) = (Owned::ints(b, &to), Owned::new(b, &[p], &scores));
    for (replace, dtype) in [(false, DType::Bf16), (true, DType::F32), (false, DType::F32)] {
        let bank = Owned::nan_of(b, dtype, &[slots, n, c]);
        let unseen = Absent { scores: ts.at(), vector: ta.at(), replace };
        b.write_bank_slots(bank.at(), tx.at(), tt.at(), Some(unseen));
        let got = bank.floats();
        for (i, &slot) in to.iter().enumerate() {
            for j in 0..n * c {
                let (v, a) = (x[i * n * c + j], absent[j % c]);
                let y = if scores[i] > 0.0 { v } else { a + if replace { 0.0 } else { v } };
                let y = if dtype == DType::Bf16 { bf16::from_f32(y).to_f32() } else { y };
                assert_eq!(got[slot as usize * n * c + j], y);
            }
        }
        assert!(got[n * c..2 * n * c].iter().all(|v| v.is_nan()), "slots of others");
        b.write_bank_slots(bank.at(), tx.at(), tt.at(), None);
        let got = bank.floats();
        for (i, &slot) in to.iter().enumerate() {
            let all = (0..n * c).map(|j| (got[slot as usize * n * c + j], x[i * n * c + j]));
            let rounded = |v: f32| if dtype == DType::Bf16 { bf16::from_f32(v).to_f32() } else { v };
            assert!({ all }.all(|(got, x)| got == rounded(x)), "without a word on who is visible");
        }
    }
    let (rows, out) = (Owned::ints(b, &[32, 1, 0]), Owned::nan(b, &[p, c]));
    b.gather_rows(out.at(), tx.at(), 4, rows.at());
    let want: Vec<f32> = [36, 42, 78].iter().flat_map(|&row| x[row * c..][..c].to_vec()).collect();
    assert_eq!(out.floats(), want);
    b.mask_absent_objects(tx.at().view(&[p, 1, n, c]), ts.at());
    let want: Vec<f32> = x.iter().enumerate().map(|(i, &v)| if i < n * c { v } else { -1024.0 }).collect();
    assert_eq!(tx.floats(), want);
}

pub fn memory_mask<B: Backend>(b: &B, numbers: Numbers) {
    let mut r = Random(33);
    for (p, n, h, w, side) in [(1, 1, 5, 5, 20), (2, 4, 8, 8, 32), (2, 3, 7, 9, 21)] {
        let masks: Vec<f32> = r.floats(p * n * h * w).iter().map(|v| v * 8.0).collect();
        let (tm, selected) = (Owned::new(b, &[p, n, h, w], &masks), Owned::ints(b, &[n as i32 - 1, 0][..p]));
        let (binary, out) = (Owned::ints(b, &[0, 1][..p]), Owned::nan(b, &[p, side, side, 1]));
        b.memory_mask(out.at(), tm.at(), selected.at(), binary.at(), 20.0, -10.0);
        let got = out.floats();
        for i in 0..p {
            let plane = &masks[(i * n + if i == 0 { n - 1 } else { 0 }) * h * w..][..h * w];
            let taps = |at: usize, from: usize| {
                let x = ((at as f64 + 0.5) * from as f64 / side as f64 - 0.5).max(0.0);
                let first = x as usize;
                [(first, 1.0 - x.fract()), ((first + 1).min(from - 1), x.fract())]
            };
            for at in 0..side * side {
                let mut v = 0.0;
                for (y, wy) in taps(at / side, h) {
                    v += taps(at % side, w).iter().map(|(x, wx)| wy * wx * f64::from(plane[y * w + x])).sum::<f64>();
                }
                let y = if i == 0 { 1.0 / (1.0 + (-v).exp()) } else { f64::from(v > 0.0) };
                let got = f64::from(got[i * side * side + at]);
                let close = (got - (20.0 * y - 10.0)).abs() < 2e-4;
                // A binary mask depends on the sign.
                assert!(close || i == 1 && v.abs() < 1e-5, "memory_mask {side}, pixel {at}: {got} of {v}");
            }
        }
    }
    for (p, h, w, c) in [(1, 1, 1, 5), (2, 5, 9, 33), (1, 16, 16, 64)] {
        let (x, weights, bias) = (r.floats(p * h * w * c), r.floats(49 * c), r.floats(c));
        let (tx, tw) = (Owned::new(b, &[p, h, w, c], &x), Owned::new(b, &[49, c], &weights));
        let (tb, out) = (Owned::new(b, &[c], &bias), Owned::nan(b, &[p, h, w, c]));
        b.depthwise_conv7x7(out.at(), tx.at(), tw.at(), tb.at());
        let want: Vec<f64> = (0..p * h * w * c)
            .map(|i| {
                let (ch, px, py, map) = (i % c, i / c % w, i / c / w % h, i / c / w / h);
                let mut sum = f64::from(bias[ch]);
                for tap in 0..49 {
                    let (y, x_at) = (py + tap / 7, px + tap % 7);
                    if (3..h + 3).contains(&y) && (3..w + 3).contains(&x_at) {
                        let from = ((map * h + y - 3) * w + x_at - 3) * c + ch;
                        sum += f64::from(x[from]) * f64::from(weights[tap * c + ch]);
                    }
                }
                sum
            })
            .collect();
        let f32s = Numbers { dtype: DType::F32, ..numbers };
        f32s.check(&format!("depthwise_conv7x7 {h}x{w}x{c}"), &out.floats(), &want, 1e-6);
    }
}
