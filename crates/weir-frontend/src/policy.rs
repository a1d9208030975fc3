//! A resource policy: who of other accounts may do what to a stream or a consumer.
//!
//! Parsed once, when it is put and when a front end takes over its configuration; judged for each call of another account.
//! It knows accounts and actions, no request and no stream. An explicit denial beats every permission; what no statement
//! allows is refused. Conditions are not judged: a statement with one is refused when it is put. Its form is read in
//! `policy/document.rs`.

mod document;

use weir_core::{
    id::AccountId,
    limits::{POLICY_BYTES_MAX, POLICY_STATEMENTS_MAX},
};
use weir_wire::kinesis::operation::{Operation, UNSUPPORTED};

pub use self::document::Place;
use self::document::{Document, WrittenStatement};

/// The service before the colon of an action.
const SERVICE: &str = "kinesis";

/// A policy that holds together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Statement {
    allows: bool,
    principals: Principals,
    /// Patterns of an action's name: `*` is any text, `?` any character; compared without case.
    actions: Vec<String>,
    /// The actions are those that are meant, or all others are.
    actions_excepted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Principals {
    Everybody,
    Accounts(Vec<AccountId>),
}

/// Why a document is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// It is too long.
    #[error("Policy must be at most {POLICY_BYTES_MAX} bytes long.")]
    TooLong,
    /// It is no JSON.
    #[error("This policy contains invalid Json: {0}")]
    Malformed(String),
    /// It has more statements than one may have, or none.
    #[error("Policy must have 1 to {POLICY_STATEMENTS_MAX} statements.")]
    Statements,
    /// The version of the policy language.
    #[error("Policy has an invalid version: {0:?}.")]
    Version(String),
    /// Something is wrong with a part of it.
    #[error("{place} {fault}.")]
    At {
        /// With which.
        place: Place,
        /// What.
        fault: Fault,
    },
}

/// What is wrong with a policy or one of its statements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is something else.
    #[error("is no object")]
    NoObject,
    /// A member that must be there.
    #[error("has no {0}")]
    Missing(&'static str),
    /// A member that stands twice.
    #[error("has the member {0:?} twice")]
    Twice(String),
    /// A member that no policy has.
    #[error("has an unknown member: {0:?}")]
    Unknown(String),
    /// A member of another form.
    #[error("has the member {member}, which must be {form}")]
    Form {
        /// Which.
        member: &'static str,
        /// What it must be.
        form: &'static str,
    },
    /// A condition: nothing here could judge it.
    #[error("has a Condition, which is not supported")]
    Condition,
    /// All but some.
    #[error("has a NotPrincipal, which is not supported: name those that are meant in Principal")]
    NotPrincipal,
    /// Other resources.
    #[error(
        "has a NotResource, which is not supported: a policy is about the resource that it is attached to"
    )]
    NotResource,
    /// A principal that is a service or a stranger's identity.
    #[error("has a principal of the kind {0}, which is not supported: callers are accounts (AWS)")]
    PrincipalKind(String),
    /// An effect other than the two.
    #[error("has an invalid effect: {0:?}")]
    Effect(String),
    /// Somebody that is no account.
    #[error("has an invalid principal: {0:?}")]
    Principal(String),
    /// Actions that are meant and actions that are not.
    #[error("has Action and NotAction, and may have one")]
    TwoActions,
    /// An action of another service.
    #[error("has an invalid action: {0:?}")]
    Action(String),
    /// An action that is none.
    #[error("has an action that no operation of Kinesis matches: {0:?}")]
    UnknownAction(String),
    /// A resource that is another one.
    #[error("has a resource that is not the one that the policy is attached to: {0:?}")]
    Resource(String),
}

impl Policy {
    /// Checks a document that is attached to the resource of this ARN.
    pub(crate) fn parse(document: &str, resource_arn: &str) -> Result<Self, PolicyError> {
        if document.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong);
        }
        let Document { version, statements } = Document::read(document)?;
        if let Some(version) = version.filter(|version| version != "2012-10-17" && version != "2008-10-17") {
            return Err(PolicyError::Version(version));
        }
        if statements.is_empty() || statements.len() > POLICY_STATEMENTS_MAX {
            return Err(PolicyError::Statements);
        }
        let check = |written: WrittenStatement| {
            let place = written.place;
            Statement::check(written, resource_arn).map_err(|fault| place.has(fault))
        };
        Ok(Self { statements: statements.into_iter().map(check).collect::<Result<_, _>>()? })
    }

    /// May `account` call `operation`? A denial wins.
    pub(crate) fn permits(&self, account: AccountId, operation: &str) -> bool {
        let said = |allows: bool| {
            self.statements
                .iter()
                .any(|statement| statement.allows == allows && statement.is_about(account, operation))
        };
        said(true) && !said(false)
    }
}

impl Statement {
    fn check(written: WrittenStatement, resource_arn: &str) -> Result<Self, Fault> {
        let allows = match written.effect.as_str() {
            "Allow" => true,
            "Deny" => false,
            _ => return Err(Fault::Effect(written.effect)),
        };
        let actions = written.actions.into_iter().map(action_pattern).collect::<Result<Vec<_>, _>>()?;
        if actions.is_empty() {
            return Err(Fault::Missing("Action"));
        }
        let mut resources = written.resources.into_iter();
        if let Some(other) = resources.find(|pattern| !matches(pattern, resource_arn, false)) {
            return Err(Fault::Resource(other));
        }
        let actions_excepted = written.actions_excepted;
        Ok(Self { allows, principals: principals(written.principals)?, actions, actions_excepted })
    }

    fn is_about(&self, account: AccountId, operation: &str) -> bool {
        let named = self.actions.iter().any(|pattern| matches(pattern, operation, true));
        let meant = match &self.principals {
            Principals::Everybody => true,
            Principals::Accounts(accounts) => accounts.contains(&account),
        };
        meant && named != self.actions_excepted
    }
}

/// The part of an action that names an operation. One that none matches is a mistake, whether Weir serves all or not: a denial
/// of it would deny nothing.
fn action_pattern(action: String) -> Result<String, Fault> {
    if action == "*" {
        return Ok(action);
    }
    let Some((_, name)) = action.split_once(':').filter(|(service, _)| service.eq_ignore_ascii_case(SERVICE))
    else {
        return Err(Fault::Action(action));
    };
    let mut operations = Operation::ALL.iter().map(|operation| operation.name()).chain(UNSUPPORTED);
    if operations.any(|operation| matches(name, operation, true)) {
        Ok(name.to_owned())
    } else {
        Err(Fault::UnknownAction(action))
    }
}

fn principals(texts: Vec<String>) -> Result<Principals, Fault> {
    if texts.iter().any(|text| text == "*") {
        return Ok(Principals::Everybody);
    }
    let accounts = texts.into_iter().map(|text| account_of(&text).ok_or(Fault::Principal(text)));
    let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
    if accounts.is_empty() {
        return Err(Fault::Missing("Principal"));
    }
    Ok(Principals::Accounts(accounts))
}

/// An account's id, or the ARN of its root or of a user or role in it: Weir's callers are accounts, so that who names one
/// of its users means the account.
fn account_of(principal: &str) -> Option<AccountId> {
    if let Ok(account) = principal.parse() {
        return Some(account);
    }
    let fields: Vec<&str> = principal.splitn(6, ':').collect();
    let [arn, partition, service, "", account, who] = fields[..] else { return None };
    let formed = arn == "arn" && partition.starts_with("aws") && matches!(service, "iam" | "sts");
    let named = who == "root"
        || ["user/", "role/", "assumed-role/"]
            .into_iter()
            .any(|kind| who.len() > kind.len() && who.starts_with(kind));
    account.parse().ok().filter(|_| formed && named)
}

/// Does the whole text have the pattern's form? Linear in both for each `*`: only the last one is gone back to.
fn matches(pattern: &str, text: &str, ignore_case: bool) -> bool {
    let same = |pattern: u8, byte: u8| {
        pattern == b'?' || pattern == byte || ignore_case && pattern.eq_ignore_ascii_case(&byte)
    };
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut read, mut star) = (0, 0, None);
    while read < text.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, read));
            at += 1;
        } else if pattern.get(at).is_some_and(|&byte| same(byte, text[read])) {
            at += 1;
            read += 1;
        } else if let Some((star_at, taken)) = star {
            star = Some((star_at, taken + 1));
            (at, read) = (star_at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/s";

    fn account(number: u64) -> AccountId {
        AccountId::new(number).unwrap()
    }

    fn parse(statements: Value) -> Result<Policy, PolicyError> {
        Policy::parse(&json!({"Version": "2012-10-17", "Statement": statements}).to_string(), ARN)
    }

    fn allow(principal: Value, action: Value) -> Value {
        json!({"Effect": "Allow", "Principal": principal, "Action": action, "Resource": ARN})
    }

    #[test]
    fn an_account_is_named_in_every_form() {
        for (principal, others) in [
            (json!({"AWS": "000000000007"}), false),
            (json!({"AWS": ["000000000009", "arn:aws:iam::000000000007:root"]}), false),
            (json!({"AWS": "arn:aws:iam::000000000007:user/team/ann"}), false),
            (json!({"AWS": "*"}), true),
            (json!("*"), true),
        ] {
            let policy = parse(allow(principal.clone(), json!("kinesis:PutRecord"))).unwrap();
            assert!(policy.permits(account(7), "PutRecord"), "{principal}");
            assert!(!policy.permits(account(7), "PutRecords"), "{principal}");
            assert_eq!(policy.permits(account(8), "PutRecord"), others, "{principal}");
        }
    }

    #[test]
    fn actions_have_wildcards_and_no_case() {
        for (action, put_record, put_records) in [
            (json!("*"), true, true),
            (json!("kinesis:*"), true, true),
            (json!("kinesis:Put*"), true, true),
            (json!("kinesis:Put*s"), false, true),
            (json!("KINESIS:putrecord?"), false, true),
            (json!(["kinesis:Get*", "kinesis:PutRecord"]), true, false),
            (json!("kinesis:*Rec*d"), true, false),
        ] {
            let policy = parse(allow(json!("*"), action.clone())).unwrap();
            let permits = |operation| policy.permits(account(7), operation);
            assert_eq!((permits("PutRecord"), permits("PutRecords")), (put_record, put_records), "{action}");
        }
    }

    #[test]
    fn a_denial_wins_wherever_it_stands() {
        let allow = allow(json!("*"), json!("kinesis:*"));
        let deny = json!({"Effect": "Deny", "Principal": {"AWS": "000000000007"}, "Action": "kinesis:Put*"});
        for statements in [json!([allow, deny]), json!([deny, allow])] {
            let policy = parse(statements).unwrap();
            assert!(!policy.permits(account(7), "PutRecord"));
            assert!(policy.permits(account(7), "GetRecords"));
            assert!(policy.permits(account(8), "PutRecord"));
        }
        let all_but = json!({"Effect": "Allow", "Principal": "*", "NotAction": "kinesis:Put*"});
        let policy = parse(all_but).unwrap();
        assert!(policy.permits(account(7), "GetRecords") && !policy.permits(account(7), "PutRecord"));
        assert!(
            !parse(deny).unwrap().permits(account(8), "PutRecord"),
            "nobody is allowed by what denies another"
        );
    }

    #[test]
    fn what_is_no_policy_is_refused_with_its_fault() {
        let with = |name: &str, value: Value| {
            let mut statement = allow(json!("*"), json!("kinesis:*"));
            statement[name] = value;
            parse(json!([allow(json!("*"), json!("*")), statement])).unwrap_err().to_string()
        };
        let other = "arn:aws:kinesis:us-east-1:000000000000:stream/t";
        for (member, value, told) in [
            ("Effect", json!("allow"), "has an invalid effect: \"allow\""),
            ("Effect", json!(1), "has the member Effect, which must be a text"),
            ("Condition", json!({}), "has a Condition, which is not supported"),
            ("NotPrincipal", json!("*"), "has a NotPrincipal, which is not supported: name those"),
            ("NotResource", json!(other), "has a NotResource, which is not supported: a policy is about"),
            ("Surprise", json!(1), "has an unknown member: \"Surprise\""),
            (
                "Principal",
                json!({"Service": "s3.amazonaws.com"}),
                "has a principal of the kind Service, which",
            ),
            (
                "Principal",
                json!({"AWS": "*", "Federated": "f"}),
                "has a principal of the kind Federated, which",
            ),
            ("Principal", json!({"Surprise": "*"}), "has an unknown member: \"Surprise\""),
            ("Principal", json!({"AWS": [1]}), "has the member AWS, which must be a text or a list of texts"),
            ("Principal", json!({}), "has no Principal"),
            ("Principal", json!({"AWS": []}), "has no Principal"),
            ("Principal", json!(["*"]), "has the member Principal, which must be \"*\" or an object"),
            (
                "Action",
                json!("kinesis:Foo"),
                "has an action that no operation of Kinesis matches: \"kinesis:Foo\"",
            ),
            ("Action", json!("kinesis:"), "has an action that no operation of Kinesis matches: \"kinesis:\""),
            ("Action", json!("kinesis:Foo*"), "has an action that no operation of Kinesis matches"),
            ("Action", json!([]), "has no Action"),
            ("NotAction", json!("kinesis:*"), "has Action and NotAction, and may have one"),
            ("Resource", json!(other), "has a resource that is not the one that the policy is attached to"),
        ] {
            let fault = with(member, value.clone());
            assert!(fault.starts_with(&format!("Policy statement 2 {told}")), "{member} {value}: {fault}");
        }
        for nobody in
            ["7", "arn:aws:iam::7:root", "arn:aws:s3::000000000007:root", "arn:aws:iam::000000000007:user/"]
        {
            let fault = with("Principal", json!({"AWS": nobody}));
            assert_eq!(fault, format!("Policy statement 2 has an invalid principal: {nobody:?}."));
        }
        for action in ["s3:GetObject", "PutRecord"] {
            let fault = with("Action", json!(action));
            assert_eq!(fault, format!("Policy statement 2 has an invalid action: {action:?}."));
        }
    }

    #[test]
    fn a_document_of_another_form_is_refused_with_its_fault() {
        let told = |document: &str| Policy::parse(document, ARN).unwrap_err().to_string();
        assert!(told("no json").starts_with("This policy contains invalid Json: expected"));
        assert_eq!(told("[]"), "Policy is no object.");
        assert_eq!(told("{}"), "Policy has no Statement.");
        assert_eq!(
            told(r#"{"Statement": [], "Surprise": 1}"#),
            "Policy has an unknown member: \"Surprise\"."
        );
        assert_eq!(told(r#"{"Statement": [3]}"#), "Policy statement 1 is no object.");
        let twice = r#"{"Statement": {"Effect": "Allow", "Effect": "Deny"}}"#;
        assert_eq!(told(twice), "Policy statement 1 has the member \"Effect\" twice.");
        assert_eq!(parse(json!([])), Err(PolicyError::Statements));
        let version =
            json!({"Version": "2020-01-01", "Statement": allow(json!("*"), json!("*"))}).to_string();
        assert_eq!(Policy::parse(&version, ARN), Err(PolicyError::Version("2020-01-01".into())));
        let long = format!("{{\"Statement\":[]}}{}", " ".repeat(POLICY_BYTES_MAX));
        assert_eq!(Policy::parse(&long, ARN), Err(PolicyError::TooLong));
        let mut here = allow(json!("*"), json!("kinesis:ListQueues"));
        here["Resource"] = json!("arn:aws:kinesis:*:stream/*");
        assert!(parse(here).is_ok(), "also of what Weir does not serve");
    }
}
