//! What can be wrong with the settings.

use std::error::Error;
use std::fmt;

/// A duration of a [`KeepAlive`](crate::KeepAlive) is zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidKeepAlive {
    pub(crate) setting: &'static str,
}

impl InvalidKeepAlive {
    /// The name of the setting.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}

impl fmt::Display for InvalidKeepAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let setting = self.setting;
        write!(f, "the keep-alive {setting} is zero; `None` turns it off")
    }
}

impl Error for InvalidKeepAlive {}
