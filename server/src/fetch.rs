//! Images on one other server, whose address the options give, over plain HTTP.
//!
//! Nothing is fetched from any other place: redirects are not followed.

use crate::images::MAX_IMAGE;
use crate::problem::Problem;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The most time of a request.
const TIME: Duration = Duration::from_secs(10);
/// The most bytes of the head of an answer, and of a line that tells the length of a chunk.
const MAX_HEAD: u64 = 64 << 10;
const MAX_LINE: u64 = 1 << 10;

/// A server, and the key that is sent to it.
#[derive(Clone)]
pub struct Origin {
    host: String,
    port: u16,
    /// The host and the port as the address has them.
    authority: String,
    key: Option<String>,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// A connection with a time at which it ends.
struct Timed {
    stream: TcpStream,
    end: Instant,
}

impl Read for Timed {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(to)
    }
}

impl Origin {
    /// Reads an address such as `http://localhost:8080`.
    ///
    /// # Errors
    ///
    /// A text that tells what is wrong with the address or the key.
    pub fn parse(url: &str, key: Option<&str>) -> Result<Origin, String> {
        let Some(authority) = url.strip_prefix("http://") else {
            return Err(format!("`{url}` does not start with http://; use a proxy on this machine for https"));
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (authority, Some(80)),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        let (Some(port), false, true) = (port, host.is_empty(), host.chars().all(is_plain)) else {
            return Err(format!("`{url}` is not http://HOST:PORT"));
        };
        if key.is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err("the key has characters that no header can have".into());
        }
        Ok(Origin { host: host.into(), port, authority: authority.into(), key: key.map(String::from) })
    }

    /// The path of a URL on this server, or the path itself.
    #[must_use]
    pub fn path<'a>(&self, url: &'a str) -> Option<&'a str> {
        let path = match url.strip_prefix("http://") {
            Some(rest) => rest.strip_prefix(&self.authority)?,
            None => url,
        };
        path.starts_with('/').then_some(path)
    }

    /// Fetches an image. Takes up to ten seconds.
    ///
    /// # Errors
    ///
    /// `input` if the server does not give the file, `size` if it is too large.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, Problem> {
        self.try_get(path).map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => Problem::size(format!("an image may have {MAX_IMAGE} bytes")),
            // The reasons of the system say more about the network than a client needs to know.
            _ if e.raw_os_error().is_none() && e.kind() == io::ErrorKind::InvalidData => {
                Problem::input(format!("the image on {}: {e}", self.authority))
            }
            _ => {
                log::warn!("an image on {}: {e}", self.authority);
                Problem::input(format!("{} does not answer", self.authority))
            }
        })
    }

    fn try_get(&self, path: &str) -> io::Result<Vec<u8>> {
        let end = Instant::now() + TIME;
        let mut stream = Err(io::ErrorKind::NotFound.into());
        for address in (&*self.host, self.port).to_socket_addrs()? {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            stream = TcpStream::connect_timeout(&address, left);
            if stream.is_ok() {
                break;
            }
        }
        let mut stream = stream?;
        stream.set_write_timeout(Some(TIME))?;
        let mut head = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", escaped(path)?, self.authority);
        if let Some(key) = &self.key {
            head += &format!("Authorization: Token {key}\r\n");
        }
        head += "Accept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        read(BufReader::new(Timed { stream, end }))
    }
}

fn damaged(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// A path for the first line of a request. Only places under which Label Studio has files are taken.
fn escaped(path: &str) -> io::Result<String> {
    let lower = path.to_ascii_lowercase();
    let places = ["/data/", "/storage-data/", "/tasks/"];
    let climbs = lower.replace("%2e", ".").contains("..");
    if path.chars().any(char::is_control) || climbs || !places.iter().any(|place| path.starts_with(place)) {
        return Err(damaged("a path of a file starts with /data/, /storage-data/ or /tasks/, without `..`"));
    }
    let byte = |byte: u8| match byte {
        b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#' => format!("%{byte:02X}"),
        byte if byte.is_ascii_graphic() => char::from(byte).into(),
        byte => format!("%{byte:02X}"),
    };
    Ok(path.bytes().map(byte).collect())
}

/// A line without its end.
fn line(from: &mut impl BufRead, most: u64) -> io::Result<String> {
    let mut line = Vec::new();
    from.take(most).read_until(b'\n', &mut line)?;
    let Some(text) = line.strip_suffix(b"\n") else { return Err(damaged("the answer is cut off")) };
    let text = String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned();
    Ok(text)
}

/// Reads exactly `bytes` bytes and appends them to `to`.
fn take(from: &mut impl BufRead, bytes: u64, to: &mut Vec<u8>) -> io::Result<()> {
    if bytes.saturating_add(to.len() as u64) > MAX_IMAGE as u64 {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    match from.take(bytes).read_to_end(to)? as u64 == bytes {
        true => Ok(()),
        false => Err(damaged("the answer is cut off")),
    }
}

/// Reads an answer. Returns its body.
fn read(mut from: impl BufRead) -> io::Result<Vec<u8>> {
    let (mut left, mut lines) = (MAX_HEAD, Vec::new());
    loop {
        let line = line(&mut from, left)?;
        left = left.saturating_sub(line.len() as u64 + 2);
        if line.is_empty() {
            break;
        }
        lines.push(line.to_ascii_lowercase());
    }
    let mut status = lines.first().into_iter().flat_map(|line| line.split(' '));
    match (status.next(), status.next()) {
        (Some("http/1.1" | "http/1.0"), Some("200")) => {}
        (Some("http/1.1" | "http/1.0"), Some(status)) => {
            let status = status.parse().map_err(|_| damaged("no answer in HTTP"))?;
            return Err(damaged(match status {
                300..=399_u16 => {
                    "the server redirects, which is not followed; is the key of Label Studio right?".into()
                }
                status => format!("the server answers {status}"),
            }));
        }
        _ => return Err(damaged("no answer in HTTP")),
    }
    let value = |name: &str| {
        let mut pairs = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value.trim())
    };
    let mut body = Vec::new();
    if value("transfer-encoding").is_some_and(|kind| kind.ends_with("chunked")) {
        loop {
            let size = line(&mut from, MAX_LINE)?;
            let size = size.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| damaged("a chunk without length"))?;
            if size == 0 {
                return Ok(body);
            }
            take(&mut from, size, &mut body)?;
            line(&mut from, 2)?;
        }
    }
    match value("content-length") {
        Some(length) => {
            let length = length.parse().map_err(|_| damaged("a body without length"))?;
            take(&mut from, length, &mut body)?;
        }
        None => {
            from.take(MAX_IMAGE as u64 + 1).read_to_end(&mut body)?;
            if body.len() > MAX_IMAGE {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let of = |url: &str| Origin::parse(url, None).map(|origin| (origin.host, origin.port, origin.authority));
        assert_eq!(of("http://localhost:8080"), Ok(("localhost".into(), 8080, "localhost:8080".into())));
        assert_eq!(of("http://localhost/"), Ok(("localhost".into(), 80, "localhost".into())));
        assert_eq!(of("http://[::1]:8080/"), Ok(("::1".into(), 8080, "[::1]:8080".into())));
        assert_eq!(of("http://[::1]"), Ok(("::1".into(), 80, "[::1]".into())));
        for wrong in
            ["https://a", "a:80", "http://", "http://a:b", "http://a/b", "http://u@a", "http://a b", "http://:1"]
        {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        assert!(Origin::parse("http://a", Some("a\r\nb")).is_err());
        let origin = Origin::parse("http://a:1", Some("secret")).unwrap();
        assert!(!format!("{origin:?}").contains("secret"));
        assert_eq!(origin.path("/data/x"), Some("/data/x"));
        assert_eq!(origin.path("http://a:1/data/x"), Some("/data/x"));
        for wrong in ["http://a:12/data/x", "http://b:1/x", "http://a:1", "https://a:1/x", "x", "file:///x", ""] {
            assert_eq!(origin.path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn paths() {
        assert_eq!(escaped("/data/upload/1/a%20b.png?x=1").unwrap(), "/data/upload/1/a%20b.png?x=1");
        assert_eq!(escaped("/data/\u{e9} \"").unwrap(), "/data/%C3%A9%20%22");
        for wrong in ["/api/users", "/data/../api", "/data/%2E./api", "/data/%2e%2E/api", "/data/a\r\nb", "data/x"] {
            assert!(escaped(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers() {
        let of = |text: &str| read(text.as_bytes()).map_err(|e| e.kind());
        assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd"), Ok(b"abc".to_vec()));
        assert_eq!(of("HTTP/1.0 200 OK\r\n\r\nabc"), Ok(b"abc".to_vec()));
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!(of(chunks), Ok(b"abc".to_vec()));
        for wrong in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: 3",
            "HTTP/1.1 302 Found\r\nLocation: /user/login/\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "HTTP/1.1 \r\n\r\n",
            "FTP 200\r\n\r\n",
            "\r\n",
            "",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        ] {
            assert_eq!(of(wrong), Err(io::ErrorKind::InvalidData), "{wrong}");
        }
        for large in [
            "HTTP/1.1 200 OK\r\nContent-Length: 33554433\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ] {
            assert_eq!(of(large), Err(io::ErrorKind::FileTooLarge));
        }
        let head = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", "a: b\r\n".repeat(12_000));
        assert_eq!(of(&head), Err(io::ErrorKind::InvalidData));
    }
}
