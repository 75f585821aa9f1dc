//! The services that are called, one house of them.

use std::time::Duration;

use auth::{
    config::{AuthConfig, ServicesConfig},
    google::config::GoogleConfig,
    mail::config::MailConfig,
};
use chassis::{
    access::{AccessConfig, AccessTokens},
    client::Peer,
    clock::Clock,
    limit::Profile,
    peers::Urls,
};
use diesel_async::SimpleAsyncConnection;
use domain::principal::{Principal, Role, Service};
use secrecy::SecretString;
use serde_json::json;
use testkit::{Answer, Stage, TestApp, TestClient};

/// Secret of access tokens.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A password that may be used.
pub(crate) const PASSWORD: &str = "마루 위에서 잔다 7";

/// A service that runs on what it has to itself.
pub(crate) struct Room {
    pub(crate) service: Service,
    stage: Stage,
    app: TestApp,
}

impl Room {
    /// Returns this service as another one calls it.
    pub(crate) fn as_seen_by(&self, caller: Service) -> Peer {
        let url = format!("http://{}", self.app.addr()).parse().unwrap();
        let signer = self.stage.keys().signer(caller);
        Peer::new(self.service, vec![url], Some(signer), self.stage.clock.clone()).unwrap()
    }

    /// Calls as the gateway does for a person.
    pub(crate) fn as_principal(&self, person: Principal) -> TestClient {
        self.app.as_principal(person)
    }

    /// Calls as the gateway does for somebody who is not signed in.
    pub(crate) fn as_nobody(&self) -> TestClient {
        self.app.anonymous()
    }

    /// Reads who an answer's access token speaks for, the way the gateway does.
    pub(crate) fn principal(&self, answer: &Answer) -> Principal {
        let tokens = AccessTokens::new(&SecretString::from(SECRET));
        tokens.verify(answer.text("/access_token"), self.stage.clock.now()).unwrap().principal
    }

    /// Runs a statement behind the service's back.
    pub(crate) async fn execute(&self, sql: &str) {
        self.stage.pg().conn().await.unwrap().batch_execute(sql).await.unwrap();
    }

    fn urls(&self) -> Urls {
        Urls(vec![format!("http://{}", self.app.addr()).parse().unwrap()])
    }
}

/// Four services of one house: they trust the same keys and go by the same clock.
pub(crate) struct House {
    pub(crate) session: Room,
    pub(crate) ticketing: Room,
    pub(crate) emotion: Room,
    pub(crate) memo: Room,
}

impl House {
    /// Starts all of them.
    pub(crate) async fn open() -> Self {
        let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
        let ticketing = stage.beside(Service::Ticketing, ticketing::app::MIGRATIONS).await;
        let emotion = stage.beside(Service::Emotion, emotion::app::MIGRATIONS).await;
        let memo = stage.beside(Service::Memo, memo::app::MIGRATIONS).await;
        let session = serve_session(stage);
        let memo = serve_memo(memo, session.urls());
        Self { session, ticketing: serve_ticketing(ticketing), emotion: serve_emotion(emotion, memo.urls()), memo }
    }

    /// Returns a person nobody has seen before.
    pub(crate) fn somebody(&self) -> Principal {
        let clock = &self.session.stage.clock;
        Principal { user_id: clock.id(), login_id: clock.id(), role: Role::User }
    }

    /// Returns the clock they all go by.
    pub(crate) fn clock(&self) -> &Clock {
        &self.session.stage.clock
    }

    /// Makes one thing wherever a person can make one without more ado.
    pub(crate) async fn settle_in(&self, person: Principal) {
        let makings = [
            (&self.session, "/api/v1/sessions", json!({ "title": "마루 발표" })),
            (&self.emotion, "/emotion/sessions", json!({ "topic": "발표" })),
            (&self.memo, "/memo", json!({ "content": "가을 하늘" })),
        ];
        for (room, path, body) in makings {
            room.as_principal(person).post(path, body).await.assert_status(201);
        }
    }

    /// Starts the auth service beside them: it knows where they are.
    pub(crate) async fn open_auth(&self) -> Room {
        let stage = self.session.stage.beside(Service::Auth, auth::app::MIGRATIONS).await;
        let config = auth_config(&stage, self);
        let app = stage.serve(auth::build(config, stage.clock.clone()).unwrap());
        Room { service: Service::Auth, stage, app }
    }

    /// Returns all of them.
    pub(crate) fn rooms(&self) -> [&Room; 4] {
        [&self.session, &self.ticketing, &self.emotion, &self.memo]
    }
}

fn auth_config(stage: &Stage, house: &House) -> AuthConfig {
    let nowhere = || "http://127.0.0.1:1/".parse().unwrap();
    AuthConfig {
        base: stage.base_config(),
        port: 0,
        access: AccessConfig { jwt_secret: SecretString::from(SECRET), jwt_secret_previous: None },
        signing: stage.signing_config(),
        jwt_expires_in: Duration::from_hours(24),
        password_hashes_at_once: 1,
        rate_limits: Profile::Generous,
        public_url: "http://localhost:8080".parse().unwrap(),
        mail: MailConfig { mail_url: None, mail_from: "Maru <maru@example.com>".to_owned() },
        google: GoogleConfig {
            google_client_id: None,
            google_client_secret: None,
            redirect_uri: None,
            google_issuer: nowhere(),
            google_authorization_url: nowhere(),
            google_token_url: nowhere(),
            google_jwks_url: nowhere(),
        },
        services: ServicesConfig {
            session_urls: house.session.urls(),
            ticketing_urls: house.ticketing.urls(),
            emotion_urls: house.emotion.urls(),
            memo_urls: house.memo.urls(),
        },
    }
}

fn serve_session(stage: Stage) -> Room {
    let nowhere = || Urls(vec!["http://127.0.0.1:1".parse().unwrap()]);
    let config = session::config::SessionConfig {
        base: stage.base_config(),
        port: 0,
        public_base_url: "http://localhost:8080".to_owned(),
        participants: session::config::ParticipantConfig {
            participant_secret: SecretString::from(SECRET),
            participant_secret_previous: None,
        },
        signing: stage.signing_config(),
        services: session::config::ServicesConfig { auth_urls: nowhere(), ticketing_urls: nowhere() },
    };
    let app = stage.serve(session::build(config, stage.clock.clone()).unwrap());
    Room { service: Service::Session, stage, app }
}

fn serve_ticketing(stage: Stage) -> Room {
    let config = ticketing::config::TicketingConfig {
        base: stage.base_config(),
        port: 0,
        hold_ttl: Duration::from_mins(5),
        hold_sweep_ms: 500,
        max_seats_per_reservation: 4,
        max_tickets_per_reservation: 10,
        max_per_user_event: 10,
        payments: ticketing::payment::config::PaymentConfig {
            payment_provider: None,
            toss_secret_key: None,
            toss_client_key: None,
            toss_base_url: "http://127.0.0.1:1".parse().unwrap(),
            toss_timeout_ms: 1_000,
            payment_sweep_ms: 500,
        },
        queue: ticketing::queue::config::QueueConfig {
            queue_tick_ms: 250,
            queue_ttl: Duration::from_mins(5),
            queue_claim_ttl: Duration::from_mins(1),
            queue_recovery: Duration::from_secs(15),
        },
        tickets: ticketing::admission_ticket::config::TicketConfig {
            ticket_secret: SecretString::from(SECRET),
            ticket_secret_previous: None,
        },
        timezone: chrono_tz::Asia::Seoul,
        realtime: ticketing::realtime::RealtimeConfig {
            signing: stage.signing_config(),
            auth_urls: Urls(vec!["http://127.0.0.1:1".parse().unwrap()]),
            socket_ping_interval: Duration::from_secs(25),
            socket_ping_timeout: Duration::from_secs(20),
        },
    };
    let app = stage.serve(ticketing::build(config, stage.clock.clone()).unwrap());
    Room { service: Service::Ticketing, stage, app }
}

fn serve_emotion(stage: Stage, memo_urls: Urls) -> Room {
    let config = emotion::config::EmotionConfig {
        base: stage.base_config(),
        port: 0,
        vault: emotion::vault::VaultConfig::default(),
        limits: emotion::limit::LimitConfig::default(),
        // No model: prepared sentences answer.
        model: emotion::companion::ModelConfig {
            openai_api_key: None,
            openai_base_url: "http://127.0.0.1:1/v1".parse().unwrap(),
            openai_model: "none".to_owned(),
            openai_fallback_model: None,
            openai_context_tokens: None,
            openai_max_tokens: 1_024,
            openai_max_tokens_parameter: "max_tokens".to_owned(),
            openai_connect_timeout_ms: 1_000,
            openai_first_token_timeout_ms: 1_000,
            openai_idle_timeout_ms: 1_000,
            openai_retry_after_max_ms: 1_000,
        },
        instructions: emotion::context::InstructionsConfig::default(),
        replies: emotion::reply::ReplyConfig::default(),
        retention: emotion::retention::RetentionConfig::default(),
        signing: stage.signing_config(),
        services: emotion::config::ServicesConfig {
            memo_urls,
            auth_urls: Urls(vec!["http://127.0.0.1:1".parse().unwrap()]),
        },
    };
    let app = stage.serve(emotion::build(config, stage.clock.clone()).unwrap());
    Room { service: Service::Emotion, stage, app }
}

fn serve_memo(stage: Stage, session_urls: Urls) -> Room {
    let s3 = testkit::s3();
    let s3 = memo::config::S3Config {
        s3_endpoint: s3.endpoint.parse().unwrap(),
        s3_public_endpoint: None,
        s3_region: s3.region,
        s3_bucket: s3.bucket,
        s3_access_key: s3.access_key_id,
        s3_secret_key: SecretString::from(s3.secret_access_key),
    };
    let config = memo::config::MemoConfig {
        files: memo::config::FilesConfig { files_quota_mb: 2_048 },
        base: stage.base_config(),
        port: 0,
        s3,
        signing: stage.signing_config(),
        services: memo::config::ServicesConfig { session_urls },
    };
    let app = stage.serve(memo::build(config, stage.clock.clone()).unwrap());
    Room { service: Service::Memo, stage, app }
}
