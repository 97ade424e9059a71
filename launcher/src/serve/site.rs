//! Keeping pages of other sites away: a browser sends what a page tells it to, also to servers that only this machine reaches.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether a page of another site asks, which browsers tell. Extensions are no sites.
pub fn is_cross_site(headers: &HeaderMap) -> bool {
    let Some(origin) = text(headers, header::ORIGIN) else {
        return is_followed(headers);
    };
    let site = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    match site {
        Some(site) => Some(site) != text(headers, header::HOST),
        // A page in a sandbox, or from a file.
        None => origin == "null",
    }
}

/// Whether a link or picture of another site's page leads here: such requests have no origin.
fn is_followed(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site").and_then(|value| value.to_str().ok()) {
        Some(site) => site == "cross-site" || site == "same-site",
        // Browsers before 2023.
        None => text(headers, header::REFERER).is_some_and(|page| {
            let place = page.split_once("://").map_or("", |(_, rest)| rest);
            place.split(['/', '?', '#']).next() != text(headers, header::HOST)
        }),
    }
}

/// Whether the name by which the server was called is its own: a page whose name was made to mean this machine calls it by that name.
fn is_own_name(headers: &HeaderMap) -> bool {
    let Some(host) = text(headers, header::HOST) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

/// Lets requests pass that no foreign page can have sent. With tokens any name will do: a page does not know them.
pub async fn check(State(has_tokens): State<bool>, request: Request, next: Next) -> Response {
    if is_cross_site(request.headers()) {
        let detail = "pages of other sites may not do this";
        return Problem::new(StatusCode::FORBIDDEN, "cross_site", detail).into_response();
    }
    if !has_tokens && !is_own_name(request.headers()) {
        let detail = "call the server by its address or as localhost, or give it --token-file";
        return Problem::new(StatusCode::FORBIDDEN, "foreign_name", detail).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |&(name, value): &(&'static str, &'static str)| {
            (
                header::HeaderName::from_static(name),
                header::HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(header).collect()
    }

    #[test]
    fn other_sites_are_told_by_their_origin() {
        let host = ("host", "127.0.0.1:8080");
        assert!(!is_cross_site(&headers(&[host])));
        for (origin, cross) in [
            ("http://127.0.0.1:8080", false),
            ("chrome-extension://abcdef", false),
            ("moz-extension://abcdef", false),
            ("http://127.0.0.1:8081", true),
            ("https://example.com", true),
            ("http://127.0.0.1:8080.example.com", true),
            ("null", true),
        ] {
            assert_eq!(is_cross_site(&headers(&[host, ("origin", origin)])), cross, "{origin}");
        }
    }

    #[test]
    fn names_that_a_page_may_have_are_not_ours() {
        for (host, own) in [
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("192.168.1.7", true),
            ("evil.example:8080", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_own_name(&headers(&[("host", host)])), own, "{host}");
        }
        assert!(!is_own_name(&headers(&[])));
    }
}
