//! Tests that results never replace inputs, and are written completely or not at all.

mod common;

use common::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// All files below a folder, with their bytes.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            all.extend(snapshot(&entry));
        } else {
            all.insert(entry.clone(), std::fs::read(&entry).unwrap());
        }
    }
    all
}

/// Copies the files of a folder of the repository.
fn copy(from: &str, to: &Path, keep: impl Fn(&str) -> bool) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(root().join(from)).unwrap().map(|entry| entry.unwrap()) {
        if keep(entry.file_name().to_str().unwrap()) {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// A folder with a file of every kind that commands read: `a.png` and `b.overlay.png`, PNG frames, a data set of one
/// video, a model, prompts, and a script of calls.
fn inputs(name: &str) -> Folder {
    let folder = Folder::new(name);
    let picture = root().join("demo/samples/images/image3.png");
    for file in ["a.png", "b.overlay.png", "mask.png", "frames/00000.png", "frames/00001.png", "clip/overlay/00000.png"]
    {
        let file = folder.0.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::copy(&picture, file).unwrap();
    }
    let first_two = |name: &str| name < "00002";
    copy("demo/samples/video1/frames", &folder.0.join("set/frames/v"), first_two);
    copy("demo/samples/video1/masks", &folder.0.join("set/masks/v"), first_two);
    copy("demo", &folder.0.join("model"), |name| name.ends_with("safetensors"));
    std::fs::write(folder.file("prompts.json"), r#"[{"points": [[90, 100]]}]"#).unwrap();
    let call = r#"[{"op": "add_new_mask", "args": {"frame_idx": 0, "obj_id": 1, "mask": "mask.png"}}]"#;
    std::fs::write(folder.file("calls.json"), call).unwrap();
    folder
}

/// Every command, with a result that is one of its inputs.
#[test]
fn what_is_read_is_never_overwritten() {
    let folder = inputs("overwrite");
    #[cfg(unix)]
    {
        std::fs::hard_link(folder.file("a.png"), folder.file("hard.png")).unwrap();
        std::os::unix::fs::symlink("a.png", folder.file("soft.png")).unwrap();
        std::os::unix::fs::symlink("frames", folder.file("frames-link")).unwrap();
        std::fs::create_dir_all(folder.file("linked/v")).unwrap();
        std::os::unix::fs::symlink(folder.file("set/masks/v/00000.png"), folder.file("linked/v/00000.png")).unwrap();
        std::fs::create_dir_all(folder.file("out")).unwrap();
        std::fs::hard_link(folder.file("frames/00001.png"), folder.file("out/00001.png")).unwrap();
    }
    let weights = std::fs::read_dir(folder.file("model")).unwrap().next().unwrap().unwrap().path();
    let (weights, before) = (weights.to_str().unwrap(), snapshot(&folder.0));
    let segment = "segment a.png --model model --point 90,100";
    let track = "track frames --model model --box 0:1:20,20,90,90";
    let vos = "vos --model model --base-video-dir set/frames --input-mask-dir set/masks --output-mask-dir";
    let mut commands: Vec<String> = [
        format!("{segment} -o a.png"),
        format!("{segment} -o ./frames/../a.png"),
        "segment b.overlay.png --model model --point 90,100 -o b.png".into(),
        "auto b.overlay.png --model model -o b.png".into(),
        "auto a.png --model model -o a.png".into(),
        "auto frames --model model -o frames".into(),
        "auto a.png --model model --point-grids prompts.json -o prompts.json".into(),
        format!("{segment} --mask-input mask.png -o mask.png"),
        "segment a.png --model model --prompts prompts.json --raw prompts.json".into(),
        format!("{segment} --raw {weights}"),
        format!("encode a.png --model model --raw {weights}"),
        format!("encode a.png --model {weights} --raw {weights}"),
        format!("convert model {weights}"),
        format!("convert {weights} {weights} --dtype f16"),
        format!("{track} -o frames"),
        format!("{track} --raw {weights}"),
        "track clip/overlay --model model --box 0:1:20,20,90,90 -o clip".into(),
        format!("{vos} set/masks"),
        format!("{vos} set/frames"),
        format!("{vos} set/masks/../masks/."),
        "eval --gt-root set/masks --pred-root set/masks -o set/masks/v/00000.png".into(),
    ]
    .into();
    if cfg!(unix) {
        commands.extend([
            format!("{segment} -o hard.png"),
            format!("{segment} -o soft.png"),
            "auto a.png --model model -o hard.png".into(),
            format!("{track} -o frames-link"),
            format!("{track} -o out"),
            "track frames --model model --script calls.json -o masks-of-calls".into(),
            format!("{vos} linked"),
        ]);
        std::fs::create_dir_all(folder.file("masks-of-calls")).unwrap();
        std::fs::hard_link(folder.file("mask.png"), folder.file("masks-of-calls/00000.png")).unwrap();
    }
    let before = before.into_iter().chain(snapshot(&folder.0)).collect::<BTreeMap<_, _>>();
    for command in &commands {
        let args: Vec<&str> = command.split(' ').collect();
        let out = Command::new(env!("CARGO_BIN_EXE_sam2")).args(&args).current_dir(&folder.0).output().unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr);
        let refused = match out.status.code() {
            Some(4) => stderr.contains("not overwritten") && stderr.contains("reads it as"),
            // The extension of another format is refused first.
            Some(2) => stderr.contains("cannot write ."),
            _ => false,
        };
        assert!(refused, "{command}: {:?} {stderr}", out.status);
        assert!(out.stdout.is_empty(), "{command}");
        assert!(snapshot(&folder.0) == before, "{command} has changed files");
    }
}

/// Results are written beside inputs, over older results and through links.
#[test]
fn results_elsewhere_are_written() {
    let folder = inputs("elsewhere");
    let run = |command: &str| {
        let args: Vec<&str> = command.split(' ').collect();
        let out = Command::new(env!("CARGO_BIN_EXE_sam2")).args(&args).current_dir(&folder.0).output().unwrap();
        assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
    };
    for _ in 0..2 {
        run("segment a.png --model model --point 90,100 -o m.png --raw m.safetensors");
        run("auto frames --model model -o frames/found");
        run("track frames --model model --box 0:1:20,20,90,90 -o frames/tracked --raw frames/raw.safetensors");
        run("vos --model model --base-video-dir set/frames --input-mask-dir set/masks --output-mask-dir set/found");
        run("convert model m.f16.safetensors --dtype f16");
    }
    let mask = std::fs::read(folder.file("m.png")).unwrap();
    #[cfg(unix)]
    {
        std::fs::create_dir_all(folder.file("store")).unwrap();
        std::os::unix::fs::symlink("store/kept.png", folder.file("link.png")).unwrap();
        run("segment a.png --model model --point 90,100 -o link.png");
        assert!(std::fs::symlink_metadata(folder.file("link.png")).unwrap().is_symlink());
        assert_eq!(std::fs::read(folder.file("store/kept.png")).unwrap(), mask);
        run("segment a.png --model model --point 90,100 -o /dev/null");
        assert!(!Path::new("/dev/null.overlay.png").exists());
    }
    // No temporary file is left.
    let hidden =
        snapshot(&folder.0).into_keys().find(|file| file.file_name().unwrap().to_str().unwrap().starts_with('.'));
    assert_eq!(hidden, None);
}

#[test]
fn a_suffix_of_another_format_is_refused() {
    let folder = inputs("suffix");
    for (args, written) in [
        ("segment a.png --model model --point 9,9 -o m.jpg", ".png"),
        ("segment a.png --model model --point 9,9 -o m.npy", ".png"),
        ("segment a.png --model model --point 9,9 --raw m.pt", ".safetensors"),
        ("encode a.png --model model --raw m.npz", ".safetensors"),
        ("convert model m.pth", ".safetensors"),
        ("auto a.png --model model -o m.TIFF", ".png"),
        ("auto frames --model model -o m.json", "a folder"),
        ("track frames --model model --point 0:1:9,9 -o m.mp4", "a folder"),
        ("track frames --model model --point 0:1:9,9 --raw m.json", ".safetensors"),
        ("eval --gt-root set/masks --pred-root set/masks -o m.json", ".csv"),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let out = Command::new(env!("CARGO_BIN_EXE_sam2")).args(&args).current_dir(&folder.0).output().unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {stderr}");
        assert!(stderr.contains(&format!("the output is {written}")), "{args:?}: {stderr}");
    }
}

/// After a signal, only complete files are left, and no temporary ones.
#[test]
#[cfg(unix)]
fn a_signal_leaves_whole_files_only() {
    let folder = inputs("signal");
    let frames = root().join("demo/samples/video1/frames");
    for wait in [0, 30, 60, 120, 250] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_sam2"));
        run.args(["track", frames.to_str().unwrap(), "--model", "model", "--box", "0:1:346,175,428,266"]);
        run.args(["-o", "out", "--raw", "raw.safetensors"]).current_dir(&folder.0).stdout(Stdio::null());
        let mut run = run.stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(100 + wait));
        assert!(Command::new("kill").arg(run.id().to_string()).status().unwrap().success());
        run.wait().unwrap();
        for (file, bytes) in snapshot(&folder.0) {
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(!name.starts_with('.'), "{name} is left");
            if name.ends_with(".png") {
                assert!(bytes.ends_with(b"IEND\xaeB`\x82"), "{}", file.display());
            }
        }
    }
}

/// A video is processed again unless all its masks exist and are complete.
#[test]
fn a_video_is_skipped_only_when_all_its_masks_are_whole() {
    let folder = inputs("skip");
    let run = || {
        let args = "vos --model model --base-video-dir set/frames --input-mask-dir set/masks --output-mask-dir found";
        let mut run = Command::new(env!("CARGO_BIN_EXE_sam2"));
        let out = run.args(args.split(' ')).arg("--skip-existing").current_dir(&folder.0).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    assert!(!run().contains("already written"));
    let whole = snapshot(&folder.0.join("found"));
    assert!(run().contains("already written"));
    for damage in [|_: &[u8]| None, |bytes: &[u8]| Some(bytes[..bytes.len() / 2].to_vec()), |_: &[u8]| Some(vec![])] {
        for (file, bytes) in &whole {
            match damage(bytes) {
                Some(bytes) => std::fs::write(file, bytes).unwrap(),
                None => std::fs::remove_file(file).unwrap(),
            }
            assert!(!run().contains("already written"), "{}", file.display());
            assert_eq!(snapshot(&folder.0.join("found")), whole);
        }
    }
}

/// On a full disk, the previous file stays, and no part of the new file is left.
#[test]
#[cfg(target_os = "linux")]
fn a_failed_write_leaves_what_was_there() {
    let folder = inputs("full");
    std::fs::write(folder.file("m.safetensors"), "before").unwrap();
    let before = snapshot(&folder.0);
    // The shell limits the size of files that the process may write.
    let limited =
        "ulimit -f 4; trap '' XFSZ; exec \"$0\" segment a.png --model model --point 90,100 --raw m.safetensors";
    let out = Command::new("bash").args(["-c", limited, env!("CARGO_BIN_EXE_sam2")]).current_dir(&folder.0).output();
    let out = out.unwrap();
    assert_eq!(out.status.code(), Some(4), "{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(snapshot(&folder.0), before);
}
