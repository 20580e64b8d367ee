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

/// What the disk did before a run and after it, net of waiting for a CPU where that is known. Nothing where neither
/// was tested.
pub(crate) fn beside(before: Option<&DiskTest>, after: Option<&DiskTest>) -> String {
    let Some(any) = before.or(after) else { return String::new() };
    let mut text = format!("\nDisk beside the run, without waiting for a CPU: {}\n", disk(any));
    let _ = writeln!(text, "{:<20}{:>13}{:>9}{:>17}{:>9}", "", "IOPS before", "after", "p99 us before", "after");
    for kind in DiskArmKind::ALL {
        let arm =
            |test: Option<&'_ DiskTest>| test.and_then(|test| test.arms.iter().find(|arm| arm.kind == kind)).cloned();
        let (first, second) = (arm(before), arm(after));
        if first.is_none() && second.is_none() {
            continue;
        }
        let iops = |arm: &Option<DiskArm>| arm.as_ref()?.iops_net.seen().map(|iops| format!("{iops:.0}"));
        let p99 = |arm: &Option<DiskArm>| arm.as_ref()?.net_ns.seen().map(|net| micros(net.p99));
        let _ = writeln!(
            text,
            "  {:<18}{:>13}{:>9}{:>17}{:>9}",
            label(kind),
            or_dash(iops(&first)),
            or_dash(iops(&second)),
            or_dash(p99(&first)),
            or_dash(p99(&second)),
        );
    }
    text
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

#[cfg(test)]
mod tests {
    use record::{BlockDevice, DiskTestFile, METHOD, SCHEMA, Warning, WarningKind};

    use super::*;

    fn arm(kind: DiskArmKind, net: bool) -> DiskArm {
        let gross_ns = Quantiles { p50: 59_600, p90: 80_000, p99: 3_900_000, p999: 5_000_000, max: 6_000_000 };
        let without = || "no schedstat";
        DiskArm {
            kind,
            engine: if kind.depth() > 1 { DiskEngine::IoUring } else { DiskEngine::Calls },
            engine_reason: None,
            block_bytes: 4096,
            start_ns: 0,
            measured_ns: 5_000_000_000,
            operations: 5000,
            iops: 1000.0,
            iops_net: if net && !kind.is_paced() { Reading::Seen(2000.0) } else { Reading::absent(without()) },
            gross_ns,
            net_ns: if net {
                Reading::Seen(Quantiles { p99: 140_000, ..gross_ns })
            } else {
                Reading::absent(without())
            },
            waiting_share: if net { Reading::Seen(0.5) } else { Reading::absent(without()) },
            flush_ns: None,
            run_delay_ns: Reading::absent(without()),
            undisturbed_ns: None,
            cpu_ns: 1,
            late_ns: None,
            missed: 0,
            errors: 0,
            first_error: None,
            unfinished: 0,
            unfinished_longest_ns: 0,
            thirds: None,
            device: Reading::absent("not looked at"),
            windows: vec![],
        }
    }

    fn test(net: bool) -> DiskTest {
        let disk = BlockDevice {
            name: "vda".into(),
            number: "254:0".into(),
            driver: Reading::Seen("virtio_blk".into()),
            model: Reading::absent("it does not say"),
            rotational: Reading::Seen(false),
            filesystem: Reading::Seen("ext4".into()),
        };
        DiskTest {
            schema: SCHEMA,
            method: METHOD,
            path: "/runs".into(),
            began_realtime_ns: 0,
            took_ns: 0,
            seed: 7,
            disk: Reading::Seen(disk),
            filesystem: Reading::Seen("ext4".into()),
            file: DiskTestFile { bytes: 1 << 30, written_in_ns: Some(4_000_000_000), free_bytes: 1 << 40 },
            length_ns: 5_000_000_000,
            ramp_ns: 1_000_000_000,
            // As they were made, not as they are read.
            arms: [DiskArmKind::PacedReadQd1, DiskArmKind::ReadQd32, DiskArmKind::ReadQd1].map(|k| arm(k, net)).into(),
            cut_off: false,
            warnings: vec![Warning::new(WarningKind::BusyMachine, "read_qd1: 50 %", "take net")],
        }
    }

    #[test]
    fn the_table_is_gross_and_net_side_by_side() {
        let want = "\
disk      vda (virtio_blk), ext4 on /runs
file      1024 MiB of random bytes, written in 4.0 s (256 MiB/s); seed 7
each      5 s, after 1 s that are not counted; 4 KiB past the page cache

                       IOPS           p50 us          p99 us         p99.9 us      waiting
                    gross     net   gross     net   gross     net   gross     net  for CPU
read, depth 1        1000    2000    59.6    59.6    3900     140    5000    5000     50 %
read, depth 32       1000    2000    59.6    59.6    3900     140    5000    5000     50 %
read every 20 ms                     59.6    59.6    3900     140    5000    5000     50 %
! read_qd1: 50 % (take net)
";
        let text = render(&test(true));
        assert!(text.starts_with(want), "{text}");
        assert!(text.contains("net at depth 32"), "{text}");
    }

    #[test]
    fn what_is_not_known_is_a_dash_with_its_reason() {
        let text = render(&test(false));
        assert!(text.contains("read, depth 1        1000       -    59.6       -    3900       -"), "{text}");
        assert_eq!(text.matches("- no net: no schedstat").count(), 1, "{text}");
        let unnamed = DiskTest { disk: Reading::absent("a zfs pool"), cut_off: true, ..test(true) };
        let text = render(&unnamed);
        assert!(
            text.starts_with("disk      n/a (a zfs pool), ext4 on /runs\n") && text.contains("! cut off"),
            "{text}"
        );
    }

    #[test]
    fn before_and_after_stand_side_by_side() {
        let (before, mut after) = (test(true), test(true));
        after.arms.remove(2);
        let text = beside(Some(&before), Some(&after));
        let line = |label: &str| -> Vec<&str> {
            text.lines().find_map(|l| l.trim_start().strip_prefix(label)).unwrap().split_whitespace().collect()
        };
        assert_eq!(line("read, depth 1 "), ["2000", "-", "140", "-"]);
        assert_eq!(line("read, depth 32"), ["2000", "2000", "140", "140"]);
        assert_eq!(line("read every 20 ms"), ["-", "-", "140", "140"]);
        assert!(text.contains("beside the run, without waiting for a CPU: vda"), "{text}");
        assert_eq!(beside(None, None), "");
    }
}
