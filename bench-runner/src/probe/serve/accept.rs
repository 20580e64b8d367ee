//! Which format a scrape is answered in, by its Accept header (RFC 9110, section 12.5.1).

use reports::open_metrics::Format;

/// OpenMetrics, unless some other text is asked for and OpenMetrics is not, or less.
///
/// Those who read only the older format of Prometheus name text/plain, and browsers text/html; whoever names nothing
/// or `*/*` gets what was promised.
pub(super) fn format<'v>(values: impl Iterator<Item = &'v str>) -> Format {
    let (mut open_metrics, mut text) = (0.0_f64, 0.0_f64);
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let quality = quality.map_or(1.0, |q| q.parse().unwrap_or(0.0));
        if kind == "application/openmetrics-text" {
            open_metrics = open_metrics.max(quality);
        } else if kind.starts_with("text/") {
            text = text.max(quality);
        }
    }
    if text > open_metrics { Format::Text } else { Format::OpenMetrics }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_is_for_those_who_ask_for_it() {
        for (accept, want) in [
            (&[][..], Format::OpenMetrics),
            (&["*/*"], Format::OpenMetrics),
            (&["application/openmetrics-text"], Format::OpenMetrics),
            (
                &["application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                   text/plain;version=0.0.4;q=0.3,*/*;q=0.2"],
                Format::OpenMetrics,
            ),
            (&["text/plain;version=0.0.4;q=0.5", "Application/OpenMetrics-Text; Q=0.5"], Format::OpenMetrics),
            (&["text/plain;version=0.0.4;q=0.5,*/*;q=0.1"], Format::Text),
            (&["text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5"], Format::Text),
            (&["application/openmetrics-text;q=0, text/plain"], Format::Text),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Format::Text),
            (&["text/plain;q=fast"], Format::OpenMetrics),
        ] {
            assert_eq!(format(accept.iter().copied()), want, "{accept:?}");
        }
    }
}
