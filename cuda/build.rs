//! Compiles the kernels. If there is an nvcc, it compiles them into a fatbin that the library contains. The C++
//! compiler compiles them for the emulator of the tests.
//!
//! Environment variables: `SAM2_KERNELS_FATBIN` (a fatbin made elsewhere for `SAM2_CUDA_ARCHS`; no kernels if it is
//! empty), `NVCC`, `CUDA_HOME`, `CUDA_PATH`, `VIRTUAL_ENV`, `SAM2_CUDA_ARCHS` (such as `80,90a,120`),
//! `SAM2_REQUIRE_CUDA_KERNELS=1` (no nvcc is an error).

use std::env::var_os;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Families of kernels, one file each.
const FAMILIES: &[&str] = &[
    "attention",
    "image_attention",
    "linear",
    "mask_out",
    "masks",
    "memory_attention",
    "norm",
    "pixels",
    "pointwise",
    "prompts",
    "splits",
    "tracking",
    "upscale",
];
/// The architectures of an everyday build. A release lists all of them in `SAM2_CUDA_ARCHS`.
const ARCHS: &str = "80,90a";

fn main() {
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-changed=emulator");
    for cfg in ["sam2_kernels", "sam2_assembled", "sam2_assembled_as_committed"] {
        println!("cargo::rustc-check-cfg=cfg({cfg})");
    }
    let keys = [
        "SAM2_KERNELS_FATBIN",
        "NVCC",
        "CUDA_HOME",
        "CUDA_PATH",
        "VIRTUAL_ENV",
        "SAM2_CUDA_ARCHS",
        "SAM2_REQUIRE_CUDA_KERNELS",
    ];
    keys.iter().for_each(|key| println!("cargo::rerun-if-env-changed={key}"));
    let out = PathBuf::from(var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let fatbin = out.join("kernels.fatbin");
    println!("cargo::rustc-env=SAM2_PTXAS_LOG=");
    println!("cargo::rustc-env=SAM2_NVCC=");
    println!("cargo::rustc-env=SAM2_NVCC_FOLDER=");
    let made = match var_os("SAM2_KERNELS_FATBIN") {
        Some(file) if file.is_empty() => Err("SAM2_KERNELS_FATBIN is empty".into()),
        Some(file) => {
            tell(&architectures());
            std::fs::copy(file, &fatbin).map(|_| ()).map_err(|e| format!("SAM2_KERNELS_FATBIN: {e}"))
        }
        None => find_nvcc().ok_or_else(|| "no nvcc found".to_string()).and_then(|nvcc| compile(&nvcc, &out, &fatbin)),
    };
    match made {
        Ok(()) => println!("cargo::rustc-cfg=sam2_kernels"),
        Err(why) if var_os("SAM2_REQUIRE_CUDA_KERNELS").is_some_and(|v| v != "0") => println!("cargo::error={why}"),
        // A build for the CPU alone is valid. A user who asks for CUDA at run time gets an error.
        Err(_) => std::fs::write(&fatbin, []).expect("OUT_DIR is writable"),
    }
    #[cfg(feature = "emulator")]
    emulator();
}

fn find_nvcc() -> Option<PathBuf> {
    let within = |key: &str| var_os(key).map(|home| PathBuf::from(home).join("bin/nvcc"));
    let on_path = var_os("PATH").into_iter().flat_map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let wheel = var_os("VIRTUAL_ENV").and_then(|env| {
        let lib = std::fs::read_dir(PathBuf::from(env).join("lib")).ok()?;
        lib.filter_map(|e| e.ok()).map(|e| e.path().join("site-packages/nvidia/cu13/bin/nvcc")).find(|p| p.is_file())
    });
    (var_os("NVCC").map(PathBuf::from).into_iter())
        .chain(within("CUDA_HOME"))
        .chain(within("CUDA_PATH"))
        .chain(on_path.map(|folder| folder.join("nvcc")))
        .chain(wheel)
        .chain(["/usr/local/cuda/bin/nvcc", "/opt/cuda/bin/nvcc"].map(PathBuf::from))
        .find(|path| path.is_file())
}

/// Writes one file that includes every family. It is compiled to PTX for the oldest architecture, and the PTX is
/// assembled for every other. The PTX is included, for future architectures.
/// The architectures of `SAM2_CUDA_ARCHS`.
fn architectures() -> Vec<String> {
    let list = var_os("SAM2_CUDA_ARCHS").and_then(|v| v.into_string().ok()).unwrap_or(ARCHS.into());
    list.split(',').map(|arch| arch.trim().into()).collect()
}

/// Tells the library which architectures its kernels are for.
fn tell(archs: &[String]) {
    println!("cargo::rustc-env=SAM2_ARCHS={}", archs.join(", "));
}

fn compile(nvcc: &Path, out: &Path, fatbin: &Path) -> Result<(), String> {
    let kernels = std::env::current_dir().map_err(|e| e.to_string())?.join("kernels");
    let all: String =
        FAMILIES.iter().map(|f| format!("#include \"{}\"\n", kernels.join(f).with_extension("cu").display())).collect();
    let source = out.join("kernels.cu");
    std::fs::write(&source, all).map_err(|e| e.to_string())?;
    let offered = run(Command::new(nvcc).arg("--list-gpu-code"))?;
    let offers =
        |arch: &String| offered.lines().any(|l| l.trim().strip_prefix("sm_") == Some(arch.trim_end_matches('a')));
    let archs: Vec<String> = architectures().into_iter().filter(offers).collect();
    let number = |arch: &String| arch.trim_end_matches('a').parse::<u32>().ok();
    let Some(oldest) = archs.iter().filter_map(number).min() else {
        return Err("nvcc compiles for none of SAM2_CUDA_ARCHS".into());
    };
    let ptx = out.join("kernels.ptx");
    let mut command = Command::new(nvcc);
    command.args(["-std=c++17", "-O3", "-lineinfo", "-Werror", "all-warnings", "-ptx"]);
    run(command.arg(format!("-arch=compute_{oldest}")).arg("-I").arg(&kernels).arg("-o").arg(&ptx).arg(&source))?;
    let jobs: Vec<(&String, PathBuf)> =
        archs.iter().map(|arch| (arch, out.join(format!("kernels.{arch}.cubin")))).collect();
    let assemble = |(arch, file): &(&String, PathBuf)| {
        let mut command = Command::new(nvcc.with_file_name("ptxas"));
        command.args(["-O3", "-lineinfo", "-v", "-Werror"]).arg(format!("-arch=sm_{arch}"));
        run(command.arg("-o").arg(file).arg(&ptx))
    };
    // As many at a time as Cargo allows.
    let at_once = var_os("NUM_JOBS").and_then(|n| n.to_str()?.parse().ok()).unwrap_or(1);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut logs = Vec::new();
        while let Some(job) = jobs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            logs.push(assemble(job)?);
        }
        Ok::<_, String>(logs.concat())
    };
    let logs: Result<Vec<String>, String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err("a thread of the build failed".into()))).collect()
    });
    // The assembler's report of registers and memory, which a test compares.
    let version = run(Command::new(nvcc).arg("--version"))?;
    let version = version.split_whitespace().find(|w| w.starts_with('V')).unwrap_or("unknown").to_string();
    std::fs::write(out.join("ptxas.log"), logs?.concat()).map_err(|e| e.to_string())?;
    println!("cargo::rustc-cfg=sam2_assembled");
    println!("cargo::rustc-env=SAM2_NVCC={version}");
    println!("cargo::rustc-env=SAM2_NVCC_FOLDER={}", nvcc.parent().unwrap_or(Path::new("")).display());
    let committed = std::fs::read_to_string(kernels.join("usage.txt")).unwrap_or_default();
    if committed.starts_with(&format!("nvcc {version}:")) {
        println!("cargo::rustc-cfg=sam2_assembled_as_committed");
    }
    println!("cargo::rustc-env=SAM2_PTXAS_LOG={}", out.join("ptxas.log").display());
    tell(&archs);
    let mut command = Command::new(nvcc.with_file_name("fatbinary"));
    command.arg(format!("--create={}", fatbin.display())).args(["-64", "-compress-all"]);
    command.arg(format!("--image3=kind=ptx,sm={oldest},file={}", ptx.display()));
    run(command.args(jobs.iter().map(|(arch, file)| format!("--image3=kind=elf,sm={arch},file={}", file.display()))))
        .map(|_| ())
}

/// Returns what a command prints. A compiler that fails is always an error.
fn run(command: &mut Command) -> Result<String, String> {
    let done = command.output().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    let text = [done.stdout, done.stderr].map(|t| String::from_utf8_lossy(&t).into_owned()).concat();
    if done.status.success() {
        return Ok(text);
    }
    text.lines().take(40).for_each(|line| println!("cargo::error={line}"));
    Err(format!("{} failed", command.get_program().display()))
}

/// Kernels are instrumented. The runtime that receives the calls of the instrumentation is not. Both are linked whole,
/// since linkers other than lld leave out objects of the runtime that only kernels need.
#[cfg(feature = "emulator")]
fn emulator() {
    println!("cargo::rustc-env=SAM2_EMULATOR_LIBRARIES={}", std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .files(["fibers", "launch", "memory", "numbers", "warp"].map(|name| format!("emulator/{name}.cpp")))
        .link_lib_modifier("+whole-archive")
        .compile("sam2_emulator");
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(2)
        .include("emulator")
        .include("kernels")
        .flag("-Wno-unused-parameter")
        .link_lib_modifier("+whole-archive");
    for flag in [
        "-xc++",
        "-fno-strict-aliasing",
        "-fno-tree-vectorize",
        "-fno-tree-slp-vectorize",
        "-fsanitize=kernel-address",
        "--param=asan-instrumentation-with-call-threshold=0",
        "--param=asan-stack=0",
        "--param=asan-globals=0",
    ] {
        build.flag(flag);
    }
    for family in FAMILIES {
        build.file(format!("kernels/{family}.cu"));
    }
    build.file("emulator/faults.cu");
    build.compile("sam2_emulated_kernels");
}
