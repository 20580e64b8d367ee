//! HAProxy's counters: a table of its frontends, backends and servers, and a list of the process's own.

use std::collections::BTreeMap;

use super::super::Counter;

/// The table at `/stats;csv`.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By proxy and server ("FRONTEND" and "BACKEND" are the whole), the cells by their columns.
    rows: BTreeMap<(String, String), BTreeMap<String, String>>,
}

impl Table {
    /// Reads it; none for what is no such table.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let columns: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(',').collect();
        if columns.get(..2) != Some(&["pxname", "svname"]) {
            return None;
        }
        let row = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            let key = ((*cells.first()?).to_owned(), (*cells.get(1)?).to_owned());
            let named = columns.iter().zip(cells).map(|(column, cell)| ((*column).to_owned(), cell.to_owned()));
            Some((key, named.collect()))
        };
        Some(Self { rows: lines.filter_map(row).collect() })
    }

    /// A cell; none for one that is empty or not there.
    pub(super) fn cell(&self, proxy: &str, server: &str, column: &str) -> Option<&str> {
        let row = self.rows.get(&(proxy.to_owned(), server.to_owned()))?;
        row.get(column).map(String::as_str).filter(|cell| !cell.is_empty())
    }

    /// Whether no backend has a stream. In a row this figure comes before the requests, and at the end of a stream it is
    /// taken down after they were counted: at rest, they are complete.
    pub(super) fn at_rest(&self) -> bool {
        let backends = self.rows.iter().filter(|((_, server), _)| server == "BACKEND");
        backends.into_iter().all(|(_, row)| row.get("scur").is_none_or(|now| now == "0"))
    }

    /// The sum of columns of rows: "inbound/FRONTEND req_tot + ...".
    pub(super) fn sum(&self, rows: &[(&str, &str)], columns: &[&str]) -> Counter {
        let all = rows.iter().flat_map(|(proxy, server)| columns.iter().map(move |column| (*proxy, *server, *column)));
        let value = all.clone().filter_map(|(p, s, c)| self.cell(p, s, c)?.parse::<u64>().ok()).sum();
        let source: Vec<String> = all.map(|(p, s, c)| format!("{p}/{s} {c}")).collect();
        Counter { value, source: source.join(" + ") }
    }
}

/// The version of the program, as the process itself tells it to Prometheus.
pub(super) fn version(metrics: &str) -> Option<&str> {
    let line = metrics.lines().find(|line| line.starts_with("haproxy_process_build_info{"))?;
    line.split_once("version=\"")?.1.split_once('"').map(|(version, _)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# pxname,svname,stot,req_tot,wretr,ssl_sess,\n\
        inbound,FRONTEND,2,203,,2,\n\
        to_s2,v1,7,8,1,3,\n\
        to_s2,BACKEND,9,10,1,5,\n";

    #[test]
    fn cells_are_found_by_name_and_an_empty_one_is_none() {
        let table = Table::read(TEXT).unwrap();
        assert_eq!(table.cell("to_s2", "v1", "req_tot"), Some("8"));
        assert_eq!(table.cell("inbound", "FRONTEND", "wretr"), None);
        let sum = table.sum(&[("to_s2", "BACKEND"), ("to_s2", "v1")], &["req_tot", "wretr"]);
        assert_eq!(sum.value, 10 + 1 + 8 + 1);
        assert!(sum.source.starts_with("to_s2/BACKEND req_tot + to_s2/BACKEND wretr + "), "{}", sum.source);
        assert!(Table::read("<html>").is_none() && Table::read("").is_none());
    }

    #[test]
    fn it_is_at_rest_when_no_backend_has_a_stream() {
        let table = |of_s2: u32| {
            let text = format!("# pxname,svname,scur,req_tot,\nin,FRONTEND,3,9,\nto_s2,BACKEND,{of_s2},8,\n");
            Table::read(&text).unwrap()
        };
        assert!(table(0).at_rest() && !table(1).at_rest());
    }

    #[test]
    fn the_version_is_that_of_the_build() {
        let text =
            "# TYPE haproxy_process_build_info gauge\nhaproxy_process_build_info{version=\"2.6.12-1+deb12u4\"} 1\n";
        assert_eq!(version(text), Some("2.6.12-1+deb12u4"));
        assert_eq!(version("x 1\n"), None);
    }
}
