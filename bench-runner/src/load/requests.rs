//! What is asked for: from the options of the command line, or from a TOML list of weighted requests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use load_gen::RequestSpec;
use rand::{RngCore as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::exit::Usage;

/// Bodies larger than this, all together, are a mistake: they stand in memory.
const LARGEST_BODY: u64 = 256 << 20;

/// Options that say what a request is.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Asked {
    /// The method.
    #[arg(long, value_name = "METHOD", help_heading = "What is asked for")]
    method: Option<String>,
    /// A header; may be given several times.
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header, help_heading = "What is asked for")]
    header: Vec<(String, String)>,
    /// The Host header, where it is to differ from the URL's.
    #[arg(long, value_name = "HOST", help_heading = "What is asked for")]
    host: Option<String>,
    /// The body.
    #[arg(long, value_name = "TEXT", help_heading = "What is asked for")]
    body: Option<String>,
    /// A file with the body.
    #[arg(long, value_name = "FILE", conflicts_with = "body", help_heading = "What is asked for")]
    body_file: Option<PathBuf>,
    /// A body of so many bytes.
    #[arg(long, value_name = "N", conflicts_with_all = ["body", "body_file"], help_heading = "What is asked for")]
    body_bytes: Option<u64>,
    /// Another URL with its weight against the others, with the same method, headers and body; the first has 1.
    #[arg(long, value_name = "URL=WEIGHT", value_parser = also, help_heading = "What is asked for")]
    also: Vec<(String, f64)>,
    /// A TOML file with a list of `[[request]]`, each with url or path, weight, method, headers, and body, body_file
    /// or body_bytes.
    #[arg(long, value_name = "FILE", conflicts_with = "also", help_heading = "What is asked for")]
    requests: Option<PathBuf>,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is a name and a value, as in 'accept: text/plain'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn also(text: &str) -> Result<(String, f64), String> {
    let (url, weight) = text.rsplit_once('=').ok_or("it is a URL and a weight, as in http://h:1/b=3")?;
    let weight = weight.parse::<f64>().ok().filter(|w| w.is_finite() && *w > 0.0);
    Ok((url.to_owned(), weight.ok_or("the weight is a number more than 0, as in http://h:1/b=3")?))
}

/// One of a list in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    url: Option<String>,
    path: Option<String>,
    #[serde(default = "one")]
    weight: f64,
    method: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_file: Option<PathBuf>,
    body_bytes: Option<u64>,
}

fn one() -> f64 {
    1.0
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    request: Vec<Listed>,
}

impl Asked {
    /// The requests, the first of which goes to `url`.
    ///
    /// # Errors
    /// When a file cannot be read, or is not of its form.
    pub(crate) fn specs(&self, url: &str) -> anyhow::Result<Vec<RequestSpec>> {
        let body = body(self.body.as_deref(), self.body_file.as_deref(), self.body_bytes)?;
        let mut headers = self.header.clone();
        headers.extend(self.host.iter().map(|host| ("Host".to_owned(), host.clone())));
        let usual = if body.is_empty() { "GET" } else { "POST" };
        let first = RequestSpec {
            url: url.to_owned(),
            weight: 1.0,
            method: self.method.clone().unwrap_or_else(|| usual.to_owned()),
            headers,
            body,
        };
        if let Some(path) = &self.requests {
            return listed(path, &first);
        }
        let others =
            self.also.iter().map(|(url, weight)| RequestSpec { url: url.clone(), weight: *weight, ..first.clone() });
        Ok(std::iter::once(first.clone()).chain(others).collect())
    }
}

/// The requests of a file; what one leaves out is that of the command line.
///
/// # Errors
/// When the file cannot be read, or is not of its form.
pub(crate) fn listed(path: &Path, usual: &RequestSpec) -> anyhow::Result<Vec<RequestSpec>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the requests in {}", path.display()))?;
    let list: List = toml::from_str(&text).map_err(|e| {
        let example = "[[request]] with path = \"/a\" and weight = 2, and so on";
        Usage(format!("{}: {}\n  try: {example}", path.display(), e.to_string().trim_end()))
    })?;
    if list.request.is_empty() {
        return Err(Usage(format!("{} lists no request\n  try: [[request]] with path = \"/\"", path.display())).into());
    }
    let base = path.parent().unwrap_or(Path::new("."));
    let mut held = 0;
    let spec = |one: &Listed| -> anyhow::Result<RequestSpec> {
        let url = match (&one.url, &one.path) {
            (Some(url), None) => url.clone(),
            (None, Some(path)) => at_path(&usual.url, path),
            (None, None) => usual.url.clone(),
            (Some(_), Some(_)) => {
                let problem = format!("{}: a request has both a url and a path", path.display());
                return Err(
                    Usage(format!("{problem}\n  try: one of them; a path is at the URL of the command line")).into()
                );
            }
        };
        let file = one.body_file.as_ref().map(|file| base.join(file));
        let own = body(one.body.as_deref(), file.as_deref(), one.body_bytes)?;
        held += own.len() as u64;
        if held > LARGEST_BODY {
            let problem = format!("{}: its bodies are {held} bytes and more", path.display());
            return Err(Usage(format!("{problem}\n  try: at most {LARGEST_BODY} in all")).into());
        }
        let body = if own.is_empty() { Arc::clone(&usual.body) } else { own };
        let method = match &one.method {
            Some(method) => method.clone(),
            None if !body.is_empty() && usual.method == "GET" => "POST".to_owned(),
            None => usual.method.clone(),
        };
        let named = |name: &str| one.headers.keys().any(|own| own.eq_ignore_ascii_case(name));
        let mut headers: Vec<(String, String)> = usual.headers.iter().filter(|(n, _)| !named(n)).cloned().collect();
        headers.extend(one.headers.clone());
        Ok(RequestSpec { url, weight: one.weight, method, headers, body })
    };
    list.request.iter().map(spec).collect()
}

/// Another path at the scheme, host and port of a URL.
pub(super) fn at_path(url: &str, path: &str) -> String {
    let after = url.find("://").map_or(0, |at| at + 3);
    let end = url[after..].find(['/', '?', '#']).map_or(url.len(), |at| after + at);
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{}{slash}{path}", &url[..end])
}

fn body(text: Option<&str>, file: Option<&Path>, bytes: Option<u64>) -> anyhow::Result<Arc<[u8]>> {
    let too_large = |found: u64| Usage(format!("a body of {found} bytes\n  try: at most {LARGEST_BODY}"));
    match (text, file, bytes) {
        (Some(text), _, _) => Ok(text.as_bytes().into()),
        (_, Some(file), _) => {
            let context = || format!("cannot read the body in {}", file.display());
            // Read no further than that: what has no length, such as a device, may have no end.
            let mut bytes = Vec::new();
            let open = File::open(file).with_context(context)?;
            open.take(LARGEST_BODY + 1).read_to_end(&mut bytes).with_context(context)?;
            if bytes.len() as u64 > LARGEST_BODY {
                return Err(too_large(bytes.len() as u64).into());
            }
            Ok(bytes.into())
        }
        (_, _, Some(bytes)) if bytes > LARGEST_BODY => Err(too_large(bytes).into()),
        (_, _, Some(bytes)) => Ok(incompressible(bytes as usize)),
        (None, None, None) => Ok(Arc::new([])),
    }
}

/// So many bytes, the same each time, which nothing on the way makes smaller than they are meant to be.
fn incompressible(bytes: usize) -> Arc<[u8]> {
    let mut body = vec![0; bytes];
    ChaCha8Rng::seed_from_u64(0).fill_bytes(&mut body);
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_so_many_bytes_is_the_same_each_time_and_nothing_makes_it_smaller() {
        let of = |bytes| body(None, None, Some(bytes)).unwrap();
        assert_eq!(of(100_000), of(100_000));
        assert_eq!((of(1).len(), of(100_000).len()), (1, 100_000));
        let packed = zstd::bulk::compress(&of(100_000), 19).unwrap().len();
        assert!(packed >= 100_000, "{packed} bytes carry as much");
    }

    fn asked(requests: &str) -> anyhow::Result<Vec<RequestSpec>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("mix.toml");
        std::fs::write(dir.path().join("b.bin"), "from a file")?;
        std::fs::write(&path, requests)?;
        let header = vec![("X-A".to_owned(), "1".to_owned()), ("X-B".to_owned(), "2".to_owned())];
        Asked { header, requests: Some(path), ..Asked::default() }.specs("http://h:1/base?q")
    }

    #[test]
    fn a_list_is_read_with_what_the_command_line_says_for_the_rest() {
        let found = asked(
            "[[request]]\npath = \"/a\"\nweight = 3\n[[request]]\nurl = \"http://g/\"\nmethod = \"PUT\"\nbody_file = \"b.bin\"\n\
             headers = { x-a = \"9\" }\n[[request]]\nbody_bytes = 5\n",
        )
        .unwrap();
        let said: Vec<(&str, &str, f64, usize)> =
            found.iter().map(|r| (r.url.as_str(), r.method.as_str(), r.weight, r.body.len())).collect();
        assert_eq!(
            said,
            [("http://h:1/a", "GET", 3.0, 0), ("http://g/", "PUT", 1.0, 11), ("http://h:1/base?q", "POST", 1.0, 5)]
        );
        let header = |r: &RequestSpec| r.headers.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ");
        assert_eq!((header(&found[0]).as_str(), header(&found[1]).as_str()), ("X-A=1 X-B=2", "X-B=2 x-a=9"));
    }

    #[test]
    fn what_is_wrong_in_a_list_is_named_with_its_place() {
        for (text, says) in [
            ("[[request]]\npth = \"/a\"\n", "pth"),
            ("[[request]]\nweight = \"x\"\n", "line 2"),
            ("[[request]]\nurl = \"http://h/\"\npath = \"/\"\n", "both a url and a path"),
            ("request = []\n", "lists no request"),
            ("[[request]]\nbody_file = \"none\"\n", "none"),
            ("[[request]]\nbody_bytes = 200000000\n[[request]]\nbody_bytes = 100000000\n", "300000000 bytes and more"),
        ] {
            let said = format!("{:#}", asked(text).unwrap_err());
            assert!(said.contains(says) && said.contains("mix.toml") || said.contains("none"), "{text}: {said}");
        }
    }
}
