//! Clients that leave, or say something more, while they are answered.

use tokio::{io::DuplexStream, sync::mpsc};

use super::{super::serve_stream, tls::Secure, *};

/// Answers when it may; tells when a request has come, and when nothing of it is left.
struct Waiting {
    may: Semaphore,
    tell: mpsc::Sender<&'static str>,
    /// The answer begins at once, and ends when it may.
    streams: bool,
}

/// Tells when it is dropped.
struct Tells(mpsc::Sender<&'static str>);

impl Drop for Tells {
    fn drop(&mut self) {
        self.0.try_send("gone").unwrap();
    }
}

/// Has no part before it may.
struct Parts {
    handler: Arc<Waiting>,
    _tells: Tells,
}

impl Source for Parts {
    async fn next(&mut self) -> Option<Bytes> {
        self.handler.may.acquire().await.unwrap().forget();
        None
    }
}

impl Handler for Waiting {
    fn handle(self: Arc<Self>, request: Request<Bytes>, _peer: SocketAddr) -> ResponseFuture {
        let tells = Tells(self.tell.clone());
        self.tell.try_send("came").unwrap();
        ResponseFuture::new(async move {
            if self.streams {
                return Response::new(streamed(Parts { handler: self, _tells: tells }));
            }
            let _tells = tells;
            self.may.acquire().await.unwrap().forget();
            text_response(StatusCode::OK, format!("{} bytes", request.body().len()))
        })
    }
}

fn waiting(streams: bool) -> (Arc<Waiting>, mpsc::Receiver<&'static str>) {
    let (tell, told) = mpsc::channel(4);
    (Arc::new(Waiting { may: Semaphore::new(0), tell, streams }), told)
}

/// Asks on `client` and leaves before the answer, which must be noticed.
async fn leave(mut client: impl AsyncWrite + Unpin, told: &mut mpsc::Receiver<&'static str>) {
    client.write_all(GOOD).await.unwrap();
    assert_eq!(told.recv().await, Some("came"));
    let _ = client.shutdown().await;
    drop(client);
    let gone = tokio::time::timeout(Duration::from_secs(60), told.recv()).await;
    assert_eq!(gone.expect("nobody waits for the answer"), Some("gone"));
}

#[tokio::test]
async fn a_client_that_leaves_ends_what_is_done_for_it() {
    for streams in [false, true] {
        let (handler, mut told) = waiting(streams);
        let server = Server::start_with(patient(), handler);
        leave(server.connect().await, &mut told).await;
    }
}

#[tokio::test]
async fn a_client_that_leaves_its_tls_ends_what_is_done_for_it() {
    let (handler, mut told) = waiting(false);
    let secure = Secure::open(patient(), handler, ServeThreads::one());
    leave(secure.connect(&[]).await, &mut told).await;
}

/// Bytes that lie between a client and its server.
const BETWEEN_BYTES: usize = 32;

#[tokio::test]
async fn a_request_that_comes_while_another_is_answered_has_its_turn() {
    let (handler, mut told) = waiting(false);
    let (mut client, far): (DuplexStream, _) = tokio::io::duplex(BETWEEN_BYTES);
    tokio::spawn(serve_stream(far, Arc::clone(&handler) as Arc<dyn Handler>));
    client.write_all(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    assert_eq!(told.recv().await, Some("came"));
    let (first, rest) = GOOD.split_at(BETWEEN_BYTES + 1);
    client.write_all(first).await.unwrap(); // there is room for all of it when some of it was looked at
    handler.may.add_permits(2);
    let (mut reading, mut writing) = tokio::io::split(client);
    let mut answers = String::new();
    let (sent, read) = tokio::join!(writing.write_all(rest), reading.read_to_string(&mut answers));
    sent.unwrap();
    read.unwrap();
    assert!(answers.contains("0 bytes") && answers.ends_with("5 bytes"), "{answers}");
}
