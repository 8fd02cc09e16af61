//! Tests of the program's limits: memory, threads, sizes of inputs and time.

mod common;

use common::*;
use serde_json::Value;
use std::process::Command;

const PHOTO: &str = "demo/pictures/astronaut.png";

fn segment<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["segment", PHOTO, "--model", "demo"], more].concat()
}

/// Many prompts on a large image are decoded in batches, so memory does not grow with their number.
#[test]
#[cfg(target_os = "linux")]
fn many_boxes_take_little_memory() {
    let folder = Folder::new("boxes");
    let (width, height) = (4000, 3000);
    let pixels = (0..width * height).map(|i| (i / width * 16 / height * 16 + i % width * 16 / width) as u8).collect();
    let picture = sam2::picture::Picture { pixels, width, height, format: sam2::PixelFormat::Gray8 };
    std::fs::write(folder.file("large.png"), sam2::picture::encode_png(&picture).unwrap()).unwrap();
    let place = |i: usize| (i % 40 * 100, i / 40 * 120);
    let boxes = (0..60).map(place).map(|(x, y)| serde_json::json!({"box": [x, y, x + 90, y + 110]}));
    std::fs::write(folder.file("boxes.json"), Value::from_iter(boxes).to_string()).unwrap();
    let peak = |more: &[&str]| {
        let args = ["segment", "large.png", "--prompts", "boxes.json", "--model"];
        let mut run = Command::new(env!("CARGO_BIN_EXE_sam2"));
        run.args(args).arg(root().join("demo").canonicalize().unwrap()).args(more).current_dir(&folder.0);
        #[allow(clippy::zombie_processes)] // wait4 waits for it
        let run = run.stdout(std::process::Stdio::null()).spawn().unwrap();
        let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
        // SAFETY: wait4 writes to both, and zeros are a valid value of both.
        let usage = unsafe {
            assert_eq!(libc::wait4(run.id() as i32, &mut status, 0, usage.as_mut_ptr()), run.id() as i32);
            usage.assume_init()
        };
        assert_eq!(status, 0);
        usage.ru_maxrss >> 10
    };
    let mib = peak(&["--json", "-o", "found.png"]);
    assert!(mib < 400, "{mib} MiB");
}

/// The computing thread is bound to its CPU, even if it is the only thread.
#[test]
#[cfg(target_os = "linux")]
fn threads_are_bound_to_cpus() {
    let allowed = std::fs::read_to_string("/proc/self/status").unwrap();
    let list = allowed.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let last = list.rsplit([',', '-']).next().unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_sam2"));
    run.args(["bench", "--model", "demo", "--cpus", last, "--json", "--in-turn"]).current_dir(root());
    let mut run = run.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let bound = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
        status
            .lines()
            .any(|line| line.starts_with("Cpus_allowed_list:") && line.split_whitespace().nth(1) == Some(last))
    };
    let waited = (0..600).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        bound()
    });
    assert!(waited, "CPU {last} of {list}");
    run.kill().unwrap();
    run.wait().unwrap();
    fails(3, "no CPU 99999", &segment(&["--point", "1,1", "--device", "cpu", "--cpus", "99999,0"]));
}

/// Endless inputs and RLE of huge masks are refused before memory is allocated.
#[test]
#[cfg(target_os = "linux")]
fn nothing_is_read_without_bound() {
    let folder = Folder::new("bounds");
    let bomb = folder.file("bomb.json");
    let rle = r#"{"size": [65535, 65535], "counts": [0, 4294836225]}"#;
    let call = format!(r#"[{{"op": "add_new_mask", "args": {{"frame_idx": 0, "obj_id": 1, "mask": {rle}}}}}]"#);
    std::fs::write(&bomb, call).unwrap();
    let track = |more: &[&'static str]| [&["track", "demo/samples/video1/frames", "--model", "demo"], more].concat();
    let zero = "/dev/zero";
    for (says, args) in [
        ("neither PNG", vec!["segment", zero, "--model", "demo", "--point", "1,1"]),
        ("more than 16777216 bytes", segment(&["--prompts", zero])),
        ("neither PNG", segment(&["--mask-input", zero])),
        ("at most 1048576 are read", segment(&["--point", "1,1", "--config", zero])),
        ("checkpoint /dev/zero", vec!["segment", PHOTO, "--model", zero, "--point", "1,1"]),
        ("more than 16777216 bytes", vec!["auto", PHOTO, "--model", "demo", "--point-grids", zero, "--json"]),
        ("neither PNG", track(&["--mask", "0:1:/dev/zero"])),
        ("more than 1073741824 bytes", track(&["--script", zero])),
        ("at most 134217728 are read", [&track(&["--script"])[..], &[&bomb]].concat()),
    ] {
        let start = std::time::Instant::now();
        fails(4, says, &args);
        assert!(start.elapsed().as_secs() < 30, "{args:?}");
    }
}

/// When the reader closes the pipe, the command ends.
#[test]
#[cfg(unix)]
fn a_closed_pipe_ends_the_work() {
    let folder = Folder::new("pipe");
    let mut run = Command::new(env!("CARGO_BIN_EXE_sam2"));
    run.args([
        "track",
        "demo/samples/video1/frames",
        "--model",
        "demo",
        "--box",
        "0:1:346,175,428,266",
        "--json",
        "-o",
    ]);
    run.arg(folder.file("out")).current_dir(root()).stderr(std::process::Stdio::null());
    let mut run = run.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(run.stdout.take());
    assert_eq!(run.wait().unwrap().code(), Some(0));
    let written = std::fs::read_dir(folder.file("out")).unwrap().count();
    assert!(written < 5, "{written} files");
}

/// If the system refuses threads, as in a full container, commands work with their single thread or report an error.
/// The test sets a stack size larger than the address space, so the system refuses every new thread.
#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn no_more_threads() {
    let folder = Folder::new("threads");
    let set = "demo/samples/video1";
    let truth = folder.0.join("truth/video1");
    std::fs::create_dir_all(truth.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(root().join(set).canonicalize().unwrap().join("masks"), &truth).unwrap();
    std::os::unix::fs::symlink(truth.canonicalize().unwrap(), folder.0.join("truth/video2")).unwrap();
    let truth = folder.file("truth");
    let frames = format!("{set}/frames");
    let track = ["track", &frames, "--model", "demo", "--box", "0:1:346,175,428,266", "--json", "--threads", "1"];
    for (code, args) in [
        (0, segment(&["--point", "1,1", "--json", "--threads", "1"])),
        (3, segment(&["--point", "1,1", "--json", "--threads", "2"])),
        (0, vec!["auto", PHOTO, "--model", "demo", "--points-per-side", "2", "--json", "--threads", "1"]),
        (0, track.to_vec()),
        (0, vec!["eval", "--gt-root", &truth, "--pred-root", &truth, "--threads", "2"]),
    ] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_sam2"));
        let run = run.args(&args).current_dir(root()).env("RUST_MIN_STACK", (1u64 << 47).to_string());
        let out = run.output().unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(code == 0 || stderr.contains("Resource temporarily unavailable"), "{args:?}: {stderr}");
    }
}
