//! A library to be loaded before the C library: the time of day with the seconds that stand in the file `STEPPED_CLOCK`.
//! Built by `clock.rs`, and no part of any program.

use std::sync::OnceLock;

const CLOCK_REALTIME: i32 = 0;

#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn syscall(number: i64, ...) -> i64;
}

#[cfg(target_arch = "x86_64")]
const CLOCK_GETTIME: i64 = 228;
#[cfg(target_arch = "aarch64")]
const CLOCK_GETTIME: i64 = 113;

/// Answers instead of the C library's.
///
/// # Safety
/// As clock_gettime(2): `time` points to a timespec.
#[no_mangle]
pub unsafe extern "C" fn clock_gettime(clock: i32, time: *mut Timespec) -> i32 {
    let answer = syscall(CLOCK_GETTIME, clock, time) as i32;
    if clock == CLOCK_REALTIME && answer == 0 {
        (*time).seconds += step();
    }
    answer
}

fn step() -> i64 {
    static FILE: OnceLock<Option<std::ffi::OsString>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os("STEPPED_CLOCK"));
    let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
