//! A drive's own log, by way of smartctl: the request that reads it has no safe form of ours.

use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use record::{Reading, SmartLog};
use serde_json::Value;

/// A drive that has not answered by then is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks whether it has answered.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// More text than this is no answer of smartctl.
const MOST_BYTES: u64 = 4 << 20;

/// Asks smartctl, if it is installed and permitted.
pub(super) fn of(smartctl: Command, device: &Path) -> Reading<SmartLog> {
    ask(smartctl, device, PATIENCE).map_or_else(Reading::absent, |text| parse(&text))
}

fn ask(mut smartctl: Command, device: &Path, patience: Duration) -> Result<String, String> {
    let mut child = smartctl
        .args(["--json=c", "--all"])
        .arg(device)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| match e.kind() {
            ErrorKind::NotFound => "smartctl is not installed (package smartmontools)".to_owned(),
            _ => format!("smartctl: {e}"),
        })?;
    let output = child.stdout.take();
    let reader = thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        match output.map(|output| output.take(MOST_BYTES).read_to_end(&mut bytes)) {
            Some(Err(e)) => Err(e.to_string()),
            _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        }
    });
    let ended = wait(&mut child, patience);
    let reader = reader.map_err(|e| format!("there is no thread to read its answer: {e}"))?;
    let text = reader.join().map_err(|_| "its answer could not be read".to_owned())?;
    ended?;
    text
}

/// Waits for its end and ends it when patience does, so that none stays behind.
fn wait(child: &mut Child, patience: Duration) -> Result<(), String> {
    let deadline = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => return Ok(()),
            Ok(None) if Instant::now() < deadline => thread::sleep(LOOK_EVERY),
            Ok(None) => {
                child.kill().and_then(|()| child.wait()).map_err(|e| format!("smartctl cannot be ended: {e}"))?;
                return Err(format!("smartctl gave no answer within {:.1} s", patience.as_secs_f64()));
            }
            Err(e) => return Err(format!("smartctl cannot be waited for: {e}")),
        }
    }
}

fn parse(text: &str) -> Reading<SmartLog> {
    let Ok(all) = serde_json::from_str::<Value>(text) else {
        return Reading::absent("smartctl gave no JSON (before version 7.0)");
    };
    let nvme = &all["nvme_smart_health_information_log"];
    let number = |name: &str| nvme[name].as_u64();
    let log = SmartLog {
        passed: all["smart_status"]["passed"].as_bool(),
        critical_warning: number("critical_warning"),
        temperature_celsius: all["temperature"]["current"].as_i64().or_else(|| nvme["temperature"].as_i64()),
        percentage_used: number("percentage_used"),
        available_spare_percent: number("available_spare"),
        media_errors: number("media_errors"),
        warning_temperature_minutes: number("warning_temp_time"),
        critical_temperature_minutes: number("critical_comp_time"),
        data_units_read: number("data_units_read"),
        data_units_written: number("data_units_written"),
        power_on_hours: all["power_on_time"]["hours"].as_u64().or_else(|| number("power_on_hours")),
    };
    if log != SmartLog::default() {
        return Reading::Seen(log);
    }
    let why = all["smartctl"]["messages"][0]["string"].as_str().unwrap_or("the drive tells nothing");
    Reading::absent(format!("smartctl: {why}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ANSWER: &str = r#"{"json_format_version":[1,0],"smartctl":{"version":[7,3],"exit_status":0},
"device":{"name":"/dev/nvme0n1","type":"nvme","protocol":"NVMe"},"model_name":"Some Drive 1TB",
"smart_status":{"passed":true,"nvme":{"value":0}},
"nvme_smart_health_information_log":{"critical_warning":0,"temperature":44,"available_spare":100,
"available_spare_threshold":10,"percentage_used":3,"data_units_read":51234567,"data_units_written":41234567,
"host_reads":1,"host_writes":2,"controller_busy_time":3,"power_cycles":12,"power_on_hours":8123,
"unsafe_shutdowns":4,"media_errors":0,"num_err_log_entries":0,"warning_temp_time":17,"critical_comp_time":0},
"temperature":{"current":44},"power_cycle_count":12,"power_on_time":{"hours":8123}}"#;

    /// A program that does this; the shell reads it as text, which no other test's child can hold open.
    fn program(tree: &tempfile::TempDir, script: &str) -> Command {
        let path = tree.path().join("smartctl.sh");
        fs::write(&path, script).unwrap();
        let mut command = Command::new("sh");
        command.arg(path);
        command
    }

    #[test]
    fn an_answer_is_read_by_its_names() {
        let log = parse(ANSWER).seen().cloned().unwrap();
        assert_eq!((log.passed, log.temperature_celsius, log.percentage_used), (Some(true), Some(44), Some(3)));
        assert_eq!((log.warning_temperature_minutes, log.critical_temperature_minutes), (Some(17), Some(0)));
        assert_eq!((log.data_units_read, log.power_on_hours), (Some(51_234_567), Some(8123)));
    }

    #[test]
    fn a_refusal_is_said_in_smartctls_words() {
        let refusal = r#"{"smartctl":{"exit_status":2,"messages":[{"string":
            "Smartctl open device: /dev/nvme0n1 failed: Permission denied","severity":"error"}]}}"#;
        let said = parse(refusal);
        assert!(said.reason().unwrap().ends_with("Permission denied"), "{said:?}");
        assert!(parse("smartctl 6.6\n").reason().unwrap().contains("7.0"));
    }

    #[test]
    fn the_program_is_asked_for_the_device_and_a_long_answer_does_not_stop_it() {
        let tree = tempfile::tempdir().unwrap();
        let answer = tree.path().join("answer.json");
        // Longer than a pipe holds.
        fs::write(&answer, format!("{ANSWER}{}", " ".repeat(200_000))).unwrap();
        let script = format!("test \"$3\" = /dev/nvme0n1 && cat {}", answer.display());
        let log = of(program(&tree, &script), Path::new("/dev/nvme0n1"));
        assert_eq!(log.seen().unwrap().media_errors, Some(0), "{log:?}");
    }

    #[test]
    fn a_drive_that_hangs_is_given_up_and_a_missing_program_is_named() {
        let tree = tempfile::tempdir().unwrap();
        let started = Instant::now();
        let said = ask(program(&tree, "exec sleep 60"), Path::new("/dev/sda"), Duration::from_millis(50)).unwrap_err();
        assert!(said.contains("no answer within"), "{said}");
        assert!(started.elapsed() < Duration::from_secs(30));
        let said = of(Command::new("/nonexistent/smartctl"), Path::new("/dev/sda"));
        assert!(said.reason().unwrap().contains("smartmontools"), "{said:?}");
    }
}
