//! What grew between two readings, in JSON.

use serde::Serialize;

use crate::classifier::change::SetGrowth;
use crate::classifier::finding::Finding;
use crate::model::FdLimit;
use crate::renderer::format::json::context::Context;
use crate::renderer::format::json::group::{ChangeJson, GroupJson};
use crate::renderer::growth;
use crate::renderer::since::Since;

/// Two readings.
#[derive(Serialize)]
pub(super) struct GrowthJson<'a> {
    between_ms: u64,
    told_by: &'static str,
    namespaces_left_out: usize,
    /// What is uncertain about the comparison, in words.
    uncertain: Vec<String>,
    total: ChangeJson,
    /// The groups that only the earlier reading has.
    gone_groups: Vec<GroupJson<'a>>,
}

impl<'a> GrowthJson<'a> {
    /// `before` is the context of the earlier reading.
    pub(super) fn of(since: Since<'a>, before: &Context<'a>) -> GrowthJson<'a> {
        let growth = since.growth;
        let gone = growth.gone_groups.iter();
        GrowthJson {
            between_ms: growth.between_ms,
            told_by: growth.identity.name(),
            namespaces_left_out: growth.one_sided,
            uncertain: growth::notes(growth),
            total: ChangeJson::of(&growth.total, growth.between_ms),
            gone_groups: gone.map(|group| before.group(group, None)).collect(),
        }
    }
}

/// How the sockets of a finding grew.
#[derive(Serialize)]
pub(super) struct SetGrowthJson {
    #[serde(flatten)]
    change: ChangeJson,
    /// When the holders have no descriptor left.
    fd_limits: Vec<FullJson>,
}

#[derive(Serialize)]
struct FullJson {
    pid: u32,
    full_in_ms: u64,
}

impl SetGrowthJson {
    pub(super) fn of(finding: &Finding) -> Option<SetGrowthJson> {
        let set: &SetGrowth = finding.growth.as_ref()?;
        let full = finding.evidence.iter().filter_map(|evidence| {
            let limit = evidence.fd_limit.and_then(FdLimit::files)?;
            Some(FullJson {
                pid: evidence.pid.0,
                full_in_ms: set.full_in_ms(evidence.pid, evidence.open_fds?, limit)?,
            })
        });
        Some(SetGrowthJson {
            change: ChangeJson::of(&set.change, set.between_ms),
            fd_limits: full.collect(),
        })
    }
}
