//! The lock, the atomics and the `thread_local` of a socket. The model check (`tests/model`) replaces them by loom's.
//!
//! loom runs all threads of a model on one system thread, so a `thread_local` whose value belongs to one of them must come
//! from loom as well.

#[cfg(not(towline_model))]
pub(crate) use self::real::*;

#[cfg(not(towline_model))]
mod real {
    use std::cell::Cell;
    pub(crate) use std::sync::atomic::AtomicUsize;

    pub(crate) use parking_lot::Mutex;

    thread_local! {
        /// The address of the socket whose driver is polling its endpoint on this thread, or 0.
        pub(crate) static ENDPOINT_OF: Cell<usize> = const { Cell::new(0) };
    }
}

#[cfg(towline_model)]
pub(crate) use self::model::*;

#[cfg(towline_model)]
mod model {
    use std::cell::Cell;
    use std::sync::PoisonError;

    pub(crate) use loom::sync::atomic::AtomicUsize;

    loom::thread_local! {
        pub(crate) static ENDPOINT_OF: Cell<usize> = Cell::new(0);
    }

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
