//! What a part is held to, in the words of Kubernetes.

use record::{CpuQuantity, Factors, MemoryQuantity};

/// What a part is held to; nothing is what services have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// CPU time it may use at most; none is no limit.
    pub cpu: Option<CpuQuantity>,
    /// What it weighs when there is too little CPU; none is the kernel's default weight.
    pub request: Option<CpuQuantity>,
    /// Memory it may use at most, none of it in swap; none is no limit.
    pub memory: Option<MemoryQuantity>,
}

impl Limits {
    /// Those of a proxy.
    pub fn of(factors: &Factors) -> Self {
        Self { cpu: factors.cpu_limit, request: factors.cpu_request, memory: factors.memory_limit }
    }
}
