//! How much of a variance is of machines, of what is set, and of repeats: the components of a nested and crossed layout,
//! by the analysis of variance (Searle, Casella & McCulloch 1992, ch. 4).
//!
//! A value is `mean + host + cell + host x cell + run in host + run x cell + block in run + repeat`. Machines and cells were
//! chosen on purpose: their parts are the variance over those that are there. Runs, blocks and repeats are draws. Sums of
//! squares are set equal to what is expected of them. Runs with more blocks than others enter by the mean of each cell, all
//! runs alike (the analysis of unweighted means): the expectations are exact then too, since the expected variance of means
//! is the mean of their variances. What comes out below 0 is 0.
//!
//! Intervals are those of the fiducial argument (Weerahandi 1993): for a draw, each sum of squares over a drawn chi-square
//! stands for its expected mean square; means of machines and cells are moved by an error of that size; and shares are
//! computed of each draw. Where each machine has one run, what that run shares is part of the machine.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Estimate;

/// Draws behind an interval.
const DRAWS: usize = 4000;

/// One run: its machine, and the values of its blocks, each one for each cell in the same order.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Runs with the same number are of one kind of machine.
    pub machine: usize,
    /// By block, by cell.
    pub blocks: Vec<Vec<f64>>,
}

/// What a part of the variance is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schemas", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Which of these machines it is; with one run for each, also when that was.
    Host,
    /// Which run on the same kind of machine.
    Run,
    /// Which of these cells: the mesh and its settings.
    Mesh,
    /// That a mesh costs more on one of these machines than on another.
    HostMesh,
    /// That a mesh costs more in one run than in another on the same kind of machine.
    RunMesh,
    /// Which block of its run: what changed on the machine meanwhile.
    Block,
    /// What is left between trials.
    Repeat,
}

/// One part of the variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Component {
    /// What it is of.
    pub source: Source,
    /// The variance.
    pub variance: f64,
    /// Of the sum of all parts, 0 to 1; `n` counts all trials.
    pub share: Estimate,
    /// Degrees of freedom behind it.
    pub degrees: usize,
}

/// Why a variance cannot be parted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotParted {
    /// One run only.
    #[error("it takes two runs to tell hosts from repeats")]
    OneRun,
    /// A run with fewer than two whole blocks.
    #[error("it takes two blocks with all shared cells in each run to tell anything from repeats")]
    OneBlock,
    /// All values are equal.
    #[error("all trials have the same value, so there is no variance to part")]
    NoVariance,
}

/// A sum of squares with its degrees of freedom.
#[derive(Clone, Copy, Debug, Default)]
struct Squares {
    sum: f64,
    degrees: usize,
}

/// One thing for each stratum of the layout.
#[derive(Clone, Copy, Debug, Default)]
struct Strata<T> {
    host: T,
    run: T,
    cell: T,
    host_cell: T,
    run_cell: T,
    block: T,
    repeat: T,
}

impl<T: Copy> Strata<T> {
    fn map<U>(&self, mut of: impl FnMut(T) -> U) -> Strata<U> {
        let Self { host, run, cell, host_cell, run_cell, block, repeat } = *self;
        Strata {
            host: of(host),
            run: of(run),
            cell: of(cell),
            host_cell: of(host_cell),
            run_cell: of(run_cell),
            block: of(block),
            repeat: of(repeat),
        }
    }

    fn named(&self) -> [(Source, T); 7] {
        let Self { host, run, cell, host_cell, run_cell, block, repeat } = *self;
        [
            (Source::Host, host),
            (Source::Run, run),
            (Source::Mesh, cell),
            (Source::HostMesh, host_cell),
            (Source::RunMesh, run_cell),
            (Source::Block, block),
            (Source::Repeat, repeat),
        ]
    }
}

/// The size of a layout, as far as expectations depend on it.
#[derive(Clone, Copy, Debug)]
struct Size {
    runs: f64,
    cells: f64,
    /// The mean of one over the blocks of a run.
    per_block: f64,
}

/// The parts of the variance of values, with intervals of their shares.
///
/// Each block must have the same number of cells; which of `Source` can be told apart follows from the layout, and parts
/// that cannot are left out.
///
/// # Errors
/// [`NotParted`] where the layout tells nothing.
pub fn components(layout: &[Layout], level: f64, seed: u64) -> Result<Vec<Component>, NotParted> {
    if layout.len() < 2 {
        return Err(NotParted::OneRun);
    }
    if layout.iter().any(|run| run.blocks.len() < 2) {
        return Err(NotParted::OneBlock);
    }
    let (squares, size) = squares(layout);
    let found = parts(&squares, &squares.map(|s| s.sum / s.degrees.max(1) as f64), &size, &mut None);
    let shares = shares(&found).ok_or(NotParted::NoVariance)?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn: Vec<Strata<f64>> = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let expected = squares.map(|s| if s.degrees == 0 { 0.0 } else { s.sum / chi_square(s.degrees, &mut rng) });
        drawn.extend(self::shares(&parts(&squares, &expected, &size, &mut Some(&mut rng))));
    }
    let trials = layout.iter().flat_map(|run| &run.blocks).map(Vec::len).sum();
    let all = found.named().into_iter().zip(shares.named()).zip(squares.named()).enumerate();
    let component = |(at, (((source, variance), (_, share)), (_, s))): (usize, (_, (_, Squares)))| {
        let mut values: Vec<f64> = drawn.iter().map(|d| d.named()[at].1).collect();
        values.sort_unstable_by(f64::total_cmp);
        let end = |q: f64| values.get((q * (values.len() - 1) as f64).round() as usize).copied().unwrap_or(share);
        // A part that came out below 0 is 0, wherever its draws lie.
        let (low, high) = (end((1.0 - level) / 2.0).min(share), end(f64::midpoint(level, 1.0)).max(share));
        let share = Estimate { value: share, low: Some(low), high: Some(high), level, n: trials };
        Component { source, variance, share, degrees: s.degrees }
    };
    Ok(all.map(component).filter(|c| c.degrees > 0).collect())
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1) as f64;
    values.sum::<f64>() / n
}

fn squares(layout: &[Layout]) -> (Strata<Squares>, Size) {
    let cells = layout.first().and_then(|run| run.blocks.first()).map_or(0, Vec::len);
    let mut s = Strata::<Squares>::default();
    // Within runs.
    let mut means: Vec<Vec<f64>> = Vec::new();
    for run in layout {
        let of_cells: Vec<f64> = (0..cells).map(|c| mean(run.blocks.iter().map(|b| b[c]))).collect();
        let whole = mean(of_cells.iter().copied());
        for block in &run.blocks {
            let of_block = mean(block.iter().copied());
            s.block.sum += cells as f64 * (of_block - whole).powi(2);
            let rest = block.iter().zip(&of_cells).map(|(v, of_cell)| (v - of_cell - of_block + whole).powi(2));
            s.repeat.sum += rest.sum::<f64>();
        }
        s.block.degrees += run.blocks.len() - 1;
        s.repeat.degrees += (run.blocks.len() - 1) * (cells - 1);
        means.push(of_cells);
    }
    if cells == 1 {
        // One cell: blocks and repeats are the same.
        s.repeat = std::mem::take(&mut s.block);
    }
    let size = between(layout, &means, cells, &mut s);
    (s, size)
}

/// The sums of squares of the means of cells, and the size of the layout.
fn between(layout: &[Layout], means: &[Vec<f64>], cells: usize, s: &mut Strata<Squares>) -> Size {
    let runs = layout.len();
    let mut machines: Vec<usize> = layout.iter().map(|run| run.machine).collect();
    machines.sort_unstable();
    machines.dedup();
    let grand = mean(means.iter().map(|m| mean(m.iter().copied())));
    let of_cell: Vec<f64> = (0..cells).map(|c| mean(means.iter().map(|m| m[c]))).collect();
    s.cell.sum = runs as f64 * of_cell.iter().map(|m| (m - grand).powi(2)).sum::<f64>();
    for machine in &machines {
        let own: Vec<&Vec<f64>> =
            layout.iter().zip(means).filter(|(run, _)| run.machine == *machine).map(|(_, m)| m).collect();
        let host_cells: Vec<f64> = (0..cells).map(|c| mean(own.iter().map(|m| m[c]))).collect();
        let host = mean(host_cells.iter().copied());
        let size = own.len() as f64;
        s.host.sum += cells as f64 * size * (host - grand).powi(2);
        let crossed = host_cells.iter().zip(&of_cell).map(|(hc, c)| (hc - host - c + grand).powi(2));
        s.host_cell.sum += size * crossed.sum::<f64>();
        for run in own {
            let whole = mean(run.iter().copied());
            s.run.sum += cells as f64 * (whole - host).powi(2);
            s.run_cell.sum += run.iter().zip(&host_cells).map(|(m, hc)| (m - whole - hc + host).powi(2)).sum::<f64>();
        }
    }
    let (hosts, n) = (machines.len(), runs as f64);
    s.host.degrees = hosts - 1;
    s.run.degrees = runs - hosts;
    s.cell.degrees = cells - 1;
    s.host_cell.degrees = (hosts - 1) * (cells - 1);
    s.run_cell.degrees = (runs - hosts) * (cells - 1);
    Size { runs: n, cells: cells as f64, per_block: mean(layout.iter().map(|run| 1.0 / run.blocks.len() as f64)) }
}

/// The variances, where `expected` are the mean squares of what was drawn; with a source of chance, those of a draw.
fn parts(
    squares: &Strata<Squares>,
    expected: &Strata<f64>,
    size: &Size,
    rng: &mut Option<&mut ChaCha8Rng>,
) -> Strata<f64> {
    let repeat = expected.repeat;
    let has = |s: Squares| s.degrees > 0;
    let block = if has(squares.block) { (expected.block - repeat) / size.cells } else { 0.0 };
    let of_means = size.per_block * repeat;
    let e_run_cell = if has(squares.run_cell) { expected.run_cell } else { of_means };
    let run_least = e_run_cell + size.per_block * size.cells * block;
    let e_run = if has(squares.run) { expected.run } else { run_least };
    let mut chosen = |s: Squares, error: f64| chosen(s, error, rng) / (size.runs * size.cells);
    Strata {
        host: chosen(squares.host, e_run),
        run: (e_run - run_least) / size.cells,
        cell: chosen(squares.cell, e_run_cell),
        host_cell: chosen(squares.host_cell, e_run_cell),
        run_cell: e_run_cell - of_means,
        block,
        repeat,
    }
    .map(|variance| variance.max(0.0))
}

/// What a sum of squares of means that were chosen has beyond the errors of these means, which have the variance `error`.
/// For a draw the means are moved once more by such errors.
fn chosen(squares: Squares, error: f64, rng: &mut Option<&mut ChaCha8Rng>) -> f64 {
    let Squares { sum, degrees } = squares;
    if degrees == 0 {
        return 0.0;
    }
    let error = error.max(0.0);
    let Some(rng) = rng else { return sum - degrees as f64 * error };
    // Along the means as they lie, and across.
    let along = (sum.sqrt() + error.sqrt() * normal(rng)).powi(2);
    let across = if degrees > 1 { error * chi_square(degrees - 1, rng) } else { 0.0 };
    along + across - 2.0 * degrees as f64 * error
}

fn shares(parts: &Strata<f64>) -> Option<Strata<f64>> {
    let all: f64 = parts.named().iter().map(|(_, variance)| variance).sum();
    (all > 0.0 && all.is_finite()).then(|| parts.map(|variance| variance / all))
}

/// A draw of chi-square: twice a gamma draw (Marsaglia & Tsang 2000).
fn chi_square(degrees: usize, rng: &mut ChaCha8Rng) -> f64 {
    let shape = degrees as f64 / 2.0;
    // Below 1 by way of a shape that is 1 larger.
    let (raised, factor) =
        if shape < 1.0 { (shape + 1.0, (1.0 - rng.random::<f64>()).powf(1.0 / shape)) } else { (shape, 1.0) };
    let d = raised - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - rng.random::<f64>()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return 2.0 * d * v * factor;
        }
    }
}

/// A standard normal draw (Box & Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variance(found: &[Component], source: Source) -> f64 {
        found.iter().find(|c| c.source == source).map_or(f64::NAN, |c| c.variance)
    }

    /// What is chosen: the effects of hosts, of cells, and of both by host and cell; each sums to 0.
    struct Chosen {
        hosts: Vec<f64>,
        cells: Vec<f64>,
        both: Vec<Vec<f64>>,
    }

    impl Chosen {
        /// The variances over the runs on these machines, which must be as many on each.
        fn variances(&self) -> [f64; 3] {
            let of = |all: &[f64]| mean(all.iter().map(|v| v * v));
            [of(&self.hosts), of(&self.cells), of(&self.both.concat())]
        }
    }

    fn three_hosts() -> Chosen {
        Chosen {
            hosts: vec![-0.4, 0.1, 0.3],
            cells: vec![-0.5, 0.0, 0.1, 0.4],
            both: vec![vec![0.2, -0.2, 0.0, 0.0], vec![-0.2, 0.2, 0.1, -0.1], vec![0.0, 0.0, -0.1, 0.1]],
        }
    }

    /// Standard deviations of run, run x cell, block and repeat.
    type Sds = [f64; 4];

    fn drawn(of: &Chosen, sds: Sds, machines: &[usize], blocks: &[usize], rng: &mut ChaCha8Rng) -> Vec<Layout> {
        let [run, run_cell, block, repeat] = sds;
        let mut draw = |sd: f64| sd * normal(rng);
        let mut layout = Vec::new();
        for (machine, blocks) in machines.iter().zip(blocks) {
            let own = draw(run);
            let own_cells: Vec<f64> = of.cells.iter().map(|_| draw(run_cell)).collect();
            let mut of_run = Layout { machine: *machine, blocks: Vec::new() };
            for _ in 0..*blocks {
                let of_block = draw(block);
                let value = |c: usize, rest: f64| {
                    of.hosts[*machine] + of.cells[c] + of.both[*machine][c] + own + own_cells[c] + of_block + rest
                };
                of_run.blocks.push((0..of.cells.len()).map(|c| value(c, draw(repeat))).collect());
            }
            layout.push(of_run);
        }
        layout
    }

    #[test]
    fn a_small_table_is_parted_as_by_hand() {
        // Two hosts, two cells, two blocks. Repeats +-0.5 in each block, alternating: 0.25 in each of 8 values, with
        // 2 degrees: 1. Blocks add nothing, hosts 4 apart, cells 2 apart, no interaction.
        let run = |machine, at: f64| Layout {
            machine,
            blocks: vec![vec![at + 0.5, at + 2.0 - 0.5], vec![at - 0.5, at + 2.0 + 0.5]],
        };
        let found = components(&[run(0, 0.0), run(1, 4.0)], 0.95, 1).unwrap();
        assert_eq!(variance(&found, Source::Repeat), 1.0);
        assert_eq!(variance(&found, Source::Block), 0.0);
        assert_eq!(variance(&found, Source::HostMesh), 0.0);
        // Squares of hosts: 2 cells x 2 hosts x 4 = 16, less 1/2 + 2/2 (-1/2) = 0, over 4.
        assert!((variance(&found, Source::Host) - 4.0).abs() < 1e-12, "{found:?}");
        // Squares of cells: 2 runs x 2 cells x 1 = 4, less 1/2, over 4.
        assert!((variance(&found, Source::Mesh) - 3.5 / 4.0).abs() < 1e-12);
        assert!(found.iter().all(|c| c.source != Source::Run && c.source != Source::RunMesh));
        let all: f64 = found.iter().map(|c| c.share.value).sum();
        assert!((all - 1.0).abs() < 1e-12);
        for c in &found {
            assert!(c.share.low.unwrap() <= c.share.value && c.share.value <= c.share.high.unwrap(), "{c:?}");
            assert_eq!(c.share.n, 8);
        }
    }

    #[test]
    fn known_components_come_out_on_average_also_of_unequal_runs() {
        let (of, sds) = (three_hosts(), [0.3, 0.2, 0.3, 0.2]);
        let machines = [0, 0, 0, 1, 1, 1, 2, 2, 2];
        let blocks = [4, 4, 5, 3, 4, 6, 4, 2, 8];
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let draws = 600;
        let mut sums = [0.0; 7];
        for _ in 0..draws {
            let layout = drawn(&of, sds, &machines, &blocks, &mut rng);
            let (squares, size) = squares(&layout);
            let found = parts(&squares, &squares.map(|s| s.sum / s.degrees as f64), &size, &mut None);
            for (sum, (_, found)) in sums.iter_mut().zip(found.named()) {
                *sum += found / f64::from(draws);
            }
        }
        let [host, cell, both] = of.variances();
        let [run, run_cell, block, repeat] = sds.map(|sd| sd * sd);
        // In the order of their names: host, run, mesh, host x mesh, run x mesh, block, repeat.
        for (found, truth) in sums.into_iter().zip([host, run, cell, both, run_cell, block, repeat]) {
            // Cut off at 0 a small part comes out a little too large.
            assert!((found / truth - 1.0).abs() < 0.12, "{found} against {truth}: {sums:?}");
        }
    }

    #[test]
    fn chi_square_has_its_mean_and_variance() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for degrees in [1, 2, 7, 60] {
            let draws: Vec<f64> = (0..20_000).map(|_| chi_square(degrees, &mut rng)).collect();
            let m = mean(draws.iter().copied());
            let v = mean(draws.iter().map(|d| (d - m).powi(2)));
            let want = degrees as f64;
            assert!((m / want - 1.0).abs() < 0.05 && (v / (2.0 * want) - 1.0).abs() < 0.1, "{degrees}: {m} {v}");
        }
    }

    #[test]
    fn intervals_hold_the_shares() {
        let of = three_hosts();
        let [host, cell, both] = of.variances();
        // One run for each host: its own part is the host's, so there is none here.
        let (block, repeat) = (0.15 * 0.15, 0.3 * 0.3);
        let all = host + cell + both + block + repeat;
        let truths = [
            (Source::Host, host),
            (Source::Mesh, cell),
            (Source::HostMesh, both),
            (Source::Block, block),
            (Source::Repeat, repeat),
        ];
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let draws = 150;
        let mut held = [0; 5];
        for seed in 0..draws {
            let layout = drawn(&of, [0.0, 0.0, 0.15, 0.3], &[0, 1, 2], &[6; 3], &mut rng);
            let found = components(&layout, 0.95, seed).unwrap();
            for (held, (source, truth)) in held.iter_mut().zip(truths) {
                let share = found.iter().find(|c| c.source == source).unwrap().share;
                *held += usize::from(!share.excludes(truth / all));
            }
        }
        // 95 % of 150 less three standard deviations.
        assert!(held.iter().all(|held| *held >= 134), "{held:?} of {draws}");
    }

    #[test]
    fn what_tells_nothing_is_refused() {
        let run = |blocks: Vec<Vec<f64>>| Layout { machine: 0, blocks };
        let two = || run(vec![vec![1.0, 2.0], vec![1.5, 2.5]]);
        assert_eq!(components(&[two()], 0.95, 1), Err(NotParted::OneRun));
        assert_eq!(components(&[two(), run(vec![vec![1.0, 2.0]])], 0.95, 1), Err(NotParted::OneBlock));
        let flat = || run(vec![vec![1.0], vec![1.0]]);
        assert_eq!(components(&[flat(), flat()], 0.95, 1), Err(NotParted::NoVariance));
        // One cell, one kind of machine: only runs and repeats can be told apart.
        let one = |at: f64| run(vec![vec![at], vec![at + 0.1], vec![at - 0.1]]);
        let found = components(&[one(0.0), one(1.0), one(0.5)], 0.95, 1).unwrap();
        assert_eq!(found.iter().map(|c| c.source).collect::<Vec<_>>(), [Source::Run, Source::Repeat]);
        assert!((variance(&found, Source::Repeat) - 0.01).abs() < 1e-12);
        assert!((variance(&found, Source::Run) - (0.25 - 0.01 / 3.0)).abs() < 1e-12);
    }
}
