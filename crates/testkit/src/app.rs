//! A service that runs inside a test.

use std::net::SocketAddr;

use actix_web::dev::ServerHandle;
use chassis::{clock::Clock, lifecycle::Lifecycle, server::Bound};
use domain::{
    ids::{LoginId, UserId},
    principal::{Principal, Role, Service},
};

use crate::{
    client::{Identity, TestClient},
    keys::KeyRing,
};

/// A running service and its callers; it stops when this is dropped.
pub struct TestApp {
    addr: SocketAddr,
    service: Service,
    keys: KeyRing,
    clock: Clock,
    lifecycle: Lifecycle,
    handle: ServerHandle,
}

impl TestApp {
    pub(crate) fn start(bound: Bound, service: Service, keys: KeyRing, clock: Clock) -> Self {
        let (addr, lifecycle, handle) = (bound.addr(), bound.lifecycle(), bound.handle());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { bound.run().await.expect("serve") });
        Self { addr, service, keys, clock, lifecycle, handle }
    }

    /// Returns where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns its life, to begin a drain or to stop it.
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    /// Stops it as SIGTERM would, without the wait: sockets are closed, requests in flight finish.
    pub async fn stop(&self) {
        self.lifecycle.stop();
        self.handle.stop(true).await;
    }

    /// Calls as a person nobody has seen before.
    pub fn as_user(&self) -> TestClient {
        self.as_role(Role::User)
    }

    /// Calls as a new person with a role.
    pub fn as_role(&self, role: Role) -> TestClient {
        let (user_id, login_id) = (self.clock.id::<UserId>(), self.clock.id::<LoginId>());
        self.as_principal(Principal { user_id, login_id, role })
    }

    /// Calls as somebody known.
    pub fn as_principal(&self, principal: Principal) -> TestClient {
        self.client(Identity::Person(principal))
    }

    /// Calls as the gateway does for somebody who is not signed in.
    pub fn anonymous(&self) -> TestClient {
        self.client(Identity::Nobody)
    }

    /// Calls as the gateway does on its own account.
    pub fn as_peer(&self) -> TestClient {
        self.as_service(Service::Gateway)
    }

    /// Calls as another process of ours does on its own account.
    pub fn as_service(&self, service: Service) -> TestClient {
        self.client(Identity::Peer(service))
    }

    /// Calls around the gateway: without an internal token.
    pub fn without_token(&self) -> TestClient {
        self.client(Identity::None)
    }

    fn client(&self, identity: Identity) -> TestClient {
        let caller = match identity {
            Identity::Peer(service) => service,
            _ => Service::Gateway,
        };
        TestClient::new(self.addr, self.service, self.keys.signer(caller), self.clock.clone(), identity)
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.lifecycle.stop();
        let handle = self.handle.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { handle.stop(false).await });
        }
    }
}
