//! The demo accounts that a development machine starts with; no other environment has them.

use uuid::{Uuid, uuid};

use crate::principal::Role;

/// The password of every demo account.
pub const PASSWORD: &str = "maru-demo-2026";

/// One demo account.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Fixed, so that each service can seed this person's things without asking another.
    pub id: Uuid,
    /// Login name.
    pub email: &'static str,
    /// Display name.
    pub name: &'static str,
    /// What the account may do.
    pub role: Role,
}

/// A person with their own things.
pub const USER: Account = Account {
    id: uuid!("01900000-0000-7000-8000-000000000001"),
    email: "demo@maru.dev",
    name: "김마루",
    role: Role::User,
};

/// Runs the demo events.
pub const ORGANIZER: Account = Account {
    id: uuid!("01900000-0000-7000-8000-000000000002"),
    email: "organizer@maru.dev",
    name: "이주최",
    role: Role::Organizer,
};

/// Sees everything.
pub const ADMIN: Account = Account {
    id: uuid!("01900000-0000-7000-8000-000000000003"),
    email: "admin@maru.dev",
    name: "박관리",
    role: Role::Admin,
};

/// All demo accounts.
pub const ACCOUNTS: [Account; 3] = [USER, ORGANIZER, ADMIN];
