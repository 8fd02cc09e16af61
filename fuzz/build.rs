//! Compiles libjpeg's side of the target `jpeg`, which needs the feature `libjpeg`.

fn main() {
    println!("cargo:rerun-if-changed=libjpeg.c");
    if std::env::var_os("CARGO_FEATURE_LIBJPEG").is_some() {
        cc::Build::new().file("libjpeg.c").compile("libjpeg_decode");
        println!("cargo:rustc-link-lib=jpeg");
    }
}
