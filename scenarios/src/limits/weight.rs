//! What a cgroup weighs when CPUs are short: shares in v1, a weight in v2, both from a CPU request as Kubernetes does it.

use std::path::Path;

use record::CpuQuantity;

use super::layout::Kind;

/// The weight a cgroup is born with, in v1 and v2, and the most there may be.
const SHARES: (u64, u64) = (1024, 262_144);
const WEIGHT: (u64, u64) = (100, 10_000);

/// The least shares there may be.
const LEAST_SHARES: u64 = 2;

/// The file of a kind of hierarchy.
pub(super) fn file(kind: &Kind) -> &'static str {
    match kind {
        Kind::V1(_) => "cpu.shares",
        Kind::V2 => "cpu.weight",
    }
}

/// What a request comes to in that file. Kubernetes: 1024 shares a core, which in v2 are laid from 2..262144 onto
/// 1..10000 (KEP-2254); so a core weighs 39 there, and not the 100 that a cgroup is born with.
pub(super) fn of_request(request: CpuQuantity, kind: &Kind) -> u64 {
    let shares = (u64::from(request.millicores()) * SHARES.0 / 1000).clamp(LEAST_SHARES, SHARES.1);
    match kind {
        Kind::V1(_) => shares,
        Kind::V2 => 1 + (shares - LEAST_SHARES) * (WEIGHT.1 - 1) / (SHARES.1 - LEAST_SHARES),
    }
}

/// What a tree must weigh for its leaves to have as much as if they stood beside it.
pub(super) fn of_all(leaves: &[impl AsRef<Path>], kind: &Kind) -> u64 {
    let (born_with, most) = match kind {
        Kind::V1(_) => SHARES,
        Kind::V2 => WEIGHT,
    };
    let own = |leaf: &Path| read(leaf, kind).unwrap_or(born_with);
    leaves.iter().map(|leaf| own(leaf.as_ref())).sum::<u64>().clamp(1, most)
}

/// What a cgroup weighs.
pub(super) fn read(directory: &Path, kind: &Kind) -> Option<u64> {
    std::fs::read_to_string(directory.join(file(kind))).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_weighs_what_it_does_in_kubernetes() {
        // Shares by MilliCPUToShares, weights by the formula of KEP-2254.
        for (request, shares, weight) in [
            ("1m", 2, 1),
            ("10m", 10, 1),
            ("100m", 102, 4),
            ("500m", 512, 20),
            ("1", 1024, 39),
            ("2", 2048, 79),
            ("256", 262_144, 10_000),
            ("300", 262_144, 10_000),
        ] {
            let request: CpuQuantity = request.parse().unwrap();
            assert_eq!(of_request(request, &Kind::V1(vec!["cpu".into()])), shares, "{request}");
            assert_eq!(of_request(request, &Kind::V2), weight, "{request}");
        }
    }

    #[test]
    fn a_tree_weighs_what_its_leaves_do_together() {
        let tree = tempfile::tempdir().unwrap();
        let leaves = ["a", "b", "c"].map(|name| tree.path().join(name));
        for leaf in &leaves {
            std::fs::create_dir(leaf).unwrap();
        }
        assert_eq!(of_all(&leaves, &Kind::V2), 300);
        std::fs::write(leaves[0].join("cpu.weight"), "4\n").unwrap();
        assert_eq!(of_all(&leaves, &Kind::V2), 204);
        std::fs::write(leaves[0].join("cpu.weight"), "10000\n").unwrap();
        assert_eq!(of_all(&leaves, &Kind::V2), 10_000);
        assert_eq!(of_all(&leaves, &Kind::V1(vec!["cpu".into()])), 3072);
    }
}
