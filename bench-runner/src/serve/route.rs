//! What a request asks for, by its path and query; what is not listed here is not there.

use reports::shelf::{Order, RunName, Wanted};

/// A thing that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// The list of runs.
    List(Wanted),
    /// How many runs there are, and which are being made.
    State,
    /// A run: its report, or how it goes.
    Run(RunName),
    /// How a run goes, for the script.
    Live(RunName),
    /// A run's findings.json.
    Findings(RunName),
    /// Runs to compare.
    Compare(Vec<RunName>),
    Style,
    Script,
    Icon,
}

/// Names of one comparison; more make a table that nobody reads.
pub(super) const MOST_COMPARED: usize = 20;

/// Reads a path and a query; none where there is no such thing.
pub(super) fn of(path: &str, query: Option<&str>) -> Option<Route> {
    Some(match path {
        "/" => Route::List(wanted(query)),
        "/state.json" => Route::State,
        "/compare" => Route::Compare(chosen(query)?),
        "/style.css" => Route::Style,
        "/serve.js" => Route::Script,
        "/icon.svg" | "/favicon.ico" => Route::Icon,
        _ => {
            // Split first: an escaped slash does not part a name from what follows.
            let (name, rest) = path.strip_prefix("/run/")?.split_once('/')?;
            let name = RunName::of(&unescaped(name, false)?)?;
            match rest {
                "" => Route::Run(name),
                "live.json" => Route::Live(name),
                "findings.json" => Route::Findings(name),
                _ => return None,
            }
        }
    })
}

fn fields(query: Option<&str>) -> impl Iterator<Item = (&str, Option<String>)> {
    query.unwrap_or_default().split('&').filter_map(|field| {
        let (key, value) = field.split_once('=')?;
        Some((key, unescaped(value, true)))
    })
}

fn wanted(query: Option<&str>) -> Wanted {
    let mut wanted = Wanted::default();
    for (key, value) in fields(query) {
        let Some(value) = value else { continue };
        match key {
            "words" => wanted.words = value,
            "order" => wanted.order = value.parse().unwrap_or(Order::default()),
            "rising" => wanted.rising = value == "1",
            _ => {}
        }
    }
    wanted
}

/// Each run once, in the order in which they were named; none where one is no name, or they are too many.
fn chosen(query: Option<&str>) -> Option<Vec<RunName>> {
    let mut names: Vec<RunName> = Vec::new();
    for (key, value) in fields(query) {
        if key == "run" {
            let name = RunName::of(&value?)?;
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    (names.len() <= MOST_COMPARED).then_some(names)
}

/// Percent-escapes undone (RFC 3986, section 2.1), and in a form's fields plus signs, which are blanks there; none where
/// what comes of it is no UTF-8, or an escape is none.
fn unescaped(text: &str, form: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            b'+' if form => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RunName {
        RunName::of(text).unwrap()
    }

    #[test]
    fn what_is_there_is_found() {
        assert_eq!(of("/", None), Some(Route::List(Wanted::default())));
        assert_eq!(of("/run/a-1/", None), Some(Route::Run(name("a-1"))));
        assert_eq!(of("/run/a%20%C3%A9/live.json", None), Some(Route::Live(name("a é"))));
        assert_eq!(of("/run/a+b/findings.json", None), Some(Route::Findings(name("a+b"))), "no form");
        assert_eq!(of("/compare", Some("run=a&run=b%2B&run=a&x=1")), Some(Route::Compare(vec![name("a"), name("b+")])));
        let wanted = Wanted { words: "no mesh&".into(), order: Order::Tax, rising: true };
        assert_eq!(of("/", Some("words=no+mesh%26&order=tax&rising=1&y")), Some(Route::List(wanted)));
        assert_eq!(of("/", Some("order=nothing&words=%zz")), Some(Route::List(Wanted::default())));
    }

    #[test]
    fn no_path_leads_elsewhere() {
        for path in [
            "/run/../",
            "/run/%2e%2e/",
            "/run/..%2f..%2fetc/",
            "/run/%2fetc%2fpasswd/",
            "/run/.hidden/",
            "/run//",
            "/run/a",
            "/run/a/../b",
            "/run/a/run.json",
            "/run/a/trials/1/trial.json",
            "/run/a%00/",
            "/run/a%/",
            "/run/%ff/",
            "//",
            "/etc/passwd",
            "",
        ] {
            assert_eq!(of(path, None), None, "{path}");
        }
        assert_eq!(of("/compare", Some("run=..%2Fx")), None);
        let many: String = (0..=MOST_COMPARED).map(|i| format!("run={i}&")).collect();
        assert_eq!(of("/compare", Some(&many)), None);
    }
}
