//! Events as a client follows them: the journal first, then what happens.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{Events, Node, Result};
use crate::api::dto::{Event, EventBody};
use crate::engine::{Ctx, EngineHandle, JournalRow, News, journal};
use crate::service::ServiceError;
use crate::store::{Order, StoreError, Tree};
use crate::view;

/// Most journal rows that are read at once.
const MAX_ROWS: usize = 32;
/// Events from which on no further row is looked at.
const ENOUGH: usize = 200;

impl Events<'_> {
    /// Follows events after number `since`; from now on without one.
    ///
    /// # Errors
    /// [`ServiceError`] when the node has stopped.
    pub async fn subscribe(&self, since: Option<u64>) -> Result<EventFeed> {
        let node = self.0.clone();
        // Before it is asked where the journal stands, so that nothing falls in between.
        let engine = node.door.engine()?;
        let (news, volatile) = (engine.news(), engine.volatile());
        let last = self.0.view(|ctx| Ok(ctx.cursor())).await?;
        let read_up_to = since.unwrap_or(last);
        Ok(EventFeed {
            node,
            engine,
            news,
            volatile,
            read_up_to,
            behind: read_up_to < last,
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
    engine: EngineHandle,
    news: broadcast::Receiver<Arc<News>>,
    volatile: broadcast::Receiver<EventBody>,
    /// The number of the last event that is, or was, in `pending`.
    read_up_to: u64,
    /// Whether there are events after it that are to be read in the journal.
    behind: bool,
    cursor: u64,
    pending: VecDeque<Event>,
    lagged: bool,
    reset: bool,
}

impl EventFeed {
    /// The number of the last event when this began.
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
                return Some(event);
            }
            if self.behind {
                self.read_journal().await.ok()?;
                continue;
            }
            tokio::select! { biased;
                news = self.news.recv() => match news {
                    Ok(news) => self.take(&news),
                    Err(RecvError::Lagged(_)) => self.behind = true,
                    Err(RecvError::Closed) => return None,
                },
                event = self.volatile.recv() => match event {
                    Ok(event) => return Some(Event::volatile(event)),
                    Err(RecvError::Lagged(_)) => {
                        self.lagged = true;
                        return None;
                    }
                    Err(RecvError::Closed) => return None,
                },
                () = self.engine.stopped() => return None,
            }
        }
    }

    fn take(&mut self, news: &News) {
        if news.last <= self.read_up_to {
            return;
        }
        match &news.events {
            Some(events) if news.first <= self.read_up_to + 1 => {
                let known = Some(self.read_up_to);
                self.pending.extend(events.iter().filter(|event| event.seq > known).cloned());
                self.read_up_to = news.last;
            }
            _ => self.behind = true,
        }
    }

    async fn read_journal(&mut self) -> std::result::Result<(), ServiceError> {
        let after = self.read_up_to;
        let page = self.node.view(move |ctx| rows(ctx, after)).await?;
        self.behind = page.full;
        self.read_up_to = page.last;
        match page.whole {
            true => self.pending = page.events,
            false => self.reset = true,
        }
        Ok(())
    }
}

/// Rows of the journal, as they were read.
struct Page {
    events: VecDeque<Event>,
    /// The number of the last event.
    last: u64,
    /// Whether there may be more.
    full: bool,
    /// Whether none before them is missing.
    whole: bool,
}

fn rows(ctx: &Ctx<'_>, after: u64) -> std::result::Result<Page, StoreError> {
    let from = after.saturating_add(1).to_be_bytes();
    let span = (&from[..], &u64::MAX.to_be_bytes()[..]);
    let rows: Vec<(_, JournalRow)> =
        ctx.range((Tree::Journal, &[]), span, Order::Rising, MAX_ROWS)?;
    let full = rows.len() == MAX_ROWS;
    let mut page = Page { events: VecDeque::new(), last: after, full, whole: true };
    for (key, row) in rows {
        let last = journal::seq_of(&key);
        if page.last == after {
            page.whole = row.first(last) <= after + 1;
        }
        page.last = last;
        for (seq, event) in row.numbered(last).filter(|(seq, _)| *seq > after) {
            // An event whose thing is gone tells nothing, and still counts as read.
            if let Some(body) = view::event(ctx, event)? {
                page.events.push_back(Event::durable(seq, body));
            }
        }
        if page.events.len() >= ENOUGH {
            page.full = true;
            break;
        }
    }
    Ok(page)
}
