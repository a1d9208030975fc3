//! Where a Kinesis API is: a base URL as people write it, as a socket address, a `Host` header and whether TLS is spoken.
//!
//! Read from the command line, from scenarios and from the control plane's answers. Reading must never resolve a name: a
//! server that waits for a resolver would need a thread for it, and the thread count of every process is a constant. A
//! program that has not begun yet may wait on its own thread: [`Endpoint::resolve`].

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs},
    str::FromStr,
    sync::Arc,
};

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// An address to connect to, and how the server there is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    address: SocketAddr,
    tls: bool,
    host: Arc<str>,
}

/// Text that is no endpoint, or not one that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It does not read as one.
    #[error("{url:?} is no endpoint: {problem}; write http://127.0.0.1:4567")]
    Form {
        /// The text, or its beginning.
        url: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Its host is a name that the resolver does not know.
    #[error("the host of {url:?} is not known: {detail}; check the name, or write its address")]
    Unresolved {
        /// The text, or its beginning.
        url: String,
        /// What the resolver said.
        detail: String,
    },
}

impl Endpoint {
    /// The endpoint that listens at `address`, over plain http.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, tls: false, host: address.to_string().into() }
    }

    /// Takes `http[s]://HOST[:PORT][/]` and asks the system's resolver when the host is a name. Waits for it: to be called
    /// before the threads exist that must not wait. The first address that the resolver gives is used, for good.
    pub fn resolve(url: &str) -> Result<Self, EndpointError> {
        let parts = Parts::of(url)?;
        let port = parts.port();
        let address = match parts.literal() {
            Some(ip) => SocketAddr::new(ip, port),
            None => first_address(parts.name, port).map_err(|error| EndpointError::Unresolved {
                url: beginning(url),
                detail: error.to_string(),
            })?,
        };
        Ok(parts.at(address))
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What goes into the `Host` header, and into the signature.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whom the server's certificate must name: a name, or an address without brackets. `None`: plain http is spoken.
    pub fn tls_name(&self) -> Option<&str> {
        self.tls.then(|| name_and_port(&self.host).expect("an endpoint's host was read before").0)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Takes `http://ADDRESS[:PORT][/]`, which the servers of a fleet know each other by. `localhost` means 127.0.0.1, the
    /// one name that needs no resolver.
    fn from_str(url: &str) -> Result<Self, EndpointError> {
        let parts = Parts::of(url)?;
        if parts.tls {
            return Err(form(url, "only plain http is spoken here"));
        }
        let ip = parts.literal().ok_or_else(|| form(url, "its host is no literal address"))?;
        Ok(parts.at(SocketAddr::new(ip, parts.port())))
    }
}

/// A URL, taken apart.
struct Parts<'a> {
    tls: bool,
    host: &'a str,
    name: &'a str,
    port: Option<u16>,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Result<Self, EndpointError> {
        let (tls, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            (None, None) => return Err(form(url, "it starts with neither http:// nor https://")),
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.contains(['/', '?', '#', '@']) {
            return Err(form(url, "it has more than a host and a port"));
        }
        // What is not a graphic character would not survive the way into a header line.
        let (name, port) = name_and_port(host)
            .filter(|_| host.bytes().all(|byte| byte.is_ascii_graphic()))
            .ok_or_else(|| form(url, "its host or its port does not read"))?;
        Ok(Self { tls, host, name, port })
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { HTTPS_PORT } else { HTTP_PORT })
    }

    fn literal(&self) -> Option<IpAddr> {
        if self.name == "localhost" { Some(Ipv4Addr::LOCALHOST.into()) } else { self.name.parse().ok() }
    }

    fn at(&self, address: SocketAddr) -> Endpoint {
        Endpoint { address, tls: self.tls, host: self.host.into() }
    }
}

/// `NAME[:PORT]`, or `[ADDRESS][:PORT]` for an IPv6 address.
fn name_and_port(host: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (name, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let port = port.map(str::parse).transpose().ok()?;
    (!name.is_empty()).then_some((name, port))
}

fn first_address(name: &str, port: u16) -> io::Result<SocketAddr> {
    (name, port).to_socket_addrs()?.next().ok_or_else(|| io::Error::other("it has no address"))
}

fn form(url: &str, problem: &'static str) -> EndpointError {
    EndpointError::Form { url: beginning(url), problem }
}

/// As much of a text as an error should repeat.
fn beginning(url: &str) -> String {
    url.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_keeps_its_host_header_as_it_was_written() {
        let endpoint: Endpoint = "http://localhost:4567/".parse().unwrap();
        assert_eq!(endpoint.address(), "127.0.0.1:4567".parse().unwrap());
        assert_eq!(endpoint.host(), "localhost:4567");
        assert_eq!("http://127.3.0.1".parse::<Endpoint>().unwrap().address().port(), 80);
        assert_eq!("http://[::1]:9".parse::<Endpoint>().unwrap().address(), "[::1]:9".parse().unwrap());
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_an_example() {
        for url in [
            "127.0.0.1:4567",
            "https://127.0.0.1:1",
            "http://example.com",
            "http://127.0.0.1:1/path",
            "http://localhosts:1",
            "http://127.0.0.1:65536",
            "http://[::1]9",
            "http://:80",
            "",
        ] {
            let error = url.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:4567"), "{error}");
        }
    }

    #[test]
    fn a_name_is_resolved_when_that_is_asked_for_and_stays_in_the_host_header() {
        // A short form of an address is a name to us and an address to every resolver, with or without a network.
        let endpoint = Endpoint::resolve("http://127.1:4567/").unwrap();
        assert_eq!((endpoint.address(), endpoint.host()), ("127.0.0.1:4567".parse().unwrap(), "127.1:4567"));
        assert_eq!(Endpoint::resolve("http://127.1").unwrap().address().port(), 80);
        assert_eq!(Endpoint::resolve("https://127.1").unwrap().address().port(), 443);
        for url in
            ["http://", "ftp://127.0.0.1", "https://127.0.0.1/path", "http://a b", "https://127.0.0.1\r\n"]
        {
            assert!(Endpoint::resolve(url).is_err(), "{url:?}");
        }
        // No resolver sends a name with an empty label anywhere.
        let error = Endpoint::resolve("https://kinesis..example").unwrap_err().to_string();
        assert!(error.contains("check the name"), "{error}");
    }

    #[test]
    fn the_certificate_is_asked_for_the_name_without_its_port() {
        for (url, name) in [
            ("http://localhost:1", None),
            ("https://localhost:1", Some("localhost")),
            ("https://localhost", Some("localhost")),
            ("https://[::1]:9", Some("::1")),
            ("https://127.0.0.1:9/", Some("127.0.0.1")),
        ] {
            let endpoint = Endpoint::resolve(url).unwrap();
            assert_eq!(endpoint.tls_name(), name, "{url}");
            assert_eq!(endpoint.to_string(), url.trim_end_matches('/'));
        }
    }

    #[test]
    fn the_same_address_under_two_names_is_two_endpoints() {
        let [plain, named] =
            ["http://127.0.0.1:1", "http://localhost:1"].map(|url| Endpoint::resolve(url).unwrap());
        assert_eq!(plain.address(), named.address());
        assert_ne!(plain, named);
    }
}
