//! The house under attack.
//!
//! Somebody without any right to it goes through the front door, and around it, with everything that was ever sent to a
//! service like this one. The numbers are those of the threat list in docs/security.md. All attacks share one house,
//! because starting one takes longer than most of them; each is named with its time, a failure does not keep the others from
//! being tried, and the failed ones are listed at the end. Only what needs a house of its own has one.

mod around;
mod contract;
mod document;
mod ended;
mod fields;
mod guessing;
pub(crate) mod hostile;
mod live;
mod markup;
mod nonsense;
mod operations;
mod oversize;
mod ownership;
mod races;
mod roles;
mod sales;
mod search;
mod slow;
pub(crate) mod things;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    time::Instant,
};

use chassis::clock::Clock;
use testkit::oidc::{Endpoint, Provider};

use self::{
    document::Document,
    operations::{Entry, Reach},
    things::Things,
};
use crate::{
    person::{PASSWORD, Person},
    stack::{SEVERAL_OF_EACH, Stack},
};

/// One house with people in it.
struct House {
    stack: Stack,
    /// Stands for Google, so that what asks it is as reachable as everything else.
    _google: Provider,
    api: Document,
    /// Somebody with one of everything.
    kim: Person,
    kims: Things,
    /// Somebody with one of everything, too.
    lee: Person,
    lees: Things,
    /// May run everybody's events.
    admin: Person,
    /// May run events of their own.
    organizer: Person,
    /// May do so too, and has none.
    other_organizer: Person,
}

impl House {
    async fn new() -> Self {
        let google = Provider::start(Clock::system());
        let [issuer, token, keys] = [google.issuer(), &google.url(Endpoint::Token), &google.url(Endpoint::Jwks)];
        let environment = [
            ("GOOGLE_CLIENT_ID", google.client_id()),
            ("GOOGLE_CLIENT_SECRET", google.client_secret()),
            ("GOOGLE_ISSUER", issuer),
            ("GOOGLE_TOKEN_URL", token),
            ("GOOGLE_JWKS_URL", keys),
        ];
        let stack = Stack::up_with(SEVERAL_OF_EACH, &environment);
        let gateway = stack.gateway().to_owned();
        let kim = Person::register(&gateway, "kim@example.com").await;
        let lee = Person::register(&gateway, "lee@example.com").await;
        let organizer = stack.demo_person("organizer").await;
        Self {
            api: Document::read(&kim).await,
            kims: Things::of(&kim, "kim@example.com", &organizer).await,
            lees: Things::of(&lee, "lee@example.com", &organizer).await,
            admin: stack.demo_person("admin").await,
            other_organizer: new_organizer(&stack, "park@example.com").await,
            organizer,
            kim,
            lee,
            stack,
            _google: google,
        }
    }

    /// Returns who may call an operation: an organizer where only they may, and `person` otherwise.
    fn caller<'h>(&'h self, entry: &Entry, person: &'h Person) -> &'h Person {
        if let Reach::Organizer { .. } = entry.reach { &self.organizer } else { person }
    }
}

async fn new_organizer(stack: &Stack, email: &str) -> Person {
    Person::register(stack.gateway(), email).await;
    stack.must(&["auth", "grant", "--email", email, "--role", "organizer"]);
    // A role comes with the next login.
    Person::login(stack.gateway(), email, PASSWORD).await
}

/// Runs an attack to its end, be that a panic.
async fn stands(attack: impl Future<Output = ()>) -> bool {
    let mut attack = pin!(attack);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| attack.as_mut().poll(cx))) {
        Ok(Poll::Ready(())) => Poll::Ready(true),
        Ok(Poll::Pending) => Poll::Pending,
        Err(_told_by_the_panic) => Poll::Ready(false),
    })
    .await
}

/// Runs the attacks one after the other, says how long each took, and returns the names of those that succeeded.
macro_rules! attacks {
    ($house:expr, $($attack:path),+ $(,)?) => {{
        let mut open = Vec::new();
        $(
            let (begun, name) = (Instant::now(), stringify!($attack));
            let stood = stands($attack(&$house)).await;
            say(&format!("{} {:>6.2?} {name}", if stood { "stood " } else { "FAILED" }, begun.elapsed()));
            if !stood {
                open.push(name);
            }
        )+
        open
    }};
}

#[expect(
    clippy::print_stderr,
    reason = "what was measured, and the name of what failed, are for whoever reads the output"
)]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_house_stands_what_is_sent_to_it() {
    let house = House::new().await;
    let readers = slow::begin_to_read_slowly(&house).await;
    let open = attacks!(
        house,
        roles::attack_24_a_person_gets_nowhere_near_the_routes_of_organizers,
        roles::attack_24_no_header_and_no_field_changes_the_method,
        around::attack_47_a_service_reached_around_the_gateway_refuses,
        around::attack_47_internal_routes_do_not_exist_for_clients,
        fields::attack_25_no_field_that_is_not_documented_is_taken,
        search::attack_42_what_is_searched_for_is_text_and_never_a_pattern,
        search::attack_42_no_query_parameter_reaches_the_database_as_code,
        markup::attack_43_markup_comes_back_as_the_text_it_is,
        oversize::attack_33_what_is_too_large_or_too_deep_is_refused,
        oversize::attack_33_a_socket_that_sends_too_much_is_closed,
        contract::attack_49_what_cannot_be_bought_is_refused_and_moves_nothing,
        live::attack_49_the_live_channel_is_opened_by_who_may_and_heard_within_limits,
        nonsense::attack_49_every_reference_of_the_document_leads_somewhere,
        nonsense::attack_49_nonsense_is_refused_and_never_a_fault_of_ours,
        races::attack_45_of_two_that_register_one_does,
        races::attack_45_of_ten_new_passwords_one_counts,
        races::attack_45_nobody_logs_in_to_an_account_that_is_going,
        races::attack_45_a_refresh_does_not_outlive_a_logout,
        ended::attack_15_what_has_ended_is_refused_and_closed_within_a_second,
        // The last: it uses things up, and takes some away.
        ownership::attack_23_what_is_somebody_elses_is_not_there,
        ownership::attack_23_a_socket_is_its_owners,
        slow::attack_32_slow_people_are_let_go_and_others_do_not_notice,
    );
    slow::attack_32_slow_readers_are_let_go(readers).await;
    assert!(open.is_empty(), "these attacks succeeded: {open:#?}");
    assert_eq!(house.stack.read_status()["pids"], house.stack.status["pids"], "a process had to be started again");
}
