//! A server that may open few files: its connections never take those that its log needs.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use serde_json::json;
use weir_tests::{
    http::{self, ANY_SIGNATURE},
    process::output,
    semantics::says,
    server::Server,
    weir,
};

/// Files that the server may open, and silent connections of one client: more than those.
const FILES: u32 = 300;
const SILENT: usize = 400;

#[test]
fn silent_connections_leave_the_log_its_files() {
    let server = Server::start_with_open_files(
        FILES,
        &["--shard-limits", "off", "--durability", "os", "--admin", "127.0.0.1:0"],
    );
    server.stream("s", 1);
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(50))).unwrap();
    let record = json!({"PartitionKey": "k", "Data": "eHh4".repeat(256 << 10)}); // 768 KiB
    let put = json!({"StreamName": "s", "Records": vec![record; 8]}).to_string();
    put_well(&mut client, &put);
    let silent: Vec<TcpStream> = (0..SILENT)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
            stream
        })
        .collect();
    for _ in 0..24 {
        put_well(&mut client, &put); // 144 MiB: two more segments
    }
    // The silent have all places of clients; who watches the server has others.
    let health = b"GET /health HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    assert_eq!(http::send(server.admin_address(), health).unwrap().status, 200);
    drop(silent);
}

#[test]
fn a_server_that_could_serve_nobody_does_not_start() {
    says("opens connections and is silent", "ends with exit code 3 when that leaves none");
    let script = "ulimit -n 200 && exec \"$0\" serve --listen 127.0.0.1:0";
    let ended = output(Command::new("sh").args(["-c", script]).arg(weir()), Duration::from_secs(60));
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{told}");
    assert!(told.contains("ulimit -n"), "{told}");
}

/// One PutRecords on a connection that stays open; every record must be taken.
fn put_well(client: &mut TcpStream, body: &str) {
    let head = format!(
        "POST / HTTP/1.1\r\nhost: h\r\nx-amz-target: Kinesis_20131202.PutRecords\r\n\
         content-type: application/x-amz-json-1.1\r\nx-amz-date: 20201125T024400Z\r\n\
         authorization: {ANY_SIGNATURE}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(body.as_bytes()).unwrap();
    let mut answer = vec![0; 16 << 10];
    let mut heard = 0;
    while !answer[..heard].ends_with(b"}") {
        let more = client.read(&mut answer[heard..]).unwrap();
        assert!(more > 0, "the connection ended");
        heard += more;
    }
    let answer = String::from_utf8_lossy(&answer[..heard]);
    assert!(answer.contains("\"FailedRecordCount\":0"), "{answer}");
}
