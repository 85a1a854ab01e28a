//! The methods of etcd's API, their paths and shapes.

use crate::grpc::{Code, Kind, Status};
use crate::observe::metrics::MethodName;

macro_rules! methods {
    ($($service:literal {
        $($name:ident $method:literal $kind:ident $($timed:literal)?),* $(,)?
    })*) => {
        /// A method of the API.
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Method { $($($name),*),* }

        impl Method {
            /// All, in the order of their numbers.
            pub const ALL: &[Self] = &[$($(Self::$name),*),*];

            /// How metrics and paths name it.
            #[must_use]
            pub const fn name(self) -> MethodName {
                match self {
                    $($(Self::$name => MethodName {
                        service: $service,
                        method: $method,
                        kind: Kind::$kind,
                        timed: methods!(@timed $($timed)?),
                    }),*),*
                }
            }

            fn find(service: &str, method: &str) -> Result<Self, Missing> {
                match service {
                    $($service => match method {
                        $($method => Ok(Self::$name),)*
                        _ => Err(Missing::Method),
                    },)*
                    _ => Err(Missing::Service),
                }
            }
        }
    };
    (@timed $timed:literal) => { Some($timed) };
    (@timed) => { None };
}

methods! {
    "etcdserverpb.KV" {
        Range "Range" Unary "Range",
        RangeStream "RangeStream" ServerStream,
        Put "Put" Unary "Put",
        DeleteRange "DeleteRange" Unary "DeleteRange",
        Txn "Txn" Unary "Txn",
        Compact "Compact" Unary "Compaction",
    }
    "etcdserverpb.Watch" {
        Watch "Watch" Bidirectional,
    }
    "etcdserverpb.Lease" {
        LeaseGrant "LeaseGrant" Unary "LeaseGrant",
        LeaseRevoke "LeaseRevoke" Unary "LeaseRevoke",
        LeaseKeepAlive "LeaseKeepAlive" Bidirectional,
        LeaseTimeToLive "LeaseTimeToLive" Unary,
        LeaseLeases "LeaseLeases" Unary,
    }
    "etcdserverpb.Cluster" {
        MemberAdd "MemberAdd" Unary,
        MemberRemove "MemberRemove" Unary,
        MemberUpdate "MemberUpdate" Unary,
        MemberList "MemberList" Unary,
        MemberPromote "MemberPromote" Unary,
    }
    "etcdserverpb.Maintenance" {
        Alarm "Alarm" Unary "Alarm",
        Status "Status" Unary,
        Defragment "Defragment" Unary,
        Hash "Hash" Unary,
        HashKv "HashKV" Unary,
        Snapshot "Snapshot" ServerStream,
        MoveLeader "MoveLeader" Unary,
        Downgrade "Downgrade" Unary,
    }
    "etcdserverpb.Auth" {
        AuthEnable "AuthEnable" Unary,
        AuthDisable "AuthDisable" Unary,
        AuthStatus "AuthStatus" Unary,
        Authenticate "Authenticate" Unary,
        UserAdd "UserAdd" Unary,
        UserGet "UserGet" Unary,
        UserList "UserList" Unary,
        UserDelete "UserDelete" Unary,
        UserChangePassword "UserChangePassword" Unary,
        UserGrantRole "UserGrantRole" Unary,
        UserRevokeRole "UserRevokeRole" Unary,
        RoleAdd "RoleAdd" Unary,
        RoleGet "RoleGet" Unary,
        RoleList "RoleList" Unary,
        RoleDelete "RoleDelete" Unary,
        RoleGrantPermission "RoleGrantPermission" Unary,
        RoleRevokePermission "RoleRevokePermission" Unary,
    }
    "v3lockpb.Lock" {
        Lock "Lock" Unary,
        Unlock "Unlock" Unary,
    }
    "v3electionpb.Election" {
        Campaign "Campaign" Unary,
        Proclaim "Proclaim" Unary,
        Leader "Leader" Unary,
        Observe "Observe" ServerStream,
        Resign "Resign" Unary,
    }
    "grpc.health.v1.Health" {
        HealthCheck "Check" Unary,
        HealthList "List" Unary,
        HealthWatch "Watch" ServerStream,
    }
}

enum Missing {
    Service,
    Method,
}

impl Method {
    /// The method of a path `/service/method`.
    ///
    /// # Errors
    /// UNIMPLEMENTED, in grpc-go's words.
    pub fn of_path(path: &str) -> Result<Self, Status> {
        let unimplemented = |text| Status::new(Code::Unimplemented, text);
        let inner = path.strip_prefix('/').unwrap_or(path);
        let (service, method) = inner
            .rsplit_once('/')
            .ok_or_else(|| unimplemented(format!("malformed method name: {path:?}")))?;
        Self::find(service, method).map_err(|missing| {
            unimplemented(match missing {
                Missing::Service => format!("unknown service {service}"),
                Missing::Method => format!("unknown method {method} for service {service}"),
            })
        })
    }

    /// What is said where a method was sent to that is not answered there: a fault of ours.
    #[must_use]
    pub fn misled(self) -> Status {
        let MethodName { service, method, .. } = self.name();
        Status::new(Code::Internal, format!("meridian: {service}/{method} has lost its way"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_methods() {
        for (number, method) in Method::ALL.iter().enumerate() {
            assert_eq!(*method as usize, number);
            let MethodName { service, method: name, .. } = method.name();
            assert_eq!(Method::of_path(&format!("/{service}/{name}")), Ok(*method));
        }
    }

    #[test]
    fn unknown_paths_are_refused_in_the_words_of_grpc_go() {
        let text = |path| Method::of_path(path).unwrap_err().message.into_owned();
        assert_eq!(text("/a.B/C"), "unknown service a.B");
        assert_eq!(text("/etcdserverpb.KV/Get"), "unknown method Get for service etcdserverpb.KV");
        assert_eq!(text("/KV"), "malformed method name: \"/KV\"");
    }
}
