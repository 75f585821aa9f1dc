//! `POST /api/v1/admin/layouts`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Organizer,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    catalogue::{NAME_MAX, parse_description, parse_line},
    fault::Violations,
    locale::Text,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    list::LayoutEntryView,
    sections::{self, LayoutConfigRequest},
    store::{self, NewLayout},
};
use crate::app::App;

const CREATED: Text = Text::new("좌석 배치가 생성되었습니다.", "The layout is there.");

/// A layout that is to be made. Names may also be written in snake_case.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CreateLayoutRequest {
    /// 1-200 characters.
    name: String,
    /// At most 5,000 characters.
    description: Option<String>,
    /// Its sections.
    #[serde(alias = "layout_config")]
    layout_config: LayoutConfigRequest,
}

/// A layout that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayoutCreatedView {
    /// For people.
    message: &'static str,
    layout: LayoutEntryView,
}

fn parse(request: &CreateLayoutRequest, id: Uuid) -> Result<NewLayout, Violations> {
    let mut violations = Violations::new();
    let name = parse_line(&request.name, "/name", NAME_MAX, &mut violations);
    let description =
        request.description.as_deref().and_then(|text| parse_description(text, "/description", &mut violations));
    let config = sections::parse(&request.layout_config, &mut violations);
    violations.into_result()?;
    // Every parser records a violation whenever it returns nothing.
    let ((config, total_seats), name) = config.zip(name).ok_or_else(Violations::new)?;
    Ok(NewLayout { id, name, description, total_seats, config })
}

/// Makes a layout that events can be put on in.
///
/// **Permissions**: organizers and admins.
#[utoipa::path(
    post, path = "/api/v1/admin/layouts", tag = "admin", security(("bearer" = [])), request_body = CreateLayoutRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")),
    responses(
        (status = 201, body = LayoutCreatedView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView)
    )
)]
pub async fn create_layout(
    app: Data<App>,
    organizer: Organizer,
    language: Language,
    key: IdempotencyKey,
    body: Json<CreateLayoutRequest>,
) -> Outcome<HttpResponse> {
    let attempt = Attempt::new(organizer.0.user_id, "POST /api/v1/admin/layouts", key, &*body)?;
    let new = parse(&body, app.ground.clock.uuid())?;
    let mut conn = app.ground.pg.conn().await?;
    let answer = conn
        .transaction(async |conn| {
            if let Some(answer) = attempt.replay(conn).await? {
                return Outcome::Ok(answer);
            }
            let layout = store::insert(conn, &new).await?.into();
            let answer = Answer::created(&LayoutCreatedView { message: CREATED.in_locale(language.0), layout })?;
            attempt.keep(conn, &answer).await?;
            Ok(answer)
        })
        .await?;
    Ok(answer.into())
}
