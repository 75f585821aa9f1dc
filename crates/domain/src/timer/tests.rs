//! The timer against a naive one that adds up every span it was told of.

use proptest::prelude::*;

use super::*;
use crate::fault::Violations;

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_000 + ms).unwrap()
}

fn ready(seconds: i64) -> Timer {
    Timer::new(Plan::parse(None, Some(seconds), Alerts::default(), DURATION_DEFAULT_SECONDS).unwrap())
}

fn pointers(refused: &Violations) -> Vec<&str> {
    refused.as_slice().iter().map(|v| v.pointer.as_str()).collect()
}

#[test]
fn a_talk_is_read_from_its_beginning_past_its_end() {
    let timer = ready(600);
    assert_eq!(timer.view(at(0)).status, Status::Ready);
    let timer = timer.control(Control::Start, at(0)).unwrap();
    let early = timer.view(at(150_900));
    assert_eq!((early.status, early.elapsed_seconds, early.remaining_seconds), (Status::Running, 150, 450));
    assert_eq!((early.elapsed_ms, early.remaining_ms, early.progress_percent), (150_900, 449_100, 25));
    assert_eq!((early.start_time, early.end_time), (Some(Instant(at(0))), Some(Instant(at(600_000)))));
    let late = timer.view(at(601_999));
    assert_eq!((late.status, late.remaining_ms, late.overtime_seconds), (Status::Ended, 0, 1));
    assert_eq!((late.elapsed_seconds, late.progress_percent, late.overtime_ms), (601, 100, 1_999));
}

#[test]
fn a_pause_stops_the_clock_and_keeps_what_was() {
    let timer = ready(600).control(Control::Start, at(0)).unwrap();
    let paused = timer.control(Control::Pause, at(10_500)).unwrap();
    let reading = paused.view(at(99_000));
    assert_eq!((reading.status, reading.elapsed_ms, reading.end_time), (Status::Paused, 10_500, None));
    assert_eq!(reading.paused_at, Some(Instant(at(10_500))));
    let resumed = paused.control(Control::Resume, at(100_000)).unwrap();
    let reading = resumed.view(at(101_000));
    assert_eq!((reading.elapsed_ms, reading.start_time), (11_500, Some(Instant(at(0)))));
    assert_eq!(reading.end_time, Some(Instant(at(100_000 + 600_000 - 10_500))));
    assert_eq!((reading.paused_at, reading.version), (None, 4));
}

#[test]
fn what_its_status_forbids_is_refused_and_repeating_a_start_or_reset_changes_nothing() {
    let ready = ready(60);
    let running = ready.control(Control::Start, at(0)).unwrap();
    let paused = running.control(Control::Pause, at(1_000)).unwrap();
    assert_eq!(running.control(Control::Start, at(5)).unwrap(), running);
    assert_eq!(ready.control(Control::Reset, at(5)).unwrap(), ready);
    let ended = at(60_000);
    let cases = [
        (&ready, Control::Pause, at(0), NOT_RUNNING),
        (&ready, Control::Resume, at(0), NOT_PAUSED),
        (&running, Control::Resume, at(1), NOT_PAUSED),
        (&paused, Control::Pause, at(2_000), NOT_RUNNING),
        (&paused, Control::Start, at(2_000), NOT_READY),
        (&running, Control::Pause, ended, NOT_RUNNING),
        (&running, Control::Start, ended, NOT_READY),
        (&running, Control::Resume, ended, NOT_PAUSED),
    ];
    for (timer, control, now, fault) in cases {
        assert_eq!(timer.control(control, now).unwrap_err(), fault, "{control:?} while {:?}", timer.status(now));
    }
    let plan = || Plan::parse(Some(5), None, Alerts::default(), DURATION_DEFAULT_SECONDS).unwrap();
    assert_eq!(running.setup(plan(), at(1)).unwrap_err(), RUNNING);
    assert_eq!(running.setup(plan(), ended).unwrap().status(ended), Status::Ready);
    assert_eq!(paused.setup(plan(), at(2_000)).unwrap().version, 4);
    assert_eq!(running.control(Control::Reset, ended).unwrap().view(ended).elapsed_ms, 0);
}

#[test]
fn an_alert_comes_at_its_moment_and_only_inside_the_talk() {
    let alerts = Alerts { two_minutes: false, custom: vec![45, 200], ..Alerts::default() };
    let plan = Plan::parse(None, Some(240), alerts, DURATION_DEFAULT_SECONDS).unwrap();
    let timer = Timer::new(plan).control(Control::Start, at(0)).unwrap();
    let triggered = |ms| timer.view(at(ms)).alerts_triggered;
    assert_eq!(triggered(0), AlertsTriggered::default());
    assert_eq!(triggered(39_999), AlertsTriggered::default());
    assert_eq!(triggered(40_000).custom, [200]);
    assert!(!triggered(119_999).halfway && triggered(120_000).halfway);
    // Five minutes never remain of four, and two minutes were switched off.
    let last = triggered(300_000);
    assert!(!last.five_minutes && !last.two_minutes && last.thirty_seconds && last.ended);
    assert_eq!(last.custom, [45, 200]);
}

#[test]
fn a_plan_names_everything_that_is_wrong_with_it() {
    let alerts = Alerts { custom: vec![0, 60, 30, 30, -1], ..Alerts::default() };
    let refused = Plan::parse(None, Some(60), alerts, DURATION_DEFAULT_SECONDS).unwrap_err();
    assert_eq!(pointers(&refused), ["/alerts/custom/0", "/alerts/custom/1", "/alerts/custom/3", "/alerts/custom/4"]);
    let parse = |minutes, seconds| Plan::parse(minutes, seconds, Alerts::default(), DURATION_DEFAULT_SECONDS);
    assert_eq!(pointers(&parse(Some(181), Some(0)).unwrap_err()).len(), 3);
    assert_eq!(pointers(&parse(Some(i64::MAX), None).unwrap_err()), ["/duration_minutes"]);
    assert_eq!(pointers(&parse(None, Some(10_801)).unwrap_err()), ["/duration_seconds"]);
    assert_eq!(parse(None, None).unwrap().duration_seconds, 600);
    assert_eq!(parse(Some(180), None).unwrap().duration_seconds, DURATION_MAX_SECONDS);
    let many = Alerts { custom: (1..=11).collect(), ..Alerts::default() };
    assert_eq!(pointers(&Plan::parse(Some(1), None, many, 600).unwrap_err()), ["/alerts/custom"]);
}

#[test]
fn a_clock_that_was_set_back_takes_no_time_away() {
    let paused = ready(60).control(Control::Start, at(0)).unwrap().control(Control::Pause, at(5_000)).unwrap();
    let resumed = paused.control(Control::Resume, at(9_000)).unwrap();
    assert_eq!(resumed.view(at(2_000)).elapsed_ms, 5_000);
    assert_eq!(resumed.control(Control::Pause, at(2_000)).unwrap().view(at(2_000)).elapsed_ms, 5_000);
}

fn controls() -> impl Strategy<Value = Vec<(Control, i64, u32)>> {
    let control = prop_oneof![
        3 => Just(Control::Start),
        6 => Just(Control::Pause),
        6 => Just(Control::Resume),
        1 => Just(Control::Reset),
    ];
    // The third part is what stands below a millisecond in the database's clock.
    proptest::collection::vec((control, 0_i64..20_000, 0_u32..1_000_000), 0..200)
}

proptest! {
    #[test]
    fn any_sequence_agrees_with_adding_up_the_spans(seconds in 1_i64..1_800, steps in controls()) {
        let mut timer = ready(seconds);
        let (mut now_ms, mut added, mut since) = (0, 0, None);
        for (control, pause, nanos) in steps {
            let before = timer.view(at(now_ms));
            now_ms += pause;
            let now = at(now_ms) + TimeDelta::nanoseconds(i64::from(nanos));
            let seen = timer.view(now);
            // Elapsed never goes back, no alert is taken back, and the parts make the whole.
            prop_assert!(seen.elapsed_ms >= before.elapsed_ms && seen.elapsed_seconds >= before.elapsed_seconds);
            prop_assert!(seen.alerts_triggered.halfway >= before.alerts_triggered.halfway);
            prop_assert!(seen.alerts_triggered.ended >= before.alerts_triggered.ended);
            prop_assert_eq!(seen.elapsed_ms + seen.remaining_ms - seen.overtime_ms, seconds * 1_000);
            if seen.overtime_ms == 0 {
                prop_assert_eq!(seen.elapsed_seconds + seen.remaining_seconds, seconds);
            }
            prop_assert_eq!(seen.elapsed_ms, added + since.map_or(0, |since| now_ms - since));
            let Ok(next) = timer.control(control, now) else { continue };
            prop_assert_eq!(next.version, timer.version + i64::from(next.run != timer.run));
            if next.version > timer.version {
                match control {
                    Control::Start | Control::Resume => since = Some(now_ms),
                    Control::Pause => added += now_ms - since.take().unwrap(),
                    Control::Reset => (added, since) = (0, None),
                }
                // A control itself gives no time and takes none; only a reset begins anew.
                let expected = if control == Control::Reset { 0 } else { seen.elapsed_ms };
                prop_assert_eq!(next.view(now).elapsed_ms, expected);
            }
            timer = next;
        }
    }

    #[test]
    fn pausing_and_resuming_at_once_any_number_of_times_is_as_if_nothing_happened(
        times in 1_i64..500, every in 1_i64..50, nanos in 0_u32..1_000_000,
    ) {
        let instant = |ms| at(ms) + TimeDelta::nanoseconds(i64::from(nanos));
        let undisturbed = ready(10_800).control(Control::Start, instant(0)).unwrap();
        let mut disturbed = undisturbed.clone();
        for time in 1..=times {
            let now = instant(time * every);
            disturbed = disturbed.control(Control::Pause, now).unwrap().control(Control::Resume, now).unwrap();
        }
        let now = instant(times * every + 1);
        prop_assert_eq!(disturbed.elapsed_ms(now), undisturbed.elapsed_ms(now));
    }
}

/// What is kept beside a timer: planned alerts, and those that were announced.
#[derive(Default)]
struct Announcer {
    planned: Vec<Deadline>,
    told: Vec<(Deadline, DateTime<Utc>)>,
}

impl Announcer {
    /// Announces what is due, as whoever comes first does it.
    fn announce(&mut self, now: DateTime<Utc>) {
        self.planned.sort_by_key(|deadline| (deadline.due_at, deadline.alert));
        let (due, later) = self.planned.drain(..).partition(|deadline| deadline.due_at <= now);
        self.planned = later;
        for deadline in Vec::<Deadline>::into_iter(due) {
            if !self.told.iter().any(|(told, _)| told.once_key == deadline.once_key) {
                self.told.push((deadline, now));
            }
        }
    }

    fn change(&mut self, replan: Replan) {
        self.planned.retain(|deadline| replan.kept_until.is_some_and(|until| deadline.due_at <= until));
        self.planned.extend(replan.planned);
    }
}

proptest! {
    #[test]
    fn no_alert_comes_twice_or_early_or_out_of_order_whoever_announces_and_when(
        seconds in 1_i64..700,
        custom in proptest::collection::hash_set(1_i32..700, 0..4),
        steps in proptest::collection::vec((0_i64..200_000, 0_u8..6, 0_i64..40), 1..60),
    ) {
        let custom = custom.into_iter().filter(|own| i64::from(*own) < seconds).collect();
        let alerts = Alerts { custom, ..Alerts::default() };
        let mut timer = Timer::new(Plan::parse(None, Some(seconds), alerts, DURATION_DEFAULT_SECONDS).unwrap());
        let (mut announcer, mut now_ms) = (Announcer::default(), 0);
        for (wait, step, late) in steps {
            now_ms += wait;
            let control = match step {
                0 => Control::Start,
                1 | 2 => Control::Pause,
                3 | 4 => Control::Resume,
                _ => Control::Reset,
            };
            // Decided on what was read; others may announce what comes between reading and writing.
            if let Ok(next) = timer.control(control, at(now_ms)) {
                let replan = timer.replan(&next, at(now_ms));
                announcer.announce(at(now_ms + late));
                if next != timer {
                    announcer.change(replan);
                }
                timer = next;
            }
            now_ms += late;
            if step % 2 == 0 {
                announcer.announce(at(now_ms));
                let shown = timer.view(at(now_ms));
                prop_assert!(announcer.planned.iter().all(|deadline| deadline.remaining_ms < shown.remaining_ms));
            }
        }
        let mut runs: std::collections::BTreeMap<&str, i64> = std::collections::BTreeMap::new();
        for (told, when) in &announcer.told {
            prop_assert!(told.due_at <= *when);
            let run = told.once_key.split(':').next().unwrap();
            let before = runs.insert(run, told.remaining_ms).unwrap_or(i64::MAX);
            prop_assert!(told.remaining_ms <= before, "{:?}", announcer.told);
        }
    }

    #[test]
    fn every_alert_of_a_talk_comes_however_often_it_was_paused(
        seconds in 1_i64..700,
        spans in proptest::collection::vec(1_i64..100_000, 1..10),
    ) {
        let plan = Plan::parse(None, Some(seconds), Alerts::default(), DURATION_DEFAULT_SECONDS).unwrap();
        let (mut timer, mut announcer, mut now_ms) = (Timer::new(plan), Announcer::default(), 0);
        let change = |timer: &mut Timer, announcer: &mut Announcer, control, now_ms| {
            let Ok(next) = timer.control(control, at(now_ms)) else { return };
            announcer.change(timer.replan(&next, at(now_ms)));
            *timer = next;
        };
        change(&mut timer, &mut announcer, Control::Start, now_ms);
        for span in spans {
            now_ms += span;
            change(&mut timer, &mut announcer, Control::Pause, now_ms);
            now_ms += span;
            change(&mut timer, &mut announcer, Control::Resume, now_ms);
        }
        announcer.announce(at(now_ms + seconds * 1_000));
        let told: Vec<_> = announcer.told.iter().map(|(told, _)| told.alert).collect();
        let expected: Vec<_> = timer.plan.moments().into_iter().map(|(alert, _)| alert).collect();
        prop_assert_eq!(told, expected);
    }
}
