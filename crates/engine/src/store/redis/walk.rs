//! A walk over the names that there are in Redis (`SCAN`), server by server.
//!
//! What it costs falls on whoever asks, is bounded, and holds a server up for no longer than one page. What comes or goes
//! meanwhile may or may not be seen; what stays is seen, perhaps twice.

use std::{pin::pin, sync::Arc};

use redis::{Cmd, Value};

use super::{
    Shared,
    server::{Link, Use},
};
use crate::store::StoreError;

/// Names looked at with one command: some 0.3 ms of the server's time.
const PAGE_NAMES: usize = 500;

/// Where a walk is.
pub(super) struct Walk<'a> {
    shared: &'a Shared,
    /// The servers that are left, and where to go on there.
    places: Vec<(Arc<Link>, String)>,
    names_max: u64,
    /// Names looked at, those of other programs and namespaces included.
    pub(super) names_seen: u64,
    /// Names that there are.
    pub(super) names_total: u64,
    /// Whether all were looked at.
    pub(super) complete: bool,
}

/// Some names of one server.
pub(super) struct Page {
    link: Arc<Link>,
    names: Vec<Vec<u8>>,
}

impl<'a> Walk<'a> {
    /// At the beginning of a walk over about `names_max` names (500 more, at most).
    pub(super) async fn begin(shared: &'a Shared, names_max: u64) -> Result<Self, StoreError> {
        let connection = &shared.connection;
        connection.in_time(connection.topology().discover()).await?;
        let mut walk = Self { shared, places: Vec::new(), names_max, names_seen: 0, names_total: 0, complete: true };
        for server in connection.topology().servers() {
            let link = connection.in_time(server.link(Use::Shared)).await?;
            walk.names_total += shared.answered::<u64>(link.send(&redis::cmd("DBSIZE"))).await?;
            walk.places.push((link, "0".to_owned()));
        }
        Ok(walk)
    }

    /// The next page; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, StoreError> {
        let Some((link, cursor)) = self.places.pop() else { return Ok(None) };
        if self.names_seen >= self.names_max {
            self.complete = false;
            return Ok(None);
        }
        let mut command = redis::cmd("SCAN");
        // No pattern: it would not be cheaper, and what was seen could not be told from what there is.
        command.arg(&cursor).arg("COUNT").arg(PAGE_NAMES);
        let (next, names): (String, Vec<Vec<u8>>) = self.shared.answered(link.send(&command)).await?;
        self.names_seen += names.len() as u64;
        if next != "0" {
            self.places.push((link.clone(), next));
        }
        Ok(Some(Page { link, names }))
    }
}

impl Page {
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.names.iter().map(Vec::as_slice)
    }

    /// The answers to a command about each of some names, in their order.
    pub(super) async fn ask_each(
        &self,
        shared: &Shared,
        names: &[&[u8]],
        command: impl Fn(&[u8]) -> Cmd,
    ) -> Result<Vec<Value>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut pipeline = redis::pipe();
        names.iter().for_each(|name| {
            pipeline.add_command(command(name));
        });
        shared.until(shared.deadline(), pin!(self.link.send_all(&pipeline))).await
    }
}
