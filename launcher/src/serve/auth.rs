//! Who may do what: bearer tokens (RFC 6750) with scopes, from a file.
//!
//! A line of the file is scopes with commas between them, a blank, and a token or its SHA-256 as `sha256:` and 64 digits. `#` begins a comment.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::exit::{Exit, Failure};
use crate::spec::read::io_reason;

/// Shorter tokens can be guessed.
const SHORTEST: usize = 20;
/// A file of tokens is no larger.
const MOST_BYTES: u64 = 1 << 20;

/// What a request wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Have pictures read, look at what there is.
    Read,
    /// Change something.
    Control,
    /// Numbers for those who watch the server.
    Metrics,
    /// All of it.
    Admin,
}

impl Scope {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Read, "read"),
        (Self::Control, "control"),
        (Self::Metrics, "metrics"),
        (Self::Admin, "admin"),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(scope, _)| *scope == self)
            .map_or("", |(_, name)| name)
    }
}

type Hash = [u8; 32];

#[derive(Debug)]
struct Token {
    hash: Hash,
    scopes: Vec<Scope>,
}

/// The tokens. None: everybody may do everything.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Option<Arc<[Token]>>);

/// Line of a file, and what is wrong with it.
type Fault = (usize, String);

impl Tokens {
    /// # Errors
    /// A file that cannot be read, that others than its owner may read, or with a line that is not understood.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failure = |what: String| Failure::new(Exit::Config, format!("the tokens in {} {what}", path.display()));
        let cannot = |error: std::io::Error| failure(format!("cannot be read: {}", io_reason(&error)));
        let about = std::fs::metadata(path).map_err(cannot)?;
        if !about.is_file() || about.len() > MOST_BYTES {
            return Err(failure("are no file of a sensible size".to_owned()));
        }
        if about.mode() & 0o077 != 0 {
            return Err(failure("can be read by others".to_owned()).hint(format!("run: chmod 600 {}", path.display())));
        }
        let text = std::fs::read_to_string(path).map_err(cannot)?;
        let tokens = parse(&text).map_err(|(line, what)| failure(format!("have a fault in line {line}: {what}")))?;
        if tokens.is_empty() {
            return Err(failure("are none".to_owned()).hint("write a line such as: read,control TOKEN"));
        }
        Ok(Self(Some(tokens.into())))
    }

    pub fn are_there(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a request with this `Authorization` may do it.
    fn check(&self, given: Option<&HeaderValue>, scope: Scope) -> Result<(), Problem> {
        let Some(tokens) = &self.0 else { return Ok(()) };
        let given = given.and_then(|value| value.to_str().ok());
        let token = given.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let Some(token) = token else {
            let detail = "send a token: Authorization: Bearer TOKEN";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "no_token", detail));
        };
        // All are compared, and hashes of what was sent tell nothing of how much was right.
        let hash = Sha256::digest(token.as_bytes());
        let mut scopes = None;
        for known in tokens.iter() {
            if known.hash[..] == hash[..] {
                scopes = Some(&known.scopes);
            }
        }
        let Some(scopes) = scopes else {
            let detail = "the token is not known";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong_token", detail));
        };
        if scopes.contains(&scope) || scopes.contains(&Scope::Admin) {
            return Ok(());
        }
        let detail = format!("the token lacks the scope {}", scope.name());
        Err(Problem::new(StatusCode::FORBIDDEN, "lacks_scope", detail))
    }
}

fn parse(text: &str) -> Result<Vec<Token>, Fault> {
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The line itself may hold a token, and is not told.
        let fault = |what: &str| (number, what.to_owned());
        let (scopes, token) = line
            .split_once(char::is_whitespace)
            .ok_or_else(|| fault("expected scopes, a blank and a token"))?;
        let scope = |name: &str| {
            let found = Scope::ALL.iter().find(|(_, known)| *known == name);
            found.map(|(scope, _)| *scope)
        };
        let scopes: Option<Vec<_>> = scopes.split(',').map(scope).collect();
        let scopes = scopes.ok_or_else(|| fault("scopes are read, control, metrics and admin"))?;
        let token = token.trim();
        let hash = match token.strip_prefix("sha256:") {
            Some(digits) => unhex(digits).ok_or_else(|| fault("a SHA-256 has 64 hexadecimal digits"))?,
            None if token.len() < SHORTEST => {
                return Err(fault(&format!("a token has at least {SHORTEST} characters")));
            }
            None => Sha256::digest(token.as_bytes()).into(),
        };
        all.push(Token { hash, scopes });
    }
    Ok(all)
}

fn unhex(digits: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(hash)
}

/// Lets requests pass that may do this.
pub async fn check(State((tokens, scope)): State<(Tokens, Scope)>, request: Request, next: Next) -> Response {
    match tokens.check(request.headers().get(header::AUTHORIZATION), scope) {
        Ok(()) => next.run(request).await,
        Err(problem) => {
            let mut response = problem.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                let headers = response.headers_mut();
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt;

    const TEXT: &str = "# who\nread,control correct-horse-battery\n\n  admin   sha256:6ca13d52ca70c883e0f0bb101e425a89e8624de51db2d2392593af6a84118090\n";

    fn tokens() -> Tokens {
        Tokens(Some(parse(TEXT).unwrap().into()))
    }

    fn ask(header: Option<&str>, scope: Scope) -> Result<(), &'static str> {
        let value = header.map(|text| HeaderValue::from_str(text).unwrap());
        tokens().check(value.as_ref(), scope).map_err(|problem| problem.code)
    }

    #[test]
    fn a_token_may_do_what_its_scopes_say() {
        let read = Some("Bearer correct-horse-battery");
        assert_eq!(ask(read, Scope::Read), Ok(()));
        assert_eq!(ask(Some("bearer  correct-horse-battery "), Scope::Control), Ok(()));
        assert_eq!(ask(read, Scope::Metrics), Err("lacks_scope"));
        // The hash of "abc123".
        assert_eq!(ask(Some("Bearer abc123"), Scope::Metrics), Ok(()));
        for (header, code) in [
            (None, "no_token"),
            (Some("Basic correct-horse-battery"), "no_token"),
            (Some("correct-horse-battery"), "no_token"),
            (Some("Bearer correct-horse-batter"), "wrong_token"),
            (Some("Bearer "), "wrong_token"),
        ] {
            assert_eq!(ask(header, Scope::Read), Err(code), "{header:?}");
        }
        assert!(Tokens::default().check(None, Scope::Admin).is_ok());
    }

    #[test]
    fn faults_of_the_file_name_their_line_and_no_token() {
        for (text, what) in [
            ("read", "blank"),
            ("read,fly correct-horse-battery", "scopes"),
            ("read short-secret", "at least"),
            ("read sha256:12", "64"),
            (&format!("read sha256:{}", "g".repeat(64)), "64"),
            (&format!("read sha256:{}", "é".repeat(32)), "64"),
        ] {
            let (line, told) = parse(&format!("\n{text}")).unwrap_err();
            assert!(line == 2 && told.contains(what), "{told}");
            assert!(!told.contains("secret") && !told.contains("horse"), "{told}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        let write = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            Tokens::read(&path)
        };
        assert!(write(TEXT, 0o600).unwrap().are_there());
        let failure = write(TEXT, 0o644).unwrap_err();
        assert!(failure.exit == Exit::Config && failure.hint.is_some(), "{failure:?}");
        assert!(write("# none\n", 0o600).is_err());
        assert!(Tokens::read(&folder.path().join("nothing")).is_err());
        assert!(Tokens::read(folder.path()).is_err());
    }

    proptest! {
        #[test]
        fn no_file_panics(text in "\\PC{0,200}") {
            let _ = parse(&text);
        }
    }
}
