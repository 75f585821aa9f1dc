//! One person's memos: ten a day for 27 years, of words that are used as words are, a few of them all the time and most
//! of them seldom.

use domain::{ids::UserId, memo::search::Searchable};

use crate::{own_database::OwnDatabase, token::PERSON, trouble::Trouble};

/// Memos of one statement.
const BATCH: usize = 1_000;
/// What a month's list holds: thirty days, ten memos each.
pub(super) const MONTH: usize = 300;
/// The words, the ones that are used most first.
const WORDS: [&str; 64] = [
    "오늘",
    "회의",
    "생각",
    "내일",
    "아침",
    "저녁",
    "준비",
    "기록",
    "마음",
    "산책",
    "커피",
    "점심",
    "메모",
    "발표",
    "연습",
    "친구",
    "가족",
    "운동",
    "공부",
    "도서관",
    "지하철",
    "날씨",
    "가을",
    "하늘",
    "바람",
    "사진",
    "음악",
    "약속",
    "시장",
    "병원",
    "여행",
    "계획",
    "프로젝트",
    "일정",
    "정리",
    "청소",
    "요리",
    "김치찌개",
    "책상",
    "노트북",
    "전화",
    "편지",
    "선물",
    "생일",
    "주말",
    "휴가",
    "기차",
    "바다",
    "고양이",
    "강아지",
    "화분",
    "창문",
    "골목",
    "서점",
    "영화",
    "극장",
    "단풍",
    "첫눈",
    "meeting",
    "review",
    "deadline",
    "idea",
    "coffee",
    "release",
];
/// Stands in each hundredth memo.
pub(super) const SELDOM: &str = "은하수";
/// Stands in each ten-thousandth.
pub(super) const RARE: &str = "고래자리";
/// A word of every tenth memo.
pub(super) const COMMON: &str = "회의";

/// Returns a number's memo: some words, the same ones whenever it is asked.
pub(super) fn text(number: usize) -> String {
    let mut state = number as u64;
    let mut words: Vec<&str> = (0..8 + number % 7)
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            // The square of a share: the first words are taken far more often.
            let place = (mixed >> 40) % 64 * ((mixed >> 20) % 64) / 64;
            usize::try_from(place).ok().and_then(|place| WORDS.get(place)).copied().unwrap_or(SELDOM)
        })
        .collect();
    if number.is_multiple_of(100) {
        words.push(SELDOM);
    }
    if number.is_multiple_of(10_000) {
        words.push(RARE);
    }
    words.join(" ")
}

/// Returns what a memo or a query is found by, as the text of a PostgreSQL array.
pub(super) fn literal(keys: &[i32]) -> String {
    let keys: Vec<String> = keys.iter().map(i32::to_string).collect();
    format!("{{{}}}", keys.join(","))
}

/// Returns the person whose memos they are.
pub(super) fn person() -> Result<UserId, Trouble> {
    PERSON.parse().map_err(|_none| Trouble::Broken(format!("{PERSON} is nobody's id")))
}

/// Writes so many memos; the newest are yesterday's. The index of words is made when all are there.
pub(super) async fn fill(database: &OwnDatabase, memos: usize) -> Result<(), Trouble> {
    const INDEX: &str = "SELECT indexdef FROM pg_indexes WHERE indexname = 'memos_search_keys'";
    const ROWS: &str = "INSERT INTO memos (id, user_id, content, tags, created_at, updated_at, search_keys) \
        SELECT gen_random_uuid(), $1::text::uuid, content, ARRAY['하루'], at, at, keys::int[] \
        FROM (SELECT content, keys, date_trunc('day', now(), 'UTC') - ($4 + place) * interval '144 minutes' AS at \
              FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS given(content, keys, place)) AS rows";
    let broken = |fault: tokio_postgres::Error| Trouble::Broken(format!("the scenario's memos: {fault:?}"));
    let (client, person) = (&database.client, person()?);
    let index: String = client.query_one(INDEX, &[]).await.and_then(|row| row.try_get(0)).map_err(broken)?;
    database.run("SET maintenance_work_mem = '256MB'; DROP INDEX memos_search_keys").await?;
    let statement = client.prepare(ROWS).await.map_err(broken)?;
    for first in (0..memos).step_by(BATCH) {
        let texts: Vec<String> = (first..memos.min(first + BATCH)).map(text).collect();
        let keys: Vec<String> =
            texts.iter().map(|text| literal(&Searchable::of(text, &["하루"]).keys(person))).collect();
        let before = i64::try_from(first).unwrap_or_default();
        client.execute(&statement, &[&PERSON, &texts, &keys, &before]).await.map_err(broken)?;
    }
    database.run(&index).await?;
    // By itself: it runs in no transaction.
    database.run("VACUUM ANALYZE memos").await?;
    database.run("CHECKPOINT").await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memos_are_the_same_each_time_and_hold_what_they_are_to_be_found_by() {
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
        let among = |word: &str| (0..10_000).filter(|number| text(*number).contains(word)).count();
        assert_eq!((among(SELDOM), among(RARE)), (100, 1));
        assert!((500..9_000).contains(&among(COMMON)), "{}", among(COMMON));
    }

    #[test]
    fn keys_are_written_as_an_array() {
        assert_eq!(literal(&[-1, 2]), "{-1,2}");
    }
}
