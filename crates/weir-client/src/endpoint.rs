//! Where a Kinesis API is: a base URL as people write it, as a socket address and a `Host` header.
//!
//! Read from the command line, from scenarios and from the control plane's answers. It must never resolve a name:
//! resolution would need a thread of its own, and the thread count of every process is a constant.

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc};

/// A plain-HTTP endpoint at a literal address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    address: SocketAddr,
    host: Arc<str>,
}

/// Text that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no endpoint: {problem}; write http://127.0.0.1:4567")]
pub struct EndpointError {
    url: String,
    problem: &'static str,
}

impl Endpoint {
    /// The endpoint that listens at `address`.
    pub fn at(address: SocketAddr) -> Self {
        Self { address, host: address.to_string().into() }
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What goes into the `Host` header, and into the signature.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.host)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Takes `http://ADDRESS[:PORT][/]`. `localhost` means 127.0.0.1, the one name that needs no resolver.
    fn from_str(url: &str) -> Result<Self, EndpointError> {
        let error = |problem| EndpointError { url: url.chars().take(200).collect(), problem };
        if url.starts_with("https://") {
            return Err(error("only plain http is spoken"));
        }
        let rest = url.strip_prefix("http://").ok_or_else(|| error("it does not start with http://"))?;
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.contains(['/', '?', '#', '@']) {
            return Err(error("it has more than an address and a port"));
        }
        let literal = match host.strip_prefix("localhost") {
            Some(port) => format!("127.0.0.1{port}"),
            None => host.to_owned(),
        };
        let address: SocketAddr = literal
            .parse()
            .or_else(|_| literal.parse().map(|ip: std::net::IpAddr| SocketAddr::new(ip, 80)))
            .map_err(|_| error("its host is no literal address"))?;
        Ok(Self { address, host: host.into() })
    }
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
        for url in
            ["127.0.0.1:4567", "https://127.0.0.1:1", "http://example.com", "http://127.0.0.1:1/path", ""]
        {
            let error = url.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:4567"), "{error}");
        }
    }
}
