//! The replies that grow in this process, and who wants to hear of new ones.
//!
//! A reply of another replica that somebody here looks at is in the same list, as a mirror that grows with what the other
//! one tells. So a viewer never asks where its reply is written.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use domain::ids::{ConversationId, StepId, UserId};
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    progress::{Begun, End, Progress, Reply},
    recollection::{Memory, Recollection},
};
use crate::vault::PersonVault;

/// Replies of one conversation that begin while a viewer does something else; more are told by the next one's frames.
const UNHEARD_MAX: usize = 4;

/// The replies of this process; clones share them.
#[derive(Clone, Default)]
pub struct Replies(Arc<Inner>);

struct Inner {
    /// What this process is called among those that write replies.
    replica: Uuid,
    live: Mutex<HashMap<StepId, Arc<Live>>>,
    rooms: Mutex<HashMap<ConversationId, Listeners>>,
    /// There is something that other replicas have not been told.
    untold: Notify,
    memory: Memory,
}

impl Default for Inner {
    #[expect(clippy::disallowed_methods, reason = "a name among processes, not an id of the platform")]
    fn default() -> Self {
        Self {
            replica: Uuid::new_v4(),
            live: Mutex::default(),
            rooms: Mutex::default(),
            untold: Notify::default(),
            memory: Memory::default(),
        }
    }
}

/// Those who listen for the replies of a conversation.
struct Listeners {
    told: broadcast::Sender<Arc<Live>>,
    /// What is remembered for the next message, as long as somebody listens.
    recollection: Option<Recollection>,
}

/// One reply that grows.
pub struct Live {
    pub(super) step: Begun,
    pub(super) conversation: ConversationId,
    pub(super) owner: UserId,
    pub(super) vault: PersonVault,
    pub(super) progress: watch::Sender<Progress>,
    /// Nobody wants more of it.
    pub(super) stop: CancellationToken,
    /// Its step is not there any more.
    is_gone: AtomicBool,
    /// Whether it is written elsewhere.
    pub(super) is_mirror: bool,
    /// Pieces that other replicas were told.
    told: AtomicU32,
    /// Pieces that are kept in the database.
    kept: AtomicU32,
}

impl Live {
    /// Begins a reply.
    pub(super) fn new(
        step: Begun,
        conversation: ConversationId,
        owner: UserId,
        vault: PersonVault,
        progress: Progress,
        is_mirror: bool,
    ) -> Self {
        let (progress, _nobody) = watch::channel(progress);
        Self {
            step,
            conversation,
            owner,
            vault,
            progress,
            stop: CancellationToken::new(),
            is_gone: AtomicBool::new(false),
            is_mirror,
            told: AtomicU32::new(0),
            kept: AtomicU32::new(0),
        }
    }

    /// Returns the step that it answers.
    pub fn step(&self) -> Begun {
        self.step
    }

    /// Returns whether another one is not needed beside it: the one that is written here is, beside its mirror.
    fn stands_for(&self, other: &Self) -> bool {
        self.step.attempt >= other.step.attempt && (other.is_mirror || !self.is_mirror)
    }

    /// Looks at it from the piece after the first `seen` ones.
    pub fn view(&self, seen: u32) -> Reply {
        Reply::new(self.step, self.vault.clone(), self.progress.subscribe(), seen)
    }

    /// Says that its step is not there any more.
    pub(super) fn gone(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.stop.cancel();
    }

    /// Waits until it is stopped; returns how it ends then.
    pub(super) async fn stopped(&self) -> End {
        self.stop.cancelled().await;
        if self.is_gone.load(Ordering::Acquire) { End::Interrupted } else { End::Stopped }
    }

    pub(super) fn told(&self) -> u32 {
        self.told.load(Ordering::Acquire)
    }

    pub(super) fn has_told(&self, pieces: u32) {
        self.told.fetch_max(pieces, Ordering::AcqRel);
    }

    pub(super) fn kept(&self) -> u32 {
        self.kept.load(Ordering::Acquire)
    }

    /// Says that the first `pieces` ones are kept, and lets go of text that nobody needs who keeps up.
    pub(super) fn has_kept(&self, pieces: u32) {
        let kept = self.kept.fetch_max(pieces, Ordering::AcqRel).max(pieces);
        self.progress.send_if_modified(|progress| {
            progress.let_go(kept.min(self.told()));
            false
        });
    }
}

impl Replies {
    fn live(&self) -> MutexGuard<'_, HashMap<StepId, Arc<Live>>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<ConversationId, Listeners>> {
        self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what this process is called among those that write replies.
    pub(super) fn replica(&self) -> Uuid {
        self.0.replica
    }

    /// Finds a reply that grows here.
    pub fn find(&self, id: StepId) -> Option<Arc<Live>> {
        self.live().get(&id).cloned()
    }

    /// Returns how many replies grow here.
    pub(super) fn count(&self) -> usize {
        self.live().len()
    }

    /// Finds the reply of a conversation that grows here.
    pub fn of(&self, conversation: ConversationId) -> Option<Arc<Live>> {
        self.live().values().find(|live| live.conversation == conversation).cloned()
    }

    /// Adds a reply and tells the viewers of its conversation. When the same one grows here already, that one counts.
    pub(super) fn add(&self, live: Arc<Live>) -> Arc<Live> {
        let kept = match self.live().entry(live.step.id) {
            Entry::Occupied(there) if there.get().stands_for(&live) => return there.get().clone(),
            Entry::Occupied(mut before) => {
                before.insert(live.clone());
                live
            }
            Entry::Vacant(free) => free.insert(live).clone(),
        };
        if let Some(room) = self.rooms().get_mut(&kept.conversation) {
            // What was known before it is not all any more. Of an ended one that is told of late, it is.
            room.recollection.take_if(|before| !before.holds(kept.step));
            // Without listeners there is nobody to tell.
            _ = room.told.send(kept.clone());
        }
        kept
    }

    /// Takes a reply out that grows no more.
    pub(super) fn remove(&self, gone: &Arc<Live>) {
        let mut live = self.live();
        if live.get(&gone.step.id).is_some_and(|there| Arc::ptr_eq(there, gone)) {
            live.remove(&gone.step.id);
        }
    }

    /// Listens for the replies of a conversation.
    pub fn enter(&self, conversation: ConversationId) -> Room {
        let mut rooms = self.rooms();
        let room = rooms
            .entry(conversation)
            .or_insert_with(|| Listeners { told: broadcast::channel(UNHEARD_MAX).0, recollection: None });
        Room { heard: room.told.subscribe(), replies: self.clone(), conversation }
    }

    /// Remembers this for the next message of a conversation that somebody listens to, in the place of what was remembered.
    pub(super) fn remember(&self, conversation: ConversationId, recollection: Option<Recollection>) {
        if let Some(room) = self.rooms().get_mut(&conversation) {
            room.recollection = recollection;
        }
    }

    /// Remembers this if nothing newer is remembered.
    pub(super) fn remember_first(&self, conversation: ConversationId, recollection: Recollection) {
        if let Some(room) = self.rooms().get_mut(&conversation) {
            room.recollection.get_or_insert(recollection);
        }
    }

    /// Takes what is remembered for the next message: it counts for one.
    pub(super) fn recall(&self, conversation: ConversationId) -> Option<Recollection> {
        self.rooms().get_mut(&conversation)?.recollection.take()
    }

    /// Forgets what is remembered of a person, or of one of their conversations.
    pub(super) fn forget_erased(&self, owner: UserId, conversation: Option<ConversationId>) {
        for (id, room) in self.rooms().iter_mut() {
            if conversation.is_none_or(|erased| erased == *id) {
                room.recollection.take_if(|remembered| remembered.owner() == owner);
            }
        }
    }

    /// Returns how much may be remembered.
    pub(super) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    /// Returns whether somebody here listens for the replies of a conversation.
    pub(super) fn has_listeners(&self, conversation: ConversationId) -> bool {
        self.rooms().contains_key(&conversation)
    }

    /// Says that something has been written.
    pub(super) fn wake(&self) {
        self.0.untold.notify_one();
    }

    /// Waits until something has been written.
    pub(super) async fn woken(&self) {
        self.0.untold.notified().await;
    }

    /// Returns the replies that are written here.
    pub(super) fn own(&self) -> Vec<Arc<Live>> {
        self.live().values().filter(|live| !live.is_mirror).cloned().collect()
    }

    /// Returns the replies that are written here and have pieces that other replicas were not told.
    pub(super) fn untold(&self) -> Vec<Arc<Live>> {
        let own = |live: &&Arc<Live>| !live.is_mirror && live.progress.borrow().pieces() > live.told();
        self.live().values().filter(own).cloned().collect()
    }
}

/// A reply for as long as it is written here: afterwards it is taken out, and its viewers know how it ended, also when
/// its job panicked. Its lease would be renewed for ever otherwise.
pub(super) struct Growing {
    live: Arc<Live>,
    replies: Replies,
}

impl Growing {
    /// Watches over a reply that was added.
    pub(super) fn new(live: Arc<Live>, replies: Replies) -> Self {
        Self { live, replies }
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.live.progress.send_if_modified(Progress::abandon);
        self.replies.remove(&self.live);
    }
}

/// A place among the listeners of a conversation.
pub struct Room {
    heard: broadcast::Receiver<Arc<Live>>,
    replies: Replies,
    conversation: ConversationId,
}

impl Room {
    /// Waits for the next reply that begins.
    pub async fn next(&mut self) -> Arc<Live> {
        loop {
            match self.heard.recv().await {
                Ok(live) => return live,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                // The sender lives as long as a listener does.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut rooms = self.replies.rooms();
        // This listener is still counted.
        if rooms.get(&self.conversation).is_some_and(|room| room.told.receiver_count() <= 1) {
            rooms.remove(&self.conversation);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::Id;

    use super::*;

    fn live(id: u128, attempt: i32, is_mirror: bool) -> Arc<Live> {
        let step = Begun {
            id: StepId::from_uuid(uuid::Uuid::from_u128(id)),
            order: 1,
            attempt,
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        let (conversation, owner) = (ConversationId(uuid::Uuid::nil()), UserId(uuid::Uuid::nil()));
        Arc::new(Live::new(step, conversation, owner, PersonVault::without_key(), Progress::default(), is_mirror))
    }

    #[tokio::test]
    async fn a_listener_hears_of_each_reply_once_and_leaves_no_room_behind() {
        let replies = Replies::default();
        let mut room = replies.enter(ConversationId(uuid::Uuid::nil()));
        let first = replies.add(live(1, 1, false));
        let same = replies.add(live(1, 1, false));
        assert!(Arc::ptr_eq(&first, &same), "the one that was there counts");
        replies.add(live(1, 2, false));
        assert_eq!((room.next().await.step.attempt, room.next().await.step.attempt), (1, 2));
        replies.remove(&first);
        assert!(replies.find(first.step.id).is_some(), "another try is not taken out with the first");
        drop(room);
        assert!(!replies.has_listeners(ConversationId(uuid::Uuid::nil())));
    }

    #[tokio::test]
    async fn what_is_written_here_takes_the_place_of_its_mirror_and_ends_with_its_job() {
        let replies = Replies::default();
        let mirror = replies.add(live(1, 1, true));
        let own = replies.add(live(1, 1, false));
        assert!(!Arc::ptr_eq(&mirror, &own), "nobody would keep what is written");
        assert!(Arc::ptr_eq(&own, &replies.add(live(1, 1, true))), "a mirror is not needed beside it");
        let mut viewer = own.view(0);
        drop(Growing::new(own, replies.clone()));
        assert_eq!((viewer.ended().await, replies.own().len()), (End::Interrupted, 0));
    }
}
