//! Feedback against what it promises, rule by rule and for any samples.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::session::SessionType;

/// Any instant that is not about now.
const BEGIN_MS: i64 = 1_800_000_000_000;

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(BEGIN_MS + ms).unwrap()
}

fn talk() -> FeedbackSettings {
    FeedbackSettings::of_type(SessionType::Presentation)
}

fn sample(ms: i64, features: &Value) -> Sample {
    let body = json!({ "timestamp": BEGIN_MS + ms, "features": features });
    parse_samples(&body, at(ms)).unwrap().remove(0)
}

fn patterns(judged: &Judgement) -> Vec<&'static str> {
    judged.cues.iter().map(|cue| cue.signal.pattern()).collect()
}

/// Judges samples that come a minute apart, so that no interval is in the way.
fn told(settings: &FeedbackSettings, heard: &[Value]) -> Vec<&'static str> {
    let samples: Vec<_> = (0..).zip(heard).map(|(minute, features)| sample(minute * 60_000, features)).collect();
    patterns(&judge(settings, &FeedbackState::default(), &samples))
}

fn refused(body: &Value) -> Vec<String> {
    let refused = parse_samples(body, at(0)).unwrap_err();
    refused.as_slice().iter().map(|violation| violation.pointer.clone()).collect()
}

#[test]
fn a_pace_is_told_when_it_is_off_the_target_by_more_than_the_threshold() {
    let told = |wpm: f64| told(&talk(), &[json!({ "wpm": wpm })]);
    for (wpm, pattern) in [(95.9, "slow_wave"), (192.1, "rapid_pulses"), (30.0, "slow_wave"), (400.0, "rapid_pulses")] {
        assert_eq!(told(wpm), [pattern], "{wpm}");
    }
    for fitting in [96.0, 120.0, 160.0, 192.0, 0.0] {
        assert_eq!(told(fitting), Vec::<&str>::new(), "{fitting}");
    }
}

#[test]
fn filler_words_are_told_when_a_minute_has_too_many_and_count_once() {
    let settings = talk();
    let counts = |counts: &[(i64, i64)]| {
        let samples: Vec<_> =
            counts.iter().map(|(second, count)| sample(second * 1_000, &json!({ "filler_count": count }))).collect();
        judge(&settings, &FeedbackState::default(), &samples).cues.len()
    };
    assert_eq!(counts(&[(0, 1), (20, 1), (40, 1)]), 1);
    assert_eq!(counts(&[(0, 1), (20, 1), (60, 1)]), 0);
    assert_eq!(counts(&[(0, 3), (15, 1), (30, 1), (45, 1)]), 2);
    assert_eq!(counts(&[(0, 3), (15, 2)]), 1);
    assert_eq!(counts(&[(0, 2), (15, 0)]), 0);
}

#[test]
fn filler_words_of_a_text_count_where_the_client_did_not_count_them() {
    let judged = |features: Value| {
        let body = json!({ "timestamp": BEGIN_MS, "features": features, "text": "음, 저는 어... 그 발표를" });
        patterns(&judge(&talk(), &FeedbackState::default(), &parse_samples(&body, at(0)).unwrap()))
    };
    assert_eq!(judged(json!({})), ["double_tap"]);
    assert_eq!(judged(json!({ "filler_count": 0 })), Vec::<&str>::new());
}

#[test]
fn silence_is_told_from_its_limit_on() {
    assert_eq!(told(&talk(), &[json!({ "silence_ms": 4_999 })]), Vec::<&str>::new());
    assert_eq!(told(&talk(), &[json!({ "silence_ms": 5_000 })]), ["long_pulse"]);
}

#[test]
fn confidence_is_told_when_it_is_low_and_when_it_falls() {
    let confidence = |values: &[f64]| {
        let heard: Vec<_> = values.iter().map(|value| json!({ "confidence": value })).collect();
        told(&talk(), &heard)
    };
    assert_eq!(confidence(&[0.5, 50.0, 0.51]), Vec::<&str>::new());
    assert_eq!(confidence(&[0.49]), ["rising_wave"]);
    assert_eq!(confidence(&[90.0, 70.0]), ["falling_pulses"]);
    assert_eq!(confidence(&[90.0, 71.0, 60.0]), Vec::<&str>::new());
    // Worse than the fall is how low it is.
    assert_eq!(confidence(&[0.6, 0.2]), ["rising_wave"]);
}

#[test]
fn the_worst_is_told_and_as_strongly_as_it_is_bad() {
    let intensity = |strength: i64, features: Value| {
        let settings = talk().patched(&json!({ "strength": strength })).unwrap();
        judge(&settings, &FeedbackState::default(), &[sample(0, &features)]).cues[0].intensity
    };
    assert_eq!(told(&talk(), &[json!({ "wpm": 200, "silence_ms": 15_000 })]), ["long_pulse"]);
    assert_eq!(told(&talk(), &[json!({ "wpm": 200, "silence_ms": 5_000 })]), ["rapid_pulses"]);
    let heard = [200, 230, 300].map(|wpm| intensity(5, json!({ "wpm": wpm })));
    assert_eq!(heard, [3, 5, 7]);
    assert_eq!((intensity(1, json!({ "wpm": 200 })), intensity(10, json!({ "wpm": 300 }))), (1, 10));
}

#[test]
fn late_and_repeated_samples_change_nothing_and_others_of_the_same_instant_do() {
    let first = judge(&talk(), &FeedbackState::default(), &[sample(1_000, &json!({ "wpm": 140 }))]);
    for again in [sample(1_000, &json!({ "wpm": 140 })), sample(999, &json!({ "wpm": 300 }))] {
        let judged = judge(&talk(), &first.state, &[again]);
        assert_eq!((judged.cues.len(), judged.totals), (0, Totals::default()));
        assert_eq!(judged.state, first.state);
    }
    let other = judge(&talk(), &first.state, &[sample(1_000, &json!({ "wpm": 300 }))]);
    assert_eq!(patterns(&other), ["rapid_pulses"]);
}

#[test]
fn a_rule_that_is_off_tells_nothing_and_so_do_settings_without_a_channel() {
    let bad = json!({ "wpm": 300, "filler_count": 9, "silence_ms": 60_000, "confidence": 0.01 });
    for off in [
        json!({ "enabled": false }),
        json!({ "haptic": false, "visual": false, "audio": false }),
        json!({ "rules": {
            "speaking_rate": { "enabled": false }, "filler_words": { "enabled": false },
            "silence": { "enabled": false }, "confidence": { "enabled": false },
        } }),
    ] {
        assert_eq!(told(&talk().patched(&off).unwrap(), std::slice::from_ref(&bad)), Vec::<&str>::new(), "{off}");
    }
    assert_eq!(told(&talk(), &[bad]).len(), 1);
}

#[test]
fn totals_tell_what_was_heard() {
    let samples = [
        sample(0, &json!({ "wpm": 100, "confidence": 0.8, "filler_count": 2, "silence_ms": 300 })),
        sample(1_000, &json!({ "wpm": 0, "silence_ms": 900 })),
        // Silent since before the sample before: a second of it is news.
        sample(2_000, &json!({ "wpm": 151, "confidence": 60, "silence_ms": 1_900, "filler_count": 1 })),
    ];
    let summary = judge(&talk(), &FeedbackState::default(), &samples).totals.view();
    assert_eq!(
        serde_json::to_value(summary).unwrap(),
        json!({
            "sample_count": 3, "cue_count": 1,
            "cues": { "speaking_rate": 0, "filler_words": 1, "silence": 0, "confidence": 0 },
            "wpm": { "average": 125.5, "min": 100.0, "max": 151.0 },
            "filler_count": 3, "silence_ms": 2_200,
            "confidence": { "average": 70.0, "first": 80.0, "last": 60.0 },
            "first_sample_at": "2027-01-15T08:00:00.000Z", "last_sample_at": "2027-01-15T08:00:02.000Z",
        })
    );
}

#[test]
fn a_sample_that_cannot_be_is_refused_with_its_pointer() {
    let with = |features: Value| refused(&json!({ "timestamp": BEGIN_MS, "features": features }));
    assert_eq!(refused(&json!({})), ["/timestamp", "/features"]);
    for timestamp in [json!("yesterday"), json!("2026-11-28T00:00:00"), json!(1_800_000_000), json!(true), json!(1e300)]
    {
        assert_eq!(refused(&json!({ "timestamp": timestamp, "features": {} })), ["/timestamp"], "{timestamp}");
    }
    let tomorrow = json!({ "timestamp": BEGIN_MS + 86_400_001, "features": {} });
    assert_eq!(refused(&tomorrow), ["/timestamp"]);
    assert_eq!(with(json!([])), ["/features"]);
    assert_eq!(with(json!({ "wpm": -1 })), ["/features/wpm"]);
    assert_eq!(with(json!({ "wpm": "fast", "confidence": 101 })), ["/features/wpm", "/features/confidence"]);
    assert_eq!(
        with(json!({ "filler_count": 1_001, "silence_ms": 1e12 })),
        ["/features/filler_count", "/features/silence_ms"]
    );
    let many: serde_json::Map<_, _> = (0..51).map(|n| (n.to_string(), json!(n))).collect();
    assert_eq!(with(Value::Object(many)), ["/features"]);
    let text = json!({ "timestamp": BEGIN_MS, "text": "가".repeat(2_001), "scenario": 7, "a/b": 1 });
    assert_eq!(refused(&text), ["/a~1b", "/scenario", "/text", "/features"]);
    let one = json!({ "timestamp": BEGIN_MS, "features": {} });
    assert_eq!(refused(&json!({ "samples": [] })), ["/samples"]);
    assert_eq!(refused(&json!({ "samples": vec![one.clone(); 101] })), ["/samples"]);
    assert_eq!(refused(&json!({ "samples": [one, 7] })), ["/samples/1"]);
    assert_eq!(refused(&json!({ "samples": vec![json!({}); 100] })).len(), 20);
}

#[test]
fn a_timestamp_is_read_in_both_forms_and_other_features_are_left_out() {
    let body = json!({ "samples": [
        { "timestamp": "2027-01-15T17:00:00.5009+09:00", "text": "안녕하세요", "scenario": "presentation" },
        { "timestamp": BEGIN_MS + 500, "features": { "tonality": 0.7, "speech_pattern": "normal", "wpm": null } },
        { "timestamp": 1_800_000_000_500.4, "features": { "evaluation_wpm": 120 } },
    ] });
    let samples = parse_samples(&body, at(0)).unwrap();
    assert!(samples.iter().all(|sample| sample.at == at(500)), "{samples:?}");
}

#[test]
fn settings_are_patched_at_every_level_or_refused_with_every_pointer() {
    let patch = json!({ "audio": true, "rules": { "speaking_rate": { "min_wpm": 150, "max_wpm": 190 } } });
    let patched = talk().patched(&patch).unwrap();
    assert_eq!((patched.audio, patched.rules.speaking_rate.threshold_percent), (true, 20));
    let pointers = |patch: Value| {
        let refused = talk().patched(&patch).unwrap_err();
        refused.as_slice().iter().map(|violation| violation.pointer.clone()).collect::<Vec<_>>()
    };
    assert_eq!(pointers(json!({ "strength": 11, "volume": 1, "haptic": "on" })), ["/volume", "/haptic", "/strength"]);
    assert_eq!(pointers(json!({ "rules": { "speaking_rate": { "min_wpm": 160 } } })), ["/rules/speaking_rate/min_wpm"]);
    assert_eq!(pointers(json!({ "rules": { "filler_words": { "words": [""] } } })), ["/rules/filler_words/words"]);
    assert_eq!(pointers(json!({ "rules": [] })), ["/rules"]);
    assert_eq!(pointers(json!({ "min_interval_seconds": 0.5 })), ["/min_interval_seconds"]);
    assert_eq!(pointers(json!([])), [""]);
}

#[test]
fn a_sessions_own_settings_count_as_far_as_they_fit() {
    let session = json!({
        "feedback": { "haptic": false, "audio": "loud", "strength": 8, "colour": "red" },
        "analysis": { "speaking_rate": true },
        "presentation_specific": {
            "speaking_rate": { "target_min_wpm": 200, "target_max_wpm": 240, "alert_threshold": 10 },
            "filler_words": { "words": [" um ", "uh", "um"], "alert_frequency": 0 },
        },
    });
    let settings = FeedbackSettings::of_session(SessionType::Presentation, &session);
    assert_eq!((settings.haptic, settings.audio, settings.strength), (false, false, 8));
    let rate = &settings.rules.speaking_rate;
    assert_eq!((rate.enabled, rate.min_wpm, rate.max_wpm, rate.threshold_percent), (true, 200, 240, 10));
    // A frequency of nothing does not fit, and what stands beside it belongs to it.
    assert_eq!(settings.rules.filler_words, talk().rules.filler_words);
    let off = json!({ "analysis": { "speaking_rate": false }, "dating_specific": { "silence_alerts": false } });
    let rules = FeedbackSettings::of_session(SessionType::Dating, &off).rules;
    assert_eq!((rules.speaking_rate.enabled, rules.silence.enabled, rules.confidence.enabled), (false, false, true));
    for kind in [SessionType::Dating, SessionType::Interview, SessionType::Business, SessionType::Presentation] {
        let begun = FeedbackSettings::of_session(kind, &kind.default_settings());
        assert_eq!(begun, FeedbackSettings::of_type(kind));
    }
}

/// Samples of any kind, some of them late or at the same instant.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let reading = (0_i64..400, 0_i64..3, 0_i64..20_000, proptest::option::of(0_i64..100));
    let one = (0_i64..120_000, reading).prop_map(|(ms, (wpm, fillers, silence, confidence))| {
        let features = json!({ "wpm": wpm, "filler_count": fillers, "silence_ms": silence, "confidence": confidence });
        // To the tenth of a second, so that some are of the same instant.
        sample(ms / 100 * 100, &features)
    });
    proptest::collection::vec(one, 0..80)
}

fn settings() -> impl Strategy<Value = FeedbackSettings> {
    (1_i64..=60, 1_i64..=10, 1_i64..=5, any::<bool>()).prop_map(|(interval, strength, frequency, silence)| {
        let rules = json!({ "filler_words": { "frequency": frequency }, "silence": { "enabled": silence } });
        let patch = json!({ "min_interval_seconds": interval, "strength": strength, "rules": rules });
        talk().patched(&patch).unwrap()
    })
}

proptest! {
    #[test]
    fn two_cues_are_never_closer_than_the_interval(
        settings in settings(), batches in proptest::collection::vec(samples(), 1..5),
    ) {
        let (mut state, mut cues) = (FeedbackState::default(), Vec::new());
        for batch in &batches {
            let judged = judge(&settings, &state, batch);
            cues.extend(judged.cues);
            state = judged.state;
            prop_assert!(state.seen.len() <= INSTANT_MAX && state.fillers.len() <= 60);
        }
        for pair in cues.windows(2) {
            prop_assert!((pair[1].at - pair[0].at).num_seconds() >= settings.min_interval_seconds);
        }
        prop_assert!(cues.iter().all(|cue| (1..=10).contains(&cue.intensity)));
    }

    #[test]
    fn the_same_samples_again_add_nothing(settings in settings(), batch in samples()) {
        let first = judge(&settings, &FeedbackState::default(), &batch);
        let again = judge(&settings, &first.state, &batch);
        prop_assert_eq!(again, Judgement { state: first.state, ..Judgement::default() });
    }

    #[test]
    fn how_samples_are_cut_into_requests_does_not_matter(
        settings in settings(), mut batch in samples(), cuts in proptest::collection::vec(0_usize..80, 0..6),
    ) {
        let whole = judge(&settings, &FeedbackState::default(), &batch);
        batch.sort_by_key(|sample| sample.at);
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(batch.len())).collect();
        cuts.extend([0, batch.len()]);
        cuts.sort_unstable();
        let mut parts = Judgement::default();
        for cut in cuts.windows(2) {
            let part = judge(&settings, &parts.state, &batch[cut[0]..cut[1]]);
            parts.cues.extend(part.cues);
            parts.totals = parts.totals.merged(&part.totals);
            parts.state = part.state;
        }
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn totals_add_up_in_any_grouping(a in samples(), b in samples(), c in samples()) {
        let [a, b, c] = [a, b, c].map(|batch| judge(&talk(), &FeedbackState::default(), &batch).totals);
        prop_assert_eq!(a.merged(&b).merged(&c), a.merged(&b.merged(&c)));
        prop_assert_eq!(Totals::default().merged(&a), a.merged(&Totals::default()));
    }

    #[test]
    fn settings_that_are_off_tell_nothing(batch in samples()) {
        let off = talk().patched(&json!({ "enabled": false })).unwrap();
        let judged = judge(&off, &FeedbackState::default(), &batch);
        prop_assert!(judged.cues.is_empty());
        prop_assert_eq!(judged.totals.view().cue_count, 0);
    }

    #[test]
    fn what_was_kept_reads_as_it_was(batch in samples()) {
        let judged = judge(&talk(), &FeedbackState::default(), &batch);
        let kept = serde_json::to_value((&judged.state, &judged.totals)).unwrap();
        prop_assert_eq!(serde_json::from_value::<(FeedbackState, Totals)>(kept).unwrap(), (judged.state, judged.totals));
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".*") {
        let words = fillers::Words::new(&talk().rules.filler_words.words);
        _ = words.count(&text);
        _ = parse_samples(&json!({ "timestamp": text, "text": text }), at(0));
    }
}
