//! The services beside the API server that tell of a cluster: how each is called, and how it stands.

use super::{Kind, KindState, Str};

/// A service of a cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Service {
    Etcd,
    Alertmanager,
    Prometheus,
    Metrics,
    Velero,
}

/// What a service is called, and how it is had.
pub struct ServiceInfo {
    pub service: Service,
    /// As settings and `qd doctor` call it.
    pub name: &'static str,
    /// What it tells, in one line.
    pub doc: &'static str,
    /// What to do where there is none: what to configure, or to install.
    pub hint: &'static str,
}

static SERVICES: [ServiceInfo; 5] = [
    ServiceInfo {
        service: Service::Etcd,
        name: "etcd",
        doc: "members, quorum, alarms, size and latency",
        hint: "no etcd is configured or found; [clusters.CONTEXT.etcd] takes endpoints, ca, cert and key",
    },
    ServiceInfo {
        service: Service::Alertmanager,
        name: "alertmanager",
        doc: "alerts and silences",
        hint: "no Alertmanager is configured or found; [clusters.CONTEXT.alertmanager] takes urls or service",
    },
    ServiceInfo {
        service: Service::Prometheus,
        name: "prometheus",
        doc: "rules, targets and series",
        hint: "no Prometheus is configured or found; [clusters.CONTEXT.prometheus] takes url or service",
    },
    ServiceInfo {
        service: Service::Metrics,
        name: "metrics",
        doc: "use of cpu and memory by nodes and pods: metrics.k8s.io",
        hint: "this server has no metrics.k8s.io; metrics-server gives it",
    },
    ServiceInfo {
        service: Service::Velero,
        name: "velero",
        doc: "backups, restores, schedules and storage locations",
        hint: "Velero is not installed: this server has no velero.io/v1",
    },
];

impl Service {
    /// The register.
    pub const ALL: [Self; 5] = [Self::Etcd, Self::Alertmanager, Self::Prometheus, Self::Metrics, Self::Velero];

    /// Names and words.
    pub fn info(self) -> &'static ServiceInfo {
        &SERVICES[self as usize]
    }
    /// As settings and `qd doctor` call it.
    pub fn name(self) -> &'static str {
        self.info().name
    }
    /// The kinds whose rows it sends itself. Velero's are objects of the API server.
    pub fn kinds(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |k| k.service() == Some(self))
    }
}

/// How a service stands in one cluster.
#[derive(Clone, PartialEq, Debug)]
pub enum ServiceState {
    /// Neither configured nor found: what to configure, in words.
    Absent {
        hint: Str,
    },
    /// Asked, no answer yet.
    Waiting,
    Live,
    /// It answered before and does not now; its rows are that old. The reason in words.
    Stale {
        reason: Str,
    },
    /// It answers with something else, or never did; the reason in words.
    Failing {
        reason: Str,
    },
    /// 401 or 403: the permission that is missing, in words.
    Forbidden {
        missing: Str,
    },
}

/// What is said of a 401 or 403: the permission that is missing, or the refusal in the server's own words.
pub fn refused(missing: &str) -> String {
    let told = ["may not ", "forbidden", "credentials refused"].iter().any(|word| missing.contains(word));
    if told { missing.to_owned() } else { format!("forbidden, needs {missing}") }
}

impl ServiceState {
    /// What holds of a service that nobody has begun to ask.
    pub fn absent(service: Service) -> Self {
        Self::Absent { hint: service.info().hint.into() }
    }
    /// One word, as JSON and `qd doctor` have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Absent { .. } => "absent",
            Self::Waiting => "waiting",
            Self::Live => "live",
            Self::Stale { .. } => "stale",
            Self::Failing { .. } => "failing",
            Self::Forbidden { .. } => "forbidden",
        }
    }
    /// Why it is not live, or what to do, in words.
    pub fn reason(&self) -> Option<&Str> {
        match self {
            Self::Absent { hint } => Some(hint),
            Self::Stale { reason } | Self::Failing { reason } => Some(reason),
            Self::Forbidden { missing } => Some(missing),
            Self::Waiting | Self::Live => None,
        }
    }
    /// How the kinds that it sends stand then.
    pub fn of_kinds(&self) -> KindState {
        match self {
            Self::Absent { .. } => KindState::Missing,
            Self::Waiting => KindState::Waiting,
            Self::Live => KindState::Live,
            Self::Stale { reason } | Self::Failing { reason } => KindState::Failing { reason: reason.clone() },
            Self::Forbidden { missing } => KindState::Forbidden { missing: missing.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_register_is_in_order_and_says_who_sends_what() {
        for (n, service) in Service::ALL.into_iter().enumerate() {
            assert_eq!((service as usize, service.info().service), (n, service));
            assert!(!service.info().hint.is_empty() && !service.info().doc.is_empty());
        }
        assert_eq!(Service::Alertmanager.kinds().collect::<Vec<_>>(), [Kind::Alert, Kind::Silence]);
        assert_eq!(Service::Velero.kinds().count(), 0);
    }
}
