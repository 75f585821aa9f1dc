//! Which account a Google identity is.
//!
//! Somebody may have registered another person's address and wait for them to come. So an address alone links nothing:
//! both sides must have proved it, and an account whose address nobody has proved is handed to whom Google vouches for,
//! with everything that could let the first one back in taken away.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use domain::{
    account::{EmailAddress, NAME_MAX, parse_name, parse_picture},
    fault::{Fault, Kind, Violations},
    ids::UserId,
    locale::Locale,
};

use super::id_token::GoogleIdentity;
use crate::{
    account::store::{self, Changes, EMAIL_TAKEN, NewUser, User},
    app::App,
    audit::{self, Entry},
    login::{
        begin::{Method, TokensView, begin},
        end,
        store::{self as logins, Which},
    },
    mail::{self, Notice, code},
    schema::{identities, users},
    visitor::Visitor,
};

/// Google does not vouch for the address.
pub const EMAIL_NOT_VERIFIED: Fault = Fault::new(
    Kind::Forbidden,
    "email_not_verified",
    "Google에서 확인되지 않은 이메일입니다.",
    "Google has not verified this e-mail address.",
);
/// The address has an account, and Google cannot say that it is the same person's.
pub const LINK_REQUIRED: Fault = Fault::new(
    Kind::Conflict,
    "link_required",
    "이미 가입된 이메일입니다. 비밀번호로 로그인해 주세요.",
    "This address already has an account. Log in with its password.",
);

const GOOGLE: &str = "google";

/// What was found.
enum Found {
    /// Known from before.
    Known(User),
    /// New here.
    New(User),
    /// An account whose address both sides have proved.
    Linked(User),
    /// An account whose address nobody had proved: it has changed hands.
    TakenOver(User),
}

/// Finds, makes or links the account of an identity and begins a login.
///
/// # Errors
/// 403 `email_not_verified`, 409 `link_required`.
pub async fn enter(
    app: &App,
    identity: &GoogleIdentity,
    locale: Locale,
    visitor: &Visitor,
) -> Outcome<(User, TokensView)> {
    match try_to_enter(app, identity, locale, visitor).await {
        // Two tabs of a newcomer: what the other one made is there now.
        Err(problem) if [EMAIL_TAKEN.code, "conflict"].contains(&problem.code()) => {
            try_to_enter(app, identity, locale, visitor).await
        }
        entered => entered,
    }
}

async fn try_to_enter(
    app: &App,
    identity: &GoogleIdentity,
    locale: Locale,
    visitor: &Visitor,
) -> Outcome<(User, TokensView)> {
    let mut conn = app.ground.pg.conn().await?;
    let entered = conn
        .transaction(async |conn| {
            let found = find_or_make(app, conn, identity, locale).await?;
            let (user, action) = match found {
                Found::Known(user) => (user, "logged_in"),
                Found::New(user) => (user, "registered"),
                Found::Linked(user) => {
                    mail::notify(app, conn, &user, Notice::GoogleLinked).await?;
                    (user, "google_linked")
                }
                Found::TakenOver(user) => (user, "google_took_over"),
            };
            let tokens = begin(app, conn, &user, Method::Google, visitor).await?;
            audit::record(app, conn, Entry::of(user.id, action).with("method", GOOGLE).from(visitor)).await?;
            Outcome::Ok((user, tokens))
        })
        .await?;
    app.outbox.wake();
    Ok(entered)
}

async fn find_or_make(
    app: &App,
    conn: &mut AsyncPgConnection,
    identity: &GoogleIdentity,
    locale: Locale,
) -> Outcome<Found> {
    if let Some(user) = find_by_subject(conn, &identity.sub).await? {
        return Ok(Found::Known(user));
    }
    let email = identity.email.as_deref().filter(|_| identity.email_verified).ok_or(EMAIL_NOT_VERIFIED)?;
    let email = EmailAddress::parse(email, &mut Violations::new()).ok_or(EMAIL_NOT_VERIFIED)?;
    let now = app.ground.clock.now();
    let found = lock_by_email(conn, &email.key()).await?;
    let found = match found {
        None => Found::New(store::insert(conn, &newcomer(app, identity, &email, locale, now)).await?),
        Some(user) if user.email_verified_at.is_none() => {
            Found::TakenOver(take_over(app, conn, &user, identity, now).await?)
        }
        Some(user) if identity.is_authoritative() => Found::Linked(user),
        Some(_) => return Err(LINK_REQUIRED.into()),
    };
    let (Found::Known(user) | Found::New(user) | Found::Linked(user) | Found::TakenOver(user)) = &found;
    let row = (
        identities::provider.eq(GOOGLE),
        identities::subject.eq(&identity.sub),
        identities::user_id.eq(user.id),
        identities::created_at.eq(now),
    );
    diesel::insert_into(identities::table).values(row).execute(conn).await?;
    Ok(found)
}

/// Finds the account of a subject; neither its role nor its end comes in between until the transaction ends.
async fn find_by_subject(conn: &mut AsyncPgConnection, subject: &str) -> Outcome<Option<User>> {
    let known = identities::table
        .inner_join(users::table)
        .filter(identities::provider.eq(GOOGLE))
        .filter(identities::subject.eq(subject))
        .select(User::as_select())
        .for_share();
    Ok(known.first(conn).await.optional()?)
}

/// Finds the account of an address and keeps it as it is until the transaction ends.
async fn lock_by_email(conn: &mut AsyncPgConnection, email_key: &str) -> Outcome<Option<User>> {
    let found = users::table.filter(users::email_key.eq(email_key)).select(User::as_select()).for_update();
    Ok(found.first(conn).await.optional()?)
}

fn newcomer(app: &App, identity: &GoogleIdentity, email: &EmailAddress, locale: Locale, now: DateTime<Utc>) -> NewUser {
    NewUser {
        provider: GOOGLE,
        locale: locale.code(),
        picture: picture(identity),
        email_verified_at: Some(now),
        ..NewUser::new(app.ground.clock.uuid(), name(identity), email.as_str().to_owned(), now)
    }
}

/// Hands an account to whom Google vouches for. Nothing of the one who registered it stays that could let them in, or
/// pass for the owner's own.
async fn take_over(
    app: &App,
    conn: &mut AsyncPgConnection,
    user: &User,
    identity: &GoogleIdentity,
    now: DateTime<Utc>,
) -> Outcome<User> {
    let user_id = UserId(user.id);
    let ended = logins::end(conn, user_id, Which::All, "google_took_over", now).await?;
    end::announce(app, conn, ended, now).await?;
    store::set_password(conn, user_id, None, now).await?;
    code::forget(conn, user_id).await?;
    store::verify_email(conn, user_id, now).await?;
    diesel::update(users::table.find(user.id)).set(users::provider.eq(GOOGLE)).execute(conn).await?;
    let changes = Changes {
        name: Some(name(identity)),
        phone: Some(None),
        picture: Some(picture(identity)),
        updated_at: Some(now),
        ..Changes::default()
    };
    let owned = store::update(conn, user_id, &changes).await?;
    owned.ok_or_else(|| Problem::unexpected("the account is gone in the middle of its own transaction"))
}

/// Returns a name to show: Google's, or what stands before the `@`.
fn name(identity: &GoogleIdentity) -> String {
    let told = identity.name.as_deref().and_then(|name| parse_name(&shortened(name), &mut Violations::new()));
    let local = identity.email.as_deref().and_then(|email| email.split('@').next()).unwrap_or_default();
    told.or_else(|| parse_name(local, &mut Violations::new())).unwrap_or_else(|| "Maru".to_owned())
}

fn shortened(name: &str) -> String {
    name.chars().take(NAME_MAX).collect()
}

fn picture(identity: &GoogleIdentity) -> Option<String> {
    identity.picture.as_deref().and_then(|url| parse_picture(url, &mut Violations::new()))
}
