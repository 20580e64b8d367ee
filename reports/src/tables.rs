//! The findings as tables for people: which rows and columns, in which unit; how they look is not known here.

mod canary;
mod evidence;
mod said;
mod stall;

use record::Reading;

pub(crate) use canary::canaries;
pub(crate) use evidence::{hops, limits, proofs, proven, repeat, slowest, slowest_said, taxes_by_cell};
pub(crate) use said::{LACKS, LEFT_OUT, events, lacks, left_out, platform};
pub(crate) use stall::{facts, ledger, worst_windows};

use crate::figure;
use crate::findings::{Cause, CellFindings, Figure, Findings, PartCosts, PerQuantile, Tax, TaxKind, person_name};

/// A column: its head, its unit, and by what a value is multiplied to be in that unit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) head: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) factor: f64,
}

/// What stands in a row and column.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Figure(Figure),
    Count(u64),
    Plain(f64),
    /// A word or two, which stand as a figure does.
    Short(String),
    Words(String),
}

/// A row with its head.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) head: String,
    pub(crate) entries: Vec<Entry>,
}

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) id: String,
    pub(crate) caption: String,
    /// What the heads of the rows are.
    pub(crate) of: &'static str,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

pub(crate) const MS: f64 = 1e-6;
const KIB: f64 = 1.0 / 1024.0;
pub(crate) const MIB: f64 = KIB / 1024.0;
pub(crate) const PERCENT: f64 = 100.0;

pub(crate) const fn column(head: &'static str, unit: &'static str, factor: f64) -> Column {
    Column { head, unit, factor }
}

impl Table {
    /// The same table with some of its columns.
    pub(crate) fn only(mut self, heads: &[&str]) -> Self {
        let keep: Vec<bool> = self.columns.iter().map(|c| heads.contains(&c.head)).collect();
        for row in &mut self.rows {
            let mut kept = keep.iter();
            row.entries.retain(|_| *kept.next().unwrap_or(&true));
        }
        self.columns.retain(|c| heads.contains(&c.head));
        self
    }

    /// What has to be said below it: the level of its intervals, and why figures are absent.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut levels: Vec<(f64, usize)> = Vec::new();
        let mut single = false;
        let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
        for row in &self.rows {
            for (entry, column) in row.entries.iter().zip(&self.columns) {
                match entry {
                    Entry::Figure(Reading::Seen(e)) if e.low.is_some() => levels.push((e.level, e.n)),
                    Entry::Figure(Reading::Seen(_)) => single = true,
                    Entry::Figure(Reading::Absent { absent }) => {
                        match reasons.iter_mut().find(|(reason, _)| reason == absent) {
                            Some((_, heads)) if heads.contains(&column.head) => {}
                            Some((_, heads)) => heads.push(column.head),
                            None => reasons.push((absent.clone(), vec![column.head])),
                        }
                    }
                    _ => {}
                }
            }
        }
        let mut notes = Vec::new();
        levels.sort_by(|a, b| a.0.total_cmp(&b.0));
        if let (Some((low, n)), Some((high, most))) = (levels.first(), levels.last()) {
            notes.push(if low == high {
                format!("Intervals: {} over {n} trials.", figure::level(*low))
            } else {
                format!("Intervals: {} ({n} trials) to {} ({most} trials).", figure::level(*low), figure::level(*high))
            });
        }
        if single {
            notes.push("A figure without an interval is of one trial.".to_owned());
        }
        if self.columns.iter().any(|c| c.head == DETECTABLE) {
            notes.push(
                "finds: the smallest change of the ratio that so many pairs with this scatter tell from none in 8 of 10 runs."
                    .to_owned(),
            );
        }
        notes.extend(reasons.into_iter().map(|(reason, heads)| format!("n/a ({reason}): {}", heads.join(", "))));
        notes
    }
}

fn rows_of_cells(findings: &Findings, entries: impl Fn(&CellFindings) -> Vec<Entry>) -> Vec<Row> {
    findings.cells.iter().map(|c| Row { head: person_name(&c.label), entries: entries(c) }).collect()
}

fn quantiles(of: &PerQuantile<Figure>) -> Vec<Entry> {
    of.named().into_iter().map(|(_, figure)| Entry::Figure(figure.clone())).collect()
}

fn with_mean(of: &PerQuantile<Figure>, mean: &Figure) -> Vec<Entry> {
    quantiles(of).into_iter().chain([Entry::Figure(mean.clone())]).collect()
}

const QUANTILES: [Column; 5] = [
    column("p50", "ms", MS),
    column("p90", "ms", MS),
    column("p99", "ms", MS),
    column("p99.9", "ms", MS),
    column("max", "ms", MS),
];

/// The quantiles and the mean.
fn times() -> Vec<Column> {
    QUANTILES.into_iter().chain([column("mean", "ms", MS)]).collect()
}

/// What a user waits, by cell.
pub(crate) fn response(findings: &Findings) -> Table {
    Table {
        id: "response".into(),
        caption: "Response time: from when a request was due to its answer".into(),
        of: "cell",
        columns: times(),
        rows: rows_of_cells(findings, |c| with_mean(&c.response_ns, &c.response_mean_ns)),
    }
}

/// What the chain took, by cell.
pub(crate) fn service(findings: &Findings) -> Table {
    Table {
        id: "service".into(),
        caption: "Service time: from when a request was sent to its answer".into(),
        of: "cell",
        columns: times(),
        rows: rows_of_cells(findings, |c| with_mean(&c.service_ns, &c.service_mean_ns)),
    }
}

/// The comparisons in the order in which they are asked for: the mesh, its limits, the noise.
pub(crate) fn taxes(findings: &Findings) -> Vec<&Tax> {
    let kinds = [TaxKind::Mesh, TaxKind::Limit, TaxKind::Aa];
    kinds.into_iter().flat_map(|kind| findings.taxes.iter().filter(move |t| t.kind == kind)).collect()
}

/// The head of the smallest change that a comparison would find.
const DETECTABLE: &str = "finds";

/// One comparison, by quantile.
pub(crate) fn tax(findings: &Findings, tax: &Tax) -> Table {
    let name = |id: &str| findings.cell(id).map_or_else(|| id.to_owned(), |c| person_name(&c.label));
    let (cell, baseline) = (name(&tax.cell), name(&tax.baseline));
    let per_hop = tax.kind == TaxKind::Mesh;
    let pairs = tax.pairs;
    let caption = match tax.kind {
        TaxKind::Mesh => format!("Mesh tax: what {cell} add over {baseline} ({pairs} pairs)"),
        TaxKind::Limit => format!("Cost of the limit: what {cell} add over {baseline} ({pairs} pairs)"),
        TaxKind::Aa => format!("A/A: {baseline} against itself; what differs is noise ({pairs} pairs)"),
    };
    let heads = ["p50", "p90", "p99", "p99.9", "max"];
    let rows = heads.into_iter().zip(tax.response_ns.named()).map(|(head, (_, at))| Row {
        head: head.to_owned(),
        entries: [at.difference, at.ratio, at.per_hop]
            .into_iter()
            .take(if per_hop { 3 } else { 2 })
            .map(|e| Entry::Figure(Reading::Seen(e)))
            .chain([at.detectable.map_or_else(|| Entry::Short("n/a".to_owned()), Entry::Plain)])
            .collect(),
    });
    let mut columns = vec![column("added", "ms", MS), column("ratio", "times", 1.0)];
    if per_hop {
        columns.push(column("added per hop", "ms", MS));
    }
    columns.push(column(DETECTABLE, "%", PERCENT));
    Table { id: format!("tax-{}-{}", tax.cell, tax.baseline), caption, of: "response", columns, rows: rows.collect() }
}

/// What proxies cost, by meshed cell; none in a run without proxies.
pub(crate) fn proxies(findings: &Findings) -> Option<Table> {
    let meshed = findings.cells.iter().filter(|c| c.factors.meshed());
    let rows: Vec<Row> = meshed
        .map(|c| {
            let p = &c.proxies;
            let figures = [
                &p.cpu_millicores_per_1000_rps,
                &p.rss_bytes,
                &p.throttled_ns,
                &p.throttled_periods,
                &p.throttled_period_share,
                &p.run_delay_ns_per_s,
            ];
            Row { head: person_name(&c.label), entries: figures.map(|f| Entry::Figure(f.clone())).to_vec() }
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        id: "proxies".into(),
        caption: "Cost of each proxy: the mean of a cell's proxies, per trial".into(),
        of: "cell",
        columns: vec![
            column("CPU", "mcore/1000 rps", 1.0),
            column("memory", "MiB RSS", MIB),
            column("throttled", "ms", MS),
            column("throttled", "periods", 1.0),
            column("throttled share", "% of periods", PERCENT),
            column("CPU wait", "ms per s", MS),
        ],
        rows,
    })
}

/// All proxies of each meshed cell together; none in a run without proxies.
pub(crate) fn all_proxies(findings: &Findings) -> Option<Table> {
    let meshed = findings.cells.iter().filter(|c| c.factors.meshed());
    let rows: Vec<Row> = meshed
        .map(|c| {
            let all = &c.all_proxies;
            let workers: Vec<String> = all.worker_threads.iter().map(u32::to_string).collect();
            let error = match &all.idle_error_millicores {
                Reading::Seen(error) => Entry::Plain(*error),
                Reading::Absent { absent } => Entry::Figure(Reading::absent(absent.as_str())),
            };
            let entries = vec![
                Entry::Count(all.count as u64),
                Entry::Short(if workers.is_empty() { "n/a".to_owned() } else { workers.join(", ") }),
                Entry::Figure(all.cpu_millicores_per_1000_rps.clone()),
                Entry::Figure(all.rss_bytes.clone()),
                Entry::Figure(all.idle_millicores.clone()),
                error,
            ];
            Row { head: person_name(&c.label), entries }
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        id: "all-proxies".into(),
        caption: "All proxies of a cell together: worker threads found in each, CPU, memory, and CPU before the load"
            .into(),
        of: "cell",
        columns: vec![
            column("proxies", "", 1.0),
            column("workers", "threads", 1.0),
            column("CPU", "mcore/1000 rps", 1.0),
            column("memory", "MiB RSS", MIB),
            column("CPU at rest", "millicores", 1.0),
            column("known to", "millicores", 1.0),
        ],
        rows,
    })
}

/// What the noisy neighbours used, by cell that has one; none in a run without.
pub(crate) fn neighbours(findings: &Findings) -> Option<Table> {
    let beside = |c: &CellFindings| {
        let name = format!("{}: {}", person_name(&c.label), c.factors.neighbour);
        let row = move |p: &PartCosts| {
            let figures = [&p.cpu_millicores, &p.rss_bytes, &p.run_delay_ns_per_s];
            Row { head: name.clone(), entries: figures.map(|f| Entry::Figure(f.clone())).to_vec() }
        };
        c.neighbours.values().map(row).collect::<Vec<_>>()
    };
    let rows: Vec<Row> = findings.cells.iter().flat_map(beside).collect();
    (!rows.is_empty()).then(|| Table {
        id: "neighbours".into(),
        caption: "The noisy neighbour, which was asked for: no part of any proxy's cost".into(),
        of: "cell: neighbour",
        columns: vec![
            column("CPU", "millicores", 1.0),
            column("memory", "MiB RSS", MIB),
            column("waited for a CPU", "ms per s", MS),
        ],
        rows,
    })
}

/// What each part used, by cell and part.
pub(crate) fn parts(findings: &Findings) -> Table {
    let mut rows = Vec::new();
    for cell in &findings.cells {
        for (name, part) in cell.services.parts.iter().chain(&cell.proxies.parts) {
            let figures = [
                &part.cpu_millicores,
                &part.rss_bytes,
                &part.throttled_ns,
                &part.throttled_periods,
                &part.run_delay_ns_per_s,
            ];
            rows.push(Row {
                head: format!("{}: {name}", person_name(&cell.label)),
                entries: figures.map(|f| Entry::Figure(f.clone())).to_vec(),
            });
        }
    }
    Table {
        id: "parts".into(),
        caption: "Each service and proxy while measured".into(),
        of: "cell: part",
        columns: vec![
            column("CPU", "millicores", 1.0),
            column("memory", "MiB RSS", MIB),
            column("throttled", "ms", MS),
            column("throttled", "periods", 1.0),
            column("waited for a CPU", "ms per s", MS),
        ],
        rows,
    }
}

/// The machine, by cell: what its CPUs did.
pub(crate) fn node(findings: &Findings) -> Table {
    Table {
        id: "node".into(),
        caption: "The machine while each cell was measured".into(),
        of: "cell",
        columns: vec![
            column("busy", "% of CPU", PERCENT),
            column("steal", "% of CPU", PERCENT),
            column("idle, I/O pending", "% of CPU", PERCENT),
            column("softirq", "% of CPU", PERCENT),
            column("run queue", "tasks", 1.0),
            column("probe", "% of a core", PERCENT),
        ],
        rows: rows_of_cells(findings, |c| {
            let n = &c.node;
            let figures = [
                &n.cpu_busy_share,
                &n.steal_share,
                &n.iowait_share,
                &n.softirq_share,
                &n.run_queue_length,
                &n.probe_cpu_share,
            ];
            figures.map(|f| Entry::Figure(f.clone())).to_vec()
        }),
    }
}

/// The machine, by cell: what its tasks waited for, and what no counter tells.
pub(crate) fn waits(findings: &Findings) -> Table {
    Table {
        id: "waits".into(),
        caption: "What was waited for meanwhile (bursts see less of what a hypervisor takes than there is)".into(),
        of: "cell",
        columns: vec![
            column("PSI cpu", "% of time", PERCENT),
            column("PSI io", "% of time", PERCENT),
            column("PSI memory", "% of time", PERCENT),
            column("lost, unexplained", "% of bursts", PERCENT),
            column("work", "times its best", 1.0),
        ],
        rows: rows_of_cells(findings, |c| {
            let n = &c.node;
            let figures = [
                &n.psi_cpu_some_share,
                &n.psi_io_some_share,
                &n.psi_memory_some_share,
                &n.unexplained_loss_share,
                &n.work_slowdown,
            ];
            figures.map(|f| Entry::Figure(f.clone())).to_vec()
        }),
    }
}

/// How requests ended, by cell.
pub(crate) fn requests(findings: &Findings) -> Table {
    Table {
        id: "requests".into(),
        caption: "Requests of the measured phases, over all trials".into(),
        of: "cell",
        columns: vec![
            column("trials", "", 1.0),
            column("due", "", 1.0),
            column("answered", "", 1.0),
            column("failed", "", 1.0),
            column("error status", "", 1.0),
            column("no end", "", 1.0),
            column("errors", "%", PERCENT),
            column("sender's lag", "ms at p99", MS),
        ],
        rows: rows_of_cells(findings, |c| {
            let r = &c.requests;
            vec![
                Entry::Count(c.trials as u64),
                Entry::Count(r.due),
                Entry::Count(r.answered),
                Entry::Count(r.failed),
                Entry::Count(r.error_statuses),
                Entry::Count(r.censored),
                Entry::Plain(r.error_rate),
                Entry::Figure(c.lag_ours_p99_ns.clone()),
            ]
        }),
    }
}

/// What the tail of each cell coincides with; none where no cell has a tail.
pub(crate) fn attribution(findings: &Findings) -> Option<Table> {
    let name = |id: &str| findings.cell(id).map_or_else(|| id.to_owned(), |c| person_name(&c.label));
    let rows: Vec<Row> = findings
        .attribution
        .iter()
        .map(|a| Row {
            head: format!("{}: {}", name(&a.cell), a.cause.word()),
            entries: vec![Entry::Figure(Reading::Seen(a.share_of_tail)), Entry::Words(a.evidence.clone())],
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        id: "attribution".into(),
        caption: "Where the tail comes from: shares of the time above the quiet level".into(),
        of: "cell: coincides with",
        columns: vec![column("share", "% of tail", PERCENT), column("evidence", "", 1.0)],
        rows,
    })
}

/// Causes that were named at all.
pub(crate) fn named_causes(findings: &Findings) -> impl Iterator<Item = &crate::Attribution> {
    findings.attribution.iter().filter(|a| a.cause != Cause::Unexplained)
}

/// Warnings of one kind about one cell, said once.
pub(crate) struct Doubt<'a> {
    /// The cell it is about, by the name that people use.
    pub(crate) about: Option<String>,
    /// One of them.
    pub(crate) first: &'a crate::FoundWarning,
    /// How many there are.
    pub(crate) count: usize,
}

impl Doubt<'_> {
    /// What was seen, and in how many trials.
    pub(crate) fn evidence(&self) -> String {
        let about = self.about.as_ref().map_or_else(String::new, |a| format!("{a}: "));
        let trial = match (&self.first.trial, self.count) {
            (None, 1) => String::new(),
            (Some(trial), 1) => format!(" (trial {trial})"),
            (Some(trial), n) => format!(" (trial {trial}, and {} more)", n - 1),
            (None, n) => format!(" (and {} more)", n - 1),
        };
        format!("{about}{}{trial}", self.first.evidence)
    }
}

/// The warnings, one for each kind and cell.
pub(crate) fn doubts(findings: &Findings) -> Vec<Doubt<'_>> {
    let mut doubts: Vec<Doubt<'_>> = Vec::new();
    for w in &findings.warnings {
        // Warnings about a whole run differ from one another even when they are of one kind.
        let same = |d: &&mut Doubt<'_>| d.first.kind == w.kind && d.first.cell == w.cell && w.cell.is_some();
        match doubts.iter_mut().find(same) {
            Some(doubt) => doubt.count += 1,
            None => doubts.push(Doubt {
                about: w.cell.as_deref().and_then(|id| findings.cell(id)).map(|c| person_name(&c.label)),
                first: w,
                count: 1,
            }),
        }
    }
    doubts
}

/// How to read the figures: what holds for every table.
pub(crate) fn how_to_read(findings: &Findings) -> Vec<String> {
    let mut lines = vec![
        "p99 = 1.20 ms means that 99 of 100 requests took 1.20 ms or less. Each figure is that of the typical \
         trial; [low, high] is where it lies with the level given, judged from trial to trial."
            .to_owned(),
        "A request's time counts from when it was due, so waiting caused by a stall is in it. A difference whose \
         interval holds 0 cannot be told from none."
            .to_owned(),
    ];
    let fewest = findings.cells.iter().filter(|c| c.trials > 0).map(|c| c.requests.due / c.trials as u64).min();
    if let Some(due) = fewest.filter(|due| *due < 20_000) {
        let behind = (due as f64 / 1000.0).max(1.0);
        lines.push(format!(
            "A trial has {due} requests, so its p99.9 rests on the slowest {}: read it with care.",
            figure::digits(behind.round()).trim_end_matches(".00").trim_end_matches(".0")
        ));
    }
    lines
}

/// What the intervals of the answer are worth.
pub(crate) fn confidence(findings: &Findings) -> Option<String> {
    let lowest = findings.taxes.iter().min_by(|a, b| {
        let level = |t: &Tax| t.response_ns.p50.difference.level;
        level(a).total_cmp(&level(b))
    })?;
    let (level, pairs) = (lowest.response_ns.p50.difference.level, lowest.pairs);
    Some(if pairs < 2 {
        "One pair of trials carries no interval: take these figures for a first impression.".to_owned()
    } else {
        let enough = if level < 0.9 { "; that is too few to rely on" } else { "" };
        let looks = if findings.sequential {
            ", although the run was to end when they are tight (those of single cells do not allow for that)"
        } else {
            ""
        };
        format!(
            "[low, high]: where the figure lies, with {} from {pairs} pairs of trials{looks}{enough}.",
            figure::level(level)
        )
    })
}

/// Why the run ended with trials of its plan left, where it did.
pub(crate) fn ended(findings: &Findings) -> Option<String> {
    findings.ended.as_ref().map(|end| format!("Ended before the most trials that were planned: {}.", end.evidence))
}

/// How far the run came, where it was cut off.
pub(crate) fn cut_off(findings: &Findings) -> Option<String> {
    findings.resume.as_ref().map(|resume| {
        format!("{} of {} trials; the run was cut off: {resume}", findings.trials_sealed, findings.trials_planned)
    })
}
