//! The program `ffmpeg`: its path, its version, and how it is started.

use super::limits::ProcessLimits;
use super::process::Process;
use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The first version with all options that are used here.
const OLDEST: (u32, u32) = (4, 4);

/// The default time that the program may take for its next output.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// What a user without the program can do.
const ABSENT: &str = if cfg!(windows) {
    "not found; video files need the program ffmpeg.exe: install it (winget install Gyan.FFmpeg), or name it in \
     SAM2_FFMPEG"
} else {
    "not found; video files need the program ffmpeg: install it (Debian and Ubuntu: apt install ffmpeg; macOS: brew \
     install ffmpeg), or name it in SAM2_FFMPEG"
};

/// The program `ffmpeg`, found on this computer.
#[derive(Clone, Debug)]
pub struct Ffmpeg {
    program: OsString,
    version: (u32, u32),
    /// A process that writes nothing for this time is ended.
    limit: Duration,
    limits: ProcessLimits,
}

impl Ffmpeg {
    /// Finds the program that the environment variable `SAM2_FFMPEG` names, or `ffmpeg` on the `PATH`.
    ///
    /// # Errors
    ///
    /// [`Error::Ffmpeg`] if the program is absent or too old.
    pub fn find() -> Result<Ffmpeg> {
        let given = std::env::var_os("SAM2_FFMPEG").filter(|v| !v.is_empty());
        Ffmpeg::at(given.unwrap_or("ffmpeg".into()))
    }

    /// Finds the program of this name or path, and reads its version.
    ///
    /// # Errors
    ///
    /// [`Error::Ffmpeg`] if the program is absent or too old.
    pub fn at(program: OsString) -> Result<Ffmpeg> {
        let name = Path::new(&program).display().to_string();
        let fail = |what: String| Error::Ffmpeg { program: name.clone(), what };
        let mut ffmpeg = Ffmpeg { program, version: OLDEST, limit: PATIENCE, limits: ProcessLimits::default() };
        let mut process = ffmpeg
            .run(["-hide_banner", "-version"], Stdio::null())
            .map_err(|e| fail(if e.kind() == ErrorKind::NotFound { ABSENT.into() } else { e.to_string() }))?;
        let text = process.text().map_err(|e| fail(e.to_string()))?;
        let Some(rest) = text.strip_prefix("ffmpeg version ").filter(|_| process.finish().is_ok()) else {
            return Err(fail("it does not tell its version as ffmpeg does".into()));
        };
        ffmpeg.version = version(rest);
        if ffmpeg.version < OLDEST {
            let (major, minor) = ffmpeg.version;
            return Err(fail(format!("version {major}.{minor}; {}.{} or later is needed", OLDEST.0, OLDEST.1)));
        }
        Ok(ffmpeg)
    }

    /// Sets the time after which a process of the program that writes nothing is ended.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Ffmpeg {
        Ffmpeg { limit, ..self }
    }

    /// Sets limits of the resources of each process.
    #[must_use]
    pub fn with_limits(self, limits: ProcessLimits) -> Ffmpeg {
        Ffmpeg { limits, ..self }
    }

    /// Returns the options of an output that neither repeats nor drops a frame.
    #[must_use]
    pub fn every_frame(&self) -> [&'static str; 2] {
        if self.version >= (5, 1) { ["-fps_mode", "passthrough"] } else { ["-vsync", "passthrough"] }
    }

    /// Returns whether the program has an encoder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the program cannot be run.
    pub fn encodes(&self, encoder: &str) -> Result<bool> {
        let args = ["-encoders"];
        let mut process = self.start(args, Stdio::null())?;
        let text = process.text().map_err(|e| Error::io(Path::new(&self.program), e))?;
        Ok(text.lines().any(|line| line.split_whitespace().nth(1) == Some(encoder)))
    }

    /// Starts the program. It reports only errors.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the program cannot be run.
    pub fn start(&self, args: impl IntoIterator<Item: AsRef<OsStr>>, stdin: Stdio) -> Result<Process> {
        let quiet = ["-hide_banner", "-nostdin", "-loglevel", "error"].map(OsString::from);
        let args = quiet.into_iter().chain(args.into_iter().map(|arg| arg.as_ref().to_os_string()));
        self.run(args, stdin).map_err(|e| Error::io(Path::new(&self.program), e))
    }

    /// Starts the program with only these arguments.
    fn run(&self, args: impl IntoIterator<Item: AsRef<OsStr>>, stdin: Stdio) -> std::io::Result<Process> {
        let mut command = Command::new(&self.program);
        command.args(args).env("AV_LOG_FORCE_NOCOLOR", "1").env_remove("FFREPORT");
        Process::start(command.stdin(stdin), self.limit, self.limits)
    }
}

/// Reads a version, such as `5.1.9-0+deb12u1`, `n6.0` or `6.1`. A program that was built between two versions has a
/// date or a hash instead, and counts as recent.
fn version(text: &str) -> (u32, u32) {
    let text = text.strip_prefix('n').unwrap_or(text);
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next().and_then(|n| n.parse().ok()).filter(|&n| n < 1000);
    major.map_or((u32::MAX, 0), |major| (major, numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, want) in [
            ("5.1.9-0+deb12u1 Copyright", (5, 1)),
            ("n6.0 Copyright", (6, 0)),
            ("4.2.7-0ubuntu0.1", (4, 2)),
            ("8 Copyright", (8, 0)),
            ("N-109000-gabcdef", (u32::MAX, 0)),
            ("2024-01-01-git-abc", (u32::MAX, 0)),
        ] {
            assert_eq!(version(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_absent_or_another_program_is_said() {
        let absent = Ffmpeg::at("no-such-program".into());
        assert!(matches!(&absent, Err(Error::Ffmpeg { what, .. }) if what.contains("install")), "{absent:?}");
        let other = Ffmpeg::at("true".into());
        assert!(matches!(&other, Err(Error::Ffmpeg { what, .. }) if what.contains("version")), "{other:?}");
    }
}
