//! The admin listener of a server: `/metrics` (OpenMetrics), `/health`, `/ready`.
//!
//! Every role of a fleet has one on its own port. The recorder scrapes it and people curl it; it changes nothing.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode, header};
use prometheus_client::registry::Registry;

use super::server::{Handler, ResponseBody, ResponseFuture, full, text_response};

/// Is the server ready? Asked at each `/ready`.
pub type Ready = Arc<dyn Fn() -> bool + Send + Sync>;

/// Answers for one server.
pub struct Admin {
    registry: Arc<Registry>,
    ready: Ready,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

impl Admin {
    /// Shows `registry`; `ready` decides `/ready`.
    pub fn new(registry: Arc<Registry>, ready: Ready) -> Self {
        Self { registry, ready }
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
    fn handle(&self, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture<'_> {
        let response = self.answer(request.method(), request.uri().path());
        Box::pin(std::future::ready(response))
    }
}
