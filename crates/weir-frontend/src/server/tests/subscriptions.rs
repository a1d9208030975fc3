//! Subscriptions: what their streams say, one message after another, and what they hold.

use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use weir_wire::{cell::CellError, http::server::ResponseBody, kinesis::event_stream::Message};

use super::ACCOUNT;
use crate::fixture::{Fixture, NodeMood, request};

/// Subscribes to the first shard of `s` from its start; the answer's body.
async fn subscribe(fixture: &Fixture) -> ResponseBody {
    let input = json!({
        "ConsumerARN": format!("arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s/consumer/c:1600000000"),
        "ShardId": "shardId-000000000000",
        "StartingPosition": {"Type": "TRIM_HORIZON"},
    });
    let body = Bytes::from(input.to_string());
    let response = fixture.respond(request("SubscribeToShard").body(body).unwrap()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
    response.into_body()
}

/// The kind of the next message and its payload; none at the end.
async fn next(body: &mut ResponseBody) -> Option<(String, Value)> {
    let bytes = body.frame().await?.unwrap().into_data().unwrap();
    let (message, taken) = Message::decode(&bytes).unwrap().unwrap();
    assert_eq!(taken, bytes.len(), "a part is a message");
    let kind = message.header(":event-type").or(message.header(":exception-type")).unwrap();
    Some((kind.to_owned(), serde_json::from_slice(&message.payload).unwrap()))
}

async fn put(fixture: &Fixture) {
    fixture.call("PutRecord", json!({"StreamName": "s", "PartitionKey": "k", "Data": "AAAA"})).await.ok();
}

fn subscriptions(fixture: &Fixture) -> Option<String> {
    let line = |line: &str| line.strip_prefix("weir_frontend_subscriptions ").map(str::to_owned);
    fixture.metrics().lines().find_map(line)
}

#[tokio::test]
async fn trouble_at_the_node_is_told_in_the_stream_and_ends_it() {
    let fixture = Fixture::subscribing();
    fixture.stream("s", 1);
    put(&fixture).await;
    let mut body = subscribe(&fixture).await;
    assert_eq!(next(&mut body).await, Some(("initial-response".to_owned(), json!({}))));
    let (kind, event) = next(&mut body).await.unwrap();
    assert_eq!((kind.as_str(), &event["Records"][0]["Data"]), ("SubscribeToShardEvent", &json!("AAAA")));
    fixture.node.set_mood(NodeMood::Refusing(CellError::LogUnavailable));
    let (kind, told) = next(&mut body).await.unwrap();
    assert_eq!(kind, "InternalFailureException");
    assert_eq!(told, json!({"message": "Internal service failure."}));
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn two_front_ends_serve_one_consumer_at_one_shard_each() {
    let fixtures = [Fixture::subscribing(), Fixture::subscribing()];
    let mut bodies = Vec::new();
    for fixture in &fixtures {
        fixture.stream("s", 1);
        put(fixture).await;
        bodies.push(subscribe(fixture).await);
    }
    for body in &mut bodies {
        assert_eq!(next(body).await.unwrap().0, "initial-response");
        let (kind, event) = next(body).await.unwrap();
        assert_eq!((kind.as_str(), event["Records"].as_array().unwrap().len()), ("SubscribeToShardEvent", 1));
    }
}

#[tokio::test]
async fn an_event_is_counted_until_it_is_written_and_a_subscription_until_its_client_is_gone() {
    let fixture = Fixture::subscribing();
    fixture.stream("s", 1);
    put(&fixture).await;
    let free = fixture.frontend.common.answers.events_available();
    let mut body = subscribe(&fixture).await;
    next(&mut body).await;
    assert_eq!(subscriptions(&fixture).as_deref(), Some("1"));
    let event = body.frame().await.unwrap().unwrap();
    assert_eq!(free - fixture.frontend.common.answers.events_available(), event.data_ref().unwrap().len());
    drop(event);
    assert_eq!(fixture.frontend.common.answers.events_available(), free);
    drop(body);
    assert_eq!(subscriptions(&fixture).as_deref(), Some("0"));
}
