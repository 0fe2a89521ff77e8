//! Events on their way to the engine.
//!
//! # Invariants
//! * Nothing waits for the engine inside a handler: an event is queued, and the lane's loop
//!   hands it over when the engine takes it.
//! * A lane whose queue is [full](EVENT_CAP) reads neither commands nor its swarm, so the
//!   backpressure reaches the peers instead of memory.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::event::NetEvent;

/// Events queued for the engine before a lane pauses. What is under way may still end and add
/// its answers, as many as there are pending requests.
pub(super) const EVENT_CAP: usize = 1_024;

/// The engine is gone.
#[derive(Debug)]
pub(super) struct Gone;

/// The queue of one lane.
#[derive(Debug)]
pub(super) struct Outgoing {
    sender: mpsc::Sender<NetEvent>,
    queue: VecDeque<NetEvent>,
}

impl Outgoing {
    pub(super) fn new(sender: mpsc::Sender<NetEvent>) -> Self {
        Self { sender, queue: VecDeque::new() }
    }

    /// Queues one event.
    pub(super) fn push(&mut self, event: NetEvent) {
        self.queue.push_back(event);
    }

    /// Queues several.
    pub(super) fn extend(&mut self, events: impl IntoIterator<Item = NetEvent>) {
        self.queue.extend(events);
    }

    /// Whether the lane may read more.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < EVENT_CAP
    }

    /// Whether anything waits to be handed over.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Hands over the oldest event as soon as the engine takes it.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`Gone`] when there is no engine any more.
    pub(super) async fn flush(&mut self) -> Result<(), Gone> {
        let permit = self.sender.reserve().await.map_err(|_| Gone)?;
        if let Some(event) = self.queue.pop_front() {
            permit.send(event);
        }
        Ok(())
    }
}
