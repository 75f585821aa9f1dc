//! The services that are called, one house of them.

use std::time::Duration;

use chassis::client::Peer;
use domain::principal::{Principal, Role, Service};
use secrecy::SecretString;
use testkit::{Stage, TestApp, TestClient};

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
        Self {
            session: serve_session(stage),
            ticketing: serve_ticketing(ticketing),
            emotion: serve_emotion(emotion),
            memo: serve_memo(memo),
        }
    }

    /// Returns a person nobody has seen before.
    pub(crate) fn somebody(&self) -> Principal {
        let clock = &self.session.stage.clock;
        Principal { user_id: clock.id(), login_id: clock.id(), role: Role::User }
    }

    /// Returns all of them.
    pub(crate) fn rooms(&self) -> [&Room; 4] {
        [&self.session, &self.ticketing, &self.emotion, &self.memo]
    }
}

fn serve_session(stage: Stage) -> Room {
    let public_base_url = "http://localhost:8080".to_owned();
    let config = session::config::SessionConfig { base: stage.base_config(), port: 0, public_base_url };
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
    };
    let app = stage.serve(ticketing::build(config, stage.clock.clone()).unwrap());
    Room { service: Service::Ticketing, stage, app }
}

fn serve_emotion(stage: Stage) -> Room {
    let config = emotion::config::EmotionConfig { base: stage.base_config(), port: 0 };
    let app = stage.serve(emotion::build(config, stage.clock.clone()).unwrap());
    Room { service: Service::Emotion, stage, app }
}

fn serve_memo(stage: Stage) -> Room {
    let s3 = testkit::s3();
    let s3 = memo::config::S3Config {
        s3_endpoint: s3.endpoint.parse().unwrap(),
        s3_public_endpoint: None,
        s3_region: s3.region,
        s3_bucket: s3.bucket,
        s3_access_key_id: s3.access_key_id,
        s3_secret_access_key: SecretString::from(s3.secret_access_key),
    };
    let config = memo::config::MemoConfig { base: stage.base_config(), port: 0, s3 };
    let app = stage.serve(memo::build(config, stage.clock.clone()).unwrap());
    Room { service: Service::Memo, stage, app }
}
