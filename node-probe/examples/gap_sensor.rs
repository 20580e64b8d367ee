//! Runs the gap sensor for so many seconds beside a full spin before and after it, and prints what both saw.
//!
//!     gap_sensor [SECONDS]
//!
//! One line of JSON: the share of the time that a hypervisor may have taken (known steal and unexplained) as the full
//! spin saw it and as the bursts did, and the sensor's CPU; before it, a line when the bursts begin and one when they end.

// An example prints and gives up; clippy knows that of tests only.
#![allow(clippy::print_stdout)]

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use node_probe::{GapSensor, GapWatch, SensorConfig, watch_gaps};
use record::{GapCause, GapLosses, GapReport, monotonic_ns};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(10), |text| text.parse())?;
    let config = SensorConfig { calibration: Duration::from_secs(3), ..SensorConfig::default() };
    let sensor = GapSensor::start(&config)?;
    println!("bursts begin");
    let (start_ns, before) = (monotonic_ns(), sensor.read());
    std::thread::sleep(Duration::from_secs(seconds));
    let (end_ns, after) = (monotonic_ns(), sensor.read());
    println!("bursts end");
    let full_before = sensor.calibration().cloned().ok_or("no calibration")?;
    drop(sensor);
    let watch = GapWatch { length: config.calibration, cpu: config.cpu, longest: 0 };
    let full_after = watch_gaps(&watch, &AtomicBool::new(false))?;

    let burst_ns = after.burst_ns - before.burst_ns;
    // What a hypervisor may have taken.
    let taken = |lost: &GapLosses| lost.known_steal_ns + lost.unexplained_ns;
    let full =
        |report: &GapReport| report.causes[&GapCause::KnownSteal].share + report.causes[&GapCause::Unexplained].share;
    let told = serde_json::json!({
        "full_before": full(&full_before),
        "full_after": full(&full_after),
        "bursts": (taken(&after.lost) - taken(&before.lost)) as f64 / burst_ns as f64,
        "sensor_cpu": (after.cpu_ns - before.cpu_ns) as f64 / (end_ns - start_ns) as f64,
        "mean_chunk_median_ns": (after.chunk_median_sum_ns - before.chunk_median_sum_ns) / (after.bursts - before.bursts).max(1),
        "counters": after,
    });
    println!("{told}");
    Ok(())
}
