//! What is in this process's memory stays there, and no longer than it is needed.

use std::alloc::System;

use zeroizing_alloc::ZeroAlloc;

/// The system's allocator, wiping whatever is freed: a passphrase or a message was also in buffers of libraries,
/// which do not.
pub type Wiping = ZeroAlloc<System>;

/// For the `#[global_allocator]` of a program.
#[must_use]
pub const fn wiping() -> Wiping {
    ZeroAlloc(System)
}

/// Switches core dumps off, and keeps other processes of the same user from reading this one's memory
/// (Linux). A program does it first, before it has any secret.
///
/// Pages are not locked: the usual limit is below what a node needs, and a swap that is written in the
/// clear is the system's to encrypt.
pub fn keep_private() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        // A system that will not lower a limit keeps the one that it has.
        let _ = setrlimit(Resource::Core, none);
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
