//! Tests of the program with stand-ins for NVIDIA's libraries. They check messages about missing parts, and all calls
//! of the driver. The emulator runs the kernels.

#[path = "common/stand_ins.rs"]
mod stand_ins;

use libtest_mimic::{Arguments, Trial};
use sam2_cuda::emulator::HAS_KERNELS;
use sam2_cuda::probe::architectures;
use stand_ins::stand_ins;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program with the libraries of a folder.
fn sam2(libraries: &Path, mode: &str, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sam2"));
    command.args(args).env("LD_LIBRARY_PATH", libraries).env("STAND_IN", mode);
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).output().unwrap()
}

const PICTURE: &str = "demo/samples/images/image1.png";

fn segment<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["segment", PICTURE, "--model", "demo", "--point", "64,64", "--json"], more].concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn what_is_missing_is_said() {
    let s = stand_ins();
    for (libraries, mode, says) in [
        (&s.empty, "", "lacks cuInit"),
        (&s.driver, "no device", "no NVIDIA GPU is visible"),
        (&s.driver, "old driver", "offers CUDA 12.4, 13.0 is needed"),
        (&s.driver, "failing", "does not start: something failed"),
        (&s.driver, "old card", "Stand-in has compute capability 7.0"),
    ] {
        let out = sam2(libraries, mode, &segment(&["--device", "cuda"]));
        let err = text(&out.stderr);
        assert!(out.status.code() == Some(3) && err.contains(says), "{mode}: {:?} {err}", out.status);
        // With `--device auto` the program uses the CPU.
        let out = sam2(libraries, mode, &segment(&[]));
        assert!(out.status.success(), "{mode}: {}", text(&out.stderr));
        let out = sam2(libraries, mode, &["doctor"]);
        assert!(out.status.success() && text(&out.stdout).contains(says), "{mode}: {}", text(&out.stdout));
    }
    let out = sam2(&s.driver, "", &segment(&["--device", "cuda:3"]));
    assert!(text(&out.stderr).contains("no GPU 3: there are 1, counted from 0"), "{}", text(&out.stderr));
    if !HAS_KERNELS {
        let out = sam2(&s.driver, "", &segment(&["--device", "cuda"]));
        assert!(out.status.code() == Some(3) && text(&out.stderr).contains("built without CUDA kernels"));
        let out = sam2(&s.driver, "", &segment(&[]));
        assert!(out.status.success() && text(&out.stderr).contains("GPU 0 is not used: CUDA kernels: built without"));
    }
}

/// All calls of the driver: contexts, modules, launches, captures and matrix products. The stand-in reports every call
/// that the real driver would refuse.
fn the_whole_path_through_the_driver() {
    let s = stand_ins();
    let cpu = sam2(&s.driver, "", &segment(&["--device", "cpu", "--precision", "f32"]));
    for (libraries, products) in [(&s.driver, false), (&s.both, true)] {
        let gpu = sam2(libraries, "counts", &segment(&["--device", "cuda", "--precision", "f32"]));
        let err = text(&gpu.stderr);
        assert!(gpu.status.success() && !err.contains("stand-in:"), "{err}");
        assert!(err.contains("launches") && products == err.contains(" products"), "{err}");
        // Masks are equal. Scores may differ in their last digits.
        let counts = |out: &Output| {
            let records: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
            let list = records.as_array().unwrap();
            list.iter().map(|r| r["segmentation"]["counts"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(counts(&gpu), counts(&cpu));
    }
    // The program chooses the GPU and says so. A second call replays.
    let out = sam2(
        &s.driver,
        "counts",
        &["bench", "--model", "demo", PICTURE, "--clicks", "1", "--repeat", "1", "--warmup", "1", "--profile"],
    );
    let (stdout, err) = (text(&out.stdout), text(&out.stderr));
    assert!(out.status.success() && !err.contains("stand-in:"), "{err}");
    assert!(err.contains("note: on Stand-in, in bf16") && err.contains(", 2 replays"), "{err}");
    assert!(stdout.starts_with("Stand-in, bf16") && stdout.contains("window_attention_bf16"), "{stdout}");
}

/// The first tracked frame is recorded, and the next ones are replayed, however full the memory bank is.
fn tracking_through_the_driver() {
    let s = stand_ins();
    let track = |device: &[&str]| {
        let args =
            ["track", "demo/samples/video1/frames", "--model", "demo", "--image-size", "64", "--max-frames", "3"];
        let said = ["--box", "0:1:346,175,428,266", "--json", "--precision", "f32", "--device"];
        sam2(&s.driver, "counts", &[&args[..], &said, device].concat())
    };
    let (cpu, gpu) = (track(&["cpu"]), track(&["cuda"]));
    let err = text(&gpu.stderr);
    assert!(gpu.status.success() && !err.contains("stand-in:"), "{err}");
    // The tracked frame is recorded on frame 1 and replayed twice. The encoder is recorded until scratch memory is
    // large enough for a tracked frame, and replayed on frame 3.
    assert!(err.contains(", 3 replays"), "{err}");
    // After two consecutive frames, frames are decoded ahead. The last two are copied while their predecessors are
    // tracked.
    assert!(err.contains(", 2 copies ahead"), "{err}");
    let masks = |out: &Output| -> Vec<serde_json::Value> {
        let lines = text(&out.stdout);
        lines.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["segmentation"].clone()).collect()
    };
    assert_eq!(masks(&cpu).len(), 4);
    assert_eq!(masks(&gpu), masks(&cpu));
}

/// A prompt's logits are the same bits alone and in a batch: the kernel of a matrix product does not depend on the
/// number of rows. The stand-in of cuBLASLt sums in an order that depends on the number of rows.
fn company_changes_no_bit() {
    let s = stand_ins();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("company");
    std::fs::create_dir_all(&folder).unwrap();
    let logits = |prompts: usize| -> Vec<u8> {
        let all: Vec<_> =
            (0..prompts).map(|i| serde_json::json!({"points": [[40 + i * 3, 64]], "labels": [1]})).collect();
        let (file, raw) = (folder.join("prompts.json"), folder.join("raw.safetensors"));
        std::fs::write(&file, serde_json::to_vec(&all).unwrap()).unwrap();
        let args = ["segment", PICTURE, "--model", "demo", "--image-size", "64", "--device", "cuda"];
        // In f32, since rounding to bf16 would hide another order of summation.
        let files = ["--precision", "f32", "--prompts", file.to_str().unwrap(), "--raw", raw.to_str().unwrap()];
        let out = sam2(&s.both, "counts", &[&args[..], &files].concat());
        let err = text(&out.stderr);
        assert!(out.status.success() && !err.contains("stand-in:") && err.contains(" products"), "{err}");
        let bytes = std::fs::read(raw).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let masks = tensors.tensor("low_res_masks").unwrap();
        assert_eq!(masks.shape().iter().product::<usize>(), prompts * 3 * 16 * 16, "{:?}", masks.shape());
        masks.data()[..masks.data().len() / prompts].to_vec()
    };
    let alone = logits(1);
    for prompts in [2, 3] {
        assert!(logits(prompts) == alone, "{prompts} prompts");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn a_failing_device_is_an_error() {
    let s = stand_ins();
    let cuda = segment(&["--device", "cuda"]);
    let out = sam2(&s.driver, "faulty", &cuda);
    let err = text(&out.stderr);
    assert!(out.status.code() == Some(3) && err.contains("an illegal memory access was encountered"), "{err}");
    let out = sam2(&s.driver, "unknown card", &cuda);
    let err = text(&out.stderr);
    assert!(out.status.code() == Some(3) && err.contains("this build has no kernels for"), "{err}");
    for allocations in ["0", "3", "900"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sam2"));
        command.args(&cuda).env("LD_LIBRARY_PATH", &s.driver).env("STAND_IN_ALLOCATIONS", allocations);
        let out = command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).output().unwrap();
        let err = text(&out.stderr);
        let failed = out.status.code() == Some(5) && err.contains("out of memory");
        assert!(failed || allocations == "900" && out.status.success(), "{allocations}: {:?} {err}", out.status);
        assert!(!err.contains("stand-in:"), "{err}");
    }
}

/// A GPU that is newer than all machine code of the build runs the kernels from PTX, and the program says so.
fn a_new_card_compiles() {
    let s = stand_ins();
    let out = sam2(&s.driver, "new card", &segment(&["--device", "cuda"]));
    let err = text(&out.stderr);
    let says = "has compute capability 13.0, and this build has machine code for";
    // A build from a prebuilt fatbin does not know its architectures.
    assert!(out.status.success() && err.contains(says) == architectures().is_some(), "{err}");
}

/// The test binary runs itself with the stand-in and with this environment variable.
const GIVES_A_STREAM: &str = "SAM2_TEST_GIVES_A_STREAM";

fn a_stream_of_another_context_is_an_error() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let out = command.env(GIVES_A_STREAM, "1").env("LD_LIBRARY_PATH", &stand_ins().driver).output().unwrap();
    assert!(out.status.success(), "{}", text(&out.stderr));
}

fn give_a_stream() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let options = sam2::LoadOptions { device: sam2::Device::Cuda(0), ..Default::default() };
    let model = sam2::load(root.join("demo/sam2.1_hiera_demo.safetensors"), &options).unwrap();
    let mut predictor = model.image_predictor(Default::default()).unwrap();
    let pixels = [0u8; 64 * 64 * 3];
    // SAFETY: the stream is only queried for its context, and the memory is never dereferenced.
    let slice = unsafe {
        let stream = std::ptr::without_provenance_mut(0x1000);
        sam2::DeviceSlice::new(pixels.as_ptr() as u64, pixels.len(), stream)
    };
    let frame = sam2::Frame::device(sam2::PixelFormat::Rgb8, slice, sam2::Size::new(64, 64), 192).unwrap();
    let error = predictor.set_image(&frame).and_then(|()| predictor.synchronize()).unwrap_err();
    let says = "the stream given is of another CUDA context";
    assert!(matches!(&error, sam2::Error::Input(what) if what.contains(says)), "{error:?}");
    // The predictor still works after the error.
    predictor.set_image(&sam2::Frame::rgb8(&pixels, sam2::Size::new(64, 64)).unwrap()).unwrap();
    predictor.synchronize().unwrap();
}

/// Tests that need CUDA kernels are reported as ignored in a build without kernels; in CI they fail. The stand-ins are
/// for Linux only.
fn main() {
    if std::env::var_os(GIVES_A_STREAM).is_some() {
        return give_a_stream();
    }
    let (linux, ci) = (cfg!(target_os = "linux"), std::env::var_os("CI").is_some());
    let trial = |name: &str, test: fn(), needs_kernels: bool| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!linux || needs_kernels && !HAS_KERNELS && !ci)
    };
    let trials = vec![
        trial("what_is_missing_is_said", what_is_missing_is_said, false),
        trial("the_whole_path_through_the_driver", the_whole_path_through_the_driver, true),
        trial("tracking_through_the_driver", tracking_through_the_driver, true),
        trial("company_changes_no_bit", company_changes_no_bit, true),
        trial("a_failing_device_is_an_error", a_failing_device_is_an_error, true),
        trial("a_new_card_compiles", a_new_card_compiles, true),
        trial("a_stream_of_another_context_is_an_error", a_stream_of_another_context_is_an_error, true),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
