//! The course of a conversation: where it turns, what its parts are about, and its numbers.

use super::{FlowStep, Preview, Segment, Stats, topic};
use crate::feeling::{self, Label, within};

/// Returns before which steps something else is spoken of: in other words, or with a feeling of the other side.
pub(super) fn shifts(steps: &[FlowStep<'_>], changes: &[bool]) -> Vec<bool> {
    let mut known: Option<Label> = None;
    let mut shifts = Vec::with_capacity(steps.len());
    for (step, is_new) in steps.iter().zip(changes) {
        let label = step.feeling.map(|feeling| feeling.label).filter(|label| *label != Label::Neutral);
        // A change of feeling is one only where it turns to the other side: sad and tired belong together.
        let has_turned = known.zip(label).is_some_and(|(known, label)| known.valence() * label.valence() < -0.05);
        shifts.push(!shifts.is_empty() && (*is_new || has_turned));
        // What was felt about something else is not compared with.
        known = if *is_new { label } else { label.or(known) };
    }
    shifts
}

pub(super) fn segments(steps: &[FlowStep<'_>], shifts: &[bool]) -> Vec<Segment> {
    let mut runs: Vec<Vec<&FlowStep<'_>>> = Vec::new();
    for (step, is_shift) in steps.iter().zip(shifts) {
        match runs.last_mut() {
            Some(run) if !is_shift => run.push(step),
            _ => runs.push(vec![step]),
        }
    }
    let segment = |run: Vec<&FlowStep<'_>>| {
        let feelings: Vec<_> = run.iter().filter_map(|step| step.feeling).collect();
        let texts: Vec<_> = run.iter().filter(|step| step.risk < 2).map(|step| step.text).collect();
        Some(Segment {
            from_seq: run.first()?.seq,
            to_seq: run.last()?.seq,
            topic: Preview(topic::words(&texts)),
            label: feeling::session_label(&feelings),
        })
    };
    runs.into_iter().filter_map(segment).collect()
}

/// Counts a conversation.
pub(super) fn stats(steps: &[FlowStep<'_>], shifts: &[bool]) -> Stats {
    let points: Vec<(f64, f64)> =
        (0_u32..).zip(steps).filter_map(|(place, step)| Some((f64::from(place), step.feeling?.valence))).collect();
    let count = points.iter().fold(0.0, |count, _| count + 1.0);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let slope = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>() / spread;
    Stats {
        turns: u32::try_from(steps.len()).unwrap_or(u32::MAX),
        valence_mean: (count > 0.0).then(|| within(mean_y, -1.0, 1.0)),
        valence_slope: (spread > 0.0).then(|| within(slope, -2.0, 2.0)),
        shifts: u32::try_from(shifts.iter().filter(|shift| **shift).count()).unwrap_or(u32::MAX),
    }
}
