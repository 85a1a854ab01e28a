//! How messages that hold a password or a token are shown: by whom they are about, and nothing else.

use std::fmt;

use super::etcdserverpb as pb;

macro_rules! hide {
    ($($message:ident $($shown:ident)?),* $(,)?) => {
        $(impl fmt::Debug for pb::$message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message))
                    $(.field(stringify!($shown), &self.$shown))?
                    .finish_non_exhaustive()
            }
        })*
    };
}

hide!(
    AuthenticateRequest name,
    AuthenticateResponse,
    AuthUserAddRequest name,
    AuthUserChangePasswordRequest name,
);
