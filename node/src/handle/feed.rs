//! Events as a client follows them: the journal first, then what happens.

use std::collections::VecDeque;

use tokio::sync::{broadcast, watch};

use super::{Events, Node, Result};
use crate::api::dto::{Event, EventBody};
use crate::engine::{Ctx, JournalRow, journal};
use crate::service::ServiceError;
use crate::store::{Order, StoreError, Tree};
use crate::view;

/// Most journal rows that are read at once.
const PAGE: usize = 200;

impl Events<'_> {
    /// Follows events after journal row `since`; from now on without one.
    ///
    /// # Errors
    /// [`ServiceError`] when the node has stopped.
    pub async fn subscribe(&self, since: Option<u64>) -> Result<EventFeed> {
        let node = self.0.clone();
        // Subscribed before the journal is read, so that nothing falls in between.
        let volatile = node.engine.volatile();
        let journal = node.engine.journal();
        let last = self.0.view(|ctx| Ok(ctx.cursor())).await?;
        let read_up_to = since.unwrap_or(last);
        Ok(EventFeed {
            node,
            journal,
            volatile,
            read_up_to,
            cursor: last,
            pending: VecDeque::new(),
            lagged: false,
            reset: read_up_to > last,
        })
    }
}

/// Events as one client follows them.
#[derive(Debug)]
pub struct EventFeed {
    node: Node,
    journal: watch::Receiver<u64>,
    volatile: broadcast::Receiver<EventBody>,
    read_up_to: u64,
    cursor: u64,
    pending: VecDeque<Event>,
    lagged: bool,
    reset: bool,
}

impl EventFeed {
    /// The last journal row when this began.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether it ended because the client was too slow.
    #[must_use]
    pub fn lagged(&self) -> bool {
        self.lagged
    }

    /// The next event; `None` at the end. A `reset` is the last one: what the client knows is
    /// too old, or from another store.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if std::mem::take(&mut self.reset) {
                return Some(Event::reset());
            }
            if let Some(event) = self.pending.pop_front() {
                if let Some(seq) = event.seq {
                    self.read_up_to = seq;
                }
                return Some(event);
            }
            if *self.journal.borrow_and_update() > self.read_up_to {
                self.read_journal().await.ok()?;
                continue;
            }
            tokio::select! {
                changed = self.journal.changed() => changed.ok()?,
                event = self.volatile.recv() => match event {
                    Ok(event) => return Some(Event::volatile(event)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        self.lagged = true;
                        return None;
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
            }
        }
    }

    async fn read_journal(&mut self) -> std::result::Result<(), ServiceError> {
        let after = self.read_up_to;
        let (events, last, whole) = self.node.view(move |ctx| rows(ctx, after)).await?;
        if whole {
            // Rows whose thing is gone tell nothing, and still count as read.
            self.read_up_to = if events.is_empty() { last } else { self.read_up_to };
            self.pending = events;
        } else {
            self.reset = true;
            self.read_up_to = last;
        }
        Ok(())
    }
}

/// Events after a row, the last row read, and whether none between was pruned.
fn rows(
    ctx: &Ctx<'_>,
    after: u64,
) -> std::result::Result<(VecDeque<Event>, u64, bool), StoreError> {
    let from = after.saturating_add(1).to_be_bytes();
    let span = (&from[..], &u64::MAX.to_be_bytes()[..]);
    let rows: Vec<(_, JournalRow)> = ctx.range((Tree::Journal, &[]), span, Order::Rising, PAGE)?;
    let first = rows.first().map_or(after + 1, |(key, _)| journal::seq_of(key));
    let last = rows.last().map_or(after, |(key, _)| journal::seq_of(key));
    let mut events = VecDeque::new();
    for (key, row) in rows {
        if let Some(body) = view::event(ctx, &row.event)? {
            events.push_back(Event::durable(journal::seq_of(&key), body));
        }
    }
    Ok((events, last, first == after + 1))
}
