//! The lock and the threads that the tasks of a socket use, which the model check (`tests/model`) replaces by loom's.
//!
//! loom runs all threads of a model on one thread of the system: a `thread_local` whose value belongs to one of them must
//! come from loom as well.

#[cfg(not(towline_model))]
pub(crate) use self::real::*;

#[cfg(not(towline_model))]
mod real {
    pub(crate) use std::sync::atomic::AtomicUsize;
    pub(crate) use std::thread::{self, ThreadId};

    pub(crate) use parking_lot::Mutex;
}

#[cfg(towline_model)]
pub(crate) use self::model::*;

#[cfg(towline_model)]
mod model {
    use std::sync::PoisonError;

    pub(crate) use loom::sync::atomic::AtomicUsize;
    pub(crate) use loom::thread::{self, ThreadId};

    /// loom's, without poison, as parking_lot's is.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
