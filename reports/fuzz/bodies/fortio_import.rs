//! A result of Fortio of any text: quantiles that rise, each within the bucket that holds it, or what is wrong with the file.

use std::path::Path;

use reports::load::fortio_import::{import, render};

pub(crate) fn check(data: &[u8]) {
    let Some((effect, data)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(data) else { return };
    // From nothing to the largest, most of them in the range of latencies.
    let effect_ns = if *effect == 255 { u64::MAX } else { (1_u64 << (effect % 40)) - 1 };
    let imported = match import(text, Path::new("result.json"), effect_ns) {
        Ok(imported) => imported,
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains("result.json"), "{said}");
            return;
        }
    };
    assert!(imported.count > 0);
    let quantiles = &imported.quantiles;
    assert!(quantiles.windows(2).all(|two| two[0].percentile < two[1].percentile), "{quantiles:?}");
    for quantile in quantiles {
        assert!(quantile.start_ns <= quantile.end_ns, "{quantile:?}");
        assert_eq!(quantile.too_coarse, quantile.width_ns() > effect_ns, "{quantile:?}");
        let within = quantile.start_ns.saturating_sub(1)..=quantile.end_ns.saturating_add(1);
        assert!(within.contains(&quantile.interpolated_ns), "{quantile:?}");
    }
    let shown = render(&imported);
    assert!(shown.lines().count() >= quantiles.len());
    assert!(!shown.chars().any(|c| c != '\n' && record::plain::steers(c)), "it steers a terminal: {shown:?}");
    let kept = serde_json::to_value(&imported).expect("it can be written");
    assert!(kept["quantiles"].as_array().is_some_and(|all| all.len() == quantiles.len()));
}
