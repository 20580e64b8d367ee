//! Which hypervisor is under this kernel, from what the processor says and the kernel shows in text.
//!
//! The evidence, in this order: Xen's own directory, the processor (CPUID leaf 0x40000000, on x86), the firmware's
//! names, the device tree, the clocks on offer, and at last the flag that says only that there is one. An interface
//! is named, and not the program that speaks it: KVM's is spoken by others too.

use std::path::Path;

use record::Reading;

use super::cpu::Cpu;
use super::cpuid::Hypervisor;
use crate::disk::device::line;

/// "none" only where it is known that there is none.
pub(super) fn of(root: &Path, cpu: &Cpu, hypervisor: Option<&Hypervisor>) -> Reading<String> {
    let flag = cpu.hypervisor_flag();
    if cpu.field("vendor_id") == Some("User Mode Linux") {
        return seen("User Mode Linux");
    }
    if let Some(kind) = line(&root.join("sys/hypervisor/type")) {
        let first_domain = line(&root.join("proc/xen/capabilities")).is_some_and(|text| text.contains("control_d"));
        let role = if first_domain { " (its first domain)" } else { "" };
        return Reading::Seen(format!("{}{role}", if kind == "xen" { "Xen" } else { &kind }));
    }
    if let Some(hypervisor) = hypervisor {
        return seen(hypervisor.name);
    }
    // Firmware keeps the maker's name on its bare-metal machines too; the flag tells those apart.
    if flag != Some(false)
        && let Some(name) = firmware(root)
    {
        return seen(name);
    }
    if let Some(name) = device_tree(root).or_else(|| clock(root)) {
        return seen(name);
    }
    match flag {
        Some(true) => seen("of unknown make"),
        Some(false) => seen("none"),
        None => Reading::absent("nothing here tells a virtual machine from bare metal"),
    }
}

fn seen(name: &str) -> Reading<String> {
    Reading::Seen(name.to_owned())
}

/// SMBIOS names (the same files that systemd's detection looks at).
fn firmware(root: &Path) -> Option<&'static str> {
    const NAMES: [(&str, &str); 17] = [
        ("KVM", "KVM"),
        ("OpenStack", "KVM"),
        ("KubeVirt", "KVM"),
        ("Amazon EC2", "KVM"),
        ("Google Compute Engine", "KVM"),
        ("DigitalOcean", "KVM"),
        ("Hetzner", "KVM"),
        ("Alibaba Cloud ECS", "KVM"),
        ("QEMU", "QEMU"),
        ("Bochs", "QEMU"),
        ("VMware", "VMware"),
        ("VirtualBox", "VirtualBox"),
        ("innotek", "VirtualBox"),
        ("Xen", "Xen"),
        ("Parallels", "Parallels"),
        ("BHYVE", "bhyve"),
        ("Apple Virtualization", "Apple Virtualization"),
    ];
    let read = |name: &str| line(&root.join("sys/class/dmi/id").join(name)).unwrap_or_default();
    let (product, vendor) = (read("product_name"), read("sys_vendor"));
    if product.ends_with(".metal") {
        return None;
    }
    if vendor == "Microsoft Corporation" && product == "Virtual Machine" {
        return Some("Hyper-V");
    }
    let all = [product, vendor, read("board_vendor"), read("bios_vendor"), read("product_version")];
    // What runs it (KVM) is found before what emulates its devices (QEMU): the table is in that order.
    NAMES.iter().find(|(name, _)| all.iter().any(|said| said.contains(name))).map(|(_, maker)| *maker)
}

fn device_tree(root: &Path) -> Option<&'static str> {
    let tree = root.join("proc/device-tree");
    let hypervisor = line(&tree.join("hypervisor/compatible")).unwrap_or_default();
    if hypervisor.contains("linux,kvm") {
        return Some("KVM");
    }
    if hypervisor.contains("xen") {
        return Some("Xen");
    }
    // QEMU's board for guests, and that of other monitors which have no board of their own.
    line(&tree.join("compatible"))?.contains("linux,dummy-virt").then_some("of unknown make")
}

/// A hypervisor's clock is on offer only where its interface is; which program speaks it stays open.
fn clock(root: &Path) -> Option<&'static str> {
    let clocks = line(&root.join("sys/devices/system/clocksource/clocksource0/available_clocksource"))?;
    clocks.split_ascii_whitespace().find_map(|clock| match clock {
        "kvm-clock" => Some("KVM"),
        "xen" => Some("Xen"),
        clock if clock.starts_with("hyperv_clocksource") => Some("Hyper-V"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CLOCKS: &str = "sys/devices/system/clocksource/clocksource0/available_clocksource";
    const GUEST: (&str, &str) = ("proc/cpuinfo", "vendor_id\t: AuthenticAMD\nflags\t\t: fpu hypervisor\n");
    const METAL: (&str, &str) = ("proc/cpuinfo", "vendor_id\t: GenuineIntel\nflags\t\t: fpu vmx\n");
    const ARM: (&str, &str) = ("proc/cpuinfo", "CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n");

    fn told(files: &[(&str, &str)]) -> Reading<String> {
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        of(tree.path(), &Cpu::read(tree.path()), None)
    }

    #[test]
    fn the_processor_is_believed_before_the_firmware() {
        let tree = tempfile::tempdir().unwrap();
        let firmware = tree.path().join("sys/class/dmi/id");
        fs::create_dir_all(&firmware).unwrap();
        fs::write(firmware.join("sys_vendor"), "QEMU\n").unwrap();
        let hypervisor = Hypervisor { name: "KVM ABI", signature: *b"KVMKVMKVM\0\0\0", kvm_steal: Some(true) };
        let told = of(tree.path(), &Cpu::default(), Some(&hypervisor));
        assert_eq!(told, Reading::Seen("KVM ABI".into()));
    }

    #[test]
    fn the_maker_is_named_by_the_first_evidence_there_is() {
        for (files, want) in [
            (vec![GUEST, (CLOCKS, "tsc kvm-clock \n")], "KVM"),
            (vec![GUEST, (CLOCKS, "hyperv_clocksource_tsc_page acpi_pm\n")], "Hyper-V"),
            (vec![GUEST, ("sys/class/dmi/id/sys_vendor", "QEMU\n"), ("sys/class/dmi/id/product_name", "KVM\n")], "KVM"),
            (vec![GUEST, ("sys/class/dmi/id/sys_vendor", "QEMU\n"), (CLOCKS, "tsc\n")], "QEMU"),
            (vec![GUEST, ("sys/class/dmi/id/product_name", "VMware Virtual Platform\n")], "VMware"),
            (vec![GUEST, ("sys/hypervisor/type", "xen\n")], "Xen"),
            (
                vec![GUEST, ("sys/hypervisor/type", "xen\n"), ("proc/xen/capabilities", "control_d\n")],
                "Xen (its first domain)",
            ),
            (vec![ARM, ("proc/device-tree/hypervisor/compatible", "linux,kvm\0")], "KVM"),
            (vec![ARM, ("proc/device-tree/compatible", "linux,dummy-virt\0")], "of unknown make"),
            (vec![GUEST], "of unknown make"),
            (vec![("proc/cpuinfo", "vendor_id\t: User Mode Linux\n")], "User Mode Linux"),
        ] {
            assert_eq!(told(&files), Reading::Seen(want.into()), "{files:?}");
        }
    }

    #[test]
    fn none_is_said_only_where_it_is_known() {
        assert_eq!(told(&[METAL]), Reading::Seen("none".into()));
        let rented =
            [METAL, ("sys/class/dmi/id/sys_vendor", "Amazon EC2\n"), ("sys/class/dmi/id/product_name", "m5.metal\n")];
        assert_eq!(told(&rented), Reading::Seen("none".into()));
        assert!(told(&[ARM]).reason().is_some());
        assert!(told(&[]).reason().is_some());
    }
}
