//! The part of Viaduct's plugin ABI that this plugin uses, written down by hand from
//! `viaduct/abi/*.h`. The layout is fixed: tables never change, records only grow at their end.
#![allow(dead_code)]

use std::os::raw::c_void;

pub const OK: i32 = 0;
pub const CANCELLED: i32 = 1;
pub const INVALID_ARGUMENT: i32 = 3;
pub const DEADLINE_EXCEEDED: i32 = 4;
pub const RESOURCE_EXHAUSTED: i32 = 8;
pub const FAILED_PRECONDITION: i32 = 9;
pub const INTERNAL: i32 = 13;
pub const UNAVAILABLE: i32 = 14;

pub const OUTCOME_DURABLE: u32 = 1;
pub const OUTCOME_CANCELLED: u32 = 5;

pub const HEALTH_HEALTHY: u32 = 1;

pub const LIFECYCLE_1: &str = "viaduct.lifecycle/1";
pub const DELIVER_1: &str = "viaduct.deliver/1";
pub const CALL_1: &str = "viaduct.call/1";
pub const HOST_CONFIG_1: &str = "viaduct.host.config/1";
pub const HOST_CLOCK_1: &str = "viaduct.host.clock/1";
pub const HOST_HEALTH_1: &str = "viaduct.host.health/1";
pub const HOST_DELIVER_1: &str = "viaduct.host.deliver/1";
pub const HOST_CALL_1: &str = "viaduct.host.call/1";

/// Borrowed text; valid until the call that brought it returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    pub data: *const u8,
    pub size: u64,
}

impl Str {
    pub const fn new(text: &'static str) -> Str {
        Str { data: text.as_ptr(), size: text.len() as u64 }
    }
    pub const EMPTY: Str = Str { data: std::ptr::null(), size: 0 };

    /// # Safety
    /// The text must still be lent.
    pub unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.size == 0 {
            return &[];
        }
        std::slice::from_raw_parts(self.data, self.size as usize)
    }
}

/// `vd_bytes`: the same layout as text.
pub type Bytes = Str;

#[repr(C)]
pub struct Attr {
    pub name: Str,
    pub value: Str,
}

#[repr(C)]
pub struct Error {
    pub struct_size: u32,
    pub code: i32,
    pub pointer: [u8; 248],
    pub message: [u8; 768],
}

#[repr(C)]
pub struct Completion {
    pub struct_size: u32,
    pub outcome: u32,
    pub token: u64,
    pub code: i32,
    pub duplicate: u32,
    pub retry_after_ns: i64,
    pub detail: Str,
}

#[repr(C)]
pub struct CompletionList {
    pub items: *const Completion,
    pub stride: u64,
    pub count: u64,
}

#[repr(C)]
pub struct Message {
    pub struct_size: u32,
    pub data_type: u32,
    pub token: u64,
    // What follows is not read here.
}

#[repr(C)]
pub struct MessageList {
    pub items: *const Message,
    pub stride: u64,
    pub count: u64,
}

#[repr(C)]
pub struct Call {
    pub struct_size: u32,
    pub reserved: u32,
    pub token: u64,
    pub protocol: Str,
    pub method: Str,
    pub path: Str,
    pub query: Str,
    pub body: Bytes,
    // What follows is not read here.
}

#[repr(C)]
pub struct Reply {
    pub struct_size: u32,
    pub status: i32,
    pub token: u64,
    pub body: Bytes,
    pub buffer: *mut c_void,
    pub attributes: *const Attr,
    pub attribute_count: u64,
}

#[repr(C)]
pub struct Host {
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub impl_: *mut c_void,
    pub query: unsafe extern "C" fn(host: *const Host, id: Str) -> *const c_void,
}

/// Opaque: the host's.
#[repr(C)]
pub struct Config {
    _private: [u8; 0],
}

#[repr(C)]
pub struct HostConfig {
    pub type_: unsafe extern "C" fn(*const Config, Str) -> u32,
    pub get_string: unsafe extern "C" fn(*const Config, Str, *mut Str) -> i32,
    pub get_integer: unsafe extern "C" fn(*const Config, Str, *mut i64) -> i32,
    pub get_number: unsafe extern "C" fn(*const Config, Str, *mut f64) -> i32,
    pub get_boolean: unsafe extern "C" fn(*const Config, Str, *mut u32) -> i32,
    pub get_size: unsafe extern "C" fn(*const Config, Str, *mut u64) -> i32,
    pub get_json: unsafe extern "C" fn(*const Config, Str, *mut Str) -> i32,
}

#[repr(C)]
pub struct HostClock {
    pub monotonic_ns: unsafe extern "C" fn(*const Host) -> i64,
    pub wall_ns: unsafe extern "C" fn(*const Host) -> i64,
}

#[repr(C)]
pub struct HostHealth {
    pub set: unsafe extern "C" fn(*const Host, u32, Str),
    pub fail: unsafe extern "C" fn(*const Host, i32, Str),
}

#[repr(C)]
pub struct HostDeliver {
    pub complete: unsafe extern "C" fn(*const Host, *const CompletionList),
    pub on_room: unsafe extern "C" fn(*const Host, u32),
}

#[repr(C)]
pub struct HostCall {
    pub call: unsafe extern "C" fn(*const Host, *const Call) -> i32,
    pub cancel: unsafe extern "C" fn(*const Host, u64),
    pub reply: unsafe extern "C" fn(*const Host, *const Reply),
}

/// The plugin's own, as the host holds it.
pub type Instance = c_void;

#[repr(C)]
pub struct Lifecycle {
    pub create: unsafe extern "C" fn(*const Host, Str, *mut *mut Instance, *mut Error) -> i32,
    pub configure: unsafe extern "C" fn(*mut Instance, *const Config, *mut Error) -> i32,
    pub start: unsafe extern "C" fn(*mut Instance, u32, *mut Error) -> i32,
    pub drain: unsafe extern "C" fn(*mut Instance, i64, *mut Error) -> i32,
    pub stop: unsafe extern "C" fn(*mut Instance),
    pub destroy: unsafe extern "C" fn(*mut Instance),
    pub query: unsafe extern "C" fn(*mut Instance, Str) -> *const c_void,
}

#[repr(C)]
pub struct Deliver {
    pub credit: unsafe extern "C" fn(*mut Instance, u32) -> u32,
    pub deliver: unsafe extern "C" fn(*mut Instance, u32, *const MessageList, *mut u64) -> i32,
    pub cancel: unsafe extern "C" fn(*mut Instance, u32, *const u64, u64),
}

#[repr(C)]
pub struct CallTable {
    pub on_reply: unsafe extern "C" fn(*mut Instance, *const Reply),
    pub on_call: unsafe extern "C" fn(*mut Instance, u32, *const Call) -> i32,
    pub on_cancel: unsafe extern "C" fn(*mut Instance, u32, u64),
}

#[repr(C)]
pub struct Module {
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub min_host_minor: u16,
    pub reserved: u16,
    pub max_lanes: u32,
    pub name: Str,
    pub version: Str,
    pub summary: Str,
    pub licence: Str,
    pub config_schema: Str,
    pub interfaces: *const Str,
    pub interface_count: u64,
    pub lifecycle: *const Lifecycle,
}

// Constants full of pointers to other constants.
unsafe impl Sync for Module {}
unsafe impl Sync for Str {}
