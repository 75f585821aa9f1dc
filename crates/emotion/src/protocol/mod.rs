//! `GET /emotion/safety/protocol`: what is done when somebody seems to be in danger, and which lines of help are named.
//!
//! It holds nothing of anybody's, and anybody may read it.

use actix_web::{
    HttpResponse,
    web::{self, Data, Query, ServiceConfig},
};
use chassis::{edge::Language, principal::Anyone, problem::Outcome};
use chrono::NaiveDate;
use domain::{
    fault::Violations,
    locale::{Locale, Text},
    safety::{Assessment, Concern, Hotline, Level, card, disclosure},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;

/// What is done at each level.
const ACTIONS: [(Level, Text); 4] = [
    (Level::Calm, Text::new("평소처럼 답합니다.", "It is answered as usual.")),
    (
        Level::Distress,
        Text::new(
            "마음을 먼저 듣고, 답을 한 문장씩 살펴본 뒤에 보냅니다.",
            "The feeling is heard first, and the reply is looked through sentence by sentence before it is shown.",
        ),
    ),
    (
        Level::Crisis,
        Text::new(
            "어떤 답보다 먼저 도움받을 곳을 알리고, 대화를 이어 갑니다.",
            "The lines of help are shown before any reply, and the conversation goes on.",
        ),
    ),
    (
        Level::Danger,
        Text::new(
            "도움받을 곳과 준비된 문장을 먼저 보내고, 그 뒤의 답은 한 문장씩 살펴봅니다.",
            "The lines of help and prepared sentences come first; what follows is looked through sentence by sentence.",
        ),
    ),
];

const LIMITS: Text = Text::new(
    "낱말의 규칙으로 판단하며 놓치거나 잘못 알아볼 수 있습니다. 임상적으로 검증된 도구가 아니고, 어떤 프롬프트로도 끌 수 없습니다.",
    "It goes by rules of words, and may miss or mistake something. It is no clinically validated instrument, and no prompt \
     switches it off.",
);

/// Mounts the route of the protocol.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/emotion/safety/protocol").get(show));
}

/// Whose lines of help.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ProtocolQuery {
    /// Two letters, such as `KR` or `US`; those of the language when absent.
    country: Option<String>,
}

/// What is done at a level.
#[derive(Serialize, ToSchema)]
pub struct LevelView {
    /// From 0 to 3.
    level: u8,
    /// Its name.
    name: Level,
    /// Whether the lines of help go out before anything else.
    shows_card: bool,
    /// What is done, for people.
    action: &'static str,
}

/// The protocol.
#[derive(Serialize, ToSchema)]
pub struct ProtocolView {
    /// Who talks here, and what this is not.
    disclosure: &'static str,
    /// What it cannot do.
    limits: &'static str,
    /// The levels.
    levels: Vec<LevelView>,
    /// The lines of help, the most fitting first.
    hotlines: Vec<Hotline>,
    /// When they were last checked.
    verified_on: NaiveDate,
}

/// Shows what is done when somebody seems to be in danger.
///
/// **Permissions**: anybody.
#[utoipa::path(
    get, path = "/emotion/safety/protocol", tag = "conversations", params(ProtocolQuery),
    responses((status = 200, body = ProtocolView))
)]
pub async fn show(
    _app: Data<App>,
    _anyone: Anyone,
    language: Language,
    query: Query<ProtocolQuery>,
) -> Outcome<HttpResponse> {
    let country = parse(query.into_inner().country)?;
    Ok(HttpResponse::Ok().json(protocol(language.0, country.as_deref())))
}

fn parse(country: Option<String>) -> Result<Option<String>, Violations> {
    let mut violations = Violations::new();
    let is_sound =
        country.as_deref().is_none_or(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_alphabetic()));
    violations.require(
        is_sound,
        "?country",
        "not_valid",
        "국가 코드는 영문 두 글자입니다.",
        "A country is two letters.",
    );
    violations.into_result().map(|()| country)
}

fn protocol(locale: Locale, country: Option<&str>) -> ProtocolView {
    let card = card(Assessment::new(Level::Crisis, Concern::OwnIdeation), locale, country);
    let level = |(level, action): (Level, Text)| LevelView {
        level: level.as_u8(),
        name: level,
        shows_card: level.needs_card(),
        action: action.in_locale(locale),
    };
    ProtocolView {
        disclosure: disclosure(locale),
        limits: LIMITS.in_locale(locale),
        levels: ACTIONS.map(level).into(),
        hotlines: card.hotlines,
        verified_on: card.verified_on,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_those_of_the_country_and_every_level_is_there() {
        let korean = protocol(Locale::Ko, None);
        assert!(korean.hotlines.iter().any(|line| line.number == "109"));
        let american = protocol(Locale::En, Some("us"));
        assert!(american.hotlines.iter().any(|line| line.number == "988"));
        assert_eq!(korean.levels.iter().map(|level| level.level).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert!(parse(Some("KOR".to_owned())).is_err() && parse(Some("가나".to_owned())).is_err());
    }
}
