//! The Socket.IO events, described where the routes are: OpenAPI has no place of its own for them.

/// What stands at the route.
pub(super) const TEXT: &str = "\
Socket.IO 4 (Engine.IO 4), for stock clients: path `/socket.io`, transports `websocket` and `polling`.

**Authentication**: `io(url, { auth: { token: '<access token>' } })`; without it whoever the gateway recognises by cookie \
or header. A refused connection gets `connect_error` with `Authentication required` or `Invalid authentication token`. \
A socket is closed within a second of the end of its login, and when its token ends.

**From the client**, each with `{ eventId }` (or the bare id), each answered when an acknowledgement is asked for, with \
`{ ok: true, eventId }` or `{ ok: false, error }`:

| event | what it does |
|---|---|
| `join-event`, `leave-event` | enters and leaves the room of an event |
| `join-queue`, `leave-queue` | the same for its waiting room; the place in line is not touched |
| `join-seat-selection`, `leave-seat-selection` | the same for its seats |
| `seat-selection-changed` `{ eventId, seats }` | tells the others who choose seats what is marked, at most 50 seats |

**From the server**:

| event | to whom | payload |
|---|---|---|
| `room-info` | the event's room | `RoomInfo`: different people on all replicas, at most once a second |
| `ticket-updated` | the event's room | `TicketUpdated`, at most 20 times a second |
| `seat-locked`, `seat-selected` | who chooses seats | `SeatChanged`; both are sent, for either generation of clients |
| `seat-released` | who chooses seats | `SeatChanged` |
| `seat-update` | the others who choose seats | `SeatUpdate`: what somebody marks and has not reserved |
| `queue-updated`, `queue-cleared` | the waiting room | `QueueUpdated`, `QueueCleared` |
| `queue-entry-allowed` | whoever was let in, on all their sockets, and nobody else | `EntryAllowed` |
| `session-restored` | whoever comes back after a lost connection | `SessionRestored`: the rooms they are in again |
| `refetch` | everybody | `Refetch`: notices may have been missed, read the state afresh |
| `error` | whoever said what was refused | `Refused`: `bad_payload`, `unknown_event`, `event_not_found`, `not_in_room`, \
`too_many_seats`, `too_many_rooms`, `too_many_requests`, `unavailable` |

Delivery is at most once: a slow reader misses packets. Seats and stock carry a `version` that only grows: ignore what is \
older than what is known, and read afresh after a gap. One socket may be in 16 rooms and say 20 things a second (40 at \
once); a message may have 32 KiB.";
