//! /proc/cpuinfo and its kin: the model, the flags, and which CPUs there are.

use std::fs;
use std::path::Path;

use record::Reading;
use rustix::thread::sched_getaffinity;

use crate::disk::device::line;
use crate::proc::stat;

/// What /proc/cpuinfo says of the first CPU.
#[derive(Debug, Default)]
pub(super) struct Cpu {
    text: String,
}

impl Cpu {
    pub(super) fn read(root: &Path) -> Self {
        Self { text: fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default() }
    }

    /// A field of the first CPU that has it.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// Whether x86 says a hypervisor is under it; none on processors without such a flag.
    pub(super) fn hypervisor_flag(&self) -> Option<bool> {
        self.field("flags").map(|flags| flags.split(' ').any(|flag| flag == "hypervisor"))
    }

    /// The model's name. Arm has numbers instead; boards name the machine in the device tree.
    pub(super) fn model(&self, root: &Path) -> Reading<String> {
        if let Some(name) = self.field("model name").or_else(|| self.field("cpu model")).or_else(|| self.field("uarch"))
        {
            return Reading::Seen(name.to_owned());
        }
        if let (Some(implementer), Some(part)) = (self.field("CPU implementer"), self.field("CPU part")) {
            return Reading::Seen(arm(implementer, part));
        }
        line(&root.join("proc/device-tree/model"))
            .map_or_else(|| Reading::absent("/proc/cpuinfo names no model"), Reading::Seen)
    }
}

/// The processors that servers have, by MIDR_EL1's implementer and part (arch/arm64/include/asm/cputype.h).
fn arm(implementer: &str, part: &str) -> String {
    let name = match (implementer, part) {
        ("0x41", "0xd03") => "Arm Cortex-A53",
        ("0x41", "0xd08") => "Arm Cortex-A72",
        ("0x41", "0xd0b") => "Arm Cortex-A76",
        ("0x41", "0xd0c") => "Arm Neoverse N1",
        ("0x41", "0xd40") => "Arm Neoverse V1",
        ("0x41", "0xd49") => "Arm Neoverse N2",
        ("0x41", "0xd4f") => "Arm Neoverse V2",
        ("0x48", "0xd01") => "HiSilicon Kunpeng 920",
        ("0xc0", "0xac3") => "Ampere-1",
        ("0xc0", "0xac4") => "Ampere-1A",
        _ => return format!("Arm implementer {implementer}, part {part}"),
    };
    name.to_owned()
}

/// CPUs online, by number.
pub(super) fn online(root: &Path) -> Vec<u32> {
    if let Some(list) = line(&root.join("sys/devices/system/cpu/online")).as_deref().and_then(parse_list) {
        return list;
    }
    let stat = fs::read_to_string(root.join("proc/stat")).ok().and_then(|text| stat::parse(&text).ok());
    stat.map(|stat| stat.cpus.into_keys().collect()).unwrap_or_default()
}

/// No kernel has more (CONFIG_NR_CPUS), so that a list is no longer than its machine.
const MOST_CPUS: u32 = 8192;

/// "0-1,8" is 0, 1 and 8.
pub(crate) fn parse_list(text: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for range in text.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|cpu| *cpu < MOST_CPUS);
        cpus.extend(number(first)?..=number(last)?);
        if cpus.len() > MOST_CPUS as usize {
            return None;
        }
    }
    Some(cpus)
}

/// CPUs this process may run on; all that are online count when the kernel does not say.
pub(super) fn allowed() -> u32 {
    sched_getaffinity(None).map_or_else(
        |_| std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX)),
        |set| set.count(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(parse_list("0-1,8"), Some(vec![0, 1, 8]));
        assert_eq!(parse_list("0-4294967295"), None, "more than a kernel can have, and 16 GiB");
        assert_eq!(parse_list("0-8191").map(|all| all.len()), Some(8192));
        assert_eq!((parse_list("0-8192"), parse_list("0-8191,0")), (None, None));
        assert_eq!(parse_list("3"), Some(vec![3]));
        assert_eq!(parse_list("0-x"), None);
    }

    #[test]
    fn without_sys_the_cpus_are_those_of_proc_stat() {
        let offline = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/offline");
        assert_eq!(online(&offline), [0, 1, 8]);
    }

    #[test]
    fn models_of_x86_and_arm() {
        let model = |text: &str| Cpu { text: text.to_owned() }.model(Path::new("/nowhere"));
        assert_eq!(model("processor\t: 0\nmodel name\t: AMD EPYC\n"), Reading::Seen("AMD EPYC".into()));
        let n1 = "processor\t: 0\nFeatures\t: fp\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n";
        assert_eq!(model(n1), Reading::Seen("Arm Neoverse N1".into()));
        let other = model("CPU implementer\t: 0x99\nCPU part\t: 0x001\n");
        assert_eq!(other, Reading::Seen("Arm implementer 0x99, part 0x001".into()));
        assert!(model("").reason().is_some());
    }

    #[test]
    fn a_processor_without_flags_has_no_hypervisor_flag_either_way() {
        let flag = |text: &str| Cpu { text: text.to_owned() }.hypervisor_flag();
        assert_eq!(flag("flags\t\t: fpu hypervisor lahf_lm\n"), Some(true));
        assert_eq!(flag("flags\t\t: fpu lahf_lm\n"), Some(false));
        assert_eq!(flag("Features\t: fp asimd\n"), None);
    }
}
