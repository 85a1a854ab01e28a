//! What is said once in the log about a setting: accepted without meaning, read from elsewhere,
//! not recommended.

/// One line for the log. Values are left out: some are secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether it deserves attention.
    pub is_warning: bool,
    /// The flag, variable or key it is about.
    pub about: String,
    /// What there is to know.
    pub text: String,
}

impl Notice {
    pub(crate) fn info(about: &str, text: &str) -> Self {
        Self { is_warning: false, about: about.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn warning(about: &str, text: &str) -> Self {
        Self { is_warning: true, about: about.to_owned(), text: text.to_owned() }
    }

    /// Says it.
    pub fn log(&self) {
        if self.is_warning {
            tracing::warn!(setting = self.about, "{}", self.text);
        } else {
            tracing::info!(setting = self.about, "{}", self.text);
        }
    }
}
