//! Which tenant a request is for.

use crate::refusal::{Refusal, Why};
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::HashMap;

/// How a request's host and path lead to a key.
#[derive(Clone, Debug)]
pub enum Route {
    /// The one label before the domain is the key: `key.domain`.
    Subdomain {
        /// In lower case, without a dot at either end.
        domain: String,
    },
    /// The first segment of the path is the key: `/key/rest`.
    Path,
    /// Each host has its key.
    Hosts(
        /// By host in lower case, without port and without a dot at its end. The hosts are the
        /// user's, so that a fast hash will do: what visitors send is only looked up.
        HashMap<String, String, RandomState>,
    ),
}

/// Whom a request is for, and how it is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routed<'a> {
    /// To a tenant.
    Tenant {
        /// Its key.
        key: Cow<'a, str>,
        /// What was taken off the path's beginning, and is told as `X-Forwarded-Prefix`.
        prefix: Option<String>,
    },
    /// Back to the client: the path of a tenant's root has to end in a slash, or the relative links
    /// of its pages would lead elsewhere.
    Redirect {
        /// The tenant's key.
        key: Cow<'a, str>,
        /// The path to go to. The query is kept.
        path: String,
    },
}

impl Route {
    /// Routes a request by its `Host`, as sent, and its path, without the query.
    pub fn of<'a>(&'a self, host: &'a str, path: &'a str) -> Result<Routed<'a>, Refusal> {
        match self {
            Route::Subdomain { domain } => {
                let key = match name_of(host) {
                    Cow::Borrowed(name) => label_below(domain, name).map(Cow::Borrowed),
                    Cow::Owned(name) => label_below(domain, &name).map(|key| key.to_owned().into()),
                };
                let key = key.ok_or(Refusal::new(404, Why::UnknownHost))?;
                Ok(Routed::Tenant { key, prefix: None })
            }
            Route::Hosts(keys) => {
                let key = keys.get(&*name_of(host)).ok_or(Refusal::new(404, Why::UnknownHost))?;
                Ok(Routed::Tenant { key: key.into(), prefix: None })
            }
            Route::Path => by_path(path),
        }
    }
}

/// The one label that the host's name has before the domain.
fn label_below<'a>(domain: &str, name: &'a str) -> Option<&'a str> {
    let label = name.strip_suffix(domain)?.strip_suffix('.')?;
    Some(label).filter(|label| !label.is_empty() && !label.contains('.'))
}

fn by_path(path: &str) -> Result<Routed<'_>, Refusal> {
    let unknown = || Refusal::new(404, Why::UnknownKey);
    let rest = path.strip_prefix('/').ok_or_else(unknown)?;
    let (segment, has_slash) = match rest.split_once('/') {
        Some((segment, _)) => (segment, true),
        None => (rest, false),
    };
    // An encoded slash or dot would be a key of another shape than the path that is passed on.
    let key = decoded(segment).filter(|key| !key.is_empty() && !key.contains(['/', '\\', '\0']));
    let key = key.filter(|key| key != "." && key != "..").ok_or_else(unknown)?;
    let prefix = format!("/{segment}");
    match has_slash {
        true => Ok(Routed::Tenant { key, prefix: Some(prefix) }),
        false => Ok(Routed::Redirect { key, path: prefix + "/" }),
    }
}

/// The host's name in lower case, without port and without a dot at its end.
pub fn name_of(host: &str) -> Cow<'_, str> {
    let end = match host.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => end + 2,
        None => host.bytes().position(|byte| byte == b':').unwrap_or(host.len()),
    };
    let name = host.get(..end).unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(name.to_ascii_lowercase()),
        false => Cow::Borrowed(name),
    }
}

/// The segment without percent signs; `None` if it cannot be read.
pub(crate) fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(segment.into());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(match byte {
            b'%' => u8::try_from(digit(rest.next())? * 16 + digit(rest.next())?).ok()?,
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant<'a>(key: &'a str, prefix: Option<&str>) -> Result<Routed<'a>, Refusal> {
        Ok(Routed::Tenant { key: key.into(), prefix: prefix.map(str::to_owned) })
    }

    #[test]
    fn one_label_below_the_domain_is_the_key() {
        let route = Route::Subdomain { domain: "apps.example".to_owned() };
        for host in ["a-b.apps.example", "A-B.Apps.Example:3000", "a-b.apps.example."] {
            assert_eq!(route.of(host, "/x"), tenant("a-b", None), "{host}");
        }
        for host in [
            "apps.example",
            ".apps.example",
            "a.b.apps.example",
            "aapps.example",
            "a.apps.example.org",
            "",
            "a.apps.example..",
        ] {
            assert_eq!(route.of(host, "/x"), Err(Refusal::new(404, Why::UnknownHost)), "{host}");
        }
    }

    #[test]
    fn the_first_segment_of_the_path_is_the_key() {
        let of = |path| Route::Path.of("any", path);
        assert_eq!(of("/shop/a/b"), tenant("shop", Some("/shop")));
        assert_eq!(of("/shop/"), tenant("shop", Some("/shop")));
        assert_eq!(of("/s%68op//"), tenant("shop", Some("/s%68op")));
        let redirect = Routed::Redirect { key: "shop".into(), path: "/shop/".to_owned() };
        assert_eq!(of("/shop"), Ok(redirect));
        for path in
            ["/", "//a", "*", "/%2e%2e/a", "/../a", "/a%2fb/", "/%/", "/%ff/", "/a%00/", "/%zz/"]
        {
            assert_eq!(of(path), Err(Refusal::new(404, Why::UnknownKey)), "{path}");
        }
    }

    #[test]
    fn a_host_has_its_key() {
        let route = Route::Hosts(
            [("shop.example", "shop"), ("[::1]", "six")]
                .map(|(host, key)| (host.to_owned(), key.to_owned()))
                .into_iter()
                .collect(),
        );
        assert_eq!(route.of("SHOP.example.:80", "/"), tenant("shop", None));
        assert_eq!(route.of("[::1]:3000", "/"), tenant("six", None));
        assert_eq!(route.of("other.example", "/"), Err(Refusal::new(404, Why::UnknownHost)));
    }
}
