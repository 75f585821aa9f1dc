//! `PATCH /user/me`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    account::{parse_name, parse_picture},
    calendar::parse_zone,
    fault::{Violations, common},
    locale::Locale,
};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{
    AccountView, parse_phone,
    store::{self, Changes},
};
use crate::{
    app::App,
    audit::{self, Entry},
    visitor::Visitor,
};

/// What is to be changed; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "a `null` takes a value away, a field that is not there leaves it")]
pub struct UpdateRequest {
    /// Display name, 1-100 characters.
    name: Option<String>,
    /// Phone number; `null` or empty takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    phone: Option<Option<String>>,
    /// Language of mails: `ko` or `en`.
    locale: Option<String>,
    /// IANA time zone, as in `Asia/Seoul`.
    timezone: Option<String>,
    /// Address of a picture, https; `null` or empty takes it away. Nobody here fetches it.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    picture: Option<Option<String>>,
}

/// Tells a `null` from a field that is not there.
#[expect(clippy::option_option, reason = "that is the difference")]
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

impl TryFrom<UpdateRequest> for Changes {
    type Error = Violations;

    fn try_from(request: UpdateRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let name = request.name.and_then(|name| parse_name(&name, &mut violations));
        let phone = request.phone.map(|phone| phone.and_then(|phone| parse_phone(&phone, &mut violations)));
        let locale = request.locale.and_then(|locale| {
            let known = Locale::parse(&locale);
            violations.require(known.is_some(), "/locale", "unknown", "ko 또는 en이어야 합니다.", "Is one of: ko, en.");
            known.map(Locale::code)
        });
        let timezone = request.timezone.and_then(|zone| parse_zone(Some(&zone), "/timezone", &mut violations));
        let picture = request.picture.map(|picture| picture.and_then(|url| parse_picture(&url, &mut violations)));
        violations.into_result()?;
        Ok(Self {
            name,
            phone,
            locale,
            timezone: timezone.map(|zone| zone.name().to_owned()),
            picture,
            updated_at: None,
        })
    }
}

/// Changes the account of whoever asks.
#[utoipa::path(
    patch, path = "/user/me", tag = "accounts", security(("bearer" = [])), request_body = UpdateRequest,
    responses((status = 200, body = AccountView), (status = 422, description = "`invalid`", body = ProblemView))
)]
pub async fn update(
    app: Data<App>,
    person: Person,
    visitor: Visitor,
    body: Json<UpdateRequest>,
) -> Outcome<HttpResponse> {
    let changes = Changes { updated_at: Some(app.ground.clock.now()), ..Changes::try_from(body.into_inner())? };
    let mut conn = app.ground.pg.conn().await?;
    let user = conn
        .transaction(async |conn| {
            store::find_by_login(conn, person.0).await?.ok_or(common::INVALID_TOKEN)?;
            let user = store::update(conn, person.0.user_id, &changes).await?.ok_or(common::INVALID_TOKEN)?;
            audit::record(&app, conn, Entry::of(user.id, "profile_changed").from(&visitor)).await?;
            Outcome::Ok(user)
        })
        .await?;
    Ok(HttpResponse::Ok().json(AccountView::from(user)))
}
