//! Whether an answer's time tells who has an account. Numbers are those of the threat list in docs/security.md.
#![expect(clippy::cast_precision_loss, reason = "a handful of samples")]
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]
#![expect(clippy::print_stderr, reason = "what was measured is for whoever looks at the test")]

use std::{collections::BTreeSet, time::Instant};

use chassis::limit::Profile;
use serde_json::{Value, json};
use testkit::{Answer, Stage, TestApp};

use crate::{behind::sql, register, start_with};

/// Samples of each kind of account.
const SAMPLES: usize = 80;

struct Samples {
    name: &'static str,
    email: &'static str,
    millis: Vec<f64>,
    answers: BTreeSet<String>,
}

impl Samples {
    const fn of(name: &'static str, email: &'static str) -> Self {
        Self { name, email, millis: Vec::new(), answers: BTreeSet::new() }
    }

    fn mean(&self) -> f64 {
        self.millis.iter().sum::<f64>() / self.millis.len() as f64
    }

    fn median(&self) -> f64 {
        let mut sorted = self.millis.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    fn variance(&self) -> f64 {
        let mean = self.mean();
        self.millis.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (self.millis.len() - 1) as f64
    }

    /// Welch's t against another kind, and about how likely one so large is by chance.
    fn compared_with(&self, other: &Self) -> (f64, f64) {
        let error = self.variance() / self.millis.len() as f64 + other.variance() / other.millis.len() as f64;
        let t = (self.mean() - other.mean()) / error.sqrt();
        (t, 2.0 * upper_tail(t.abs()))
    }

    async fn take(&mut self, app: &TestApp, ip: &str) {
        let body = json!({ "email": self.email, "password": "wrong one" });
        let nobody = app.anonymous();
        let request = nobody.request(reqwest::Method::POST, "/login").header("x-client-ip", ip).json(&body);
        let started = Instant::now();
        let answer = nobody.send(request).await;
        self.millis.push(started.elapsed().as_secs_f64() * 1_000.0);
        self.answers.insert(shape(answer));
    }
}

/// The normal distribution's upper tail (Abramowitz and Stegun, 26.2.17).
fn upper_tail(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x);
    let factors = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let sum = factors.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    sum * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

/// Everything of an answer that two accounts must have alike.
fn shape(mut answer: Answer) -> String {
    answer.json["request_id"] = Value::Null;
    // How long to wait depends on when the account was tried, which whoever tried it knows.
    let one_request_only = |name: &str| matches!(name, "x-request-id" | "date" | "retry-after");
    let headers: Vec<_> = answer.headers.iter().filter(|(name, _)| !one_request_only(name.as_str())).collect();
    format!("{} {headers:?} {}", answer.status, answer.json)
}

async fn set_up(profile: Profile) -> (Stage, TestApp) {
    let (stage, app) = start_with(|config| {
        config.rate_limits = profile;
        config.password_hashes_at_once = 1;
    })
    .await;
    register(&stage, &app, "kim@example.com").await;
    register(&stage, &app, "lee@example.com").await;
    sql(&stage, "UPDATE users SET password_hash = NULL, provider = 'google' WHERE email_key = 'lee@example.com'").await;
    (stage, app)
}

/// Takes samples in turns, so that whatever else the machine does meets all kinds alike.
async fn measure(app: &TestApp, kinds: &mut [Samples], place: impl Fn(usize) -> String) {
    for n in 0..SAMPLES {
        for kind in kinds.iter_mut() {
            kind.take(app, &place(n)).await;
        }
    }
    eprintln!("{:<14} {:>4} {:>9} {:>9} {:>9} {:>8} {:>7}", "account", "n", "mean ms", "median", "stddev", "t", "p");
    let (first, others) = kinds.split_first().unwrap();
    for kind in std::iter::once(first).chain(others) {
        let (t, p) = kind.compared_with(first);
        let (mean, median, deviation) = (kind.mean(), kind.median(), kind.variance().sqrt());
        let n = kind.millis.len();
        eprintln!("{:<14} {n:>4} {mean:>9.3} {median:>9.3} {deviation:>9.3} {t:>8.2} {p:>7.3}", kind.name);
    }
    for kind in others {
        assert_eq!(kind.answers, first.answers, "{} answers otherwise than {}", kind.name, first.name);
        let ratio = kind.median() / first.median();
        assert!((0.5..2.0).contains(&ratio), "{} takes {ratio} times as long as {}", kind.name, first.name);
    }
    assert_eq!(first.answers.len(), 1, "{:?}", first.answers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_18_a_wrong_login_takes_as_long_whoever_has_the_address() {
    let (_stage, app) = set_up(Profile::Generous).await;
    let mut kinds = [
        Samples::of("known", "kim@example.com"),
        Samples::of("unknown", "nobody@example.com"),
        Samples::of("Google only", "lee@example.com"),
        Samples::of("no address", "nobody"),
    ];
    // From somewhere else each time, so that no limit is met.
    measure(&app, &mut kinds, |n| format!("192.0.2.{n}")).await;
    assert!(kinds.iter().all(|kind| kind.answers.iter().all(|answer| answer.starts_with("401 "))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_18_a_limited_login_takes_as_long_whoever_has_the_address() {
    let (_stage, app) = set_up(Profile::Strict).await;
    let mut kinds = [
        Samples::of("known", "kim@example.com"),
        Samples::of("unknown", "nobody@example.com"),
        Samples::of("Google only", "lee@example.com"),
    ];
    for kind in &kinds {
        for _ in 0..5 {
            let body = json!({ "email": kind.email, "password": "wrong one" });
            let answer = app.anonymous().post_with("/login", body, &[("x-client-ip", "192.0.2.7")]).await;
            answer.assert_problem(401, "wrong_credentials");
        }
    }
    measure(&app, &mut kinds, |_| "192.0.2.7".to_owned()).await;
    assert!(kinds.iter().all(|kind| kind.answers.iter().all(|answer| answer.starts_with("429 "))));
}
