//! One of those who fight: buys, pays, gives back, clicks twice, leaves, and remembers every promise.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    client::{Ask, Client, pause},
    stage::Sale,
    tally::{AT_ONCE, Tally},
};
use crate::{attacks::hostile::Chance, person::Answer};

/// How often somebody chooses anew when the sale is about to end.
const LAST_CHOICES: usize = 4;

/// How a purchase ended, as its buyer was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Not paid for: its time passes.
    Left,
    /// Given back.
    Cancelled,
    /// Paid for and kept.
    Paid,
    /// Too late to be paid for or given back: its time had passed.
    TooLate,
}

/// A reservation that somebody was promised.
#[derive(Clone, Debug)]
pub(super) struct Promise {
    pub(super) id: String,
    pub(super) ask: Ask,
    pub(super) end: End,
}

/// What somebody does with what they hold.
#[derive(Clone, Copy)]
enum Fate {
    Keep,
    PayAndCancel,
    Cancel,
    ClickTwice,
    Leave,
}

pub(super) struct Buyer {
    client: Client,
    sale: Arc<Sale>,
    tally: Arc<Tally>,
    chance: Chance,
    round: usize,
    promises: Vec<Promise>,
}

impl Buyer {
    pub(super) fn new(client: Client, sale: Arc<Sale>, tally: Arc<Tally>) -> Self {
        let seed = u64::try_from(client.number).expect("a small number");
        Self { client, sale, tally, chance: Chance::new(seed), round: 0, promises: Vec::new() }
    }

    /// Buys until the sale closes, and then once more, to keep it.
    pub(super) async fn run(mut self) -> (Client, Vec<Promise>) {
        while !self.tally.is_closing() {
            let fate = match self.chance.below(40) {
                0 => Fate::Keep,
                1..=11 => Fate::PayAndCancel,
                12..=21 => Fate::Cancel,
                22..=31 => Fate::ClickTwice,
                _ => Fate::Leave,
            };
            if !self.buy(fate).await {
                pause(self.client.number, self.round % 4).await;
            }
        }
        for attempt in 0..LAST_CHOICES {
            if self.buy(Fate::Keep).await {
                break;
            }
            pause(self.client.number, attempt).await;
        }
        (self.client, self.promises)
    }

    /// Tries to get something; returns whether there was something to get.
    async fn buy(&mut self, fate: Fate) -> bool {
        self.round += 1;
        let ask = self.wish();
        let answer = match fate {
            Fate::ClickTwice => self.click_twice(&ask).await,
            _ => self.client.settle(self.client.door(), &ask).await,
        };
        if answer.status != 201 {
            assert_eq!(answer.status, 409, "{} {}: {}", ask.path, ask.body, answer.json);
            self.tally.refused(&answer.text("/code"));
            return false;
        }
        self.tally.held();
        let (id, amount) = (answer.text("/reservation/id"), answer.json["reservation"]["totalAmount"].clone());
        let end = match fate {
            Fate::Leave => End::Left,
            Fate::Cancel | Fate::ClickTwice => self.cancel(&id).await,
            Fate::Keep => self.pay(&id, &amount).await,
            Fate::PayAndCancel => match self.pay(&id, &amount).await {
                End::Paid => self.cancel(&id).await,
                end => end,
            },
        };
        self.promises.push(Promise { id, ask, end });
        true
    }

    fn wish(&mut self) -> Ask {
        let (event, quantity) = (&self.sale.event, 1 + self.chance.below(3));
        let (path, body) = match self.client.number % 3 {
            0 => {
                let seats = &self.sale.seats;
                let first = self.chance.below(seats.len() - 1);
                let chosen = &seats[first..=first + self.chance.below(2)];
                ("/api/v1/seats/reserve", json!({ "eventId": event, "seatIds": chosen }))
            }
            1 => ("/api/v1/seats/best", json!({ "eventId": event, "quantity": quantity })),
            _ => {
                let items = json!([{ "ticketTypeId": self.sale.ticket_type, "quantity": quantity }]);
                ("/api/v1/reservations", json!({ "eventId": event, "items": items }))
            }
        };
        Ask { path: path.to_owned(), body, key: format!("sale-{}-{}", self.client.number, self.round) }
    }

    /// Sends the same thing twice at once; whoever gets it gets it once.
    async fn click_twice(&self, ask: &Ask) -> Answer {
        let (client, doors) = (&self.client, [self.client.door(), self.client.other_door()]);
        let clicks = tokio::join!(client.settle_counting(doors[0], ask), client.settle_counting(doors[1], ask));
        let ((first, first_retries), (second, second_retries)) = clicks;
        let (one, other) = match (first.status, second.status) {
            (201, 201) => {
                assert_eq!(first.json, second.json, "two clicks, two answers");
                self.tally.doubled(None);
                (first, None)
            }
            (201, _) => (first, Some(second)),
            (_, 201) => (second, Some(first)),
            _ => return first,
        };
        if let Some(refused) = other {
            // Legitimate if what was wanted came free between the two.
            let is_at_once = first_retries + second_retries == 0;
            let when = if is_at_once { AT_ONCE } else { "asked again" };
            self.tally.doubled(Some(&format!("{} {} {when}", ask.path, refused.text("/code"))));
        }
        // From now on there is one answer to this key.
        let again = client.settle(doors[0], ask).await;
        assert_eq!((again.status, &again.json), (201, &one.json), "another answer to the same key");
        again
    }

    async fn pay(&self, id: &str, amount: &Value) -> End {
        let key = |what: &str| format!("{what}-{}-{}", self.client.number, self.round);
        let prepare = json!({ "reservationId": id, "amount": amount });
        let prepare = Ask { path: "/api/v1/payments/prepare".to_owned(), body: prepare, key: key("prepare") };
        let prepared = self.client.settle(self.client.door(), &prepare).await;
        if prepared.status != 200 {
            return self.too_late(&prepared);
        }
        let body = json!({ "paymentKey": key("consent"), "orderId": prepared.text("/orderId"), "amount": amount });
        let confirm = Ask { path: "/api/v1/payments/confirm".to_owned(), body, key: key("confirm") };
        let paid = self.client.settle(self.client.door(), &confirm).await;
        if paid.status != 200 {
            return self.too_late(&paid);
        }
        self.tally.paid();
        End::Paid
    }

    async fn cancel(&self, id: &str) -> End {
        let cancelled = self.client.post(&format!("/api/v1/reservations/{id}/cancel")).await;
        // The answer to the first try may have been lost.
        if cancelled.status == 200 || cancelled.json["code"] == "already_cancelled" {
            return End::Cancelled;
        }
        self.too_late(&cancelled)
    }

    fn too_late(&self, answer: &Answer) -> End {
        assert_eq!(answer.status, 409, "{}", answer.json);
        let code = answer.text("/code");
        assert!(matches!(code.as_str(), "reservation_expired" | "payment_refunded"), "{}", answer.json);
        self.tally.refused(&code);
        End::TooLate
    }
}
