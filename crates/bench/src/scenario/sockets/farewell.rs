//! How those who are connected are sent away when their replica ends: not all at once, and all of them in time.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{audience::Audience, server::Server};
use crate::{
    figures::float,
    process::ask_to_end,
    report::{Bound, Goal, Report},
    trouble::Trouble,
};

/// Most seconds from the first to the last.
const LONGEST: f64 = 10.0;
/// Most of them, as a share, that are sent away within one [`STEP`].
const CROWD: f64 = 0.05;
/// How often it is looked who is still there.
const STEP: Duration = Duration::from_millis(100);
/// Longest that anybody is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How it went.
#[derive(Debug, Serialize)]
pub(super) struct Farewell {
    connections: u64,
    /// Seconds from the first end to the last.
    seconds: f64,
    /// Most ends within one step.
    crowd: u64,
}

/// Asks a server to end, and waits until it has sent everybody away.
pub(super) async fn measure(server: &Server, audience: &Audience) -> Result<Farewell, Trouble> {
    let (connections, mut ended, mut crowd) = (audience.clients(), 0, 0);
    let mut step = interval(STEP);
    step.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begun = Instant::now();
    let (mut first, mut last) = (None, begun);
    ask_to_end(server.pid);
    while ended < connections {
        step.tick().await;
        if begun.elapsed() > PATIENCE {
            let left = connections - ended;
            return Err(Trouble::Broken(format!("{left} of {connections} connections were not ended")));
        }
        let now = audience.ended();
        if now > ended {
            crowd = crowd.max(now - ended);
            last = Instant::now();
            first.get_or_insert(last);
            ended = now;
        }
    }
    let seconds = (last - first.unwrap_or(begun)).as_secs_f64();
    Ok(Farewell { connections, seconds, crowd })
}

impl Farewell {
    pub(super) fn tell(&self, report: &mut Report) {
        let mut goal = |what: String, measured, most| report.goal(Goal { what, measured, bound: Bound::AtMost(most) });
        let connections = self.connections;
        goal(format!("seconds over which {connections} are sent away when their replica ends"), self.seconds, LONGEST);
        let share = float(self.crowd) / float(connections.max(1));
        goal(format!("share of them within the busiest {} ms", STEP.as_millis()), share, CROWD);
    }
}
