//! /proc/loadavg (read here, since `procfs` keeps the averages as f32, which prints 0.64 as 0.6399999).

use record::LoadAverage;

/// The three averages.
pub(crate) fn parse(text: &str) -> Option<LoadAverage> {
    let mut fields =
        text.split_ascii_whitespace().map(|field| field.parse::<f64>().ok().filter(|average| average.is_finite()));
    Some(LoadAverage { one: fields.next()??, five: fields.next()??, fifteen: fields.next()?? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_averages() {
        let load = LoadAverage { one: 1.42, five: 1.27, fifteen: 0.64 };
        assert_eq!(parse("1.42 1.27 0.64 2/214 14463\n"), Some(load));
        assert_eq!(parse("1.42 1.27\n"), None);
        assert_eq!((parse(""), parse("1 inf 2\n"), parse("nan 1 2\n")), (None, None, None));
    }
}
