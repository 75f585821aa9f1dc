//! The rule against a naive one that adds up every span it was told of, and the statistics against counting minutes.

use chrono::{Days as Later, NaiveDate};
use chrono_tz::{America, Asia, Australia, Tz};
use proptest::prelude::*;

use super::*;

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_000 + ms).unwrap()
}

fn instant(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// A session of 25 minutes that was taken through these statuses, each so many milliseconds in.
fn taken(steps: &[(Status, i64)]) -> Focus {
    steps.iter().fold(Focus::new(25), |focus, (status, ms)| focus.become_status(*status, at(*ms)).unwrap())
}

#[test]
fn a_session_is_read_from_its_beginning_to_its_end() {
    let pending = Focus::new(25).view(at(0), at(0));
    assert_eq!((pending.status, pending.started_at, pending.remaining_seconds), (Status::Pending, None, 1_500));
    let focus = taken(&[(Status::Started, 0)]);
    let early = focus.view(at(90_900), at(0));
    assert_eq!((early.status, early.started_at, early.remaining_seconds), (Status::Started, Some(at(0).into()), 1_410));
    assert_eq!(early.ends_at, Some(at(1_500_000).into()));
    let last = focus.view(at(1_499_999), at(0));
    assert_eq!((last.status, last.remaining_seconds), (Status::Started, 1));
    // Nobody has to have completed it for it to be completed.
    let late = focus.view(at(9_999_999), at(0));
    assert_eq!((late.status, late.remaining_seconds), (Status::Completed, 0));
    assert_eq!((late.started_at, late.ends_at), (Some(at(0).into()), Some(at(1_500_000).into())));
}

#[test]
fn the_documents_client_counts_the_same_with_any_number_of_pauses() {
    let paused = taken(&[(Status::Started, 0), (Status::Paused, 60_000)]);
    // It reads duration - (updated_at - started_at) while paused; an edit in between changes updated_at.
    for changed_at in [60_000, 75_000] {
        let shown = paused.view(at(80_000), at(changed_at));
        assert_eq!((at(changed_at) - shown.started_at.unwrap().0).num_milliseconds(), 60_000);
        assert_eq!((shown.remaining_seconds, shown.ends_at), (1_440, None));
    }
    let resumed = paused.become_status(Status::Started, at(100_000)).unwrap();
    let shown = resumed.view(at(101_000), at(100_000));
    assert_eq!((shown.started_at, shown.remaining_seconds), (Some(at(40_000).into()), 1_439));
    assert_eq!(shown.ends_at, Some((shown.started_at.unwrap().0 + TimeDelta::minutes(25)).into()));
    let again = resumed.become_status(Status::Paused, at(130_000)).unwrap();
    assert_eq!(again.elapsed_ms(at(999_000)), 90_000);
}

#[test]
fn every_transition_that_is_not_allowed_is_refused_and_the_same_status_changes_nothing() {
    use Status::{Cancelled, Completed, Paused, Pending, Reviewed, Started};
    let of = |status| match status {
        Pending => Focus::new(25),
        Started => taken(&[(Started, 0)]),
        Paused => taken(&[(Started, 0), (Paused, 5)]),
        Completed => taken(&[(Started, 0), (Completed, 5)]),
        Reviewed => taken(&[(Started, 0), (Completed, 5), (Reviewed, 6)]),
        Cancelled => taken(&[(Cancelled, 5)]),
    };
    let allowed = [
        (Pending, vec![Started, Cancelled]),
        (Started, vec![Paused, Pending, Completed, Cancelled]),
        (Paused, vec![Started, Pending, Completed, Cancelled]),
        (Completed, vec![Reviewed]),
        (Reviewed, vec![]),
        (Cancelled, vec![]),
    ];
    for (from, allowed) in allowed {
        let focus = of(from);
        for to in Status::ALL {
            let became = focus.become_status(to, at(10));
            if to == from {
                assert_eq!(became, Ok(focus), "{from:?} again");
            } else if allowed.contains(&to) {
                let became = became.unwrap();
                assert_eq!((became.status(at(10)), became.version), (to, focus.version + 1), "{from:?} to {to:?}");
            } else {
                assert_eq!(became, Err(INVALID_TRANSITION), "{from:?} to {to:?}");
            }
        }
    }
}

#[test]
fn a_session_that_ran_out_is_completed_whatever_is_done_to_it_later() {
    let focus = taken(&[(Status::Started, 0)]);
    let over = at(1_500_000);
    for status in [Status::Started, Status::Paused, Status::Pending, Status::Cancelled] {
        assert_eq!(focus.become_status(status, over), Err(INVALID_TRANSITION), "{status:?}");
        assert!(status == Status::Started || focus.become_status(status, at(1_499_999)).is_ok());
    }
    let completed = focus.become_status(Status::Completed, at(2_000_000)).unwrap();
    assert_eq!((completed, completed.version), (focus.settled(over), 3));
    assert_eq!(
        focus.become_status(Status::Reviewed, at(2_000_000)).unwrap().view(over, over).ends_at,
        Some(over.into())
    );
    assert_eq!(focus.last(30, over), Err(INVALID_TRANSITION));
}

#[test]
fn a_new_length_moves_the_end_and_is_never_shorter_than_what_has_passed() {
    let running = taken(&[(Status::Started, 0)]);
    let longer = running.last(30, at(600_000)).unwrap();
    assert_eq!((longer.due_at(), longer.version), (Some(at(1_800_000)), 3));
    assert_eq!(running.last(11, at(600_000)).unwrap().due_at(), Some(at(660_000)));
    assert_eq!(running.last(10, at(600_000)), Err(ALREADY_ELAPSED));
    assert_eq!(running.last(25, at(600_000)), Ok(running));
    let paused = running.become_status(Status::Paused, at(600_000)).unwrap();
    assert_eq!(paused.last(10, at(9_000_000)), Err(ALREADY_ELAPSED));
    assert_eq!(paused.last(11, at(9_000_000)).unwrap().view(at(9_000_000), at(0)).remaining_seconds, 60);
    assert_eq!(taken(&[(Status::Cancelled, 0)]).last(30, at(0)), Err(INVALID_TRANSITION));
}

#[test]
fn a_reset_clears_what_was_consumed_and_an_end_keeps_it() {
    let paused = taken(&[(Status::Started, 0), (Status::Paused, 60_000)]);
    assert_eq!(paused.become_status(Status::Pending, at(70_000)).unwrap().elapsed_ms(at(70_000)), 0);
    let cancelled = paused.become_status(Status::Cancelled, at(70_000)).unwrap();
    assert_eq!((cancelled.elapsed_ms(at(0)), cancelled.view(at(80_000), at(0)).ends_at), (60_000, None));
    let running = paused.become_status(Status::Started, at(70_000)).unwrap();
    let early = running.become_status(Status::Completed, at(90_000)).unwrap();
    assert_eq!((early.elapsed_ms(at(0)), early.view(at(0), at(0)).ends_at), (80_000, Some(at(90_000).into())));
    assert_eq!(running.span_before(&early), Some(Span { from: at(70_000), until: at(90_000) }));
    let reset = running.become_status(Status::Pending, at(90_000)).unwrap();
    assert_eq!(running.span_before(&reset), None);
}

#[test]
fn a_status_is_read_by_its_name_and_resumed_means_started() {
    let mut violations = Violations::new();
    for status in Status::ALL {
        assert_eq!(Status::parse(Some(status.name()), &mut violations), Some(status));
    }
    assert_eq!(Status::parse(Some("resumed"), &mut violations), Some(Status::Started));
    assert!(violations.as_slice().is_empty());
    for bad in [None, Some(""), Some("Started"), Some("ended")] {
        assert_eq!(Status::parse(bad, &mut violations), None);
    }
    assert_eq!(violations.as_slice().len(), 4);
}

#[test]
fn what_cannot_be_kept_is_refused_with_its_field() {
    let mut violations = Violations::new();
    parse_subject(None, &mut violations);
    parse_subject(Some(&"가".repeat(201)), &mut violations);
    parse_subject(Some("a\0"), &mut violations);
    parse_goal(&"x".repeat(2_001), &mut violations);
    parse_goal("\0", &mut violations);
    parse_reflection(&"x".repeat(5_001), &mut violations);
    for minutes in [None, Some(0), Some(-1), Some(181), Some(i64::MAX)] {
        assert_eq!(parse_duration(minutes, &mut violations), None);
    }
    parse_break(-1, &mut violations);
    parse_break(61, &mut violations);
    check_instant(Some("2026-11-21T09:30:00"), "/created_at", &mut violations);
    check_instant(Some("yesterday"), "/updated_at", &mut violations);
    let told: Vec<_> = violations.as_slice().iter().map(|v| format!("{} {}", v.pointer, v.code)).collect();
    let expected = [
        "/subject required",
        "/subject too_long",
        "/subject not_readable",
        "/goal too_long",
        "/goal not_readable",
        "/reflection too_long",
        "/duration required",
        "/duration out_of_range",
        "/duration out_of_range",
        "/duration out_of_range",
        "/duration out_of_range",
        "/break_duration out_of_range",
        "/break_duration out_of_range",
        "/created_at not_an_instant",
        "/updated_at not_an_instant",
    ];
    assert_eq!(told, expected);
    let mut none = Violations::new();
    assert_eq!(parse_subject(Some(&format!(" {} ", "가".repeat(200))), &mut none).unwrap().chars().count(), 200);
    assert_eq!((parse_goal("  ", &mut none), parse_goal(" a ", &mut none)), (None, Some("a".to_owned())));
    assert_eq!((parse_duration(Some(180), &mut none), parse_break(0, &mut none)), (Some(180), Some(0)));
    check_instant(Some("2026-11-21T18:30:00.123456+09:00"), "/created_at", &mut none);
    assert!(none.as_slice().is_empty());
}

#[test]
fn a_span_over_midnight_counts_for_both_days() {
    let day = |text| NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap();
    let mut tally = Tally::new(Days::of(day("2026-11-20"), day("2026-11-22"), Asia::Seoul));
    let tags = ["집중".to_owned(), "글".to_owned()];
    tally.add_span(Span { from: instant("2026-11-20T14:50:30Z"), until: instant("2026-11-20T15:15:30Z") }, &tags);
    tally.add_span(Span { from: instant("2026-11-22T14:50:00Z"), until: instant("2026-11-22T15:50:00Z") }, &tags[..1]);
    tally.add_span(Span { from: instant("2026-11-19T14:00:00Z"), until: instant("2026-11-19T15:05:00Z") }, &[]);
    tally.add_completion(instant("2026-11-20T15:15:30Z"));
    tally.add_completion(instant("2026-11-22T15:50:00Z"));
    let found = tally.finish(1);
    let days: Vec<_> = found.days.iter().map(|day| (day.focus_minutes, day.completed)).collect();
    assert_eq!(days, [(5 + 9, 0), (15, 1), (10, 0)]);
    assert_eq!((found.total_minutes, found.days[2].date), (40, day("2026-11-22")));
    let tags: Vec<_> = found.by_tag.iter().map(|tag| (tag.tag.as_str(), tag.minutes)).collect();
    assert_eq!(tags, [("집중", 35), ("글", 25)]);
}

#[test]
fn a_streak_reaches_back_from_today_or_yesterday() {
    assert_eq!(streak(&[true, true, false, true]), Some(2));
    assert_eq!(streak(&[false, true, true, true, false]), Some(3));
    assert_eq!(streak(&[false, false, true]), Some(0));
    assert_eq!(
        (streak(&[true, true]), streak(&[false, true]), streak(&[]), streak(&[false])),
        (None, None, None, None)
    );
}

#[derive(Clone, Copy, Debug)]
enum Step {
    To(Status),
    Last(i32),
}

fn steps() -> impl Strategy<Value = Vec<(Step, i64, u32)>> {
    let to = |weight, status| (weight, Just(Step::To(status)).boxed());
    let step = proptest::strategy::Union::new_weighted(vec![
        to(8, Status::Started),
        to(6, Status::Paused),
        to(1, Status::Pending),
        to(1, Status::Completed),
        to(1, Status::Reviewed),
        to(1, Status::Cancelled),
        (3, (1..=180_i32).prop_map(Step::Last).boxed()),
    ]);
    // The third part is what stands below a millisecond in the database's clock.
    proptest::collection::vec((step, 0_i64..400_000, 0_u32..1_000_000), 0..100)
}

proptest! {
    #[test]
    fn any_sequence_agrees_with_adding_up_the_spans(minutes in 1_i32..=30, steps in steps()) {
        let mut focus = Focus::new(minutes);
        let (mut now_ms, mut added, mut since, mut spans_ms) = (0_i64, 0_i64, None::<i64>, 0_i64);
        for (step, pause, nanos) in steps {
            let before = focus.elapsed_ms(at(now_ms));
            now_ms += pause;
            let now = at(now_ms) + TimeDelta::nanoseconds(i64::from(nanos));
            let (elapsed, shown) = (focus.elapsed_ms(now), focus.view(now, now));
            // Nothing goes back between resets, and what was added up is what is shown, up to the end.
            prop_assert!(elapsed >= before);
            let naive = added + since.map_or(0, |since| now_ms - since);
            prop_assert_eq!(elapsed, naive.min(focus.duration_ms()));
            if !matches!(shown.status, Status::Completed | Status::Reviewed | Status::Cancelled) {
                prop_assert_eq!(elapsed / 1_000 + shown.remaining_seconds, focus.duration_ms() / 1_000);
                prop_assert!(shown.remaining_seconds > 0);
            }
            // By the watcher's rule it is over exactly when its whole length has run, never earlier.
            prop_assert_eq!(focus.is_due(now), since.is_some() && naive >= focus.duration_ms());
            if let Some(due_at) = focus.due_at() {
                prop_assert_eq!((due_at - at(now_ms)).num_milliseconds(), focus.duration_ms() - naive);
            }
            if focus.is_due(now) {
                let settled = focus.settled(now);
                spans_ms += focus.span_before(&settled).map_or(0, |span| (span.until - span.from).num_milliseconds());
                (added, since, focus) = (focus.duration_ms(), None, settled);
                prop_assert_eq!(spans_ms, added);
            }
            let next = match step {
                Step::To(status) => focus.become_status(status, now),
                Step::Last(minutes) => focus.last(minutes, now),
            };
            let Ok(next) = next else { continue };
            prop_assert_eq!(next.version, focus.version + i64::from(next != focus));
            if next == focus {
                continue;
            }
            spans_ms += focus.span_before(&next).map_or(0, |span| (span.until - span.from).num_milliseconds());
            match step {
                Step::To(Status::Started) => since = Some(now_ms),
                Step::To(Status::Pending) => (added, since, spans_ms) = (0, None, 0),
                Step::To(_) => added += since.take().map_or(0, |since| now_ms - since),
                Step::Last(_) => {}
            }
            focus = next;
            prop_assert_eq!(focus.elapsed_ms(now), added + since.map_or(0, |since| now_ms - since));
            // What the spans say is what is consumed: the statistics and the session cannot disagree.
            prop_assert_eq!(spans_ms, added);
        }
    }

    #[test]
    fn pausing_and_resuming_at_once_any_number_of_times_is_as_if_nothing_happened(
        times in 1_i64..500, every in 1_i64..50, nanos in 0_u32..1_000_000,
    ) {
        let instant = |ms| at(ms) + TimeDelta::nanoseconds(i64::from(nanos));
        let undisturbed = Focus::new(180).become_status(Status::Started, instant(0)).unwrap();
        let mut disturbed = undisturbed;
        for time in 1..=times {
            let now = instant(time * every);
            disturbed = disturbed.become_status(Status::Paused, now).unwrap();
            disturbed = disturbed.become_status(Status::Started, now).unwrap();
        }
        prop_assert_eq!(disturbed.due_at(), undisturbed.due_at());
    }

    #[test]
    fn days_agree_with_counting_every_minute(
        zone in proptest::sample::select(vec![Asia::Seoul, America::New_York, Australia::Lord_Howe, Tz::UTC]),
        // Both changes of the clocks in a year of each zone, and days without one.
        first in proptest::sample::select(vec!["2026-03-07", "2026-04-04", "2026-10-03", "2026-10-31", "2026-07-01"]),
        count in 1_u64..4,
        spans in proptest::collection::vec((-2_000_i64..6_000, 0_i64..181, 0_usize..3), 0..20),
    ) {
        let first = NaiveDate::parse_from_str(first, "%Y-%m-%d").unwrap();
        let last = first + Later::new(count - 1);
        let mut tally = Tally::new(Days::of(first, last, zone));
        let (mut counted, mut tagged) = (std::collections::BTreeMap::<NaiveDate, i64>::new(), 0);
        let mut completed = counted.clone();
        let base = first.and_hms_opt(0, 0, 0).unwrap().and_utc();
        for (from, minutes, tags) in spans {
            let from = base + TimeDelta::minutes(from);
            let until = from + TimeDelta::minutes(minutes);
            let tags: Vec<_> = (0..tags).map(|tag| tag.to_string()).collect();
            tally.add_span(Span { from, until }, &tags);
            tally.add_completion(until);
            let date = |at: DateTime<Utc>| at.with_timezone(&zone).date_naive();
            *completed.entry(date(until)).or_default() += 1;
            for minute in 0..minutes {
                let date = date(from + TimeDelta::minutes(minute));
                *counted.entry(date).or_default() += 1;
                if (first..=last).contains(&date) && !tags.is_empty() {
                    tagged += 1;
                }
            }
        }
        let found = tally.finish(0);
        prop_assert_eq!(found.days.len() as u64, count);
        for day in &found.days {
            prop_assert_eq!(day.focus_minutes, counted.get(&day.date).copied().unwrap_or_default(), "{}", day.date);
            prop_assert_eq!(day.completed, completed.get(&day.date).copied().unwrap_or_default(), "{}", day.date);
        }
        prop_assert_eq!(found.total_minutes, found.days.iter().map(|day| day.focus_minutes).sum::<i64>());
        let first_tag = found.by_tag.iter().find(|tag| tag.tag == "0").map_or(0, |tag| tag.minutes);
        prop_assert_eq!(first_tag, tagged);
    }

    #[test]
    fn any_text_is_judged_without_a_panic(text in ".*", minutes in any::<i64>()) {
        let mut violations = Violations::new();
        parse_subject(Some(&text), &mut violations);
        parse_goal(&text, &mut violations);
        parse_reflection(&text, &mut violations);
        parse_duration(Some(minutes), &mut violations);
        parse_break(minutes, &mut violations);
        check_instant(Some(&text), "/created_at", &mut violations);
        Status::parse(Some(&text), &mut violations);
    }
}
