//! Which keys of the key management service there are: there is no such service here, so a rule says.
//!
//! A key in any form that the service knows exists, is enabled and may be used. The aliases under `alias/weir/` are reserved:
//! each stands for a key with one fault, so that a test can meet every error. Nothing here encrypts anything.

/// Aliases of which each has the fault that its name says.
const RESERVED: &str = "alias/weir/";
/// Aliases of AWS's own services: of these, one is Kinesis's.
const OF_SERVICES: &str = "alias/aws/";
/// The key that Kinesis owns.
const OF_KINESIS: &str = "alias/aws/kinesis";

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The caller may not use it.
    #[error("the key may not be used")]
    AccessDenied,
    /// It is disabled.
    #[error("the key is disabled")]
    Disabled,
    /// It is about to be deleted, or not there yet.
    #[error("the key is in another state")]
    InvalidState,
    /// There is none.
    #[error("there is no such key")]
    NotFound,
    /// The account has no subscription.
    #[error("the account has no subscription")]
    OptInRequired,
    /// It is used too often.
    #[error("the key is used too often")]
    Throttling,
}

impl KeyFault {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AccessDenied,
        Self::Disabled,
        Self::InvalidState,
        Self::NotFound,
        Self::OptInRequired,
        Self::Throttling,
    ];

    /// The alias whose key has this fault.
    pub const fn alias(self) -> &'static str {
        match self {
            Self::AccessDenied => "alias/weir/access-denied",
            Self::Disabled => "alias/weir/disabled",
            Self::InvalidState => "alias/weir/invalid-state",
            Self::NotFound => "alias/weir/not-found",
            Self::OptInRequired => "alias/weir/opt-in-required",
            Self::Throttling => "alias/weir/throttling",
        }
    }
}

/// May streams be encrypted with this key? It is named by its id, its ARN, an alias or an alias's ARN.
pub(crate) fn check_key(key_id: &str) -> Result<(), KeyFault> {
    let named = if key_id.starts_with("arn:") { resource(key_id).ok_or(KeyFault::NotFound)? } else { key_id };
    if named.starts_with(RESERVED) {
        let fault = KeyFault::ALL.into_iter().find(|fault| fault.alias() == named);
        return Err(fault.unwrap_or(KeyFault::NotFound));
    }
    let exists = match named.strip_prefix("alias/") {
        Some(_) if named.starts_with(OF_SERVICES) => named == OF_KINESIS,
        Some(name) => !name.is_empty() && name.bytes().all(is_alias_byte),
        None => is_id(named.strip_prefix("key/").filter(|_| named != key_id).unwrap_or(named)),
    };
    if exists { Ok(()) } else { Err(KeyFault::NotFound) }
}

/// What an ARN of the service names: `key/ID` or `alias/NAME`.
fn resource(arn: &str) -> Option<&str> {
    let fields: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, partition, "kms", region, account, named] = fields[..] else { return None };
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let is_kind = named.starts_with("key/") || named.starts_with("alias/");
    (partition.starts_with("aws") && !region.is_empty() && is_account && is_kind).then_some(named)
}

fn is_alias_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-')
}

/// A UUID, or the id of a key of many regions.
fn is_id(text: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.strip_prefix("mrk-") {
        Some(digits) => digits.len() == 32 && is_hex(digits),
        None => {
            let parts: Vec<&str> = text.split('-').collect();
            parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.into_iter().all(is_hex)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_any_form_exists() {
        for key in [
            "12345678-1234-1234-1234-123456789abc",
            "mrk-1234abcd12ab34cd56ef1234567890ab",
            "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789abc",
            "alias/aws/kinesis",
            "alias/Team_a/orders-1",
            "arn:aws-cn:kms:cn-north-1:123456789012:alias/orders",
        ] {
            assert_eq!(check_key(key), Ok(()), "{key}");
        }
        for key in [
            "orders",
            "12345678-1234-1234-1234-123456789ab",
            "key/12345678-1234-1234-1234-123456789abc",
            "alias/",
            "alias/a b",
            "alias/aws/s3",
            "arn:aws:s3:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789abc",
            "arn:aws:kms:us-east-1:12:alias/orders",
            "arn:aws:kms:us-east-1:123456789012:grant/orders",
            "arn:",
        ] {
            assert_eq!(check_key(key), Err(KeyFault::NotFound), "{key}");
        }
    }

    #[test]
    fn every_fault_has_an_alias() {
        for fault in KeyFault::ALL {
            assert_eq!(check_key(fault.alias()), Err(fault));
            let arn = format!("arn:aws:kms:us-east-1:123456789012:{}", fault.alias());
            assert_eq!(check_key(&arn), Err(fault));
        }
        assert_eq!(check_key("alias/weir/else"), Err(KeyFault::NotFound));
    }
}
