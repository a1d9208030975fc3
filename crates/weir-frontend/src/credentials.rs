//! Reads a credentials file in the AWS shared-credentials format, for `--credentials FILE`.
//!
//! `weir serve` and the control plane read it once at start. A profile may add `account_id` and `tenant` to the key pair.
//! An error names the file, the line and the mend; no error shows a secret.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use weir_core::id::{AccountId, TenantName};
use weir_wire::control::Credential;

/// Bytes of a credentials file: a few thousand profiles.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The keys of a profile that are read.
const KEYS_KNOWN: [&str; 5] =
    ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "account_id", "tenant"];

/// What is wrong with a credentials file.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// It could not be read.
    #[error("read credentials {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("{}:{line}: {what}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from one.
        line: usize,
        /// What is wrong and what to write instead.
        what: String,
    },
}

/// Reads every profile of the file.
pub fn read_credentials(path: &Path) -> Result<Vec<Credential>, CredentialsError> {
    let read = |source| CredentialsError::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(read)?.len();
    if bytes > FILE_BYTES_MAX {
        let text =
            format!("{bytes} bytes are more than the {FILE_BYTES_MAX} that a credentials file may have");
        return Err(read(std::io::Error::other(text)));
    }
    let text = fs::read_to_string(path).map_err(read)?;
    parse(&text).map_err(|Mistake { line, what }| CredentialsError::Line {
        path: path.to_owned(),
        line,
        what,
    })
}

/// A mistake in a line.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    line: usize,
    what: String,
}

/// A profile that is being read, and where it began.
#[derive(Debug, Default)]
struct Profile {
    name: String,
    line: usize,
    access_key: Option<String>,
    secret_key: Option<String>,
    session_token: Option<String>,
    account: Option<AccountId>,
    tenant: Option<TenantName>,
}

fn parse(text: &str) -> Result<Vec<Credential>, Mistake> {
    let mut profiles: Vec<Profile> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mistake = |what: String| Mistake { line: at + 1, what };
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') || content.starts_with(';') {
            continue;
        }
        if let Some(head) = content.strip_prefix('[') {
            let name =
                head.strip_suffix(']').map(str::trim).filter(|name| !name.is_empty()).ok_or_else(|| {
                    mistake("a profile begins with its name in brackets, as [default]".to_owned())
                })?;
            if profiles.iter().any(|profile| profile.name == name) {
                return Err(mistake(format!("there is a profile [{name}] already")));
            }
            profiles.push(Profile { name: name.to_owned(), line: at + 1, ..Profile::default() });
            continue;
        }
        let profile = profiles.last_mut().ok_or_else(|| {
            mistake("the first line must name a profile in brackets, as [default]".to_owned())
        })?;
        let (key, value) =
            content.split_once('=').ok_or_else(|| mistake("a line is key = value".to_owned()))?;
        profile.take(key.trim(), value.trim()).map_err(mistake)?;
    }
    finish(profiles)
}

impl Profile {
    /// What a profile does not need (a region, an output format) is passed over: the same file serves the SDKs.
    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        if !KEYS_KNOWN.contains(&key) {
            return Ok(());
        }
        if value.is_empty() {
            return Err(format!("{key} has no value"));
        }
        match key {
            "aws_access_key_id" => {
                if value.contains(['/', ',', ' ']) {
                    return Err(format!("{value:?} is no access key id: it has no slash, comma or space"));
                }
                self.access_key = Some(value.to_owned());
            }
            "aws_secret_access_key" => self.secret_key = Some(value.to_owned()),
            "aws_session_token" => self.session_token = Some(value.to_owned()),
            "account_id" => self.account = Some(value.parse().map_err(|error| format!("{error}"))?),
            _ => self.tenant = Some(TenantName::new(value)),
        }
        Ok(())
    }

    fn credential(self) -> Result<Credential, Mistake> {
        let missing =
            |key: &str| Mistake { line: self.line, what: format!("profile [{}] has no {key}", self.name) };
        let access_key = self.access_key.clone().ok_or_else(|| missing("aws_access_key_id"))?;
        let secret_key = self.secret_key.clone().ok_or_else(|| missing("aws_secret_access_key"))?;
        let account = self.account.unwrap_or(AccountId::DEFAULT);
        // One tenant an account unless the file says otherwise: keys of one account share its placement.
        let tenant = self.tenant.unwrap_or_else(|| TenantName::new(account.to_string()));
        Ok(Credential { access_key, secret_key, session_token: self.session_token, account, tenant })
    }
}

fn finish(profiles: Vec<Profile>) -> Result<Vec<Credential>, Mistake> {
    let mut seen = HashSet::new();
    let mut credentials = Vec::with_capacity(profiles.len());
    for profile in profiles {
        let (line, name) = (profile.line, profile.name.clone());
        let credential = profile.credential()?;
        if !seen.insert(credential.access_key.clone()) {
            let what = format!("profile [{name}] repeats the access key {}", credential.access_key);
            return Err(Mistake { line, what });
        }
        credentials.push(credential);
    }
    if credentials.is_empty() {
        return Err(Mistake { line: 1, what: "there is no profile: begin one with [default]".to_owned() });
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# the file of the SDKs\n[default]\naws_access_key_id = AKID1\naws_secret_access_key=abc/def+=\n\
                        region = us-east-1\n\n[ other ]\naws_access_key_id=AKID2\naws_secret_access_key=x\n\
                        aws_session_token = a+b/c==\naccount_id = 123456789012\ntenant = team-a\n";

    fn wrong(text: &str) -> (usize, String) {
        let Mistake { line, what } = parse(text).expect_err(text);
        (line, what)
    }

    #[test]
    fn profiles_are_read_with_what_weir_adds_to_them() {
        let read = parse(GOOD).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].access_key.as_str(), read[0].secret_key.as_str()), ("AKID1", "abc/def+="));
        assert_eq!(read[0].account, AccountId::DEFAULT);
        assert_eq!(read[0].tenant, TenantName::new("000000000000"));
        assert_eq!(
            (read[0].session_token.as_deref(), read[1].session_token.as_deref()),
            (None, Some("a+b/c=="))
        );
        assert_eq!(read[1].account.to_string(), "123456789012");
        assert_eq!(read[1].tenant, TenantName::new("team-a"));
    }

    #[test]
    fn a_mistake_is_told_with_its_line_and_its_mend() {
        assert_eq!(
            wrong("aws_access_key_id = x\n"),
            (1, "the first line must name a profile in brackets, as [default]".into())
        );
        assert_eq!(wrong("\n[p\n").0, 2);
        assert_eq!(wrong("[p]\nwhat\n"), (2, "a line is key = value".into()));
        assert_eq!(wrong("[p]\naws_access_key_id =\n"), (2, "aws_access_key_id has no value".into()));
        assert_eq!(
            wrong("[p]\naws_access_key_id=a\n"),
            (1, "profile [p] has no aws_secret_access_key".into())
        );
        assert_eq!(wrong("[p]\naccount_id = 12\n").0, 2);
        assert_eq!(wrong("[p]\naws_access_key_id = a/b\n").0, 2);
        assert_eq!(wrong("").1, "there is no profile: begin one with [default]");
        let twice = "[p]\naws_access_key_id=a\naws_secret_access_key=s\n[q]\naws_access_key_id=a\naws_secret_access_key=s\n";
        assert_eq!(wrong(twice), (4, "profile [q] repeats the access key a".into()));
        assert_eq!(wrong("[p]\n[p]\n"), (2, "there is a profile [p] already".into()));
    }

    #[test]
    fn no_mistake_shows_a_secret() {
        let text = "[p]\naws_secret_access_key = hidden\naws_access_key_id = a b\n";
        assert!(!wrong(text).1.contains("hidden"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read_credentials(Path::new("/nowhere/credentials")).unwrap_err().to_string();
        assert!(error.starts_with("read credentials /nowhere/credentials: "), "{error}");
    }
}
