//! The control plane over HTTP: `POST /v1/call` for servers, readable GETs for people.
//!
//! Every answer is JSON. It looks at paths and bodies and decides nothing.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use hyper::{Method, Request, Response, StatusCode, header};
use weir_core::id::TenantName;
use weir_wire::{
    control::{CallOutcome, ControlRequest, ControlService, RemoteControl},
    http::server::{Handler, ResponseBody, ResponseFuture, full, text_response},
};

use crate::embedded::EmbeddedControl;

/// Answers for one control plane.
pub(crate) struct ControlServer {
    pub(crate) control: Arc<EmbeddedControl>,
}

impl ControlServer {
    async fn answer(&self, request: Request<Bytes>) -> Response<ResponseBody> {
        match (request.method(), request.uri().path()) {
            (&Method::POST, RemoteControl::PATH) => match serde_json::from_slice(request.body()) {
                Ok(call) => self.call(call).await,
                Err(error) => text_response(StatusCode::BAD_REQUEST, format!("{error}\n")),
            },
            (&Method::GET, "/health") => text_response(StatusCode::OK, "ok\n"),
            (&Method::GET, "/v1/status") => self.call(ControlRequest::Status).await,
            (&Method::GET, "/v1/cells") => self.call(ControlRequest::Cells).await,
            (&Method::GET, "/v1/fragments") => self.call(ControlRequest::Fragments).await,
            (&Method::GET, "/v1/endpoints") => {
                let tenant = request.uri().query().and_then(|query| query.strip_prefix("tenant="));
                self.call(ControlRequest::Endpoints { tenant: tenant.map(TenantName::new) }).await
            }
            _ => text_response(
                StatusCode::NOT_FOUND,
                "there is POST /v1/call, and GET /v1/status, /v1/endpoints?tenant=, /v1/cells, /v1/fragments, /health\n",
            ),
        }
    }

    async fn call(&self, request: ControlRequest) -> Response<ResponseBody> {
        let outcome = match self.control.call(request).await {
            Ok(reply) => CallOutcome::Ok(reply),
            Err(error) => CallOutcome::Err(error),
        };
        json(&outcome)
    }
}

fn json(outcome: &CallOutcome) -> Response<ResponseBody> {
    let status = match outcome {
        CallOutcome::Ok(_) => StatusCode::OK,
        CallOutcome::Err(_) => StatusCode::BAD_REQUEST,
    };
    let body = serde_json::to_vec(outcome).expect("an outcome is plain data");
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

impl Handler for ControlServer {
    fn handle(self: Arc<Self>, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        ResponseFuture::new(async move { self.answer(request).await })
    }
}
