//! What a host shows another one to prove that it is of the same fleet.
//!
//! It is made of the fleet's secret and of the name of the one that is asked, so the secret itself
//! never leaves a host, and what was shown to one host opens no other. It is the same for each
//! request: who can read the traffic between two hosts can use it, as they can read all else there.
//! Where that is a danger, hosts use certificates instead.

use ring::hmac;
use std::fmt::Write;

/// The token for one host, in hexadecimal digits.
///
/// ```
/// let token = member::token_for(b"correct horse battery", "eu-1");
/// assert_eq!(token.len(), 64);
/// assert_ne!(token, member::token_for(b"correct horse battery", "eu-2"));
/// ```
pub fn token_for(secret: &[u8], receiver: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("absolute-fleet 1 to {receiver}").as_bytes());
    tag.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_host_of_one_fleet() {
        let token = token_for(b"one secret of a fleet", "eu-1");
        assert_eq!(token, token_for(b"one secret of a fleet", "eu-1"));
        assert_ne!(token, token_for(b"one secret of a fleet", "eu-2"));
        assert_ne!(token, token_for(b"another secret", "eu-1"));
        assert!(token.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
