//! Videos opened in a process of their own, also with a stand-in for ffmpeg that stalls, ends early or writes nonsense.

use crate::rig::folder;
use sam2::{CancellationToken, Frames, FramesOptions};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The result of opening a video in a separate process with another environment or folder.
pub fn opened(process: impl FnOnce(&mut Command), video: &Path) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    process(&mut command);
    let out = command.env("OPEN_AND_TELL", video).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

/// The same with a stand-in for ffmpeg.
fn with_ffmpeg(program: &Path, video: &Path) -> String {
    opened(|command| _ = command.env("SAM2_FFMPEG", program), video)
}

/// The code that [`opened`] runs.
pub fn open_and_tell(path: &Path) {
    let options = FramesOptions { decoder_timeout: Some(Duration::from_secs(3)), ..Default::default() };
    let open = || Frames::open_with(path, &options).and_then(|frames| Ok((frames.len(), frames.read(0)?)));
    // With a deadline it is tried twice, so that a decoder that was ended is known not to be used again.
    let opened = match std::env::var("DEADLINE_MS").map(|ms| Duration::from_millis(ms.parse().unwrap())) {
        Ok(ms) => {
            let _ = CancellationToken::with_deadline(Instant::now() + ms).run(open);
            CancellationToken::with_deadline(Instant::now() + ms).run(open)
        }
        Err(_) => open(),
    };
    match opened {
        Ok((count, _)) => println!("{count} frames"),
        Err(e) => println!("{e}"),
    }
}

/// A deadline ends a call that waits for the decoder, while it counts frames and while it decodes one.
pub fn a_decoder_that_stalls_until_the_deadline() {
    let folder = folder("deadline");
    let (video, program) = (folder.join("x.mp4"), folder.join("ffmpeg"));
    std::fs::write(&video, b"x").unwrap();
    for survey in ["exec sleep 1000", "echo 0, 0, 0, 1, 2, 0; echo 1, 0, 0, 1, 1, 0"] {
        let list = "case \"$*\" in *-version*) echo ffmpeg version 6.0;;";
        let script = format!("#!/bin/sh\n{list} *framecrc*) {survey};; *) exec sleep 1000;; esac\n");
        std::fs::write(&program, script).unwrap();
        Command::new("chmod").arg("+x").arg(&program).status().unwrap();
        let told = opened(|c| _ = c.env("SAM2_FFMPEG", &program).env("DEADLINE_MS", "500"), &video);
        assert_eq!(told.trim(), "the time limit of the call is over", "{survey}");
    }
    let _ = std::fs::remove_dir_all(folder);
}

pub fn an_ffmpeg_that_is_not_as_expected() {
    let folder = folder("stand-ins");
    let video = folder.join("x.mp4");
    std::fs::write(&video, b"x").unwrap();
    assert!(with_ffmpeg(&folder.join("absent"), &video).contains("install it"));
    assert!(with_ffmpeg(Path::new("true"), &video).contains("version"));
    let stand_in = |survey: &str, frames: &str| {
        let path = folder.join("ffmpeg");
        let list = "case \"$*\" in *-version*) echo ffmpeg version 6.0;;";
        let script = format!("#!/bin/sh\n{list} *framecrc*) {survey};; *) {frames};; esac\n");
        std::fs::write(&path, script).unwrap();
        Command::new("chmod").arg("+x").arg(&path).status().unwrap();
        let start = Instant::now();
        let told = with_ffmpeg(&path, &video);
        assert!(start.elapsed() < Duration::from_secs(20), "{survey}");
        told
    };
    let lists = "echo 0, 0, 0, 1, 2, 0; echo 1, 0, 0, 1, 1, 0";
    let (picture, much) = ("printf 'P6\\n2 1\\n255\\nabcdef'", "head -c 9000000 /dev/zero | tr '\\0' '\\n' >&2");
    for (survey, frames, want) in [
        (lists, picture, "1 frames"),
        // More on stderr than a pipe holds.
        (&format!("{much}; {lists}"), &format!("{much}; {picture}"), "1 frames"),
        (&format!("{much}; echo so it is >&2; exit 1"), "", "so it is"),
        ("head -c 9000 /dev/zero | tr '\\0' x >&2; exit 1", "", &"x".repeat(300)),
        (lists, "printf 'P6\\n2 1\\n255\\nab'", "frame 0: the video ended after 0 of 1 frames"),
        (lists, "printf 'P6\\n1 2\\n255\\nabcdef'", "frame 0 has 1x2 pixels"),
        (lists, "echo no picture", "frame 0: the video ended after 0 of 1 frames"),
        (lists, "exec yes garbage", "not what ffmpeg writes"),
        (lists, "exec cat /dev/zero", "not what ffmpeg writes"),
        (lists, "head -c 64 /dev/zero; exec sleep 1000", "not what ffmpeg writes"),
        (lists, "exec sleep 1000", "ffmpeg has decoded nothing for 3 seconds"),
        (lists, "printf 'P6\\n2 1\\n255\\nab'; exec sleep 1000", "ffmpeg has decoded nothing for 3 seconds"),
        ("exec sleep 1000", "", "ffmpeg has decoded nothing for 3 seconds"),
        ("exec >&-; sleep 1000", "", "does not end"),
        ("exec cat /dev/zero", "", "ffmpeg told"),
        (lists, "echo it broke >&2; exit 3", "frame 0: it broke"),
        (lists, "kill -9 $$", "SIGKILL"),
        ("kill -9 $$", "", "SIGKILL"),
        ("echo gibberish; exec sleep 60", "", "gibberish"),
        ("echo 0, 0, 0, 1, 99999, 0; echo 1, 0, 0, 1, 99999, 0", "", "a side of 99999 pixels"),
        // A child process that keeps its pipes open.
        (&format!("{lists}; sleep 5 >/dev/null &"), picture, "1 frames"),
    ] {
        let told = stand_in(survey, frames);
        assert!(told.contains(want) && told.len() < 600, "{survey}; {frames}: {told}");
    }
    let _ = std::fs::remove_dir_all(folder);
}
