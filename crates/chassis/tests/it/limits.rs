//! Limits that replicas share.

use std::time::Duration;

use chassis::{
    limit::{Count, Shared},
    redis::{Redis, RedisConfig},
};
use domain::rate::Rate;
use secrecy::SecretString;

use crate::pool::reset_at_will;

const RATE: Rate = Rate { burst: 3, every: Duration::from_mins(1) };

fn redis(url: &str) -> Redis {
    let redis_prefix = format!("test:{}", chassis::clock::Clock::system().uuid().simple());
    let (redis_url, patience) = (SecretString::from(url), testkit::stage::PATIENCE);
    Redis::new(&RedisConfig { redis_url, redis_prefix, redis_pool_size: 4, patience }).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_count_together() {
    let redis = redis(&testkit::settings::required("MARU_TEST_REDIS_URL"));
    let (here, there) = (Shared::new(redis.clone()), Shared::new(redis));
    let mut allowed = Vec::new();
    for replica in [&here, &there, &here, &there, &here] {
        let decision = replica.take("login:192.0.2.1", RATE).await;
        allowed.push((decision.is_allowed, decision.remaining));
    }
    assert_eq!(allowed, [(true, 2), (true, 1), (true, 0), (false, 0), (false, 0)]);
    let refused = there.take("login:192.0.2.1", RATE).await;
    assert!((1..=60).contains(&refused.retry_after_seconds()), "{refused:?}");
    assert!(there.take("login:192.0.2.2", RATE).await.is_allowed);
    here.forget("login:192.0.2.1").await;
    assert!(there.take("login:192.0.2.1", RATE).await.is_allowed);
    here.give_back("login:192.0.2.1", RATE).await;
    assert!(there.take("login:192.0.2.1", RATE).await.is_allowed);
    here.take("login:192.0.2.1", RATE).await;
    here.take("login:192.0.2.1", RATE).await;
    assert!(!here.take("login:192.0.2.1", RATE).await.is_allowed);
}

async fn take_twofold(shared: &Shared, place: &str) -> [(bool, u32); 2] {
    let anywhere = Rate { burst: 10, ..RATE };
    let counts = [(Count { group: "password:kim", part: place }, RATE), ("password:kim".into(), anywhere)];
    shared.take_each(counts).await.map(|decision| (decision.is_allowed, decision.remaining))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_of_one_group_are_taken_up_to_the_first_that_refuses() {
    let with_redis = Shared::new(redis(&testkit::settings::required("MARU_TEST_REDIS_URL")));
    let alone = Shared::new(redis("redis://127.0.0.1:1"));
    for shared in [with_redis, alone] {
        for left in 0..3 {
            assert_eq!(take_twofold(&shared, "here").await, [(true, 2 - left), (true, 9 - left)]);
        }
        for _ in 0..2 {
            assert_eq!(take_twofold(&shared, "here").await, [(false, 0), (false, 0)]);
        }
        // What was refused in one place was not counted for all of them.
        assert_eq!(take_twofold(&shared, "there").await, [(true, 2), (true, 6)]);
        shared.forget(Count { group: "password:kim", part: "here" }).await;
        assert_eq!(take_twofold(&shared, "here").await, [(true, 2), (true, 5)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_counts_for_itself_and_soon_stops_waiting() {
    let shared = Shared::new(redis("redis://127.0.0.1:1"));
    let mut allowed = 0;
    for _ in 0..10 {
        allowed += u32::from(shared.take("login:192.0.2.1", RATE).await.is_allowed);
    }
    assert_eq!(allowed, 3);
    shared.give_back("login:192.0.2.1", RATE).await;
    assert!(shared.take("login:192.0.2.1", RATE).await.is_allowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_used_up_what_redis_counts_is_not_given_it_again_when_redis_is_slow() {
    let (redis, proxy) = reset_at_will();
    let (shared, key) = (Shared::new(redis), format!("login:{}", chassis::clock::Clock::system().uuid()));
    for _ in 0..2 {
        assert!(shared.take(&key, RATE).await.is_allowed);
    }
    proxy.latency(Duration::from_secs(5));
    let allowed = [shared.take(&key, RATE).await, shared.take(&key, RATE).await].map(|decision| decision.is_allowed);
    assert_eq!(allowed, [true, false]);
    // Answers that are on their way while others are judged here give nobody more than that.
    let (redis, proxy) = reset_at_will();
    let (shared, key) = (Shared::new(redis), format!("login:{}", chassis::clock::Clock::system().uuid()));
    proxy.latency(Duration::from_millis(60));
    let decisions = futures_util::future::join_all((0..40).map(|_| shared.take(&key, RATE))).await;
    assert_eq!(decisions.iter().filter(|decision| decision.is_allowed).count(), 3);
}
