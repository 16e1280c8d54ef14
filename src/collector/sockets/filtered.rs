//! A dump with as much of the filter as the kernel accepts.

use super::sock_diag::bytecode::{self, Dialect};
use super::sock_diag::wire::Query;
use super::sock_diag::{Dump, DumpError, Dumped, Reader};
use crate::filter::Filter;
use crate::model::Socket;

/// Reads with as much of the filter as the kernel accepts: an older one does not know every operation,
/// and matching marks needs a capability. Also returns what the kernel refused, for the steps.
pub(super) fn read(
    filter: &Filter,
    mut query: Query,
    reader: &mut Reader,
    keep: &mut impl FnMut(&Socket) -> bool,
    found: &mut Dumped,
) -> Result<(Dump, Option<String>), DumpError> {
    let mut refusal = None;
    let mut refused = None;
    for dialect in [Dialect::Full, Dialect::Early] {
        query.bytecode = bytecode::compile(filter, dialect);
        if query.bytecode.is_none() || query.bytecode == refused {
            continue;
        }
        match reader.read(&query, keep, found) {
            Err(DumpError::Refused(reason)) => {
                refusal = Some(format!(
                    "; the kernel refused all or part of the filter ({reason}), which was applied here"
                ));
                refused = query.bytecode.take();
            }
            answer => return Ok((answer?, refusal)),
        }
    }
    query.bytecode = None;
    Ok((reader.read(&query, keep, found)?, refusal))
}
