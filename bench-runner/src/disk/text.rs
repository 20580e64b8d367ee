//! A disk test for people: which disk it is, a row for each arm, what is to be doubted.

use std::fmt::Write as _;

use record::{DiskArm, DiskArmKind, DiskEngine, DiskTest, Quantiles, Reading};

/// The whole result as text.
pub(crate) fn render(test: &DiskTest) -> String {
    let mut text = format!("disk      {}\n", disk(test));
    let _ = writeln!(text, "file      {}", file(test));
    let (length, ramp) = (test.length_ns as f64 / 1e9, test.ramp_ns as f64 / 1e9);
    let _ = writeln!(text, "each      {length} s, after {ramp} s that are not counted; 4 KiB past the page cache\n");
    text += &table(test);
    if test.cut_off {
        text += "! cut off by the user: tests are missing\n";
    }
    for warning in &test.warnings {
        let _ = writeln!(text, "! {warning}");
    }
    text += "\ngross is what the clock says; net is without the time this program waited for a CPU\n";
    if test.arms.iter().any(|arm| arm.engine == DiskEngine::IoUring) {
        text += "net at depth 32: the disk works on while we wait, so the tail is at least that long\n";
    }
    text += "a host may answer reads from its own memory; --format json has each 100 ms\n";
    text
}

/// Which disk it is: "vda (virtio_blk), ext4 on /runs".
pub(crate) fn disk(test: &DiskTest) -> String {
    let filesystem = test.filesystem.seen().map_or("an unknown file system", String::as_str);
    let name = match &test.disk {
        Reading::Absent { absent } => format!("n/a ({absent})"),
        Reading::Seen(disk) => {
            let mut said = disk.driver.seen().map_or("driver unknown", String::as_str).to_owned();
            if let Some(model) = disk.model.seen() {
                said = format!("{said}, {model}");
            }
            if disk.rotational == Reading::Seen(true) {
                said += ", says that it rotates";
            }
            format!("{} ({said})", disk.name)
        }
    };
    format!("{name}, {filesystem} on {}", test.path)
}

fn file(test: &DiskTest) -> String {
    let mib = test.file.bytes >> 20;
    let written = test.file.written_in_ns.map_or_else(
        || "not all of it written".to_owned(),
        |ns| format!("written in {:.1} s ({:.0} MiB/s)", ns as f64 / 1e9, mib as f64 * 1e9 / ns.max(1) as f64),
    );
    format!("{mib} MiB of random bytes, {written}; seed {}", test.seed)
}

/// What an arm is to a person.
fn label(kind: DiskArmKind) -> &'static str {
    match kind {
        DiskArmKind::ReadQd1 => "read, depth 1",
        DiskArmKind::ReadQd32 => "read, depth 32",
        DiskArmKind::WriteQd1 => "write, depth 1",
        DiskArmKind::WriteQd32 => "write, depth 32",
        DiskArmKind::PacedReadQd1 => "read every 20 ms",
        DiskArmKind::PacedWriteQd1 => "write every 20 ms",
        DiskArmKind::WriteFdatasync => "write + fdatasync",
        DiskArmKind::AppendFdatasync => "log + fdatasync",
    }
}

fn table(test: &DiskTest) -> String {
    let mut text = format!(
        "{:<18}{:^15}{:^16}{:^16}{:^16}  {:>7}\n{:<18}",
        "", "IOPS", "p50 us", "p99 us", "p99.9 us", "waiting", ""
    );
    let _ = write!(text, "{:>7}{:>8}", "gross", "net");
    for _ in 0..3 {
        let _ = write!(text, "{:>8}{:>8}", "gross", "net");
    }
    text += "  for CPU\n";
    let mut reasons: Vec<&str> = Vec::new();
    for kind in DiskArmKind::ALL {
        let Some(arm) = test.arms.iter().find(|arm| arm.kind == kind) else { continue };
        text += &row(arm);
        if let Some(reason) = arm.iops_net.reason().filter(|r| !kind.is_paced() && !reasons.contains(r)) {
            reasons.push(reason);
        }
    }
    for reason in reasons {
        let _ = writeln!(text, "- no net: {reason}");
    }
    text
}

fn row(arm: &DiskArm) -> String {
    let mut text = format!("{:<18}", label(arm.kind));
    if arm.kind.is_paced() {
        let _ = write!(text, "{:>7}{:>8}", "", "");
    } else {
        let _ = write!(text, "{:>7.0}{:>8}", arm.iops, or_dash(arm.iops_net.seen().map(|iops| format!("{iops:.0}"))));
    }
    let points: [fn(&Quantiles) -> u64; 3] = [|q| q.p50, |q| q.p99, |q| q.p999];
    for point in points {
        let gross = (arm.operations > 0).then(|| micros(point(&arm.gross_ns)));
        let net = arm.net_ns.seen().filter(|_| arm.operations > 0).map(|net| micros(point(net)));
        let _ = write!(text, "{:>8}{:>8}", or_dash(gross), or_dash(net));
    }
    let waiting = arm.waiting_share.seen().map(|share| format!("{:.0} %", share * 100.0));
    let _ = writeln!(text, "  {:>7}", or_dash(waiting));
    text
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// Microseconds with the digits that mean something.
fn micros(ns: u64) -> String {
    let us = ns as f64 / 1e3;
    if us < 100.0 { format!("{us:.1}") } else { format!("{us:.0}") }
}

/// The test in a line, for a run that it stands beside.
pub(crate) fn line(test: &DiskTest) -> String {
    let arms: Vec<String> = DiskArmKind::ALL
        .iter()
        .filter_map(|kind| test.arms.iter().find(|arm| arm.kind == *kind))
        .map(|arm| {
            let net = arm.net_ns.seen().map(|net| format!(" (net {})", micros(net.p99))).unwrap_or_default();
            format!("{} p99 {} us{net}", label(arm.kind), micros(arm.gross_ns.p99))
        })
        .collect();
    format!("{}: {}", disk(test), arms.join("; "))
}
