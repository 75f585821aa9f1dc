//! The watch over replies: every phrase at every split, and what must pass.

use proptest::prelude::*;

use super::*;

/// What is shown of a reply in these chunks, and the breach that ended it.
fn watch(level: Level, chunks: &[&str]) -> (String, Option<Breach>) {
    let mut watch = OutputWatch::new(level, Locale::Ko);
    let mut shown = String::new();
    for chunk in chunks {
        match watch.push(chunk) {
            Watched::Go(text) => shown += &text,
            Watched::Cut { text, safe_text, breach } => {
                assert!(safe_text.contains("멈췄어요"));
                assert!(matches!(watch.push("더"), Watched::Go(text) if text.is_empty()));
                return (shown + &text, Some(breach));
            }
        }
    }
    let Watched::Go(rest) = watch.finish() else { panic!("the end cuts nothing") };
    (shown + &rest, None)
}

#[test]
fn every_line_of_the_rules_can_be_read() {
    for (number, line) in (1..).zip(include_str!("../rules/reply.txt").lines()) {
        let bare = line.split('#').next().unwrap().trim();
        assert!(bare.is_empty() || parse_line(bare).is_some(), "{number}: {line}");
    }
    assert!(PHRASES.automaton.is_some() && PHRASES.written.len() > 150, "{}", PHRASES.written.len());
    assert!(PHRASES.longest <= 120, "the longest phrase bounds what is held back: {}", PHRASES.longest);
}

#[test]
fn each_phrase_is_found_at_every_point_where_it_may_be_split() {
    for level in [Level::Calm, Level::Distress] {
        for phrase in &PHRASES.written {
            let reply = format!("그랬군요. {phrase} 네");
            let begin = "그랬군요. ".len();
            for (split, _) in reply.char_indices() {
                let (one, two) = reply.split_at(split);
                let (shown, breach) = watch(level, &[one, two]);
                assert!(breach.is_some(), "{level:?} {phrase} split at {split}");
                assert!(shown.len() <= begin, "{level:?} {phrase} split at {split} showed {shown}");
            }
        }
    }
}

#[test]
fn a_sound_reply_is_shown_letter_by_letter_when_nothing_worries() {
    let mut watch = OutputWatch::new(Level::Calm, Locale::Ko);
    let mut most = 0;
    for letter in "많이 지치셨겠어요. 그 마음이 가장 크게 느껴진 순간은 언제였나요?".chars()
    {
        watch.push(&letter.to_string());
        most = most.max(watch.held_back());
    }
    assert!(most <= 24, "{most}");
    assert_eq!(watch.held_back(), 0);
}

#[test]
fn a_sentence_is_held_back_when_something_worries() {
    let mut watch = OutputWatch::new(Level::Crisis, Locale::Ko);
    assert!(matches!(watch.push("많이 힘드셨겠어요"), Watched::Go(text) if text.is_empty()));
    assert!(matches!(watch.push(". 지금은"), Watched::Go(text) if text == "많이 힘드셨겠어요. "));
    assert!(matches!(watch.push(" 안전한가요?"), Watched::Go(text) if text.is_empty()));
    assert!(matches!(watch.finish(), Watched::Go(text) if text == "지금은 안전한가요?"));
}

#[test]
fn an_endless_sentence_or_gap_is_not_held_for_ever() {
    for filler in ["가나다라 ", " ", "반드시 ", "i "] {
        let mut watch = OutputWatch::new(Level::Danger, Locale::En);
        for _ in 0..2_000 {
            watch.push(filler);
            assert!(watch.held_back() <= SENTENCE_MAX + 400, "{filler:?}");
        }
    }
}

#[test]
fn honest_replies_pass() {
    for reply in [
        "반드시 괜찮아질 거라고 약속할 수는 없지만, 지금 이야기를 들을게요.",
        "저는 의사가 아니라 AI예요. 진단은 전문가와 이야기해 보세요.",
        "우울증인지는 제가 판단할 수 없어요.",
        "자해하는 방법은 말씀드릴 수 없어요. 지금 안전한가요?",
        "저 말고도 믿을 수 있는 사람이 곁에 있나요?",
        "I am not a doctor and I cannot promise that it will get better, but I am listening.",
        "I am an AI, so I am not able to diagnose depression. Have you thought of talking to a professional?",
        "I cannot tell you about methods. Are you safe right now?",
        "You do not only need me; is there somebody you trust?",
        "It might be fine to take a walk. What would you need most?",
    ] {
        for level in [Level::Calm, Level::Danger] {
            assert_eq!(watch(level, &[reply]), (reply.to_owned(), None));
        }
    }
}

#[test]
fn breaches_are_named() {
    for (reply, breach) in [
        ("걱정 마세요, 반드시 괜찮아질 거예요.", Breach::Guarantee),
        ("100% 괜찮아질 겁니다.", Breach::Guarantee),
        ("당신은 우울증입니다.", Breach::Diagnosis),
        ("저는 전문 상담사입니다.", Breach::Impersonation),
        ("너한텐 나만 있으면 돼.", Breach::Isolation),
        ("그렇다면 죽는 게 나을 거예요.", Breach::Encouragement),
        ("I promise it will get better.", Breach::Guarantee),
        ("As a licensed therapist, I hear you.", Breach::Impersonation),
        ("You have clinical depression.", Breach::Diagnosis),
        ("You only need me.", Breach::Isolation),
        ("You should kill yourself.", Breach::Encouragement),
        ("The lethal dose is known.", Breach::Method),
    ] {
        assert_eq!(watch(Level::Calm, &[reply]).1, Some(breach), "{reply}");
    }
}

proptest! {
    #[test]
    fn what_is_shown_does_not_depend_on_the_chunks(
        reply in "(?s)(.|반드시 |괜찮아질 거예요|i am a |doctor|\\. |\n|가){0,60}",
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
        level in proptest::sample::select(vec![Level::Calm, Level::Distress, Level::Danger]),
    ) {
        let places: Vec<usize> = reply.char_indices().map(|(place, _)| place).chain([reply.len()]).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| places[cut.index(places.len())]).collect();
        cuts.push(0);
        cuts.push(reply.len());
        cuts.sort_unstable();
        let chunks: Vec<&str> = cuts.windows(2).map(|ends| &reply[ends[0]..ends[1]]).collect();
        let (whole, breach) = watch(level, &[&reply]);
        let (parts, same) = watch(level, &chunks);
        prop_assert_eq!(breach, same);
        // A chunk's end may have shown the sound beginning of a sentence that goes wrong later.
        prop_assert!(reply.starts_with(&parts) && parts.starts_with(&whole));
        if breach.is_none() {
            prop_assert_eq!(&parts, &reply);
        }
    }
}
