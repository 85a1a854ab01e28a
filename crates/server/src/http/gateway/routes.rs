//! Which path means which method, and what its messages are called: what etcd's `google.api.http`
//! options say. Everything is a POST with the message as its body.

use crate::rpc::Method;

/// One path.
pub(super) struct Route {
    pub(super) path: &'static str,
    pub(super) method: Method,
    /// Names of the messages, as they are in `proto/`.
    pub(super) request: &'static str,
    pub(super) reply: &'static str,
}

macro_rules! routes {
    ($($package:literal {
        $($path:literal $method:ident $request:literal $reply:literal),* $(,)?
    })*) => {
        /// All, in etcd's order.
        pub(super) const ROUTES: &[Route] = &[$($(Route {
            path: concat!("/v3/", $path),
            method: Method::$method,
            request: concat!($package, ".", $request),
            reply: concat!($package, ".", $reply),
        }),*),*];
    };
}

routes! {
    "etcdserverpb" {
        "kv/range" Range "RangeRequest" "RangeResponse",
        "kv/put" Put "PutRequest" "PutResponse",
        "kv/deleterange" DeleteRange "DeleteRangeRequest" "DeleteRangeResponse",
        "kv/txn" Txn "TxnRequest" "TxnResponse",
        "kv/compaction" Compact "CompactionRequest" "CompactionResponse",
        "watch" Watch "WatchRequest" "WatchResponse",
        "lease/grant" LeaseGrant "LeaseGrantRequest" "LeaseGrantResponse",
        "lease/revoke" LeaseRevoke "LeaseRevokeRequest" "LeaseRevokeResponse",
        "kv/lease/revoke" LeaseRevoke "LeaseRevokeRequest" "LeaseRevokeResponse",
        "lease/keepalive" LeaseKeepAlive "LeaseKeepAliveRequest" "LeaseKeepAliveResponse",
        "lease/timetolive" LeaseTimeToLive "LeaseTimeToLiveRequest" "LeaseTimeToLiveResponse",
        "kv/lease/timetolive" LeaseTimeToLive "LeaseTimeToLiveRequest" "LeaseTimeToLiveResponse",
        "lease/leases" LeaseLeases "LeaseLeasesRequest" "LeaseLeasesResponse",
        "kv/lease/leases" LeaseLeases "LeaseLeasesRequest" "LeaseLeasesResponse",
        "cluster/member/add" MemberAdd "MemberAddRequest" "MemberAddResponse",
        "cluster/member/remove" MemberRemove "MemberRemoveRequest" "MemberRemoveResponse",
        "cluster/member/update" MemberUpdate "MemberUpdateRequest" "MemberUpdateResponse",
        "cluster/member/list" MemberList "MemberListRequest" "MemberListResponse",
        "cluster/member/promote" MemberPromote "MemberPromoteRequest" "MemberPromoteResponse",
        "maintenance/alarm" Alarm "AlarmRequest" "AlarmResponse",
        "maintenance/status" Status "StatusRequest" "StatusResponse",
        "maintenance/defragment" Defragment "DefragmentRequest" "DefragmentResponse",
        "maintenance/hash" Hash "HashRequest" "HashResponse",
        "maintenance/hashkv" HashKv "HashKVRequest" "HashKVResponse",
        "maintenance/snapshot" Snapshot "SnapshotRequest" "SnapshotResponse",
        "maintenance/transfer-leadership" MoveLeader "MoveLeaderRequest" "MoveLeaderResponse",
        "maintenance/downgrade" Downgrade "DowngradeRequest" "DowngradeResponse",
        "auth/enable" AuthEnable "AuthEnableRequest" "AuthEnableResponse",
        "auth/disable" AuthDisable "AuthDisableRequest" "AuthDisableResponse",
        "auth/status" AuthStatus "AuthStatusRequest" "AuthStatusResponse",
        "auth/authenticate" Authenticate "AuthenticateRequest" "AuthenticateResponse",
        "auth/user/add" UserAdd "AuthUserAddRequest" "AuthUserAddResponse",
        "auth/user/get" UserGet "AuthUserGetRequest" "AuthUserGetResponse",
        "auth/user/list" UserList "AuthUserListRequest" "AuthUserListResponse",
        "auth/user/delete" UserDelete "AuthUserDeleteRequest" "AuthUserDeleteResponse",
        "auth/user/changepw" UserChangePassword
            "AuthUserChangePasswordRequest" "AuthUserChangePasswordResponse",
        "auth/user/grant" UserGrantRole "AuthUserGrantRoleRequest" "AuthUserGrantRoleResponse",
        "auth/user/revoke" UserRevokeRole
            "AuthUserRevokeRoleRequest" "AuthUserRevokeRoleResponse",
        "auth/role/add" RoleAdd "AuthRoleAddRequest" "AuthRoleAddResponse",
        "auth/role/get" RoleGet "AuthRoleGetRequest" "AuthRoleGetResponse",
        "auth/role/list" RoleList "AuthRoleListRequest" "AuthRoleListResponse",
        "auth/role/delete" RoleDelete "AuthRoleDeleteRequest" "AuthRoleDeleteResponse",
        "auth/role/grant" RoleGrantPermission
            "AuthRoleGrantPermissionRequest" "AuthRoleGrantPermissionResponse",
        "auth/role/revoke" RoleRevokePermission
            "AuthRoleRevokePermissionRequest" "AuthRoleRevokePermissionResponse",
    }
    "v3lockpb" {
        "lock/lock" Lock "LockRequest" "LockResponse",
        "lock/unlock" Unlock "UnlockRequest" "UnlockResponse",
    }
    "v3electionpb" {
        "election/campaign" Campaign "CampaignRequest" "CampaignResponse",
        "election/proclaim" Proclaim "ProclaimRequest" "ProclaimResponse",
        "election/leader" Leader "LeaderRequest" "LeaderResponse",
        "election/observe" Observe "LeaderRequest" "LeaderResponse",
        "election/resign" Resign "ResignRequest" "ResignResponse",
    }
}
