//! What a descriptor refers to.

use serde::Serialize;

use crate::model::{Protocol, Resolved, WaitTarget};
use crate::renderer::format::json::context::EndpointJson;

/// What a descriptor refers to: one of the three, or none.
#[derive(Serialize)]
pub(super) struct TargetJson<'a> {
    remote: Option<EndpointJson<'a>>,
    listener: Option<EndpointJson<'a>>,
    file: Option<String>,
}

impl<'a> TargetJson<'a> {
    pub(super) fn of(target: Option<&'a WaitTarget>, names: &'a Resolved) -> TargetJson<'a> {
        let end = |end| Some(EndpointJson::named(end, Protocol::Tcp, names));
        let (remote, listener, file) = match target {
            Some(WaitTarget::Remote(remote)) => (end(*remote), None, None),
            Some(WaitTarget::Listener(listener)) => (None, end(*listener), None),
            Some(WaitTarget::File(name)) => (None, None, Some(name.lossy().into())),
            None => (None, None, None),
        };
        TargetJson {
            remote,
            listener,
            file,
        }
    }
}
