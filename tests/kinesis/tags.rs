//! AddTagsToStream, RemoveTagsFromStream, ListTagsForStream, TagResource, UntagResource, ListTagsForResource.

use serde_json::{Value, json};
use weir_tests::{
    semantics::{says, says_same},
    server::Server,
};

const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/tagged";

/// The tags of the whole stream as (key, value).
fn tags(server: &Server) -> Vec<(String, String)> {
    let listed = server.ok("ListTagsForStream", &json!({"StreamName": "tagged"}));
    assert_eq!(listed["HasMoreTags"], false);
    let resource = server.ok("ListTagsForResource", &json!({"ResourceARN": ARN}));
    assert_eq!(resource, json!({"Tags": listed["Tags"]}), "both families see the same tags");
    let text = |tag: &Value, member: &str| tag[member].as_str().unwrap().to_owned();
    let tags = listed["Tags"].as_array().unwrap().iter();
    tags.map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect()
}

fn owned(tags: &[(&str, &str)]) -> Vec<(String, String)> {
    tags.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn tags_of_both_families_are_one_set_that_outlives_the_process() {
    let mut server = Server::start();
    server.stream("tagged", 1);
    assert_eq!(tags(&server), owned(&[]));
    let added = server.call("AddTagsToStream", &json!({"StreamName": "tagged", "Tags": {"b": "1", "a": ""}}));
    assert_eq!((added.status, added.body.len()), (200, 0));
    server.ok("TagResource", &json!({"ResourceARN": ARN, "Tags": {"b": "2", "\u{fc}/=+-@:_. 0": "c"}}));
    server.kill_9_and_restart();
    assert_eq!(tags(&server), owned(&[("a", ""), ("b", "2"), ("\u{fc}/=+-@:_. 0", "c")]));
    server.ok("RemoveTagsFromStream", &json!({"StreamARN": ARN, "TagKeys": ["a", "never there"]}));
    server.ok("UntagResource", &json!({"ResourceARN": ARN, "TagKeys": ["\u{fc}/=+-@:_. 0"]}));
    assert_eq!(tags(&server), owned(&[("b", "2")]));
}

#[test]
fn a_stream_is_born_with_tags_or_not_at_all() {
    let server = Server::start();
    let create = |tags: Value| {
        server.call("CreateStream", &json!({"StreamName": "tagged", "ShardCount": 1, "Tags": tags}))
    };
    let too_many: serde_json::Map<String, Value> = (0..51).map(|n| (format!("k{n}"), json!(""))).collect();
    for wrong in [json!({"aws:mine": ""}), Value::Object(too_many)] {
        let refused = create(wrong);
        assert!(
            ["InvalidArgumentException", "ValidationException"]
                .contains(&refused.json()["__type"].as_str().unwrap())
        );
        let none = server.call("DescribeStreamSummary", &json!({"StreamName": "tagged"}));
        assert_eq!(none.json()["__type"], "ResourceNotFoundException", "nothing is left of it");
    }
    assert_eq!(create(json!({"a": "1", "b": ""})).status, 200);
    server.await_active("tagged");
    assert_eq!(tags(&server), owned(&[("a", "1"), ("b", "")]));
}

#[test]
fn tags_are_listed_in_pages() {
    says_same("on one set of up to 50 tags a stream");
    let server = Server::start();
    server.stream("tagged", 1);
    let all: Vec<String> = (0..50).map(|n| format!("key-{n:02}")).collect();
    let map: serde_json::Map<String, Value> = all.iter().map(|key| (key.clone(), json!("v"))).collect();
    server.ok("AddTagsToStream", &json!({"StreamName": "tagged", "Tags": map}));
    let (mut seen, mut pages) = (Vec::new(), Vec::new());
    loop {
        let mut asked = json!({"StreamName": "tagged", "Limit": 20});
        if let Some(last) = seen.last() {
            asked["ExclusiveStartTagKey"] = json!(last);
        }
        let listed = server.ok("ListTagsForStream", &asked);
        let page = listed["Tags"].as_array().unwrap();
        seen.extend(page.iter().map(|tag| tag["Key"].as_str().unwrap().to_owned()));
        pages.push(page.len());
        if listed["HasMoreTags"] == false {
            break;
        }
    }
    assert_eq!((seen, pages), (all, vec![20, 20, 10]));
    let one_more = server.call("TagResource", &json!({"ResourceARN": ARN, "Tags": {"one more": ""}}));
    assert_eq!(one_more.json()["__type"], "InvalidArgumentException");
    assert_eq!(
        one_more.json()["message"],
        "Failed to add tags to stream tagged under account 000000000000 because a given stream cannot have more than 50 \
         tags associated with it."
    );
    assert_eq!(tags(&server).len(), 50);
}

#[test]
fn queues_and_channels_have_neither_tags_nor_policies() {
    says("policies and tags of queues and channels", "`ResourceNotFoundException`");
    let server = Server::start();
    for arn in [
        "arn:aws:kinesis:us-east-1:000000000000:queue/q",
        "arn:aws:kinesis:us-east-1:000000000000:any/channel/c",
    ] {
        for (operation, asked) in [
            ("ListTagsForResource", json!({"ResourceARN": arn})),
            ("TagResource", json!({"ResourceARN": arn, "Tags": {"a": "b"}})),
            ("GetResourcePolicy", json!({"ResourceARN": arn})),
        ] {
            let told = server.call(operation, &asked).json();
            assert_eq!(told["__type"], "ResourceNotFoundException", "{operation} {arn}: {told}");
            assert_eq!(told["message"], format!("Resource {arn} not found."), "{operation}");
        }
    }
}

#[test]
fn tags_that_cannot_be_are_refused_in_kinesis_words() {
    says_same("Characters that cannot be and keys that begin with `aws:` are refused.");
    let server = Server::start();
    server.stream("tagged", 1);
    let long = "k".repeat(129);
    for (operation, asked, code, text) in [
        (
            "AddTagsToStream",
            json!({"StreamName": "tagged", "Tags": {"a": "b;c"}}),
            "InvalidArgumentException",
            "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % \
             @ :."
                .to_owned(),
        ),
        (
            "RemoveTagsFromStream",
            json!({"StreamName": "tagged", "TagKeys": ["a%"]}),
            "InvalidArgumentException",
            "Failed to remove tags from stream tagged under account 000000000000 because some tags contained illegal \
             characters. The allowed characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@',':'."
                .to_owned(),
        ),
        (
            "TagResource",
            json!({"ResourceARN": ARN, "Tags": {"aws:cloud": "b"}}),
            "InvalidArgumentException",
            "aws: prefixed tag key names are not allowed for external use.".to_owned(),
        ),
        (
            "AddTagsToStream",
            json!({}),
            "ValidationException",
            "2 validation errors detected: Value null at 'tags' failed to satisfy constraint: Member must not be null; \
             Value null at 'streamName' failed to satisfy constraint: Member must not be null"
                .to_owned(),
        ),
        (
            "UntagResource",
            json!({"ResourceARN": ARN, "TagKeys": ["a", long, "b"]}),
            "ValidationException",
            format!(
                "1 validation error detected: Value '[a, {long}, b]' at 'tagKeys' failed to satisfy constraint: Member \
                 must satisfy constraint: [Member must have length less than or equal to 128, Member must have length \
                 greater than or equal to 1]"
            ),
        ),
        (
            "ListTagsForResource",
            json!({"ResourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/nobody"}),
            "ResourceNotFoundException",
            "Stream nobody under account 000000000000 not found.".to_owned(),
        ),
        (
            "ListTagsForStream",
            json!({"StreamName": "nobody"}),
            "ResourceNotFoundException",
            "Stream nobody under account 000000000000 not found.".to_owned(),
        ),
    ] {
        let refused = server.call(operation, &asked);
        assert_eq!((refused.status, refused.json()["__type"].as_str()), (400, Some(code)), "{operation} {asked}");
        assert_eq!(refused.json()["message"], text, "{operation} {asked}");
    }
    assert_eq!(tags(&server), owned(&[]));
}

#[test]
fn a_consumer_has_tags_of_its_own() {
    says_same("the second three on those of a consumer, too");
    let server = Server::start();
    server.stream("tagged", 1);
    let register = json!({"StreamARN": ARN, "ConsumerName": "reader", "Tags": {"a": "1"}});
    let arn = server.ok("RegisterStreamConsumer", &register)["Consumer"]["ConsumerARN"].clone();
    server.ok("TagResource", &json!({"ResourceARN": arn, "Tags": {"b": "2", "c": "3"}}));
    server.ok("UntagResource", &json!({"ResourceARN": arn, "TagKeys": ["a", "c"]}));
    let listed = server.ok("ListTagsForResource", &json!({"ResourceARN": arn}));
    assert_eq!(listed, json!({"Tags": [{"Key": "b", "Value": "2"}]}));
    assert_eq!(tags(&server), owned(&[]), "the stream's are others");
    let nobody = json!({"ResourceARN": format!("{ARN}/consumer/nobody:1606300000")});
    let missing = server.call("ListTagsForResource", &nobody).json();
    assert_eq!(missing["__type"], "ResourceNotFoundException");
    let reserved = server.call("TagResource", &json!({"ResourceARN": arn, "Tags": {"aws:x": ""}})).json();
    assert_eq!(reserved["__type"], "InvalidArgumentException");
}
