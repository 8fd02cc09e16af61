//! The emulator finds every planted mistake, and its message names the mistake.

use sam2::Error;
use sam2::engine::backend::{Backend, Memory};
use sam2::engine::tensor::{DType, Tensor, bf16};
use sam2_cuda::device::Device;
use sam2_cuda::{Cuda, Kernel, emulator};

#[test]
fn planted_faults_are_found() {
    for seed in 0..20 {
        let device = emulator::Emulator::new(seed);
        let b = Cuda::on(device.fork().unwrap());
        let (out, input) = (b.alloc(256, "out").unwrap(), b.alloc(512, "in").unwrap());
        // SAFETY: of that size.
        b.upload(unsafe { Tensor::new(input.addr(), DType::F32, &[128]) }, &[0u8; 512]);
        b.sync().unwrap();
        let run = |name: &str, n: i32| device.fault(name, out.addr(), input.addr(), n);
        run("fault_none", 64).unwrap();
        for (name, text) in [
            // A reader that comes first finds unwritten memory. A reader that comes later finds a race.
            ("fault_missing_barrier", "race: |which nothing wrote"),
            ("fault_missing_warp_barrier", "race: |which nothing wrote"),
            ("fault_early_overwrite", "race: "),
            ("fault_off_by_one", "write of 4 bytes at 256 of an allocation of 256 bytes"),
            ("fault_beyond_shared", "of 256 bytes of shared memory"),
            ("fault_unwritten_shared", "which nothing wrote"),
            ("fault_unwaited_copy", "which nothing wrote"),
            ("fault_abandoned_copy", "copies it never waited for"),
            ("fault_divergent_barrier", "divergent barrier"),
            ("fault_deadlock", "deadlock"),
            ("fault_divergent_warp", "divergent warp"),
            ("fault_misaligned", "misaligned write of 16 bytes"),
            ("fault_foreign_pointer", "outside of every allocation"),
            ("fault_lanes_apart", "matrices that other lanes have not loaded"),
            ("fault_matrix_address", "misaligned read of 16 bytes"),
            ("fault_unwritten_matrix", "which nothing wrote"),
        ] {
            match run(name, 64) {
                Err(Error::Device(what)) => {
                    assert!(text.split('|').any(|text| what.contains(text)), "{name}: {what}");
                    assert!(what.starts_with(&format!("kernel {name}, block (0, 0, 0), thread ")), "{what}");
                }
                other => panic!("{name}, seed {seed}: {other:?}"),
            }
        }
        // Written memory has another message.
        let fresh = b.alloc(256, "out").unwrap();
        assert!(device.fault("fault_unwritten_global", fresh.addr(), input.addr(), 0).is_err());
        device.fault("fault_unwritten_global", input.addr(), input.addr(), 0).unwrap();
        // So does freed memory.
        let gone = fresh.addr();
        drop(fresh);
        assert!(device.fault("fault_unwritten_global", gone, input.addr(), 0).is_err());
    }
}

/// Products follow the addresses of the lanes: a wrong address gives other numbers.
#[test]
fn a_wrong_lane_gives_other_numbers() {
    let device = emulator::Emulator::new(7);
    let b = Cuda::on(device.fork().unwrap());
    let (out, input) = (b.alloc(128, "out").unwrap(), b.alloc(512, "in").unwrap());
    let numbers: Vec<f32> = (0..256).map(|i| (i * 7 % 23) as f32 - 11.0).collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
    // SAFETY: the memory has these sizes.
    let (from, to) =
        unsafe { (Tensor::new(input.addr(), DType::Bf16, &[256]), Tensor::new(out.addr(), DType::F32, &[32])) };
    b.upload(from, &bytes);
    b.sync().unwrap();
    let sum = |i: usize, j: usize| (0..16).map(|k| numbers[i * 16 + k] * numbers[j * 16 + k]).sum::<f32>();
    let want: Vec<f32> = (0..32)
        .map(|lane| {
            let (row, col) = (lane / 4, lane % 4 * 2);
            sum(row, col) + sum(row + 8, 8 + col + 1) * 1000.0
        })
        .collect();
    let run = |name: &str| {
        device.fault(name, out.addr(), input.addr(), 0).unwrap();
        let mut got = [0f32; 32];
        b.download(bytemuck::cast_slice_mut(&mut got), to);
        b.sync().unwrap();
        got.to_vec()
    };
    assert_eq!(run("fault_none_product"), want);
    assert_ne!(run("fault_lane_address"), want);
}

/// Copies are completed late: pinned memory that is reused before the wait gives the wrong bytes.
#[test]
fn a_copy_reads_its_source_when_it_runs() {
    use sam2_cuda::device::Pinned;
    let mut late = 0;
    for seed in 0..20 {
        let device = emulator::Emulator::new(seed);
        let memory = device.alloc(4, "memory").unwrap();
        let (up, down) = (device.pinned(4).unwrap(), device.pinned(4).unwrap());
        // SAFETY: pinned memory of four bytes per value.
        let got = unsafe {
            up.ptr().cast::<u32>().write(1);
            device.copy_in(memory.addr(), up.ptr(), 4).unwrap();
            up.ptr().cast::<u32>().write(2);
            device.copy_out(down.ptr(), memory.addr(), 4).unwrap();
            device.sync().unwrap();
            down.ptr().cast::<u32>().read()
        };
        late += (got == 2) as usize;
    }
    assert!((10..20).contains(&late), "{late} of 20: a device is sometimes fast and mostly not");
}

/// Every kernel reads the arguments that Rust writes, exists, and has the threads of the table.
#[test]
fn every_kernel_of_the_table_is_compiled() {
    for &kernel in Kernel::ALL {
        assert_eq!(emulator::threads_of(kernel.name()), Some(kernel.threads()), "{kernel:?}");
    }
    assert_eq!(emulator::threads_of("nonsense"), None);
}
