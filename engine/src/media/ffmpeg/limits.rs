//! Limits of the resources of a process.

use std::process::{Command, ExitStatus};
use std::time::Duration;

/// What a process with limits keeps of the environment: what its program and libraries are found by.
const KEPT: [&str; 8] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "TMPDIR", "TEMP", "TMP", "SystemRoot"];
/// Arenas of the C library's allocator, each of which reserves address space.
const ARENAS: &str = "4";

/// Limits of the resources of a process of `ffmpeg`, for files from people who are not trusted. A process with a limit
/// also has an almost empty environment and a process group of its own, and leaves no core file.
///
/// The limits hold on Unix. On other systems only the environment is emptied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// The processor time of all threads of the process, in whole seconds. The process is ended after it.
    pub cpu_time: Option<Duration>,
    /// The address space of the process in bytes. More than this cannot be allocated.
    pub memory: Option<u64>,
    /// The largest size in bytes of a file that the process writes. Pipes do not count.
    pub file_size: Option<u64>,
}

impl ProcessLimits {
    fn any(&self) -> bool {
        *self != ProcessLimits::default()
    }

    /// Has the process of a command begin with the limits.
    pub(super) fn set(&self, command: &mut Command) {
        if !self.any() {
            return;
        }
        command.env_clear().env("MALLOC_ARENA_MAX", ARENAS);
        command.envs(KEPT.iter().filter_map(|&name| Some((name, std::env::var_os(name)?))));
        #[cfg(unix)]
        self.set_unix(command);
    }

    #[cfg(unix)]
    fn set_unix(&self, command: &mut Command) {
        use std::os::unix::process::CommandExt;
        let seconds = self.cpu_time.map(|time| time.as_secs().max(1));
        let limits = [
            (libc::RLIMIT_CPU, seconds),
            (libc::RLIMIT_AS, self.memory),
            (libc::RLIMIT_FSIZE, self.file_size),
            (libc::RLIMIT_CORE, Some(0)),
        ];
        let set = move || {
            for (resource, most) in limits {
                let Some(most) = most else { continue };
                // A program that goes on after the signal of the limit is killed five seconds later.
                let hard = if resource == libc::RLIMIT_CPU { most.saturating_add(5) } else { most };
                let limit = libc::rlimit { rlim_cur: most as libc::rlim_t, rlim_max: hard as libc::rlim_t };
                // SAFETY: the pointer is to a value of this function.
                if unsafe { libc::setrlimit(resource, &raw const limit) } != 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        };
        command.process_group(0);
        // SAFETY: `set` only calls setrlimit, which is safe between fork and exec: it allocates nothing and takes no
        // lock.
        unsafe { command.pre_exec(set) };
    }

    /// Returns the reason why a process without a message ended, if it is its processor time.
    pub(super) fn reason(&self, status: ExitStatus) -> Option<String> {
        let time = self.cpu_time?;
        // ffmpeg catches the signal, and ends with 255.
        let over = ended_by_limit(status) || status.code() == Some(255);
        over.then(|| format!("ffmpeg took more than {} s of processor time, and was ended", time.as_secs()))
    }
}

/// Returns whether the signal of a limit of processor time ended a process.
#[cfg(unix)]
fn ended_by_limit(status: ExitStatus) -> bool {
    let signal = std::os::unix::process::ExitStatusExt::signal(&status);
    matches!(signal, Some(libc::SIGXCPU | libc::SIGKILL))
}

/// Returns false, since there are no limits.
#[cfg(not(unix))]
fn ended_by_limit(_: ExitStatus) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::process::Output;

    fn run(limits: ProcessLimits, script: &str) -> Output {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        limits.set(&mut command);
        command.output().unwrap()
    }

    #[test]
    fn processor_time_ends_a_process() {
        let limits = ProcessLimits { cpu_time: Some(Duration::from_secs(1)), ..Default::default() };
        let status = run(limits, "while :; do :; done").status;
        assert_eq!(
            limits.reason(status).as_deref(),
            Some("ffmpeg took more than 1 s of processor time, and was ended")
        );
        let failed = run(limits, "exit 1").status;
        assert_eq!((failed.code(), limits.reason(failed)), (Some(1), None));
    }

    #[test]
    fn memory_and_files_are_limited() {
        // `tail` keeps all of the one line.
        let script = "head -c 300000000 /dev/zero | tail -n 1 | wc -c";
        let whole = run(ProcessLimits::default(), script);
        assert_eq!(String::from_utf8_lossy(&whole.stdout).trim(), "300000000");
        let limited = run(ProcessLimits { memory: Some(200 << 20), ..Default::default() }, script);
        assert_ne!(String::from_utf8_lossy(&limited.stdout).trim(), "300000000");

        let file = std::env::temp_dir().join(format!("sam2-limits-{}", std::process::id()));
        let limits = ProcessLimits { file_size: Some(1000), ..Default::default() };
        run(limits, &format!("head -c 5000 /dev/zero > {}", file.display()));
        let written = std::fs::metadata(&file).unwrap().len();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(written, 1000);
    }

    #[test]
    fn the_environment_is_almost_empty() {
        let limits = ProcessLimits { memory: Some(1 << 30), ..Default::default() };
        let names = String::from_utf8(run(limits, "env").stdout).unwrap();
        let foreign = |line: &&str| {
            let name = line.split('=').next().unwrap_or_default();
            // The shell sets the last three itself.
            !KEPT.contains(&name) && !["MALLOC_ARENA_MAX", "PWD", "SHLVL", "_"].contains(&name)
        };
        assert_eq!(names.lines().filter(foreign).collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
