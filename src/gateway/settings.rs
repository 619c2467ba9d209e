//! The options as `lib/gateway/options.js` has read them: validated and complete, with the same
//! names.

use super::inherited;
use gateway::forwarded::Cidr;
use gateway::listeners::StartError;
use gateway::route::Route;
use gateway::settings::{CertifiedPem, Limits, Listen, Routing, Settings, Tls, Wake};
use napi_derive::napi;
use std::time::Duration;

#[napi(object, object_to_js = false)]
pub struct NativeGateway {
    pub route: NativeRoute,
    pub listen: Vec<NativeListen>,
    pub certificates: Option<Vec<NativeCertificate>>,
    pub asks_for_certificates: bool,
    pub trust: Vec<String>,
    pub wake: NativeWake,
    pub limits: NativeGatewayLimits,
    pub has_access: bool,
    pub has_page: bool,
    pub traces: bool,
}

/// A route; `by` says which fields it has.
#[napi(object, object_to_js = false)]
pub struct NativeRoute {
    pub by: String,
    pub domain: Option<String>,
    pub hosts: Option<Vec<NativeHost>>,
    pub cache_ms: Option<f64>,
}

#[napi(object, object_to_js = false)]
pub struct NativeHost {
    pub host: String,
    pub key: String,
}

/// A place to listen at: a descriptor, a path, or an address.
#[napi(object, object_to_js = false)]
pub struct NativeListen {
    pub hostname: Option<String>,
    pub port: Option<u32>,
    pub path: Option<String>,
    pub fd: Option<i32>,
}

#[napi(object, object_to_js = false)]
pub struct NativeCertificate {
    pub cert: String,
    pub key: String,
    pub names: Option<Vec<String>>,
}

#[napi(object, object_to_js = false)]
pub struct NativeWake {
    pub timeout_ms: f64,
    pub queue: f64,
}

#[napi(object, object_to_js = false)]
pub struct NativeGatewayLimits {
    pub header_bytes: f64,
    pub headers: f64,
    pub headers_timeout_ms: f64,
    pub body_idle_timeout_ms: f64,
    pub body_bytes: Option<f64>,
    pub connections: Option<f64>,
    pub requests_per_tenant: Option<f64>,
    pub requests_per_second_per_address: Option<f64>,
}

impl NativeGateway {
    /// The certificates that are given.
    pub fn certificates(&self) -> Vec<CertifiedPem> {
        pems(self.certificates.as_deref().unwrap_or_default())
    }

    /// The gateway's settings.
    pub fn settings(self) -> Result<Settings, StartError> {
        let limits = self.limits.limits();
        let listen = self.listen.into_iter().map(NativeListen::listen);
        Ok(Settings {
            routing: self.route.routing(),
            listen: listen.collect::<Result<_, _>>()?,
            tls: match &self.certificates {
                Some(certificates) => Some(Tls::Certificates(pems(certificates))),
                None => self.asks_for_certificates.then_some(Tls::Ask),
            },
            trust: self.trust.iter().filter_map(|range| Cidr::parse(range)).collect(),
            wake: Wake {
                timeout: duration(self.wake.timeout_ms),
                // `as` saturates: a larger number becomes the largest.
                queue: self.wake.queue as u32,
            },
            limits,
            access: self.has_access,
            pages: self.has_page,
            trace: self.traces,
            threads: None,
        })
    }
}

impl NativeRoute {
    fn routing(self) -> Routing {
        match self.by.as_str() {
            "subdomain" => {
                Routing::Rule(Route::Subdomain { domain: self.domain.unwrap_or_default() })
            }
            "host" => {
                let hosts = self.hosts.unwrap_or_default().into_iter();
                Routing::Rule(Route::Hosts(hosts.map(|each| (each.host, each.key)).collect()))
            }
            "ask" => Routing::Ask { cache: duration(self.cache_ms.unwrap_or_default()) },
            _ => Routing::Rule(Route::Path),
        }
    }
}

impl NativeListen {
    fn listen(self) -> Result<Listen, StartError> {
        if let Some(fd) = self.fd {
            let descriptor = inherited::duplicate(fd);
            let at = format!("descriptor {fd}");
            return descriptor
                .map(Listen::Descriptor)
                .map_err(|error| StartError::Listen { at, error });
        }
        Ok(match self.path {
            Some(path) => Listen::Unix(path.into()),
            None => Listen::Tcp {
                hostname: self.hostname.unwrap_or_default(),
                port: self.port.unwrap_or_default() as u16,
            },
        })
    }
}

impl NativeGatewayLimits {
    fn limits(&self) -> Limits {
        Limits {
            header_bytes: self.header_bytes as usize,
            headers: self.headers as usize,
            headers_timeout: duration(self.headers_timeout_ms),
            body_idle: duration(self.body_idle_timeout_ms),
            body_bytes: self.body_bytes.map(|bytes| bytes as u64),
            connections: self.connections.map_or(usize::MAX, |most| most as usize),
            requests_per_tenant: self.requests_per_tenant.map(|most| most as u32),
            requests_per_second_per_address: self.requests_per_second_per_address,
            ..Limits::default()
        }
    }
}

/// The certificates as the gateway takes them.
pub fn pems(certificates: &[NativeCertificate]) -> Vec<CertifiedPem> {
    let pem = |given: &NativeCertificate| CertifiedPem {
        cert: given.cert.clone(),
        key: given.key.clone(),
        names: given.names.clone().unwrap_or_default(),
    };
    certificates.iter().map(pem).collect()
}

fn duration(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.max(0.0) / 1_000.0)
}
