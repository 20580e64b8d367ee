//! What is asked for: one request or several by weight, each as its bytes on the wire, made once.

use std::sync::Arc;

use crate::protocol::{Protocol, h1, h2};
use crate::target::Target;
use crate::{Error, Result};

/// One kind of request.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestSpec {
    /// `http://host:port/path`.
    pub url: String,
    /// How often, against the others.
    pub weight: f64,
    /// The method, in capitals.
    pub method: String,
    /// Headers beyond those that every request has; one named like those replaces it.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Arc<[u8]>,
}

impl RequestSpec {
    /// A GET without a body.
    pub fn get(url: impl Into<String>) -> Self {
        Self { url: url.into(), weight: 1.0, method: "GET".into(), headers: Vec::new(), body: Arc::new([]) }
    }

    fn check(&self) -> Result<()> {
        let refuse = |what, found: String, remedy| Err(Error::Plan { what, found, remedy });
        if !self.weight.is_finite() || self.weight <= 0.0 {
            return refuse("the weight of a request", format!("{:?}", self.weight), "it must be more than 0");
        }
        if self.method.is_empty() || !self.method.bytes().all(is_token) {
            return refuse("the method", format!("{:?}", self.method), "it must be a word such as GET or POST");
        }
        for (name, value) in &self.headers {
            if name.is_empty() || !name.bytes().all(is_token) {
                return refuse("the name of a header", format!("{name:?}"), "it must be a word, as in `name: value`");
            }
            if value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
                return refuse("the value of a header", format!("{value:?}"), "it must hold no control characters");
            }
            let host = name.eq_ignore_ascii_case("host");
            if host && (value.is_empty() || value.bytes().any(|b| b <= b' ')) {
                let remedy = "it must be a host name, with a port or without";
                return refuse("the host header", format!("{value:?}"), remedy);
            }
            if name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding") {
                return refuse("the header", format!("{name:?}"), "it is made of the body, and cannot be set");
            }
        }
        Ok(())
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// A request as it goes over the wire.
#[derive(Debug)]
pub(crate) enum Form {
    /// All its bytes, and whether its answer has no body.
    H1 {
        /// Head and body.
        bytes: Vec<u8>,
        /// The method is HEAD.
        head: bool,
    },
    /// For a session to encode.
    H2(h2::Request),
}

/// One kind of request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) form: Form,
    /// The endpoint it goes to.
    pub(crate) endpoint: u32,
}

/// All kinds of request of a load.
#[derive(Debug)]
pub(crate) struct Mix {
    entries: Vec<Entry>,
    /// The targets, one for each host and port.
    pub(crate) targets: Vec<Target>,
    /// The running sum of the weights over their total, as shares of 2^64.
    upto: Vec<u64>,
    /// For each endpoint its entries, with the running sum of their weights likewise.
    of_endpoint: Vec<Vec<(u64, u32)>>,
    seed: u64,
}

impl Mix {
    /// Takes requests apart and makes their bytes.
    pub(crate) fn new(specs: &[RequestSpec], protocol: Protocol, keep_alive: bool, seed: u64) -> Result<Self> {
        let mut targets: Vec<Target> = Vec::new();
        let mut entries = Vec::new();
        for spec in specs {
            spec.check()?;
            let target = Target::parse(&spec.url)?;
            let form = form(spec, &target, protocol, keep_alive)?;
            let known = targets.iter().position(|t| t.same_endpoint(&target));
            let endpoint = known.unwrap_or(targets.len()) as u32;
            if known.is_none() {
                targets.push(target);
            }
            entries.push(Entry { form, endpoint });
        }
        let weights = |endpoint: Option<u32>| -> Vec<(u64, u32)> {
            let mine = (0..entries.len() as u32)
                .filter(|e| endpoint.is_none_or(|wanted| entries[*e as usize].endpoint == wanted))
                .collect::<Vec<_>>();
            let total: f64 = mine.iter().map(|e| specs[*e as usize].weight).sum();
            let mut sum = 0.0;
            mine.into_iter()
                .map(|e| {
                    sum += specs[e as usize].weight;
                    // A cast saturates: the last share is all of it.
                    ((sum / total * 2f64.powi(64)) as u64, e)
                })
                .collect()
        };
        let upto = weights(None).into_iter().map(|(upto, _)| upto).collect();
        let of_endpoint = (0..targets.len() as u32).map(|e| weights(Some(e))).collect();
        Ok(Self { entries, targets, upto, of_endpoint, seed })
    }

    pub(crate) fn entry(&self, entry: u32) -> &Entry {
        &self.entries[entry as usize]
    }

    /// The kind of the request with this number: by its number and the seed alone, so that every thread and every
    /// repeat draws the same.
    #[inline]
    pub(crate) fn pick(&self, index: u64) -> u32 {
        if self.entries.len() == 1 {
            return 0;
        }
        let at = scatter(index, self.seed);
        self.upto.iter().position(|upto| at < *upto).unwrap_or(self.entries.len() - 1) as u32
    }

    /// The kind of the request with this number among those of one endpoint.
    #[inline]
    pub(crate) fn pick_for(&self, endpoint: u32, index: u64) -> u32 {
        let mine = &self.of_endpoint[endpoint as usize];
        if let [(_, only)] = mine[..] {
            return only;
        }
        let at = scatter(index, self.seed);
        mine.iter().find(|(upto, _)| at < *upto).or(mine.last()).map_or(0, |(_, entry)| *entry)
    }
}

fn form(spec: &RequestSpec, target: &Target, protocol: Protocol, keep_alive: bool) -> Result<Form> {
    match protocol {
        Protocol::Http1 => {
            let bytes =
                h1::request(&spec.method, &target.path, &target.authority, &spec.headers, keep_alive, &spec.body);
            Ok(Form::H1 { bytes, head: spec.method == "HEAD" })
        }
        Protocol::Http2 => {
            let headers = with_usual(spec, &[("user-agent", h1::USER_AGENT), ("accept", "*/*")]);
            Ok(h2_form(spec, target, &spec.method, &headers, spec.body.to_vec()))
        }
        Protocol::Grpc => {
            let usual = [("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", h1::USER_AGENT)];
            let message = grpc_message(&spec.body).ok_or_else(|| Error::Plan {
                what: "the message of a gRPC call",
                found: format!("{} bytes long", spec.body.len()),
                remedy: "it must be shorter than 4 GiB",
            })?;
            Ok(h2_form(spec, target, "POST", &with_usual(spec, &usual), message))
        }
    }
}

fn h2_form(spec: &RequestSpec, target: &Target, method: &str, headers: &[(String, String)], body: Vec<u8>) -> Form {
    let scheme = if target.tls { "https" } else { "http" };
    let host = spec.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value.as_str());
    Form::H2(h2::Request::new(method, scheme, host.unwrap_or(&target.authority), &target.path, headers, body))
}

/// What every request has, unless it says otherwise, and then its own.
fn with_usual(spec: &RequestSpec, usual: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |name: &str| spec.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    let usual = usual.iter().filter(|(name, _)| !own(name)).map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    usual.chain(spec.headers.iter().cloned()).collect()
}

/// A message as gRPC frames it: not compressed, its length, itself (gRPC over HTTP/2, "Length-Prefixed-Message").
fn grpc_message(message: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(message.len()).ok()?;
    Some([&[0], &length.to_be_bytes()[..], message].concat())
}

/// A number that looks drawn, from a number: SplitMix64's output function (Steele, Lea, Flood 2014).
#[inline]
fn scatter(index: u64, seed: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
