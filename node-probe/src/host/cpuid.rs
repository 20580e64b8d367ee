//! What the processor says of the hypervisor under it: the leaves from 0x40000000 on.
//!
//! The instruction is open to every program on x86; the safe wrapper of it is `raw-cpuid`. For another machine's
//! tree there is the file that the cpuid module offers, if it is part of the tree.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// EAX, EBX, ECX, EDX of a leaf.
type Registers = [u32; 4];

/// A hypervisor by its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hypervisor {
    /// The interface it speaks; who speaks it stays open.
    pub(super) name: &'static str,
    /// The twelve letters it says.
    pub(super) signature: [u8; 12],
    /// For KVM's interface, whether bit 5 of EAX in its second leaf is set (KVM_FEATURE_STEAL_TIME).
    pub(super) kvm_steal: Option<bool>,
}

impl Hypervisor {
    /// The letters, for people.
    pub(super) fn letters(&self) -> String {
        String::from_utf8_lossy(&self.signature).trim_end_matches('\0').to_owned()
    }
}

/// The hypervisor under `root`; none where there is none, or nobody can ask.
pub(super) fn hypervisor(root: &Path) -> Option<Hypervisor> {
    if root == Path::new("/")
        && let Some(found) = native()
    {
        return Some(found);
    }
    let file = File::open(root.join("dev/cpu/0/cpuid")).ok()?;
    find(&|leaf| {
        let mut bytes = [0; 16];
        file.read_exact_at(&mut bytes, u64::from(leaf)).ok()?;
        let mut registers = Registers::default();
        for (register, four) in registers.iter_mut().zip(bytes.chunks_exact(4)) {
            *register = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
        }
        Some(registers)
    })
}

#[cfg(target_arch = "x86_64")]
fn native() -> Option<Hypervisor> {
    find(&|leaf| {
        let raw_cpuid::CpuIdResult { eax, ebx, ecx, edx } = raw_cpuid::native_cpuid::cpuid_count(leaf, 0);
        Some([eax, ebx, ecx, edx])
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn native() -> Option<Hypervisor> {
    None
}

/// Looks at every place where an interface may be announced. One that speaks several (KVM with Hyper-V's beside its
/// own) puts its own further on, and that one knows of steal; so KVM's and Xen's go first.
fn find(leaf: &dyn Fn(u32) -> Option<Registers>) -> Option<Hypervisor> {
    // Bit 31 of ECX in leaf 1: real processors keep it at zero, and the leaves below are then no leaves.
    if leaf(1)?[2] & (1 << 31) == 0 {
        return None;
    }
    let mut found = None;
    for base in (0x4000_0000..0x4001_0000).step_by(0x100) {
        let [_, ebx, ecx, edx] = leaf(base)?;
        let mut signature = [0; 12];
        for (four, register) in signature.chunks_exact_mut(4).zip([ebx, ecx, edx]) {
            four.copy_from_slice(&register.to_le_bytes());
        }
        let Some(name) = name(&signature) else { continue };
        let kvm_steal = (name == KVM).then(|| leaf(base + 1)).flatten().map(|[eax, ..]| eax & (1 << 5) != 0);
        let hypervisor = Hypervisor { name, signature, kvm_steal };
        if matches!(name, KVM | "Xen") {
            return Some(hypervisor);
        }
        found = found.or(Some(hypervisor));
    }
    found
}

/// KVM's interface, which other programs (Firecracker, Cloud Hypervisor, crosvm) give their guests as well.
pub(super) const KVM: &str = "KVM ABI";

fn name(signature: &[u8; 12]) -> Option<&'static str> {
    Some(match signature {
        b"KVMKVMKVM\0\0\0" | b"Linux KVM Hv" => KVM,
        b"XenVMMXenVMM" => "Xen",
        b"Microsoft Hv" => "Hyper-V",
        b"VMwareVMware" => "VMware",
        b"TCGTCGTCGTCG" => "QEMU TCG",
        b"VBoxVBoxVBox" => "VirtualBox",
        b"bhyve bhyve " | b"BHyVE BHyVE " => "bhyve",
        b"ACRNACRNACRN" => "ACRN",
        b" lrpepyh  vr" | b"prl hyperv  " => "Parallels",
        b"SRESRESRESRE" => "SRE",
        b"QNXQVMBSQG\0\0" => "QNX",
        b"OpenBSDVMM58" => "OpenBSD vmm",
        b"___ NVMM ___" => "NetBSD nvmm",
        b"HAXMHAXMHAXM" => "HAXM",
        b"EVMMEVMMEVMM" => "Intel KGT",
        b"Jailhouse\0\0\0" => "Jailhouse",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers(eax: u32, signature: &[u8; 12]) -> Registers {
        let four = |at: usize| u32::from_le_bytes(signature[at..at + 4].try_into().unwrap());
        [eax, four(0), four(4), four(8)]
    }

    fn told(leaves: &[(u32, Registers)]) -> Option<Hypervisor> {
        find(&|leaf| Some(leaves.iter().find(|(number, _)| *number == leaf).map_or([0; 4], |(_, r)| *r)))
    }

    const GUEST: (u32, Registers) = (1, [0, 0, 1 << 31, 0]);

    #[test]
    fn kvm_says_whether_it_tells_of_steal() {
        for (features, steal) in [(0x0100_7efb, true), (0x0100_7edb, false)] {
            let leaves = [GUEST, (0x4000_0000, registers(0, b"KVMKVMKVM\0\0\0")), (0x4000_0001, [features, 0, 0, 0])];
            let found = told(&leaves).unwrap();
            assert_eq!((found.name, found.kvm_steal), (KVM, Some(steal)));
            assert_eq!(found.letters(), "KVMKVMKVM");
        }
    }

    #[test]
    fn kvm_behind_the_face_of_hyper_v_is_found_by_its_own() {
        let hyper_v = (0x4000_0000, registers(0x4000_000a, b"Microsoft Hv"));
        let kvm = [(0x4000_0100, registers(0, b"KVMKVMKVM\0\0\0")), (0x4000_0101, [1 << 5, 0, 0, 0])];
        assert_eq!(told(&[GUEST, hyper_v, kvm[0], kvm[1]]).unwrap().kvm_steal, Some(true));
        let alone = told(&[GUEST, hyper_v]).unwrap();
        assert_eq!((alone.name, alone.kvm_steal), ("Hyper-V", None));
    }

    #[test]
    fn without_the_bit_of_a_guest_the_leaves_are_not_believed() {
        assert_eq!(told(&[(0x4000_0000, registers(0, b"XenVMMXenVMM"))]), None);
        assert_eq!(told(&[GUEST]), None, "a hypervisor that says nothing");
    }

    #[test]
    fn the_file_of_the_cpuid_module_is_read_where_there_is_one() {
        let tree = tempfile::tempdir().unwrap();
        let directory = tree.path().join("dev/cpu/0");
        std::fs::create_dir_all(&directory).unwrap();
        assert_eq!(hypervisor(tree.path()), None);
        // A sparse file stands for the device: a leaf is read at its number.
        let file = File::create(directory.join("cpuid")).unwrap();
        let put = |leaf: u64, r: Registers| {
            file.write_all_at(&r.map(u32::to_le_bytes).concat(), leaf).unwrap();
        };
        put(1, GUEST.1);
        put(0x4000_0000, registers(0, b"TCGTCGTCGTCG"));
        file.set_len(0x4001_0000 + 16).unwrap();
        assert_eq!(hypervisor(tree.path()).unwrap().name, "QEMU TCG");
    }
}
