//! JSON Schemas of the files, generated from the types; `reports/record/schemas` keeps them for other programs.

use schemars::{Schema, schema_for};

use crate::{
    ClockExchange, DiskTest, End, Interval, IstioReading, LoadSummary, Loss, Run, RunCluster, RunHosts, Sample,
    SlowRequest, Trial, TrialHosts,
};

/// Each file of a run directory by name, with its schema.
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("run", schema_for!(Run)),
        ("trial", schema_for!(Trial)),
        ("load", schema_for!(LoadSummary)),
        ("interval", schema_for!(Interval)),
        ("sample", schema_for!(Sample)),
        ("slow", schema_for!(SlowRequest)),
        ("disk-test", schema_for!(DiskTest)),
        ("istio", schema_for!(IstioReading)),
        ("end", schema_for!(End)),
        ("hosts", schema_for!(RunHosts)),
        ("cluster", schema_for!(RunCluster)),
        ("trial-hosts", schema_for!(TrialHosts)),
        ("clocks", schema_for!(ClockExchange)),
        ("losses", schema_for!(Loss)),
    ]
}
