//! Another Rust library in a program.

#[unsafe(no_mangle)]
pub extern "C" fn other_rust() -> i32 {
    let squares: Vec<i32> = (0..10).map(|n| n * n).collect();
    std::thread::spawn(move || squares.iter().sum()).join().unwrap_or(-1)
}
