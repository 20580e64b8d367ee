//! The trees themselves: their texts have the shapes of the kernels they are of, and no links.

use std::fs;
use std::path::{Path, PathBuf};

fn fixture(tree: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(tree)
}

fn text(tree: &str, path: &str) -> String {
    let path = fixture(tree).join(path);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

const WITH_NET: [(&str, usize); 5] =
    [("centos-7", 11), ("ubuntu-xen", 11), ("kubernetes-node", 13), ("ubuntu-raid", 15), ("micro-vm", 15)];

#[test]
fn softnet_rows_have_the_columns_of_their_kernel() {
    for (tree, columns) in WITH_NET {
        let rows: Vec<Vec<u32>> = text(tree, "proc/self/net/softnet_stat")
            .lines()
            .map(|row| row.split(' ').map(|field| u32::from_str_radix(field, 16).unwrap()).collect())
            .collect();
        assert!(rows.iter().all(|row| row.len() == columns), "{tree}");
        if columns > 12 {
            let cpus = text(tree, "proc/stat").lines().filter(|l| l.starts_with("cpu")).count() - 1;
            assert_eq!(rows.len(), cpus, "{tree}: a row for each CPU that is online");
        }
    }
    let numbers: Vec<String> =
        text("ubuntu-raid", "proc/self/net/softnet_stat").lines().map(|row| row[108..116].to_owned()).collect();
    assert_eq!(numbers, ["00000000", "00000001", "00000004", "00000005"], "by number and not by row");
}

#[test]
fn each_name_of_snmp_and_netstat_has_a_value() {
    for (tree, _) in WITH_NET {
        for file in ["snmp", "netstat"] {
            let text = text(tree, &format!("proc/self/net/{file}"));
            let lines: Vec<&str> = text.lines().collect();
            for pair in lines.chunks(2) {
                let [names, values] = pair else { panic!("{tree}/{file}: a line without its pair") };
                let (names, values) = (names.split_whitespace(), values.split_whitespace());
                assert_eq!(names.count(), values.count(), "{tree}/{file}");
            }
        }
    }
}

#[test]
fn interrupts_have_a_column_for_each_cpu() {
    for (tree, _) in WITH_NET {
        let text = text(tree, "proc/interrupts");
        let cpus = text.lines().next().unwrap().split_whitespace().count();
        for line in text.lines().skip(1).filter(|l| !l.starts_with("ERR") && !l.starts_with("MIS")) {
            let counts = line.split_whitespace().skip(1).take_while(|field| field.parse::<u64>().is_ok()).count();
            // The chip's name may begin with a number as well.
            assert!(counts >= cpus, "{tree}: {line}");
        }
    }
    assert!(text("kubernetes-node", "proc/interrupts").len() > 4096, "longer than the buffer it is first read into");
}

#[test]
fn no_tree_has_a_symbolic_link() {
    fn walk(directory: &Path) -> usize {
        let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
        entries
            .map(|entry| {
                let kind = entry.file_type().unwrap();
                assert!(!kind.is_symlink(), "{}: links belong into sys.txt", entry.path().display());
                if kind.is_dir() { walk(&entry.path()) } else { 1 }
            })
            .sum()
    }
    assert!(walk(&fixture("")) > 200);
}
