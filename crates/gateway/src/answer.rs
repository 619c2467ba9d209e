//! What the gateway answers itself. The text tells nothing of what is behind it.

use crate::forward::AnswerBody;
use crate::hooks::{Hooks, Page, RefusedRequest};
use crate::refusal::{Refusal, Why};
use crate::tenants::Reply;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use std::time::Duration;

/// How long the user's function may take for a page.
const PAGE_DEADLINE: Duration = Duration::from_secs(1);

/// What an answer to `CONNECT` says that can be asked for instead.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The answer to a request that is refused.
pub async fn refused<H: Hooks>(
    refusal: &Refusal,
    key: Option<&str>,
    hooks: Option<&H>,
) -> Response<AnswerBody> {
    let page = match hooks {
        Some(hooks) => {
            let request = RefusedRequest { refusal: refusal.clone(), key: key.map(str::to_owned) };
            tokio::time::timeout(PAGE_DEADLINE, hooks.page(request)).await.ok().flatten()
        }
        None => None,
    };
    let status = refusal.http_status();
    let mut response = match page {
        Some(page) => of_page(page),
        None => {
            let mut response = Response::new(AnswerBody::full(Bytes::from(text(status))));
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, html);
            response
        }
    };
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Some(seconds) = refusal.retry_after_seconds() {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(http::header::ALLOW, HeaderValue::from_static(METHODS));
    }
    response
}

/// The answer that leads to the slash at the end of a tenant's root.
pub fn redirect(path: &str, query: Option<&str>) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::full(Bytes::new()));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let location = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// The answer to another host's question.
pub fn reply(reply: Reply) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::full(Bytes::from(reply.body)));
    let status = StatusCode::from_u16(reply.status);
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.fields {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// What a client is told that speaks HTTP in clear where TLS is spoken. Its own words are not in it.
const UNENCRYPTED: &str = "This port speaks TLS: ask https:// in place of http://\n";

/// The whole answer of HTTP/1 to what never became a request.
pub fn bare(refusal: &Refusal) -> Bytes {
    let status = refusal.http_status();
    let (kind, body) = match refusal.why {
        Why::Unencrypted => ("text/plain", UNENCRYPTED.to_owned()),
        _ => ("text/html", text(status)),
    };
    let allow = match status {
        StatusCode::METHOD_NOT_ALLOWED => format!("allow: {METHODS}\r\n"),
        _ => String::new(),
    };
    let head = format!(
        "HTTP/1.1 {} {}\r\n{allow}content-type: {kind}; charset=utf-8\r\ncache-control: no-store\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or(""),
        body.len()
    );
    Bytes::from(head + &body)
}

fn of_page(page: Page) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::full(page.body));
    for (name, value) in page.headers {
        // The checks are where the page comes from; what ends the answer is not the page's to say.
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value))
            && name != CONTENT_LENGTH
        {
            response.headers_mut().append(name, value);
        }
    }
    crate::headers::take_off_hop_fields(response.headers_mut());
    response
}

fn text(status: StatusCode) -> String {
    let reason = status.canonical_reason().unwrap_or("Error");
    let hint = match status.as_u16() {
        404 => "There is nothing here.",
        408 => "The request took too long.",
        413 => "The request is too large.",
        429 | 503 => "Try again in a moment.",
        502 => "The application broke off. Try again in a moment.",
        504 => "The application did not start in time. Try again in a moment.",
        _ => "The request cannot be served.",
    };
    let code = status.as_u16();
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{code} {reason}</title>\n\
         <body style=\"font:16px/1.5 system-ui,sans-serif;max-width:32em;margin:20vh auto;\
         padding:0 1em\">\n<h1>{code} {reason}</h1>\n<p>{hint}</p>\n</body></html>\n"
    )
}
