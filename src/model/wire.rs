//! The Kubernetes objects as they come over the wire, naming only the fields that are projected.
//!
//! Each struct reads both encodings: protobuf (field numbers of `generated.proto` in k8s.io/api v0.36.3) and
//! JSON (camel case, absent and `null` alike). Whatever is not named here is skipped while decoding and never
//! allocated. Secret data and managedFields are not named on purpose; environment values and arguments live as long as these structs do,
//! and the projection keeps only what they look like (see `leak`).

use serde::{Deserialize, Deserializer, de};

/// `null` and an absent key both mean the type's zero value in Kubernetes' JSON.
pub(super) fn zero<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(d).map(Option::unwrap_or_default)
}

/// Declares a wire struct. Field kinds: `str`, `int` (i64), `int32`, `bool`, `opt32`, `opt64`, `optbool` (pointers), `msg`, `rep`,
/// `strs`, `map` (string to string), `qmap` (string to quantity).
macro_rules! wire {
    ($($(#[$doc:meta])* $name:ident { $($body:tt)* })*) => { $( wire!(@ [$(#[$doc])*] $name [] $($body)*); )* };
    (@ $m:tt $n:ident [$($a:tt)*] str $f:ident $(($j:tt))? = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(string, tag = $t)] #[serde(deserialize_with = "zero" $(, rename = $j)?)] pub $f: String,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] int $f:ident = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(int64, tag = $t)] #[serde(deserialize_with = "zero")] pub $f: i64,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] int32 $f:ident = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(int32, tag = $t)] #[serde(deserialize_with = "zero")] pub $f: i32,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] bool $f:ident $(($j:tt))? = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(bool, tag = $t)] #[serde(deserialize_with = "zero" $(, rename = $j)?)] pub $f: bool,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] opt32 $f:ident = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(int32, optional, tag = $t)] pub $f: Option<i32>,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] opt64 $f:ident = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(int64, optional, tag = $t)] pub $f: Option<i64>,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] optbool $f:ident = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(bool, optional, tag = $t)] pub $f: Option<bool>,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] msg $f:ident : $ty:ident = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(message, optional, tag = $t)] pub $f: Option<$ty>,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] rep $f:ident : $ty:ident = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(message, repeated, tag = $t)] #[serde(deserialize_with = "zero")] pub $f: Vec<$ty>,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] strs $f:ident $(($j:tt))? = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(string, repeated, tag = $t)] #[serde(deserialize_with = "zero" $(, rename = $j)?)] pub $f: Vec<String>,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] map $f:ident = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(message, repeated, tag = $t)] #[serde(deserialize_with = "pairs")] pub $f: Vec<Pair>,] $($r)*); };
    (@ $m:tt $n:ident [$($a:tt)*] qmap $f:ident = $t:tt; $($r:tt)*) => { wire!(@ $m $n [$($a)* #[prost(message, repeated, tag = $t)] #[serde(deserialize_with = "quantities")] pub $f: Vec<QuantityPair>,] $($r)*); };
    (@ [$($m:tt)*] $n:ident [$($a:tt)*]) => {
        $($m)*
        #[derive(Clone, PartialEq, prost::Message, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $n { $($a)* }
    };
}

/// A map entry, as protobuf writes `map<string, string>`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Pair {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A map entry of `map<string, Quantity>`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct QuantityPair {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<Quantity>,
}

/// A quantity, still as text (`500m`, `1Gi`).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Quantity {
    #[prost(string, tag = "1")]
    pub text: String,
}

/// `Time` and `MicroTime`. All zero means none, not 1970.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Time {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A number or a percentage.
#[derive(Clone, PartialEq, prost::Message)]
pub struct IntOrString {
    /// 0: a number, 1: text.
    #[prost(int64, tag = "1")]
    pub kind: i64,
    #[prost(int32, tag = "2")]
    pub int: i32,
    #[prost(string, tag = "3")]
    pub text: String,
}

struct MapOf<V>(std::marker::PhantomData<V>);
impl<'de, V: Deserialize<'de>> de::Visitor<'de> for MapOf<V> {
    type Value = Vec<(String, V)>;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a map")
    }
    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut out = Vec::with_capacity(map.size_hint().unwrap_or(4));
        while let Some(entry) = map.next_entry()? {
            out.push(entry);
        }
        Ok(out)
    }
}

pub(super) fn pairs<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Pair>, D::Error> {
    let map = d.deserialize_any(MapOf::<Option<String>>(std::marker::PhantomData))?;
    Ok(map.into_iter().map(|(key, value)| Pair { key, value: value.unwrap_or_default() }).collect())
}

fn quantities<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<QuantityPair>, D::Error> {
    let map = d.deserialize_any(MapOf::<Quantity>(std::marker::PhantomData))?;
    Ok(map.into_iter().map(|(key, value)| QuantityPair { key, value: Some(value) }).collect())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Int(i64),
    Float(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self {
            text: match NumberOrText::deserialize(d)? {
                NumberOrText::Int(n) => n.to_string(),
                NumberOrText::Float(n) => n.to_string(),
                NumberOrText::Text(text) => text,
            },
        })
    }
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(match NumberOrText::deserialize(d)? {
            NumberOrText::Int(n) => Self { kind: 0, int: i32::try_from(n).unwrap_or(i32::MAX), text: String::new() },
            NumberOrText::Float(n) => Self { kind: 0, int: n as i32, text: String::new() },
            NumberOrText::Text(text) => Self { kind: 1, int: 0, text },
        })
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let at: jiff::Timestamp = text.parse().map_err(|_| de::Error::custom(format!("not a time: {text:?}")))?;
        Ok(Self { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
    }
}

/// A volume: which kind it is, as far as it matters. JSON has the source's fields in the volume itself.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Volume {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub source: Option<VolumeSource>,
}

impl<'de> Deserialize<'de> for Volume {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Flat {
            #[serde(default)]
            name: String,
            #[serde(flatten)]
            source: VolumeSource,
        }
        Flat::deserialize(d).map(|v| Self { name: v.name, source: Some(v.source) })
    }
}

/// A probe: how it asks, and when. JSON has the handler's fields in the probe itself.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Probe {
    #[prost(message, optional, tag = "1")]
    pub handler: Option<ProbeHandler>,
    #[prost(int32, tag = "2")]
    pub initial_delay_seconds: i32,
    #[prost(int32, tag = "3")]
    pub timeout_seconds: i32,
    #[prost(int32, tag = "4")]
    pub period_seconds: i32,
    #[prost(int32, tag = "6")]
    pub failure_threshold: i32,
}

impl<'de> Deserialize<'de> for Probe {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Flat {
            initial_delay_seconds: Option<i32>,
            timeout_seconds: Option<i32>,
            period_seconds: Option<i32>,
            failure_threshold: Option<i32>,
            #[serde(flatten)]
            handler: ProbeHandler,
        }
        let p = Flat::deserialize(d)?;
        Ok(Self {
            handler: Some(p.handler),
            initial_delay_seconds: p.initial_delay_seconds.unwrap_or_default(),
            timeout_seconds: p.timeout_seconds.unwrap_or_default(),
            period_seconds: p.period_seconds.unwrap_or_default(),
            failure_threshold: p.failure_threshold.unwrap_or_default(),
        })
    }
}

/// What an Ingress has for one host. JSON has the paths in the rule itself.
#[derive(Clone, PartialEq, prost::Message)]
pub struct IngressRule {
    #[prost(string, tag = "1")]
    pub host: String,
    #[prost(message, optional, tag = "2")]
    pub value: Option<IngressRuleValue>,
}

#[derive(Clone, PartialEq, prost::Message, Deserialize)]
#[serde(default)]
pub struct IngressRuleValue {
    #[prost(message, optional, tag = "1")]
    pub http: Option<HttpRule>,
}

impl<'de> Deserialize<'de> for IngressRule {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Rule {
            #[serde(default, deserialize_with = "zero")]
            host: String,
            http: Option<HttpRule>,
        }
        let Rule { host, http } = Rule::deserialize(d)?;
        Ok(Self { host, value: http.map(|http| IngressRuleValue { http: Some(http) }) })
    }
}

wire! {
    ObjectMeta {
        str name = "1"; str namespace = "3"; str uid = "5"; str resource_version = "6"; int generation = "7";
        msg creation_timestamp: Time = "8"; msg deletion_timestamp: Time = "9"; opt64 deletion_grace_period_seconds = "10";
        map labels = "11"; map annotations = "12"; rep owner_references: OwnerReference = "13"; strs finalizers = "14";
    }
    OwnerReference { str kind = "1"; str name = "3"; str uid = "4"; str api_version = "5"; bool controller = "6"; }
    LabelSelector { map match_labels = "1"; rep match_expressions: LabelSelectorRequirement = "2"; }
    LabelSelectorRequirement { str key = "1"; str operator = "2"; strs values = "3"; }
    ResourceRequirements { qmap limits = "1"; qmap requests = "2"; }
    ObjectReference { str kind = "1"; str namespace = "2"; str name = "3"; str uid = "4"; str api_version = "5"; str field_path = "7"; }

    Pod { msg metadata: ObjectMeta = "1"; msg spec: PodSpec = "2"; msg status: PodStatus = "3"; }
    PodTemplateSpec { msg metadata: ObjectMeta = "1"; msg spec: PodSpec = "2"; }
    PodSpec {
        rep containers: Container = "2"; rep init_containers: Container = "20"; str restart_policy = "3"; opt64 termination_grace_period_seconds = "4";
        map node_selector = "7"; str service_account_name = "8"; str node_name = "10"; bool host_network = "11";
        rep tolerations: Toleration = "22"; str priority_class_name = "24"; opt32 priority = "25"; qmap overhead = "32";
        rep scheduling_gates: SchedulingGate = "38"; msg resources: ResourceRequirements = "40"; str scheduler_name = "19";
        rep volumes: Volume = "1"; msg affinity: Affinity = "18"; optbool enable_service_links = "30"; rep topology_spread_constraints: TopologySpreadConstraint = "33";
        str dns_policy = "6"; bool host_pid ("hostPID") = "12"; bool host_ipc ("hostIPC") = "13"; msg security_context: PodSecurityContext = "14";
        optbool automount_service_account_token = "21"; rep host_aliases: HostAlias = "23"; msg dns_config: DnsConfig = "26";
    }
    PodSecurityContext { rep sysctls: Sysctl = "7"; msg windows_options: WindowsOptions = "8"; }
    Sysctl { str name = "1"; }
    WindowsOptions { bool host_process = "4"; }
    HostAlias { strs hostnames = "2"; }
    DnsConfig { strs nameservers = "1"; strs searches = "2"; rep options: DnsOption = "3"; }
    DnsOption { str name = "1"; str value = "2"; }
    VolumeSource { msg host_path: HostPath = "1"; msg empty_dir: EmptyDir = "2"; msg persistent_volume_claim: ClaimSource = "10"; }
    HostPath { str path = "1"; }
    EmptyDir { str medium = "1"; msg size_limit: Quantity = "2"; }
    Affinity { msg node_affinity: NodeAffinity = "1"; msg pod_affinity: PodAffinity = "2"; msg pod_anti_affinity: PodAffinity = "3"; }
    NodeAffinity { msg required_during_scheduling_ignored_during_execution: NodeSelector = "1"; }
    NodeSelector { rep node_selector_terms: NodeSelectorTerm = "1"; }
    NodeSelectorTerm { rep match_expressions: NodeSelectorRequirement = "1"; }
    NodeSelectorRequirement { str key = "1"; str operator = "2"; strs values = "3"; }
    PodAffinity { rep required_during_scheduling_ignored_during_execution: PodAffinityTerm = "1"; rep preferred_during_scheduling_ignored_during_execution: WeightedTerm = "2"; }
    WeightedTerm { msg pod_affinity_term: PodAffinityTerm = "2"; }
    PodAffinityTerm { msg label_selector: LabelSelector = "1"; strs namespaces = "2"; str topology_key = "3"; msg namespace_selector: LabelSelector = "4"; }
    TopologySpreadConstraint { int32 max_skew = "1"; str topology_key = "2"; str when_unsatisfiable = "3"; msg label_selector: LabelSelector = "4"; }
    SchedulingGate { str name = "1"; }
    Toleration { str key = "1"; str operator = "2"; str value = "3"; str effect = "4"; opt64 toleration_seconds = "5"; }
    Container {
        str name = "1"; str image = "2"; rep ports: ContainerPort = "6"; msg resources: ResourceRequirements = "8"; msg liveness_probe: Probe = "10";
        msg readiness_probe: Probe = "11"; msg startup_probe: Probe = "22"; str restart_policy = "24"; strs command = "3"; strs args = "4"; rep env: EnvVar = "7";
        rep volume_mounts: VolumeMount = "9"; msg lifecycle: Lifecycle = "12"; msg security_context: SecurityContext = "15"; rep env_from: EnvFrom = "19";
    }
    ContainerPort { str name = "1"; int32 host_port = "2"; int32 container_port = "3"; str protocol = "4"; }
    EnvVar { str name = "1"; str value = "2"; msg value_from: EnvSource = "3"; }
    EnvSource { msg secret_key_ref: Present = "4"; }
    EnvFrom { msg config_map_ref: Present = "2"; msg secret_ref: Present = "3"; }
    VolumeMount { str name = "1"; bool read_only = "2"; str mount_path = "3"; str mount_propagation = "5"; }
    ProbeHandler { msg exec: Exec = "1"; msg http_get: Present = "2"; msg tcp_socket: Present = "3"; msg grpc: Present = "4"; }
    Exec { strs command = "1"; }
    Lifecycle { msg pre_stop: Hook = "2"; }
    Hook { msg exec: Exec = "1"; msg http_get: Present = "2"; msg sleep: Sleep = "4"; }
    Sleep { int seconds = "1"; }
    SecurityContext { msg capabilities: Capabilities = "1"; bool privileged = "2"; str proc_mount = "9"; msg windows_options: WindowsOptions = "10"; }
    Capabilities { strs add = "1"; }
    /// A message of which only the presence matters.
    Present {}
    PodStatus {
        str phase = "1"; rep conditions: PodCondition = "2"; str message = "3"; str reason = "4"; str host_ip ("hostIP") = "5"; str pod_ip ("podIP") = "6"; msg start_time: Time = "7";
        rep container_statuses: ContainerStatus = "8"; str qos_class = "9"; rep init_container_statuses: ContainerStatus = "10"; str nominated_node_name = "11";
    }
    PodCondition { str r#type = "1"; str status = "2"; msg last_transition_time: Time = "4"; str reason = "5"; str message = "6"; }
    ContainerStatus {
        str name = "1"; msg state: ContainerState = "2"; msg last_state: ContainerState = "3"; bool ready = "4"; int32 restart_count = "5";
        optbool started = "9";
    }
    ContainerState { msg waiting: ContainerStateWaiting = "1"; msg running: ContainerStateRunning = "2"; msg terminated: ContainerStateTerminated = "3"; }
    ContainerStateWaiting { str reason = "1"; str message = "2"; }
    ContainerStateRunning { msg started_at: Time = "1"; }
    ContainerStateTerminated {
        int32 exit_code = "1"; int32 signal = "2"; str reason = "3"; str message = "4"; msg started_at: Time = "5"; msg finished_at: Time = "6";
    }

    Node { msg metadata: ObjectMeta = "1"; msg spec: NodeSpec = "2"; msg status: NodeStatus = "3"; }
    NodeSpec { str pod_cidr ("podCIDR") = "1"; str provider_id ("providerID") = "3"; bool unschedulable = "4"; rep taints: Taint = "5"; }
    Taint { str key = "1"; str value = "2"; str effect = "3"; msg time_added: Time = "4"; }
    NodeStatus {
        qmap capacity = "1"; qmap allocatable = "2"; rep conditions: NodeCondition = "4"; rep addresses: NodeAddress = "5"; msg node_info: NodeSystemInfo = "7";
    }
    NodeCondition { str r#type = "1"; str status = "2"; msg last_transition_time: Time = "4"; str reason = "5"; str message = "6"; }
    NodeAddress { str r#type = "1"; str address = "2"; }
    NodeSystemInfo {
        str kernel_version = "4"; str os_image = "5"; str container_runtime_version = "6"; str kubelet_version = "7"; str operating_system = "9"; str architecture = "10";
    }

    Event {
        msg metadata: ObjectMeta = "1"; msg involved_object: ObjectReference = "2"; str reason = "3"; str message = "4"; msg source: EventSource = "5";
        msg first_timestamp: Time = "6"; msg last_timestamp: Time = "7"; int32 count = "8"; str r#type = "9"; msg event_time: Time = "10";
        msg series: EventSeries = "11"; str reporting_component = "14";
    }
    EventSource { str component = "1"; str host = "2"; }
    EventSeries { int32 count = "1"; msg last_observed_time: Time = "2"; }

    Namespace { msg metadata: ObjectMeta = "1"; msg status: NamespaceStatus = "3"; }
    NamespaceStatus { str phase = "1"; rep conditions: NamespaceCondition = "2"; }
    NamespaceCondition { str r#type = "1"; str status = "2"; msg last_transition_time: Time = "4"; str reason = "5"; str message = "6"; }

    Deployment { msg metadata: ObjectMeta = "1"; msg spec: DeploymentSpec = "2"; msg status: DeploymentStatus = "3"; }
    DeploymentSpec {
        opt32 replicas = "1"; msg selector: LabelSelector = "2"; msg template: PodTemplateSpec = "3"; msg strategy: DeploymentStrategy = "4"; int32 min_ready_seconds = "5"; bool paused = "7"; opt32 progress_deadline_seconds = "9";
    }
    DeploymentStrategy { str r#type = "1"; msg rolling_update: RollingUpdate = "2"; }
    RollingUpdate { msg max_unavailable: IntOrString = "1"; msg max_surge: IntOrString = "2"; }
    DeploymentStatus {
        int observed_generation = "1"; int32 replicas = "2"; int32 updated_replicas = "3"; int32 available_replicas = "4"; int32 unavailable_replicas = "5";
        rep conditions: DeploymentCondition = "6"; int32 ready_replicas = "7";
    }
    DeploymentCondition { str r#type = "1"; str status = "2"; str reason = "4"; str message = "5"; msg last_update_time: Time = "6"; msg last_transition_time: Time = "7"; }

    StatefulSet { msg metadata: ObjectMeta = "1"; msg spec: StatefulSetSpec = "2"; msg status: StatefulSetStatus = "3"; }
    StatefulSetSpec { opt32 replicas = "1"; msg selector: LabelSelector = "2"; msg template: PodTemplateSpec = "3"; str service_name = "5"; msg update_strategy: StatefulSetStrategy = "7"; }
    StatefulSetStrategy { str r#type = "1"; msg rolling_update: StatefulSetRollingUpdate = "2"; }
    StatefulSetRollingUpdate { opt32 partition = "1"; }
    StatefulSetStatus {
        int observed_generation = "1"; int32 replicas = "2"; int32 ready_replicas = "3"; int32 current_replicas = "4"; int32 updated_replicas = "5";
        str current_revision = "6"; str update_revision = "7"; int32 available_replicas = "11";
    }

    DaemonSet { msg metadata: ObjectMeta = "1"; msg spec: DaemonSetSpec = "2"; msg status: DaemonSetStatus = "3"; }
    DaemonSetSpec { msg selector: LabelSelector = "1"; msg template: PodTemplateSpec = "2"; msg update_strategy: DeploymentStrategy = "3"; }
    DaemonSetStatus {
        int32 current_number_scheduled = "1"; int32 number_misscheduled = "2"; int32 desired_number_scheduled = "3"; int32 number_ready = "4"; int observed_generation = "5";
        int32 updated_number_scheduled = "6"; int32 number_available = "7"; int32 number_unavailable = "8";
    }

    ReplicaSet { msg metadata: ObjectMeta = "1"; msg spec: ReplicaSetSpec = "2"; msg status: ReplicaSetStatus = "3"; }
    ReplicaSetSpec { opt32 replicas = "1"; msg selector: LabelSelector = "2"; msg template: PodTemplateSpec = "3"; }
    ReplicaSetStatus { int32 replicas = "1"; int observed_generation = "3"; int32 ready_replicas = "4"; int32 available_replicas = "5"; rep conditions: PodCondition6 = "6"; }
    /// ReplicaSet's condition: its own field numbers.
    PodCondition6 { str r#type = "1"; str status = "2"; msg last_transition_time: Time = "3"; str reason = "4"; str message = "5"; }

    Job { msg metadata: ObjectMeta = "1"; msg spec: JobSpec = "2"; msg status: JobStatus = "3"; }
    JobSpec {
        opt32 parallelism = "1"; opt32 completions = "2"; opt64 active_deadline_seconds = "3"; msg selector: LabelSelector = "4"; msg template: PodTemplateSpec = "6";
        opt32 backoff_limit = "7"; opt32 ttl_seconds_after_finished = "8"; optbool suspend = "10";
    }
    JobStatus {
        rep conditions: JobCondition = "1"; msg start_time: Time = "2"; msg completion_time: Time = "3"; int32 active = "4"; int32 succeeded = "5"; int32 failed = "6"; opt32 ready = "9";
    }
    JobCondition { str r#type = "1"; str status = "2"; msg last_transition_time: Time = "4"; str reason = "5"; str message = "6"; }

    CronJob { msg metadata: ObjectMeta = "1"; msg spec: CronJobSpec = "2"; msg status: CronJobStatus = "3"; }
    CronJobSpec { str schedule = "1"; str concurrency_policy = "3"; optbool suspend = "4"; msg job_template: JobTemplateSpec = "5"; str time_zone = "8"; }
    JobTemplateSpec { msg spec: JobSpec = "2"; }
    CronJobStatus { rep active: ObjectReference = "1"; msg last_schedule_time: Time = "4"; msg last_successful_time: Time = "5"; }

    HorizontalPodAutoscaler { msg metadata: ObjectMeta = "1"; msg spec: HpaSpec = "2"; msg status: HpaStatus = "3"; }
    HpaSpec { msg scale_target_ref: CrossVersionObjectReference = "1"; opt32 min_replicas = "2"; int32 max_replicas = "3"; rep metrics: MetricSpec = "4"; }
    CrossVersionObjectReference { str kind = "1"; str name = "2"; str api_version = "3"; }
    HpaStatus {
        int observed_generation = "1"; msg last_scale_time: Time = "2"; int32 current_replicas = "3"; int32 desired_replicas = "4"; rep current_metrics: MetricStatus = "5"; rep conditions: PodCondition6 = "6";
    }
    MetricSpec {
        str r#type = "1"; msg object: ObjectMetric = "2"; msg pods: NamedMetric = "3"; msg resource: ResourceMetric = "4"; msg external: NamedMetric = "5"; msg container_resource: ResourceMetric = "7";
    }
    ResourceMetric { str name = "1"; msg target: MetricTarget = "2"; str container = "3"; }
    NamedMetric { msg metric: MetricIdentifier = "1"; msg target: MetricTarget = "2"; }
    ObjectMetric { msg described_object: CrossVersionObjectReference = "1"; msg target: MetricTarget = "2"; msg metric: MetricIdentifier = "3"; }
    MetricIdentifier { str name = "1"; }
    MetricTarget { str r#type = "1"; msg value: Quantity = "2"; msg average_value: Quantity = "3"; opt32 average_utilization = "4"; }
    MetricStatus {
        str r#type = "1"; msg object: ObjectMetricStatus = "2"; msg pods: NamedMetricStatus = "3"; msg resource: ResourceMetricStatus = "4"; msg external: NamedMetricStatus = "5"; msg container_resource: ResourceMetricStatus = "7";
    }
    ResourceMetricStatus { str name = "1"; msg current: MetricValue = "2"; str container = "3"; }
    NamedMetricStatus { msg metric: MetricIdentifier = "1"; msg current: MetricValue = "2"; }
    ObjectMetricStatus { msg metric: MetricIdentifier = "1"; msg current: MetricValue = "2"; msg described_object: CrossVersionObjectReference = "3"; }
    MetricValue { msg value: Quantity = "1"; msg average_value: Quantity = "2"; opt32 average_utilization = "3"; }

    ClaimSource { str claim_name = "1"; }
    PersistentVolumeClaim { msg metadata: ObjectMeta = "1"; msg spec: ClaimSpec = "2"; msg status: ClaimStatus = "3"; }
    ClaimSpec { strs access_modes = "1"; msg resources: ResourceRequirements = "2"; str volume_name = "3"; str storage_class_name = "5"; str volume_mode = "6"; }
    ClaimStatus { str phase = "1"; qmap capacity = "3"; rep conditions: ClaimCondition = "4"; }
    ClaimCondition { str r#type = "1"; str status = "2"; msg last_transition_time: Time = "4"; str reason = "5"; str message = "6"; }

    Service { msg metadata: ObjectMeta = "1"; msg spec: ServiceSpec = "2"; msg status: ServiceStatus = "3"; }
    ServiceSpec {
        rep ports: ServicePort = "1"; map selector = "2"; str cluster_ip ("clusterIP") = "3"; str r#type = "4"; strs external_ips ("externalIPs") = "5";
        str external_name = "10"; bool publish_not_ready_addresses = "13";
    }
    ServicePort { str name = "1"; str protocol = "2"; int32 port = "3"; msg target_port: IntOrString = "4"; int32 node_port = "5"; str app_protocol = "6"; }
    ServiceStatus { msg load_balancer: LoadBalancer = "1"; }
    /// Of a Service or an Ingress.
    LoadBalancer { rep ingress: LoadBalancerAddress = "1"; }
    LoadBalancerAddress { str ip = "1"; str hostname = "2"; }

    EndpointSlice { msg metadata: ObjectMeta = "1"; rep endpoints: Endpoint = "2"; str address_type = "4"; }
    Endpoint { msg conditions: EndpointConditions = "2"; }
    EndpointConditions { optbool ready = "1"; optbool serving = "2"; optbool terminating = "3"; }

    Ingress { msg metadata: ObjectMeta = "1"; msg spec: IngressSpec = "2"; msg status: IngressStatus = "3"; }
    IngressSpec { msg default_backend: IngressBackend = "1"; rep tls: IngressTls = "2"; rep rules: IngressRule = "3"; str ingress_class_name = "4"; }
    IngressBackend { msg service: IngressService = "4"; }
    IngressService { str name = "1"; msg port: IngressPort = "2"; }
    IngressPort { str name = "1"; int32 number = "2"; }
    IngressTls { strs hosts = "1"; str secret_name = "2"; }
    HttpRule { rep paths: HttpPath = "1"; }
    HttpPath { str path = "1"; msg backend: IngressBackend = "2"; str path_type = "3"; }
    IngressStatus { msg load_balancer: LoadBalancer = "1"; }

    PodDisruptionBudget { msg metadata: ObjectMeta = "1"; msg spec: PdbSpec = "2"; msg status: PdbStatus = "3"; }
    PdbSpec { msg min_available: IntOrString = "1"; msg selector: LabelSelector = "2"; msg max_unavailable: IntOrString = "3"; str unhealthy_pod_eviction_policy = "4"; }
    PdbStatus {
        int observed_generation = "1"; int32 disruptions_allowed = "3"; int32 current_healthy = "4"; int32 desired_healthy = "5"; int32 expected_pods = "6"; rep conditions: MetaCondition = "7";
    }
    /// metav1.Condition.
    MetaCondition { str r#type = "1"; str status = "2"; msg last_transition_time: Time = "4"; str reason = "5"; str message = "6"; }

    /// Where a re-list or a bookmark stands.
    ListMeta { str resource_version = "2"; str r#continue = "3"; opt64 remaining_item_count = "4"; }
    /// The API's error answer.
    Status { str status = "2"; str message = "3"; str reason = "4"; int32 code = "6"; msg details: StatusDetails = "5"; }
    StatusDetails { str name = "1"; str group = "2"; str kind = "3"; rep causes: StatusCause = "4"; int32 retry_after_seconds = "5"; }
    StatusCause { str reason ("reason") = "1"; str message = "2"; str field = "3"; }
}
