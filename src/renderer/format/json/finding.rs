//! A finding: its facts, and its words.

use serde::Serialize;

use crate::classifier::arrivals::Arrivals;
use crate::classifier::defaults::{self, Setting};
use crate::classifier::finding::Finding;
use crate::classifier::pool::PoolVerdict;
use crate::classifier::send_progress::HalfClosed;
use crate::classifier::service::ServiceEnd;
use crate::model::{Cause, Protocol, Side};
use crate::renderer::findings;
use crate::renderer::format::json::chain::{HopJson, RequestsJson};
use crate::renderer::format::json::context::{Context, EndpointJson, NameJson, Process};
use crate::renderer::format::json::group::{RecvQJson, SpreadJson};
use crate::renderer::format::json::growth::SetGrowthJson;
use crate::renderer::format::json::legs::{self, LegsJson, WaitingJson};
use crate::renderer::format::json::peeked::PeeksJson;
use crate::renderer::format::json::process::EvidenceJson;
use crate::renderer::format::json::workers::{self, WorkersJson};

#[derive(Serialize)]
pub(super) struct FindingJson<'a> {
    severity: &'static str,
    cause: &'static str,
    sockets: u64,
    netns: Option<NameJson<'a>>,
    side: Option<&'static str>,
    local_port: Option<u16>,
    remote: Option<EndpointJson<'a>>,
    device: Option<String>,
    ends: u32,
    owner_kind: Option<&'static str>,
    owners: Vec<Process<'a>>,
    summary: String,
    meaning: String,
    culprit: Option<CulpritJson<'a>>,
    requests: Vec<RequestsJson<'a>>,
    chain: Vec<HopJson<'a>>,
    parts: Vec<PartJson<'a>>,
    retired: Option<RetiredJson<'a>>,
    legs: Option<LegsJson>,
    waiting: Option<WaitingJson>,
    evidence: Vec<String>,
    next_steps: Vec<String>,
    recv_q: RecvQJson,
    idle_ms: Option<SpreadJson>,
    arrivals: Option<ArrivalsJson>,
    patience_ms: Option<PatienceJson>,
    pool: Option<PoolJson>,
    half_closed: Option<HalfClosedJson>,
    fd_percent: Option<u64>,
    workers: WorkersJson<'a>,
    processes: Vec<EvidenceJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peeked: Option<PeeksJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    growth: Option<SetGrowthJson>,
}

impl<'a> Context<'a> {
    pub(super) fn finding(&self, finding: &'a Finding) -> FindingJson<'a> {
        let set = &finding.set;
        let (local_port, remote, ends) = match set.end {
            ServiceEnd::One(one) => {
                let (local_port, remote) = self.service(one, Protocol::Tcp);
                (local_port, remote, 1)
            }
            ServiceEnd::Several(_, ends) => (None, None, ends),
        };
        FindingJson {
            severity: finding.severity.name(),
            cause: set.cause.name(),
            sockets: set.sockets,
            netns: match set.cause {
                // Their namespace is unknown, too.
                Cause::DeadDescriptors => None,
                _ => self.netns(set.netns),
            },
            side: set.end.side().map(Side::name),
            local_port,
            remote,
            device: match set.end {
                ServiceEnd::One(service) => self.device(set.netns, service.device),
                ServiceEnd::Several(..) => None,
            },
            ends,
            owner_kind: set.owner.kind,
            owners: (set.owner.pids.iter())
                .map(|pid| self.owner(*pid, &finding.identities))
                .collect(),
            summary: findings::summary(self.report, finding),
            meaning: findings::meaning(finding),
            culprit: finding.culprit.map(|culprit| CulpritJson {
                kind: culprit.name(),
                pid: culprit.pid().map(|pid| pid.0),
                remote: (culprit.remote()).map(|remote| self.end(remote, Protocol::Tcp)),
            }),
            requests: self.requests(&set.requests, &finding.evidence),
            chain: finding.chain.iter().map(|hop| self.hop(hop)).collect(),
            parts: (finding.parts.iter())
                .map(|part| PartJson {
                    cause: part.cause.name(),
                    sockets: part.sockets,
                    owner_kind: part.owner.kind,
                    owners: self.processes(&part.owner.pids),
                })
                .collect(),
            retired: finding.old_workers.as_ref().map(|retired| RetiredJson {
                processes: self.processes(&retired.pids),
                successor: retired.successor.map(|pid| self.process(pid)),
                says_so: retired.says_so,
            }),
            legs: legs::legs(finding),
            waiting: legs::waiting(finding),
            evidence: findings::evidence(self.report, finding),
            next_steps: findings::next_steps(self.report, finding),
            recv_q: set.recv_q.into(),
            idle_ms: set.idle.map(SpreadJson::from),
            arrivals: set.arrivals.map(ArrivalsJson::from),
            patience_ms: set.patience.map(|patience| PatienceJson {
                sockets: patience.sockets,
                p50: patience.p50_ms,
                p90: patience.p90_ms,
                cluster: patience.cluster_ms,
                equals: defaults::equal(self.report, set)
                    .into_iter()
                    .map(SettingJson::from)
                    .collect(),
            }),
            pool: set.pool.map(|pool| PoolJson {
                story: set.pool_verdict.map(PoolVerdict::name),
                shape: pool.pattern.map(|pattern| pattern.kind.name()),
                times: pool.basis.name(),
                newest_ms: pool.pattern.map(|pattern| pattern.newest_ms),
                oldest_ms: pool.pattern.map(|pattern| pattern.oldest_ms),
                per_minute: pool
                    .pattern
                    .and_then(|pattern| pattern.per_minute())
                    .map(tenths),
                close_wait: pool.closed,
                established: pool.open,
                callers: pool.callers,
            }),
            half_closed: (set.half_closed != HalfClosed::default()).then(|| {
                let of = set.half_closed;
                HalfClosedJson {
                    certain: of.certain,
                    window_shut: of.shut,
                    window_shut_ms: (of.shut > 0).then_some(of.shut_ms),
                    unanswered: of.unanswered,
                }
            }),
            fd_percent: finding.fd_percent,
            workers: workers::workers(&finding.workers, &self.report.resolved),
            processes: finding
                .evidence
                .iter()
                .map(|evidence| self.evidence(evidence, finding.beginning(evidence.pid)))
                .collect(),
            peeked: finding.peeks.as_ref().map(Into::into),
            growth: SetGrowthJson::of(finding),
        }
    }
}

/// Who or what is at fault, if not the program that holds the sockets.
#[derive(Serialize)]
pub(super) struct CulpritJson<'a> {
    kind: &'static str,
    /// The process or thread that it is about.
    pid: Option<u32>,
    remote: Option<EndpointJson<'a>>,
}

/// Sockets of another cause that the same culprit explains.
#[derive(Serialize)]
pub(super) struct PartJson<'a> {
    cause: &'static str,
    sockets: u64,
    owner_kind: Option<&'static str>,
    owners: Vec<Process<'a>>,
}

/// Holders that a reload has replaced.
#[derive(Serialize)]
pub(super) struct RetiredJson<'a> {
    processes: Vec<Process<'a>>,
    successor: Option<Process<'a>>,
    says_so: bool,
}

/// How long peers waited before they hung up.
#[derive(Serialize)]
pub(super) struct PatienceJson {
    sockets: u64,
    p50: u32,
    p90: u32,
    /// The timeout that they share, if they do.
    cluster: Option<u32>,
    /// The settings whose default it equals.
    equals: Vec<SettingJson>,
}

/// A setting with a default timeout.
#[derive(Serialize)]
struct SettingJson {
    name: &'static str,
    default_ms: u32,
    source: &'static str,
    checked: &'static str,
}

impl From<&Setting> for SettingJson {
    fn from(setting: &Setting) -> SettingJson {
        SettingJson {
            name: setting.name,
            default_ms: setting.milliseconds,
            source: setting.source,
            checked: setting.checked,
        }
    }
}

/// The connections of a program to a service that closed some of them.
#[derive(Serialize)]
pub(super) struct PoolJson {
    story: Option<&'static str>,
    shape: Option<&'static str>,
    times: &'static str,
    newest_ms: Option<u64>,
    oldest_ms: Option<u64>,
    per_minute: Option<f64>,
    close_wait: u64,
    established: Option<u64>,
    callers: Option<u64>,
}

/// When the sockets came, by the bounds of their ages.
#[derive(Serialize)]
pub(super) struct ArrivalsJson {
    oldest_ms: u64,
    half_younger_than_ms: Option<u64>,
    recent: Option<RecentJson>,
}

/// How many came recently.
#[derive(Serialize)]
struct RecentJson {
    window_ms: u64,
    at_least: u64,
    at_most: u64,
    at_least_per_min: f64,
    at_most_per_min: f64,
}

impl From<Arrivals> for ArrivalsJson {
    fn from(arrivals: Arrivals) -> ArrivalsJson {
        ArrivalsJson {
            oldest_ms: arrivals.oldest_ms,
            half_younger_than_ms: arrivals.half_ms,
            recent: arrivals.recent.map(|recent| {
                let [at_least_per_min, at_most_per_min] = recent.per_minute().map(tenths);
                RecentJson {
                    window_ms: recent.window_ms,
                    at_least: recent.at_least,
                    at_most: recent.at_most,
                    at_least_per_min,
                    at_most_per_min,
                }
            }),
        }
    }
}

/// With one decimal.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// Facts about peers that may have closed one direction only.
#[derive(Serialize)]
pub(super) struct HalfClosedJson {
    certain: u64,
    window_shut: u64,
    window_shut_ms: Option<u64>,
    unanswered: u64,
}
