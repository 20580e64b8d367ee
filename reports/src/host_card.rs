//! Whether two runs were measured on the same kind of machine.

use record::Host;
use serde::{Deserialize, Serialize};

/// Memory that differs by less is the same: firmware and kernel keep some for themselves.
const MEMORY_SLACK: f64 = 0.03;

/// What of a machine must agree for two runs to be compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
pub struct HostCard {
    /// Kernel release.
    pub kernel: String,
    /// Hardware name.
    pub arch: String,
    /// CPU model; empty where it is not known.
    pub cpu_model: String,
    /// CPUs online.
    pub cpus: usize,
    /// CPUs that the program might use.
    pub cpus_allowed: u32,
    /// Memory in all; 0 where it is not known.
    pub memory_bytes: u64,
    /// The hypervisor; empty where it is not known.
    pub virtual_machine: String,
}

impl HostCard {
    /// What of a machine must agree.
    pub fn of(host: &Host) -> Self {
        Self {
            kernel: host.kernel.clone(),
            arch: host.arch.clone(),
            cpu_model: host.cpu_model.seen().cloned().unwrap_or_default(),
            cpus: host.cpus_online.len(),
            cpus_allowed: host.cpus_allowed,
            memory_bytes: host.memory_bytes.seen().copied().unwrap_or(0),
            virtual_machine: host.virtual_machine.seen().cloned().unwrap_or_default(),
        }
    }

    /// In what two machines differ: what, here, there. Empty where their figures may be compared.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        // A new field must be compared too.
        let Self { kernel, arch, cpu_model, cpus, cpus_allowed, memory_bytes, virtual_machine } = self;
        let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
        let (less, more) = ((*memory_bytes).min(other.memory_bytes), (*memory_bytes).max(other.memory_bytes));
        let same_memory = (more - less) as f64 <= MEMORY_SLACK * more as f64;
        let mut all = vec![
            ("CPU", cpu_model.clone(), other.cpu_model.clone()),
            ("number of CPUs", cpus.to_string(), other.cpus.to_string()),
            ("number of CPUs it may use", cpus_allowed.to_string(), other.cpus_allowed.to_string()),
            ("hardware", arch.clone(), other.arch.clone()),
            ("kernel", kernel.clone(), other.kernel.clone()),
            ("hypervisor", virtual_machine.clone(), other.virtual_machine.clone()),
        ];
        if !same_memory {
            all.push(("memory", gib(*memory_bytes), gib(other.memory_bytes)));
        }
        all.retain(|(_, here, there)| here != there);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> HostCard {
        HostCard {
            kernel: "6.1.0".into(),
            arch: "x86_64".into(),
            cpu_model: "Some CPU".into(),
            cpus: 2,
            cpus_allowed: 2,
            memory_bytes: 8 << 30,
            virtual_machine: "KVM".into(),
        }
    }

    #[test]
    fn a_machine_is_itself_and_what_differs_is_named() {
        assert!(card().differences(&card()).is_empty());
        let nearly = HostCard { memory_bytes: (8 << 30) - (100 << 20), ..card() };
        assert!(card().differences(&nearly).is_empty());
        let other = HostCard { cpus: 4, memory_bytes: 16 << 30, ..card() };
        assert_eq!(
            card().differences(&other),
            [
                ("number of CPUs", "2".to_owned(), "4".to_owned()),
                ("memory", "8.0 GiB".to_owned(), "16.0 GiB".to_owned())
            ]
        );
    }
}
