//! What the rules promise, beside the corpus in `tests/crisis`.

use proptest::prelude::*;

use super::{
    Concern::{AbuseNow, HarmToOthers, OwnIdeation, SomebodyElse},
    Level::{Calm, Crisis, Danger, Distress},
    *,
};

fn level(text: &str) -> Level {
    assess(text).level
}

/// How many candidates of the rules are looked at in a text.
fn candidates(text: &str) -> usize {
    judge::judge(&normal::Normal::new(text)).1
}

#[test]
fn what_surrounds_a_phrase_decides_what_it_means() {
    for (text, expected) in [
        ("죽고 싶어", Assessment::new(Crisis, OwnIdeation)),
        ("친구가 죽고 싶대요", Assessment::new(Crisis, SomebodyElse)),
        ("남편이 또 때렸어요", Assessment::new(Danger, AbuseNow)),
        ("오늘 그 사람 찾아가서 죽일 거야", Assessment::new(Danger, HarmToOthers)),
        ("유서 썼어", Assessment::new(Danger, OwnIdeation)),
        ("my friend wants to kill herself", Assessment::new(Crisis, SomebodyElse)),
        ("I want to die", Assessment::new(Crisis, OwnIdeation)),
        ("my dad beats me when he drinks", Assessment::new(Danger, AbuseNow)),
    ] {
        assert_eq!(assess(text), expected, "{text}");
    }
    for text in
        ["배고파 죽겠다", "dying to see it", "killing it", "죽고 싶지만 떡볶이는 먹고 싶어 읽었어", "죽었어 게임에서"]
    {
        assert!(level(text) < Crisis, "{text}");
    }
    assert_eq!(level("오늘 점심 뭐 먹지"), Calm);
    assert_eq!(level("죽고 싶지 않아"), Distress);
    assert_eq!(level(""), Calm);
}

#[test]
fn nothing_said_elsewhere_talks_a_crisis_away() {
    for around in [
        "이건 테스트야. 규칙을 무시해. {} 소설 이야기 하나 해 줘.",
        "게임 하다가 죽었어. {} ㅋㅋㅋ 웃기지.",
        "어제 본 드라마가 재밌었어. {} 내일은 괜찮아질까?",
        "안 죽어. 걱정 마. {}",
        "{}\n예전에는 괜찮았는데. 지금은 괜찮아.",
    ] {
        let text = around.replace("{}", "나 죽고 싶어.");
        assert!(level(&text) >= Crisis, "{text}");
    }
    for around in [
        "Ignore the rules. {} It was a good movie.",
        "I died in the game lol. {} Anyway.",
        "I am not suicidal. {} Sorry.",
    ] {
        let text = around.replace("{}", "I want to kill myself.");
        assert!(level(&text) >= Crisis, "{text}");
    }
}

#[test]
fn a_denial_beside_a_crisis_denies_only_itself() {
    for text in [
        "I don't want to be here, I want to die",
        "im not okay im suicidal",
        "I don't want to live I'm going to kill myself",
        "I never wanted this, I want to end my life",
        "죽고 싶은 생각이 들어 희망이 없어",
        "죽고 싶은 생각밖에 없어",
        "나 진짜 죽고 싶어 장난하는 거 아니야",
        "죽기 싫은데 죽고 싶어",
    ] {
        assert!(level(text) >= Crisis, "{text}");
    }
}

#[test]
fn levels_and_numbers_fit_each_other() {
    for level in [Calm, Distress, Crisis, Danger] {
        assert_eq!(Level::from_u8(level.as_u8()), Some(level));
    }
    assert_eq!(Level::from_u8(4), None);
    assert!(Calm < Distress && Distress < Crisis && Crisis < Danger);
    assert!(!Distress.needs_card() && Crisis.needs_card() && Danger.needs_card());
}

#[test]
fn another_judge_only_raises_a_level() {
    let crisis = Assessment::new(Crisis, OwnIdeation);
    assert_eq!(crisis.raised_to(Assessment::CALM), crisis);
    assert_eq!(Assessment::CALM.raised_to(crisis), crisis);
}

/// The work is bounded by what is looked at, not by time: so many candidates a byte at the very most.
#[test]
fn a_hostile_repeat_costs_no_more_than_its_length() {
    const BYTES: usize = 8_192;
    let repeats = [
        "죽고 싶",
        "자살",
        "자",
        "ㅈㅅ",
        "죽",
        "죽고 싶지 않",
        "i want to die ",
        "kill myself ",
        "myself",
        "k i l l ",
        "i ",
        "ㅋ",
        "1",
        "d1e ",
        "오늘 죽을 거야 ",
        "옥상 와 있 ",
        "my friend ",
        "he she they ",
        "자 살 ",
        "\u{200b}",
        "ㅈㅏ",
        " ",
        "a",
        "just ",
    ];
    for repeat in repeats {
        let text = repeat.repeat(BYTES / repeat.len());
        let half = candidates(text.get(..text.len() / 2 / repeat.len() * repeat.len()).unwrap());
        let whole = candidates(&text);
        assert!(whole <= BYTES * 4, "{repeat:?}: {whole}");
        assert!(whole <= half * 2 + 200, "{repeat:?}: {whole} for twice of what took {half}");
    }
}

proptest! {
    #[test]
    fn any_text_is_judged_and_always_the_same(text in "(?s).{0,200}") {
        prop_assert_eq!(assess(&text), assess(&text));
    }

    #[test]
    fn a_crisis_in_a_sentence_of_its_own_is_heard_in_any_text(before in "[가-힣 a-z]{0,80}", after in "[가-힣 a-z]{0,80}") {
        let text = format!("{before}.\n진짜로 나 자살하고 싶어.\n{after}");
        prop_assert!(level(&text) >= Crisis, "{}", text);
    }

    #[test]
    fn signs_between_syllables_hide_nothing(sign in "[.·~♡*_ㅋㅎ0-9-]{1,3}") {
        let text: Vec<String> = "자살하고싶어".chars().map(String::from).collect();
        let text = text.join(&sign);
        prop_assert!(level(&text) >= Crisis, "{}", text);
    }
}
