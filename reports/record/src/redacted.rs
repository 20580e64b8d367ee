//! What may be a secret, and how the record speaks of it: who shares a run directory must not share a password with it.

/// What stands in a secret's place.
pub const REDACTED: &str = "REDACTED";

/// Words that a name holds which is that of a secret.
const SECRET_WORDS: [&str; 15] = [
    "auth",
    "cookie",
    "credential",
    "jwt",
    "key",
    "passphrase",
    "passwd",
    "password",
    "secret",
    "session",
    "sig",
    "signature",
    "token",
    "pwd",
    "code",
];

/// Longer values of unknown names may be tokens; shorter ones tell requests apart.
const SHORT: usize = 8;

/// Whether a header, a parameter or a field of this name holds a secret, as far as the name tells.
pub fn names_a_secret(name: &str) -> bool {
    // "X-Api-Key", "apiKey" and "api_key" are one word and the other; "monkey" is neither.
    let mut words = vec![String::new()];
    let mut before = None::<char>;
    for c in name.chars() {
        let begins = c.is_ascii_uppercase() && before.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !c.is_ascii_alphanumeric() || begins {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
        before = Some(c);
    }
    let whole: String = words.concat();
    words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()))
        || ["authorization", "authentication", "apikey", "accesskey", "secretkey", "privatekey"]
            .iter()
            .any(|w| whole.contains(w))
        || SECRET_WORDS.iter().any(|word| word.len() > 4 && whole.contains(word))
}

/// A URL as it may be written down: without a user and a password, and without values in its query that may be secret.
/// Numbers and short values stay, since they tell one kind of request from another.
pub fn url(url: &str) -> String {
    let (place, query) = url.split_once('?').map_or((url, None), |(place, query)| (place, Some(query)));
    let place = match place.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host =
                authority.rsplit_once('@').map_or(authority.to_owned(), |(_, host)| format!("{REDACTED}@{host}"));
            format!("{scheme}://{host}{path}")
        }
        None => place.to_owned(),
    };
    let Some(query) = query else { return place };
    let parameters: Vec<String> = query.split('&').map(parameter).collect();
    format!("{place}?{}", parameters.join("&"))
}

fn parameter(text: &str) -> String {
    let (name, value) = text.split_once('=').map_or((None, text), |(name, value)| (Some(name), value));
    let number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let kept = (number || value.len() <= SHORT) && !name.is_some_and(names_a_secret);
    let value = if kept { value } else { REDACTED };
    name.map_or_else(|| value.to_owned(), |name| format!("{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_however_they_are_written() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "Set-Cookie",
            "X-Api-Key",
            "apiKey",
            "api_key",
            "access_token",
            "X-Amz-Signature",
            "client_secret",
            "PASSWORD",
            "db.password",
            "sessionId",
            "sig",
            "pairing-code",
            "JWT",
            "X-Auth",
            "awsSecretAccessKey",
            "accesskey",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["content-type", "accept", "monkey", "design", "size", "x-request-id", "encoder", "author", ""] {
            assert!(!names_a_secret(name), "{name}");
        }
    }

    #[test]
    fn a_url_keeps_what_tells_it_from_others_and_nothing_that_may_be_secret() {
        for (url_, kept) in [
            ("http://127.0.0.1:8080/path", "http://127.0.0.1:8080/path"),
            ("http://h/?size=1024&page=2&sort=asc", "http://h/?size=1024&page=2&sort=asc"),
            ("http://user:pass@h:1/p", "http://REDACTED@h:1/p"),
            ("http://h/p?q=eyJhbGciOiJIUzI1NiJ9", "http://h/p?q=REDACTED"),
            ("http://h/p?token=abc&n=1", "http://h/p?token=REDACTED&n=1"),
            ("http://h/p?abcdefghijk", "http://h/p?REDACTED"),
            ("http://h?id=12345678901234567890", "http://h?id=12345678901234567890"),
            ("not a url", "not a url"),
            ("http://a@b@c/", "http://REDACTED@c/"),
        ] {
            assert_eq!(url(url_), kept);
        }
    }
}
