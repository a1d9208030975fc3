//! A resource policy: who of other accounts may do what to a stream or a consumer.
//!
//! Parsed once, when it is put and when a front end takes over its configuration; judged for each call of another account.
//! It knows accounts and actions, no request and no stream. An explicit denial beats every permission; what no statement
//! allows is refused. Conditions are not judged: a statement with one is refused when it is put.

use serde::Deserialize;
use weir_core::{
    id::AccountId,
    limits::{POLICY_BYTES_MAX, POLICY_STATEMENTS_MAX},
};

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
    /// It is no JSON, or not of a policy's form.
    #[error("This policy contains invalid Json: {0}")]
    Malformed(String),
    /// It has more statements than one may have, or none.
    #[error("Policy must have 1 to {POLICY_STATEMENTS_MAX} statements.")]
    Statements,
    /// The version of the policy language.
    #[error("Policy has an invalid version: {0:?}.")]
    Version(String),
    /// An effect other than the two.
    #[error("Policy statement has an invalid effect: {0:?}.")]
    Effect(String),
    /// A statement for nobody, or for somebody that is no account.
    #[error("Policy statement has an invalid principal: {0:?}.")]
    Principal(String),
    /// An action of another service, or none.
    #[error("Policy statement has an invalid action: {0:?}.")]
    Action(String),
    /// A resource that is another one.
    #[error("Policy statement has a resource that is not the one that the policy is attached to: {0:?}.")]
    Resource(String),
    /// A condition: nothing here could judge it.
    #[error("Policy statement has a condition, which is not supported.")]
    Condition,
}

impl Policy {
    /// Checks a document that is attached to the resource of this ARN.
    pub(crate) fn parse(document: &str, resource_arn: &str) -> Result<Self, PolicyError> {
        if document.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLong);
        }
        let raw: RawPolicy =
            serde_json::from_str(document).map_err(|error| PolicyError::Malformed(error.to_string()))?;
        if let Some(version) =
            raw.version.filter(|version| version != "2012-10-17" && version != "2008-10-17")
        {
            return Err(PolicyError::Version(version));
        }
        let statements = raw.statement.into_vec();
        if statements.is_empty() || statements.len() > POLICY_STATEMENTS_MAX {
            return Err(PolicyError::Statements);
        }
        let statements = statements.into_iter().map(|raw| Statement::check(raw, resource_arn));
        Ok(Self { statements: statements.collect::<Result<_, _>>()? })
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
    fn check(raw: RawStatement, resource_arn: &str) -> Result<Self, PolicyError> {
        if raw.condition.is_some() {
            return Err(PolicyError::Condition);
        }
        let allows = match raw.effect.as_str() {
            "Allow" => true,
            "Deny" => false,
            _ => return Err(PolicyError::Effect(raw.effect)),
        };
        let (actions, actions_excepted) = match (raw.action, raw.not_action) {
            (Some(actions), None) => (actions, false),
            (None, Some(actions)) => (actions, true),
            _ => return Err(PolicyError::Action("Action".to_owned())),
        };
        let actions = actions.into_vec().into_iter().map(action_pattern).collect::<Result<Vec<_>, _>>()?;
        if actions.is_empty() {
            return Err(PolicyError::Action("Action".to_owned()));
        }
        let resources = raw.resource.map_or_else(Vec::new, OneOrMany::into_vec);
        if let Some(other) = resources.into_iter().find(|pattern| !matches(pattern, resource_arn, false)) {
            return Err(PolicyError::Resource(other));
        }
        Ok(Self { allows, principals: principals(raw.principal)?, actions, actions_excepted })
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

/// The part of an action that names an operation.
fn action_pattern(action: String) -> Result<String, PolicyError> {
    if action == "*" {
        return Ok(action);
    }
    match action.split_once(':') {
        Some((service, name)) if service.eq_ignore_ascii_case(SERVICE) && !name.is_empty() => {
            Ok(name.to_owned())
        }
        _ => Err(PolicyError::Action(action)),
    }
}

fn principals(raw: RawPrincipal) -> Result<Principals, PolicyError> {
    let texts = match raw {
        RawPrincipal::Text(text) => vec![text],
        RawPrincipal::Kinds(kinds) => kinds.aws.into_vec(),
    };
    if texts.iter().any(|text| text == "*") {
        return Ok(Principals::Everybody);
    }
    let accounts = texts.into_iter().map(|text| account_of(&text).ok_or(PolicyError::Principal(text)));
    let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
    if accounts.is_empty() {
        return Err(PolicyError::Principal("AWS".to_owned()));
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

/// A policy as it is written. Members that nobody knows are refused: one that was meant to restrict must not be lost.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawPolicy {
    version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMany<RawStatement>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawStatement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: String,
    principal: RawPrincipal,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    condition: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawPrincipal {
    Text(String),
    Kinds(RawPrincipals),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrincipals {
    #[serde(rename = "AWS")]
    aws: OneOrMany<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
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
            parse(statement)
        };
        assert!(matches!(Policy::parse("no json", ARN), Err(PolicyError::Malformed(_))));
        assert!(matches!(Policy::parse("{}", ARN), Err(PolicyError::Malformed(_))));
        assert_eq!(parse(json!([])), Err(PolicyError::Statements));
        assert_eq!(with("Effect", json!("allow")), Err(PolicyError::Effect("allow".into())));
        assert_eq!(with("Condition", json!({})), Err(PolicyError::Condition));
        assert!(matches!(with("Surprise", json!(1)), Err(PolicyError::Malformed(_))));
        assert!(matches!(
            with("Principal", json!({"Service": "lambda.amazonaws.com"})),
            Err(PolicyError::Malformed(_))
        ));
        for nobody in
            ["7", "arn:aws:iam::7:root", "arn:aws:s3::000000000007:root", "arn:aws:iam::000000000007:user/"]
        {
            assert_eq!(with("Principal", json!({"AWS": nobody})), Err(PolicyError::Principal(nobody.into())));
        }
        for action in ["s3:GetObject", "PutRecord", "kinesis:"] {
            assert_eq!(with("Action", json!(action)), Err(PolicyError::Action(action.into())));
        }
        let other = "arn:aws:kinesis:us-east-1:000000000000:stream/t";
        assert_eq!(with("Resource", json!(other)), Err(PolicyError::Resource(other.into())));
        assert!(with("Resource", json!("arn:aws:kinesis:*:stream/*")).is_ok());
        let version =
            json!({"Version": "2020-01-01", "Statement": allow(json!("*"), json!("*"))}).to_string();
        assert_eq!(Policy::parse(&version, ARN), Err(PolicyError::Version("2020-01-01".into())));
        let long = format!("{{\"Statement\":[]}}{}", " ".repeat(POLICY_BYTES_MAX));
        assert_eq!(Policy::parse(&long, ARN), Err(PolicyError::TooLong));
    }
}
