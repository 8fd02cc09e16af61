//! Who may ask: hosts, origins and keys. Everything is checked before a body is read.

use crate::problem::Problem;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use base64::Engine as _;
use std::net::IpAddr;

/// Who may ask.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    /// Host names and addresses under which the server answers, without ports, in lower case.
    pub hosts: Vec<String>,
    /// Whether the server answers under any IP address too. A page of another site can have its name resolve to an
    /// address, but its requests then have the name.
    pub addresses: bool,
    /// Origins of other sites whose pages may send requests.
    pub origins: Vec<String>,
    /// Keys, of which a request needs one. If it is empty, no key is needed.
    pub keys: Vec<String>,
}

/// The host of an authority such as `localhost:7263` or `[::1]:7263`, in lower case.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Whether two texts are equal, in a time that depends on their lengths alone.
fn equal(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |different, (x, y)| different | (x ^ y)) == 0
}

impl Guard {
    /// Checks the headers of a request. `public`: no key is needed.
    ///
    /// # Errors
    ///
    /// `host`, `origin` or `key`.
    pub fn check(&self, method: &Method, headers: &HeaderMap, public: bool) -> Result<(), Problem> {
        let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        let authority = text(header::HOST).unwrap_or_default().to_ascii_lowercase();
        // A page of another site may have its own name resolve to this address.
        if headers.get_all(header::HOST).iter().count() != 1 || !self.answers_under(host_of(&authority)) {
            return Err(Problem::host("the header Host names another server"));
        }
        let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if let Some(origin) = text(header::ORIGIN) {
            let own = origin.split_once("://").is_some_and(|(scheme, rest)| {
                (scheme == "http" || scheme == "https") && rest.eq_ignore_ascii_case(&authority)
            });
            if !own && !self.origins.iter().any(|allowed| allowed == origin) && changes {
                return Err(Problem::origin("pages of other sites may not change anything here"));
            }
        }
        if changes && headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") && self.origins.is_empty()
        {
            return Err(Problem::origin("pages of other sites may not change anything here"));
        }
        if !public && !self.keys.is_empty() && !self.has_key(headers) {
            return Err(Problem::key("send Authorization: Bearer KEY, or X-Api-Key: KEY"));
        }
        Ok(())
    }

    fn answers_under(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known == host) || (self.addresses && host.parse::<IpAddr>().is_ok())
    }

    /// Whether the pages of an origin may send requests.
    #[must_use]
    pub fn allows(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    }

    fn has_key(&self, headers: &HeaderMap) -> bool {
        let basic = |text: &str| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
            String::from_utf8(bytes).ok()?.split_once(':').map(|(_, password)| password.to_string())
        };
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = authorization.and_then(|value| match value.split_once(' ') {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") => Some(key.trim().to_string()),
            Some((scheme, text)) if scheme.eq_ignore_ascii_case("basic") => basic(text.trim()),
            _ => None,
        });
        let others = ["x-api-key", "token"].map(|name| headers.get(name)?.to_str().ok().map(String::from));
        let given: Vec<String> = others.into_iter().chain([given]).flatten().collect();
        // Every key is compared, so that the time tells nothing.
        self.keys.iter().fold(false, |found, key| found | given.iter().any(|given| equal(given, key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, StatusCode};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        let mut all = HeaderMap::new();
        pairs.iter().map(pair).for_each(|(name, value)| _ = all.append(name, value));
        all
    }

    fn guard() -> Guard {
        let hosts = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
        Guard { hosts, origins: vec!["http://tool.example".into()], ..Default::default() }
    }

    fn status(guard: &Guard, method: Method, pairs: &[(&str, &str)]) -> u16 {
        guard.check(&method, &headers(pairs), false).map_or_else(|e| e.status().as_u16(), |()| 200)
    }

    #[test]
    fn hosts() {
        for (host, want) in [
            ("localhost:7263", 200),
            ("LOCALHOST", 200),
            ("127.0.0.1:7263", 200),
            ("[::1]:7263", 200),
            ("localhost.attacker.example", 403),
            ("127.0.0.1.attacker.example", 403),
            ("attacker.example:7263", 403),
            ("", 403),
        ] {
            assert_eq!(status(&guard(), Method::GET, &[("host", host)]), want, "{host}");
        }
        let open = Guard { addresses: true, ..guard() };
        for (host, want) in
            [("192.168.1.5:7263", 200), ("[fe80::1]:7263", 200), ("192.168.1.5.a.example", 403), ("1", 403)]
        {
            assert_eq!(status(&open, Method::GET, &[("host", host)]), want, "{host}");
            assert_eq!(status(&guard(), Method::GET, &[("host", host)]), 403, "{host}");
        }
        assert_eq!(status(&guard(), Method::GET, &[]), 403);
        assert_eq!(status(&guard(), Method::GET, &[("host", "localhost"), ("host", "other")]), 403);
    }

    #[test]
    fn origins() {
        let strict = Guard { origins: Vec::new(), ..guard() };
        for (method, origin, want) in [
            (Method::POST, "http://localhost:7263", 200),
            (Method::POST, "http://tool.example", 200),
            (Method::POST, "http://localhost:8080", 403),
            (Method::POST, "http://attacker.example", 403),
            (Method::POST, "null", 403),
            (Method::DELETE, "http://attacker.example", 403),
            (Method::GET, "http://attacker.example", 200),
        ] {
            let pairs = [("host", "localhost:7263"), ("origin", origin)];
            assert_eq!(status(&guard(), method.clone(), &pairs), want, "{method} {origin}");
        }
        let cross = [("host", "localhost"), ("sec-fetch-site", "cross-site")];
        assert_eq!(status(&strict, Method::POST, &cross), 403);
        assert_eq!(status(&strict, Method::GET, &cross), 200);
    }

    #[test]
    fn keys() {
        let guard = Guard { keys: vec!["secret".into(), "second".into()], ..guard() };
        for (name, value, want) in [
            ("authorization", "Bearer secret", 200),
            ("authorization", "bearer second", 200),
            ("x-api-key", "secret", 200),
            ("token", "second", 200),
            ("authorization", "Basic dXNlcjpzZWNyZXQ=", 200), // user:secret
            ("authorization", "Bearer secre", 401),
            ("authorization", "Bearer secretx", 401),
            ("authorization", "secret", 401),
            ("x-api-key", "", 401),
            ("accept", "*/*", 401),
        ] {
            assert_eq!(status(&guard, Method::GET, &[("host", "localhost"), (name, value)]), want, "{name}: {value}");
        }
        let public = guard.check(&Method::GET, &headers(&[("host", "localhost")]), true);
        assert_eq!(public.map_err(|e| e.status()), Ok::<(), StatusCode>(()));
    }
}
