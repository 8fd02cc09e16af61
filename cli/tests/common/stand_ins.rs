//! Stand-ins for NVIDIA's libraries, built with the C++ compiler.
#![allow(dead_code)] // each test uses a part of it

use sam2_cuda::emulator::{LIBRARIES, SOURCES};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Folders of stand-ins: driver and cuBLASLt, driver only, and a driver without nearly all functions.
pub struct StandIns {
    pub both: PathBuf,
    pub driver: PathBuf,
    pub empty: PathBuf,
}

pub fn stand_ins() -> &'static StandIns {
    static MADE: OnceLock<StandIns> = OnceLock::new();
    MADE.get_or_init(|| {
        let top = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stand-ins-{}", env!("CARGO_CRATE_NAME")));
        let [both, driver, empty] = ["both", "driver", "empty"].map(|name| top.join(name));
        [&both, &driver, &empty].iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
        let compile = |out: PathBuf, args: &[&str]| {
            let name = out.file_name().unwrap().to_str().unwrap();
            let mut command = Command::new(std::env::var("CXX").unwrap_or("c++".into()));
            command.args(["-std=c++17", "-O1", "-shared", "-fPIC", "-o"]).arg(&out);
            command.arg(format!("-Wl,-soname,{name}"));
            let done = command.args(args).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        };
        let library = |name: &str| format!("{LIBRARIES}/lib{name}.a");
        let source = |name: &str| format!("{SOURCES}/{name}");
        let (kernels, runtime) = (library("sam2_emulated_kernels"), library("sam2_emulator"));
        let whole = ["-Wl,--whole-archive", &kernels, &runtime, "-Wl,--no-whole-archive"];
        compile(driver.join("libcuda.so.1"), &[&[source("driver.cpp").as_str()], &whole[..]].concat());
        std::fs::copy(driver.join("libcuda.so.1"), both.join("libcuda.so.1")).unwrap();
        let beside = format!("-L{}", both.display());
        compile(both.join("libcublasLt.so.13"), &[&source("cublaslt.cpp"), &beside, "-l:libcuda.so.1"]);
        std::fs::write(empty.join("empty.c"), "int cuDriverGetVersion(int* v) { return *v = 13000, 0; }").unwrap();
        let text = empty.join("empty.c").display().to_string();
        compile(empty.join("libcuda.so.1"), &["-xc", "-std=c17", &text]);
        StandIns { both, driver, empty }
    })
}
