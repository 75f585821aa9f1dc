//! What a speaker wants to be told.

use serde_json::json;

use crate::{
    SESSIONS,
    feedback::{pointers, put, settings},
    make, start,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_begin_with_those_of_the_type_and_of_the_session() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let talk = settings(&kim, &make(&kim).await).await;
    assert_eq!(
        talk,
        json!({
            "enabled": true, "haptic": true, "visual": true, "audio": false,
            "strength": 5, "min_interval_seconds": 10,
            "rules": {
                "speaking_rate": { "enabled": true, "min_wpm": 120, "max_wpm": 160, "threshold_percent": 20 },
                "filler_words": {
                    "enabled": true, "words": ["음", "그", "어", "저", "뭐", "아", "그니까", "그러니까"], "frequency": 3,
                },
                "silence": { "enabled": true, "seconds": 5 },
                "confidence": { "enabled": true, "low": 50, "drop": 20 },
            },
        })
    );
    for (kind, seconds, low) in [("dating", 7, 50), ("interview", 8, 45), ("business", 10, 50)] {
        let made = kim.post(SESSIONS, json!({ "title": "대화", "type": kind })).await.assert_status(201);
        let rules = settings(&kim, &format!("{SESSIONS}/{}", made.text("/id"))).await["rules"].clone();
        assert_eq!((&rules["silence"]["seconds"], &rules["confidence"]["low"]), (&json!(seconds), &json!(low)));
    }
    let own = json!({
        "title": "빠른 발표",
        "custom_settings": {
            "feedback": { "haptic": false, "audio": true },
            "presentation_specific": {
                "speaking_rate": { "target_min_wpm": 170, "target_max_wpm": 210 },
                "filler_words": { "words": ["um"], "alert_frequency": 5 },
            },
        },
    });
    let made = kim.post(SESSIONS, own).await.assert_status(201);
    let own = settings(&kim, &format!("{SESSIONS}/{}", made.text("/id"))).await;
    assert_eq!((&own["haptic"], &own["audio"]), (&json!(false), &json!(true)));
    let rate = json!({ "enabled": true, "min_wpm": 170, "max_wpm": 210, "threshold_percent": 20 });
    assert_eq!(own["rules"]["speaking_rate"], rate);
    assert_eq!(own["rules"]["filler_words"], json!({ "enabled": true, "words": ["um"], "frequency": 5 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_the_settings_is_laid_over_the_others() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let mut expected = settings(&kim, &session).await;
    let first = put(&kim, &session, json!({ "strength": 9, "rules": { "silence": { "seconds": 20 } } })).await;
    expected["strength"] = json!(9);
    expected["rules"]["silence"]["seconds"] = json!(20);
    assert_eq!(first.assert_status(200).json, expected);
    let second = put(&kim, &session, json!({ "rules": { "filler_words": { "words": ["uh", "um"] } } })).await;
    expected["rules"]["filler_words"]["words"] = json!(["uh", "um"]);
    assert_eq!(second.assert_status(200).json, expected);
    assert_eq!(put(&kim, &session, json!({})).await.assert_status(200).json, expected);
    assert_eq!(settings(&kim, &session).await, expected);
    // What is shown can be sent back.
    assert_eq!(put(&kim, &session, expected.clone()).await.assert_status(200).json, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_to_different_settings_at_once_are_all_kept() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let (a, b, c, d) = tokio::join!(
        put(&kim, &session, json!({ "strength": 1 })),
        put(&kim, &session, json!({ "min_interval_seconds": 60 })),
        put(&kim, &session, json!({ "audio": true })),
        put(&kim, &session, json!({ "rules": { "silence": { "enabled": false } } })),
    );
    assert_eq!([a.status, b.status, c.status, d.status], [200; 4]);
    let kept = settings(&kim, &session).await;
    assert_eq!((&kept["strength"], &kept["min_interval_seconds"]), (&json!(1), &json!(60)));
    assert_eq!((&kept["audio"], &kept["rules"]["silence"]["enabled"]), (&json!(true), &json!(false)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_be_are_refused_with_every_field_and_change_nothing() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let before = settings(&kim, &session).await;
    for (patch, expected) in [
        (json!({ "strength": 0, "audio": true }), vec!["/strength"]),
        (json!({ "min_interval_seconds": 61, "volume": 3 }), vec!["/volume", "/min_interval_seconds"]),
        (json!({ "enabled": "yes" }), vec!["/enabled"]),
        (json!({ "rules": { "speaking_rate": { "min_wpm": 180 } } }), vec!["/rules/speaking_rate/min_wpm"]),
        (
            json!({ "rules": { "laughter": {}, "silence": { "seconds": 0 } } }),
            vec!["/rules/laughter", "/rules/silence/seconds"],
        ),
        (json!({ "rules": { "filler_words": { "words": ["음", 7] } } }), vec!["/rules/filler_words/words"]),
    ] {
        let refused = put(&kim, &session, patch).await.assert_problem(422, "invalid");
        assert_eq!(pointers(&refused), expected);
    }
    put(&kim, &session, json!([])).await.assert_problem(400, "malformed");
    assert_eq!(settings(&kim, &session).await, before);
}
