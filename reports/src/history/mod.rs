//! Figures over many runs: series of runs that may be compared, and where their level changed.

mod changes;
mod csv;
mod followed;
mod glance;
mod page;
mod series;
mod spark;
mod text;

pub use changes::Change;
pub use csv::csv;
pub use followed::{Followed, NotFollowed};
pub use glance::{
    CellGlance, Folder, Glance, HostGlance, ProxiesGlance, RequestsGlance, TaxAtGlance, TaxGlance, WarningGlance,
};
pub use page::page;
pub use series::{History, LeftOutRun, Point, Series};
pub use text::text;
