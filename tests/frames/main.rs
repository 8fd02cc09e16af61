//! Frames of folders and of video files: the same pixels in any order, and an error for any problem.

#[path = "../common/mod.rs"]
mod common;
mod decoder;
mod folders;
mod rig;
mod videos;

use libtest_mimic::{Arguments, Trial};
use sam2::ffmpeg::Ffmpeg;
use sam2::log;

/// Tests that need ffmpeg are skipped, and counted as skipped, if it is absent. In CI they fail. Threads are counted on
/// Linux.
fn main() {
    if let Some(path) = std::env::var_os("OPEN_AND_TELL") {
        return decoder::open_and_tell(path.as_ref());
    }
    log::set_logger(&rig::Notes).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let (found, ci) = (Ffmpeg::find().is_ok(), std::env::var_os("CI").is_some());
    let trial = |name: &str, test: fn(), needs_ffmpeg: bool| {
        let run = move || {
            test();
            Ok(())
        };
        Trial::test(name, run).with_ignored_flag(!cfg!(target_os = "linux") || needs_ffmpeg && !found && !ci)
    };
    let trials = vec![
        trial("folders_have_an_order_and_gaps", folders::folders_have_an_order_and_gaps, false),
        trial("which_files_are_frames", folders::which_files_are_frames, false),
        trial("every_nth_frame", folders::every_nth_frame, false),
        trial("frames_know_their_names", folders::frames_know_their_names, false),
        trial("any_order_gives_the_same_pixels", folders::any_order_gives_the_same_pixels, false),
        trial("a_frame_is_decoded_once_and_ahead", folders::a_frame_is_decoded_once_and_ahead, false),
        trial("a_damaged_file_is_one_frame", folders::a_damaged_file_is_one_frame, false),
        trial("nothing_is_left_behind", folders::nothing_is_left_behind, false),
        trial("a_video_is_its_frames", videos::a_video_is_its_frames, true),
        trial("frames_are_counted_as_they_are_shown", videos::frames_are_counted_as_they_are_shown, true),
        trial("what_is_no_video_is_said", videos::what_is_no_video_is_said, true),
        trial("damaged_videos_have_one_policy", videos::damaged_videos_have_one_policy, true),
        trial("short_clips_have_their_exact_rate", videos::short_clips_have_their_exact_rate, true),
        trial("a_video_that_fails_later", videos::a_video_that_fails_later, true),
        trial("a_decoder_that_stalls_until_the_deadline", decoder::a_decoder_that_stalls_until_the_deadline, false),
        trial("an_ffmpeg_that_is_not_as_expected", decoder::an_ffmpeg_that_is_not_as_expected, false),
    ];
    // One after another, since they count threads.
    let args = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&args, trials).exit();
}
