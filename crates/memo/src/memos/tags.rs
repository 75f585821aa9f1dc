//! `GET /memo/tags`.

use actix_web::{HttpResponse, web::Data};
use chassis::{principal::Person, problem::Outcome};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::ids::UserId;
use serde::Serialize;
use utoipa::ToSchema;

use super::private;
use crate::app::App;

/// Most tags of one answer.
const TAGS_MAX: i64 = 1_000;

/// A tag and how often it was given.
#[derive(QueryableByName, Serialize, ToSchema)]
pub struct TagView {
    /// The tag.
    #[diesel(sql_type = Text)]
    tag: String,
    /// Memos that have it.
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Lists the tags of memos outside the trash, the most used first; at most 1,000.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/memo/tags", tag = "memos", security(("bearer" = [])), responses((status = 200, body = [TagView]))
)]
pub async fn tags(app: Data<App>, person: Person) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let tags = count_tags(&mut conn, person.0.user_id).await?;
    drop(conn);
    Ok(private(HttpResponse::Ok().json(tags)))
}

async fn count_tags(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<Vec<TagView>> {
    let counted = sql_query(
        "SELECT tag, count(*) AS count FROM memos, unnest(tags) AS tag WHERE user_id = $1 AND deleted_at IS NULL \
         GROUP BY tag ORDER BY count(*) DESC, tag LIMIT $2",
    );
    Ok(counted.bind::<SqlUuid, _>(owner.0).bind::<BigInt, _>(TAGS_MAX).load(conn).await?)
}
