//! Values that must not leave the process in clear.

use std::{cell::Cell, fmt, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::scope;

thread_local! {
    /// How many sensitive values this thread has written.
    static WRITTEN: Cell<u64> = const { Cell::new(0) };
}

/// A value that must not leave the process in clear: a name, an address, a token.
///
/// Marking is by the type and cannot be forgotten further out: whatever is *made of* such a value is sensitive, because
/// writing it is noticed. A cached value that holds one, or that a load made while it wrote one (a response's body, say),
/// is kept out of the store unless it is sealed. It is printed by neither `Debug` nor `Display`, so it is not logged by
/// accident either.
///
/// ```
/// use unstale::Sensitive;
///
/// #[derive(Debug, serde::Serialize, serde::Deserialize)]
/// struct User { id: u64, email: Sensitive<String> }
///
/// let user = User { id: 7, email: "ada@example.com".to_owned().into() };
/// assert_eq!(format!("{user:?}"), "User { id: 7, email: … }");
/// assert_eq!(user.email.len(), 15);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sensitive<T>(T);

impl<T> Sensitive<T> {
    /// Marks a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, unmarked: for whoever answers for what becomes of it.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Sensitive<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl From<&str> for Sensitive<String> {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl<T> Deref for Sensitive<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<T: Serialize> Serialize for Sensitive<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        WRITTEN.set(WRITTEN.get().wrapping_add(1));
        scope::record_sensitive();
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Sensitive<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

/// Whether `write` writes something sensitive, beside what it returns.
pub(crate) fn notices<R>(write: impl FnOnce() -> R) -> (R, bool) {
    let before = WRITTEN.get();
    let written = write();
    (written, WRITTEN.get() != before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct User {
        id: u64,
        email: Option<Sensitive<String>>,
    }

    #[test]
    fn writing_it_is_noticed_and_changes_nothing_of_what_is_written() {
        let user = |email: Option<&str>| User { id: 7, email: email.map(Into::into) };
        let written = |user: &User| notices(|| rmp_serde::to_vec_named(user).unwrap());
        let (bytes, was_sensitive) = written(&user(Some("ada@example.com")));
        assert!(was_sensitive);
        assert_eq!(rmp_serde::from_slice::<User>(&bytes).unwrap(), user(Some("ada@example.com")));
        assert!(!written(&user(None)).1);
    }

    #[test]
    fn it_is_not_printed() {
        assert_eq!(format!("{:?}", Sensitive::new("hunter2")), "…");
    }

    #[test]
    fn who_wants_the_value_itself_says_so() {
        assert_eq!(Sensitive::new("ada").into_inner(), "ada");
    }
}
