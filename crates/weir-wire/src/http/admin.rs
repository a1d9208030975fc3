//! The admin listener of a server: `/metrics` (OpenMetrics), `/health`, `/ready`.
//!
//! Every role of a fleet has one on its own port. The recorder scrapes it and people curl it. What else a role shows there
//! is a page of its own, for this host alone; only such a page may change anything.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use bytes::Bytes;
use http::uri::Authority;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, header};
use prometheus_client::registry::Registry;

use super::server::{Handler, ResponseBody, ResponseFuture, full, text_response};

/// Is the server ready? Asked at each `/ready`.
pub type Ready = Arc<dyn Fn() -> bool + Send + Sync>;

/// One more page of a role, shown to clients on this host.
pub trait AdminPage: Send + Sync {
    /// Where it is.
    fn path(&self) -> &'static str;

    /// Answers a request for it.
    fn answer(&self, method: &Method, body: &Bytes) -> Response<ResponseBody>;
}

/// Answers for one server.
pub struct Admin {
    registry: Arc<Registry>,
    ready: Ready,
    page: Option<Arc<dyn AdminPage>>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

impl Admin {
    /// Shows `registry`; `ready` decides `/ready`.
    pub fn new(registry: Arc<Registry>, ready: Ready) -> Self {
        Self { registry, ready, page: None }
    }

    /// The same, with one more page.
    pub fn with_page(self, page: Option<Arc<dyn AdminPage>>) -> Self {
        Self { page, ..self }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<ResponseBody> {
        match (method, path) {
            (&Method::GET, "/metrics") => self.metrics(),
            (&Method::GET, "/health") => text_response(StatusCode::OK, "ok\n"),
            (&Method::GET, "/ready") if (self.ready)() => text_response(StatusCode::OK, "ready\n"),
            (&Method::GET, "/ready") => text_response(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ => text_response(StatusCode::NOT_FOUND, "there is /metrics, /health and /ready\n"),
        }
    }

    fn metrics(&self) -> Response<ResponseBody> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("writing to a string");
        let mut response = Response::new(full(text));
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        );
        response
    }
}

impl Handler for Admin {
    fn handle(self: Arc<Self>, request: Request<Bytes>, peer: SocketAddr) -> ResponseFuture {
        let path = request.uri().path();
        let response = match self.page.as_ref().filter(|page| page.path() == path) {
            Some(_) if !peer.ip().to_canonical().is_loopback() => {
                text_response(StatusCode::FORBIDDEN, "this page is for this host alone\n")
            }
            Some(_) if is_of_a_site(request.headers()) => {
                text_response(StatusCode::FORBIDDEN, "this page is for no other page's scripts\n")
            }
            Some(page) => page.answer(request.method(), request.body()),
            None => self.answer(request.method(), path),
        };
        ResponseFuture::ready(response)
    }
}

/// Does a browser send this for a page of some site? Its own host is this one, so the peer's address does not tell: an
/// `Origin` does, and a name in `Host` that somebody else may have pointed here.
fn is_of_a_site(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = |authority: Authority| {
        let host = authority.host().trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
    };
    let is_own = host.is_some_and(|host| host.parse().is_ok_and(own));
    headers.contains_key(header::ORIGIN) || !is_own
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Page;

    impl AdminPage for Page {
        fn path(&self) -> &'static str {
            "/page"
        }

        fn answer(&self, _method: &Method, body: &Bytes) -> Response<ResponseBody> {
            text_response(StatusCode::OK, body.clone())
        }
    }

    #[tokio::test]
    async fn a_page_is_shown_to_this_host_alone() {
        let admin = Arc::new(Admin::new(Arc::default(), Arc::new(|| true)).with_page(Some(Arc::new(Page))));
        let status = async |peer: &str, path: &str| {
            let request = Request::get(path).header("host", "localhost:9").body(Bytes::new()).unwrap();
            Arc::clone(&admin).handle(request, peer.parse().unwrap()).await.status().as_u16()
        };
        assert_eq!(status("127.0.0.1:9", "/page").await, 200);
        assert_eq!(status("[::1]:9", "/page").await, 200);
        assert_eq!(status("[::ffff:127.0.0.1]:9", "/page").await, 200);
        assert_eq!(status("10.0.0.1:9", "/page").await, 403);
        assert_eq!(status("10.0.0.1:9", "/health").await, 200);
        assert_eq!(status("127.0.0.1:9", "/pages").await, 404);
    }

    #[tokio::test]
    async fn a_page_is_not_for_the_scripts_of_another() {
        let admin = Arc::new(Admin::new(Arc::default(), Arc::new(|| true)).with_page(Some(Arc::new(Page))));
        let status = async |headers: &[(&str, &str)]| {
            let mut request = Request::put("/page");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Bytes::new()).unwrap();
            Arc::clone(&admin).handle(request, "127.0.0.1:9".parse().unwrap()).await.status().as_u16()
        };
        for host in ["127.0.0.1:4580", "[::1]:4580", "localhost", "LocalHost:1"] {
            assert_eq!(status(&[("host", host)]).await, 200, "{host}");
            assert_eq!(status(&[("host", host), ("origin", "http://site.example")]).await, 403, "{host}");
        }
        assert_eq!(status(&[("host", "site.example:4580")]).await, 403, "a name that was pointed here");
        assert_eq!(status(&[]).await, 403);
    }
}
