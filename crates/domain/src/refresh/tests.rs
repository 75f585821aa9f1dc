//! The rules one by one, and then every order in which three clients can meet them.

use std::collections::HashSet;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

#[test]
fn the_current_token_is_exchanged_and_a_number_never_given_is_unknown() {
    assert_eq!(Chain::NEW.judge(0, at(0)), Verdict::Exchange);
    let once = Chain::NEW.exchanged(at(0));
    assert_eq!((once.judge(1, at(99)), once.judge(2, at(0))), (Verdict::Exchange, Verdict::Unknown));
}

#[test]
fn a_lost_answer_is_repeated_however_late_until_its_successor_is_at_work() {
    let chain = Chain::NEW.exchanged(at(0));
    assert_eq!(chain.judge(0, at(86_400)), Verdict::Repeat);
    assert_eq!(chain.seen(0).judge(0, at(86_400)), Verdict::Repeat);
    assert_eq!(chain.seen(1).judge(0, at(9)), Verdict::Repeat);
    assert_eq!(chain.seen(1).judge(0, at(10)), Verdict::Reused);
    assert_eq!(chain.exchanged(at(1_000)).judge(0, at(1_000)), Verdict::Reused);
}

#[test]
fn requests_that_left_together_find_the_current_token_however_many_exchanges_they_missed() {
    let chain = Chain::NEW.exchanged(at(0)).exchanged(at(1)).exchanged(at(2)).seen(3);
    assert_eq!([0, 1, 2].map(|shown| chain.judge(shown, at(9))), [Verdict::Repeat; 3]);
    assert_eq!([0, 1].map(|shown| chain.judge(shown, at(10))), [Verdict::Reused; 2]);
    assert_eq!(chain.judge(2, at(11)), Verdict::Repeat);
    let later = chain.exchanged(at(60));
    assert_eq!((later.judge(2, at(61)), later.judge(3, at(61))), (Verdict::Reused, Verdict::Repeat));
}

/// Somebody with a copy of the tokens.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Client {
    /// The number of the newest refresh token it has received.
    holds: u32,
    doing: Doing,
    /// Exchanges it will still ask for.
    left: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Doing {
    Nothing,
    /// Its request with this token is on the way.
    Asking(u32),
    /// The answer with this token is on the way.
    Answered(u32),
    /// It has the answer and is about to use its access token.
    Using(u32),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    chain: Chain,
    /// Seconds since the start.
    now: i64,
    clients: [Client; 3],
    /// Reports of access tokens at work that have not reached the server.
    reports: Vec<u32>,
    ended: bool,
}

impl World {
    fn new(left: u8) -> Self {
        let client = Client { holds: 0, doing: Doing::Nothing, left };
        Self { chain: Chain::NEW, now: 0, clients: [client; 3], reports: Vec::new(), ended: false }
    }

    /// Every world that one step can lead to.
    fn steps(&self, answers_get_lost: bool) -> Vec<Self> {
        let mut next = Vec::new();
        for who in 0..self.clients.len() {
            match self.clients[who].doing {
                Doing::Nothing if self.clients[who].left > 0 => next.push(self.with(who, |_, client| {
                    client.doing = Doing::Asking(client.holds);
                    client.left -= 1;
                })),
                Doing::Nothing => {}
                Doing::Asking(shown) => next.push(self.with(who, |world, client| {
                    client.doing = world.serve(shown).map_or(Doing::Nothing, Doing::Answered);
                })),
                Doing::Answered(token) => {
                    next.push(self.with(who, |_, client| {
                        client.holds = client.holds.max(token);
                        client.doing = Doing::Using(token);
                    }));
                    if answers_get_lost {
                        next.push(self.with(who, |_, client| {
                            client.doing = Doing::Nothing;
                            client.left += 1;
                        }));
                    }
                }
                Doing::Using(token) => next.push(self.with(who, |world, client| {
                    world.reports.push(token);
                    world.reports.sort_unstable();
                    client.doing = Doing::Nothing;
                })),
            }
        }
        for at in 0..self.reports.len() {
            let mut world = self.clone();
            let counter = world.reports.remove(at);
            world.chain = world.chain.seen(counter);
            next.push(world);
        }
        next
    }

    fn with(&self, who: usize, step: impl FnOnce(&mut Self, &mut Client)) -> Self {
        let mut world = self.clone();
        let mut client = world.clients[who];
        step(&mut world, &mut client);
        world.clients[who] = client;
        world
    }

    /// What the server does in one statement; returns the token of its answer.
    fn serve(&mut self, shown: u32) -> Option<u32> {
        if self.ended {
            return None;
        }
        match self.chain.judge(shown, at(self.now)) {
            Verdict::Exchange => {
                self.chain = self.chain.exchanged(at(self.now));
                Some(self.chain.counter)
            }
            Verdict::Repeat => Some(self.chain.counter),
            Verdict::Reused => {
                self.ended = true;
                None
            }
            Verdict::Unknown => panic!("a client never shows what it was not given"),
        }
    }
}

/// Walks through every world that can be reached and returns how many there are.
fn explore(start: World, answers_get_lost: bool, check: impl Fn(&World)) -> usize {
    let (mut seen, mut open) = (HashSet::new(), vec![start]);
    while let Some(world) = open.pop() {
        if !seen.insert(world.clone()) {
            continue;
        }
        check(&world);
        open.extend(world.steps(answers_get_lost));
    }
    seen.len()
}

fn nobody_is_thrown_out(world: &World) {
    assert!(!world.ended, "an honest client ended the login");
    for client in world.clients {
        assert!(client.holds <= world.chain.counter, "a token that the server does not know");
    }
}

#[test]
fn three_clients_at_once_never_end_their_own_login() {
    let worlds = explore(World::new(1), false, nobody_is_thrown_out);
    assert_eq!(worlds, 200, "every order was walked");
    let worlds = explore(World::new(2), false, nobody_is_thrown_out);
    assert!(worlds > 2_000, "{worlds}");
}

#[test]
fn three_clients_whose_answers_get_lost_never_end_their_own_login() {
    let mut start = World::new(1);
    start.clients[2].left = 2;
    let worlds = explore(start, true, nobody_is_thrown_out);
    assert!(worlds > 300, "{worlds}");
}

#[test]
fn whoever_asks_at_once_gets_the_same_token() {
    explore(World::new(1), false, |world| {
        // Everybody began with token 0, and asked once: there is one lineage, and it has one successor.
        assert!(world.chain.counter <= 1, "the login was exchanged {} times", world.chain.counter);
    });
}

#[test]
fn an_old_copy_ends_the_login_in_every_order_once_its_successor_was_at_work() {
    // The owner has exchanged and used what it got; two copies of the first token were stolen meanwhile.
    explore(World::new(2), false, |world| {
        let is_in_use = world.chain.is_in_use && world.chain.counter > 0;
        if !is_in_use {
            return;
        }
        let mut later = world.clone();
        later.now = 3_600;
        for stolen in 0..later.chain.counter {
            let mut thief = later.clone();
            assert_eq!(thief.serve(stolen), None);
            assert!(thief.ended, "token {stolen} of {} was honoured", later.chain.counter);
            // And nobody else has anything left either.
            assert_eq!(thief.serve(later.chain.counter), None);
        }
    });
}

#[test]
fn a_thief_who_is_faster_than_the_owner_does_not_last() {
    // The thief exchanges the stolen token first and goes to work; the owner shows up later with the same one.
    let mut world = World::new(1);
    assert_eq!(world.serve(0), Some(1));
    world.chain = world.chain.seen(1);
    world.now = 60;
    assert_eq!(world.serve(0), None);
    assert!(world.ended);
}
