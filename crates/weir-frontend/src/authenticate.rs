//! The first gate: who sends this request?
//!
//! Every request of the API passes here before its body is looked at. With credentials configured the signature must
//! hold; without, it must have form. Passing yields [`Authenticated`], which nothing else can make.

use http::request::Parts;
use weir_core::{
    clock::WallMs,
    id::{AccountId, Region, TenantName},
};
use weir_wire::sigv4::{BodyHash, Presented, SERVICE, SignatureError};

use crate::request_config::RequestConfig;

/// Who sends a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// Whose streams it means.
    pub(crate) account: AccountId,
    /// Where: the region that the request was signed for.
    pub(crate) region: Region,
    /// Whose share of the server it uses.
    pub(crate) tenant: TenantName,
}

/// The caller is known. What comes after it takes this and nothing less.
#[derive(Debug)]
pub(crate) struct Authenticated {
    caller: Caller,
}

impl Authenticated {
    /// Who it is.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// Reads the request's proof and checks it as far as this server has credentials to check it with. A body whose
/// [`BodyHash`] the listener took while it arrived is not hashed again.
pub(crate) fn authenticate(
    config: &RequestConfig,
    head: &Parts,
    body: &[u8],
    now: WallMs,
) -> Result<Authenticated, SignatureError> {
    let presented = Presented::read(head)?;
    let caller = match &config.credentials {
        None => unchecked_caller(presented.access_key(), presented.region()?),
        Some(table) => {
            let known = table.get(presented.access_key()).ok_or(SignatureError::UnknownKey)?;
            let hash = || head.extensions.get().copied().unwrap_or_else(|| BodyHash::of(body));
            presented.check(head, hash, &known.secret_key, SERVICE, now, &table.keys)?;
            presented.check_token(head, known.session_token.as_deref())?;
            Caller { account: known.account, region: presented.region()?, tenant: known.tenant.clone() }
        }
    };
    Ok(Authenticated { caller })
}

/// Will [`authenticate`] ask for the hash of this request's body? Not where nothing is checked, nor where the head is
/// refused: no body is hashed for a caller who is refused without it.
pub(crate) fn wants_body_hash(config: &RequestConfig, head: &Parts, now: WallMs) -> bool {
    config.credentials.as_ref().is_some_and(|table| {
        Presented::read(head).is_ok_and(|presented| {
            table.get(presented.access_key()).is_some() && presented.check_head(head, SERVICE, now).is_ok()
        })
    })
}

/// Without credentials an access key speaks for the default account, and one of twelve digits for the account of that
/// number, so that tests can use several accounts without a set-up. The key is its own tenant.
fn unchecked_caller(access_key: &str, region: Region) -> Caller {
    let account = access_key.parse().unwrap_or(AccountId::DEFAULT);
    Caller { account, region, tenant: TenantName::new(access_key) }
}

#[cfg(test)]
pub(crate) mod tests {
    use http::Request;
    use weir_wire::{
        control::{Credential, SharedConfig},
        sigv4::{Identity, Signer, ToSign},
    };

    use super::*;

    const NOW: WallMs = WallMs(1_606_300_000_000);

    pub(crate) fn shared(credentials: Vec<Credential>) -> SharedConfig {
        SharedConfig { credentials, ..SharedConfig::new("5a".repeat(32)) }
    }

    fn config(credentials: Vec<Credential>) -> RequestConfig {
        RequestConfig::new(&shared(credentials)).unwrap()
    }

    fn known() -> Vec<Credential> {
        vec![Credential {
            access_key: "AKID".into(),
            secret_key: "secret".into(),
            session_token: None,
            account: AccountId::new(42).unwrap(),
            tenant: TenantName::new("team"),
        }]
    }

    fn signed_by(access_key: &str, secret_key: &str) -> Parts {
        let identity =
            Identity { access_key: access_key.into(), secret_key: secret_key.into(), session_token: None };
        let to_sign = ToSign { method: "POST", path: "/", query: "", headers: &[("host", "h")], body: b"{}" };
        let signed = Signer::new(identity, "us-east-1").sign(&to_sign, NOW);
        let mut request = Request::post("/").header("host", "h");
        for (name, value) in signed.pairs() {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_known_key_speaks_for_its_account_and_an_unknown_one_for_nobody() {
        let config = config(known());
        let passed = authenticate(&config, &signed_by("AKID", "secret"), b"{}", NOW).unwrap();
        assert_eq!(passed.caller().account.to_string(), "000000000042");
        assert_eq!(passed.caller().tenant, TenantName::new("team"));

        let unknown = authenticate(&config, &signed_by("OTHER", "secret"), b"{}", NOW);
        assert_eq!(unknown.unwrap_err(), SignatureError::UnknownKey);
        let wrong = authenticate(&config, &signed_by("AKID", "guess"), b"{}", NOW);
        assert!(matches!(wrong, Err(SignatureError::Invalid(_))));
        let changed = authenticate(&config, &signed_by("AKID", "secret"), b"{ }", NOW);
        assert!(matches!(changed, Err(SignatureError::Invalid(_))));
    }

    #[test]
    fn a_hash_that_the_listener_took_is_the_bodys() {
        let config = config(known());
        let mut head = signed_by("AKID", "secret");
        assert!(wants_body_hash(&config, &head, NOW));
        head.extensions.insert(BodyHash::of(b"{}"));
        authenticate(&config, &head, b"{}", NOW).unwrap();
        head.extensions.insert(BodyHash::of(b"{ }"));
        let changed = authenticate(&config, &head, b"{}", NOW);
        assert!(matches!(changed, Err(SignatureError::Invalid(_))));
    }

    #[test]
    fn no_hash_is_wanted_for_whom_the_head_refuses_nor_where_nothing_is_checked() {
        let head = signed_by("AKID", "secret");
        assert!(!wants_body_hash(&config(vec![]), &head, NOW));
        assert!(!wants_body_hash(&config(known()), &head, WallMs(NOW.0 + 3_600_000)), "it is too old");
        assert!(!wants_body_hash(&config(known()), &signed_by("OTHER", "secret"), NOW));
        let unsigned = Request::post("/").body(()).unwrap().into_parts().0;
        assert!(!wants_body_hash(&config(known()), &unsigned, NOW));
    }

    #[test]
    fn a_temporary_key_speaks_only_with_its_token() {
        let mut temporary = known();
        temporary[0].session_token = Some("token".into());
        let outcome = authenticate(&config(temporary), &signed_by("AKID", "secret"), b"{}", NOW);
        assert_eq!(outcome.unwrap_err(), SignatureError::UnknownKey);
    }

    #[test]
    fn without_credentials_form_is_enough_and_a_number_is_an_account() {
        let config = config(vec![]);
        let any = authenticate(&config, &signed_by("test", "x"), b"other", WallMs(0)).unwrap();
        assert_eq!(any.caller().account, AccountId::DEFAULT);
        assert_eq!(any.caller().tenant, TenantName::new("test"));
        let number = authenticate(&config, &signed_by("000000000007", "x"), b"", NOW).unwrap();
        assert_eq!(number.caller().account, AccountId::new(7).unwrap());

        let none = Request::post("/").body(()).unwrap().into_parts().0;
        assert_eq!(authenticate(&config, &none, b"", NOW).unwrap_err(), SignatureError::Missing);
    }
}
