//! etcd's own messages, as they come over gRPC, naming only what is read or sent.
//!
//! Field numbers are those of `rpc.proto` in go.etcd.io/etcd/api v3.6. Integers are etcd's: ids unsigned, sizes in bytes.

/// Declares messages of scalars, texts and messages.
macro_rules! rpc {
    ($($(#[$doc:meta])* $name:ident { $($body:tt)* })*) => { $( rpc!(@ [$(#[$doc])*] $name [] $($body)*); )* };
    (@ $m:tt $n:ident [$($a:tt)*] id $f:ident = $t:tt; $($r:tt)*) => { rpc!(@ $m $n [$($a)* #[prost(uint64, tag = $t)] pub $f: u64,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] num $f:ident = $t:tt; $($r:tt)*) => { rpc!(@ $m $n [$($a)* #[prost(int64, tag = $t)] pub $f: i64,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] hash $f:ident = $t:tt; $($r:tt)*) => { rpc!(@ $m $n [$($a)* #[prost(uint32, tag = $t)] pub $f: u32,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] code $f:ident = $t:tt; $($r:tt)*) => { rpc!(@ $m $n [$($a)* #[prost(int32, tag = $t)] pub $f: i32,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] flag $f:ident = $t:tt; $($r:tt)*) => { rpc!(@ $m $n [$($a)* #[prost(bool, tag = $t)] pub $f: bool,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] text $f:ident = $t:tt; $($r:tt)*) => { rpc!(@ $m $n [$($a)* #[prost(string, tag = $t)] pub $f: String,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] texts $f:ident = $t:tt; $($r:tt)*) => { rpc!(@ $m $n [$($a)* #[prost(string, repeated, tag = $t)] pub $f: Vec<String>,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] blob $f:ident = $t:tt; $($r:tt)*) => { rpc!(@ $m $n [$($a)* #[prost(bytes = "bytes", tag = $t)] pub $f: bytes::Bytes,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] msg $f:ident : $ty:ident = $t:tt; $($r:tt)*) => { rpc!(@ $m $n [$($a)* #[prost(message, optional, tag = $t)] pub $f: Option<$ty>,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] rep $f:ident : $ty:ident = $t:tt; $($r:tt)*) => { rpc!(@ $m $n [$($a)* #[prost(message, repeated, tag = $t)] pub $f: Vec<$ty>,] $($r)*); };
    (@ [$($m:tt)*] $n:ident [$($a:tt)*]) => {
        $($m)*
        #[derive(Clone, PartialEq, prost::Message)]
        pub struct $n { $($a)* }
    };
}

rpc! {
    /// Who answered, and where the cluster stood then.
    ResponseHeader { id cluster_id = "1"; id member_id = "2"; num revision = "3"; id raft_term = "4"; }
    /// A request without fields.
    Nothing {}
    /// An answer of which only the header counts.
    Done { msg header: ResponseHeader = "1"; }
    StatusResponse {
        msg header: ResponseHeader = "1"; text version = "2"; num db_size = "3"; id leader = "4"; id raft_index = "5"; id raft_term = "6"; id raft_applied_index = "7"; texts errors = "8";
        num db_size_in_use = "9"; flag is_learner = "10"; text storage_version = "11"; num db_size_quota = "12";
    }
    Member { id id = "1"; text name = "2"; texts peer_urls = "3"; texts client_urls = "4"; flag is_learner = "5"; }
    /// `linearizable` needs a quorum; without it, a member says what it knows.
    MemberListRequest { flag linearizable = "1"; }
    /// Of list, add, remove and promote; `member` is the added one.
    MemberListResponse { msg header: ResponseHeader = "1"; rep members: Member = "2"; }
    MemberAddRequest { texts peer_urls = "1"; flag is_learner = "2"; }
    MemberAddResponse { msg header: ResponseHeader = "1"; msg member: Member = "2"; rep members: Member = "3"; }
    /// Of remove and promote.
    MemberId { id id = "1"; }
    MoveLeaderRequest { id target = "1"; }
    /// `action`: 0 list, 2 disarm; `alarm`: 1 NOSPACE, 2 CORRUPT.
    AlarmRequest { code action = "1"; id member = "2"; code alarm = "3"; }
    AlarmMember { id member = "1"; code alarm = "2"; }
    AlarmResponse { msg header: ResponseHeader = "1"; rep alarms: AlarmMember = "2"; }
    HashKvRequest { num revision = "1"; }
    HashKvResponse { msg header: ResponseHeader = "1"; hash hash = "2"; num compact_revision = "3"; num hash_revision = "4"; }
    /// `physical`: answer when the space is free.
    CompactionRequest { num revision = "1"; flag physical = "2"; }
    /// The last blob is the SHA-256 of all that came before it.
    SnapshotResponse { id remaining_bytes = "2"; blob blob = "3"; text version = "4"; }
}

/// A call: gRPC's path and what goes over it.
pub struct Method<Q, A> {
    pub path: &'static str,
    shape: std::marker::PhantomData<fn(Q) -> A>,
}

const fn method<Q, A>(path: &'static str) -> Method<Q, A> {
    Method { path, shape: std::marker::PhantomData }
}

pub const STATUS: Method<Nothing, StatusResponse> = method("/etcdserverpb.Maintenance/Status");
pub const ALARM: Method<AlarmRequest, AlarmResponse> = method("/etcdserverpb.Maintenance/Alarm");
pub const DEFRAGMENT: Method<Nothing, Done> = method("/etcdserverpb.Maintenance/Defragment");
pub const HASH_KV: Method<HashKvRequest, HashKvResponse> = method("/etcdserverpb.Maintenance/HashKV");
/// Answers with a stream.
pub const SNAPSHOT: Method<Nothing, SnapshotResponse> = method("/etcdserverpb.Maintenance/Snapshot");
pub const MOVE_LEADER: Method<MoveLeaderRequest, Done> = method("/etcdserverpb.Maintenance/MoveLeader");
pub const MEMBER_LIST: Method<MemberListRequest, MemberListResponse> = method("/etcdserverpb.Cluster/MemberList");
pub const MEMBER_ADD: Method<MemberAddRequest, MemberAddResponse> = method("/etcdserverpb.Cluster/MemberAdd");
pub const MEMBER_REMOVE: Method<MemberId, MemberListResponse> = method("/etcdserverpb.Cluster/MemberRemove");
pub const MEMBER_PROMOTE: Method<MemberId, MemberListResponse> = method("/etcdserverpb.Cluster/MemberPromote");
/// Only whether a read is answered, as `etcdctl endpoint health` asks; keys are nobody's but the API server's.
pub const RANGE: Method<Nothing, Done> = method("/etcdserverpb.KV/Range");
pub const COMPACT: Method<CompactionRequest, Done> = method("/etcdserverpb.KV/Compact");

/// What an alarm is called.
pub fn alarm_name(alarm: i32) -> &'static str {
    match alarm {
        1 => "NOSPACE",
        2 => "CORRUPT",
        _ => "UNKNOWN",
    }
}
