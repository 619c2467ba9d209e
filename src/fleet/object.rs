//! The functions of one member that `lib/fleet/` calls.

use super::membership::Membership;
use fleet::{ClaimView, HostIs, HostView};
use napi::Result;
use napi::bindgen_prelude::{Env, FunctionCallContext, Object, ToNapiValue};
use napi::sys::{napi_env, napi_value};
use napi_derive::napi;
use std::sync::Arc;

/// What `openFleet` returns.
pub struct NativeMembership(pub Arc<Membership>);

impl ToNapiValue for NativeMembership {
    unsafe fn to_napi_value(raw: napi_env, membership: NativeMembership) -> Result<napi_value> {
        let env = Env::from_raw(raw);
        let object = functions(&env, &membership.0)?;
        // SAFETY: as for this function.
        unsafe { ToNapiValue::to_napi_value(raw, object) }
    }
}

fn functions<'env>(env: &'env Env, membership: &Arc<Membership>) -> Result<Object<'env>> {
    let mut object = Object::new(env)?;
    let mut add = Adder { env, membership, object: &mut object };
    // A notice answers: `placed` or `notPlaced`, with the ticket.
    add.function("ensure", |membership, call| {
        let (ticket, key) = call.args::<(f64, String)>()?;
        membership.ensure(ticket, key);
        Ok(())
    })?;
    add.function("where", |membership, call| {
        let (key,) = call.args::<(String,)>()?;
        Ok(membership.owner_of(&key))
    })?;
    add.function("hosts", |membership, _| Ok(membership.hosts()))?;
    add.function("claims", |membership, call| {
        let (keys,) = call.args::<(Vec<String>,)>()?;
        Ok(membership.claims(keys))
    })?;
    // A notice answers: `answered` or `notAnswered`, with the ticket.
    add.function("ask", |membership, call| {
        let (ticket, host, question) = call.args::<(f64, String, String)>()?;
        membership.ask(ticket, host, question);
        Ok(())
    })?;
    // The answer to a notice `asked`.
    add.function("reply", |membership, call| {
        let (ticket, text) = call.args::<(f64, Option<String>)>()?;
        membership.operators.reply(ticket, text);
        Ok(())
    })?;
    // The notice `drained` follows.
    add.function("drain", |membership, _| {
        membership.drain();
        Ok(())
    })?;
    // The notice `closed` follows.
    add.function("close", |membership, _| {
        membership.close();
        Ok(())
    })?;
    Ok(object)
}

struct Adder<'a, 'env> {
    env: &'env Env,
    membership: &'a Arc<Membership>,
    object: &'a mut Object<'env>,
}

impl Adder<'_, '_> {
    fn function<R: ToNapiValue>(
        &mut self,
        name: &str,
        work: impl Fn(&Arc<Membership>, FunctionCallContext) -> Result<R> + 'static,
    ) -> Result<()> {
        let membership = self.membership.clone();
        let function = self
            .env
            .create_function_from_closure::<(), R, _>(name, move |call| work(&membership, call))?;
        self.object.set(name, function)
    }
}

/// The host that serves a key.
#[napi(object, object_from_js = false)]
pub struct NativeOwner {
    pub host: String,
    pub address: String,
    pub epoch: String,
}

/// Whose a key is; `is_void`: the host that has claimed it is gone.
#[napi(object, object_from_js = false)]
pub struct NativeClaim {
    pub key: String,
    pub host: String,
    pub epoch: String,
    pub is_void: bool,
}

/// A host of the fleet; `state` is `live`, `draining` or `gone`.
#[napi(object, object_from_js = false)]
pub struct NativeHost {
    pub id: String,
    pub address: String,
    pub state: String,
    pub tenants: f64,
    pub weight: f64,
    pub zone: Option<String>,
}

impl NativeClaim {
    pub fn of(ClaimView { key, host, epoch, is_void }: ClaimView) -> NativeClaim {
        let (key, host, epoch) = (key.to_string(), host.to_string(), epoch.to_string());
        NativeClaim { key, host, epoch, is_void }
    }
}

impl NativeHost {
    pub fn of(host: HostView) -> NativeHost {
        let state = match host.is {
            HostIs::Live => "live",
            HostIs::Draining => "draining",
            HostIs::Gone => "gone",
        };
        NativeHost {
            id: host.id.to_string(),
            address: host.address.to_string(),
            state: state.to_owned(),
            tenants: host.tenants as f64,
            weight: host.weight,
            zone: host.zone.map(|zone| zone.to_string()),
        }
    }
}
