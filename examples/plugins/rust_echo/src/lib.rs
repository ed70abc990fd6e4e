//! A Viaduct plugin in Rust, with nothing but the standard library. It confirms every message and
//! answers every call with the body it came with. Everything that knows the ABI is here and in
//! `abi.rs`; no panic leaves a function that the host calls.

mod abi;
mod echo;

use std::os::raw::c_void;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Duration;

use abi::{Host, Instance, Str};
use echo::{Answers, Echo, Job};

/// The host and the services that this plugin uses. The host lives longer than the instance, and
/// its functions may be called from any thread.
#[derive(Clone, Copy)]
struct Services {
    host: *const Host,
    config: *const abi::HostConfig,
    clock: *const abi::HostClock,
    health: *const abi::HostHealth,
    deliver: *const abi::HostDeliver,
    call: *const abi::HostCall,
}
unsafe impl Send for Services {}
unsafe impl Sync for Services {}

impl Services {
    unsafe fn find(host: *const Host) -> Services {
        let query = |id| ((*host).query)(host, Str::new(id));
        Services {
            host,
            config: query(abi::HOST_CONFIG_1).cast(),
            clock: query(abi::HOST_CLOCK_1).cast(),
            health: query(abi::HOST_HEALTH_1).cast(),
            deliver: query(abi::HOST_DELIVER_1).cast(),
            call: query(abi::HOST_CALL_1).cast(),
        }
    }
}

impl Answers for Services {
    fn messages(&self, tokens: &[u64], stored: bool) {
        let completions: Vec<abi::Completion> = tokens
            .iter()
            .map(|&token| abi::Completion {
                struct_size: std::mem::size_of::<abi::Completion>() as u32,
                outcome: if stored { abi::OUTCOME_DURABLE } else { abi::OUTCOME_CANCELLED },
                token,
                code: if stored { abi::OK } else { abi::CANCELLED },
                duplicate: 0,
                retry_after_ns: 0,
                detail: Str::EMPTY,
            })
            .collect();
        let list = abi::CompletionList {
            items: completions.as_ptr(),
            stride: std::mem::size_of::<abi::Completion>() as u64,
            count: completions.len() as u64,
        };
        unsafe { ((*self.deliver).complete)(self.host, &list) }
    }

    fn reply(&self, token: u64, body: &[u8]) {
        let reply = abi::Reply {
            struct_size: std::mem::size_of::<abi::Reply>() as u32,
            status: 200,
            token,
            body: Str { data: body.as_ptr(), size: body.len() as u64 },
            buffer: std::ptr::null_mut(),
            attributes: std::ptr::null(),
            attribute_count: 0,
        };
        unsafe { ((*self.call).reply)(self.host, &reply) }
    }
}

struct Plugin {
    services: Services,
    echo: Option<Echo<Services>>,
}

/// Why a call failed, as it goes into the caller's `vd_error`.
struct Failure {
    code: i32,
    pointer: &'static str,
    message: String,
}

fn failure(code: i32, pointer: &'static str, message: &str) -> Failure {
    Failure { code, pointer, message: message.to_string() }
}

/// Copies text with a closing NUL, cut at a character.
fn copy_text(text: &str, out: &mut [u8]) {
    let mut size = text.len().min(out.len() - 1);
    while !text.is_char_boundary(size) {
        size -= 1;
    }
    out[..size].copy_from_slice(&text.as_bytes()[..size]);
    out[size] = 0;
}

unsafe fn tell(error: *mut abi::Error, failure: &Failure) -> i32 {
    // Smaller than version 1.0 it can not be.
    if !error.is_null() && (*error).struct_size as usize >= std::mem::size_of::<abi::Error>() {
        (*error).code = failure.code;
        copy_text(failure.pointer, &mut (*error).pointer);
        copy_text(&failure.message, &mut (*error).message);
    }
    failure.code
}

/// Runs `body`; neither a failure nor a panic leaves it.
unsafe fn guard(error: *mut abi::Error, body: impl FnOnce() -> Result<(), Failure>) -> i32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => abi::OK,
        Ok(Err(failure)) => tell(error, &failure),
        Err(_) => tell(error, &failure(abi::INTERNAL, "", "rust_echo: panicked")),
    }
}

unsafe fn plugin<'a>(instance: *mut Instance) -> &'a Plugin {
    &*instance.cast::<Plugin>()
}

/// The part that other threads may use, too; there from configure on.
unsafe fn echo<'a>(instance: *mut Instance) -> Result<&'a Echo<Services>, Failure> {
    plugin(instance)
        .echo
        .as_ref()
        .ok_or_else(|| failure(abi::FAILED_PRECONDITION, "", "rust_echo: not configured"))
}

// ---- life cycle ---------------------------------------------------------------------------------

unsafe extern "C" fn create(
    host: *const Host,
    _name: Str,
    out: *mut *mut Instance,
    error: *mut abi::Error,
) -> i32 {
    guard(error, || {
        let services = Services::find(host);
        *out = Box::into_raw(Box::new(Plugin { services, echo: None })).cast();
        Ok(())
    })
}

unsafe extern "C" fn configure(
    instance: *mut Instance,
    config: *const abi::Config,
    error: *mut abi::Error,
) -> i32 {
    guard(error, || {
        let services = plugin(instance).services;
        if services.config.is_null() || services.deliver.is_null() || services.call.is_null() {
            return Err(failure(abi::FAILED_PRECONDITION, "", "rust_echo: the host offers too little"));
        }
        let mut window = 0i64;
        let code = ((*services.config).get_integer)(config, Str::new("/window"), &mut window);
        if code != abi::OK || !(1..=65536).contains(&window) {
            let message = "rust_echo: window is no number from 1 to 65536";
            return Err(failure(abi::INVALID_ARGUMENT, "/window", message));
        }
        // Nobody else uses the instance yet.
        (*instance.cast::<Plugin>()).echo = Some(Echo::new(window as usize, Arc::new(services)));
        Ok(())
    })
}

unsafe extern "C" fn start(instance: *mut Instance, _lanes: u32, error: *mut abi::Error) -> i32 {
    guard(error, || {
        echo(instance)?
            .start()
            .map_err(|why| failure(abi::UNAVAILABLE, "", &format!("rust_echo: no thread, {}", why)))?;
        let services = plugin(instance).services;
        if !services.health.is_null() {
            ((*services.health).set)(services.host, abi::HEALTH_HEALTHY, Str::EMPTY);
        }
        Ok(())
    })
}

unsafe extern "C" fn drain(instance: *mut Instance, deadline_ns: i64, error: *mut abi::Error) -> i32 {
    guard(error, || {
        let services = plugin(instance).services;
        let now = if services.clock.is_null() {
            deadline_ns
        } else {
            ((*services.clock).monotonic_ns)(services.host)
        };
        let left = Duration::from_nanos(deadline_ns.saturating_sub(now).max(0) as u64);
        if echo(instance)?.await_idle(left) {
            return Ok(());
        }
        Err(failure(abi::DEADLINE_EXCEEDED, "", "rust_echo: something is still waiting"))
    })
}

unsafe extern "C" fn stop(instance: *mut Instance) {
    guard(std::ptr::null_mut(), || {
        echo(instance)?.stop();
        Ok(())
    });
}

unsafe extern "C" fn destroy(instance: *mut Instance) {
    guard(std::ptr::null_mut(), || {
        drop(Box::from_raw(instance.cast::<Plugin>()));
        Ok(())
    });
}

unsafe extern "C" fn query(_instance: *mut Instance, id: Str) -> *const c_void {
    let id = id.bytes();
    if id == abi::DELIVER_1.as_bytes() {
        return (&DELIVER as *const abi::Deliver).cast();
    }
    if id == abi::CALL_1.as_bytes() {
        return (&CALL as *const abi::CallTable).cast();
    }
    std::ptr::null()
}

// ---- viaduct.deliver/1 --------------------------------------------------------------------------

unsafe extern "C" fn credit(instance: *mut Instance, _lane: u32) -> u32 {
    let mut credit = 0;
    guard(std::ptr::null_mut(), || {
        credit = echo(instance)?.credit() as u32;
        Ok(())
    });
    credit
}

unsafe extern "C" fn deliver(
    instance: *mut Instance,
    _lane: u32,
    batch: *const abi::MessageList,
    taken: *mut u64,
) -> i32 {
    *taken = 0;
    guard(std::ptr::null_mut(), || {
        let echo = echo(instance)?;
        let batch = &*batch;
        for i in 0..batch.count {
            // The host's message may be larger than ours: step by the stride.
            let at = batch.items.cast::<u8>().add((i * batch.stride) as usize);
            let message = &*at.cast::<abi::Message>();
            if !echo.push(Job::Message(message.token)) {
                break;
            }
            *taken += 1;
        }
        Ok(())
    })
}

unsafe extern "C" fn cancel(_instance: *mut Instance, _lane: u32, _tokens: *const u64, _count: u64) {
    // Everything ends at once anyway.
}

// ---- viaduct.call/1 -----------------------------------------------------------------------------

unsafe extern "C" fn on_reply(_instance: *mut Instance, _reply: *const abi::Reply) {
    // This plugin asks nothing.
}

unsafe extern "C" fn on_call(instance: *mut Instance, _lane: u32, call: *const abi::Call) -> i32 {
    guard(std::ptr::null_mut(), || {
        let call = &*call;
        let job = Job::Call { token: call.token, body: call.body.bytes().to_vec() };
        if echo(instance)?.push(job) {
            return Ok(());
        }
        Err(failure(abi::UNAVAILABLE, "", "rust_echo: too much is waiting"))
    })
}

unsafe extern "C" fn on_cancel(_instance: *mut Instance, _lane: u32, _token: u64) {
    // The answer is on its way.
}

// ---- the module ---------------------------------------------------------------------------------

static DELIVER: abi::Deliver = abi::Deliver { credit, deliver, cancel };
static CALL: abi::CallTable = abi::CallTable { on_reply, on_call, on_cancel };
static LIFECYCLE: abi::Lifecycle =
    abi::Lifecycle { create, configure, start, drain, stop, destroy, query };
static INTERFACES: [Str; 2] = [Str::new(abi::DELIVER_1), Str::new(abi::CALL_1)];
static MODULE: abi::Module = abi::Module {
    struct_size: std::mem::size_of::<abi::Module>() as u32,
    abi_major: 1,
    abi_minor: 0,
    min_host_minor: 0,
    reserved: 0,
    max_lanes: 4,
    name: Str::new("rust_echo"),
    version: Str::new("1.0.0"),
    summary: Str::new("Confirms every message and echoes every call, in Rust"),
    licence: Str::new("Apache-2.0"),
    config_schema: Str::new(include_str!("../config.schema.json")),
    interfaces: INTERFACES.as_ptr(),
    interface_count: INTERFACES.len() as u64,
    lifecycle: &LIFECYCLE,
};

/// The library's one symbol.
#[no_mangle]
pub extern "C" fn vd_module_entry() -> *const abi::Module {
    &MODULE
}
